"""Who answers KEDA's question at each sync of a replay. Each policy sees a world; only the oracle looks ahead in it."""

from typing import NamedTuple, Protocol


class Metric(NamedTuple):
    """One metric of the HPA: its value now (None where the trigger answers an error), and the target per replica."""

    value: float | None
    target: float


class Answer(NamedTuple):
    """What KEDA is told at one sync: the metrics (the HPA follows the largest), and whether the workload is active.

    reasons: made to sentences by whoever wants to read them.
    """

    metrics: tuple[Metric, ...]
    active: bool
    reasons: tuple[object, ...] = ()


class Policy(Protocol):
    """One way to scale. The same world gives the same answers."""

    name: str

    def answer(self, k: int, replicas: int) -> Answer:
        """At tick `k`, when the Deployment has so many replicas. Asked once per tick, in order."""
        ...
