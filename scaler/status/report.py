"""The readiness report: what a trigger needs for a forecast, when it will have it, what happens meanwhile. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeAlias

from scaler.series import HistoryFacts
from scaler.telemetry.redaction import redacted
from scaler.trigger import Mode, Trigger
from scaler.words.wording import span


@dataclass(frozen=True, slots=True)
class ReadinessReport:
    """Why there is no forecast yet, as sentences. `missing` is empty once there is one."""

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


MOST_GAPS = 20
"""gaps that one record lists"""

LASTING = ("FAILED_PRECONDITION", "INVALID_ARGUMENT")
"""gRPC statuses of errors that need a fix by a person"""


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


def _elsewhere() -> ReadinessReport:
    missing = ("another replica refreshes this trigger; its outlook has not arrived here yet",)
    when = "within one refresh interval, or when the other replica's lease expires and this one takes over"
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
        missing.append(f"the history has not been fetched yet{_because(facts.backfill_error)}")
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
        return "once the query or the access to its server is fixed; a retry alone does not help"
    lacking = max(0.0, facts.needed_seconds - facts.covered_seconds)
    if facts.error:
        return _after_recovery(facts, lacking)
    if facts.backfill_error:
        return _after_retry(facts, lacking)
    if not facts.is_backfilled:
        return "within seconds: the history is being fetched"
    if lacking:
        return f"in {span(lacking)}, if every step gets a sample; the source has no older samples"
    return "with the next refresh"


def _after_recovery(facts: HistoryFacts, lacking: float) -> str:
    asked = "Headway retries at every refresh"
    if not lacking:
        return f"soon after the source answers again; {asked}"
    if facts.is_backfilled:
        return f"{span(lacking)} after the source answers again ({asked}): it has no older samples"
    return f"soon after the source answers again ({asked}) if it has {span(lacking)} more of the past, else later"


def _after_retry(facts: HistoryFacts, lacking: float) -> str:
    """The source answers now, and refuses the past."""
    attempt = (
        "" if facts.retry_at is None else f" (the next is at {datetime.fromtimestamp(facts.retry_at, UTC):%H:%M} UTC)"
    )
    live = f"otherwise in {span(lacking)}, from live observations" if lacking else "otherwise with the next refresh"
    return f"after a successful attempt to fetch the history{attempt}; {live}"


def history_record(facts: HistoryFacts) -> dict[str, Any] | None:
    """What is missing of the past, and why; None where nothing is."""
    if not facts.gaps and not facts.backfill_error:
        return None
    return {
        "error": redacted(facts.backfill_error),
        "retry_at": facts.retry_at,
        "gaps": [{"first": gap.first, "last": gap.last, "why": redacted(gap.why)} for gap in facts.gaps[:MOST_GAPS]],
        "gap_count": len(facts.gaps),
    }


def _meanwhile(facts: HistoryFacts, status: str) -> str:
    if facts.observed_at is not None:
        return "KEDA gets the newest observation, as from a reactive trigger"
    return (
        f"KEDA gets {status} with this reason: the workload is not scaled down, other triggers may scale it up, "
        "and the ScaledObject's fallback acts where it has one"
    )


def _because(why: str) -> str:
    return f": {why}" if why else ""
