"""Which policies run in a scenario, and running them: on several cores, each scenario's forecasts made once.

`Entry` names a policy and its settings; whoever runs it makes it anew in each scenario.
"""

import gc
import math
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

from joblib import Parallel, delayed

from scaler.plan.hpa import SYNC_SECONDS, milli
from scaler.trigger import Mode, PolicyName, Trigger
from training.progress import Progress, no_progress
from training.replay.policies.averaged import Averaged
from training.replay.policies.headway import Headway, TickForecasts, tick_forecasts_of
from training.replay.policies.hourly import Hourly
from training.replay.policies.last_week import LastWeek
from training.replay.policies.offset import Offset
from training.replay.policies.oracle import Oracle
from training.replay.policies.phpa import Phpa
from training.replay.policies.reactive import Reactive
from training.replay.simulation.forecasts import Forecasts
from training.replay.simulation.loop import Run, replay
from training.replay.simulation.policy import ReplayPolicy
from training.replay.simulation.scenario import Scenario, Setting
from training.replay.verdict.score import Price, Scores, score

REACTIVE_TARGETS = (1.3, 1.15, 1.05, 1.0, 0.95, 0.9, 0.85, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3)
"""of the capacity: from too tight to generous, and dense where most are: between far points a front is flattered"""
HEADWAY_FRONT = (
    *((0.51, 1.1), (0.75, 1.05), (0.75, 1.0), (0.9, 1.0), (0.95, 1.0), (0.99, 1.0)),
    *((0.99, 0.9), (0.99, 0.8), (0.99, 0.65)),
)
"""(quantile, threshold as a share of the capacity), from bold to cautious: first a higher quantile, then headroom"""
LONGEST_LEAD_SECONDS = 7200.0


@dataclass(frozen=True)
class PolicyInputs:
    """What policies are made of."""

    scenario: Scenario
    forecasts: Forecasts

    @cached_property
    def tick_forecasts(self) -> TickForecasts:
        """Shared by all triggers of Headway; they take a while."""
        return tick_forecasts_of(self.scenario, self.forecasts)


class Entry(Protocol):
    """A policy to run."""

    @property
    def name(self) -> str: ...

    @property
    def does(self) -> Hashable:
        """Equal for those that do the same under different names, and are run once."""
        ...

    def made(self, inputs: PolicyInputs) -> ReplayPolicy: ...


@dataclass(frozen=True, slots=True)
class ReactiveEntry:
    """KEDA's prometheus trigger at a target."""

    target: float
    name: str

    @property
    def does(self) -> Hashable:
        return "reactive", self.target

    def made(self, inputs: PolicyInputs) -> ReplayPolicy:
        return Reactive(inputs.scenario, self.target)


@dataclass(frozen=True, slots=True)
class HeadwayEntry:
    """A trigger of Headway."""

    trigger: Trigger
    name: str

    @property
    def does(self) -> Hashable:
        return self.trigger

    def made(self, inputs: PolicyInputs) -> ReplayPolicy:
        return Headway(inputs.scenario, inputs.tick_forecasts, self.trigger)


@dataclass(frozen=True, slots=True)
class OracleEntry:
    """Perfect foresight."""

    name: str = "oracle"

    @property
    def does(self) -> Hashable:
        return "oracle"

    def made(self, inputs: PolicyInputs) -> ReplayPolicy:
        return Oracle(inputs.scenario)


RIVALS: Mapping[str, Callable[[Scenario, Forecasts], ReplayPolicy]] = {
    "PHPA": lambda scenario, _: Phpa(scenario),
    "average": lambda scenario, forecasts: Averaged(scenario, forecasts, offset_seconds=lead_seconds(scenario.setting)),
    "one point ahead": lambda scenario, forecasts: Offset(
        scenario, forecasts, offset_seconds=lead_seconds(scenario.setting)
    ),
    "hourly plan": lambda scenario, _: Hourly(scenario),
    "same time last week": lambda scenario, _: LastWeek(scenario),
}
"""what users might pick instead, at today's threshold; those that forecast are given our forecasts"""


@dataclass(frozen=True, slots=True)
class RivalEntry:
    """One of RIVALS."""

    name: str

    @property
    def does(self) -> Hashable:
        return "rival", self.name

    def made(self, inputs: PolicyInputs) -> ReplayPolicy:
        return RIVALS[self.name](inputs.scenario, inputs.forecasts)


@dataclass(frozen=True)
class Ran:
    """A policy's scores in a scenario, and what it did."""

    entry: Entry
    scores: Scores
    run: Run

    def by(self, entry: Entry) -> "Ran":
        """The same, of an entry that does the same."""
        return Ran(entry, replace(self.scores, policy=entry.name), replace(self.run, policy=entry.name))


def lead_seconds(setting: Setting) -> float:
    """The lead time to ask for: start-up, one sync of the HPA and one spare; see keda.md."""
    return min(LONGEST_LEAD_SECONDS, math.ceil(setting.start_up.usual + 2 * SYNC_SECONDS))


def trigger_of(setting: Setting, query: str, timezone: str, today: Trigger | None = None) -> Trigger:
    """Today's trigger with its type changed: nothing but the lead time, which the start-up decides, is set. Of one
    that is Headway's already, quantile and policy are not taken.

    today: whose server, tenant and the like are kept.
    """
    plain = Trigger("replay", "replay", query, setting.threshold, server_address="", key="replay/replay/0")
    return replace(
        today or plain,
        quantile=plain.quantile,
        policy=plain.policy,
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
    scenario: Scenario,
    forecasts: Forecasts,
    entries: Sequence[Entry],
    price: Price,
    jobs: int = 1,
    progress: Progress = no_progress,
    doing: str = "replaying",
) -> list[Ran]:
    """Every entry in this scenario, in order; on so many cores (joblib: its other backends serve, too)."""
    apart: dict[Hashable, Entry] = {}
    for entry in entries:
        apart.setdefault(entry.does, entry)
    found: dict[Hashable, Ran] = {}
    for ran in Parallel(n_jobs=jobs, return_as="generator_unordered")(
        delayed(all_in)(PolicyInputs(scenario, forecasts), batch, price, progress if jobs == 1 else no_progress)
        for batch in _batches(apart.values(), jobs)
    ):
        found |= {one.entry.does: one for one in ran}
        progress(doing, len(found) / len(apart))
    return [found[entry.does].by(entry) for entry in entries]


def _batches(entries: Iterable[Entry], count: int) -> Iterator[list[Entry]]:
    """The entries of each job: those that share `tick_forecasts`, which take a while to make, and then the others."""
    kinds: tuple[list[Entry], list[Entry]] = ([], [])
    for entry in entries:
        kinds[not isinstance(entry, HeadwayEntry)].append(entry)
    for kind in kinds:
        yield from (batch for first in range(count) if (batch := kind[first::count]))


def all_in(inputs: PolicyInputs, entries: Sequence[Entry], price: Price, progress: Progress) -> list[Ran]:
    """Every entry in turn, in this process."""
    found = []
    with _uncollected():
        for done, entry in enumerate(entries):
            progress(f"replaying {entry.name}", done / len(entries))
            run = replay(inputs.scenario, entry.made(inputs))
            found.append(Ran(entry, score(inputs.scenario, run, price), run))
    return found


@contextmanager
def _uncollected() -> Iterator[None]:
    """No search for cycles of garbage: a replay makes none, and its many answers would be searched again and again."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
