"""Long history as the database keeps it: pages of 96 blocks, one row each. Pure.

At 15 minutes a block, a page is a day: saving the newest block of a trigger rewrites 768 bytes, and four weeks are 29
rows. Pages lie on the clock: page p holds the blocks [96 p, 96 p + 96) counted from the epoch. Axes: R rows (pages),
B blocks of a page, 2 (mean, max).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from scaler.series import Blocks, Floats

PAGE_BLOCKS = 96
_FLOAT32 = np.dtype("<f4")
_PAGE_BYTES = PAGE_BLOCKS * 2 * _FLOAT32.itemsize


@dataclass(frozen=True, slots=True)
class Pages:
    """Rows in ascending order of (key, page). values_RB2 is NaN where a block is missing."""

    rows: tuple[tuple[str, int], ...]
    values_RB2: Floats

    def packed(self) -> list[bytes]:
        return [page_B2.tobytes() for page_B2 in self.values_RB2.astype(_FLOAT32, copy=False)]


def page_of(moment: float, block_seconds: int) -> int:
    """The page that holds the block in which `moment` (seconds since the epoch) lies."""
    return int(moment // (block_seconds * PAGE_BLOCKS))


def paged(blocks: Mapping[str, Blocks], block_seconds: int, keep_since: float) -> Pages:
    """The pages on which these blocks lie; those that end before `keep_since` are left out."""
    keys = sorted(key for key in blocks if len(blocks[key].starts))
    if not keys:
        return Pages((), np.empty((0, PAGE_BLOCKS, 2), np.float32))
    owner = np.repeat(np.arange(len(keys)), [len(blocks[key].starts) for key in keys])
    index = np.rint(np.concatenate([blocks[key].starts for key in keys]) / block_seconds).astype(np.int64)
    mean_max = np.stack([np.concatenate([getattr(blocks[key], name) for key in keys]) for name in ("mean", "max")], -1)
    kept = index // PAGE_BLOCKS >= page_of(keep_since, block_seconds)
    owner, index, mean_max = owner[kept], index[kept], mean_max[kept]
    page, slot = np.divmod(index, PAGE_BLOCKS)
    opens = np.ones(len(page), bool)
    opens[1:] = (owner[1:] != owner[:-1]) | (page[1:] != page[:-1])
    values_RB2 = np.full((int(opens.sum()), PAGE_BLOCKS, 2), np.nan, np.float32)
    values_RB2[np.cumsum(opens) - 1, slot] = np.where(np.isfinite(mean_max).all(-1, keepdims=True), mean_max, np.nan)
    rows = zip(owner[opens].tolist(), page[opens].tolist(), strict=True)
    return Pages(tuple((keys[at], number) for at, number in rows), values_RB2)


def merged(pages: Pages, stored: Mapping[tuple[str, int], bytes]) -> Pages:
    """The pages on top of what is stored: a new block replaces the stored one, the others stay."""
    found = [row for row, at in enumerate(pages.rows) if _is_page(stored.get(at))]
    if not found:
        return pages
    before_FB2 = _values([stored[pages.rows[row]] for row in found])
    values_RB2 = pages.values_RB2.copy()
    values_RB2[found] = np.where(np.isnan(values_RB2[found]), before_FB2, values_RB2[found])
    return Pages(pages.rows, values_RB2)


def unpaged(rows: Sequence[tuple[str, int, bytes]], block_seconds: int, since: float) -> dict[str, Blocks]:
    """The blocks that start at `since` or later, from rows (key, page, packed) ascending by key and page."""
    rows = [row for row in rows if _is_page(row[2])]
    if not rows:
        return {}
    values_NB2 = _values([packed for _, _, packed in rows])
    starts_NB = (
        np.array([page for _, page, _ in rows])[:, None] * PAGE_BLOCKS + np.arange(PAGE_BLOCKS)
    ) * block_seconds
    there_NB = np.isfinite(values_NB2).all(-1) & (starts_NB >= since)
    keys = [key for key, _, _ in rows]
    first = [n for n, key in enumerate(keys) if n == 0 or key != keys[n - 1]]
    blocks = {}
    for start, end in zip(first, [*first[1:], len(rows)], strict=True):
        there = there_NB[start:end]
        if there.any():
            mean, largest = np.ascontiguousarray(values_NB2[start:end][there].T)
            blocks[keys[start]] = Blocks(starts_NB[start:end][there].astype(np.float64), mean, largest)
    return blocks


def _is_page(packed: object) -> bool:
    """Whether it was written by `Pages.packed`; SQLite keeps values of any type in any column."""
    return isinstance(packed, bytes) and len(packed) == _PAGE_BYTES


def _values(packed: Sequence[bytes]) -> Floats:
    return np.frombuffer(b"".join(packed), _FLOAT32).reshape(-1, PAGE_BLOCKS, 2).astype(np.float32, copy=False)
