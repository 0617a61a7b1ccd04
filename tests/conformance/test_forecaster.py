"""The same checks over every forecaster: the shipped bundles, a small one, and the one that tests and replay script."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from scaler.forecast import Forecaster
from scaler.forecast.catalog import GENERAL, SEASONAL
from scaler.forecast.onnx_forecaster import load_forecaster
from scaler.series import Floats, Forecast, Grid, HistoryBatch
from scaler.testing import ScriptedForecaster, flat_forecast

GOLDEN = Path(__file__).parents[1] / "bundle" / "golden"
END = 1_750_003_380.0


def scripted() -> Forecaster:
    """Forecasts the median of the history; nothing without history."""

    def script(_: str, end: float, history_T: Floats) -> Forecast | None:
        known = history_T[~np.isnan(history_T)]
        return flat_forecast(end, [float(np.median(known))] * 30, spread=4.0) if len(known) else None

    return ScriptedForecaster(script, Grid(60, 60, 900, 96))


FORECASTERS: dict[str, Callable[[], Forecaster]] = {
    "seasonal": lambda: load_forecaster(SEASONAL),
    "general": lambda: load_forecaster(GENERAL),
    "general with seasonal behind it": lambda: load_forecaster(GENERAL, fallback=load_forecaster(SEASONAL)),
    "golden": lambda: load_forecaster(GOLDEN),
    "scripted": scripted,
}


@pytest.fixture(scope="module", params=FORECASTERS)
def forecaster(request: pytest.FixtureRequest) -> Forecaster:
    return FORECASTERS[request.param]()


def histories(grid: Grid, count: int, seed: int = 7) -> HistoryBatch:
    """Daily demand with noise, complete on both resolutions."""
    random = np.random.default_rng(seed)
    moments_T = END + grid.step_seconds * np.arange(1 - grid.steps, 1)
    fine_NT = 100 + 50 * np.sin(2 * np.pi * moments_T / 86_400) + random.normal(0, 5, (count, grid.steps))
    starts_L = END // grid.coarse_seconds * grid.coarse_seconds + grid.coarse_seconds * np.arange(-grid.coarse_steps, 0)
    mean_NL = 100 + 50 * np.sin(2 * np.pi * starts_L / 86_400) + random.normal(0, 2, (count, grid.coarse_steps))
    long_NL2 = np.stack([mean_NL, mean_NL + 10], axis=2)
    return HistoryBatch(
        [f"shop/web-{number}/0f" for number in range(count)],
        END,
        np.maximum(fine_NT, 0).astype(np.float32),
        np.maximum(long_NL2, 0).astype(np.float32),
        np.full(count, int(END), np.int64),
    )


def without_history(grid: Grid) -> HistoryBatch:
    batch = histories(grid, 1)
    return HistoryBatch(
        batch.keys,
        batch.end,
        np.full_like(batch.history_NT, np.nan),
        np.full_like(batch.long_history_NL2, np.nan),
        batch.local_time_N,
    )


def quantiles(forecasts: list[Forecast | None]) -> list[Floats]:
    return [forecast.quantiles_HQ for forecast in forecasts if forecast is not None]


def test_it_says_what_it_is(forecaster: Forecaster) -> None:
    """A name with a version, a grid, and how much history it needs of what the grid holds."""
    name, _, version = forecaster.model.partition("@")
    assert name
    assert version
    assert 0 <= forecaster.needed_seconds <= forecaster.grid.fine_span_seconds


def test_one_forecast_per_series_in_order(forecaster: Forecaster) -> None:
    """However many there are, and each is about its own series."""
    batch = histories(forecaster.grid, 5)
    together = quantiles(forecaster.forecast(batch))
    assert len(together) == 5
    for row, expected in enumerate(together):
        (alone,) = quantiles(forecaster.forecast(batch.take([row])))
        np.testing.assert_allclose(alone, expected, rtol=1e-3, atol=1e-3 * float(expected.max()))


def test_no_series_no_forecasts(forecaster: Forecaster) -> None:
    """An empty batch is no special case."""
    assert forecaster.forecast(histories(forecaster.grid, 1).take([])) == []


def test_a_forecast_is_what_the_planner_relies_on(forecaster: Forecaster) -> None:
    """From the end of the history on: finite, not negative, ascending quantiles, of the peaks too; its model's name."""
    for forecast in forecaster.forecast(histories(forecaster.grid, 3)):
        assert forecast is not None
        assert forecast.start == END
        assert forecast.end > END
        assert "@" in forecast.model
        assert all(lower < upper for lower, upper in pairwise(forecast.levels))
        assert forecast.quantiles_HQ.shape[1] == len(forecast.levels)
        assert forecast.peaks_WQ is None or len(forecast.peaks_WQ) == len(forecast.peak_steps)
        for values in (forecast.quantiles_HQ, forecast.peaks_WQ):
            if values is not None:
                assert values.dtype == np.float32
                assert np.isfinite(values).all()
                assert (values[:, 0] >= 0).all()
                assert (np.diff(values, axis=1) >= 0).all()


def test_the_same_history_gives_the_same_forecast(forecaster: Forecaster) -> None:
    """Nothing is remembered from one call to the next, and the batch is left as it was."""
    batch = histories(forecaster.grid, 2)
    before = batch.history_NT.copy()
    first, second = (quantiles(forecaster.forecast(batch)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(batch.history_NT, before)


def test_without_history_there_is_no_forecast(forecaster: Forecaster) -> None:
    """None, not an invented number, and no error; the neighbours in the batch keep theirs."""
    assert forecaster.forecast(without_history(forecaster.grid)) == [None]
    batch = histories(forecaster.grid, 3)
    batch.history_NT[1], batch.long_history_NL2[1] = np.nan, np.nan
    assert [one is None for one in forecaster.forecast(batch)] == [False, True, False]


@pytest.mark.parametrize("wild", [np.inf, -1.0, 3e38])
def test_no_history_breaks_a_forecaster(forecaster: Forecaster, wild: float) -> None:
    """A forecast is sound, or None; the neighbours keep theirs."""
    batch = histories(forecaster.grid, 2)
    batch.history_NT[0, -5:] = wild
    first, second = forecaster.forecast(batch)
    assert second is not None
    if first is not None and not isinstance(forecaster, ScriptedForecaster):
        assert np.isfinite(first.quantiles_HQ).all()
        assert (first.quantiles_HQ >= 0).all()


def test_several_threads_may_forecast_at_once(forecaster: Forecaster) -> None:
    """The refresh runs one at a time; the replay and tests need not."""
    batch = histories(forecaster.grid, 3)
    expected = quantiles(forecaster.forecast(batch))
    start = threading.Barrier(3)

    def work(_: int) -> list[Floats]:
        start.wait()
        return quantiles(forecaster.forecast(batch))

    with ThreadPoolExecutor(3) as pool:
        for found in pool.map(work, range(3)):
            np.testing.assert_allclose(found, expected, rtol=1e-3, atol=0.1)
