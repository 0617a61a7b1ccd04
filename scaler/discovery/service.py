"""All namespaces of the settings, each with its own watch: a denied one does not disturb the others."""

from collections.abc import Iterator, Sequence

from scaler.clock import Clock
from scaler.discovery import Refusal, Scope
from scaler.discovery.api import ScopedApi, open_client
from scaler.discovery.known import KnownObjects
from scaler.discovery.place import ApiServer
from scaler.discovery.watch import ScopeWatch
from scaler.registry import Registry
from scaler.settings import Settings
from scaler.telemetry.metrics import Telemetry

FIRST_LIST_SECONDS = 10.0
"""for how long the readiness of the process waits for the first lists"""


class Discovery:
    """Keeps the registry to the annotated objects of the watched namespaces."""

    def __init__(
        self, settings: Settings, server: ApiServer, registry: Registry, clock: Clock, telemetry: Telemetry
    ) -> None:
        self._clock = clock
        self._client = open_client(server)
        self._known = KnownObjects(registry, telemetry, {(one.namespace, one.name) for one in settings.triggers})
        self._watches = [
            ScopeWatch(namespace, ScopedApi(self._client, server.url, namespace), self._known, clock, telemetry)
            for namespace in settings.discover_namespaces
        ]
        self._waits_until = clock.now() + FIRST_LIST_SECONDS

    def watches(self) -> Iterator[ScopeWatch]:
        """One per namespace; the caller keeps each running."""
        return iter(self._watches)

    async def close(self) -> None:
        """Close the connections, once the watches have ended."""
        await self._client.close()

    def is_waiting(self) -> bool:
        """Whether first lists are still expected. An API server that does not answer delays nothing for long."""
        left = self._waits_until - self._clock.now()  # more than all of it: the clock was set back
        return 0 < left <= FIRST_LIST_SECONDS and not all(watch.has_tried for watch in self._watches)

    def scopes(self) -> Sequence[Scope]:
        return [watch.state for watch in self._watches]

    def watched(self) -> int:
        return self._known.watched

    def refusal(self, namespace: str, name: str) -> Refusal | None:
        return self._known.refusal(namespace, name)

    def refused(self) -> int:
        return self._known.refused

    def refusals(self, most: int) -> Sequence[Refusal]:
        return self._known.refusals(most)
