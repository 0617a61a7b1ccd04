"""Beside the plan, the counterfactual: the replicas that a reactive trigger with the same threshold would have. Pure.

Both are followed through the same arithmetic of the HPA, and their replicas are ready after the same start-up. What
the plan's HPA does is in the planner's memory already (hpa_estimate.py), so only the reactive one is followed here.

What a query shows now arrived some time ago, so a stretch of time waits here until its demand is known.
"""

from typing import NamedTuple

from scaler.plan.hpa import SYNC_SECONDS, Stamped
from scaler.plan.hpa_estimate import WINDOW_SYNCS, HpaEstimate, estimate_replicas, holding
from scaler.plan.rule import News
from scaler.savings import Ran, Stretch
from scaler.series import Observation

HPA = holding(next(iter(WINDOW_SYNCS.values())))
"""of the reactive trigger: the same as the one behind `Memory.replicas`"""
LATE_SECONDS = 30.0
"""from the end of a stretch until a query shows its demand: half of a window of a minute, and the age of a sample,
less the half sync that an HPA needs to read an answer"""
LEAD_BEYOND_START_UP = 2 * SYNC_SECONDS
"""of a lead time: what is left is the start-up; see docs/keda.md"""
WARM_UP_SECONDS = 300.0
"""until this long after a start nothing counts: only then do both HPAs remember what their window holds"""
FRESH_SECONDS = 60.0
"""an older observation says nothing about the demand of now; at least two refreshes"""
MISSED_REFRESHES = 4
"""after a longer interruption, both HPAs are followed anew"""


class Pods(NamedTuple):
    """The replicas of a workload from a moment on. starting: when, and how many, will be ready, the earliest first."""

    replicas: int
    starting: tuple[Stamped, ...] = ()
    changed: bool = False
    """whether there were others before"""

    def ran(self, begin: float, seconds: float) -> Ran:
        """What ran for so long. Pods that become ready meanwhile count for the time that is left."""
        ready = float(self.replicas)
        for at, count in self.starting:
            ready -= count * min(1.0, (at - begin) / seconds)
        return Ran(self.replicas, ready, self.changed)


class Followed(NamedTuple):
    """Both workloads as they must be at the moment `at`."""

    since: float
    at: float
    reactive: HpaEstimate
    plan_pods: Pods
    reactive_pods: Pods
    waiting: tuple[Stretch, ...] = ()
    """until their demand is known, the oldest first"""
    observed: float | None = None
    """at `at`"""


class Counted(NamedTuple):
    """A stretch whose demand is known."""

    stretch: Stretch
    demand: float


def follow(
    before: Followed | None, news: News, plan_replicas: int | None
) -> tuple[Followed | None, tuple[Counted, ...]]:
    """Both workloads after the news, and the stretches whose demand the news tell; without a fresh observation they
    count for nobody. plan_replicas: what the plan's HPA has by now; None while nothing is known."""
    now, observed = news.now, _fresh(news)
    if before is not None and abs(now - before.at) < 0.5 * SYNC_SECONDS:
        return before, ()
    if before is None or plan_replicas is None or _is_interrupted(before, news):
        return _begun(news, observed, plan_replicas), ()
    waiting, due = before.waiting, 0
    if before.at - before.since >= WARM_UP_SECONDS:
        waiting += (_stretch(before, now - before.at),)
    while due < len(waiting) and waiting[due].begin + waiting[due].seconds + LATE_SECONDS <= now:
        due += 1
    told = tuple(Counted(one, observed) for one in waiting[:due]) if observed is not None else ()
    return _after(before, news, observed, plan_replicas, waiting[due:]), told


def _after(
    before: Followed, news: News, observed: float | None, plan_replicas: int, waiting: tuple[Stretch, ...]
) -> Followed:
    now, trigger = news.now, news.trigger
    reactive = estimate_replicas(before.reactive, _read(before, observed), trigger.threshold, now, HPA)
    assert reactive is not None
    start_up = max(0.0, trigger.lead_time_seconds - LEAD_BEYOND_START_UP)
    plan_pods = moved(before.plan_pods, plan_replicas, now, start_up)
    reactive_pods = moved(before.reactive_pods, reactive.replicas, now, start_up)
    return Followed(before.since, now, reactive, plan_pods, reactive_pods, waiting, observed)


def _stretch(followed: Followed, seconds: float) -> Stretch:
    begin = followed.at
    return Stretch(begin, seconds, followed.plan_pods.ran(begin, seconds), followed.reactive_pods.ran(begin, seconds))


def moved(pods: Pods, replicas: int, now: float, start_up: float) -> Pods:
    """The pods after the HPA has asked for so many. New ones start; those that start go first, then ready ones."""
    more = replicas - pods.replicas
    if not (more or pods.starting):
        return pods if not pods.changed else Pods(replicas)
    starting = tuple(one for one in pods.starting if one.at > now)
    if more > 0 and start_up:
        starting += (Stamped(now + start_up, more),)
    while more < 0 and starting:
        *kept, (at, count) = starting
        starting = (*kept, Stamped(at, count + more)) if count + more > 0 else tuple(kept)
        more += count
    return Pods(replicas, starting, replicas != pods.replicas)


def _begun(news: News, observed: float | None, plan_replicas: int | None) -> Followed | None:
    reactive = estimate_replicas(None, observed, news.trigger.threshold, news.now, HPA)
    if reactive is None or plan_replicas is None:
        return None
    return Followed(news.now, news.now, reactive, Pods(plan_replicas), Pods(reactive.replicas), (), observed)


def _read(before: Followed, observed: float | None) -> float | None:
    """What a reactive trigger's HPA has read since: it syncs between two refreshes, and reads what was between them."""
    return observed if observed is None or before.observed is None else (before.observed + observed) / 2


def _is_interrupted(before: Followed, news: News) -> bool:
    """Whether nobody looked for a while, or the clock was set."""
    longest = MISSED_REFRESHES * max(news.refresh_seconds, SYNC_SECONDS)
    return not 0 <= news.now - before.at <= longest


def _fresh(news: News) -> float | None:
    seen: Observation | None = news.observation
    if seen is None or abs(news.now - seen.at) > max(FRESH_SECONDS, 2 * news.refresh_seconds):
        return None
    return seen.value
