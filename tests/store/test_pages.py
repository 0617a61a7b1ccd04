"""Long history on pages of 96 blocks: pure, compared with a dictionary of blocks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.series import Blocks
from scaler.store.pages import PAGE_BLOCKS, faults_of, merged, page_of, paged, unpaged

BLOCK = 900
DAY = 86400

block_numbers = st.lists(st.integers(0, 4 * PAGE_BLOCKS), unique=True).map(sorted)
histories = st.dictionaries(st.sampled_from("abc"), block_numbers)


def numbered(numbers: list[int], first: float, block_seconds: int = BLOCK) -> Blocks:
    """Blocks at these numbers, each with a demand of its own."""
    demand = first + np.array(numbers, np.float32)
    return Blocks(np.array(numbers, np.float64) * block_seconds, demand, demand + 0.5)


def stored_rows(*saved: dict[str, Blocks], block_seconds: int = BLOCK) -> list[tuple[str, int, bytes]]:
    """What a table holds after these were saved one after another."""
    table: dict[tuple[str, int], bytes] = {}
    for blocks in saved:
        pages = merged(paged(blocks, block_seconds, 0.0), table)
        table.update(zip(pages.rows, pages.packed(), strict=True))
    return [(key, page, packed) for (key, page), packed in sorted(table.items())]


@given(histories, histories, st.integers(0, 4 * PAGE_BLOCKS), st.sampled_from([60, 420, 900, 3600]))
def test_saving_twice_is_the_union_with_the_later_on_top(
    first: dict[str, list[int]], second: dict[str, list[int]], since: int, block_seconds: int
) -> None:
    """Whatever is saved in two goes is read as one dictionary would have it."""
    before = {key: numbered(numbers, 0, block_seconds) for key, numbers in first.items()}
    after = {key: numbered(numbers, 1000, block_seconds) for key, numbers in second.items()}
    expected: dict[str, dict[int, float]] = {}
    for saved, base in ((first, 0), (second, 1000)):
        for key, numbers in saved.items():
            expected.setdefault(key, {}).update({n: float(base + n) for n in numbers if n >= since})

    rows = stored_rows(before, after, block_seconds=block_seconds)
    found = unpaged(rows, block_seconds, since * block_seconds)

    plain = {
        key: dict(zip((b.starts / block_seconds).astype(int).tolist(), b.mean.tolist(), strict=True))
        for key, b in found.items()
    }
    assert plain == {key: numbers for key, numbers in expected.items() if numbers}
    assert all((np.diff(b.starts) > 0).all() and (b.max == b.mean + 0.5).all() for b in found.values())


def test_a_page_is_a_day_of_quarters_of_an_hour() -> None:
    """Blocks of one day lie on one page, the next midnight on the next."""
    midnight = 19_000 * DAY
    assert page_of(midnight, BLOCK) == page_of(midnight + DAY - 1, BLOCK) == 19_000
    assert page_of(midnight + DAY, BLOCK) == 19_001


def test_the_newest_block_rewrites_one_small_row() -> None:
    """Saving one block of a trigger with weeks of history writes 768 bytes."""
    pages = paged({"a": numbered([5000], 0)}, BLOCK, 0.0)
    assert [len(packed) for packed in pages.packed()] == [768]


def test_pages_before_the_kept_time_are_not_made() -> None:
    """Blocks on pages that end before the kept time are left out, not written to be deleted later."""
    pages = paged({"a": numbered([0, 96, 192], 0)}, BLOCK, keep_since=100 * BLOCK)
    assert pages.rows == (("a", 1), ("a", 2))


@pytest.mark.parametrize("rubbish", [np.nan, np.inf, -np.inf])
def test_a_block_that_is_not_finite_is_missing(rubbish: float) -> None:
    """A block is whole or missing: one value that is no number makes it missing."""
    blocks = numbered([0, 1, 2], 0)
    blocks.max[1] = rubbish
    assert unpaged(stored_rows({"a": blocks}), BLOCK, 0.0)["a"].mean.tolist() == [0, 2]


def test_a_row_of_another_size_is_not_merged_with() -> None:
    """It is written over."""
    pages = paged({"a": numbered([1], 0)}, BLOCK, 0.0)
    assert merged(pages, {("a", 0): b"rubbish"}).packed() == pages.packed()


def packed(*blocks: tuple[float, float]) -> bytes:
    """A page that begins with these blocks; the others are missing."""
    values = np.full((PAGE_BLOCKS, 2), np.nan, "<f4")
    values[: len(blocks)] = np.reshape(blocks, (-1, 2))
    return values.tobytes()


@pytest.mark.parametrize(
    ("page", "content", "fault"),
    [
        (0, packed((1, 2)), ""),
        (0, packed(), ""),
        (0, packed((5, np.nan)), ""),
        (0, b"rubbish", "768 bytes"),
        (0, "x" * 768, "768 bytes"),
        (0, None, "768 bytes"),
        (-1, packed((1, 2)), "number"),
        (2**62, packed((1, 2)), "number"),
        ("0", packed((1, 2)), "number"),
        (1.5, packed((1, 2)), "number"),
        (None, packed((1, 2)), "number"),
        (0, packed((1, 2), (-1, 2)), "demand"),
        (0, packed((1, np.inf)), "demand"),
        (0, packed((1, 1e38)), "demand"),
    ],
)
def test_what_is_wrong_with_a_stored_row(page: object, content: object, fault: str) -> None:
    """Each row has its own answer, whatever the others hold."""
    good = ("a", 0, packed((7, 8)))
    found = faults_of([good, ("a", page, content), good], BLOCK)
    assert fault in found[1]
    assert [found[0], bool(found[1]), found[2]] == ["", bool(fault), ""]


cells = st.none() | st.integers() | st.floats() | st.text() | st.binary() | st.just(packed((1, 2)))


@given(st.lists(st.tuples(st.sampled_from("ab"), cells, cells | st.binary(min_size=768, max_size=768))))
def test_any_row_is_read_or_has_a_fault(rows: list[tuple[str, object, object]]) -> None:
    """What has no fault can be read, and holds demand only."""
    faults = faults_of(rows, BLOCK)
    sound = sorted((row for row, fault in zip(rows, faults, strict=True) if not fault), key=lambda row: row[:2])
    for blocks in unpaged(sound, BLOCK, 0.0).values():  # type: ignore[arg-type]
        assert (blocks.mean >= 0).all()
        assert np.isfinite(blocks.max).all()
        assert (blocks.starts >= 0).all()


def test_values_that_are_no_demand_are_missing() -> None:
    """Infinite values in a stored page are read as missing, and the blocks beside them are kept."""
    values = np.full((PAGE_BLOCKS, 2), 5, "<f4")
    values[1, 0], values[2, 1], values[3] = np.inf, np.inf, -np.inf
    found = unpaged([("a", 0, values.tobytes())], BLOCK, 0.0)["a"]
    assert found.starts[:2].tolist() == [0, 4 * BLOCK]
    assert len(found.starts) == PAGE_BLOCKS - 3
