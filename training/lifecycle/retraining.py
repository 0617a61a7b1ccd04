"""One retraining: reasons → history → models → gate → index. A run that was killed goes on with the next stage."""

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from scaler.errors import StoreUnavailable
from scaler.models import ALL, Champion, Kind, ModelDecision, ModelIndex, ModelRefused
from scaler.models.retrainings import MOST_READ, request_of
from scaler.scored import Owner
from training.data.pull import Wanted, pull
from training.data.without import Interval
from training.errors import DataError, reason_of
from training.experiment.train import Order, run
from training.lifecycle import lease, reasons
from training.lifecycle.gate import BOUNDS, Bounds, Measured, Verdict, judge
from training.lifecycle.lease import OpenIndex
from training.lifecycle.measuring import Trial, measured
from training.lifecycle.publishing import LONGEST_REASON, Release, folder_of, publish, refuse, serving
from training.lifecycle.replaying import Scaling
from training.lifecycle.work import FIGURES, Work, remembered, working_in
from training.progress import Progress, no_progress

T = TypeVar("T")

OLDEST_SECONDS = 2 * 86_400.0
"""of what a run that was killed has left: later, newer history is worth more"""
DATA = "demand.parquet"
BY = "retrain"


@dataclass(frozen=True, slots=True)
class WatchedTrigger:
    """One trigger to learn from. wanted.name: NAMESPACE/NAME. owner: whose live scores are its own."""

    wanted: Wanted
    scaling: Scaling
    owner: Owner


@dataclass(frozen=True, slots=True)
class Asked:
    """What a retraining is about. scope: whose champion it seeks; the model learns from all triggers that are given."""

    destination: str
    recipes: tuple[str, ...] = ("blend",)
    scope: str = ALL
    since_seconds: float = 28 * 86_400.0
    step_seconds: int = 60
    timezone: str = "UTC"
    name: str = ""
    """of the model; empty: its recipe's"""
    windows: int | None = None
    seed: int = 0
    force: bool = False
    promotes: bool = True
    probation_seconds: float = 86_400.0
    replay_days: float = 2.0
    most_replayed: int = 20
    rules: reasons.Rules = field(default_factory=reasons.Rules)
    bounds: Bounds = BOUNDS


@dataclass(frozen=True, slots=True)
class Around:
    """What a retraining works with. access: credentials of metric servers; said: told of every stage that is over."""

    open_index: OpenIndex
    folder: Path
    server: str = ""
    access: Sequence[Any] = ()
    jobs: int = 1
    progress: Progress = no_progress
    said: Callable[[str], None] = lambda text: None
    live_skill: Callable[[], Mapping[str, float]] = dict
    without: Callable[[], tuple[Interval, ...]] = tuple
    """stretches that the model does not learn from"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it. done: published, refused, or nothing (to do). left_out: triggers, and why."""

    done: str
    why: tuple[str, ...]
    model: str = ""
    triggers: tuple[str, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    verdict: Verdict | None = None
    champion: Champion | None = None


def retrain(asked: Asked, triggers: Sequence[WatchedTrigger], around: Around) -> Outcome:
    """Train, judge and publish. Every end is in the log of decisions, a failure as well.

    Raises LeaseTaken or FolderTaken while another process retrains, DataError where no trigger can be learned from,
    and RunFailed, PublishFailed, BundleInvalid or StoreUnavailable where a stage fails.
    """
    names = sorted(one.wanted.name for one in triggers)
    question = json.loads(json.dumps({**asdict(replace(asked, force=False)), "triggers": names}))
    now = time.time()
    with (
        working_in(around.folder, question, now, OLDEST_SECONDS) as work,
        lease.held(around.open_index, work.state.holder) as mine,
        asyncio.Runner() as runner,
    ):
        if work.resumes:
            around.said(f"going on after: {', '.join(work.state.stages)}")
        index = around.open_index()
        one = _Retraining(asked, triggers, around, work, mine, index, runner)
        try:
            outcome = one.carry_out()
        except Exception as error:  # whatever a library raises: every end is in the log
            if isinstance(error, ModelRefused):
                work.finish()  # its question is out of date: the next run asks anew
            with suppress(StoreUnavailable):
                runner.run(index.refuse(_entry(asked, Kind.RETRAINING_FAILED, reason_of(error))))
            raise
        finally:
            runner.run(index.close())
        return outcome


class _Retraining:
    """One run, or the rest of one."""

    def __init__(
        self,
        asked: Asked,
        triggers: Sequence[WatchedTrigger],
        around: Around,
        work: Work,
        mine: lease.Lease,
        index: ModelIndex,
        runner: asyncio.Runner,
    ) -> None:
        self.asked, self.triggers, self.around, self.work = asked, triggers, around, work
        self.lease, self.index, self.runner = mine, index, runner

    def carry_out(self) -> Outcome:
        why = self._stage("reasons", self._reasons)
        if not why:
            return self._ended(Outcome("nothing", ()), "nothing was due")
        self._stage("began", partial(self._began, why))
        self._stage("pulled", self._pulled, lambda found: f"pulled {found} of {len(self.triggers)} triggers")
        trained = self._stage("trained", self._trained, lambda found: f"trained {', '.join(found)}")
        best = self._best(trained)
        figures = self._stage("measured", partial(self._measured, best))
        verdict = judge(Measured.from_json(figures), self.asked.bounds)
        decided = self._stage("decided", partial(self._decided, best, verdict), lambda found: found["text"])
        champion = Champion(**decided["champion"]) if decided["champion"] else None
        left_out = self.work.state.left_out
        learned = tuple(one.wanted.name for one in self.triggers if one.wanted.name not in left_out)
        outcome = Outcome(decided["done"], tuple(why), decided["model"], learned, dict(left_out), verdict, champion)
        return self._ended(outcome, decided["text"])

    def _stage(self, name: str, work: Callable[[], T], words: Callable[[T], str] = lambda found: "") -> T:
        """What a stage finds; `words` tell of it when it was done now."""
        self.lease.check()
        is_new = name not in self.work.state.stages
        found: T = self.work.done(name, work)
        if is_new and (text := words(found)):
            self.around.said(text)
        return found

    def _progress(self, doing: str, share: float) -> None:
        self.lease.check()
        self.around.progress(doing, share)

    def _ended(self, outcome: Outcome, text: str) -> Outcome:
        figures = {"triggers": float(len(outcome.triggers)), "left_out": float(len(outcome.left_out))}
        reason = f"{text}; because: {'; '.join(outcome.why)}" if outcome.why else text
        entry = replace(_entry(self.asked, Kind.RETRAINED, reason), figures=figures)
        self._stage("ended", lambda: self.runner.run(self.index.refuse(entry)))
        self.work.finish()
        return outcome

    # stages

    def _reasons(self) -> list[str]:
        champion, version = self.runner.run(serving(self.index, self.asked.scope))
        present = reasons.Serving()
        if version is not None:
            learned = json.loads(version.notes.get("triggers", "[]"))
            skill = version.figures.get("loss_over_naive")
            present = reasons.Serving(version.model, version.published_at, frozenset(learned), skill)
        self.work.state.stages["champion"] = champion.model if champion else None
        names = [one.wanted.name for one in self.triggers]
        asked_for = self.asked.force or self._is_requested()
        return reasons.reasons(time.time(), present, names, self.around.live_skill(), asked_for, self.asked.rules)

    def _is_requested(self) -> bool:
        """Whether somebody has asked for a retraining since the last one began."""
        newest = self.runner.run(self.index.decisions(MOST_READ, scope=self.asked.scope))
        return request_of(newest, self.asked.scope) is not None

    def _began(self, why: Sequence[str]) -> None:
        self.runner.run(self.index.refuse(_entry(self.asked, Kind.RETRAINING_BEGAN, "; ".join(why))))

    def _pulled(self) -> int:
        if not self.triggers:
            raise DataError("no trigger is watched: nothing to learn from")
        step = self.asked.step_seconds
        until = self.work.state.until // step * step
        pulled = pull(
            triggers=[one.wanted for one in self.triggers],
            since=until - self.asked.since_seconds // step * step,
            until=until,
            target=self.work.folder / DATA,
            server=self.around.server,
            step_seconds=step,
            access=self.around.access,
            progress=self._progress,
        )
        self.work.state.left_out |= {one.name: one.rule for one in pulled.refused}
        if not pulled.series:
            raise DataError(f"no trigger has any history: {_few(self.work.state.left_out)}")
        return len(pulled.series)

    def _trained(self) -> dict[str, float]:
        """By recipe: its loss over that of the better naive model."""
        found = {}
        for recipe in self.asked.recipes:
            folder = self.work.folder / recipe
            order = Order(
                recipe,
                (self.work.folder / DATA,),
                folder,
                self.asked.step_seconds,
                self.asked.seed,
                self.asked.windows,
                self.around.jobs,
                self.asked.timezone,
                self.asked.name,
                without=self.around.without(),
            )
            outcome = run(order, self._progress)
            if outcome.interrupted:  # what is fitted so far is no model to publish
                raise KeyboardInterrupt
            refused = (*outcome.loaded.refused, *outcome.fold.left_out)
            self.work.state.left_out |= {one.name: one.rule for one in refused if "learned from" not in one.rule}
            found[recipe] = dict(outcome.comparison.summary.set_index("model")["median_ratio"])[outcome.model]
        return {name: float(ratio) for name, ratio in found.items()}

    def _best(self, trained: Mapping[str, float]) -> Path:
        return self.work.folder / min(trained, key=lambda recipe: trained[recipe])

    def _measured(self, folder: Path) -> dict[str, Any]:
        _, version = self.runner.run(serving(self.index, self.asked.scope))
        trial = Trial(
            challenger=folder,
            champion=folder_of(version, self.asked.destination, self.work.folder / "champion"),
            data=(self.work.folder / DATA,),
            timezone=self.asked.timezone,
            scalings={one.wanted.name: one.scaling for one in self.triggers},
            replay_days=self.asked.replay_days,
            most_replayed=self.asked.most_replayed,
            jobs=self.around.jobs,
        )
        return asdict(measured(trial, self._progress, partial(remembered, self.work.folder / FIGURES / folder.name)))

    def _decided(self, folder: Path, verdict: Verdict) -> dict[str, Any]:
        release = Release(
            folder,
            self.asked.destination,
            self.asked.scope,
            self.asked.promotes,
            self.asked.probation_seconds,
            BY,
            tuple(one.wanted.name for one in self.triggers),
        )
        model = verdict.measured.challenger
        if not verdict.passed:
            if not self._is_refused(model):
                self.runner.run(refuse(self.index, release, verdict))
            return {"done": "refused", "model": model, "text": f"refused {model}: {_words(verdict)}", "champion": None}
        if self._is_rolled_back(model):
            text = f"published {model}; it was rolled back meanwhile, so it is not promoted"
            return {"done": "published", "model": model, "text": text, "champion": None}
        expected = self.work.state.stages["champion"]
        released = self.runner.run(publish(self.index, release, verdict, expected))
        text = f"published {model}" + (", now on probation" if released.champion else "")
        champion = asdict(released.champion) if released.champion else None
        return {"done": "published", "model": model, "text": text, "champion": champion}

    def _is_refused(self, model: str) -> bool:
        """Whether this run has said so before it was killed."""
        newest = self.runner.run(self.index.decisions(10, model=model))
        return any(one.kind is Kind.REFUSED and one.at >= self.work.state.began for one in newest)

    def _is_rolled_back(self, model: str) -> bool:
        """Whether this run has promoted it before it was killed, and somebody has rolled it back since then."""
        newest = self.runner.run(self.index.decisions(10, model=model))
        return any(
            one.kind is Kind.ROLLED_BACK and one.previous == model and one.at >= self.work.state.began for one in newest
        )


def record_failure(open_index: OpenIndex, asked: Asked, reason: str) -> None:
    """An entry of the log of decisions for a retraining that could not begin."""

    async def record() -> None:
        index = open_index()
        try:
            await index.refuse(_entry(asked, Kind.RETRAINING_FAILED, reason))
        finally:
            await index.close()

    with suppress(StoreUnavailable):
        asyncio.run(record())


def _entry(asked: Asked, kind: Kind, reason: str) -> ModelDecision:
    return ModelDecision(time.time(), kind, "", BY, reason[:LONGEST_REASON], asked.scope)


def _words(verdict: Verdict) -> str:
    return "; ".join(verdict.reasons)


def _few(left_out: Mapping[str, str]) -> str:
    return "; ".join(f"{name}: {why}" for name, why in list(left_out.items())[:5])
