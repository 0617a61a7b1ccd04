"""How much of a thing each namespace, and all together, may have. Counts only: no clock and no I/O.

A namespace has its own limit. The last tenth of the total is kept for namespaces that have few, so that several
greedy ones together cannot keep out the others (docs/decisions/0020-quotas.md).
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from scaler.errors import QuotaReached

FEW = 20
"""a namespace with fewer may have one more while anything at all is free"""
KEPT_FOR_FEW = 10
"""one in this many of the total is kept for them"""

UNLIMITED = 2**62


@dataclass(frozen=True, slots=True)
class Limits:
    """The total, and what one namespace may have of it."""

    total: int = UNLIMITED
    per_namespace: int = UNLIMITED


NO_LIMITS = Limits()


class Quota:
    """What is in use of one thing. `called`: its name in telemetry; the settings are `max-NAME` and
    `max-NAME-per-namespace`. `advice`: what a tenant who is refused can do."""

    def __init__(self, called: str, limits: Limits, advice: str) -> None:
        self.called = called
        self.limits = limits
        self._advice = advice
        self._used = 0
        self._by_namespace: Counter[str] = Counter()
        self._refused: Counter[str] = Counter({called: 0, self.own: 0})

    def of(self, namespace: str) -> int:
        """How many the namespace has."""
        return self._by_namespace[namespace]

    def has_room(self, namespace: str) -> bool:
        """Whether the namespace can have one more."""
        return self.of(namespace) < self.limits.per_namespace and self._used < self._total_for(namespace)

    def check(self, namespace: str) -> None:
        """Raises QuotaReached where the namespace cannot have one more."""
        if self.has_room(namespace):
            return
        own, limits = self.of(namespace), self.limits
        if own >= limits.per_namespace:
            raise self.reached(self.own, f"namespace {namespace} has {own} of {limits.per_namespace} {self.called}")
        kept = limits.total - self._total_for(namespace)
        more = f" (the last {kept} are for namespaces with fewer than {FEW})" if kept else ""
        raise self.reached(
            self.called, f"all namespaces together have {self._used} of {limits.total} {self.called}{more}"
        )

    def take(self, namespace: str) -> None:
        """The namespace has one more."""
        self._used += 1
        self._by_namespace[namespace] += 1

    def give_back(self, namespace: str) -> None:
        """The namespace has one less."""
        self._used -= 1
        self._by_namespace[namespace] -= 1
        if not self._by_namespace[namespace]:
            del self._by_namespace[namespace]

    def used(self) -> Mapping[tuple[str, ...], float]:
        """In use: of the total, and by the namespace that has most."""
        return {(self.called,): self._used, (self.own,): max(self._by_namespace.values(), default=0)}

    def limit(self) -> Mapping[tuple[str, ...], float]:
        """The limits by the names of the quotas."""
        return {(self.called,): self.limits.total, (self.own,): self.limits.per_namespace}

    def refused(self) -> Mapping[tuple[str, ...], float]:
        """How often each quota refused one more."""
        return {(name,): float(count) for name, count in self._refused.items()}

    def reached(self, quota: str, text: str) -> QuotaReached:
        """The error for one more that `quota` refuses; it is counted."""
        self._refused[quota] += 1
        return QuotaReached(
            f"the quota max-{quota} is reached: {text}. {self._advice}, or ask the operator of Headway to raise it"
        )

    @property
    def own(self) -> str:
        """The name of the quota per namespace."""
        return f"{self.called}-per-namespace"

    def _total_for(self, namespace: str) -> int:
        total = self.limits.total
        return total if self.of(namespace) < FEW else total - total // KEPT_FOR_FEW
