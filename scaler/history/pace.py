"""How fast queries are answered, and so in which lane they wait. Pure: times are arguments.

new ── answered fast ──▶ proven ── slow, or no answer in time ──▶ suspect ── fast again, n times ──▶ proven

`n` doubles with every relapse. A suspect without an answer pauses, longer each time. A request that was slow because
the server is slow to all speaks against no query.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from scaler.history.lanes import Lane

SLOW_SECONDS = 2.0
"""an instant query usually takes milliseconds"""
SHORT_SECONDS = 0.25
"""in the lane of the proven ones, shorter requests go before longer ones"""
TIMES_USUAL = 4.0
"""slow is what takes so many times as long as the fastest namespace's requests usually take"""
NEWEST_COUNTS = 0.2
"""how much the newest request counts in what is usual"""
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 60.0
"""seconds until a suspect without an answer is asked again; twice as long each time"""
MOST_RELAPSES = 6
MOST_STRIKES = 3
MOST_QUERIES = 20_000
"""remembered of one namespace; beyond this number the oldest are new again"""
MOST_NAMESPACES = 10_000


@dataclass(slots=True)
class _Pace:
    seconds: float = 0.0
    """of its last fast answer"""
    fast_needed: int = 0
    """fast answers until it is proven"""
    relapses: int = 0
    strikes: int = 0
    """slow requests, and those without an answer, since the last fast one"""
    failures: int = 0
    """requests in a row without an answer in time"""
    not_before: float = 0.0

    @property
    def rank(self) -> int:
        if self.fast_needed:
            return min(max(0, self.strikes - 1), MOST_STRIKES)
        return int(self.seconds > SHORT_SECONDS)


@dataclass(slots=True)
class _Namespace:
    usual: float | None = None
    """seconds that a request usually takes"""
    queries: dict[str, _Pace] = field(default_factory=dict)

    def pace(self, query: str) -> _Pace:
        """What is known of a query, to be changed."""
        if query not in self.queries:
            if len(self.queries) >= MOST_QUERIES:
                del self.queries[next(iter(self.queries))]
            self.queries[query] = _Pace()
        return self.queries[query]


class Paces:
    """What is known of the queries of one server, by namespace and query."""

    def __init__(self) -> None:
        self._namespaces: dict[str, _Namespace] = {}

    def lane(self, namespace: str, queries: Iterable[str]) -> Lane:
        """Where a request with these queries waits."""
        known = self._of(namespace).queries
        lane = Lane.PROVEN
        for query in queries:
            pace = known.get(query)
            if pace is not None and pace.fast_needed:
                return Lane.SUSPECT
            if pace is None:
                lane = Lane.NEW
        return lane

    def rank(self, namespace: str, queries: Iterable[str]) -> int:
        """0 goes first in its lane: short requests before long ones, and who was slow once before who always is."""
        known = self._of(namespace).queries
        return max((known[query].rank for query in queries if query in known), default=0)

    def pause(self, namespace: str, query: str, now: float) -> float:
        """Seconds until a query may be asked again; 0 where it may be now."""
        pace = self._of(namespace).queries.get(query)
        return 0.0 if pace is None else max(0.0, pace.not_before - now)

    def note_answer(self, namespace: str, queries: Sequence[str], seconds: float) -> None:
        """A request with these queries was answered after `seconds`."""
        mine = self._of(namespace)
        mine.usual = seconds if mine.usual is None else mine.usual + NEWEST_COUNTS * (seconds - mine.usual)
        is_slow = seconds > SLOW_SECONDS and seconds > TIMES_USUAL * self._usual()
        for query in queries:
            if not is_slow:
                self._note_fast(mine, query, seconds)
            elif len(queries) > 1:  # one of them is slow: each is new again, and asked alone
                mine.queries.pop(query, None)
            else:
                self._suspect(mine, query)

    def note_silence(self, namespace: str, queries: Sequence[str], now: float) -> None:
        """There was no answer in time, while the server answered others."""
        mine = self._of(namespace)
        for query in queries:
            if len(queries) > 1:
                mine.queries.pop(query, None)
                continue
            pace = self._suspect(mine, query)
            pace.failures += 1
            pace.not_before = now + min(FIRST_PAUSE * 2.0 ** (pace.failures - 1), LONGEST_PAUSE)

    def _note_fast(self, mine: _Namespace, query: str, seconds: float) -> None:
        pace = mine.pace(query)
        pace.seconds = seconds
        if pace.fast_needed:
            pace.fast_needed -= 1
            pace.strikes, pace.failures, pace.not_before = 0, 0, 0.0

    def _suspect(self, mine: _Namespace, query: str) -> _Pace:
        pace = mine.pace(query)
        if not pace.fast_needed:
            pace.relapses = min(pace.relapses + 1, MOST_RELAPSES)
        pace.strikes += 1
        pace.fast_needed = 2 ** (pace.relapses - 1)
        return pace

    def _usual(self) -> float:
        """Of the fastest namespace: many slow queries of one make nobody's slowness usual."""
        return min((one.usual for one in self._namespaces.values() if one.usual is not None), default=0.0)

    def _of(self, namespace: str) -> _Namespace:
        mine = self._namespaces.get(namespace)
        if mine is None:
            if len(self._namespaces) >= MOST_NAMESPACES:
                del self._namespaces[next(iter(self._namespaces))]
            mine = self._namespaces[namespace] = _Namespace()
        return mine
