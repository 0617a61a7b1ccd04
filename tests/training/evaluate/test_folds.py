"""Splits: nothing that is tested was seen, by time or by system, and every series left out is named."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from scaler.series import Grid
from tests.training.evaluate.forecasts import MONDAY, TASK, series
from training.data.load import Series
from training.data.windows import ended
from training.evaluate.folds import NoSeries, Part, by_system, by_time, training_of, windows_of

HORIZON = TASK.horizon_steps * TASK.grid.step_seconds
DAY = 86_400
SMALL = replace(TASK, grid=Grid(300, 4, 900, 2))
"""with hardly any past, so that a test can look at every window"""
ROUNDING = 1e-3
"""seconds; borders are shares of a span"""


def some() -> list[Series]:
    """Systems years apart; series of one system that begin and end at different times."""
    late = series("a", "late", 2, days=7.5, start=MONDAY + 3 * DAY)
    return [
        series("a", "whole", 1),
        late,
        series("b", "only", 3, days=5.3, start=MONDAY - 400 * DAY + 130),
        series("c", "one", 4, start=MONDAY + 900 * DAY),
        series("c", "two", 5, start=MONDAY + 900 * DAY),
    ]


def truth_end(windows) -> np.ndarray:
    """The moment at which each window's truth is over. [N]"""
    return windows.cutoff_N + HORIZON


def systems(windows) -> np.ndarray:
    return np.array([windows.names[i].partition("/")[0] for i in windows.series_N])


@settings(max_examples=40, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(
    spans=st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 4), st.floats(1, 9)), min_size=1, max_size=5),
    offset=st.integers(0, 299),
    folds=st.integers(1, 4),
    test_share=st.floats(0.02, 0.22),
    held_out_share=st.floats(0.02, 0.11),
)
def test_by_time_no_truth_of_training_reaches_the_test(spans, offset, folds, test_share, held_out_share):
    """All truth learnt from is over when what was recorded together is first tested; held-out follows train."""
    given_series = [
        series(system, f"s{i}", i, days, MONDAY + round(first * DAY) + offset)
        for i, (system, first, days) in enumerate(spans)
    ]
    try:
        found = by_time(given_series, SMALL, folds, test_share, held_out_share)
    except NoSeries as refused:
        assert refused.left_out  # noqa: PT017
        return
    for fold in found:
        train, held_out, test = (windows_of(part, SMALL, 10_000) for part in (fold.train, fold.held_out, fold.test))
        for i, part in enumerate(fold.test):
            if len(held := held_out.cutoff_N[held_out.series_N == i]):
                assert truth_end(train)[train.series_N == i].max() <= held.min()
            if not len(tested := test.cutoff_N[test.series_N == i]):
                continue
            first_test = tested.min()
            for j, other in enumerate(fold.seen):
                if recorded_together(part.series, other):
                    assert (truth_end(train)[train.series_N == j] <= first_test + ROUNDING).all()
                    assert (truth_end(held_out)[held_out.series_N == j] <= first_test + ROUNDING).all()
                    assert other.end <= first_test + ROUNDING


def recorded_together(one: Series, other: Series) -> bool:
    """Whether both are of one system and share a moment."""
    return one.system == other.system and one.start < other.end and other.start < one.end


def test_by_time_the_future_changes_nothing_that_is_seen():
    """Whatever comes after the held-out part, training and calibration see the same."""
    first = by_time(some(), TASK)[0]
    borders = {part.series.name: part.since for part in first.test}
    changed = []
    for one in some():
        values = np.where(one.times >= borders[one.name], 1e6, one.values).astype(np.float32)
        changed.append(replace(one, values=values))
    before, after = training_of(first, TASK, 50, 20), training_of(by_time(changed, TASK)[0], TASK, 50, 20)
    for windows, others in ((before.windows, after.windows), (before.held_out, after.held_out)):
        for name in ("history_NT", "long_history_NL2", "local_time_N", "series_N"):
            assert np.array_equal(getattr(windows.past, name), getattr(others.past, name), equal_nan=True)
        assert np.array_equal(windows.truth.demand_NH, others.truth.demand_NH, equal_nan=True)
    for one, other in zip(before.series, after.series, strict=True):
        assert np.array_equal(one.values, other.values, equal_nan=True)


def test_by_time_windows_expand_and_tests_follow_each_other():
    """Each fold trains on more than the last one, tests what follows, and the last test ends with the record."""
    folds = by_time(some(), TASK, folds=3, test_share=0.1)
    for earlier, later in pairwise(folds):
        for one, other in zip(earlier.train, later.train, strict=True):
            assert (one.since, one.until) < (other.since, other.until)
        for one, other in zip(earlier.test, later.test, strict=True):
            assert other.since == pytest.approx(one.until)
    last = {system: max(one.end for one in some() if one.system == system) for system in "abc"}
    assert all(part.until == pytest.approx(last[part.series.system], abs=1) for part in folds[-1].test)


def test_by_time_many_series_that_end_early_are_judged():
    """The border is one for the system, a tenth of all samples after it: not where only the longest record is left."""
    series_of_a = [*(series("a", f"early{i}", i, days=5 + 0.01 * i) for i in range(20)), series("a", "long", 30)]
    fold = by_time(series_of_a, SMALL, folds=1)[0]
    assert not fold.left_out
    (since,) = {part.since for part in fold.test}
    after = sum(np.count_nonzero(one.times >= since) for one in series_of_a)
    assert after == pytest.approx(0.1 * sum(len(one.values) for one in series_of_a), abs=len(series_of_a))
    assert np.bincount(windows_of(fold.test, SMALL, 5).series_N).tolist() == [5] * 21


def test_by_time_a_series_that_ended_before_the_border_is_learned_from():
    """It is named as not judged, keeps its place in all parts, and has windows in the first alone."""
    early = series("a", "early", 7, days=4)
    fold = by_time([early, *some()[:2]], TASK, folds=1)[0]
    assert [str(one) for one in fold.left_out] == [
        "a: series 'early': ended too early to be judged; it is learned from"
    ]
    training, test = training_of(fold, TASK, 30, 10), windows_of(fold.test, TASK, 10)
    assert training.windows.names == training.held_out.names == test.names == ("a/early", "a/whole", "a/late")
    counts = [np.bincount(one.series_N, minlength=3).tolist() for one in (training.windows, training.held_out, test)]
    assert counts == [[30] * 3, [0, 10, 10], [0, 10, 10]]


def test_by_time_records_that_lie_apart_are_split_apart():
    """Series of one system recorded in different years do not starve each other of a part."""
    apart = series("a", "other year", 8, start=MONDAY - 700 * DAY)
    fold = by_time([*some(), apart], TASK)[0]
    assert not fold.left_out
    since = {part.series.name: part.since for part in fold.test}
    assert since["other year"] == pytest.approx(apart.start + 0.7 * (apart.end - apart.start), abs=1)


def test_windows_meet_every_hour_even_where_they_are_days_apart():
    """A window a day is not one at the same hour each day; all are within the part, in order, and each once."""
    one = series("a", "x", days=24)
    windows = windows_of([Part(one, one.start, one.end)], SMALL, 24)
    assert len(windows) == 24
    assert (np.diff(windows.cutoff_N) > 0).all()
    assert len({int(moment // 3600 % 24) for moment in windows.cutoff_N}) >= 18
    assert one.start < windows.cutoff_N[0]
    assert windows.cutoff_N[-1] + HORIZON <= one.end


def test_by_time_borders_are_those_of_the_system():
    """Series of one system are cut at the same moments, even where one begins later."""
    for fold in by_time(some(), TASK):
        for parts in (fold.held_out, fold.test):
            borders = {(part.series.system, part.since, part.until) for part in parts}
            assert len(borders) == len({part.series.system for part in parts})


def test_training_is_what_the_fold_lets_be_seen():
    """Windows, held-out windows and series line up by name, and the series end where the held-out part does."""
    fold = by_time(some(), TASK)[0]
    training = training_of(fold, TASK, 30, 10, seed=7)
    names = tuple(f"{one.system}/{one.name}" for one in training.series)
    assert training.windows.names == training.held_out.names == names
    assert training.seed == 7
    assert len(training.windows) == 30 * len(names)
    for one, part in zip(training.series, fold.held_out, strict=True):
        assert part.until - 300 < one.end <= part.until


def test_by_time_what_has_no_room_is_named():
    """A series that begins yesterday, one of another step: left out with the rule, and the others go on."""
    young = series("a", "young", 6, days=1, start=MONDAY + 9 * DAY)
    coarse = series("d", "coarse", 7, days=30, step=3600)
    fold = by_time([*some(), young, coarse], TASK)[-1]
    told = {one.name: one.rule for one in fold.left_out}
    assert set(told) == {"young", "coarse"}
    assert "train part has no room" in told["young"]
    assert "step of 3600 s is not the 300 s" in told["coarse"]
    assert len(fold.train) == len(fold.held_out) == len(fold.test) == len(some())


def bad_ones() -> dict[str, tuple[Series, str]]:
    """Series of ten days with room in each part and no use, and the rule that each breaks."""

    def changed(name: str, **stretches: tuple[slice, float]) -> Series:
        one = series("a", name, 11)
        values = one.values.copy()
        for where, value in stretches.values():
            values[where] = value
        return replace(one, values=values)

    day, last = 288, slice(-1, None)
    return {
        one.name: (one, rule)
        for one, rule in (
            (
                changed("begins late", gap=(slice(1, 8 * day + 60), np.nan)),
                "train part, 2025-06-09 00:00 to 2025-06-17",
            ),
            (
                changed("went away", gap=(slice(9 * day, None), np.nan)),
                "test part, 2025-06-18 00:00 to 2025-06-19 00:00, is",
            ),
            (changed("came back", gap=(slice(9 * day, -1), np.nan)), "has 1 of its 288 values, and no window with 4 "),
            (changed("woke up", idle=(slice(-1), 0), spike=(last, 5)), "is 0 throughout"),
            (changed("jumped", flat=(slice(-1), 7), spike=(last, 5)), "is constant: there is nothing to learn"),
            (changed("switched off", off=(slice(9 * day, None), 0)), "is 0 throughout"),
        )
    }


LEARNED = {"went away", "came back", "switched off"}
"""those of the bad ones that are bad at their end alone"""


def test_by_time_what_no_window_can_use_is_named():
    """It has room, but its windows know no past or no truth: left out, or learned from where only the test is so."""
    found, good = bad_ones(), series("a", "good", 1)
    fold = by_time([good, *(one for one, _ in found.values())], TASK, folds=1)[0]
    told = {one.name: one.rule for one in fold.left_out}
    assert told.keys() == found.keys()
    for name, (_, rule) in found.items():
        assert rule in told[name]
        assert told[name].endswith("; it is learned from") == (name in LEARNED)
    assert {one.name for one in fold.seen} == {"good", *LEARNED}
    training, test = training_of(fold, TASK, 30, 10), windows_of(fold.test, TASK, 10)
    assert (np.bincount(training.windows.series_N, minlength=len(fold.seen)) == 30).all()
    assert {test.names[i] for i in test.series_N} == {"a/good"}


@pytest.mark.parametrize("name", bad_ones())
def test_by_time_what_no_window_can_use_is_named_where_it_is_alone(name: str):
    """No fold is made of it; nobody is told that it is learned from."""
    one, rule = bad_ones()[name]
    with pytest.raises(NoSeries) as refused:
        by_time([one], TASK, folds=1)
    (told,) = refused.value.left_out
    assert rule in told.rule
    assert "learned from" not in told.rule


def test_by_time_gaps_that_leave_windows_are_no_reason():
    """A day without a value in the train part, half of the held-out and of the test part, few values before: judged."""
    one = series("a", "holes")
    values = one.values.copy()
    for first, last in ((0, 7), (8, 8.5), (9.5, 10)):
        values[round(first * 288) : round(last * 288)] = np.nan
    fold = by_time([replace(one, values=values)], TASK, folds=1)[0]
    assert not fold.left_out
    assert len(windows_of(fold.test, TASK, 10))


def test_by_time_somebody_must_be_held_out():
    """A gap over the held-out part: judged beside others, refused by name where nobody has another."""
    one = series("a", "gap", 12)
    values = one.values.copy()
    values[8 * 288 : 9 * 288] = np.nan
    gap = replace(one, values=values)
    assert not by_time([gap, series("a", "good")], TASK, folds=1)[0].left_out
    with pytest.raises(NoSeries, match="series 'gap': its held-out part, 2025-06-17 00:00 to 2025-06-18 00:00, is one"):
        by_time([gap], TASK, folds=1)


def test_by_system_a_system_of_no_use_does_not_end_the_others():
    """It is in no hand, and named in each fold."""
    idle = replace(series("z", "idle"), values=np.append(np.zeros(2879, np.float32), np.float32(5)))
    folds = by_system([*some(), idle], TASK)
    assert [fold.name for fold in folds] == ["without a", "without c", "without b"]
    for fold in folds:
        assert [str(one)[:33] for one in fold.left_out] == ["z: series 'idle': its test part, "]


def test_windows_are_bounded_whatever_the_number_of_series(monkeypatch):
    """Many series share what memory has room for evenly; how much that is is said, and it is spread as usual."""
    monkeypatch.setattr("training.evaluate.folds.MOST_LEARNED", 55)
    fold = by_time(some(), TASK, folds=1)[0]
    training = training_of(fold, TASK, 30, 10)
    assert training.notes == ("55 windows, 11 of each series instead of 30: more than 55 are not cut",)
    assert np.bincount(training.windows.series_N).tolist() == [11] * 5
    assert len(training.held_out) == 50
    for i, part in enumerate(fold.train):
        cutoffs = training.windows.cutoff_N[training.windows.series_N == i]
        assert np.diff(cutoffs).max() < 0.3 * (part.until - part.since)


def test_by_system_what_is_tested_was_never_seen():
    """No system is both learnt from and tested, each is tested once, and held-out truth follows the training's."""
    folds = by_system(some(), TASK)
    assert sorted(part.series.system for fold in folds for part in fold.test) == ["a", "a", "b", "c", "c"]
    for fold in folds:
        tested = {part.series.system for part in fold.test}
        assert tested.isdisjoint(one.system for one in fold.seen)
        assert {part.series.system for part in fold.train} == {"a", "b", "c"} - tested
        train, held_out = windows_of(fold.train, SMALL, 10_000), windows_of(fold.held_out, SMALL, 10_000)
        for system in set(systems(train)):
            first_held = held_out.cutoff_N[systems(held_out) == system].min()
            assert truth_end(train)[systems(train) == system].max() <= first_held + ROUNDING


def test_by_system_the_last_share_is_tested():
    """With a share, windows of the systems left out are cut in their last stretch, with history before it."""
    for fold in by_system(some(), TASK, test_share=0.25):
        windows = windows_of(fold.test, TASK, 10)
        for part in fold.test:
            assert part.since > part.series.start
        assert windows.cutoff_N.min() >= min(part.since for part in fold.test)
        assert not np.isnan(windows.past.history_NT).all(axis=1).any()


def test_by_system_groups_keep_together():
    """Files of the same system at two resolutions, or dealt into fewer folds, are never on both sides."""
    fine, again = series("web_1min", "x", 1), series("web_5min", "x", 1)
    other, third = series("db_1min", "y", 2), series("mail_1min", "z", 3)
    folds = by_system([fine, again, other, third], TASK, folds=2, group=lambda one: one.system.partition("_")[0])
    assert [fold.name for fold in folds] == ["without web, mail", "without db"]
    for fold in folds:
        tested = {part.series.system.partition("_")[0] for part in fold.test}
        assert tested.isdisjoint(one.system.partition("_")[0] for one in fold.seen)


def test_splits_that_cannot_be_made_are_refused():
    """Shares that leave nothing to learn from, too few systems or folds, and no room at all: errors that say so."""
    with pytest.raises(ValueError, match="must leave a share to train on"):
        by_time(some(), TASK, folds=5, test_share=0.2)
    with pytest.raises(ValueError, match="there is a"):
        by_system(some()[:2], TASK)
    with pytest.raises(ValueError, match="between 2 and the 3 systems"):
        by_system(some(), TASK, folds=4)
    with pytest.raises(ValueError, match="no series can be learned from and judged: a: series 'short'"):
        by_time([series("a", "short", days=0.1)], TASK)


def test_a_series_ends_with_the_last_bin_that_is_over():
    """A bin counts once it is over; before the start there is nothing."""
    one = series("a", "x")
    assert ended(one, one.start + 899).end == one.start + 600
    assert ended(one, one.start + 900).end == one.start + 900
    assert len(ended(one, one.start - 1).values) == 0
