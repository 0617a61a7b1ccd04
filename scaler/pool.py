"""Rows of arrays for keys that come and go: pages of rows that never move, and go back to the system when empty."""

from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

P = TypeVar("P")
Integers = NDArray[np.int64]


class Pool(Generic[P]):
    """Which page and row each key has. `make` creates a page of `rows` rows; `clear` makes a row of it as new."""

    def __init__(self, rows: int, make: Callable[[], P], clear: Callable[[P, int], None]) -> None:
        self._rows_per_page = rows
        self._make = make
        self._clear = clear
        self._pages: list[P | None] = []
        self._free: list[list[int]] = []
        self._row: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._row)

    def __contains__(self, key: str) -> bool:
        return key in self._row

    def add(self, key: str) -> None:
        """Give `key` a row; one that it has stays as it is."""
        if key not in self._row:
            number = self._page_with_room()
            self._row[key] = number * self._rows_per_page + self._free[number].pop()

    def remove(self, key: str) -> None:
        """Take the row of `key` back. A page without keys is dropped."""
        row = self._row.pop(key, None)
        if row is None:
            return
        number, local = divmod(row, self._rows_per_page)
        self._free[number].append(local)
        if len(self._free[number]) == self._rows_per_page:
            self._pages[number] = None
        else:
            self._clear(self.page(number), local)

    def keys(self) -> list[str]:
        return list(self._row)

    def pages(self) -> Iterator[P]:
        """Every page that has keys."""
        return (page for page in self._pages if page is not None)

    def page(self, number: int) -> P:
        page = self._pages[number]
        assert page is not None
        return page

    def find(self, key: str) -> tuple[P, int]:
        """The page of `key` and its row there. Raises KeyError."""
        number, local = divmod(self._row[key], self._rows_per_page)
        return self.page(number), local

    def rows_of(self, keys: Sequence[str]) -> tuple[Integers, Integers]:
        """Rows of the keys that are kept, and their positions in `keys`."""
        found = np.fromiter((self._row.get(key, -1) for key in keys), np.int64, len(keys))
        where = np.flatnonzero(found >= 0)
        return found[where], where

    def by_page(self, rows: Integers) -> Iterator[tuple[P, Integers, Integers]]:
        """(page, rows within it, their positions in `rows`) for each page that has some of them."""
        order = np.argsort(rows, kind="stable")
        pages = rows[order] // self._rows_per_page
        for part in np.split(order, np.flatnonzero(np.diff(pages)) + 1):
            if len(part):
                yield self.page(int(rows[part[0]]) // self._rows_per_page), rows[part] % self._rows_per_page, part

    def _page_with_room(self) -> int:
        """Lowest page first, so that the highest ones empty as keys come and go."""
        for number, page in enumerate(self._pages):
            if page is not None and self._free[number]:
                return number
        free = list(range(self._rows_per_page - 1, -1, -1))
        for number, page in enumerate(self._pages):
            if page is None:
                self._pages[number], self._free[number] = self._make(), free
                return number
        self._pages.append(self._make())
        self._free.append(free)
        return len(self._pages) - 1
