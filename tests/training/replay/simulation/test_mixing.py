"""Past days in the forecasts of a replay: the same as in the service."""

import numpy as np
import pytest

from scaler.refresh.combining import Combining
from scaler.refresh.local_time import utc_offsets
from training.data.load import Series
from training.replay.simulation.demand import Demand, Observing
from training.replay.simulation.forecasts import Forecasts, joined
from training.replay.simulation.mixing import mixed_forecasts

LEVELS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
WINDOWS = (1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 60)
DAY = 1440
MIDNIGHT = 1_711_584_000.0  # 28 March 2024: clocks change on the 31st
SCORED = 420.0
OBSERVING = Observing()


def series(timezone: str, days: int = 6) -> Series:
    """A batch at 02:30 UTC and a crontab every 40 minutes, with noise and a gap of two hours."""
    minute = np.arange(days * DAY)
    demand = np.where((minute % DAY >= 150) & (minute % DAY < 190), 1000.0, np.where(minute % 40 < 5, 300.0, 100.0))
    demand = demand * np.exp(0.05 * np.random.default_rng(3).standard_normal(len(minute)))
    demand[2 * DAY + 600 : 2 * DAY + 720] = np.nan
    return Series("made", "batch", "req/s", MIDNIGHT, 60, demand.astype(np.float32), timezone=timezone)


def flat(issued_I: np.ndarray) -> Forecasts:
    """A bundle that expects the same at every moment."""
    quantile = np.linspace(90, 130, len(LEVELS), dtype=np.float32)
    count = len(issued_I)
    return Forecasts(
        issued_I=issued_I,
        newest_I=np.arange(count),
        quantiles_IHQ=np.tile(quantile, (count, 60, 1)),
        peaks_IWQ=np.tile(quantile, (count, len(WINDOWS), 1)),
        step_seconds=60.0,
        levels=LEVELS,
        peak_steps=WINDOWS,
        model="flat@1",
    )


def observed(demand: Demand, at: float) -> np.ndarray:
    return demand.observed(np.array([at]), OBSERVING).astype(np.float32)


def served(of: Series, issued_I: np.ndarray) -> list[np.ndarray]:
    """What the service would have forecast, minute by minute."""
    combining, demand, bundle = Combining(), Demand(of), flat(issued_I)
    combining.add("a")
    first = float(issued_I[0]) - 60
    combining.observe(["a"], observed(demand, first), first, utc_offsets([of.timezone], first))
    made = []
    for i, at in enumerate(issued_I.tolist()):
        offset_N = utc_offsets([of.timezone], at)
        combining.observe(["a"], observed(demand, at), at, offset_N)
        forecast = combining.combine(["a"], [bundle.forecast(i)], at, offset_N, [SCORED])[0]
        assert forecast is not None
        assert forecast.peaks_WQ is not None
        made.append(np.concatenate([forecast.peaks_WQ[:8].ravel(), forecast.quantiles_HQ[:30].ravel()]))
    return made


def test_no_forecast_knows_the_future_when_an_hour_comes_twice() -> None:
    """Clocks are set back at 01:00 UTC: what happens in the second hour has the same local time as the first one."""
    midnight, minute = 1_729_468_800.0, np.arange(7 * DAY)  # 21 to 27 October 2024
    calm = np.full(len(minute), 100, np.float32)
    set_back = 6 * DAY + 60
    busy = np.where(minute >= set_back + 5, np.float32(5000), calm)
    issued_I = midnight + 60.0 * (set_back - 60 + np.arange(65))
    made = [
        mixed_forecasts(
            flat(issued_I), Demand(Series("a", "a", "", midnight, 60, of, "Europe/Berlin")), OBSERVING, SCORED
        )
        for of in (calm, busy)
    ]
    assert np.array_equal(made[0].peaks_IWQ, made[1].peaks_IWQ)
    assert np.array_equal(made[0].quantiles_IHQ, made[1].quantiles_IHQ)


def test_a_replay_mixes_as_the_service_does() -> None:
    """On days before and after a change of the clocks."""
    of = series("Europe/Berlin")
    issued_I = MIDNIGHT + 120 + 60.0 * np.arange(5 * DAY)
    mixed = mixed_forecasts(flat(issued_I), Demand(of), OBSERVING, SCORED)
    assert mixed.peaks_IWQ is not None
    assert mixed.past_shares_IE is not None
    assert mixed.past_shares_IE[-DAY:].sum(axis=1).max() > 0.9
    replayed = [
        np.concatenate([mixed.peaks_IWQ[i, :8].ravel(), mixed.quantiles_IHQ[i, :30].ravel()])
        for i in range(len(issued_I))
    ]
    difference = np.abs(np.array(replayed) - np.array(served(of, issued_I))).max(axis=1)
    assert np.mean(difference > 5) < 0.02, np.flatnonzero(difference > 5)[:20]


@pytest.mark.parametrize("step_seconds", [60, 300])
def test_a_replay_finds_the_step_of_the_data(step_seconds: int) -> None:
    numbers = np.random.default_rng(5).uniform(100, 200, 2 * DAY * 60 // step_seconds).astype(np.float32)
    of = Series("made", "stairs", "req/s", MIDNIGHT, step_seconds, numbers)
    mixed = mixed_forecasts(flat(MIDNIGHT + 86_400 + 60.0 * np.arange(120)), Demand(of), OBSERVING, SCORED)
    assert mixed.data_steps_I is not None
    step = 0.0 if step_seconds == 60 else 300.0
    assert mixed.data_steps_I.tolist() == [step] * 120
    assert mixed.since(10).forecast(0).data_step_seconds == step


def test_nothing_of_the_future_is_used() -> None:
    """Other demand from some minute on changes no forecast before it."""
    of, other = series("UTC"), series("UTC")
    cut = 4 * DAY
    other.values[cut:] *= 3
    issued_I = MIDNIGHT + 120 + 60.0 * np.arange(5 * DAY)
    found, changed = (mixed_forecasts(flat(issued_I), Demand(one), OBSERVING, SCORED) for one in (of, other))
    assert found.peaks_IWQ is not None
    assert changed.peaks_IWQ is not None
    before = issued_I <= MIDNIGHT + 60 * cut
    assert (found.peaks_IWQ[before] == changed.peaks_IWQ[before]).all()
    assert not (found.peaks_IWQ[~before] == changed.peaks_IWQ[~before]).all()


def test_forecasts_follow_each_other() -> None:
    first, second = flat(np.arange(0.0, 600, 60)), flat(np.arange(600.0, 1200, 60))
    both = joined(first, second)
    assert both.issued_I.tolist() == list(np.arange(0.0, 1200, 60))
    assert both.newest_I.tolist() == list(range(20))
    assert both.since(10).newest_I.tolist() == list(range(10))
