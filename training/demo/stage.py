"""What happens in the demo and when: the demand, the workload's trigger, and what is said when demand changes."""

from dataclasses import dataclass
from pathlib import Path

from scaler.history.traces import Trace
from training.demo.jobs import DAY_SECONDS, QUERY, checkout_requests
from training.lifecycle.replaying import Scaling

DAYS_LEARNED = 14
PROMOTED_AFTER, HALVES_AFTER, BATCHES_AFTER, ENDS_AFTER = 3600.0, 4500.0, 36_000.0, 50_400.0
"""seconds from the begin, by the clock of the demo"""
GOES_ON = 7200.0
"""that there is demand after the end"""
SCALING = Scaling(threshold=10.0, lead_seconds=90.0, query=QUERY)
METADATA = {
    "query": QUERY,
    "threshold": f"{SCALING.threshold:g}",
    "leadTime": f"{SCALING.lead_seconds:g}s",
    "maxStaleness": "30m",  # a busy machine falls behind a fast clock
}
HALVES = "demand changes: it halves, and again every two hours; to the model that looks like the announcement of a job"
BATCHES = "demand changes again: it builds up for an hour and drops, again and again"


@dataclass(frozen=True, slots=True)
class Stage:
    """Moments are seconds since the epoch, by the demo's clock. coming: changes of demand, and what to say then."""

    trace: Trace
    data_dir: Path
    bundles: Path
    begin: float
    promoted_from: float
    coming: tuple[tuple[float, str], ...]
    end: float
    speed: float


def staged(begin: float, folder: Path, speed: float) -> Stage:
    """The demo from `begin` on, with what it keeps in `folder`."""
    halves_from, batches_from, end = begin + HALVES_AFTER, begin + BATCHES_AFTER, begin + ENDS_AFTER
    return Stage(
        trace=checkout_requests(begin - DAYS_LEARNED * DAY_SECONDS, end + GOES_ON, halves_from, batches_from),
        data_dir=folder / "data",
        bundles=folder / "bundles",
        begin=begin,
        promoted_from=begin + PROMOTED_AFTER,
        coming=((halves_from, HALVES), (batches_from, BATCHES)),
        end=end,
        speed=speed,
    )
