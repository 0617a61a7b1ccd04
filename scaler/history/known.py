"""What this process knows of one namespace's queries at one server: which of them may share a request. Pure.

new ── answered alone, then alike together ──▶ trusted, and joined with others
 │ ▲                                               │
 │ └─────── a joint request with it failed ────────┘
 └── MOST_UNLIKE times unlike ──▶ apart: asked alone, also after a restart
"""

from dataclasses import dataclass

from scaler.history.apart import Apart, digest
from scaler.history.queries import MOST_QUERIES
from scaler.trigger.promql import self_contained

MOST_UNLIKE = 3
"""a sample that arrives between two answers makes them unlike as well, but not three times"""
FIRST_PAUSE, LONGEST_PAUSE = 30.0, 3600.0
"""seconds before a query is tried again, four times as long after each failure"""
CALM_SECONDS = 3600.0
"""trusted for so long, a query's earlier failures no longer count"""
UNUSED_SECONDS = 900.0
"""a query that no trigger has asked for so long is forgotten"""


@dataclass(slots=True)
class _Known:
    seen_at: float
    joinable: bool
    """whether its text may stand inside another, and it is not set apart"""
    trusted_since: float | None = None
    failures: int = 0
    unlike: int = 0
    not_before: float = 0.0
    empty: bool = False


class KnownQueries:
    """By text. `where` is all that is not in the text: elsewhere the same text is another query."""

    def __init__(self, where: tuple[str, ...], apart: Apart) -> None:
        self.most_together = MOST_QUERIES
        """queries that a request may hold, as far as the server has shown"""
        self._where = where
        self._apart = apart
        self._known: dict[str, _Known] = {}
        self._swept_at = 0.0

    def __len__(self) -> int:
        return len(self._known)

    def meet(self, query: str, at: float) -> None:
        """A trigger asks this query at the moment `at`; to be called before all else here."""
        known = self._known.get(query)
        if known is None:
            apart = self._apart.holds(self._digest(query), at)
            self._known[query] = _Known(at, joinable=not apart and self_contained(query))
        else:
            known.seen_at = at

    def is_trusted(self, query: str) -> bool:
        """Whether it may be joined with others that are trusted."""
        return self._of(query).trusted_since is not None

    def may_be_tried(self, query: str, at: float) -> bool:
        """Whether it is new, and may be asked together with others to see whether it can be trusted."""
        known = self._of(query)
        return known.joinable and known.trusted_since is None and at >= known.not_before

    def trust(self, query: str, at: float) -> None:
        """It was answered alike, alone and together."""
        known = self._of(query)
        known.trusted_since, known.unlike = at, 0

    def distrust(self, query: str, at: float) -> None:
        """It failed, or a request with it: it is asked alone for a while."""
        known = self._of(query)
        if known.trusted_since is not None and at - known.trusted_since > CALM_SECONDS:
            known.failures = 0
        known.trusted_since = None
        known.not_before = at + min(FIRST_PAUSE * 4.0**known.failures, LONGEST_PAUSE)
        known.failures = min(known.failures + 1, 10)

    def unlike(self, query: str, at: float) -> None:
        """It was answered otherwise together than alone; after a few times it is set apart."""
        self.distrust(query, at)
        known = self._of(query)
        known.unlike += 1
        if known.unlike >= MOST_UNLIKE:
            known.joinable = False
            self._apart.add(self._digest(query), at)

    def note_answer(self, query: str, *, empty: bool) -> None:
        """It was answered, with something, or alone with nothing."""
        self._of(query).empty = empty

    def is_empty(self, query: str) -> bool:
        """Whether its last own answer was empty, and none since then held anything."""
        return self._of(query).empty

    def sweep(self, at: float) -> None:
        """Forget what nobody has asked for long, now and then."""
        if abs(at - self._swept_at) < UNUSED_SECONDS / 3:
            return
        self._swept_at = at
        self._known = {text: one for text, one in self._known.items() if abs(at - one.seen_at) < UNUSED_SECONDS}

    def _of(self, query: str) -> _Known:
        """What is known of it; nothing is kept of one that was forgotten while it was asked."""
        return self._known.get(query) or _Known(0.0, joinable=False)

    def _digest(self, query: str) -> str:
        return digest(*self._where, query)
