"""What one forecast adds to the sums, against losses computed by hand."""

import math

import numpy as np
import pytest

from scaler.scoring.losses import FIGURES, LEVELS, Due, Figure, sums
from scaler.series import Floats


def due(
    quantiles: list[float], truth: float, persistence: float = 100.0, seasonal: float = math.nan, level: float = 0.9
) -> Due:
    """One forecast; its own quantile is the one at `level`."""
    own = quantiles[LEVELS.index(level)]
    one = (np.array([value], np.float32) for value in (own, level, truth, persistence, seasonal))
    return Due(np.array([quantiles], np.float32), *one)


QUANTILES = [80.0, 100.0, 120.0, 130.0, 150.0]


def figures(found: Floats) -> dict[str, float]:
    return {figure.name: float(found[0, figure]) for figure in Figure}


def test_a_truth_within_the_quantiles() -> None:
    """Pinball losses at 0.1, 0.5, 0.9, 0.95 and 0.99: 3, 5, 1, 1, 0.4."""
    found = figures(sums(due(QUANTILES, truth=110.0, seasonal=130.0)))
    assert found["PINBALL"] == pytest.approx((3 + 5 + 1 + 1 + 0.4) / 5)
    assert found["PERSISTENCE"] == pytest.approx(10 * sum(LEVELS) / 5)
    assert found["SEASONAL"] == pytest.approx(20 * (5 - sum(LEVELS)) / 5)
    assert found["BESIDE_SEASONAL"] == found["PINBALL"]
    assert (found["ABSOLUTE"], found["BIAS"], found["SQUARED"]) == (10.0, -10.0, 100.0)
    assert found["PERCENT"] == pytest.approx(10 / 110)
    assert found["SYMMETRIC"] == pytest.approx(10 / 105)
    assert (found["PROMISED"], found["PROMISED_PERSISTENCE"]) == (pytest.approx(1.0), pytest.approx(9.0))
    assert (found["COUNT"], found["HELD"]) == (1.0, 1.0)


def test_hits_by_level() -> None:
    """A truth of 125 is within the upper two quantiles."""
    found = sums(due(QUANTILES, truth=125.0))
    assert found[0, len(Figure) :].tolist() == [0, 0, 0, 1, 1]
    assert found[0, Figure.HELD] == 0


def test_a_constant_demand_is_within_its_quantiles_although_half_floats_round() -> None:
    found = sums(due([99.97] * 5, truth=100.0))
    assert found[0, len(Figure) :].tolist() == [1] * 5


@pytest.mark.parametrize(("truth", "persistence"), [(math.nan, 100.0), (110.0, math.nan)])
def test_what_is_not_known_adds_nothing(truth: float, persistence: float) -> None:
    found = sums(due(QUANTILES, truth, persistence))
    assert found.shape == (1, FIGURES)
    assert not found.any()


def test_a_truth_of_zero_has_no_percentage() -> None:
    found = figures(sums(due([0.0, 0.0, 10.0, 10.0, 10.0], truth=0.0, persistence=0.0)))
    assert (found["PERCENT"], found["PERCENT_COUNT"], found["SYMMETRIC"], found["COUNT"]) == (0, 0, 0, 1)


def test_demand_of_a_day_before_counts_only_where_it_is_known() -> None:
    found = figures(sums(due(QUANTILES, truth=110.0)))
    assert (found["SEASONAL"], found["BESIDE_SEASONAL"]) == (0, 0)
    assert found["PINBALL"] > 0
