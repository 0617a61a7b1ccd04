"""An edge of demand that recurs on past days: numbers that travel between replicas, and a sentence."""

from datetime import date
from typing import NamedTuple

DAY_MINUTES = 1440
KINDS: tuple[tuple[str, str, frozenset[int]], ...] = (
    ("every day", "days", frozenset(range(7))),
    ("every weekday", "weekdays", frozenset(range(5))),
    ("every Saturday and Sunday", "Saturdays and Sundays", frozenset((5, 6))),
    *(
        (f"every {name}", f"{name}s", frozenset((day,)))
        for day, name in enumerate(("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"))
    ),
)
"""kinds of days, the broad ones first: as a sentence has all of them and most of them, and their days of the week"""
ONE_MOMENT_MINUTES = 1
"""between the earliest and the latest time of what is said to happen at one"""
FROM_NOTHING = 1000.0
"""times demand before an edge, from which on it was nothing"""
FEW = 3.0
"""times, below which one decimal matters"""
_EPOCH = date(1970, 1, 1).toordinal()


class Recurrence(NamedTuple):
    """Demand rises at this time of the local day, and did so on `came` of `known` days of a kind."""

    first: int
    """minute of the local day: the earliest in which it rose"""
    last: int
    """the latest one; above 1440 where that is past midnight"""
    kind: int
    """index in `KINDS`"""
    since: int
    """days from the epoch to the first local day of it that is known"""
    factor: float
    """demand after the edge over demand before"""
    came: int
    known: int
    """days of the kind since the first one"""

    @property
    def sentence(self) -> str:
        """For example `every weekday at 09:00 since 2 March (10 of 10), × 9`."""
        every, most, _ = KINDS[self.kind]
        days = every if self.came == self.known else f"on most {most}"
        since = date.fromordinal(_EPOCH + self.since)
        by = f"× {self.factor:.{1 if self.factor < FEW else 0}f}" if self.factor < FROM_NOTHING else "from nothing"
        return f"{days} {self._time} since {since.day} {since:%B} ({self.came} of {self.known}), {by}"

    @property
    def _time(self) -> str:
        if self.last - self.first <= ONE_MOMENT_MINUTES:
            return f"at {_clock(self.first)}"
        return f"between {_clock(self.first)} and {_clock(self.last)}"


LIMITS: dict[str, tuple[float, float]] = {
    "first": (0, DAY_MINUTES - 1),
    "last": (0, 2 * DAY_MINUTES),
    "kind": (0, len(KINDS) - 1),
    "since": (0, 1e6),
    "factor": (1, FROM_NOTHING),
    "came": (1, 100),
    "known": (1, 100),
}
"""of each field, as a record may have them"""


def _clock(minute: int) -> str:
    return f"{minute % DAY_MINUTES // 60:02}:{minute % 60:02}"
