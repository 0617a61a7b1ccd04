"""What users might pick instead of Headway: each does what its description says, and none sees the future."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from statsmodels.tsa.holtwinters import ExponentialSmoothing

from training.data.load import Series
from training.replay.policies.averaged import Averaged
from training.replay.policies.hourly import Hourly
from training.replay.policies.last_week import LastWeek
from training.replay.policies.offset import Offset
from training.replay.policies.phpa import DOCUMENTED, Phpa, Seasons, Tuning, chosen, holt_winters
from training.replay.policies.reactive import Reactive
from training.replay.simulation.demand import Demand
from training.replay.simulation.forecasts import Forecasts
from training.replay.simulation.policy import ReplayPolicy
from training.replay.simulation.scenario import Scenario, Setting, Span

DAY = 86_400
HOUR = 3_600
MONDAY = 1_774_828_800.0
"""2026-03-30T00:00:00Z"""
TARGET = 10.0
HOURLY_SEASONS = Seasons(sync_seconds=HOUR, periods=24, stored=4)


def test_phpa_remembers_replicas_and_asks_for_those_of_the_next_period() -> None:
    """Its second metric is what Holt-Winters expects of the next hour's replicas, times the target."""
    scenario = scenario_of(daily(days=8, noise=9.0), begin=7, end=8)
    policy = Phpa(scenario, tuning=Tuning(0.2, 0.01, 0.3), seasons=HOURLY_SEASONS)
    seen = scenario.demand.observed(MONDAY + HOUR * np.arange(8 * 24.0), scenario.setting.observing)
    replicas = np.ceil(seen / TARGET - 1e-9)
    for hour in (0, 5, 23):
        end = 7 * 24 + hour + 1
        expected = holt_winters(replicas[end - 4 * 24 : end, None], 24, 0.2, 0.01, 0.3)[-1, 0]
        assert values(policy, hour * 240)[1] == TARGET * np.ceil(expected)
        assert values(policy, hour * 240 + 239)[1] == TARGET * np.ceil(expected)
    assert policy.answer(0, 0).metrics[1].target == TARGET


def test_phpa_orders_before_a_rise_that_comes_every_day() -> None:
    """In the hour before the daily rise the second metric already asks for the replicas after it."""
    scenario = scenario_of(rising_at(hour=9, low=20.0, high=95.0, days=8), begin=7, end=8)
    policy = Phpa(scenario, seasons=HOURLY_SEASONS)
    nine = world_tick(9 * HOUR)
    assert values(policy, nine - 120) == pytest.approx([20.0, 100.0])
    assert values(policy, world_tick(5 * HOUR)) == pytest.approx([20.0, 20.0])


def test_phpa_foretells_nothing_before_two_seasons() -> None:
    """Until then its second metric is 0, and the HPA follows the first."""
    scenario = scenario_of(daily(days=3), begin=1, end=3)
    policy = Phpa(scenario, tuning=DOCUMENTED, seasons=HOURLY_SEASONS)
    second = [values(policy, k)[1] for k in range(len(scenario))]
    starts = int(np.argmax(np.array(second) > 0))
    # nothing is seen at the first midnight, so the first value of all is the one at 01:00
    assert scenario.sync_K[starts] - MONDAY == 2 * DAY + 7.5
    assert not any(second[:starts])


def test_phpa_holds_the_last_replicas_over_a_gap() -> None:
    """A server that sees nothing for an hour leaves the season where it was."""
    series = daily(days=8)
    series.values[5 * 1440 + 595 : 5 * 1440 + 605] = np.nan
    scenario = scenario_of(series, begin=7, end=8)
    whole = scenario_of(daily(days=8), begin=7, end=8)
    policies = [Phpa(one, tuning=Tuning(0.1, 0.0, 0.1), seasons=HOURLY_SEASONS) for one in (scenario, whole)]
    for hour in range(24):
        with_gap, without = (values(policy, hour * 240)[1] for policy in policies)
        assert with_gap == pytest.approx(without, abs=TARGET)


def test_holt_winters_is_that_of_statsmodels() -> None:
    """PHPA asks statsmodels; from the same start the recursion gives the same values, for several factors at once."""
    random = np.random.default_rng(3)
    values_T = 20 + 8 * np.sin(np.arange(96) * 2 * np.pi / 24) + random.normal(size=96)
    factors = np.array([(0.3, 0.05, 0.2), (0.9, 0.9, 0.9)])
    ours_TN = holt_winters(np.tile(values_T[:, None], 2), 24, *factors.T)
    level = values_T[:24].mean()
    for n, (alpha, beta, gamma) in enumerate(factors):
        model = ExponentialSmoothing(
            values_T,
            trend="add",
            seasonal="add",
            seasonal_periods=24,
            initialization_method="known",
            initial_level=level,
            initial_trend=(values_T[24:48].mean() - level) / 24,
            initial_seasonal=values_T[:24] - level,
        ).fit(smoothing_level=alpha, smoothing_trend=beta, smoothing_seasonal=gamma, optimized=False)
        assert ours_TN[:-1, n] == pytest.approx(model.fittedvalues[1:])
        assert ours_TN[-1, n] == pytest.approx(model.forecast(1)[0])


def test_the_factors_chosen_beat_the_documented_ones_on_noise() -> None:
    """A noisy daily season wants little smoothing weight on the newest value; too little history is not judged."""
    random = np.random.default_rng(5)
    replicas_T = np.round(20 + 8 * np.sin(np.arange(240) * 2 * np.pi / 24) + random.normal(0, 2, 240))
    best = chosen(replicas_T, 24)

    def error(one: Tuning) -> float:
        next_T = holt_winters(replicas_T[:, None], 24, one.alpha, one.beta, one.gamma)[:, 0]
        return float(((next_T[48:-1] - replicas_T[49:]) ** 2).mean())

    assert error(best) < 0.2 * error(DOCUMENTED)
    assert best.alpha <= 0.3
    assert chosen(replicas_T[:71], 24) == DOCUMENTED


def test_offset_says_the_median_of_the_one_step_that_covers_now_plus_offset() -> None:
    """Not the peak on the way there, no other level, and nothing of what is observed."""
    series = daily(days=2)
    scenario = scenario_of(series, begin=1, end=2)
    forecasts = forecasts_from(scenario)
    policy = Offset(scenario, forecasts, offset_seconds=150.0)
    for k, step in ((0, 2), (1, 2), (2, 2), (3, 3), (4, 2)):
        issue = k // 4
        assert values(policy, k) == pytest.approx([forecasts.quantiles_IHQ[issue, step, 1]])
    assert policy.answer(0, 0).metrics[0].target == TARGET


def test_offset_holds_the_newest_sound_forecast_and_says_0_without_one() -> None:
    """As `elastic-forecast` does while no bucket covers the moment; beside the reactive trigger that one goes on."""
    scenario = scenario_of(daily(days=2), begin=1, end=2)
    whole = forecasts_from(scenario)
    newest_I = whole.newest_I.copy()
    newest_I[:5], newest_I[10:200] = -1, 9
    forecasts = replace(whole, newest_I=newest_I)
    policy = Offset(scenario, forecasts, offset_seconds=60.0)
    beside = Offset(scenario, forecasts, offset_seconds=60.0, beside=True)
    assert values(policy, 0) == [0.0]
    assert not policy.answer(0, 0).active
    assert values(policy, 4 * 12) == pytest.approx([whole.quantiles_IHQ[9, 3, 1]])
    assert values(policy, 4 * 150) == [0.0]
    assert values(beside, 4 * 150) == [Reactive(scenario).answer(4 * 150, 0).metrics[0].value, 0.0]
    assert beside.answer(0, 0).active


def test_offset_refuses_what_no_forecast_reaches() -> None:
    """A point behind the last step kept, or no point ahead, and a bundle without a median."""
    scenario = scenario_of(daily(days=2), begin=1, end=2)
    forecasts = forecasts_from(scenario)
    for seconds in (0.0, 601.0):
        with pytest.raises(ValueError, match=f"offset_seconds {seconds:g}: .* 600"):
            Offset(scenario, forecasts, offset_seconds=seconds)
    with pytest.raises(ValueError, match=r"levels .* 0\.5 must be one of them"):
        Offset(scenario, replace(forecasts, levels=(0.1, 0.4, 0.9)), offset_seconds=60.0)


def test_averaged_is_the_weighted_mean_of_measured_and_predicted() -> None:
    """At share 0 it is reactive, at 1 the point forecast, between them the mean; a missing value is an error."""
    scenario = scenario_of(daily(days=2), begin=1, end=2)
    forecasts = forecasts_from(scenario)
    reactive, offset = Reactive(scenario), Offset(scenario, forecasts, 300.0)
    for share in (0.0, 0.3, 1.0):
        policy = Averaged(scenario, forecasts, 300.0, share)
        for k in (0, 1000, 5000):
            measured, predicted = values(reactive, k)[0], values(offset, k)[0]
            assert values(policy, k) == pytest.approx([(1 - share) * measured + share * predicted])
    no_progress = replace(forecasts, newest_I=np.full_like(forecasts.newest_I, -1))
    assert Averaged(scenario, no_progress, 300.0).answer(0, 0).metrics[0].value is None
    with pytest.raises(ValueError, match=r"share 1\.5: must lie from 0 to 1"):
        Averaged(scenario, forecasts, 300.0, 1.5)


def test_the_hourly_plan_is_the_mean_of_the_same_hours_peaks() -> None:
    """The largest five minutes of the hour count, on the same weekday of the last two weeks, raised 300 s before."""
    series = constant(days=22, value=10.0)
    for day, value in ((7, 50.0), (14, 70.0), (20, 1000.0)):
        series.values[day * 1440 + 9 * 60 + 20 : day * 1440 + 9 * 60 + 25] = value
    policy = Hourly(scenario_of(series, begin=21, end=22))
    planned = [values(policy, k)[1] for k in range(DAY // 15)]
    before = world_tick(9 * HOUR - 300)
    assert planned[before - 1] == pytest.approx(10.0)
    assert planned[before : world_tick(10 * HOUR)] == pytest.approx([60.0] * 260)
    assert planned[world_tick(10 * HOUR)] == pytest.approx(10.0)


def test_the_hourly_plan_takes_all_days_while_there_is_no_same_weekday() -> None:
    """On the third day it is the mean of the two before."""
    series = constant(days=3, value=10.0)
    series.values[9 * 60 : 10 * 60], series.values[1440 + 9 * 60 : 1440 + 10 * 60] = 30.0, 60.0
    policy = Hourly(scenario_of(series, begin=2, end=3))
    assert values(policy, world_tick(9.5 * HOUR))[1] == pytest.approx(45.0)


def test_the_hourly_plan_needs_a_day_and_is_made_every_six_hours() -> None:
    """With history from 02:00 on, 24 hours are there at 02:00, and the first plan after that is made at 06:00."""
    series = replace(constant(days=2, value=10.0), start=MONDAY + 2 * HOUR)
    policy = Hourly(scenario_of(series, begin=1, end=2))
    planned = [values(policy, k)[1] for k in range(DAY // 15)]
    six = world_tick(6 * HOUR)
    assert not any(planned[:six])
    assert planned[six:] == pytest.approx([10.0] * (len(planned) - six))


def test_the_hourly_plan_refuses_a_buffer_of_an_hour() -> None:
    """As the cloud does."""
    with pytest.raises(ValueError, match="buffer_seconds 3600: must lie from 0 to below 3600"):
        Hourly(scenario_of(constant(days=2, value=1.0), begin=1, end=2), buffer_seconds=3600.0)


def test_last_week_is_the_largest_of_the_half_hour_after_this_time_last_week() -> None:
    """A peak of last week is asked for from half an hour before its time until the metric server stops seeing it."""
    series = constant(days=9, value=10.0)
    series.values[1440 + 600 : 1440 + 602] = 80.0
    scenario = scenario_of(series, begin=8, end=9)
    policy = LastWeek(scenario)
    second = np.array([values(policy, k)[1] for k in range(len(scenario))])
    asked = np.flatnonzero(second == 80.0)
    # a rate over 60 s, 15 s old: seen as 80 from 10:01:15 to 10:02:15; each sync samples 7.5 s after a multiple of 15 s
    assert scenario.sync_K[asked[0]] == MONDAY + 8 * DAY + 10 * HOUR + 75 + 7.5 - 1800
    assert scenario.sync_K[asked[-1]] == MONDAY + 8 * DAY + 10 * HOUR + 135 - 7.5 - 15
    assert (np.diff(asked) == 1).all()
    assert second[: asked[0] - 4] == pytest.approx(10.0)


def test_last_week_adds_nothing_in_the_first_week() -> None:
    """KEDA reads an empty result as 0; the reactive trigger goes on, also where it alone has no value."""
    series = constant(days=3, value=10.0)
    series.values[2 * 1440 + 100 : 2 * 1440 + 200] = np.nan
    scenario = scenario_of(series, begin=2, end=3)
    policy = LastWeek(scenario)
    assert values(policy, 0) == [10.0, 0.0]
    answer = policy.answer(world_tick(150 * 60), 0)
    assert [one.value for one in answer.metrics] == [None, 0.0]
    assert not answer.active


def made(name: str, scenario: Scenario) -> ReplayPolicy:
    makes: dict[str, Callable[[], ReplayPolicy]] = {
        "phpa": lambda: Phpa(scenario),
        "averaged": lambda: Averaged(scenario, forecasts_from(scenario), 300.0),
        "offset": lambda: Offset(scenario, forecasts_from(scenario), 300.0),
        "hourly": lambda: Hourly(scenario),
        "last week": lambda: LastWeek(scenario),
    }
    return makes[name]()


@pytest.mark.parametrize(
    ("name", "days"), [("phpa", 1), ("averaged", 1), ("offset", 1), ("hourly", 2), ("last week", 8)]
)
@pytest.mark.parametrize("kind", ["larger", "unknown"])
def test_nothing_after_a_moment_changes_an_answer_before_it(name: str, days: int, kind: str) -> None:
    """Demand after it is three times as large, or not on record; only later answers may differ, and some do."""
    moment = MONDAY + 8 * DAY + 12 * HOUR
    series = daily(days=8 + days, noise=3.0)
    changed = replace(series, values=series.values.copy())
    changed.values[round((moment - MONDAY) / 60) :] *= 3 if kind == "larger" else np.nan
    scenarios = [scenario_of(one, begin=8, end=8 + days) for one in (series, changed)]
    one, other = (made(name, scenario) for scenario in scenarios)
    same = [one.answer(k, 3) == other.answer(k, 3) for k in range(len(scenarios[0]))]
    before = int(np.searchsorted(scenarios[0].sync_K, moment))
    assert all(same[:before])
    assert not all(same[before:])


def scenario_of(series: Series, begin: int, end: int) -> Scenario:
    """From day `begin` to day `end` after Monday."""
    span = Span(MONDAY + begin * DAY, MONDAY + end * DAY)
    return Scenario(Demand(series), Setting(threshold=TARGET, capacity=12.0), span)


def world_tick(seconds: float) -> int:
    """The first tick at or after so many seconds of the first day."""
    return round(seconds / 15)


def values(policy: ReplayPolicy, k: int) -> list[float | None]:
    return [one.value for one in policy.answer(k, 3).metrics]


def constant(days: int, value: float) -> Series:
    return Series("test", "made", "", MONDAY, 60, np.full(days * 1440, value, np.float32))


def daily(days: int, noise: float = 0.0) -> Series:
    """A wave with a period of a day between 20 and 180."""
    wave = 100 - 80 * np.cos(np.arange(days * 1440) * 2 * np.pi / 1440)
    uneven = np.random.default_rng(1).normal(0, noise, len(wave))
    return replace(constant(days, 0.0), values=(wave + uneven).astype(np.float32))


def rising_at(hour: int, low: float, high: float, days: int) -> Series:
    """`high` for three hours of every day."""
    minute = np.arange(days * 1440) % 1440
    high_now = (minute >= hour * 60 - 5) & (minute < (hour + 3) * 60)
    return replace(constant(days, 0.0), values=np.where(high_now, high, low).astype(np.float32))


def forecasts_from(scenario: Scenario) -> Forecasts:
    """Issued every minute, ten steps of a minute: what was observed then, growing by the step; levels 20 % apart."""
    issued_I = scenario.span.begin + 60.0 * np.arange((scenario.span.end - scenario.span.begin) / 60)
    seen_I = scenario.demand.observed(issued_I, scenario.setting.observing)
    newest_I = np.maximum.accumulate(np.where(np.isnan(seen_I), -1, np.arange(len(seen_I))))
    grown_H = 1 + 0.1 * np.arange(10)
    quantiles_IHQ = np.nan_to_num(seen_I)[:, None, None] * grown_H[None, :, None] * np.array([0.8, 1.0, 1.2])
    return Forecasts(
        issued_I=issued_I,
        newest_I=newest_I,
        quantiles_IHQ=quantiles_IHQ.astype(np.float32),
        peaks_IWQ=None,
        step_seconds=60.0,
        levels=(0.1, 0.5, 0.9),
        peak_steps=(),
        model="stand-in@1",
    )
