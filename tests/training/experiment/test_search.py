"""Looking for better choices: bounded by time, never worse on held-out windows, and repeatable as far as it gets."""

import math
from collections.abc import Callable
from dataclasses import fields

import pytest
from optuna.distributions import FloatDistribution

from tests.training.evaluate.forecasts import TASK, series
from training.data.windows import cut, cutoffs
from training.experiment.search import SPACES, Choices, Space, best_of, search
from training.models import Training
from training.models.torch_model.core import TorchCore
from training.models.xgboost import Boosting, XgboostCore
from training.progress import Progress
from training.task import task_for


def no_core(task: object, choices: Choices) -> XgboostCore:
    raise AssertionError("the losses here are made up")


SPACE = Space({"x": FloatDistribution(-10, 10)}, {"x": 8.0}, no_core)


class Clock:
    """Seconds go by as they are told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def trials(
    seconds_each: float, minutes: float = 1.0, seed: int = 0, loss: Callable[[float], float] = lambda x: (x - 3) ** 2
) -> tuple[list[float], object]:
    """(what was tried, what was found)."""
    clock, tried = Clock(), []

    def loss_of(choices: Choices, progress: Progress) -> float:
        tried.append(choices["x"])
        clock.now += seconds_each
        return loss(choices["x"])

    return tried, best_of(SPACE, loss_of, seed, minutes, clock=clock)


def test_the_best_of_all_trials_is_found() -> None:
    """The recipe's own choice is tried first; what is found is the best tried, and much better than it."""
    tried, found = trials(seconds_each=2)
    assert len(tried) == found.trials == 30
    assert tried[0] == 8.0
    assert found.default_loss == 25
    assert found.loss == min((x - 3) ** 2 for x in tried) < 2
    assert (found.choices["x"] - 3) ** 2 == found.loss


def test_the_same_seed_tries_the_same() -> None:
    """Where as many trials fit in, a rerun finds the same."""
    assert trials(3, seed=5) == trials(3, seed=5)
    assert trials(3, seed=5) != trials(3, seed=6)


def test_a_trial_without_a_loss_counts_for_nothing() -> None:
    """A diverged fit is passed over; without any loss at all that is said."""
    _, found = trials(5, loss=lambda x: math.nan if x == 8.0 else abs(x))
    assert math.isnan(found.default_loss)
    assert math.isfinite(found.loss)
    with pytest.raises(ValueError, match="no trial had a loss"):
        trials(20, loss=lambda x: math.nan)


def test_a_long_trial_is_ended_when_the_time_is_over() -> None:
    """Its progress raises KeyboardInterrupt once; what it learned by then counts, and no other trial follows."""
    clock, ended = Clock(), []

    def loss_of(choices: Choices, progress: Progress) -> float:
        for _ in range(100):
            clock.now += 10
            try:
                progress("working", 0.0)
            except KeyboardInterrupt:
                ended.append(clock.now)
        return 1.0

    found = best_of(SPACE, loss_of, 0, minutes=1.0, clock=clock)
    assert ended == [60]
    assert found.trials == 1
    assert found.choices == {"x": 8.0}


def test_an_interrupt_ends_the_search_with_the_best_so_far() -> None:
    """Whoever watches may end it; the fit under way is told once, and counts."""
    told = []

    def watcher(doing: str, share: float) -> None:
        told.append(doing)
        if len(told) == 3:
            raise KeyboardInterrupt

    def loss_of(choices: Choices, progress: Progress) -> float:
        try:
            progress("working", 0.0)
        except KeyboardInterrupt:
            return 0.5
        return 1.0

    found = best_of(SPACE, loss_of, 0, minutes=1.0, progress=watcher, clock=Clock())
    assert (found.trials, found.loss) == (3, 0.5)
    assert told == ["search: trial 1", "search: trial 2, best 1", "search: trial 3, best 1"]


def test_a_trial_that_learned_nothing_by_the_end_counts_for_nothing() -> None:
    """Where the time is over the search ends with what it has; a person who ends it before that is obeyed."""
    clock = Clock()

    def loss_of(choices: Choices, progress: Progress) -> float:
        clock.now += 40
        progress("working", 0.0)
        return 1.0

    def watcher(doing: str, share: float) -> None:
        raise KeyboardInterrupt

    found = best_of(SPACE, loss_of, 0, minutes=1.0, clock=clock)
    assert (found.trials, found.loss) == (2, 1.0)
    with pytest.raises(ValueError, match="no trial had a loss on the held-out windows in time"):
        best_of(SPACE, loss_of, 0, minutes=0.5, clock=clock)
    with pytest.raises(KeyboardInterrupt):
        best_of(SPACE, loss_of, 0, minutes=10.0, progress=watcher, clock=clock)


@pytest.mark.parametrize("recipe", SPACES)
def test_the_defaults_of_a_space_are_the_recipe(recipe: str) -> None:
    """Each can be chosen, and gives the core that the recipe makes; another choice arrives in the core."""
    space = SPACES[recipe](1)
    assert space.defaults.keys() == space.distributions.keys()
    for name, distribution in space.distributions.items():
        assert distribution._contains(distribution.to_internal_repr(space.defaults[name])), name
    for name, other in {"learning_rate": 0.004, "width": 64, "dropout": 0.25, "depth": 4, "rounds": 70}.items():
        if name in space.defaults:
            core = space.core(TASK, {**space.defaults, name: other})
            assert settings_of(core)[name] == other
    settings = settings_of(space.core(TASK, space.defaults))
    assert {name: settings[name] for name in space.defaults} == space.defaults


def settings_of(core: object) -> dict[str, object]:
    if isinstance(core, TorchCore):
        parts = [core.recipe.built, core.recipe.fitting]
    else:
        assert isinstance(core, XgboostCore)
        assert isinstance(core._boosting, Boosting)
        parts = [core._boosting]
    return {field.name: getattr(part, field.name) for part in parts for field in fields(part)}


def test_a_search_over_real_windows() -> None:
    """Boosted trees on a small series: the found model learns from the same windows as the recipe would."""
    task = task_for(900)
    one = series("a", "x", days=9, step=900)
    days = [
        cutoffs(one, 40, task.horizon_steps, one.start + a * 86_400, one.start + b * 86_400)
        for a, b in ((7, 8), (8, 9))
    ]
    windows, held_out = (cut([(one, moments)], task.grid, task.horizon_steps) for moments in days)
    training = Training(task, (one,), windows, held_out)
    found = search("xgboost", training, minutes=0.01)
    assert found.loss <= found.default_loss
    assert found.make is not None
    model = found.make(task)
    assert model.name == "xgboost"
