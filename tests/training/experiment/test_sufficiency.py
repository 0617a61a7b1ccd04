"""How much recorded demand is needed: as much as the models take, found by trying."""

import numpy as np
import pytest

from training.data.load import Loaded, Series
from training.errors import DataError
from training.evaluate.folds import by_time, training_of
from training.experiment.sufficiency import Amount, naive_models, split
from training.task import Task, task_for


def recorded(days: float, task: Task, name: str = "shop") -> Series:
    step = task.grid.step_seconds
    values = np.random.default_rng(2).poisson(50, round(days * 86_400 / step)).astype(np.float32)
    return Series("site", name, "", 0.0, step, values)


def amount(task: Task, windows: int = 30) -> Amount:
    return Amount(task, lambda series: by_time(series, task, folds=1), windows, 30)


@pytest.mark.parametrize(("step", "windows"), [(300, 30), (300, 600), (900, 30), (3600, 30)])
def test_what_is_needed_is_enough_and_a_tenth_of_a_day_less_is_not(step: int, windows: int) -> None:
    """On every grid, with the windows asked for: the naive models can be fitted, and cannot."""
    task = task_for(step)
    asked = amount(task, windows)
    needed = asked.needed_days()
    (fold,) = asked.split([recorded(needed, task)])
    assert naive_models(training_of(fold, task, windows, 30))
    with pytest.raises(ValueError):
        naive_models(training_of(asked.split([recorded(needed - 0.1, task)])[0], task, windows, 30))


def test_history_is_what_is_known() -> None:
    """Gaps at the begin and the end are no history; who has enough of it is told the rule alone."""
    task = task_for(300)
    short, long = recorded(6, task, "short"), recorded(6, task, "long")
    short.values[: 5 * 288], long.values[4 * 288 : 6 * 288] = np.nan, np.nan
    with pytest.raises(DataError) as refused:
        split(Loaded((short, long), ()), amount(task))
    told = str(refused.value)
    short_of_it = "has 1.0 days of history; 1.7 days are needed at a step of 300 s: "
    assert f"site: series 'short': {short_of_it}its train part, " in told
    assert "site: series 'long': its test part, " in told


def test_few_are_named_and_the_others_counted() -> None:
    """One message holds five series at most."""
    task = task_for(300)
    with pytest.raises(DataError) as refused:
        split(Loaded(tuple(recorded(0.2, task, f"brief{i}") for i in range(8)), ()), amount(task))
    told = str(refused.value)
    assert [f"'brief{i}'" in told for i in range(8)] == [True] * 5 + [False] * 3
    assert told.endswith("; and 3 more series")


def test_without_anything_held_out_nothing_is_enough() -> None:
    """Most models stop by what is held out, so windows there without a truth are as bad as none."""
    task = task_for(300)
    training = training_of(by_time([recorded(6, task)], task, folds=1)[0], task, 30, 30)
    assert naive_models(training)
    training.held_out.truth.demand_NH[:] = np.nan
    with pytest.raises(ValueError, match="no held-out window has both a history and a recorded future"):
        naive_models(training)
