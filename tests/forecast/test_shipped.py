"""What both bundles that ship answer: the general and the seasonal one. No training package is needed here."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaler.forecast.catalog import GENERAL, SEASONAL
from scaler.forecast.onnx_forecaster import OnnxForecaster, load_forecaster
from scaler.series import Forecast, HistoryBatch

MINUTE, QUARTER, DAY = 60, 900, 86400
NOW = 1_750_068_000  # 10:00 on a Monday
MEDIAN, P90 = 3, 5
BOTH = pytest.mark.parametrize("name", ["general", "seasonal"])


@cache
def shipped(name: str) -> OnnxForecaster:
    return load_forecaster({"general": GENERAL, "seasonal": SEASONAL}[name])


def answer(name: str, fine: np.ndarray, blocks: np.ndarray | None = None, now: int = NOW) -> Forecast | None:
    """The forecast for one series: minutes up to `now`, and block means whose maxima are the same."""
    long = np.full((1, 2688, 2), np.nan, np.float32)
    if blocks is not None:
        long[0, -len(blocks) :] = blocks[:, None]
    history = np.full((1, 1440), np.nan, np.float32)
    history[0, -len(fine) :] = fine
    return shipped(name).forecast(HistoryBatch(["a/b/c"], now, history, long, np.array([now])))[0]


def times(now: int = NOW, days: int = 28) -> tuple[np.ndarray, np.ndarray]:
    """Moments of the fine samples and centres of the complete blocks at `now`."""
    last = now // QUARTER * QUARTER - QUARTER
    return now + np.arange(-1439, 1) * MINUTE, last + np.arange(1 - 96 * days, 1) * QUARTER + QUARTER / 2


def wave(moments: np.ndarray) -> np.ndarray:
    return 1000 - 600 * np.cos(2 * np.pi * moments / DAY)


def office_hours(moments: np.ndarray, outside: float = 100.0) -> np.ndarray:
    return np.where((moments % DAY >= 10.5 * 3600) & (moments % DAY < 18 * 3600), 200.0, outside)


@BOTH
@pytest.mark.parametrize("offset", [0, 440, 899])
def test_a_daily_wave_is_continued(name: str, offset: int) -> None:
    """With weeks of a clean wave the median two hours ahead is the wave itself, wherever in a block now lies."""
    fine, blocks = times(NOW + offset)
    forecast = answer(name, wave(fine), wave(blocks), NOW + offset)
    assert forecast is not None
    ahead = NOW + offset + np.arange(1, 121) * MINUTE
    np.testing.assert_allclose(forecast.quantiles_HQ[:, MEDIAN], wave(ahead), rtol=0.02)


@BOTH
def test_the_rise_is_seen_before_it_comes(name: str) -> None:
    """Demand that doubles every day at half past ten is expected at ten."""
    fine, blocks = times()
    forecast = answer(name, office_hours(fine), office_hours(blocks))
    assert forecast is not None
    assert forecast.quantiles_HQ[5, MEDIAN] == pytest.approx(100, rel=0.05)
    assert forecast.quantiles_HQ[60, MEDIAN] == pytest.approx(200, rel=0.1)


@BOTH
def test_without_days_it_stays_where_it_is(name: str) -> None:
    """Three hours of history suffice: noise around a level is continued with its own spread."""
    noise = np.random.default_rng(1).normal(100, 10, 180)
    forecast = answer(name, noise)
    assert forecast is not None
    assert forecast.quantiles_HQ[:, MEDIAN] == pytest.approx(100, rel=0.15)
    assert 105 < forecast.quantiles_HQ[0, P90] < 135


@BOTH
def test_a_step_up_on_an_hour_of_history_is_no_reason_for_more_of_them(name: str) -> None:
    """No quantile is above four times the largest demand seen."""
    forecast = answer(name, np.where(np.arange(75) < 70, 10.0, 100.0))
    assert forecast is not None
    assert forecast.peaks_WQ is not None
    assert 100 < max(forecast.quantiles_HQ.max(), forecast.peaks_WQ.max()) <= 400 * (1 + 1e-6)


@BOTH
def test_coverage_of_the_peak_on_steady_noise(name: str) -> None:
    """The p90 of the peak holds about nine times of ten: 300 independent series, windows of 2, 5 and 30 minutes."""
    rng = np.random.default_rng(2)
    demand = rng.gamma(9, 10, (300, 1440 + 30)).astype(np.float32)
    long = np.full((300, 2688, 2), np.nan, np.float32)
    keys = [f"a/{i}/c" for i in range(300)]
    forecasts = shipped(name).forecast(HistoryBatch(keys, NOW, demand[:, :1440], long, np.full(300, NOW)))
    for window in (2, 5, 30):
        place = forecasts[0].peak_steps.index(window)
        held = [d[1440 : 1440 + window].max() <= f.peaks_WQ[place, P90] for d, f in zip(demand, forecasts, strict=True)]
        assert 0.85 < np.mean(held) < 0.95


@BOTH
def test_too_little_or_too_old_history_gives_none(name: str) -> None:
    """Below the minimum, or with nothing in the last quarter of an hour, there is no forecast."""
    minimum = shipped(name).manifest.minimum_history_steps
    assert answer(name, np.full(minimum, 5.0)) is not None
    assert answer(name, np.full(minimum - 1, 5.0)) is None
    assert answer(name, np.append(np.full(1400, 5.0), np.full(15, np.nan))) is None
    assert answer(name, np.append(np.full(1400, 5.0), np.full(14, np.nan))) is not None


@BOTH
def test_nothing_stays_nothing(name: str) -> None:
    """A series that was zero all day is forecast to be zero: a workload at rest may go to sleep."""
    forecast = answer(name, np.zeros(1440), np.zeros(2688))
    assert forecast is not None
    assert not forecast.quantiles_HQ.any()


@BOTH
def test_a_job_of_the_crontab_is_expected(name: str) -> None:
    """A burst in every tenth minute, next in five: the p90 of the windows that hold it says so, of shorter ones not."""
    minutes = np.arange(-1439, 1)
    forecast = answer(name, np.where(minutes % 10 == 5, 500.0, 10.0))
    assert forecast is not None
    assert forecast.peaks_WQ is not None
    peaks = dict(zip(forecast.peak_steps, forecast.peaks_WQ[:, P90], strict=True))
    assert peaks[3] < 100
    assert peaks[5] >= 490


def _history(seed: int, level: float, gaps: float, bursts: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    fine, blocks = (rng.gamma(2, level, n) * np.where(rng.random(n) < bursts, 50, 1) for n in (1440, 2688))
    missing = (rng.random(1440) < gaps) & (np.arange(1440) < 1439)
    return np.where(missing, np.nan, fine), np.where(rng.random(2688) < gaps, np.nan, blocks)


def histories(*levels: float) -> st.SearchStrategy[tuple[np.ndarray, np.ndarray]]:
    return st.builds(
        _history,
        st.integers(0, 10_000),
        st.sampled_from(levels),
        st.sampled_from([0.0, 0.3, 0.6]),
        st.sampled_from([0.0, 0.01, 0.5]),
    )


@BOTH
@settings(max_examples=60, deadline=None)
@given(history=histories(1e-9, 1e-3, 1.0, 1e6, 1e12))
def test_any_history_gives_sound_quantiles(name: str, history: tuple[np.ndarray, np.ndarray]) -> None:
    """Whatever the gaps, bursts and scale: not negative, ascending, peaks growing with the window and above steps."""
    forecast = answer(name, *history)
    assert forecast is not None
    assert forecast.peaks_WQ is not None
    assert (np.diff(forecast.quantiles_HQ, axis=1) >= 0).all()
    assert (np.diff(forecast.peaks_WQ, axis=0) >= 0).all()
    for window, peak in zip(forecast.peak_steps, forecast.peaks_WQ, strict=True):
        assert (forecast.quantiles_HQ[:window] <= peak).all()


@BOTH
@settings(max_examples=30, deadline=None)
@given(history=histories(1e-9, 1e-3, 1.0, 1e6), factor=st.sampled_from([1e-6, 0.125, 3.0, 1e5]))
def test_units_do_not_matter(name: str, history: tuple[np.ndarray, np.ndarray], factor: float) -> None:
    """The forecast of demand in other units is the forecast in other units."""
    plain, scaled = answer(name, *history), answer(name, history[0] * factor, history[1] * factor)
    assert plain is not None
    assert scaled is not None
    assert plain.peaks_WQ is not None
    assert scaled.peaks_WQ is not None
    largest = plain.peaks_WQ.max()
    np.testing.assert_allclose(scaled.peaks_WQ / factor, plain.peaks_WQ, rtol=1e-3, atol=1e-3 * largest)
