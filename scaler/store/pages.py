"""Long history as the database keeps it: pages of 96 blocks, one row each. Pure.

At 15 minutes a block, a page is a day: saving the newest block of a trigger rewrites 768 bytes, and four weeks are 29
rows. Pages lie on the clock: page p holds the blocks [96 p, 96 p + 96) counted from the epoch. Axes: R rows (pages),
B blocks of a page, 2 (mean, max).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scaler.series import Blocks, Floats
from scaler.trigger import DEMAND_LIMIT

PAGE_BLOCKS = 96
_FLOAT32 = np.dtype("<f4")
PAGE_BYTES = PAGE_BLOCKS * 2 * _FLOAT32.itemsize
_LATEST = 1e11
"""no block starts later: that is the year 5138"""


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
    values_RB2[np.cumsum(opens) - 1, slot] = np.where(_is_demand(mean_max)[:, None], mean_max, np.nan)
    rows = zip(owner[opens].tolist(), page[opens].tolist(), strict=True)
    return Pages(tuple((keys[at], number) for at, number in rows), values_RB2)


def merged(pages: Pages, stored: Mapping[tuple[str, int], bytes]) -> Pages:
    """The pages on top of what is stored: a new block replaces the stored one, the others stay."""
    found = [row for row, at in enumerate(pages.rows) if _is_page(stored.get(at))]
    if not found:
        return pages
    before_FB2 = _values([stored[pages.rows[row]] for row in found]).copy()
    before_FB2[~_is_demand(before_FB2)] = np.nan
    values_RB2 = pages.values_RB2.copy()
    values_RB2[found] = np.where(np.isnan(values_RB2[found]), before_FB2, values_RB2[found])
    return Pages(pages.rows, values_RB2)


def unpaged(rows: Sequence[tuple[str, int, bytes]], block_seconds: int, since: float) -> dict[str, Blocks]:
    """The blocks that start at `since` or later, from rows (key, page, packed) ascending by key and page; all rows
    without fault."""
    if not rows:
        return {}
    values_NB2 = _values([packed for _, _, packed in rows])
    starts_NB = (
        np.array([page for _, page, _ in rows])[:, None] * PAGE_BLOCKS + np.arange(PAGE_BLOCKS)
    ) * block_seconds
    there_NB = _is_demand(values_NB2) & (starts_NB >= since)
    keys = [key for key, _, _ in rows]
    first = [n for n, key in enumerate(keys) if n == 0 or key != keys[n - 1]]
    blocks = {}
    for start, end in zip(first, [*first[1:], len(rows)], strict=True):
        there = there_NB[start:end]
        if there.any():
            mean, largest = np.ascontiguousarray(values_NB2[start:end][there].T)
            blocks[keys[start]] = Blocks(starts_NB[start:end][there].astype(np.float64), mean, largest)
    return blocks


def faults_of(rows: Sequence[tuple[str, object, object]], block_seconds: int) -> list[str]:
    """Why each row was not written by `Pages.packed`; empty where it was. SQLite keeps values of any type in any
    column, and a byte that was changed makes a demand that nobody has observed."""
    faults = [_shape_fault(page, packed, block_seconds) for _, page, packed in rows]
    shaped = [number for number, fault in enumerate(faults) if not fault]
    if shaped:
        values_NB2 = _values([bytes(rows[number][2]) for number in shaped])  # type: ignore[call-overload]
        sound_N = (_is_demand(values_NB2) | np.isnan(values_NB2).any(-1)).all(-1)
        for number in np.flatnonzero(~sound_N).tolist():
            faults[shaped[number]] = "a block holds no demand"
    return faults


def _shape_fault(page: object, packed: object, block_seconds: int) -> str:
    if type(page) is not int or not 0 <= page * PAGE_BLOCKS * block_seconds <= _LATEST:
        return "the number of the page is none"
    return "" if _is_page(packed) else f"a page has {PAGE_BYTES} bytes"


def _is_page(packed: object) -> bool:
    return isinstance(packed, bytes) and len(packed) == PAGE_BYTES


def _is_demand(mean_max: Floats) -> NDArray[np.bool_]:
    """Whether each (mean, max) on the last axis is one: NaN is not, nor what is larger than can be answered."""
    return np.logical_and.reduce((mean_max >= 0) & (mean_max <= DEMAND_LIMIT), axis=-1)  # type: ignore[no-any-return]


def _values(packed: Sequence[bytes]) -> Floats:
    return np.frombuffer(b"".join(packed), _FLOAT32).reshape(-1, PAGE_BLOCKS, 2).astype(np.float32, copy=False)
