"""Splits of the record: which part a model learns from, which it is calibrated on, and which it is judged by.

Two ways: by time (`by_time`, expanding windows) and by system (`by_system`, systems that were not learned from).
Borders are set per system, alike for all its series that were recorded at the same time, because these share their
shocks. If a series that ended early were split at its own last tenth, it would be judged on days that a shared model
has learned from the other series. Systems, and records of one system that do not overlap, are independent.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from training.data.load import Refused, Series, moment_text
from training.data.windows import Windows, cut, cutoffs, ended, fair_share
from training.errors import ModelError
from training.evaluate.cases import Evaluation, Judging
from training.models import Training
from training.models.empirical import RECENT_STEPS
from training.task import Task

GOLDEN = (5**0.5 - 1) / 2
MOST_LEARNED, MOST_JUDGED = 60_000, 20_000
"""windows to learn from, and in each of the held-out and the tested part: with 29 kB each (steps of a minute) 2.9 GB"""

LEARNED = "; it is learned from"


class NoSeries(ModelError):
    """A fold with nothing to learn from, to hold out or to judge by; `left_out` has the reason of each series."""

    def __init__(self, fold: str, left_out: Sequence[Refused]) -> None:
        reasons = "; ".join(map(str, left_out[:3])) or "there are none"
        super().__init__(f"fold {fold!r}: no series can be learned from and judged: {reasons}")
        self.left_out = tuple(left_out)


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of one series: windows are cut from `since` on, and their truth ends by `until`."""

    series: Series
    since: float
    until: float


@dataclass(frozen=True, slots=True)
class Fold:
    """One split. `train` and `held_out` list the same series in the same order; in `by_time`, so does `test`.

    `left_out`: the series that are not judged, and why.
    """

    name: str
    train: tuple[Part, ...]
    held_out: tuple[Part, ...]
    test: tuple[Part, ...]
    left_out: tuple[Refused, ...] = ()

    @property
    def seen(self) -> tuple[Series, ...]:
        """All that a fit may see: each series up to the end of its held-out part."""
        return tuple(part.series for part in self.held_out)


@dataclass(frozen=True, slots=True)
class _Roles:
    """A series as judged and as learned from (train and held-out part), and why it cannot be."""

    series: Series
    tested: Part
    unjudged: str
    learnt: tuple[Part, ...]
    unlearnt: str


def by_time(
    series: Iterable[Series], task: Task, folds: int = 3, test_share: float = 0.1, held_out_share: float = 0.1
) -> tuple[Fold, ...]:
    """Expanding windows: the last `folds` stretches of each system are tested, each after all that came before it.

    Shares are of all samples of the system's overlapping series together, so that series that end at different times
    have a common border. The held-out part lies just before the tested one. A series that ended too early to be judged,
    or has no window to judge, is learned from, and its test part is empty. One without room for a window in each part,
    or without a window to learn from, is not in the fold. All are in `left_out`, with the rule. Raises ModelError if
    the shares leave nothing to train on, and NoSeries if nothing is left to learn from, to hold out or to judge.
    """
    if folds < 1 or min(test_share, held_out_share) <= 0 or folds * test_share + held_out_share >= 1:
        raise ModelError(
            f"{folds} folds of {test_share:g} and {held_out_share:g} held out: must leave a share to train on"
        )
    kept, refused = _on_step(series, task)
    found = []
    for fold in range(folds):
        later = test_share * (folds - 1 - fold)
        shares = (1.0, later + test_share + held_out_share, later + test_share, later)
        rows, left_out, judged = [], list(refused), 0
        for one, borders in zip(kept, _borders(kept, shares), strict=True):
            row, rule = _placed(_parts(one, borders), one.end, task)
            if row:
                rows.append(row)
            if rule:
                left_out.append(Refused(one.system, one.name, rule))
            else:
                judged += 1
        name = f"time {fold + 1} of {folds}"
        rules = [(row[1].series, _useless("held-out", row[1], task)) for row in rows]
        if not judged or all(rule for _, rule in rules):
            reasons = {(one.system, one.name): Refused(one.system, one.name, rule) for one, rule in rules if rule}
            reasons |= {(one.system, one.name): one for one in left_out}
            raise NoSeries(name, [replace(one, rule=one.rule.removesuffix(LEARNED)) for one in reasons.values()])
        train, held_out, test = zip(*rows, strict=True)
        found.append(Fold(name, train, held_out, test, tuple(left_out)))
    return tuple(found)


def by_system(
    series: Iterable[Series],
    task: Task,
    folds: int | None = None,
    test_share: float = 1.0,
    held_out_share: float = 0.2,
    group: Callable[[Series], str] = lambda one: one.system,
) -> tuple[Fold, ...]:
    """Systems left out: each fold tests some on the last `test_share` of their span, and learns from all others.

    The last `held_out_share` of the others is held out. `folds` None: one system at a time; else systems are
    distributed over the folds, those with most series first. `group` maps series to systems if several files are of the
    same one. A series that can be neither judged nor learned from does not count. Raises ModelError below two systems,
    and NoSeries if a fold has no series left.
    """
    if not (0 < test_share <= 1 and 0 < held_out_share < 1):
        raise ModelError(
            f"{test_share:g} tested and {held_out_share:g} held out: must be shares above 0, held out below 1"
        )
    kept, refused = _on_step(series, task)
    roles = []
    for one, (start, end) in zip(kept, _borders(kept, (1.0, 0.0)), strict=True):
        tested = Part(one, end - (end - start) * test_share, end)
        learnt = _parts(one, (start, end - (end - start) * held_out_share, end))
        unjudged = _useless("test", tested, task)
        unlearnt = _useless("train", learnt[0], task) or _useless("held-out", learnt[1], task)
        if unjudged and unlearnt:
            refused.append(Refused(one.system, one.name, unjudged))
        else:
            roles.append(_Roles(one, tested, unjudged, learnt, unlearnt))
    found = []
    for tested_systems in _systems_by_fold([group(role.series) for role in roles], folds, refused):
        tests, lessons, left_out = [], [], list(refused)
        for role in roles:
            judged = group(role.series) in tested_systems
            if rule := role.unjudged if judged else role.unlearnt:
                left_out.append(Refused(role.series.system, role.series.name, rule))
            elif judged:
                tests.append(role.tested)
            else:
                lessons.append(role.learnt)
        name = f"without {', '.join(tested_systems)}"
        if not (lessons and tests):
            raise NoSeries(name, left_out)
        train, held_out = zip(*lessons, strict=True)
        found.append(Fold(name, train, held_out, tuple(tests), tuple(left_out)))
    return tuple(found)


def windows_of(parts: Iterable[Part], task: Task, count: int, most: int = MOST_JUDGED) -> Windows:
    """At most `count` windows of each part, in order, spread over the part and over the hours of the day.

    If they would be more than `most` together, each part gets an equal share: see `limit_note`.
    """
    found = [(part.series, _cutoffs_of(part, task)) for part in parts]
    share = fair_share([min(len(moments), count) for _, moments in found], most)
    return cut([(series, _spread(moments, share)) for series, moments in found], task.grid, task.horizon_steps)


def limit_note(parts: Iterable[Part], task: Task, count: int, most: int = MOST_JUDGED) -> tuple[str, ...]:
    """A note if `windows_of` cuts fewer than `count` windows of a part because there are too many together."""
    available = [min(len(_cutoffs_of(part, task)), count) for part in parts]
    share = fair_share(available, most)
    if share >= max(available, default=0):
        return ()
    total = sum(min(one, share) for one in available)
    return (f"{total} windows, {share} of each series instead of {count}: more than {most} are not cut",)


def _cutoffs_of(part: Part, task: Task) -> NDArray[np.float64]:
    return cutoffs(part.series, len(part.series.values), task.horizon_steps, part.since, part.until)


def _spread(moments: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """One of each of `count` equal stretches, at another place in each.

    Equal distances near a whole day would always meet the same hours. The places are multiples of the golden ratio,
    modulo 1, which are near no cycle (Weyl, 1916).
    """
    if len(moments) <= count:
        return moments
    stretch = np.arange(count)
    return moments[((stretch + stretch * GOLDEN % 1) * len(moments) / count).astype(np.int64)]


def training_of(fold: Fold, task: Task, count: int, held_out_count: int, seed: int = 0) -> Training:
    """The training data of a fold: at most `count` windows of each series, and MOST_LEARNED together."""
    train = windows_of(fold.train, task, count, MOST_LEARNED)
    held_out = windows_of(fold.held_out, task, held_out_count)
    notes = (*limit_note(fold.train, task, count, MOST_LEARNED), *limit_note(fold.held_out, task, held_out_count))
    return Training(task, fold.seen, train, held_out, seed, notes)


def _parts(series: Series, borders: Sequence[float]) -> tuple[Part, ...]:
    """The stretches between the borders; each part's record ends where the part does."""
    return tuple(Part(ended(series, until), since, until) for since, until in pairwise(borders))


def _placed(row: tuple[Part, ...], end: float, task: Task) -> tuple[tuple[Part, ...], str]:
    """(train, held-out and test part of a series in a fold, empty if it is left out; why it is not judged)"""
    train, held_out, test = row
    if rule := _useless("train", train, task):
        return (), rule
    if rule := _too_short("held-out", held_out, task) or _too_short("test", test, task):
        return (row, f"ended too early to be judged{LEARNED}") if end < test.until else ((), rule)
    if rule := _useless("test", test, task):
        nothing = replace(test, series=ended(test.series, test.since))
        return (train, held_out, nothing), f"{rule}{LEARNED}"
    return row, ""


def _too_short(name: str, part: Part, task: Task) -> str:
    """Why no window fits into a part; empty if one does."""
    if len(cutoffs(part.series, 1, task.horizon_steps, part.since, part.until)):
        return ""
    return f"its {name} part has no room for a window of {task.horizon_steps} steps ahead"


def _useless(name: str, part: Part, task: Task) -> str:
    """Why no window of a part can be learned from (train, held-out) or judged (test); empty if one can."""
    if rule := _too_short(name, part, task):
        return rule
    values, first = part.series.values, max(0, round((part.since - part.series.start) / part.series.step_seconds))
    lowest, highest = np.fmin.reduce(values[first:]), np.fmax.reduce(values[first:])
    which = f"its {name} part, {moment_text(part.since)} to {moment_text(part.until)},"
    if np.isnan(highest):
        return f"{which} is one gap"
    if highest == 0 and name != "held-out":
        return f"{which} is 0 throughout"
    if lowest == highest and name == "train":
        return f"{which} is constant: there is nothing to learn"
    decisive = task.peak_steps[Evaluation(task, Judging()).window] if name == "test" else 0
    if _usable(part, task, decisive).any():
        return ""
    after = f"each of the {decisive} steps" if decisive else f"the {task.horizon_steps} steps"
    return (
        f"{which} has {np.count_nonzero(~np.isnan(values[first:]))} of its {len(values) - first} values, and no window "
        f"with {task.minimum_history_steps} values and some demand in the {task.grid.steps} steps before it, a value "
        f"in the newest {RECENT_STEPS} of them, and one in {after} after it"
    )


def _usable(part: Part, task: Task, decisive: int) -> NDArray[np.bool_]:
    """Cutoffs at which the past can be answered and the truth is known: all of the `decisive` first steps, if any."""
    series, horizon = part.series, task.horizon_steps
    moments = cutoffs(series, len(series.values), horizon, part.since, part.until)
    at = np.rint((moments - series.start) / series.step_seconds).astype(np.int64)
    known, demand = _running(~np.isnan(series.values)), _running(series.values > 0)
    begin = np.maximum(at - task.grid.steps, 0)
    past = (known[at] - known[begin] >= task.minimum_history_steps) & (demand[at] > demand[begin])
    recent = known[at] > known[np.maximum(at - RECENT_STEPS, 0)]
    if decisive:
        truth = (known[at + decisive] - known[at] == decisive) & (demand[at + horizon] > demand[at])
    else:
        truth = known[at + horizon] > known[at]
    return np.asarray(past & recent & truth)


def _running(marks: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The number set before each place, and in total. [S + 1]"""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(marks)])


def _on_step(series: Iterable[Series], task: Task) -> tuple[list[Series], list[Refused]]:
    kept, refused = [], []
    for one in series:
        if one.step_seconds == task.grid.step_seconds:
            kept.append(one)
        else:
            rule = f"its step of {one.step_seconds} s is not the {task.grid.step_seconds} s of the task"
            refused.append(Refused(one.system, one.name, rule))
    return kept, refused


def _borders(series: Sequence[Series], shares: Sequence[float]) -> list[list[float]]:
    """For each series, the moments after which these shares of all samples of its episode lie."""
    borders: dict[int, list[float]] = {}
    for episode in _episodes(series):
        starts, ends = (np.array([getattr(series[place], edge) for place in episode]) for edge in ("start", "end"))
        moments = np.unique(np.concatenate([starts, ends]))
        after = np.array([np.clip(ends - moment, 0, ends - starts).sum() for moment in moments])
        found = np.interp(np.array(shares) * after[0], after[::-1], moments[::-1]).tolist()
        borders |= dict.fromkeys(episode, found)
    return [borders[place] for place in range(len(series))]


def _episodes(series: Sequence[Series]) -> list[list[int]]:
    """Places of the series that belong together: all of one system that overlap, one with the next."""
    episodes: list[list[int]] = []
    until = -np.inf
    for place in sorted(range(len(series)), key=lambda place: (series[place].system, series[place].start)):
        one = series[place]
        if episodes and series[episodes[-1][0]].system == one.system and one.start < until:
            episodes[-1].append(place)
            until = max(until, one.end)
        else:
            episodes.append([place])
            until = one.end
    return episodes


def _systems_by_fold(systems: Sequence[str], folds: int | None, refused: Sequence[Refused]) -> list[tuple[str, ...]]:
    """The systems of each fold's test."""
    by_size = sorted(set(systems), key=lambda name: (-systems.count(name), name))
    if len(by_size) < 2:
        reasons = "; ".join([f"there is {', '.join(by_size) or 'none'}", *map(str, refused[:3])])
        raise ModelError(f"leaving systems out needs at least two; {reasons}")
    count = len(by_size) if folds is None else folds
    if not 2 <= count <= len(by_size):
        raise ModelError(f"{folds} folds: must be between 2 and the {len(by_size)} systems")
    return [tuple(by_size[i::count]) for i in range(count)]
