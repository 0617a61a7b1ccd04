"""The readiness report: what a trigger lacks for a forecast, when it will be there, what happens meanwhile. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from scaler.series import HistoryFacts
from scaler.trigger import Mode, Trigger


@dataclass(frozen=True, slots=True)
class ReadinessReport:
    """Sentences for whoever wonders why there is no forecast yet. `missing` is empty once there is one."""

    missing: tuple[str, ...]
    when: str
    meanwhile: str
    covered_seconds: float
    needed_seconds: float
    wanted_seconds: float

    @property
    def ready(self) -> bool:
        return not self.missing


Explain: TypeAlias = Callable[[str], HistoryFacts | None]
"""trigger key → facts; None where another replica refreshes the trigger and this one only receives its outlooks"""


LASTING = ("FAILED_PRECONDITION", "INVALID_ARGUMENT")
"""gRPC statuses of what somebody must mend: it does not pass by itself"""


def readiness_report(trigger: Trigger, facts: HistoryFacts | None, status: str = "UNAVAILABLE") -> ReadinessReport:
    """The report for one trigger from the facts of the process that refreshes it, and the gRPC status of its answer."""
    if facts is None:
        return _elsewhere()
    missing = tuple(_missing(trigger, facts))
    return ReadinessReport(
        missing,
        _when(trigger, facts, status) if missing else "now",
        _meanwhile(facts, status) if missing else "",
        facts.covered_seconds,
        facts.needed_seconds,
        facts.wanted_seconds,
    )


def span(seconds: float) -> str:
    """A span of time in the two largest units that matter, as `3 h 20 min`."""
    whole = round(seconds)
    for size, unit, smaller_size, smaller in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // smaller_size
            return f"{whole // size} {unit} {rest} {smaller}" if rest else f"{whole // size} {unit}"
    return f"{whole} s"


def _elsewhere() -> ReadinessReport:
    missing = ("this process has not received an outlook: another replica refreshes the trigger",)
    when = "within a refresh interval, or when this replica takes over after the other one's lease has run out"
    return ReadinessReport(missing, when, "KEDA gets UNAVAILABLE from this replica", 0.0, 0.0, 0.0)


def _missing(trigger: Trigger, facts: HistoryFacts) -> list[str]:
    if trigger.mode is Mode.REACTIVE:
        return ["mode is reactive: no forecast is made for this trigger"]
    if facts.forecast_at is not None:
        return []
    missing = []
    if facts.observed_at is None:
        missing.append(f"no observation yet{_because(facts.error)}")
    if not facts.is_backfilled:
        missing.append(f"the past has not been fetched yet{_because(facts.backfill_error)}")
    if facts.covered_seconds < facts.needed_seconds:
        missing.append(
            f"{span(facts.covered_seconds)} of history are there, at least {span(facts.needed_seconds)} needed "
            f"by {facts.model}"
        )
    return missing or [f"the first forecast of {facts.model}"]


def _when(trigger: Trigger, facts: HistoryFacts, status: str) -> str:
    if trigger.mode is Mode.REACTIVE:
        return "when the trigger's mode is predictive or shadow"
    if status in LASTING:
        return "when the query, or the access to its server, is mended: this does not pass by itself"
    lacking = max(0.0, facts.needed_seconds - facts.covered_seconds)
    if facts.error or facts.backfill_error:
        return _after_recovery(facts, lacking)
    if not facts.is_backfilled:
        return "within seconds: the past is being fetched"
    if lacking:
        return f"in {span(lacking)}, if a sample arrives in every step: the source has no older ones"
    return "with the next refresh"


def _after_recovery(facts: HistoryFacts, lacking: float) -> str:
    asked = "it is asked at every refresh"
    if not lacking:
        return f"soon after the source answers again; {asked}"
    if facts.is_backfilled:
        return f"{span(lacking)} after the source answers again ({asked}): it has no older samples"
    return (
        f"soon after the source answers again ({asked}) if it has {span(lacking)} more of the past, else so much later"
    )


def _meanwhile(facts: HistoryFacts, status: str) -> str:
    if facts.observed_at is not None:
        return "the newest observation is answered, as a reactive trigger would"
    return (
        f"KEDA gets {status} with this reason: the workload is not scaled down, other triggers may scale it up, "
        "and the ScaledObject's fallback acts where it has one"
    )


def _because(why: str) -> str:
    return f": {why}" if why else ""
