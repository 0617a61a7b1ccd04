"""How the requests to one server share its slots. Pure.

| slots 8               | a lane | one namespace in it |
| proven: fast so far   | 8      | 6                   |
| new: never answered   | 6      | 5                   |
| suspect: slow before  | 2      | 1                   |
| range: history        | 4      | 3                   |

All lanes but the first together have 6: two slots are always left to queries that have shown to be fast.
"""

from collections import Counter
from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple


class Lane(StrEnum):
    PROVEN = "proven"
    NEW = "new"
    SUSPECT = "suspect"
    RANGE = "range"


class Turn(NamedTuple):
    """Who wants a slot."""

    lane: Lane
    namespace: str


def most_of(slots: int) -> int:
    """All but a quarter, and at least one."""
    return max(1, slots - max(1, slots // 4))


def lane_slots(slots: int) -> Mapping[Lane, int]:
    """The most slots of each lane."""
    return {
        Lane.PROVEN: slots,
        Lane.NEW: most_of(slots),
        Lane.SUSPECT: max(1, slots // 4),
        Lane.RANGE: max(1, slots // 2),
    }


class Shares:
    """The slots of one server, and who has them."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._unproven = most_of(slots)
        self._of_lane = lane_slots(slots)
        self._of_namespace = {lane: most_of(most) for lane, most in self._of_lane.items()}
        self._lanes: Counter[Lane] = Counter()
        self._turns: Counter[Turn] = Counter()

    def is_open(self, lane: Lane) -> bool:
        """Whether there is a slot for this lane."""
        taken = self._lanes.total()
        unproven = taken - self._lanes[Lane.PROVEN]
        return (
            taken < self._slots
            and (lane is Lane.PROVEN or unproven < self._unproven)
            and self._lanes[lane] < self._of_lane[lane]
        )

    def may_take(self, turn: Turn) -> bool:
        """Whether there is a slot for this lane and namespace."""
        return self.is_open(turn.lane) and self._turns[turn] < self._of_namespace[turn.lane]

    def take(self, turn: Turn) -> None:
        """One more slot is taken."""
        self._lanes[turn.lane] += 1
        self._turns[turn] += 1

    def give_back(self, turn: Turn) -> None:
        """One slot is free again."""
        self._lanes[turn.lane] -= 1
        self._turns[turn] -= 1
        if not self._turns[turn]:
            del self._turns[turn]
