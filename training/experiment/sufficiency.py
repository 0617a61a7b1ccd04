"""Whether there is enough recorded demand to learn from and to judge, and the error if not.

The required amount follows from the code: it is the shortest record without a gap that can be split like the data, and
to which the naive models can be fitted, which all others are judged against.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from training.data.clean import Cleaned
from training.data.load import DAY_SECONDS, Loaded, Refused, Series
from training.errors import DataError, ModelError
from training.evaluate.folds import Fold, NoSeries, training_of
from training.models import Model, Training
from training.models.empirical import answerable
from training.models.naive import Persistence, SeasonalNaive
from training.task import Task

MOST_TOLD = 5
"""series in one message"""
LONGEST_DAYS = 3650
"""the most that a message requires"""


@dataclass(frozen=True, slots=True)
class Amount:
    """How a run splits series (raising NoSeries), how many windows of each it cuts, and how many systems it takes."""

    task: Task
    split: Callable[[Sequence[Series]], tuple[Fold, ...]]
    windows: int
    held_out: int
    systems: int = 1

    def needed_days(self) -> float:
        """The shortest sufficient record, single and without a gap, in tenths of a day."""
        tenths = 1
        while tenths < 10 * LONGEST_DAYS and not self._is_sufficient(tenths):
            tenths *= 2
        return bisect_left(range(tenths), True, lo=tenths // 2, key=self._is_sufficient) / 10

    def _is_sufficient(self, tenths: int) -> bool:
        step = self.task.grid.step_seconds
        values = np.float32(1.0) + np.arange(tenths * DAY_SECONDS // (10 * step), dtype=np.float32) % 2
        series = [Series(str(i), "", "", 0.0, step, values) for i in range(self.systems)]
        try:
            naive_models(training_of(self.split(series)[0], self.task, self.windows, self.held_out))
        except ModelError:
            return False
        return True


def split(loaded: Loaded, amount: Amount) -> tuple[Fold, ...]:
    """The folds. Raises DataError if one has no series left; it names the series, the rules and the required days."""
    try:
        return amount.split(loaded.series)
    except NoSeries as error:
        raise _nothing(error.left_out, loaded, amount) from None
    except ModelError as error:
        reasons = [f"nothing to train on: {error}", *map(str, loaded.refused[:MOST_TOLD])]
        raise DataError("; ".join(reasons)) from None


def naive_models(training: Training) -> list[Model]:
    """The fitted models that all others are judged against. Raises ModelError for too few windows.

    Naive models need no held-out windows, but most others do.
    """
    held_out = training.held_out
    known_N = answerable(training.task, held_out.past) & ~np.isnan(held_out.truth.demand_NH).all(axis=1)
    if not known_N.any():
        raise ModelError("no held-out window has both a history and a recorded future")
    models: list[Model] = [Persistence(), SeasonalNaive()]
    for model in models:
        model.fit(training)
    return models


def too_little(fold: Fold, cleaned: Sequence[Cleaned], why: str, loaded: Loaded, amount: Amount) -> DataError:
    """The error for naive models that cannot be fitted to a fold, with their reason."""
    masked = {one.name: one.report[0].words for one in cleaned if one.report and one.mask_S.all()}
    rule = f"every model is compared with one that repeats yesterday's demand: {why}"
    seen = [Refused(one.system, one.name, masked.get(f"{one.system}/{one.name}", rule)) for one in fold.seen]
    among = {(one.system, one.name) for one in seen}
    others = [one for one in fold.left_out if (one.system, one.name) not in among]
    return _nothing([*seen, *others], loaded, amount)


def _nothing(refused: Iterable[Refused], loaded: Loaded, amount: Amount) -> DataError:
    reasons = [*_with_history(refused, loaded.series, amount), *map(str, loaded.refused)]
    more = f"; and {len(reasons) - MOST_TOLD} more series" if len(reasons) > MOST_TOLD else ""
    return DataError(f"nothing to train on: {'; '.join(reasons[:MOST_TOLD])}{more}")


def _with_history(refused: Iterable[Refused], series: Sequence[Series], amount: Amount) -> list[str]:
    """Each with its rule; if the history is too short, with its length and the required one."""
    known = {(one.system, one.name): one.history_seconds / DAY_SECONDS for one in series}
    step, needed = amount.task.grid.step_seconds, amount.needed_days()
    reasons = []
    for one in refused:
        days = known.get((one.system, one.name), needed)
        short = f"has {int(days * 10 + 1e-6) / 10} days of history; {needed} days are needed at a step of {step} s: "
        reasons.append(f"{one.system}: series {one.name!r}: {short if days < needed else ''}{one.rule}")
    return reasons
