"""A queue whose owners take turns: one with 200 items delays another's single one by one item. Pure."""

import itertools
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

Owner = TypeVar("Owner", bound=Hashable)
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Place(Generic[Owner]):
    """Where an item waits."""

    rank: int
    owner: Owner
    number: int


class FairQueue(Generic[Owner, Item]):
    """Items wait in one line per owner. Within a rank owners take turns; a lower rank goes first."""

    def __init__(self) -> None:
        self._ranks: dict[int, OrderedDict[Owner, dict[int, Item]]] = {}
        self._numbers = itertools.count()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def put(self, owner: Owner, item: Item, rank: int = 0) -> Place[Owner]:
        """Wait at the end of the owner's line of this rank."""
        place = Place(rank, owner, next(self._numbers))
        self._ranks.setdefault(rank, OrderedDict()).setdefault(owner, {})[place.number] = item
        self._size += 1
        return place

    def take(self, may_start: Callable[[Owner], bool]) -> tuple[Owner, Item] | None:
        """The next item of an owner that may start one, and None where none may. Its owner's next turn comes last."""
        for rank in sorted(self._ranks):
            for owner in self._ranks[rank]:
                if may_start(owner):
                    return owner, self._first(rank, owner)
        return None

    def remove(self, place: Place[Owner]) -> None:
        """Leave the queue; nothing happens where the item has left it already."""
        line = self._ranks[place.rank].get(place.owner) if place.rank in self._ranks else None
        if line is None or line.pop(place.number, None) is None:
            return
        self._size -= 1
        if not line:
            self._forget(place.rank, place.owner)

    def waiting(self) -> Counter[Owner]:
        """How many items wait, by owner."""
        waiting: Counter[Owner] = Counter()
        for owners in self._ranks.values():
            for owner, line in owners.items():
                waiting[owner] += len(line)
        return waiting

    def _first(self, rank: int, owner: Owner) -> Item:
        line = self._ranks[rank][owner]
        item = line.pop(next(iter(line)))
        self._size -= 1
        if line:
            self._ranks[rank].move_to_end(owner)
        else:
            self._forget(rank, owner)
        return item

    def _forget(self, rank: int, owner: Owner) -> None:
        del self._ranks[rank][owner]
        if not self._ranks[rank]:
            del self._ranks[rank]
