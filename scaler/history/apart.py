"""Queries that are asked alone for good, because an answer to several at once was unlike their own. Pure."""

import hashlib
from collections.abc import Mapping

APART_SECONDS = 7 * 86400.0
"""after which a query may be tried again: a proxy that dropped labels may be gone"""
MOST_APART = 20_000
"""beyond this number the oldest are forgotten, and found again"""


def digest(*parts: str) -> str:
    """What a query is remembered by: no query leaves the process in plain text."""
    return hashlib.sha256("\0".join(parts).encode(errors="replace")).hexdigest()[:32]


class Apart:
    """By digest, since when (seconds since the epoch). The checkpoint stores it, so that it outlives a restart."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}
        self._unsaved: set[str] = set()

    def __len__(self) -> int:
        return len(self._since)

    def holds(self, query: str, at: float) -> bool:
        """Whether the query with this digest is set apart at the moment `at`."""
        since = self._since.get(query)
        return since is not None and abs(at - since) < APART_SECONDS

    def add(self, query: str, at: float) -> None:
        """Set apart from now on."""
        self._since.pop(query, None)
        self._since[query] = at
        self._unsaved.add(query)
        self._bound()

    def load(self, stored: Mapping[str, float]) -> None:
        """Take over what was stored before a restart."""
        known = self._since
        self._since = dict(sorted(stored.items(), key=lambda pair: pair[1])) | known
        self._bound()

    def unsaved(self) -> dict[str, float]:
        """What has been added and not stored yet."""
        return {query: self._since[query] for query in self._unsaved}

    def saved(self, stored: Mapping[str, float]) -> None:
        """These are stored."""
        self._unsaved -= {query for query, since in stored.items() if self._since.get(query, since) == since}

    def lost(self) -> None:
        """Nothing is stored any more."""
        self._unsaved = set(self._since)

    def _bound(self) -> None:
        while len(self._since) > MOST_APART:
            oldest = next(iter(self._since))
            del self._since[oldest]
            self._unsaved.discard(oldest)
