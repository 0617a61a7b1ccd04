"""Windows: the past, what the calendar tells, and the truth are kept apart."""

import numpy as np
import pytest

from scaler.history.table import HistoryTable
from scaler.series import Grid
from training.data.load import Series
from training.data.windows import cut, cutoffs, fair_share

GRID = Grid(60, 60, 900, 8)
HORIZON = 20
MIDNIGHT = 1_709_251_200.0
"""2024-03-01T00:00:00Z"""


def series(count: int = 600, start: float = MIDNIGHT, **told: str) -> Series:
    """Demand that tells its own place: bin i holds i."""
    return Series("shop", "web", "req", start, 60, np.arange(count, dtype=np.float32), told.get("timezone", "UTC"))


def at(one: Series, *bins: int) -> np.ndarray:
    """The moments before which so many bins lie."""
    return one.start + 60.0 * np.array(bins)


def test_past_and_truth_meet_at_the_cutoff() -> None:
    """The past ends with the last bin before the cutoff, the truth begins with the first after it."""
    one = series()
    windows = cut([(one, at(one, 100, 130))], GRID, HORIZON)
    assert windows.past.history_NT[:, -1].tolist() == [99, 129]
    assert windows.past.history_NT[0].tolist() == list(range(40, 100))
    assert windows.truth.demand_NH[:, 0].tolist() == [100, 130]
    assert windows.truth.demand_NH.shape == (2, HORIZON)
    assert windows.past.local_time_N.tolist() == [MIDNIGHT + 6000, MIDNIGHT + 7800]
    assert windows.future.local_time_NH[0, :2].tolist() == [MIDNIGHT + 6060, MIDNIGHT + 6120]


def test_the_future_changes_nothing_in_the_past() -> None:
    """Whatever comes after a cutoff, the inputs of a model are the same bytes."""
    one = series()
    moments = at(one, *range(61, 580, 7))
    for moment in moments:
        later = one.values.copy()
        later[round((moment - one.start) / 60) :] = 1e6
        other = Series("shop", "web", "req", one.start, 60, later)
        pasts = [cut([(s, np.array([moment]))], GRID, HORIZON).past.inputs() for s in (one, other)]
        assert all(pasts[0][name].tobytes() == pasts[1][name].tobytes() for name in pasts[0])


def test_blocks_are_complete_and_aligned_to_the_clock() -> None:
    """At 02:14 the last block is 01:45 to 02:00, at 02:15 it is 02:00 to 02:15: its mean, and its largest bin."""
    one = series()
    blocks = cut([(one, at(one, 134, 135))], GRID, HORIZON).past.long_history_NL2
    assert blocks[:, -1].tolist() == [[112, 119], [127, 134]]
    assert blocks[0, -2].tolist() == [97, 104]


def test_a_series_that_begins_beside_the_clock_has_the_same_blocks() -> None:
    """Blocks follow the clock, not the record: one that began at 00:07:30 has blocks of bins that end within them."""
    one = series(start=MIDNIGHT + 450)
    blocks = cut([(one, at(one, 60))], GRID, HORIZON).past.long_history_NL2[0]
    # 01:07:30: the last block is 00:45 to 01:00, whose bins end 00:45:30 … 00:59:30
    assert blocks[-1].tolist() == [44, 51]
    # of the first, 00:00 to 00:15, seven bins of fifteen are on record: fewer than half
    assert np.isnan(blocks[-4]).all()
    assert blocks[-3].tolist() == [14, 21]


def test_a_block_needs_half_of_its_bins() -> None:
    """With eight bins of fifteen a block has the mean and the largest of those; with seven it is missing."""
    one = series()
    one.values[0:7] = np.nan
    one.values[15:23] = np.nan
    blocks = cut([(one, at(one, 60))], GRID, HORIZON).past.long_history_NL2[0]
    assert blocks[-4].tolist() == [10.5, 14]
    assert np.isnan(blocks[-3]).all()
    assert blocks[-2].tolist() == [37, 44]


def test_the_scaler_would_show_the_same_history() -> None:
    """A window is what the scaler's table holds when it is fed the same demand: each bin known at its end."""
    one = series(400)
    one.values[[50, 51, 350, 380]] = np.nan
    one.values[200:209] = np.nan
    moment = at(one, 371)
    known = ~np.isnan(one.values[:371])
    table = HistoryTable(GRID, 60.0)
    table.add("web")
    for time, value in zip(one.times[:371][known] + 60, one.values[:371][known], strict=True):
        table.put(["web"], np.float32([value]), time)
    table.advance(float(moment[0]))
    shown = table.batch(["web"], np.zeros(1, np.int64))
    past = cut([(one, moment)], GRID, HORIZON).past
    np.testing.assert_array_equal(past.history_NT, shown.history_NT)
    np.testing.assert_allclose(past.long_history_NL2, shown.long_history_NL2, rtol=1e-6)
    assert past.local_time_N.tolist() == shown.local_time_N.tolist()


def test_gaps_and_what_lies_before_the_record_are_missing() -> None:
    """A gap is NaN in the past and in the truth, and so is all before the record began yesterday."""
    one = series()
    one.values[[18, 25]] = np.nan
    windows = cut([(one, at(one, 20))], GRID, HORIZON)
    assert np.isnan(windows.past.history_NT[0, :40]).all()
    assert np.flatnonzero(np.isnan(windows.past.history_NT[0])).tolist() == [*range(40), 58]
    assert np.flatnonzero(np.isnan(windows.truth.demand_NH[0])).tolist() == [5]
    assert np.isnan(windows.past.long_history_NL2[0, :-1]).all()
    assert windows.past.long_history_NL2[0, -1].tolist() == [7, 14]


def test_peaks_know_no_more_than_the_truth() -> None:
    """The largest demand of the first w steps; unknown from the first gap on."""
    one = series()
    one.values[25] = np.nan
    peaks = cut([(one, at(one, 20))], GRID, HORIZON).truth.peaks((1, 5, 6, 20))
    np.testing.assert_array_equal(peaks, [[20, 24, np.nan, np.nan]])


@pytest.mark.parametrize(
    ("counts", "limit", "share"),
    [
        ([600] * 10, 6000, 600),
        ([600] * 10, 5999, 599),
        ([10, 600, 600], 410, 200),
        ([10, 20, 600], 1000, 600),
        ([5] * 100, 10, 1),
        ([0, 0], 10, 1),
        ([], 10, 1),
    ],
)
def test_a_fair_share(counts: list[int], limit: int, share: int) -> None:
    """What short series do not need goes to the long ones; nobody goes without."""
    assert fair_share(counts, limit) == share


def test_windows_of_several_series_stay_apart() -> None:
    """Each window knows its series; taking some keeps the names; a series without cutoff keeps its place."""
    long, young = series(600), Series("shop", "new", "", MIDNIGHT, 60, np.float32([1, 2]))
    other = Series("bank", "web", "", MIDNIGHT, 60, np.arange(1000, 1600, dtype=np.float32))
    windows = cut([(long, at(long, 100)), (young, np.empty(0)), (other, at(other, 100, 200))], GRID, HORIZON)
    assert windows.names == ("shop/web", "shop/new", "bank/web")
    assert windows.series_N.tolist() == [0, 2, 2]
    taken = windows.take(np.array([2]))
    assert (taken.names, taken.series_N.tolist(), taken.past.history_NT[0, -1]) == (windows.names, [2], 1199)


def test_local_time_follows_the_zone() -> None:
    """On the day the clocks of Berlin go forward, the local time of a cutoff is one hour ahead, then two."""
    one = series(600, 1_711_843_200.0, timezone="Europe/Berlin")  # 2024-03-31T00:00Z; the change is at 01:00Z
    windows = cut([(one, at(one, 59, 60))], GRID, HORIZON)
    assert (windows.past.local_time_N - windows.cutoff_N).tolist() == [3600, 7200]


def test_cutoffs_leave_a_whole_horizon() -> None:
    """Evenly spread, ascending, each with record before it and the whole horizon after it within the span."""
    one = series(600)
    moments = cutoffs(one, 50, HORIZON, one.start, one.end)
    assert len(moments) == 50
    assert (moments[0], moments[-1]) == (one.start + 60, one.end - HORIZON * 60)
    assert np.diff(moments).max() - np.diff(moments).min() <= 60
    inner = cutoffs(one, 5, HORIZON, one.start + 6000, one.start + 12_000)
    assert (inner[0], inner[-1]) == (one.start + 6000, one.start + 12_000 - HORIZON * 60)
    cut([(one, moments)], GRID, HORIZON)


def test_few_cutoffs_in_a_short_series() -> None:
    """No more than there are places; exactly one where only one fits; none where none does."""
    assert len(cutoffs(series(30), 100, HORIZON, MIDNIGHT, MIDNIGHT + 1800)) == 10
    assert cutoffs(series(21), 100, HORIZON, 0, 1e12).tolist() == [MIDNIGHT + 60]
    assert len(cutoffs(series(20), 100, HORIZON, 0, 1e12)) == 0
    assert len(cutoffs(series(600), 100, HORIZON, MIDNIGHT, MIDNIGHT + 60 * HORIZON)) == 0


@pytest.mark.parametrize(
    ("one", "moments", "rule"),
    [
        (series(), np.empty(0), "every series is shorter than the horizon"),
        (Series("shop", "web", "", 0, 300, np.ones(600, np.float32)), np.array([300.0]), "'web': has a step of 300 s"),
        (series(), np.array([MIDNIGHT + 90]), "between two of its bins"),
        (series(100), np.array([MIDNIGHT + 81 * 60]), "must have 20 steps of record after it"),
        (series(100), np.array([MIDNIGHT - 60]), "none may lie before it"),
    ],
)
def test_cutoffs_that_cannot_be(one, moments, rule) -> None:
    """A cutoff off the step, before the record or too near its end, and a foreign step: told by series and rule."""
    with pytest.raises(ValueError, match=rule):
        cut([(one, moments)], GRID, HORIZON)
