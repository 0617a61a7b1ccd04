"""Generators: each ingredient does what it says, at the place it says, and the same seed gives the same series."""

import numpy as np
import pandas as pd
import pytest

from training.data.synthetic import (
    MONDAY,
    Clock,
    batch,
    counted,
    crowds,
    daily,
    fluctuation,
    gaps,
    holidays,
    level_shift,
    measured,
    on_off,
    opening_hours,
    outage,
    population,
    series,
    spikes,
    trend,
    weekly,
)

WEEKS = Clock(days=28)
DAY = 1440


def values(*ingredients, clock: Clock = WEEKS, volume: float = 100.0, seed: int = 1) -> np.ndarray:
    return series("a", ingredients, clock, volume=volume, seed=seed).values


def test_the_seed_decides() -> None:
    """The same seed gives equal bytes, another one other values; an ingredient at the end changes none before it."""
    recipe = [daily(), fluctuation(), spikes(), counted()]
    assert values(*recipe).tobytes() == values(*recipe).tobytes()
    assert (values(*recipe) != values(*recipe, seed=2)).mean() > 0.9
    holed = values(*recipe, gaps(0.1))
    assert 0.05 < np.isnan(holed).mean() < 0.2
    np.testing.assert_array_equal(holed[~np.isnan(holed)], values(*recipe)[~np.isnan(holed)])


def test_a_series_says_what_it_is() -> None:
    """Start, step, zone, unit and the steady volume without any ingredient."""
    one = series("a", [], Clock(2, 300, MONDAY, "Asia/Tokyo"), volume=7, unit="req")
    assert (one.start, one.step_seconds, one.timezone, one.unit, len(one.values)) == (
        MONDAY,
        300,
        "Asia/Tokyo",
        "req",
        576,
    )
    assert set(one.values.tolist()) == {7.0}
    assert one.values.dtype == np.float32


def test_days_and_weeks_return() -> None:
    """Largest at its hour, smallest half a day away, the same every week, less on weekends."""
    demand = values(daily(depth=0.8, peak_hour=14), weekly(weekend=0.5)).reshape(28, DAY)
    assert demand[0].argmax() == 14 * 60
    assert demand[0].argmin() == 2 * 60
    assert demand[0].min() == pytest.approx(20, rel=0.2)
    np.testing.assert_allclose(demand[5], demand[0] / 2, rtol=1e-5)
    np.testing.assert_array_equal(demand[7:14], demand[:7])


def test_a_second_peak() -> None:
    """A day with two humps, the second as high as it is told."""
    day = values(daily(depth=0.9, peak_hour=11, hours=3, second=0.7))[:DAY]
    assert day[18 * 60] > 2 * day[15 * 60]
    assert day[11 * 60] > day[18 * 60]


def test_opening_hours_are_sharp() -> None:
    """Closed before nine, all there five minutes later, closed on weekends."""
    demand = values(opening_hours(9, 17, ramp_minutes=5, outside=0.02)).reshape(28, DAY)
    assert demand[0, 539] == pytest.approx(2)
    assert demand[0, 545] == pytest.approx(100)
    assert demand[0, 1020] == pytest.approx(2)
    assert demand[5].max() == pytest.approx(2)


@pytest.mark.parametrize(("zone", "change"), [("Europe/Berlin", "2024-03-31"), ("America/New_York", "2024-11-03")])
def test_demand_follows_the_clocks_of_its_zone(zone, change) -> None:
    """Shops open at nine by the clock: after the clocks have changed, an hour earlier or later in UTC."""
    start = pd.Timestamp(change).timestamp() - 7 * 86400
    one = series("a", [opening_hours(9, 17, weekend=True)], Clock(14, 60, start, zone))
    opened = np.flatnonzero(np.diff(one.values > 50) & (one.values[1:] > 50))
    clocks = pd.to_datetime(one.times[opened], unit="s", utc=True)
    assert set(clocks.tz_convert(zone).hour) == {9}
    assert len(set(clocks.hour)) == 2


def test_holidays() -> None:
    """Christmas in Germany has the share it is told, the day before it all of it."""
    clock = Clock(7, 60, pd.Timestamp("2023-12-20").timestamp())
    demand = values(holidays("DE", 0.3), clock=clock).reshape(7, DAY).mean(axis=1)
    np.testing.assert_allclose(demand, [100, 100, 100, 100, 100, 30, 30])


def test_growth_and_shifts() -> None:
    """Ten percent a week compounded; from its day on the level is another."""
    assert values(trend(0.1))[14 * DAY] == pytest.approx(121, rel=1e-3)
    shifted = values(level_shift(at_day=10, factor=3))
    assert (shifted[10 * DAY - 1], shifted[10 * DAY]) == (100, 300)


def test_fluctuation_has_its_size_and_memory() -> None:
    """The logarithm varies as told and is about a third as alike after its memory; the mean stays."""
    wandering = np.log(values(fluctuation(size=0.2, minutes=30)))
    around = wandering - wandering.mean()
    assert wandering.std() == pytest.approx(0.2, rel=0.15)
    assert (around[30:] * around[:-30]).mean() / around.var() == pytest.approx(np.exp(-1), abs=0.1)
    assert values(fluctuation(size=0.2, minutes=30)).mean() == pytest.approx(100, rel=0.05)


def test_spikes_come_and_decay() -> None:
    """As many as told, rising at once and halved after about seven of ten minutes, on top of the demand."""
    demand = values(spikes(per_day=0.5, height=5, minutes=10))
    peaks = np.flatnonzero((demand[1:-1] > 150) & (demand[1:-1] > demand[:-2]) & (demand[1:-1] > demand[2:])) + 1
    assert 5 <= len(peaks) <= 25
    highest = demand.argmax()
    assert (demand[highest + 7] - 100) / (demand[highest] - 100) == pytest.approx(0.5, abs=0.1)
    assert demand.min() >= 100


def test_crowds_gather_stay_and_go() -> None:
    """Each minute by the same share, within half to twice the time told; between two there is nothing of them."""
    demand = values(crowds(per_day=0.2, height=3, rise_minutes=30, stay_minutes=60))
    grows = demand[1:] / demand[:-1]
    up = np.flatnonzero(grows > 1 + 1e-6)
    first = np.split(up, np.flatnonzero(np.diff(up) > 1) + 1)[0]
    assert 15 <= len(first) <= 61
    assert grows[first][1:-1] == pytest.approx(grows[first][1], rel=1e-3)
    assert 100 * (1 + 1.5) <= demand[first[-1] + 1] <= 100 * (1 + 6) * 1.001
    assert np.median(demand) == 100
    assert demand.min() == 100


def test_batch_jobs_start_at_their_minute() -> None:
    """Every hour at 17 past, for five minutes; of the size it is told in the mean."""
    demand = values(batch(every_minutes=60, at_minute=17, lasts_minutes=5, height=2)).reshape(-1, 60)
    assert (demand[:, 17:22] > 150).all()
    np.testing.assert_array_equal(np.delete(demand, range(17, 22), axis=1), 100)
    assert demand[:, 18].mean() == pytest.approx(300, rel=0.05)


def test_on_off_spells() -> None:
    """There or not: about a third of the time, in spells of about an hour."""
    on = values(on_off(60, 120)) > 0
    assert on.mean() == pytest.approx(1 / 3, abs=0.1)
    assert len(on) * on.mean() / (np.diff(on.astype(int)) == 1).sum() == pytest.approx(60, rel=0.3)


def test_an_outage_and_its_retry_storm() -> None:
    """Nothing for half an hour, then three times the demand, then back to the usual."""
    demand = values(outage(at_day=10, minutes=30, storm=3, storm_minutes=15))
    assert (demand[10 * DAY - 1], demand[10 * DAY], demand[10 * DAY + 29]) == (100, 0, 0)
    assert demand[10 * DAY + 30] == pytest.approx(300)
    assert demand[10 * DAY + 150] == pytest.approx(100, rel=0.01)


@pytest.mark.parametrize("volume", [0.1, 30.0, 1e5])
def test_counts_are_poisson(volume) -> None:
    """Whole numbers whose variance is the mean, at any volume; dispersion adds the square of the mean to it."""
    demand = values(counted(), volume=volume).astype(np.float64)
    assert (demand == np.rint(demand)).all()
    assert demand.mean() == pytest.approx(volume, rel=0.1)
    assert demand.var() == pytest.approx(volume, rel=0.1)
    assert values(counted(0.2), volume=volume).astype(np.float64).var() == pytest.approx(
        volume + 0.2 * volume**2, rel=0.2
    )


def test_gauges_have_another_unit() -> None:
    """A relative error per sample, in the unit it is told; never negative."""
    demand = values(measured(0.05, per_step=1 / 6000))
    assert demand.std() / demand.mean() == pytest.approx(0.05, rel=0.05)
    assert demand.mean() == pytest.approx(1 / 60, rel=0.01)
    assert values(measured(2.0)).min() == 0


def test_a_population_is_varied() -> None:
    """All kinds, six decades of volume, sharp and flat, on/off and gaps, zones and steps; never negative."""
    strangers = population(60, 7, 300, seed=3)
    means = np.array([np.nanmean(one.values) for one in strangers])
    rough = np.array([np.nanstd(one.values) for one in strangers]) / means
    assert {one.name.split("-")[0] for one in strangers} == {"web", "office", "queue", "bursty", "steady"}
    assert np.log10(means.max() / means[means > 0].min()) > 6
    assert (rough < 0.3).any()
    assert (rough > 2).any()
    assert len({one.timezone for one in strangers}) >= 4
    assert len({one.name for one in strangers}) == 60
    assert 5 < sum(bool(np.isnan(one.values).any()) for one in strangers) < 40
    assert all(len(one.values) == 2016 and one.step_seconds == 300 for one in strangers)
    assert all((one.values[~np.isnan(one.values)] >= 0).all() for one in strangers)


def test_a_population_can_grow() -> None:
    """The first of many are the same, bit for bit, as when only they are drawn; another seed draws others."""
    few, many, others = population(2, 2, seed=5), population(4, 2, seed=5), population(2, 2, seed=6)
    assert [one.values.tobytes() for one in few] == [one.values.tobytes() for one in many[:2]]
    assert few[0].values.tobytes() != others[0].values.tobytes()
