"""Past days mixed into a bundle's forecasts, minute by minute, as the refresh does it."""

from dataclasses import replace

import numpy as np
import pytest

from scaler.history.minutes import local_minutes
from scaler.plan.demand import peak_quantile
from scaler.refresh.combining import Combining
from scaler.refresh.explaining import Explaining
from scaler.series import Forecast, Samples

LEVELS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
WINDOWS = (1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 60)
MIDNIGHT = 19_723 * 86_400.0  # of a Monday
DAY = 86_400.0
BATCH_FROM, BATCH_TO = 150, 190  # minutes after midnight
AHEAD = 420.0
UTC = np.zeros(1, np.int64)


def demand_at(moment: float, days_off: tuple[int, ...] = ()) -> float:
    """100, and 1000 from 02:30 to 03:10."""
    day, second = divmod(moment - MIDNIGHT, DAY)
    is_batch = BATCH_FROM * 60 < second <= BATCH_TO * 60 and int(day) not in days_off
    return 1000.0 if is_batch else 100.0


def bundle(at: float, level: float = 110.0, step_seconds: float = 60.0) -> Forecast:
    """A bundle that knows of no batch."""
    quantile = np.linspace(0.9, 1.1, len(LEVELS), dtype=np.float32) * np.float32(level)
    steps, peaks = np.tile(quantile, (120, 1)), np.tile(quantile, (len(WINDOWS), 1))
    return Forecast(at, step_seconds, LEVELS, steps, WINDOWS, peaks, "plain@1")


def samples(start: float, end: float, days_off: tuple[int, ...] = ()) -> Samples:
    times = np.arange(start, end, 60.0)
    return Samples(times, np.array([demand_at(t, days_off) for t in times.tolist()], np.float32))


def remembering(until: float, days: int = 13, offset: int = 0, days_off: tuple[int, ...] = ()) -> Combining:
    combining = Combining()
    combining.add("a")
    past = samples(until - days * DAY, until, days_off)
    combining.remember("a", past, np.full(len(past.times), offset, np.int64), 60.0)
    return combining


def live(combining: Combining, start: float, end: float, offset: int = 0, days_off: tuple[int, ...] = ()) -> Forecast:
    """A refresh every minute; returns the forecast of the last."""
    made: Forecast | None = None
    offset_N = np.array([offset])
    for at in np.arange(start, end + 1, 60.0).tolist():
        combining.observe(["a"], np.array([demand_at(at, days_off)], np.float32), at, offset_N)
        made = combining.combine(["a"], [bundle(at)], at, offset_N, [AHEAD])[0]
    assert made is not None
    return made


def p90(forecast: Forecast, seconds: float = AHEAD) -> float:
    return peak_quantile(forecast, 0.9, forecast.start, forecast.start + seconds)


def after_two_days(**known: object) -> tuple[Combining, float]:
    """A replica that has scored two days, at midnight."""
    combining = remembering(MIDNIGHT + 12 * DAY, **known)  # type: ignore[arg-type]
    for day in (12, 13):
        start = MIDNIGHT + day * DAY
        live(combining, start + 7200, start + 12_600)
    return combining, MIDNIGHT + 14 * DAY


def test_a_sample_that_counts_for_five_minutes_says_nothing_of_those_to_come() -> None:
    combining = Combining()
    combining.add("a")
    combining.observe(["a"], np.array([100.0], np.float32), MIDNIGHT, UTC)
    times = np.arange(MIDNIGHT - DAY, MIDNIGHT, 300.0) + 240
    combining.remember("a", Samples(times, np.full(len(times), 90, np.float32)), np.zeros(len(times), np.int64), 300.0)
    now = int(local_minutes(MIDNIGHT, UTC)[0])
    assert combining.memory.newest("a") == now
    assert combining.memory.known("a")[0][-2:].tolist() == [now - 1, now]


def test_a_daily_batch_is_expected_to_the_minute() -> None:
    combining, midnight = after_two_days()
    early = live(combining, midnight + 7200, midnight + 60 * (BATCH_FROM - 10))
    assert p90(early) < 130
    soon = live(combining, early.start + 60, midnight + 60 * (BATCH_FROM - 6))
    assert p90(soon) == pytest.approx(1000, rel=0.05)
    assert soon.past_share > 0.8
    assert soon.days_alike == (14, 14)
    assert soon.basis.endswith(": every day at 02:30 since 1 January (14 of 14), × 10")


def test_an_edge_after_nothing_at_all_is_explained() -> None:
    """A workload that goes to zero at night."""
    combining = Combining()
    combining.add("a")
    times = np.arange(MIDNIGHT, MIDNIGHT + 14 * DAY, 60.0)
    open_S = (times - MIDNIGHT) % DAY > 9 * 3600
    combining.remember("a", Samples(times, 1000.0 * open_S.astype(np.float32)), np.zeros(len(times), np.int64), 60.0)
    at = MIDNIGHT + 14 * DAY + 9 * 3600 - 240
    combining.observe(["a"], np.zeros(1, np.float32), at, np.zeros(1, np.int64))
    minute_N = local_minutes(at, np.zeros(1, np.int64))
    past = combining.memory.past(["a"], minute_N)
    (found,) = Explaining().explain(["a"], past, minute_N, np.array([1000.0], np.float32), np.ones(1, np.float32))
    assert found is not None
    assert found.sentence == "every day at 09:00 since 1 January (14 of 14), from nothing"


def test_an_edge_is_explained_until_a_little_after_it() -> None:
    combining, midnight = after_two_days()
    said = []
    for minute in range(BATCH_FROM - 20, BATCH_FROM + 14):
        made = live(combining, midnight + 60 * minute, midnight + 60 * minute)
        said.append(made.recurrence is not None)
    assert said == [False] * 12 + [True] * 19 + [False] * 3
    combining.remove("a")
    assert live(combining, midnight + 60 * BATCH_FROM, midnight + 60 * BATCH_FROM).recurrence is None


def test_its_end_is_known_too() -> None:
    combining, midnight = after_two_days()
    last = live(combining, midnight + 7200, midnight + 60 * (BATCH_TO + 1))
    assert p90(last) < 130


def test_a_new_trigger_without_past_days_has_the_forecast_of_the_bundle() -> None:
    combining = Combining()
    combining.add("a")
    made = live(combining, MIDNIGHT, MIDNIGHT + 600)
    assert made.past_share == 0
    assert made.basis == "plain@1"
    assert p90(made) == pytest.approx(p90(bundle(MIDNIGHT)))


def test_a_day_off_costs_little_and_is_not_unlearned() -> None:
    combining, midnight = after_two_days()
    live(combining, midnight + 7200, midnight + 12_600, days_off=(14,))
    next_day = midnight + DAY
    soon = live(combining, next_day + 7200, next_day + 60 * (BATCH_FROM - 6))
    assert p90(soon) == pytest.approx(1000, rel=0.1)


def test_a_gap_in_the_memory_leaves_the_other_days() -> None:
    combining = Combining()
    combining.add("a")
    start = MIDNIGHT + 12 * DAY
    for first, last in ((-1, 5), (7, 12)):  # nothing is known of day 5 and 6
        past = samples(MIDNIGHT + first * DAY, MIDNIGHT + last * DAY)
        combining.remember("a", past, np.zeros(len(past.times), np.int64), 60.0)
    live(combining, start + 7200, start + 12_600)
    soon = live(combining, start + DAY + 7200, start + DAY + 60 * (BATCH_FROM - 6))
    assert p90(soon) == pytest.approx(1000, rel=0.05)


def test_the_clock_of_the_time_zone_counts() -> None:
    """Two hours ahead of UTC and then one, as in Europe in October: the batch stays at 02:30 by the local clock."""
    combining = Combining()
    combining.add("a")
    change = MIDNIGHT + 12 * DAY
    past = samples(change - 13 * DAY, change)
    combining.remember("a", replace_times(past, -7200), np.full(len(past.times), 7200), 60.0)
    for day in (12, 13):
        for second in range(7200, 12_600, 60):
            local = MIDNIGHT + day * DAY + second
            at, offset_N = local - 3600, np.array([3600])
            combining.observe(["a"], np.array([demand_at(local)], np.float32), at, offset_N)
            made = combining.combine(["a"], [bundle(at)], at, offset_N, [AHEAD])[0]
            if day == 13 and second == 60 * (BATCH_FROM - 6):
                assert made is not None
                assert p90(made) == pytest.approx(1000, rel=0.05)


def replace_times(samples: Samples, seconds: float) -> Samples:
    return Samples(samples.times + seconds, samples.values)


def test_demand_with_a_new_number_every_five_minutes_has_that_step() -> None:
    combining = Combining()
    for key, step in (("a", 5), ("b", 1)):
        combining.add(key)
        new = np.repeat(np.random.default_rng(1).integers(100, 200, 1440 // step), step)
        past = Samples(MIDNIGHT + 60.0 * np.arange(1440), new.astype(np.float32))
        combining.remember(key, past, np.zeros(1440, np.int64), 60.0)
    at = MIDNIGHT + DAY
    made = combining.combine(["a", "b"], [bundle(at)] * 2, at, np.zeros(2, np.int64), [AHEAD] * 2)
    assert [one.data_step_seconds for one in made if one is not None] == [300.0, 0.0]


def test_a_bundle_with_other_steps_is_left_alone() -> None:
    combining, midnight = after_two_days()
    quarter_hours = bundle(midnight, step_seconds=900.0)
    assert combining.combine(["a", "b"], [quarter_hours, None], midnight, np.zeros(2, np.int64), [AHEAD] * 2) == [
        quarter_hours,
        None,
    ]


@pytest.mark.parametrize("horizon", [10, 29])
def test_a_bundle_with_a_short_horizon_is_left_alone(horizon: int) -> None:
    combining, midnight = after_two_days()
    long = bundle(midnight)
    short = replace(long, quantiles_HQ=long.quantiles_HQ[:horizon])
    assert combining.combine(["a"], [short], midnight, UTC, [AHEAD]) == [short]


def test_a_bundle_without_peaks_of_short_windows_is_left_alone() -> None:
    combining, midnight = after_two_days()
    late = replace(bundle(midnight), peak_steps=(60, 120), peaks_WQ=np.ones((2, len(LEVELS)), np.float32))
    assert combining.combine(["a"], [late], midnight, UTC, [AHEAD]) == [late]


def test_a_trigger_that_is_not_kept_is_left_alone() -> None:
    made = bundle(MIDNIGHT)
    assert Combining().combine(["a"], [made], MIDNIGHT, UTC, [AHEAD]) == [made]


def test_many_triggers_do_not_touch_each_other() -> None:
    """A batch that one has is not expected of its neighbours, on whatever page they are."""
    keys = [f"t{i}" for i in range(200)]
    combining = Combining()
    past = samples(MIDNIGHT, MIDNIGHT + 12 * DAY)
    calm = Samples(past.times, np.full(len(past.times), 100, np.float32))
    for i, key in enumerate(keys):
        combining.add(key)
        combining.remember(key, past if i % 3 == 0 else calm, np.zeros(len(past.times), np.int64), 60.0)
    at = MIDNIGHT + 12 * DAY + 60 * (BATCH_FROM - 6)
    made = combining.combine(keys, [bundle(at)] * len(keys), at, np.zeros(len(keys), np.int64), [AHEAD] * len(keys))
    expected = [p90(one) for one in made if one is not None]
    assert min(expected[::3]) > max(expected[1::3] + expected[2::3]) + 50
