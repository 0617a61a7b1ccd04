"""The ring of minutes: today and past days, by local time."""

import numpy as np
import psutil
import pytest

from scaler.history.minutes import (
    AHEAD,
    BEFORE,
    DAYS,
    KEPT_MINUTES,
    MinuteMemory,
    lag_minutes,
    local_minutes,
    weekday,
)
from scaler.series import DAY_MINUTES, Floats

NOW = 29_000_160  # 02:40 of some day
MONDAY_2024_01_01 = 1_704_067_200


def demand_of(minute: int) -> float:
    """A number that tells day and minute apart, exact in half floats."""
    day, place = divmod(minute, DAY_MINUTES)
    return float(day % 32 * 64 + place % 64)


def filled(newest: int = NOW, days: int = DAYS) -> MinuteMemory:
    memory = MinuteMemory()
    memory.add("a")
    minutes = np.arange(newest - days * DAY_MINUTES + 1, newest + 1)
    memory.fill("a", minutes, np.array([demand_of(m) for m in minutes.tolist()], np.float32))
    return memory


def at(memory: MinuteMemory, *minutes: int) -> list[float]:
    found: Floats = memory.at(["a"], np.array([minutes]))
    return [float(value) for value in found[0]]


def put(memory: MinuteMemory, value: float, minute: int) -> None:
    memory.put(["a"], np.array([value], np.float32), np.array([minute]))


def test_a_minute_is_named_by_its_end() -> None:
    assert local_minutes(59.9, np.array([0, 3600])).tolist() == [1, 61]
    assert local_minutes(60.0, np.array([0])).tolist() == [1]
    assert local_minutes(60.1, np.array([0])).tolist() == [2]


@pytest.mark.parametrize(("second", "minutes"), [(0, 1), (15, 0), (44.9, 0), (45, 1), (59.9, 1)])
def test_a_window_that_ends_early_in_a_minute_is_on_record_within_it(second: float, minutes: int) -> None:
    """Demand is on record 75 s later: of a window that ends at 09:00:15, in the minute that ends at 09:01."""
    assert lag_minutes(1000 * 60 + second, np.array([0, 7200])).tolist() == [minutes, minutes]


def test_weekdays_begin_with_monday() -> None:
    minute = MONDAY_2024_01_01 // 60
    assert weekday(np.array([minute, minute - 1, minute + 6 * DAY_MINUTES])).tolist() == [0, 6, 6]


@pytest.mark.parametrize("now", [NOW, NOW - 150, NOW - 155 + DAY_MINUTES, NOW + 1000])
def test_past_days_are_those_minutes(now: int) -> None:
    """Also where the window reaches over midnight, in both directions."""
    past = filled(now).past(["a"], np.array([now]))
    around = np.arange(now - BEFORE + 1, now + AHEAD + 1)
    for day in range(1, DAYS + 1):
        expected = [demand_of(minute) for minute in (around - day * DAY_MINUTES).tolist()]
        assert past.ahead_NAD[0, :, day - 1].tolist() == expected[BEFORE:]
        if day < DAYS:
            assert past.before_NBD[0, :, day - 1].tolist() == expected[:BEFORE]
    assert past.today_NB[0].tolist() == [demand_of(minute) for minute in around[:BEFORE].tolist()]
    assert np.isnan(past.before_NBD[0, :, DAYS - 1]).all()


def test_periods_take_the_place_of_days() -> None:
    past = filled().repeated(["a"], np.array([NOW]), np.array([37]))
    assert past.ahead_NAD[0, :5, 1].tolist() == [demand_of(NOW + ahead - 74) for ahead in range(1, 6)]
    assert past.before_NBD[0, -1, 0] == demand_of(NOW - 37)
    assert past.today_NB[0, -1] == demand_of(NOW)


def test_a_period_that_is_not_over_is_unknown() -> None:
    past = filled().repeated(["a"], np.array([NOW]), np.array([20]))
    assert not np.isnan(past.ahead_NAD[0, 19, 0])
    assert np.isnan(past.ahead_NAD[0, 20:, 0]).all()


def test_the_last_observation_of_a_minute_counts() -> None:
    memory = filled()
    put(memory, 5.0, NOW + 1)
    put(memory, 7.0, NOW + 1)
    assert at(memory, NOW + 1) == [7.0]


def test_a_gap_is_unknown_and_not_what_was_there_two_weeks_before() -> None:
    memory = filled()
    put(memory, 5.0, NOW + 3)
    assert np.isnan(at(memory, NOW + 1, NOW + 2)).all()
    assert at(memory, NOW + 3) == [5.0]


def test_a_missing_observation_is_unknown_and_not_what_was_there_two_weeks_before() -> None:
    memory = filled()
    put(memory, float("nan"), NOW + 1)
    assert np.isnan(at(memory, NOW + 1)).all()


def test_reading_moves_on_too() -> None:
    memory = filled()
    past = memory.past(["a"], np.array([NOW + 10]))
    assert np.isnan(past.today_NB[0, -10:]).all()
    assert past.today_NB[0, -11] == demand_of(NOW)


def test_two_weeks_without_an_observation_leave_nothing() -> None:
    memory = filled()
    put(memory, 5.0, NOW + KEPT_MINUTES)
    assert memory.known("a")[0].tolist() == [NOW + KEPT_MINUTES]


def test_an_hour_that_comes_twice_is_written_again() -> None:
    """Clocks were set back: the second pass replaces the first, and nothing else is lost."""
    memory = filled()
    put(memory, 5.0, NOW - 60)
    assert at(memory, NOW - 61, NOW - 60, NOW - 59) == [demand_of(NOW - 61), 5.0, demand_of(NOW - 59)]


def test_what_was_observed_is_not_replaced_by_what_is_fetched() -> None:
    memory = MinuteMemory()
    memory.add("a")
    put(memory, 5.0, NOW)
    memory.fill("a", np.array([NOW - 1, NOW]), np.array([1.0, 1.0], np.float32))
    assert at(memory, NOW - 1, NOW) == [1.0, 5.0]


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e9])
def test_any_unit_is_kept_within_a_thousandth(scale: float) -> None:
    memory = MinuteMemory()
    memory.add("a")
    values = scale * np.array([0.0, 0.01, 1.0, 50.0, 4000.0, 3.0], np.float32)
    for i, value in enumerate(values.tolist()):
        put(memory, value, NOW + i)
    assert at(memory, *range(NOW, NOW + 6)) == pytest.approx(values.tolist(), rel=1e-3, abs=1e-6 * scale)


@pytest.mark.parametrize("absurd", [1e9, 9e15])
@pytest.mark.parametrize("how", ["observed", "fetched"])
def test_an_absurd_sample_does_not_erase_the_others(how: str, absurd: float) -> None:
    """Half floats have room for six powers of ten: larger demand than that beside the usual one is cut."""
    memory, before = filled(), at(filled(), *range(NOW - 50, NOW))
    if how == "observed":
        put(memory, absurd, NOW + 1)
    else:
        memory.fill("a", np.array([NOW + 1]), np.array([absurd], np.float32))
    put(memory, 100.0, NOW + 2)
    assert at(memory, *range(NOW - 50, NOW)) == pytest.approx(before, rel=1e-3)
    assert at(memory, NOW + 2) == pytest.approx([100.0], rel=1e-3)
    assert at(memory, NOW + 1)[0] > 1e8


def day_of(value: float, **absurd: float) -> Floats:
    """A day of minutes around `value`, and what is absurd, by minute."""
    demand = np.float32(value) + np.arange(DAY_MINUTES, dtype=np.float32) % 7 * np.float32(value / 10)
    for minute, other in absurd.items():
        demand[int(minute.removeprefix("m"))] = other
    return demand


@pytest.mark.parametrize(("usual", "absurd"), [(100.0, 1e15), (0.05, 1.7e9), (100.0, 1e12)])
@pytest.mark.parametrize("minute", ["m0", "m20", "m600", "m1439"])
def test_an_absurd_sample_of_the_first_day_that_is_fetched_spoils_no_other(
    usual: float, absurd: float, minute: str
) -> None:
    memory = MinuteMemory()
    memory.add("a")
    put(memory, usual, NOW)
    demand = day_of(usual, **{minute: absurd})
    memory.fill("a", np.arange(NOW - DAY_MINUTES, NOW), demand)
    found = np.array(at(memory, *range(NOW - DAY_MINUTES, NOW)))
    others = np.arange(DAY_MINUTES) != int(minute[1:])
    assert found[others] == pytest.approx(demand[others], rel=1e-3)
    assert memory.past(["a"], np.array([NOW])).mean_N[0] < 3 * usual


@pytest.mark.parametrize("known", [0, 1, 45, 700])
def test_an_absurd_observation_in_the_first_hours_spoils_half_a_day_at_most(known: int) -> None:
    """Also as the first one of all, where nothing is fetched. Nothing above 0 is read as 0."""
    memory = MinuteMemory()
    memory.add("a")
    demand = day_of(100.0, **{f"m{known}": 1e15})
    for i, value in enumerate(demand.tolist()):
        put(memory, value, NOW + i)
    found = np.array(at(memory, *range(NOW, NOW + DAY_MINUTES)))
    assert found[known + 720 :] == pytest.approx(demand[known + 720 :], rel=1e-3)
    assert (found > 0).all()


def test_many_absurd_samples_do_not_make_each_other_usual() -> None:
    memory = filled()
    before = at(filled(), *range(NOW - 50, NOW))
    for i in range(120):
        put(memory, 9e15, NOW + i)
    for i in range(120, 240):
        put(memory, 100.0, NOW + i)
    assert at(memory, *range(NOW - 50, NOW)) == pytest.approx(before, rel=1e-3)
    assert at(memory, *range(NOW + 180, NOW + 240)) == pytest.approx([100.0] * 60, rel=1e-3)


def test_a_batch_that_is_rare_and_large_is_kept() -> None:
    """Ten minutes a day, a million times what there is else."""
    memory, demand = MinuteMemory(), np.full(3 * DAY_MINUTES, 1e-4, np.float32)
    memory.add("a")
    demand[np.arange(len(demand)) % DAY_MINUTES < 10] = 100.0
    memory.fill("a", np.arange(NOW - len(demand), NOW), demand)
    assert at(memory, *range(NOW - len(demand), NOW)) == pytest.approx(demand.tolist(), rel=1e-2)


def test_the_mean_is_over_all_that_is_known() -> None:
    memory = MinuteMemory()
    memory.add("a")
    memory.fill("a", np.arange(NOW - 99, NOW + 1), np.full(100, 8.0, np.float32))
    assert memory.past(["a"], np.array([NOW])).mean_N[0] == pytest.approx(8.0)


def test_a_key_that_comes_back_knows_nothing() -> None:
    memory = filled()
    memory.add("b")
    memory.remove("a")
    memory.add("a")
    assert memory.known("a")[0].size == 0
    assert np.isnan(memory.past(["gone"], np.array([NOW])).ahead_NAD).all()


def test_a_demand_of_zero_is_known() -> None:
    memory = MinuteMemory()
    memory.add("a")
    memory.fill("a", np.array([NOW - 2, NOW - 1]), np.array([0.0, 5.0], np.float32))
    put(memory, 0.0, NOW)
    assert at(memory, NOW - 3, NOW - 2, NOW - 1, NOW)[1:] == [0.0, 5.0, 0.0]
    assert np.isnan(at(memory, NOW - 3)[0])
    assert not np.signbit(memory.at(["a"], np.array([[NOW, NOW - 2]]))).any()


def test_a_demand_that_is_next_to_nothing_stays_known() -> None:
    """Also when a much larger one comes, and the row is scaled anew."""
    memory = MinuteMemory()
    memory.add("a")
    for i, value in enumerate((1e-9, 1.0, 1e9)):
        put(memory, value, NOW + i)
    assert at(memory, NOW, NOW + 1, NOW + 2) == pytest.approx([0.0, 1.0, 1e9], rel=1e-3, abs=1e5)


def test_new_triggers_take_little_memory() -> None:
    """Half an hour of 640 triggers; two weeks of each would take 26 MB."""
    process = psutil.Process()
    memory = MinuteMemory()
    keys = [f"t{i}" for i in range(640)]
    before = process.memory_info().rss
    for key in keys:
        memory.add(key)
    for minute in range(NOW, NOW + 30):
        memory.put(keys, np.ones(len(keys), np.float32), np.full(len(keys), minute))
    assert process.memory_info().rss - before < 12e6
    for key in keys[1:]:
        memory.remove(key)
    assert len(memory) == 1


TODAY = NOW // DAY_MINUTES


def test_only_changed_days_are_to_be_stored() -> None:
    """All that was filled, once; then today, and yesterday after midnight."""
    memory = filled()
    changed = memory.take_changed("a")
    assert set(changed) == set(range(TODAY - DAYS, TODAY + 1))
    assert changed[TODAY - 3].tolist() == [demand_of((TODAY - 3) * DAY_MINUTES + place) for place in range(DAY_MINUTES)]
    assert memory.take_changed("a") == {}
    put(memory, 7.0, NOW + 1)
    assert set(memory.take_changed("a")) == {TODAY}
    put(memory, 7.0, (TODAY + 1) * DAY_MINUTES - 1)
    put(memory, 8.0, (TODAY + 1) * DAY_MINUTES)
    changed = memory.take_changed("a")
    assert set(changed) == {TODAY, TODAY + 1}
    assert changed[TODAY][-1] == 7
    assert changed[TODAY + 1][0] == 8
    assert np.isnan(changed[TODAY + 1][1:]).all()


def test_what_is_stored_need_not_be_stored_again() -> None:
    """Only the days in which something was filled that the store did not have."""
    memory = MinuteMemory()
    memory.add("a")
    minutes = np.arange(NOW - 3 * DAY_MINUTES, NOW - 100)
    memory.fill("a", minutes, np.ones(len(minutes), np.float32), is_stored=True)
    assert memory.take_changed("a") == {}
    memory.fill("a", minutes, np.ones(len(minutes), np.float32))
    assert memory.take_changed("a") == {}
    memory.fill("a", minutes - 60, np.ones(len(minutes), np.float32))
    assert set(memory.take_changed("a")) == {minutes[0] // DAY_MINUTES - 1}


def test_what_could_not_be_stored_is_taken_again() -> None:
    memory = filled()
    days = memory.take_changed("a")
    memory.mark_changed("a", [TODAY - 2, TODAY])
    assert set(memory.take_changed("a")) == {TODAY - 2, TODAY} < set(days)


def test_a_key_that_is_not_kept_has_nothing_to_be_stored() -> None:
    memory = filled()
    memory.mark_changed("b", [TODAY])
    assert memory.take_changed("b") == {}
    memory.add("b")
    memory.mark_changed("b", [TODAY])
    assert memory.take_changed("b") == {}  # nothing is known of it
    memory.remove("a")
    memory.add("a")
    assert memory.take_changed("a") == {}
