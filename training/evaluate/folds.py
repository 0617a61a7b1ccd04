"""Which part of the record a model learns from, which it is calibrated on, and which it is judged by.

Two ways: later than what was seen (`by_time`, expanding windows), and on systems never seen (`by_system`). Times are
set for each system by itself, alike for all its series that were recorded at the same time: what one of them saw is no
news for the others. Split at its own last tenth, a series that ended early would be judged on days that a model shared
by all has learned from the series that went on, with every shock that they have in common. Between systems, and between
records of one system that lie apart, time says nothing.
"""

import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from training.data.load import Refused, Series
from training.data.windows import Windows, cut, cutoffs, fair_share
from training.models import Training
from training.task import Task

GOLDEN = (5**0.5 - 1) / 2
MOST_LEARNED, MOST_JUDGED = 60_000, 20_000
"""windows to learn from, and in each of the held-out and the tested part: with 29 kB each (steps of a minute) 2.9 GB"""


class FewerWindows(UserWarning):
    """There are more series than memory for the windows asked for; says how many each has instead."""


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of one series: windows are cut from `since` on, and their truth is over by `until`."""

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


def by_time(
    series: Iterable[Series], task: Task, folds: int = 3, test_share: float = 0.1, held_out_share: float = 0.1
) -> tuple[Fold, ...]:
    """Expanding windows: the last `folds` stretches of each system are tested, each after all that came before it.

    Shares are of all samples of the system's overlapping series together, and the held-out part lies just before the
    tested one: where series end at different times, the border is not where only those that last longest are left. A
    series that ended too early to be judged is learned from, its other parts are empty; one without room for a window
    in each part is no part of the fold. Both are named in `left_out`, with the rule. Raises ValueError where the shares
    leave nothing to train on, or no series is left.
    """
    if folds < 1 or min(test_share, held_out_share) <= 0 or folds * test_share + held_out_share >= 1:
        raise ValueError(
            f"{folds} folds of {test_share:g} and {held_out_share:g} held out: must leave a share to train on"
        )
    kept, refused = _on_step(series, task)
    found = []
    for fold in range(folds):
        later = test_share * (folds - 1 - fold)
        shares = (1.0, later + test_share + held_out_share, later + test_share, later)
        rows, left_out, judged = [], list(refused), 0
        for one, borders in zip(kept, _borders(kept, shares), strict=True):
            row = _parts(one, borders)
            rule = _rule(row, task)
            if rule and one.end < row[-1].until and _has_room(row[0], task):
                rule = "ended too early to be judged; it is learned from"
                rows.append(row)
            elif not rule:
                rows.append(row)
                judged += 1
            if rule:
                left_out.append(Refused(one.system, one.name, rule))
        name = f"time {fold + 1} of {folds}"
        if not judged:
            raise ValueError(f"fold {name!r}: no series has room for a window in each part: {_told(left_out)}")
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

    The last `held_out_share` of the others is held out. `folds` None: one system at a time; else the systems are
    dealt out, those with most series first. `group` says what counts as one system, where several files are of the
    same one. Raises ValueError below two systems, or where a fold has no series left.
    """
    if not (0 < test_share <= 1 and 0 < held_out_share < 1):
        raise ValueError(
            f"{test_share:g} tested and {held_out_share:g} held out: must be shares above 0, held out below 1"
        )
    kept, refused = _on_step(series, task)
    spans = _borders(kept, (1.0, 0.0))
    hands = _dealt([group(one) for one in kept], folds)
    found = []
    for hand in hands:
        learnt: list[tuple[Part, ...]] = []
        tested: list[tuple[Part, ...]] = []
        left_out = list(refused)
        for one, (start, end) in zip(kept, spans, strict=True):
            if group(one) in hand:
                row: tuple[Part, ...] = (Part(one, end - (end - start) * test_share, end),)
            else:
                row = _parts(one, (start, end - (end - start) * held_out_share, end))
            rule = _rule(row, task)
            if rule:
                left_out.append(Refused(one.system, one.name, rule))
            else:
                (tested if len(row) == 1 else learnt).append(row)
        name = f"without {', '.join(hand)}"
        if not (learnt and tested):
            raise ValueError(f"fold {name!r}: no series has room for a window in each part: {_told(left_out)}")
        train, held_out = zip(*learnt, strict=True)
        found.append(Fold(name, train, held_out, tuple(part for (part,) in tested), tuple(left_out)))
    return tuple(found)


def windows_of(parts: Iterable[Part], task: Task, count: int, most: int = MOST_JUDGED) -> Windows:
    """At most `count` windows of each part, in order, spread over the part and over the hours of the day.

    Where they would be more than `most` together, each part has equally many, as far as it has them; then it warns
    with FewerWindows.
    """
    found = []
    for part in parts:
        moments = cutoffs(part.series, len(part.series.values), task.horizon_steps, part.since, part.until)
        found.append((part.series, moments))
    there = [min(len(moments), count) for _, moments in found]
    share = fair_share(there, most)
    windows = cut([(series, _spread(moments, share)) for series, moments in found], task.grid, task.horizon_steps)
    if share < max(there, default=0):
        told = f"{len(windows)} windows, {share} of each series instead of {count}: more than {most} are not cut"
        warnings.warn(told, FewerWindows, stacklevel=2)
    return windows


def _spread(moments: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """One of each of `count` equal stretches, at another place in each.

    Equal distances would meet the same hours again and again where they are near a whole day. The places are the
    multiples of the golden ratio, modulo 1: they come near no cycle (Weyl, 1916).
    """
    if len(moments) <= count:
        return moments
    stretch = np.arange(count)
    return moments[((stretch + stretch * GOLDEN % 1) * len(moments) / count).astype(np.int64)]


def training_of(fold: Fold, task: Task, count: int, held_out_count: int, seed: int = 0) -> Training:
    """What a fit gets of a fold, with at most so many windows of each series, and MOST_LEARNED together."""
    train = windows_of(fold.train, task, count, MOST_LEARNED)
    held_out = windows_of(fold.held_out, task, held_out_count)
    return Training(task, fold.seen, train, held_out, seed)


def ended(series: Series, moment: float) -> Series:
    """The series with the bins that are over at `moment`."""
    bins = int(np.floor((moment - series.start) / series.step_seconds + 1e-6))
    return replace(series, values=series.values[: max(0, bins)])


def _parts(series: Series, borders: Sequence[float]) -> tuple[Part, ...]:
    """The stretches between the borders; each part's record ends where the part does."""
    return tuple(Part(ended(series, until), since, until) for since, until in pairwise(borders))


def _rule(parts: Sequence[Part], task: Task) -> str:
    """What keeps a series out of a fold, or nothing."""
    names = ("train", "held-out", "test") if len(parts) != 1 else ("test",)
    for name, part in zip(names, parts, strict=False):
        if not _has_room(part, task):
            return f"its {name} part has no room for a window of {task.horizon_steps} steps ahead"
    return ""


def _has_room(part: Part, task: Task) -> bool:
    return bool(len(cutoffs(part.series, 1, task.horizon_steps, part.since, part.until)))


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


def _dealt(systems: Sequence[str], folds: int | None) -> list[tuple[str, ...]]:
    """The systems of each fold's test."""
    by_size = sorted(set(systems), key=lambda name: (-systems.count(name), name))
    if len(by_size) < 2:
        raise ValueError(f"leaving systems out takes two of them; there is {', '.join(by_size) or 'none'}")
    hands = len(by_size) if folds is None else folds
    if not 2 <= hands <= len(by_size):
        raise ValueError(f"{folds} folds: must be between 2 and the {len(by_size)} systems")
    return [tuple(by_size[i::hands]) for i in range(hands)]


def _told(left_out: Sequence[Refused]) -> str:
    return "; ".join(map(str, left_out[:3])) or "there are none"
