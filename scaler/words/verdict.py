"""Whether it was worth it, in one plain sentence. By the intervals, not by the figures alone. Pure."""

from dataclasses import dataclass

from scaler.words.compared import FEWEST_DAYS, Compared, Interval
from scaler.words.wording import lasted, minutes, percent, share

SAME_COST = 0.005
"""of the replica-hours: a smaller difference is none"""
SAME_SERVICE = 1e-6
"""of the demand"""
NOTHING_TO_GAIN = 1.0
"""minutes a week in which the reactive trigger was short"""


@dataclass(frozen=True, slots=True)
class Verdict:
    """worth: None where nothing can be said yet."""

    worth: bool | None
    sentence: str


def verdict_of(found: Compared) -> Verdict:
    """Worth it: less demand was unserved, or as little for fewer replica-hours, by the whole interval."""
    if not found.has_intervals:
        return Verdict(None, _too_early(found))
    serves, costs = _sign(found.unserved_share, SAME_SERVICE), _sign(found.replica_hours, SAME_COST)
    if serves < 0:
        return Verdict(True, f"In {lasted(found.known_days)} {_kept(found)}{_for_hours(found, costs)}.")
    if costs < 0 and serves == 0:
        would = "would have taken" if found.is_shadow else "took"
        fewer = f"{share(-found.replica_hours.value)} fewer replica-hours"
        return Verdict(
            True, f"In {lasted(found.known_days)} Headway {would} {fewer}, and served as much of the demand."
        )
    return Verdict(False, f"Not worth it: {_why_not(found, serves, costs)}.")


def _too_early(found: Compared) -> str:
    so_far = f"{_short(found)}, and {_hours(found)}"
    return (
        f"Too early to say: {lasted(found.known_days)} of demand, {FEWEST_DAYS:g} days are needed. "
        f"In the hours that are over, {so_far}."
    )


def _kept(found: Compared) -> str:
    """What was gained, in minutes where that is what was gained, else in demand."""
    would = "would have kept" if found.is_shadow else "kept"
    saved = -found.short_minutes.value
    if saved >= 1:
        return f"Headway {would} {minutes(saved)} from being short"
    return f"Headway {would} {share(-found.unserved_share.value)} of the demand from being unserved"


def _for_hours(found: Compared, costs: int) -> str:
    """What that took."""
    if costs == 0:
        return f", for about as many replica-hours ({percent(found.replica_hours.value, signed=True)} %)"
    if costs < 0:
        return f", and {share(-found.replica_hours.value)} of the replica-hours"
    extra, saved = found.plan.replica_hours - found.reactive.replica_hours, -found.short_minutes.value
    each = f": {extra / saved:.2g} replica-hours for each minute" if saved >= 1 else ""
    return f" for {share(found.replica_hours.value)} more replica-hours{each}"


def _why_not(found: Compared, serves: int, costs: int) -> str:
    head = f"in {lasted(found.known_days)} "
    if serves > 0:
        return f"{head}more demand was unserved with the plan, and {_hours(found)}"
    a_week = found.reactive.short_minutes * 7 / found.known_days
    if a_week < NOTHING_TO_GAIN:
        return f"{head}the reactive trigger was hardly ever short, and {_hours(found)}"
    tail = "" if costs > 0 else "; neither differs by more than chance"
    chance = ", which may be chance" if costs > 0 else ""
    return f"{head}{_short(found)}{chance}, and {_hours(found)}{tail}"


def _short(found: Compared) -> str:
    mine, theirs = minutes(found.plan.short_minutes), minutes(found.reactive.short_minutes)
    who = "the workload was" if found.name else "workloads were"
    return f"{who} short for {mine} with the plan and for {theirs} with the reactive trigger"


def _hours(found: Compared) -> str:
    change = found.replica_hours.value
    would = "would have taken" if found.is_shadow else "took"
    if abs(change) < SAME_COST:
        return f"the plan {would} as many replica-hours"
    return f"the plan {would} {share(abs(change))} {'more' if change > 0 else 'fewer'} replica-hours"


def _sign(difference: Interval, negligible: float) -> int:
    """-1 or 1 where the whole interval lies on one side of 0, else 0."""
    if difference.high is not None and difference.high < -negligible:
        return -1
    return 1 if difference.low is not None and difference.low > negligible else 0
