"""What learned models see: finite, without units, by the local clock, and never of the future."""

from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from scaler.bundle.signature import HISTORY, LOCAL_TIME, LONG_HISTORY
from training.data.load import Series
from training.data.windows import Past, cut
from training.export.reference import reference_cases
from training.features.extract import Extracted, Extractor
from training.task import Task, task_for

TASK = task_for(300)
DAY = 288


@pytest.fixture(scope="module")
def extract() -> Extractor:
    return Extractor(TASK)


def past_of_cases(task: Task) -> Past:
    cases = reference_cases(task.manifest("cases", "1"))
    count = len(cases[LOCAL_TIME.name])
    return Past(cases[HISTORY.name], cases[LONG_HISTORY.name], cases[LOCAL_TIME.name], np.zeros(count, np.int64))


def demand(days: int, start: float, zone: str = "UTC") -> Series:
    """A daily wave with noise, five minutes a bin."""
    rng = np.random.default_rng(5)
    wave = 200 + 100 * np.sin(2 * np.pi * np.arange(days * DAY) / DAY)
    return Series("system", "wave", "", start, 300, rng.poisson(wave).astype(np.float32), zone)


def column(extract: Extractor, found: Extracted, name: str) -> np.ndarray:
    return found.seen.features_NF[:, extract.names.index(name)]


def test_everything_is_finite_whatever_the_history(extract: Extractor) -> None:
    """Gaps, nothing at all, zeros, tiny and huge demand leave numbers to learn from."""
    found = extract(past_of_cases(TASK))
    for values in (found.seen.features_NF, found.seen.sequence_NPC, found.middle_NK, found.unit_NK):
        assert np.isfinite(values).all()
    assert not found.known_N.all()
    assert found.known_N.any()


def test_names_are_distinct(extract: Extractor) -> None:
    assert len(set(extract.names)) == len(extract.names)


@pytest.mark.parametrize("factor", [2.0**-20, 2.0**20])
def test_features_have_no_units(extract: Extractor, factor: float) -> None:
    """The same demand in other units looks the same; middle and unit carry the units."""
    series = demand(10, 0.0)
    moments = series.start + 300.0 * np.array([DAY * 3, DAY * 5 + 100, DAY * 8 + 200])
    plain = extract(cut([(series, moments)], TASK.grid, TASK.horizon_steps).past)
    larger = replace(series, values=series.values * np.float32(factor))
    other = extract(cut([(larger, moments)], TASK.grid, TASK.horizon_steps).past)
    np.testing.assert_allclose(other.seen.features_NF, plain.seen.features_NF, atol=2e-3)
    np.testing.assert_allclose(other.middle_NK, plain.middle_NK * factor, rtol=1e-4)
    np.testing.assert_allclose(other.unit_NK, plain.unit_NK * factor, rtol=1e-3)


def test_the_future_changes_nothing(extract: Extractor) -> None:
    """Whatever comes after the cutoff, a model sees the same; what came just before it changes what is seen."""
    series = demand(8, 0.0)
    moment = np.array([series.start + 300.0 * DAY * 6])
    seen = extract(cut([(series, moment)], TASK.grid, TASK.horizon_steps).past)
    shifted, touched = series.values.copy(), series.values.copy()
    shifted[DAY * 6 :] *= 50
    touched[DAY * 6 - 1] *= 50
    after = extract(cut([(replace(series, values=shifted), moment)], TASK.grid, TASK.horizon_steps).past)
    before = extract(cut([(replace(series, values=touched), moment)], TASK.grid, TASK.horizon_steps).past)
    np.testing.assert_array_equal(after.seen.features_NF, seen.seen.features_NF)
    assert not np.array_equal(before.seen.features_NF, seen.seen.features_NF)


@pytest.mark.parametrize(
    ("zone", "change"),
    [
        ("Europe/Berlin", datetime(2026, 3, 29)),  # noqa: DTZ001 - a local day
        ("America/New_York", datetime(2026, 11, 1)),  # noqa: DTZ001
        ("Australia/Lord_Howe", datetime(2026, 4, 5)),  # noqa: DTZ001
        ("Asia/Tokyo", datetime(2026, 3, 29)),  # noqa: DTZ001
    ],
)
def test_the_clock_on_the_wall_decides_when_clocks_change(extract: Extractor, zone: str, change: datetime) -> None:
    """Noon before and noon after a change of the clock have the same place in the day."""
    noon = change.replace(hour=12, tzinfo=ZoneInfo(zone))
    noons = [(noon + timedelta(days=days)).timestamp() for days in (-1, 0, 1)]
    series = demand(10, noons[0] - 300.0 * DAY * 5, zone)
    found = extract(cut([(series, np.array(noons))], TASK.grid, TASK.horizon_steps).past)
    for wave in ("day_sin_1", "day_cos_1", "hour_sin_1"):
        values = column(extract, found, wave)
        np.testing.assert_allclose(values, values[0], atol=1e-5)
    assert column(extract, found, "day_cos_1")[0] == pytest.approx(-1, abs=1e-5)


def test_weekends_differ_from_weekdays(extract: Extractor) -> None:
    """From integer local time: Friday evening sees the weekend two hours ahead."""
    friday = datetime(2026, 1, 9, 22, 30, tzinfo=ZoneInfo("UTC")).timestamp()
    series = demand(9, friday - 300.0 * DAY * 4)
    moments = friday + np.array([0, 86400.0, 3 * 86400.0])
    found = extract(cut([(series, moments)], TASK.grid, TASK.horizon_steps).past)
    np.testing.assert_array_equal(column(extract, found, "weekend_in_0h"), [0, 1, 0])
    np.testing.assert_array_equal(column(extract, found, "weekend_in_2h"), [1, 1, 0])


def test_yesterday_is_seen_where_it_was(extract: Extractor) -> None:
    """A jump at a fixed time of the day shows in the columns of a day ago before it comes today."""
    jump = demand(6, 0.0)
    values = (100 + np.arange(6 * DAY) % 3).astype(np.float32)
    values[DAY // 2 :: DAY] = 900
    jump = replace(jump, values=values)
    before, after = 300.0 * (4 * DAY + DAY // 2 - 1), 300.0 * (4 * DAY + DAY // 2 + 20)
    found = extract(cut([(jump, np.array([before, after]))], TASK.grid, TASK.horizon_steps).past)
    soon = column(extract, found, "24h_ago_max_2")
    assert soon[0] > soon[1] + 1
