"""The protocol of a replay's policies: an answer to KEDA at each sync. Only the oracle looks ahead in its scenario."""

from typing import NamedTuple, Protocol


class Metric(NamedTuple):
    """One metric of the HPA: its value (None if the trigger answers an error) and the target per replica."""

    value: float | None
    target: float


class PolicyAnswer(NamedTuple):
    """The answer to KEDA at one sync: the metrics (the HPA follows the largest), and whether the workload is active.

    reasons: objects whose `str` is a sentence.
    """

    metrics: tuple[Metric, ...]
    active: bool
    reasons: tuple[object, ...] = ()


class ReplayPolicy(Protocol):
    """One way to scale. The same scenario gives the same answers."""

    name: str

    def answer(self, k: int, replicas: int) -> PolicyAnswer:
        """The answer at tick `k` with `replicas` in the Deployment. Called in the order of ticks."""
        ...
