"""The policies to run in a scenario, and running them on several cores with shared forecasts.

`Entry` is a policy with its settings; it makes a new policy for each scenario.
"""

import gc
from collections.abc import Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Protocol

from joblib import Parallel, delayed

from scaler.plan.hpa import milli
from scaler.trigger import PolicyName, Trigger
from training.progress import Progress, no_progress
from training.replay.policies import registry
from training.replay.policies.headway import LONGEST_LEAD_SECONDS, Headway
from training.replay.policies.reactive import Reactive
from training.replay.policies.registry import PolicyInputs
from training.replay.simulation.forecasts import Forecasts
from training.replay.simulation.loop import Run, replay
from training.replay.simulation.policy import ReplayPolicy
from training.replay.simulation.scenario import Scenario, Setting
from training.replay.verdict.score import Price, Scores, score

REACTIVE_TARGETS = tuple(percent / 100 for percent in (*range(150, 110, -10), *range(110, 60, -2), *range(60, 15, -4)))
"""of the capacity: from too tight to generous, and dense where most are: interpolation flatters a sparse front"""
HEADWAY_FRONT = (
    *((0.51, 1.3), (0.51, 1.2), (0.51, 1.1), (0.75, 1.05), (0.75, 1.0), (0.9, 1.0), (0.95, 1.0), (0.99, 1.0)),
    *((0.99, 0.9), (0.99, 0.8), (0.99, 0.65), (0.99, 0.5), (0.99, 0.4), (0.99, 0.3), (0.99, 0.2)),
)
"""(quantile, threshold as a share of the capacity), from bold to cautious: first higher quantiles, then headroom.

0.99 is the highest quantile that forecasts have; plans are not extrapolated beyond it."""


class Entry(Protocol):
    """A policy to run."""

    @property
    def name(self) -> str: ...

    @property
    def does(self) -> Hashable:
        """Equal for entries that behave alike under different names; these run once."""
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
        return registry.POLICIES["oracle"](inputs)


@dataclass(frozen=True, slots=True)
class RivalEntry:
    """A policy of the registry as it is."""

    name: str

    @property
    def does(self) -> Hashable:
        return "rival", self.name

    def made(self, inputs: PolicyInputs) -> ReplayPolicy:
        return registry.POLICIES[self.name](inputs)


@dataclass(frozen=True)
class Ran:
    """A policy's scores in a scenario, and what it did."""

    entry: Entry
    scores: Scores
    run: Run

    def by(self, entry: Entry) -> "Ran":
        """The same run under the name of an equal entry."""
        return Ran(entry, replace(self.scores, policy=entry.name), replace(self.run, policy=entry.name))


def reactive_front(setting: Setting) -> list[ReactiveEntry]:
    """Today's trigger at many targets."""
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
    """A threshold rounded to thousandths, as KEDA does."""
    return milli(threshold) / 1000


def neighbours(setting: Setting, trigger: Trigger) -> list[HeadwayEntry]:
    """The trigger with other policies, and with a longer lead time; a shorter one than pods need makes no sense."""
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
    """Every entry in this scenario, in order, on `jobs` cores (any joblib backend works)."""
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
    """The entries of each job: first those that share `tick_forecasts`, which are expensive, then the others."""
    kinds: tuple[list[Entry], list[Entry]] = ([], [])
    for entry in entries:
        kinds[not isinstance(entry, HeadwayEntry)].append(entry)
    for kind in kinds:
        yield from (batch for first in range(count) if (batch := kind[first::count]))


def all_in(inputs: PolicyInputs, entries: Sequence[Entry], price: Price, progress: Progress) -> list[Ran]:
    """Every entry one after the other, in this process."""
    found = []
    with _without_gc():
        for done, entry in enumerate(entries):
            progress(f"replaying {entry.name}", done / len(entries))
            run = replay(inputs.scenario, entry.made(inputs))
            found.append(Ran(entry, score(inputs.scenario, run, price), run))
    return found


@contextmanager
def _without_gc() -> Iterator[None]:
    """Without garbage collection: a replay makes no cycles, and its many objects would be searched repeatedly."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
