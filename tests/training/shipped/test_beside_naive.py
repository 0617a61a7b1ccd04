"""A model next to seasonal naive and persistence."""

import numpy as np
import pandas as pd

from scaler.bundle import read_bundle
from scaler.forecast import catalog
from tests.training.evaluate.forecasts import TASK, forecast, windows
from tests.training.shipped.recorded import series
from training.data.windows import Past
from training.shipped.beside_naive import FIGURES, GENERAL, RIVALS, beside_naive, over_naive, ratios, scored
from training.task import Prediction, task_for


def test_better_forecasts_have_smaller_losses_in_every_figure() -> None:
    """WQL, MASE, and the peak of each window length, on the same windows of each series."""
    cut = windows(systems=1)
    found = scored(cut, {GENERAL: forecast(cut, 0.05), "persistence": forecast(cut, 0.3)}, TASK)
    ratio = ratios(found, ["persistence"])
    assert len(ratio) == 2
    assert (ratio[list(FIGURES)] < 0.6).all(axis=None)
    assert (ratio["windows"] == 20).all()


def test_scores_of_a_manifest_are_means_over_systems() -> None:
    """Half and an eighth of the losses on the series of one system, as many on another: a half in the mean."""
    losses = {"a/1": 0.5, "a/2": 0.125, "b/1": 1.0}
    rows = [
        {"rival": rival, "system": name[0], "series": name} | dict.fromkeys(FIGURES, value)
        for rival in RIVALS
        for name, value in losses.items()
    ]
    found = over_naive(pd.DataFrame(rows))
    assert found == {f"over {rival}: {figure}": 0.5 for rival in RIVALS for figure in FIGURES}


def test_each_tenth_is_judged_next_to_naive_models_of_what_came_before() -> None:
    """A model that answers like persistence without errors loses to the naive models with theirs."""
    task = task_for(900)

    def newest(past: Past) -> Prediction:
        value_N = past.history_NT[:, -1][:, None, None]
        ahead = np.tile(value_N, (1, task.horizon_steps, len(task.levels))).astype(np.float32)
        return Prediction(ahead, ahead[:, : len(task.peak_steps)])

    found = beside_naive([series("one", days=40)], task, newest, count=20)
    assert set(found["model"]) == {GENERAL, *RIVALS}
    assert set(found["windows"]) == {60}
    assert (ratios(found)["wql"] > 1).all()


def test_the_bundle_that_ships_publishes_them() -> None:
    """Its manifest has every figure over both naive models, and beats both."""
    scores = read_bundle(catalog.GENERAL).manifest.scores
    found = [scores[f"over {rival}: {figure}"] for rival in RIVALS for figure in FIGURES]
    assert max(found) < 1
