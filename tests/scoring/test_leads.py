"""What the scores of many triggers say together, by lead."""

import numpy as np
import pytest

from scaler.scoring.leads import by_lead
from scaler.scoring.losses import FIGURES, LEVELS, Figure
from scaler.scoring.pending import BUCKETS
from scaler.series import Floats
from scaler.telemetry.process_figures import LEAD_LEVELS, LEADS

SOON, PEAK = BUCKETS.index("5 min"), BUCKETS.index("peak")
HITS = {level: len(Figure) + place for place, level in enumerate(LEVELS)}


def sums(triggers: int) -> Floats:
    return np.zeros((triggers, len(BUCKETS), FIGURES), np.float32)


def test_nothing_is_said_of_a_lead_without_forecasts() -> None:
    sums_NBF = sums(3)
    sums_NBF[1, PEAK, Figure.COUNT] = 1
    assert set(by_lead(sums_NBF)) == {"peak"}
    assert by_lead(sums(0)) == {}


def test_triggers_count_alike_whatever_their_forecasts_and_units() -> None:
    """One with ten forecasts, one with a thousand of demand that is a million times as large, one without."""
    sums_NBF = sums(3)
    counted = [Figure.COUNT, Figure.PINBALL, Figure.PERSISTENCE, HITS[0.5], HITS[0.9]]
    sums_NBF[0, SOON, counted] = 10, 1, 4, 5, 9
    sums_NBF[2, SOON, counted] = 1000, 3e6, 4e6, 700, 1000
    found = by_lead(sums_NBF)["5 min"]
    assert found.triggers == 2
    assert [found.coverage[level] for level in (0.5, 0.9, 0.99)] == pytest.approx([0.6, 0.95, 0])
    assert found.skill == pytest.approx(0.5)


def test_one_trigger_near_zero_does_not_decide_the_error() -> None:
    """Its errors are a thousand times its demand: a mean over triggers would be 25,000 %."""
    sums_NBF = sums(4)
    sums_NBF[:, SOON, Figure.COUNT] = 10
    sums_NBF[:, SOON, Figure.PERCENT] = 1, 2, 3, 10_000
    sums_NBF[:, SOON, Figure.PERCENT_COUNT] = 10
    assert by_lead(sums_NBF)["5 min"].mape == pytest.approx(0.25)


def test_what_no_trigger_has_is_absent() -> None:
    """Demand that is always 0 has no relative error; and sums that have overflowed say nothing."""
    sums_NBF = sums(2)
    sums_NBF[0, SOON, Figure.COUNT] = 10
    sums_NBF[1, SOON, [Figure.COUNT, Figure.PINBALL, Figure.PERSISTENCE]] = 10, np.inf, np.inf
    found = by_lead(sums_NBF)["5 min"]
    assert (found.skill, found.mape) == (None, None)


def test_the_table_of_telemetry_names_leads_and_levels() -> None:
    assert BUCKETS == LEADS
    assert tuple(f"{level:g}" for level in LEVELS) == LEAD_LEVELS
