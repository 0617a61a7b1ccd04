"""Every usual grid has a feature graph that runs: from minutes with two hours ahead to hours with a week ahead."""

import numpy as np
import pytest

from training.data.load import Series
from training.data.synthetic import population
from training.data.windows import cut
from training.evaluate.folds import by_time, windows_of
from training.features.extract import Extractor
from training.task import step_leads, task_for


@pytest.mark.parametrize("step_seconds", [60, 300, 900, 1800, 3600])
def test_a_grid_has_features(step_seconds: int) -> None:
    """Middle and unit have a column per target, and everything is finite."""
    task = task_for(step_seconds)
    days = 10 if step_seconds < 3600 else 100
    series = population(2, days, step_seconds, 3)
    windows = windows_of(by_time(series, task, folds=1)[0].train, task, 5)
    found = Extractor(task)(windows.past)
    assert found.middle_NK.shape == (len(windows), len(task.peak_steps) + len(step_leads(task)))
    assert np.isfinite(found.seen.features_NF).all()
    assert found.known_N.any()


def test_a_day_ahead_follows_the_day() -> None:
    """With a quarter of an hour a step, the middle a day ahead is where the day is then, not where it is now."""
    task = task_for(900)
    wave = 1000 + 900 * np.sin(2 * np.pi * np.arange(20 * 96) / 96)
    series = Series("system", "wave", "", 0.0, 900, wave.astype(np.float32))
    found = Extractor(task)(cut([(series, np.array([900.0 * (15 * 96 + 24)]))], task.grid, 96).past)
    leads = step_leads(task)
    demand = found.middle_NK[0, len(task.peak_steps) :]
    for lead in (15, 30, 60):
        came = wave[15 * 96 + 24 + lead - 1]
        assert demand[leads.index(lead)] == pytest.approx(came, rel=0.25, abs=100)
