"""Which policies run in a world, and running them: on several cores, each world's forecasts made once.

`Entry` names a policy and its settings; whoever runs it makes it anew in each world.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from joblib import Parallel, delayed

from scaler.plan.hpa import SYNC_SECONDS, milli
from scaler.trigger import Mode, PolicyName, Trigger
from training.models import Progress, silent
from training.replay.outlooks import Forecasts
from training.replay.policies import Policy
from training.replay.policies.averaged import Averaged
from training.replay.policies.headway import Headway, Outlooks, outlooks_of
from training.replay.policies.hourly import Hourly
from training.replay.policies.last_week import LastWeek
from training.replay.policies.offset import Offset
from training.replay.policies.oracle import Oracle
from training.replay.policies.phpa import Phpa
from training.replay.policies.reactive import Reactive
from training.replay.run import Run, replay
from training.replay.score import Price, Scores, score
from training.replay.world import Setting, World

REACTIVE_TARGETS = (1.3, 1.15, 1.05, 1.0, 0.95, 0.9, 0.85, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3)
"""of the capacity: from too tight to generous, and dense where most are: between far points a front is flattered"""
HEADWAY_FRONT = (
    *((0.51, 1.1), (0.75, 1.05), (0.75, 1.0), (0.9, 1.0), (0.95, 1.0), (0.99, 1.0)),
    *((0.99, 0.9), (0.99, 0.8), (0.99, 0.65)),
)
"""(quantile, threshold as a share of the capacity), from bold to cautious: first a higher quantile, then headroom"""
LONGEST_LEAD_SECONDS = 7200.0
HANDS = 2
"""of entries, for each core: those of a hand share what is made of the forecasts"""


class Entry(Protocol):
    """A policy to run."""

    @property
    def name(self) -> str: ...

    def made(self, world: World, outlooks: Outlooks, forecasts: Forecasts) -> Policy: ...


@dataclass(frozen=True, slots=True)
class ReactiveEntry:
    """KEDA's prometheus trigger at a target."""

    target: float
    name: str

    def made(self, world: World, outlooks: Outlooks, forecasts: Forecasts) -> Policy:
        policy = Reactive(world, self.target)
        policy.name = self.name
        return policy


@dataclass(frozen=True, slots=True)
class HeadwayEntry:
    """A trigger of Headway."""

    trigger: Trigger
    name: str

    def made(self, world: World, outlooks: Outlooks, forecasts: Forecasts) -> Policy:
        return Headway(world, outlooks, self.trigger, self.name)


@dataclass(frozen=True, slots=True)
class OracleEntry:
    """Perfect foresight."""

    name: str = "oracle"

    def made(self, world: World, outlooks: Outlooks, forecasts: Forecasts) -> Policy:
        return Oracle(world)


RIVALS: Mapping[str, Callable[[World, Forecasts], Policy]] = {
    "PHPA": lambda world, _: Phpa(world),
    "average": lambda world, forecasts: Averaged(world, forecasts, offset_seconds=lead_seconds(world.setting)),
    "one point ahead": lambda world, forecasts: Offset(world, forecasts, offset_seconds=lead_seconds(world.setting)),
    "hourly plan": lambda world, _: Hourly(world),
    "same time last week": lambda world, _: LastWeek(world),
}
"""what users might pick instead, at today's threshold; those that forecast are given our forecasts"""


@dataclass(frozen=True, slots=True)
class RivalEntry:
    """One of RIVALS."""

    name: str

    def made(self, world: World, outlooks: Outlooks, forecasts: Forecasts) -> Policy:
        policy = RIVALS[self.name](world, forecasts)
        policy.name = self.name
        return policy


@dataclass(frozen=True)
class Ran:
    """A policy's scores in a world, and what it did."""

    entry: Entry
    scores: Scores
    run: Run


def lead_seconds(setting: Setting) -> float:
    """The lead time to ask for: start-up, one sync of the HPA and one spare; see keda.md."""
    return min(LONGEST_LEAD_SECONDS, math.ceil(setting.start_up.usual + 2 * SYNC_SECONDS))


def trigger_of(setting: Setting, query: str, timezone: str, today: Trigger | None = None) -> Trigger:
    """Today's trigger with its type changed: nothing but the lead time, which the start-up decides, is set.

    today: whose server, tenant and the like are kept.
    """
    base = today or Trigger("replay", "replay", query, setting.threshold, server_address="", key="replay/replay/0")
    return replace(
        base,
        query=query,
        threshold=setting.threshold,
        activation_threshold=setting.keda.activation_threshold,
        lead_time_seconds=lead_seconds(setting),
        timezone=timezone,
        mode=Mode.PREDICTIVE,
    )


def reactive_front(setting: Setting) -> list[ReactiveEntry]:
    """Today's trigger at every target worth a look."""
    targets = {kept_of(setting.capacity * share): share for share in REACTIVE_TARGETS}
    return [ReactiveEntry(target, f"reactive at {share:.0%}") for target, share in targets.items() if target]


def headway_front(setting: Setting, default: Trigger) -> list[HeadwayEntry]:
    """The default trigger, from bold to cautious."""
    front = {(q, kept_of(setting.capacity * share)): share for q, share in HEADWAY_FRONT}
    return [
        HeadwayEntry(replace(default, quantile=q, threshold=threshold), f"headway q{q:g} at {share:.0%}")
        for (q, threshold), share in front.items()
        if threshold
    ]


def kept_of(threshold: float) -> float:
    """What is left of a threshold in thousandths, as KEDA has it."""
    return milli(threshold) / 1000


def neighbours(setting: Setting, trigger: Trigger) -> list[HeadwayEntry]:
    """The same caution with other policies and a longer lead time; a shorter one than pods take makes no sense."""
    longer = min(LONGEST_LEAD_SECONDS, 2 * trigger.lead_time_seconds)
    changed = [
        *(replace(trigger, policy=policy) for policy in PolicyName if policy is not trigger.policy),
        replace(trigger, lead_time_seconds=float(round(longer))),
    ]
    return [
        HeadwayEntry(one, f"headway q{one.quantile:g} {one.policy.value} {one.lead_time_seconds:g}s") for one in changed
    ]


def run_all(
    world: World,
    forecasts: Forecasts,
    entries: Sequence[Entry],
    price: Price,
    jobs: int = 1,
    progress: Progress = silent,
    doing: str = "replaying",
) -> list[Ran]:
    """Every entry in this world, in order; on so many cores (joblib: its other backends serve, too)."""
    count = HANDS * jobs if jobs > 1 else 1
    hands = [hand for first in range(count) if (hand := entries[first::count])]
    found: dict[int, Ran] = {}
    for ran in Parallel(n_jobs=jobs, return_as="generator_unordered")(
        delayed(_ran)(world, forecasts, hand, price, progress if jobs == 1 else silent) for hand in hands
    ):
        found |= {entries.index(one.entry): one for one in ran}
        progress(doing, len(found) / len(entries))
    return [found[place] for place in range(len(entries))]


def _ran(world: World, forecasts: Forecasts, entries: Sequence[Entry], price: Price, progress: Progress) -> list[Ran]:
    outlooks = outlooks_of(world, forecasts)
    found = []
    for done, entry in enumerate(entries):
        progress(f"replaying {entry.name}", done / len(entries))
        run = replay(world, entry.made(world, outlooks, forecasts))
        found.append(Ran(entry, score(world, run, price), run))
    return found
