"""How the workers of the backfill are shared by servers and their namespaces. Pure.

| per_server 8                                | workers          |
| all servers together                        | 64               |
| one server                                  | 8                |
| one namespace on it                         | 6                |
| one namespace on it, without an answer last | 1, until one comes |
"""

from collections import Counter
from typing import NamedTuple

from scaler.history.lanes import most_of

SERVERS = 8
"""as many can have all their workers at once: a server that hangs has an eighth of all"""

MOST_REMEMBERED = 10_000
"""owners without an answer; beyond this number all are forgotten, and found again"""


class Owner(NamedTuple):
    """Who wants history."""

    server: str
    namespace: str


class Workers:
    """Who has how many workers now."""

    def __init__(self, per_server: int) -> None:
        self._per_server = per_server
        self._servers: Counter[str] = Counter()
        self._owners: Counter[Owner] = Counter()
        self._unanswered: set[Owner] = set()

    def is_open(self, server: str) -> bool:
        """Whether there is a worker for this server."""
        return self._servers[server] < self._per_server and self._servers.total() < SERVERS * self._per_server

    def may_start(self, owner: Owner) -> bool:
        """Whether there is a worker for this namespace of this server."""
        most = 1 if owner in self._unanswered else most_of(self._per_server)
        return self.is_open(owner.server) and self._owners[owner] < most

    def start(self, owner: Owner) -> None:
        """One more worker is busy."""
        self._servers[owner.server] += 1
        self._owners[owner] += 1

    def end(self, owner: Owner, *, answered: bool) -> None:
        """A worker is free again; `answered`: whether the server answered, if only with a refusal."""
        self._servers -= Counter([owner.server])
        self._owners -= Counter([owner])
        self._unanswered.discard(owner)
        if not answered:
            self._unanswered.add(owner)
        if len(self._unanswered) > MOST_REMEMBERED:
            self._unanswered.clear()
