"""The general bundle next to naive models: ratios by series, geometric means by system."""

import numpy as np
import pandas as pd
import pytest
from next_to_naive import summary

from training.shipped.beside_naive import FIGURES, GENERAL, ratios

MODELS = {GENERAL: (1.0, 1.0, 4.0), "persistence": (2.0, 8.0, 4.0)}
"""losses of the series of two systems: two of the first, one of the second"""


def scores() -> pd.DataFrame:
    rows = [
        {"model": model, "series": series, "system": series[0], "windows": 9} | dict.fromkeys(FIGURES, loss)
        for model, losses in MODELS.items()
        for series, loss in zip(("a/1", "a/2", "b/1"), losses, strict=True)
    ]
    return pd.DataFrame(rows)


def test_systems_count_alike() -> None:
    """The geometric mean over the series of each system, then over the systems: 1/2 and 1/8, and 1."""
    found = summary(ratios(scores(), ["persistence"]), ["persistence"])
    assert found["wql_over_persistence_a"] == 0.25
    assert found["peak_5_min_over_persistence_b"] == 1.0
    assert found["peak_5_min_over_persistence"] == 0.5
    assert (found["series"], found["systems"], found["better_on_over_persistence"]) == (3, 2, 2)


def test_a_figure_of_the_json_is_a_number() -> None:
    found = summary(ratios(scores(), ["persistence"]), ["persistence"])
    assert all(isinstance(value, int | float) and np.isfinite(value) for value in found.values())
    assert found["mase_over_persistence"] == pytest.approx(0.5)
