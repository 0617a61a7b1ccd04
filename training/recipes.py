"""A recipe is a function that returns the configuration of a model; `RECIPES` lists them by name.

Heavy packages are imported by the recipe that needs them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from scaler.forecast.catalog import GENERAL
from training.models import Model
from training.task import Task

if TYPE_CHECKING:
    from training.models.learned import Core


@dataclass(frozen=True, slots=True)
class Recipe:
    """A model for a task, and the number of training and held-out windows of each series.

    per_series: the model serves only the series it was fitted to, see `training.models.Model.series`. holidays: it
    knows the public holidays of `Effort.country`.
    """

    make: Callable[[Task], Model]
    windows: int = 600
    held_out: int = 150
    per_series: bool = False
    holidays: bool = False


@dataclass(frozen=True, slots=True)
class Effort:
    """The resources of a run."""

    threads: int = 1
    """threads of one fit, and series fitted at the same time"""
    country: str = ""
    """whose public holidays count, see `training.models.prophet_fit.Choices`"""
    general: Path = GENERAL
    """folder of the general bundle that a blend contains"""


def naive(effort: Effort) -> Recipe:
    """Persistence or the same time yesterday, whichever is better at each lead, with empirical quantiles."""
    from training.models.naive import Naive

    return Recipe(lambda _: Naive())


def prophet(effort: Effort) -> Recipe:
    """Prophet for each series, corrected by its newest errors; serves only the series it was fitted to."""
    from training.models.prophet import Prophet
    from training.models.prophet_fit import Choices

    choices = Choices(growth="flat", country=effort.country)
    return Recipe(lambda _: Prophet(choices, jobs=effort.threads), per_series=True, holidays=True)


def hybrid(effort: Effort) -> Recipe:
    """Prophet for each series, and boosted trees on its residuals; serves only the series it was fitted to."""
    from training.models.xgboost import Boosting, XgboostCore

    return _on_prophet("hybrid", effort, lambda task: XgboostCore(task, Boosting(threads=effort.threads)))


def hybrid_lstm(effort: Effort) -> Recipe:
    """Prophet for each series, and an LSTM over its residuals; serves only the series it was fitted to."""
    from training.models.torch_model.core import lstm as core
    from training.models.torch_model.fit import Fitting

    return _on_prophet("hybrid-lstm", effort, lambda _: core(Fitting(threads=effort.threads)))


def _on_prophet(name: str, effort: Effort, core: "Callable[[Task], Core]") -> Recipe:
    from training.models.hybrid import Hybrid
    from training.models.prophet_fit import Choices

    choices = Choices(growth="flat", country=effort.country)

    def make(task: Task) -> Model:
        return Hybrid(core(task), task, choices, effort.threads, effort.threads, name=name)

    return Recipe(make, windows=1000, per_series=True, holidays=True)


def mlp(effort: Effort) -> Recipe:
    """A small network on the features."""
    from training.models.learned import Learned
    from training.models.torch_model.core import mlp as core
    from training.models.torch_model.fit import Fitting

    return Recipe(lambda task: Learned(core(Fitting(threads=effort.threads)), task, effort.threads))


def lstm(effort: Effort) -> Recipe:
    """An LSTM over the last day in patches, with the features."""
    from training.models.learned import Learned
    from training.models.torch_model.core import lstm as core
    from training.models.torch_model.fit import Fitting

    return Recipe(lambda task: Learned(core(Fitting(threads=effort.threads)), task, effort.threads))


def transformer(effort: Effort) -> Recipe:
    """A patched encoder over the last day, with the features."""
    from training.models.learned import Learned
    from training.models.torch_model.core import transformer as core
    from training.models.torch_model.fit import Fitting

    return Recipe(lambda task: Learned(core(Fitting(threads=effort.threads)), task, effort.threads))


def xgboost(effort: Effort) -> Recipe:
    """Boosted trees on the features."""
    from training.models.learned import Learned
    from training.models.xgboost import Boosting, XgboostCore

    return Recipe(lambda task: Learned(XgboostCore(task, Boosting(threads=effort.threads)), task, effort.threads))


def ensemble(effort: Effort) -> Recipe:
    """Boosted trees, a small network and the seasonal model, weighted per lead bucket."""
    return Recipe(lambda task: _weighted("ensemble", task, effort))


def blend(effort: Effort) -> Recipe:
    """An ensemble that includes the general bundle; only on the grid of one minute."""
    from training.models.pretrained import PretrainedCore

    return Recipe(lambda task: _weighted("blend", task, effort, PretrainedCore(task, effort.general)))


def _weighted(name: str, task: Task, effort: Effort, *others: "Core") -> Model:
    from training.models.ensemble import Ensemble
    from training.models.learned import Learned
    from training.models.seasonal import SeasonalCore
    from training.models.torch_model.core import mlp as network
    from training.models.torch_model.fit import Fitting
    from training.models.xgboost import Boosting, XgboostCore

    trees = XgboostCore(task, Boosting(threads=effort.threads))
    members: tuple[Core, ...] = (trees, network(Fitting(threads=effort.threads)), SeasonalCore(task), *others)
    return Learned(Ensemble(members, task, name=name), task, effort.threads)


RECIPES: dict[str, Callable[[Effort], Recipe]] = {
    "naive": naive,
    "prophet": prophet,
    "hybrid": hybrid,
    "hybrid-lstm": hybrid_lstm,
    "xgboost": xgboost,
    "mlp": mlp,
    "ensemble": ensemble,
    "blend": blend,
    "lstm": lstm,
    "transformer": transformer,
}
