"""Flat stretches are ordinary: every recipe learns from them, and its graph answers as the model does."""

from pathlib import Path

import numpy as np
import pytest

from tests.training.recording import write_values
from training.errors import DataError
from training.experiment.train import Order, run
from training.recipes import RECIPES

DAYS = 8


def wave(step_minutes: int) -> np.ndarray:
    a_day = 1440 // step_minutes
    return 50 + 20 * np.sin(2 * np.pi * np.arange(DAYS * a_day) / a_day)


@pytest.mark.parametrize("recipe", list(RECIPES))
def test_a_record_with_flat_stretches_trains(recipe: str, tmp_path: Path) -> None:
    """Flat or zero for half of the time, or flat but for one value: a bundle that passes the check of its graph."""
    step = 1 if recipe == "blend" else 5
    usual = wave(step)
    late, early, still, wide = usual.copy(), usual.copy(), np.full(len(usual), 50.0), np.full(len(usual), 1e9)
    late[len(usual) // 2 :], early[: len(usual) // 2], still[10], wide[10] = 50, 0, 51, 1e9 + 1e5
    series = {"late": late} if recipe == "blend" else {"late": late, "early": early, "still": still, "wide": wide}
    data = write_values(tmp_path / "flat.csv", step, **series)
    outcome = run(Order(recipe, (data,), tmp_path / "made", windows=30))
    assert not outcome.failed
    assert not outcome.loaded.refused
    assert outcome.parity.largest < 1e-3
    assert (tmp_path / "made" / "model.onnx").exists()


@pytest.mark.parametrize("days", [(3, 3), (6, 4)])
def test_prophet_on_a_record_that_ends_flat(tmp_path: Path, days: tuple[int, int]) -> None:
    """Near zero its graph subtracts large numbers from each other: it must be right to a share of the series' scale."""
    minutes = 1440 * sum(days)
    demand = 50 + 20 * np.sin(2 * np.pi * np.arange(minutes) / 1440)
    demand[1440 * days[0] :] = 50
    data = write_values(tmp_path / "stuck.csv", 1, stuck=demand)
    assert run(Order("prophet", (data,), tmp_path / "made", windows=60)).parity.largest < 1e-3


def test_a_series_that_never_changes_is_named(tmp_path: Path) -> None:
    """There is nothing to forecast: that is the rule, whatever the recipe."""
    data = write_values(tmp_path / "flat.csv", 5, flat=np.full(DAYS * 288, 50.0))
    with pytest.raises(DataError, match="flat: series 'flat': is constant: there is nothing to forecast"):
        run(Order("naive", (data,), tmp_path / "made"))
