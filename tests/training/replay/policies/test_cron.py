"""KEDA's cron triggers: windows that the days before the span suggest."""

import numpy as np
import pytest

from scaler.plan.hpa import Hpa
from training.data.load import Series
from training.data.schedules import KINDS
from training.data.synthetic import MONDAY
from training.replay.policies.cron import Cron, Windows, set_by_hand
from training.replay.simulation.demand import Demand
from training.replay.simulation.scenario import Scenario, Setting, Span
from training.replay.simulation.start_up import Constant

DAY = 86_400
TARGET = 10.0


def scenario(series: Series, days: float = 14) -> Scenario:
    """The last days, with two replicas a minute late: windows begin three minutes early."""
    setting = Setting(TARGET, TARGET, Constant(120.0), Hpa(max_replicas=2000))
    return Scenario(Demand(series), setting, Span(series.end - days * DAY, series.end))


def of(kind: str) -> Windows:
    found = set_by_hand(scenario(KINDS[kind].series(kind)), TARGET)
    assert found is not None
    return found


def made(values: np.ndarray, timezone: str = "UTC") -> Series:
    return Series("made", "web", "", MONDAY, 60, np.asarray(values, np.float32), timezone)


def at(windows: Windows, day: int, minute: int) -> float:
    """What is asked for at a minute of a day; day 0 is a Monday."""
    return float(windows.at(np.array([int(MONDAY) // 60 + 1440 * day + minute]))[0])


def test_opening_hours_are_windows_on_weekdays() -> None:
    """They begin three minutes and the smoothing early, ask for what the opening needs, and end soon after."""
    found = of("opening hours")
    assert found.calendar == "weekdays and weekends"
    assert at(found, 1, 9 * 60 - 8) == 0
    assert at(found, 1, 9 * 60) > 80
    assert at(found, 1, 12 * 60) >= 105
    assert at(found, 1, 18 * 60 + 5) == 0
    assert at(found, 5, 12 * 60) == 0


@pytest.mark.parametrize(
    ("kind", "calendar"),
    [
        ("batch at 02:30", "every day"),
        ("crontab every 20 min", "every hour"),
        ("weekly batch", "each weekday"),
        ("half-day on Fridays", "each weekday"),
    ],
)
def test_the_calendar_is_that_of_the_schedule(kind: str, calendar: str) -> None:
    assert of(kind).calendar == calendar


def test_windows_are_local() -> None:
    """They follow the clock change, as the trigger names a time zone."""
    one = scenario(KINDS["clock change"].series("clock change"))
    policy = Cron(one)
    cron_K = np.array([policy.answer(k, 1).metrics[1].value for k in range(len(one))])
    utc_K = (one.sync_K % DAY) // 60
    before = one.sync_K < one.span.begin + 5 * DAY
    after = one.sync_K > one.span.begin + 7 * DAY
    assert cron_K[before & (utc_K == 455)].max() == 0  # 08:35 in Berlin
    assert cron_K[after & (utc_K == 455)].max() > 1000  # 09:35


def test_what_is_flat_or_short_has_no_windows() -> None:
    """Nothing to set, or less than two days to set it from: the reactive trigger alone."""
    flat = made(np.full(28 * 1440, 100.0))
    assert set_by_hand(scenario(flat), TARGET) is None
    short = made(KINDS["opening hours"].series("short").values[: 3 * 1440])
    assert set_by_hand(scenario(short, days=1.5), TARGET) is None
    cron = Cron(scenario(flat))
    assert {cron.answer(k, 1).metrics[1].value for k in range(100)} == {0.0}


def test_windows_are_set_from_the_days_before_alone() -> None:
    """Demand in the span changes nothing."""
    one = KINDS["opening hours"].series("opening hours")
    changed = one.values.copy()
    changed[14 * 1440 :] = 5000
    mine, theirs = (set_by_hand(scenario(made(values)), TARGET) for values in (one.values, changed))
    assert mine is not None
    assert theirs is not None
    np.testing.assert_array_equal(mine.replicas_C, theirs.replicas_C)


def test_nobody_sets_hundreds_of_windows() -> None:
    """Demand that jumps every ten minutes of its own accord, differently every day."""
    random = np.random.default_rng(1)
    values = np.repeat(random.lognormal(5, 1, 28 * 144), 10)
    found = set_by_hand(scenario(made(values)), TARGET)
    assert found is None or (np.diff(found.replicas_C) > 0).sum() <= 12 * 7


def test_a_gap_is_no_demand_to_be_set() -> None:
    """Minutes without a record count neither as need nor as none."""
    values = KINDS["batch at 02:30"].series("batch").values.copy()
    values[3 * 1440 : 4 * 1440] = np.nan
    found = set_by_hand(scenario(made(values)), TARGET)
    assert found is not None
    assert at(found, 3, 160) > 100
