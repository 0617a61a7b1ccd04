"""The protocol of a replay's policies: an answer to KEDA at each sync. Only the oracle looks ahead in its scenario."""

from typing import NamedTuple, Protocol


class Metric(NamedTuple):
    """One metric of the HPA: its value now (None where the trigger answers an error), and the target per replica."""

    value: float | None
    target: float


class PolicyAnswer(NamedTuple):
    """What KEDA is told at one sync: the metrics (the HPA follows the largest), and whether the workload is active.

    reasons: made to sentences by whoever wants to read them.
    """

    metrics: tuple[Metric, ...]
    active: bool
    reasons: tuple[object, ...] = ()


class ReplayPolicy(Protocol):
    """One way to scale. The same scenario gives the same answers."""

    name: str

    def answer(self, k: int, replicas: int) -> PolicyAnswer:
        """At tick `k`, when the Deployment has so many replicas. Asked once per tick, in order."""
        ...
