"""Recipes that are quick, and ones that misbehave on purpose."""

import signal
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from training.data.windows import Past
from training.models import Model, Training
from training.models.naive import Naive
from training.progress import Progress, no_progress
from training.recipes import Effort, Recipe
from training.task import Prediction


class Around:
    """The naive model; `before` is called with the progress of a fit before it is fitted."""

    def __init__(
        self, before: Callable[[Progress], None], name: str = "stand-in", series: tuple[str, ...] = ()
    ) -> None:
        self.name, self.series = name, series
        self._before = before
        self._model: Model = Naive()

    def fit(self, training: Training, progress: Progress = no_progress) -> Mapping[str, float]:
        self._before(progress)
        return self._model.fit(training)

    def predict_quantiles(self, past: Past) -> Prediction:
        return self._model.predict_quantiles(past)

    def to_onnx(self) -> bytes:
        return self._model.to_onnx()


class Drawing(Around):
    """Learns from windows drawn at random."""

    def __init__(self) -> None:
        super().__init__(silent_before)

    def fit(self, training: Training, progress: Progress = no_progress) -> Mapping[str, float]:
        rows = np.random.default_rng(training.seed).permutation(len(training.windows))[:20]
        return super().fit(replace(training, windows=training.windows.take(np.sort(rows))), progress)


def silent_before(progress: Progress) -> None:
    """Nothing is done before the fit."""


def recipe_of(make: Callable[[], Model], per_series: bool = False) -> Callable[[Effort], Recipe]:
    """What a recipe's function is, for a model."""
    return lambda _: Recipe(lambda _: make(), windows=30, held_out=30, per_series=per_series)


def press_ctrl_c(times: int = 1) -> None:
    """As a person would, in this process."""
    for _ in range(times):
        signal.raise_signal(signal.SIGINT)
