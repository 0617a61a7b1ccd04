"""Rows for keys that come and go."""

import numpy as np
import pytest

from scaler.pool import Pool

ROWS = 4


class Page:
    """A page of numbers."""

    made = 0

    def __init__(self) -> None:
        Page.made += 1
        self.values = np.zeros(ROWS)

    def clear(self, row: int) -> None:
        self.values[row] = 0


@pytest.fixture
def pool() -> Pool[Page]:
    Page.made = 0
    return Pool(ROWS, Page, Page.clear)


def write(pool: Pool[Page], key: str, value: float) -> None:
    page, row = pool.find(key)
    page.values[row] = value


def read(pool: Pool[Page], *keys: str) -> list[float]:
    found = [float("nan")] * len(keys)
    rows, where = pool.rows_of(keys)
    for page, local, position in pool.by_page(rows):
        for row, at in zip(local.tolist(), where[position].tolist(), strict=True):
            found[at] = float(page.values[row])
    return found


def test_each_key_has_a_row_of_its_own(pool: Pool[Page]) -> None:
    keys = [f"k{i}" for i in range(10)]
    for i, key in enumerate(keys):
        pool.add(key)
        write(pool, key, i)
    assert read(pool, *reversed(keys)) == list(range(9, -1, -1))
    assert len(pool) == 10
    assert Page.made == 3


def test_an_unknown_key_has_none(pool: Pool[Page]) -> None:
    pool.add("a")
    write(pool, "a", 7)
    assert read(pool, "x", "a")[1] == 7
    assert np.isnan(read(pool, "x", "a")[0])
    with pytest.raises(KeyError):
        pool.find("x")


def test_a_key_that_is_added_again_keeps_its_row(pool: Pool[Page]) -> None:
    pool.add("a")
    write(pool, "a", 7)
    pool.add("a")
    assert read(pool, "a") == [7]


def test_a_row_that_is_free_is_used_again_and_is_as_new(pool: Pool[Page]) -> None:
    for key in "abc":
        pool.add(key)
        write(pool, key, 1)
    pool.remove("b")
    pool.remove("b")
    pool.add("d")
    assert read(pool, "a", "c", "d") == [1, 1, 0]
    assert Page.made == 1


def test_a_page_without_keys_is_dropped(pool: Pool[Page]) -> None:
    for i in range(2 * ROWS):
        pool.add(f"k{i}")
    for i in range(ROWS):
        pool.remove(f"k{i}")
    assert len(list(pool.pages())) == 1
    pool.add("new")
    assert read(pool, "new") == [0]
    assert len(list(pool.pages())) == 2
