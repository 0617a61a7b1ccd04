"""Hyperparameters of the recipes, and the best of them within a budget of minutes.

Trials are judged by the loss on the held-out windows; the test windows are never used. The first trial is the recipe
itself, so that on the held-out windows a search never ends worse than that.

Learned models extract their features once, and trials are compared by the loss in the units of their targets. These
units depend on Prophet where there is one: its trials are compared by the loss of demand, and no Prophet has seen the
held-out windows.

Recipes with hyperparameters have an entry in `SPACES`.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from functools import partial
from math import inf, isfinite, nan
from typing import Any, TypeAlias

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from scaler.series import Floats
from training.errors import ModelError
from training.evaluate.importance import demand_loss
from training.features.extract import CoreInputs
from training.models import Model, Training, prophet_fit
from training.models.learned import Core, Learned
from training.progress import Progress, no_progress
from training.recipes import Effort
from training.task import Prediction, Task

Choices: TypeAlias = dict[str, Any]
LossOf: TypeAlias = Callable[[Choices, Progress], float]
ALONE = Effort()


@dataclass(frozen=True, slots=True)
class Space:
    """Hyperparameters by name, the recipe's defaults, and what is made from choices: a core, a Prophet, or both."""

    distributions: Mapping[str, BaseDistribution]
    defaults: Choices
    core: Callable[[Task, Choices], Core] | None = None
    prophet: Callable[[Choices], prophet_fit.Choices] | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """The best of all trials. Losses are those on the held-out windows."""

    choices: Choices
    loss: float
    default_loss: float
    """of the recipe's defaults; NaN if unknown"""
    trials: int
    make: Callable[[Task], Model] | None = None
    """a model with these choices"""

    @property
    def record(self) -> dict[str, object]:
        """For the record of a run."""
        return {
            "choices": self.choices,
            "held_out_loss": self.loss,
            "default_held_out_loss": self.default_loss,
            "trials": self.trials,
        }


def search(
    recipe: str,
    training: Training,
    minutes: float,
    effort: Effort = ALONE,
    progress: Progress = no_progress,
    clock: Callable[[], float] = time.monotonic,
) -> Found:
    """The best choices found within `minutes`, the recipe's defaults included.

    The trial that runs at the end of the time is stopped early and counts with what it has learned. An interrupt ends
    the search in the same way. The number of trials depends on the machine, so a rerun may find other choices.
    """
    space = SPACES[recipe](effort)
    make = partial(_made, recipe, space, effort)
    loss_of = _by_demand(training, make) if space.prophet else _by_core(space, training, effort, progress)
    found = best_of(space, loss_of, training.seed, minutes, progress, clock)
    return replace(found, make=lambda task: make(task, found.choices))


def _made(recipe: str, space: Space, effort: Effort, task: Task, choices: Choices) -> Model:
    core = space.core and space.core(task, choices)
    if space.prophet is None:
        assert core is not None
        return Learned(core, task, effort.threads)
    from training.models.hybrid import Hybrid
    from training.models.prophet import Prophet

    fit = space.prophet(choices)
    if core is None:
        return Prophet(fit, jobs=effort.threads)
    return Hybrid(core, task, fit, effort.threads, effort.threads, name=recipe)


def _by_core(space: Space, training: Training, effort: Effort, progress: Progress) -> LossOf:
    caught = _Caught()
    Learned(caught, training.task, effort.threads).fit(training, progress)

    def loss_of(choices: Choices, progress: Progress) -> float:
        assert space.core is not None
        return caught.loss_of(space.core(training.task, choices), progress)

    return loss_of


def _by_demand(training: Training, make: Callable[[Task, Choices], Any]) -> LossOf:
    def loss_of(choices: Choices, progress: Progress) -> float:
        said: Prediction = make(training.task, choices).predict_held_out(training, progress)
        return demand_loss(training.task, training.held_out, said)

    return loss_of


def best_of(
    space: Space,
    loss_of: LossOf,
    seed: int,
    minutes: float,
    progress: Progress = no_progress,
    clock: Callable[[], float] = time.monotonic,
) -> Found:
    """Trials until the time is over, the defaults first (optuna's TPE sampler: Bergstra et al. 2011).

    When the time is over, the progress of `loss_of` raises KeyboardInterrupt once; `loss_of` may raise it too if it has
    learned nothing by then. Raises ModelError if no trial had a finite loss, KeyboardInterrupt if the user ended the
    search before that.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    study.enqueue_trial(space.defaults)
    watch = _Deadline(progress, clock() + 60 * minutes, 60 * minutes, clock)
    while not (watch.over or (study.trials and clock() >= watch.deadline)):
        trial = study.ask(dict(space.distributions))
        watch.doing = f"search: trial {trial.number + 1}" + (f", best {_best(study):.4g}" if trial.number else "")
        try:
            loss = loss_of(dict(trial.params), watch)
        except KeyboardInterrupt:
            if not watch.over or not (watch.late or isfinite(_best(study))):
                raise
            loss = nan
        known = isfinite(loss)
        study.tell(trial, loss if known else None, None if known else optuna.trial.TrialState.FAIL)
    if not isfinite(_best(study)):
        raise ModelError("the search found nothing: no trial had a loss on the held-out windows in time")
    default = study.trials[0].value
    return Found(dict(study.best_params), _best(study), nan if default is None else default, len(study.trials))


def _best(study: optuna.Study) -> float:
    return min((trial.value for trial in study.trials if trial.value is not None), default=inf)


@dataclass(slots=True)
class _Deadline:
    """Progress of a trial as the elapsed share of the time; interrupts the fit once, at the end of the time."""

    progress: Progress
    deadline: float
    seconds: float
    clock: Callable[[], float]
    doing: str = ""
    over: bool = False
    """the fit was interrupted"""
    late: bool = False
    """because the time is over"""

    def __call__(self, doing: str, share: float) -> None:
        if self.over:
            return
        left = self.deadline - self.clock()
        try:
            self.progress(self.doing, min(1.0, 1 - left / self.seconds))
        except KeyboardInterrupt:
            self.over = True
            raise
        if left <= 0:
            self.over = self.late = True
            raise KeyboardInterrupt


class _Caught:
    """A core that only stores its training data, for other cores to fit to."""

    name = "search"

    def fit(
        self,
        seen: CoreInputs,
        target_NK: Floats,
        held_out: CoreInputs,
        held_out_target_NK: Floats,
        levels: tuple[float, ...],
        seed: int,
        progress: Progress,
    ) -> Mapping[str, float]:
        self._arguments = (seen, target_NK, held_out, held_out_target_NK, levels, seed)
        return {}

    def loss_of(self, core: Core, progress: Progress) -> float:
        """The held-out loss of a core fitted to it."""
        return float(core.fit(*self._arguments, progress)["held_out_loss"])

    def predict(self, seen: CoreInputs) -> Floats:
        raise NotImplementedError

    def to_onnx(self) -> bytes:
        raise NotImplementedError


def _network(name: str, effort: Effort, more: Mapping[str, BaseDistribution]) -> Space:
    from training.models.torch_model import core
    from training.models.torch_model.fit import Fitting

    usual = {"mlp": core.mlp, "lstm": core.lstm, "transformer": core.transformer}[name](
        Fitting(threads=effort.threads)
    ).recipe
    distributions = {
        "width": CategoricalDistribution((32, 64, 96, 128, 192, 256)),
        "blocks": IntDistribution(1, 3),
        "dropout": FloatDistribution(0.0, 0.3),
        "learning_rate": FloatDistribution(3e-4, 1e-2, log=True),
        **more,
    }

    def made(_: Task, choices: Choices) -> Core:
        return core.TorchCore(replace(usual, built=_with(usual.built, choices), fitting=_with(usual.fitting, choices)))

    return Space(distributions, _of(distributions, usual.built, usual.fitting), made)


def _trees(effort: Effort) -> Space:
    from training.models.xgboost import Boosting, XgboostCore

    usual = Boosting(threads=effort.threads)
    distributions: dict[str, BaseDistribution] = {
        "depth": IntDistribution(3, 8),
        "learning_rate": FloatDistribution(0.03, 0.3, log=True),
        "rounds": IntDistribution(50, 400),
        "columns": FloatDistribution(0.1, 1.0),
    }
    return Space(
        distributions,
        _of(distributions, usual),
        lambda task, choices: XgboostCore(task, _with(usual, choices)),
    )


def _prophet(effort: Effort) -> Space:
    """Those that Prophet's documentation recommends, and the numbers of its waves; holidays only with a country."""
    usual = prophet_fit.Choices(growth="flat", country=effort.country)
    distributions: dict[str, BaseDistribution] = {
        "growth": CategoricalDistribution(("flat", "linear")),
        "mode": CategoricalDistribution(("additive", "multiplicative")),
        "changepoint_scale": FloatDistribution(0.001, 0.5, log=True),
        "seasonality_scale": FloatDistribution(0.01, 10.0, log=True),
        "daily_order": IntDistribution(4, 24),
        "weekly_order": IntDistribution(3, 20),
    }
    if effort.country:
        distributions["country"] = CategoricalDistribution((effort.country, ""))
        distributions["holiday_scale"] = FloatDistribution(0.01, 10.0, log=True)
    return Space(distributions, _of(distributions, usual), prophet=lambda choices: _with(usual, choices))


def _hybrid(effort: Effort, core: Space) -> Space:
    first = _prophet(effort)
    return Space(
        {**first.distributions, **core.distributions}, {**first.defaults, **core.defaults}, core.core, first.prophet
    )


def _lstm(effort: Effort) -> Space:
    return _network("lstm", effort, {"layers": IntDistribution(1, 2)})


def _of(distributions: Mapping[str, BaseDistribution], *settings: Any) -> Choices:
    """The value of each in the settings."""
    values = {name: value for one in settings for name, value in _named(one).items()}
    return {name: values[name] for name in distributions}


def _with(settings: Any, choices: Choices) -> Any:
    """The settings with the choices that apply to them."""
    return replace(settings, **{name: choices[name] for name in _named(settings) if name in choices})


def _named(settings: Any) -> Choices:
    return {field.name: getattr(settings, field.name) for field in fields(settings)}


SPACES: dict[str, Callable[[Effort], Space]] = {
    "mlp": lambda effort: _network("mlp", effort, {}),
    "lstm": _lstm,
    "transformer": lambda effort: _network("transformer", effort, {"layers": IntDistribution(1, 4)}),
    "xgboost": _trees,
    "prophet": _prophet,
    "hybrid": lambda effort: _hybrid(effort, _trees(effort)),
    "hybrid-lstm": lambda effort: _hybrid(effort, _lstm(effort)),
}
"""recipe → (effort → hyperparameters)"""
