"""Which requests a server is not sent for a while, because several in a row failed.

| failure                                                            | speaks against                             |
| no connection                                                      | the server, and with it every namespace    |
| no answer in time, a 5xx, an answer that cannot be read            | the namespace: its query may be the reason |
| a refusal; no answer in time while the namespace got other answers | nobody                                     |

Instant and range queries have circuits of their own: a backfill that fails stops no observation.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import TypeAlias

from circuitbreaker import CircuitBreaker

from scaler.errors import SourceRefused
from scaler.history.answers import NoConnection, TooSlow

EVERYBODY = ""
"""in the place of a namespace: the circuit of the server itself"""

MOST_REMEMBERED = 20_000
"""namespaces whose last answer is known"""


class Kind(StrEnum):
    INSTANT = "instant"
    RANGE = "range"


Key: TypeAlias = tuple[Kind, str]


class Circuits:
    """The circuits of one server, by kind of request and namespace. One without a failure is not kept."""

    def __init__(self, failures_to_open: int, open_seconds: float) -> None:
        self._failures_to_open = failures_to_open
        self._open_seconds = open_seconds
        self._circuits: dict[Key, CircuitBreaker] = {}
        self._reasons: dict[Key, str] = {}
        self._answered: dict[Key, float] = {}
        """when the last request of each was answered, by the monotonic clock"""

    def open_because(self, kind: Kind, namespace: str) -> str:
        """Why this namespace's requests of this kind are not sent now; empty where they are."""
        for key in ((kind, EVERYBODY), (kind, namespace)):
            circuit = self._circuits.get(key)
            if circuit is not None and circuit.opened:
                return self._reasons.get(key, "no answer")
        return ""

    def answered_since(self, kind: Kind, moment: float, namespace: str = EVERYBODY) -> bool:
        """Whether the namespace, or anybody, got an answer after `moment` (monotonic clock)."""
        return self._answered.get((kind, namespace), -1.0) > moment

    def is_down(self) -> bool:
        """Whether a circuit of instant queries is open, and nobody has got an answer for as long as it would be."""
        if self.answered_since(Kind.INSTANT, time.monotonic() - self._open_seconds):
            return False
        return any(kind is Kind.INSTANT and circuit.opened for (kind, _), circuit in self._circuits.items())

    @contextmanager
    def noted(self, kind: Kind, namespace: str) -> Iterator[None]:
        """One request. It is answered unless a DependencyError is raised in it."""
        keys = ((kind, EVERYBODY), (kind, namespace))
        try:
            with self._circuit(keys[0]), self._circuit(keys[1]):
                yield
            for key in keys:
                self._note_answer(key)
        finally:
            for key in keys:
                self._forget_without_failure(key)

    def _circuit(self, key: Key) -> CircuitBreaker:
        def counts(_: type[BaseException], error: BaseException) -> bool:
            if not self._speaks_against(key, error):
                return False
            self._circuits[key], self._reasons[key] = circuit, str(error)
            return True

        circuit = self._circuits.get(key)
        if circuit is None:
            circuit = self._circuits[key] = CircuitBreaker(
                failure_threshold=self._failures_to_open, recovery_timeout=self._open_seconds, expected_exception=counts
            )
        return circuit

    def _note_answer(self, key: Key) -> None:
        self._answered.pop(key, None)
        self._answered[key] = time.monotonic()
        if len(self._answered) > MOST_REMEMBERED:
            del self._answered[next(iter(self._answered))]

    def _forget_without_failure(self, key: Key) -> None:
        circuit = self._circuits.get(key)
        if circuit is not None and not circuit.failure_count:
            del self._circuits[key]
            self._reasons.pop(key, None)

    def _speaks_against(self, key: Key, error: BaseException) -> bool:
        kind, namespace = key
        if not isinstance(error, Exception) or isinstance(error, SourceRefused):
            return False
        if namespace == EVERYBODY:
            return isinstance(error, NoConnection)
        return not (isinstance(error, TooSlow) and self.answered_since(kind, error.started, namespace))
