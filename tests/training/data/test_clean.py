"""What is kept out of training, what must not be, and that nothing is altered."""

import numpy as np
import pytest

from scaler.series import Grid
from training.data.clean import Cleaned, clean, without_counters, without_marked
from training.data.load import Loaded, Series
from training.data.synthetic import (
    MONDAY,
    Clock,
    batch,
    counted,
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
from training.data.windows import cut

WEEKS = Clock(days=28)
DAY = 1440
LIVELY = [daily(), weekly(), fluctuation(0.05, 30), counted()]


def demand(*ingredients, clock: Clock = WEEKS, volume: float = 300.0, seed: int = 2) -> Series:
    return series("web", ingredients or LIVELY, clock, volume=volume, seed=seed)


def altered(one: Series, places: slice, factor: float) -> Series:
    values = one.values.copy()
    values[places] *= factor
    return Series(one.system, one.name, one.unit, one.start, one.step_seconds, values)


def kinds(cleaned: Cleaned) -> list[str]:
    return [finding.kind for finding in cleaned.report]


def test_an_ordinary_series_is_left_alone() -> None:
    """Nothing is found in demand that is as usual, and gaps are no finding."""
    cleaned = clean(demand(*LIVELY, gaps(0.03, 60)))
    assert (cleaned.report, cleaned.mask_S.any()) == ((), np.False_)


def test_nothing_is_altered() -> None:
    """Values stay as they are, gaps stay NaN and unmarked; only the copy for whole-record fits has new gaps."""
    one = altered(demand(*LIVELY, gaps(0.02)), slice(12 * DAY + 700, 12 * DAY + 706), 8)
    before = one.values.copy()
    cleaned = clean(one)
    assert cleaned.series is one
    np.testing.assert_array_equal(one.values, before)
    assert not cleaned.mask_S[np.isnan(before)].any()
    assert cleaned.mask_S.any()
    np.testing.assert_array_equal(np.isnan(cleaned.kept.values), np.isnan(before) | cleaned.mask_S)


@pytest.mark.parametrize(("factor", "usual"), [(6.0, "spike"), (0.2, "dip")])
def test_a_moment_far_from_usual(factor, usual) -> None:
    """Minutes far above or far below all other days are marked, with their edges, and reported with both figures."""
    one = altered(demand(), slice(12 * DAY + 700, 12 * DAY + 706), factor)
    cleaned = clean(one)
    (finding,) = cleaned.report
    assert np.flatnonzero(cleaned.mask_S).tolist() == list(range(12 * DAY + 700, 12 * DAY + 706))
    assert (finding.kind, finding.since, finding.until) == ("anomaly", MONDAY + 60 * 17_980, MONDAY + 60 * 17_986)
    assert "anomaly 2024-01-13 11:40 to 2024-01-13 11:46: demand of" in str(finding)
    assert "is usual at this time" in finding.words


def peaks(*starts: int) -> Series:
    """Twenty minutes of fivefold demand from each of these minutes on."""
    one = demand()
    for start in starts:
        one = altered(one, slice(start, start + 20), 5)
    return one


def test_peaks_that_recur_at_a_time_of_day_stay() -> None:
    """Far from usual on three days of 28 around the same time is a habit, also where it comes half an hour later."""
    assert not clean(peaks(9 * DAY + 620, 11 * DAY + 645, 15 * DAY + 600)).mask_S.any()


def test_peaks_that_do_not_recur_are_marked() -> None:
    """Two at one time of day, and as many as three at different times, are no habit."""
    for starts in ((9 * DAY + 620, 11 * DAY + 645), (9 * DAY + 620, 11 * DAY + 845, 15 * DAY + 400)):
        assert clean(peaks(*starts)).mask_S.sum() == 20 * len(starts)


def test_a_level_shift_is_no_habit_of_peaks() -> None:
    """A peak after demand fell to a fifth is marked, though it reaches only what was usual before."""
    one = altered(demand(), slice(14 * DAY, 28 * DAY), 0.2)
    assert clean(altered(one, slice(20 * DAY + 700, 20 * DAY + 712), 5)).mask_S.sum() == 12


def test_an_outage_is_marked_and_its_storm() -> None:
    """Half an hour near zero at noon is an outage; the sixfold demand after it an anomaly; both are said."""
    one = demand(daily(), weekly(0.8), outage(9.5, 30, 0.01, 6, 10), counted())
    cleaned = clean(one)
    assert kinds(cleaned) == ["outage", "anomaly"]
    first = round(9.5 * DAY)
    assert cleaned.mask_S[first : first + 30].all()
    assert cleaned.mask_S[first + 30 : first + 36].all()
    assert cleaned.mask_S.sum() < 90
    assert "outage 2024-01-10 12:00 to 2024-01-10 12:30: demand of" in str(cleaned.report[0])


def test_an_outage_with_holes_in_its_record() -> None:
    """Where the monitoring failed as well, the outage goes on behind the gap."""
    one = demand(daily(), outage(9.5, 60, 0.0, 1), counted())
    one.values[round(9.5 * DAY) + 20 : round(9.5 * DAY) + 40] = np.nan
    cleaned = clean(one)
    assert kinds(cleaned) == ["outage"]
    assert cleaned.mask_S.sum() == 40


@pytest.mark.parametrize("resets", [0, 3])
def test_a_raw_counter(resets) -> None:
    """A series that only rises, restarts aside, is a counter: all of it is marked, and the report names the mistake."""
    counts = demand().values.astype(np.float64)
    readings = np.concatenate([np.cumsum(part) for part in np.array_split(counts, resets + 1)])
    one = Series("shop", "total", "", MONDAY, 60, readings.astype(np.float32))
    cleaned = clean(one)
    assert kinds(cleaned) == ["counter"]
    assert cleaned.mask_S.all()
    assert "lacks rate()" in cleaned.report[0].words
    assert (f"falls back {resets} times" if resets else "never falls") in cleaned.report[0].words


def test_raw_counters_join_what_is_refused() -> None:
    """By name, in the words of the finding; what is refused already and the others stay."""
    counts = demand()
    total = Series("shop", "total", "", MONDAY, 60, np.cumsum(counts.values).astype(np.float32))
    sorted_out = without_counters(Loaded((total, counts), without_counters(Loaded((total,), ())).refused))
    assert sorted_out.series == (counts,)
    assert [one.name for one in sorted_out.refused] == ["total", "total"]
    assert sorted_out.refused[0].rule == clean(total).report[0].words


HEALTHY = {
    "growth": [daily(), trend(0.6), fluctuation(0.05), counted()],
    "decline": [daily(), trend(-0.4), counted()],
    "steep growth without noise to speak of": [daily(0.3), trend(1.0), measured(0.001)],
    "a level shift up": [daily(), weekly(), level_shift(13.3, 5), counted()],
    "a level shift down": [daily(), weekly(), level_shift(13.3, 0.15), counted()],
    "switched off for good": [daily(), level_shift(20.4, 0.0), counted()],
    "a short daily peak": [daily(0.5), batch(1440, 605, 8, 8), counted()],
    "hourly jobs": [batch(60, 17, 5, 6), counted()],
    "a weekly job": [daily(0.5), batch(7 * 1440, 605, 20, 10), counted()],
    "sharp opening hours": [opening_hours(8.5, 18, 2, 0.01), fluctuation(0.05), counted()],
    "holidays": [opening_hours(8.5, 18, 2, 0.01), holidays("DE", 0.02), counted()],
    "work that is there or not": [on_off(120, 90), counted()],
    "rare requests": [daily(0.9)],
}


@pytest.mark.parametrize("name", HEALTHY)
def test_what_is_demand_stays(name) -> None:
    """Growth, shifts, regular peaks, opening hours, holidays, on/off work and rare requests are nothing to mark."""
    rare = name == "rare requests"
    recipe = [*HEALTHY[name], counted()] if rare else HEALTHY[name]
    # from New Year on: a day off, at the edge of the record
    cleaned = clean(demand(*recipe, volume=0.2 if rare else 300.0, seed=4))
    assert cleaned.mask_S.mean() < 0.0003, [str(finding) for finding in cleaned.report]


def test_a_change_of_clocks_is_no_anomaly() -> None:
    """In the weeks around a clock change demand moves by an hour in UTC: at most some minutes look odd."""
    clock = Clock(28, 60, 1_710_115_200.0, "Europe/Berlin")  # from 2024-03-11; the change is on 03-31
    recipe = [opening_hours(8.5, 18, 10, 0.05, weekend=True), daily(0.3), fluctuation(0.05), counted()]
    assert clean(demand(*recipe, clock=clock)).mask_S.mean() < 0.002


def test_frequent_bursts_are_the_nature_of_a_series() -> None:
    """Where bursts come several times a day they are what must be forecast: hardly any is marked."""
    cleaned = clean(demand(spikes(8, 6, 10), fluctuation(0.1), counted()))
    assert cleaned.mask_S.mean() < 0.003
    frequent = demand()
    for day in range(28):
        for place in np.random.default_rng(day).choice(DAY, 3, replace=False):
            frequent = altered(frequent, slice(day * DAY + place, day * DAY + place + 1), 9)
    cleaned = clean(frequent)
    assert kinds(cleaned) == ["restless"]
    assert "normal for this series, nothing is marked" in cleaned.report[0].words
    assert not cleaned.mask_S.any()


def test_too_short_to_know_what_is_usual() -> None:
    """Of two days usual demand is unknown: the report says that nothing was looked for."""
    cleaned = clean(altered(demand(clock=Clock(2)), slice(700, 706), 20))
    assert kinds(cleaned) == ["unchecked"]
    assert not cleaned.mask_S.any()


@pytest.mark.parametrize("scale", [1e-9, 1e9])
def test_scale_does_not_matter(scale) -> None:
    """In any unit the same is found."""
    one = altered(demand(*LIVELY[:-1], measured(0.05), outage(9.5, 30)), slice(20 * DAY, 20 * DAY + 5), 9)
    scaled = altered(one, slice(None), scale)
    assert kinds(clean(one)) == ["outage", "anomaly", "anomaly"]
    np.testing.assert_array_equal(clean(scaled).mask_S, clean(one).mask_S)


@pytest.mark.parametrize("step", [300, 900, 3600])
def test_coarser_steps(step) -> None:
    """A four-hour outage is found at five minutes, a quarter and an hour."""
    one = demand(daily(), outage(9.4, 240, 0.0, 1), counted(), clock=Clock(28, step), volume=5 * step)
    (finding,) = clean(one).report
    assert finding.kind == "outage"
    assert finding.until - finding.since == pytest.approx(4 * 3600, abs=step)


@pytest.mark.parametrize("values", [np.zeros(10_000), np.full(10_000, np.nan), np.full(10_000, 5.0), np.arange(3.0)])
def test_nothing_to_look_at(values) -> None:
    """Zeros, gaps, a constant and three bins are no reason to fail."""
    assert not clean(Series("shop", "web", "", MONDAY, 60, values.astype(np.float32))).mask_S.any()


def test_little_of_a_varied_population_is_marked() -> None:
    """Of forty unlike workloads hardly anything is marked, though all have bursts, shifts and outages of their own."""
    marked = [clean(one).mask_S.mean() for one in population(40, 28, 300, seed=8)]
    assert np.mean(marked) < 0.003
    assert max(marked) < 0.16


def test_marked_moments_are_no_truth() -> None:
    """Windows keep the past as a forecaster sees it; what is marked becomes unknown in the truth of its own series."""
    one = altered(demand(), slice(12 * DAY + 700, 12 * DAY + 706), 6)
    other = demand(seed=3)
    before = one.start + 60.0 * (12 * DAY + np.array([650, 690, 720]))
    windows = cut([(one, before), (other, before)], Grid(60, 60, 900, 8), 30)
    kept = without_marked(windows, [clean(one), clean(other)])
    unknown = np.isnan(kept.truth.demand_NH)
    assert np.flatnonzero(unknown.any(axis=1)).tolist() == [1]
    assert np.flatnonzero(unknown[1]).tolist() == list(range(10, 16))
    assert kept.past is windows.past
    assert not np.isnan(windows.truth.demand_NH).any()


def test_a_series_that_is_hardly_there_is_no_reason_to_fail() -> None:
    """Ninety-seven of a hundred values missing, whichever: something is said of the rest, or nothing is marked."""
    for seed in range(8):
        random = np.random.default_rng(seed)
        values = random.poisson(120, 14_400).astype(np.float32)
        values[random.random(len(values)) < 0.97] = np.nan
        cleaned = clean(Series("system", "sparse", "", 1_700_006_400.0, 60, values))
        assert cleaned.mask_S.sum() < 0.5 * np.isfinite(values).sum()
