"""Looking for better choices: bounded by time, never worse on held-out windows, and repeatable as far as it gets."""

import math
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest
from optuna.distributions import FloatDistribution

from tests.training.evaluate.forecasts import TASK, series
from training.data.windows import cut, cutoffs
from training.experiment.search import SPACES, Choices, Space, best_of, search
from training.models import Training
from training.models.prophet import Prophet
from training.models.torch_model.core import TorchCore
from training.models.xgboost import XgboostCore
from training.progress import Progress
from training.recipes import Effort
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


class Steps:
    """A second goes by with each look at it: how far a search gets depends on its work, not on the machine."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1
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


OTHERS = {
    "learning_rate": 0.004,
    "width": 64,
    "dropout": 0.25,
    "depth": 4,
    "rounds": 70,
    "mode": "additive",
    "growth": "linear",
    "seasonality_scale": 0.5,
    "country": "",
    "holiday_scale": 0.2,
}


@pytest.mark.parametrize("recipe", SPACES)
def test_the_defaults_of_a_space_are_the_recipe(recipe: str) -> None:
    """Each can be chosen, and gives the model that the recipe makes; another choice arrives in it."""
    space = SPACES[recipe](Effort(country="DE"))
    assert space.defaults.keys() == space.distributions.keys()
    for name, distribution in space.distributions.items():
        assert distribution._contains(distribution.to_internal_repr(space.defaults[name])), name
    for name, other in OTHERS.items():
        if name in space.defaults:
            assert settings_of(space, {**space.defaults, name: other})[name] == other
    settings = settings_of(space, space.defaults)
    assert {name: settings[name] for name in space.defaults} == space.defaults


def settings_of(space: Space, choices: Choices) -> dict[str, object]:
    """All settings of the core and of Prophet, by name."""
    parts: list[Any] = [space.prophet(choices)] if space.prophet else []
    core = space.core and space.core(TASK, choices)
    if isinstance(core, TorchCore):
        parts += [core.recipe.built, core.recipe.fitting]
    elif isinstance(core, XgboostCore):
        parts.append(core._boosting)
    return {field.name: getattr(part, field.name) for part in parts for field in fields(part)}


def test_holidays_are_searched_where_a_country_is_given() -> None:
    """With and without its holidays; without a country there is nothing to choose."""
    for recipe in ("prophet", "hybrid", "hybrid-lstm"):
        assert SPACES[recipe](Effort(country="DE")).distributions["country"].choices == ("DE", "")
        assert not {"country", "holiday_scale"} & SPACES[recipe](Effort()).distributions.keys()


def test_a_search_over_prophets() -> None:
    """Several are tried, the recipe's first; the model that is found has the choices of the best."""
    found = search("prophet", daily_training(days=9), minutes=0.25, clock=Steps())
    assert found.trials > 1
    assert 0 < found.loss <= found.default_loss
    assert found.make is not None
    model = found.make(task_for(900))
    assert isinstance(model, Prophet)
    assert {name: getattr(model._choices, name) for name in found.choices} == found.choices


def test_a_search_over_hybrids() -> None:
    """Prophet's choices and those of the trees are tried together; a trial that ends late counts."""
    found = search("hybrid", daily_training(days=14), minutes=0.5, clock=Steps())
    assert {"mode", "depth"} <= found.choices.keys()
    assert 0 < found.loss <= found.default_loss
    assert found.make is not None
    assert found.make(task_for(900)).name == "hybrid"


def test_a_search_over_real_windows() -> None:
    """Boosted trees on a small series: the found model learns from the same windows as the recipe would."""
    found = search("xgboost", daily_training(days=9), minutes=5, clock=Steps())
    assert found.loss <= found.default_loss
    assert found.make is not None
    model = found.make(task_for(900))
    assert model.name == "xgboost"


def daily_training(days: int) -> Training:
    """The last day is held out, the two before it, or seven of a longer record, are learned from."""
    task = task_for(900)
    one = series("a", "x", days=days, step=900)
    first = 7 if days < 14 else 5
    spans = ((first, days - 1), (days - 1, days))
    moments = [cutoffs(one, 40, task.horizon_steps, one.start + a * 86_400, one.start + b * 86_400) for a, b in spans]
    learned, held_out = (cut([(one, chosen)], task.grid, task.horizon_steps) for chosen in moments)
    return Training(task, (one,), learned, held_out)
