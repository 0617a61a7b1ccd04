"""RecordedSource and the reading of recordings."""

import gzip
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from scaler.errors import NoDemand, SettingsError, SourceRefused
from scaler.history import observe_all
from scaler.history.recorded import RecordedSource
from scaler.history.traces import Trace, read_traces
from scaler.trigger import Trigger

START = 1_700_006_400.0
TRIGGER = Trigger("shop", "web", "web", 10.0, "recorded", key="a")
NAN = float("nan")


def source(*values: float, step: float = 60.0, **options: bool | float) -> RecordedSource:
    trace = Trace("web", "requests/min", START, step, np.array(values, np.float32))
    return RecordedSource({"web": trace}, **options)  # type: ignore[arg-type]


async def test_a_bin_is_known_when_it_is_over() -> None:
    """The bin that starts at s counts from s + step on, until the next one is over."""
    recorded = source(1, 2, 3, loop=False)
    moments = [59, 60, 119, 120, 180, 239]
    answers = [(await observe_all(recorded, [TRIGGER], START + moment))[0] for moment in moments]
    assert isinstance(answers[0], NoDemand)
    assert answers[1:] == [1, 1, 2, 3, 3][: len(answers) - 1]
    assert isinstance((await observe_all(recorded, [TRIGGER], START + 240))[0], NoDemand)


async def test_samples_and_observations_agree() -> None:
    """A backfill tells the same past that observing told when it was the present."""
    recorded = source(*range(50), loop=False)
    samples = await recorded.samples(TRIGGER, START, START + 1500, 15)
    seen = [(await observe_all(recorded, [TRIGGER], t))[0] for t in samples.times]
    assert samples.values.tolist() == seen
    assert samples.times[0] == START + 60


async def test_gaps_stay_gaps() -> None:
    """Nothing is filled, unless the trigger reads nothing as 0."""
    recorded = source(1, NAN, 3, loop=False)
    assert (await recorded.samples(TRIGGER, START + 60, START + 180, 60)).times.tolist() == [START + 60, START + 180]
    (gap,) = await observe_all(recorded, [TRIGGER], START + 120)
    assert isinstance(gap, NoDemand)
    ignoring = replace(TRIGGER, ignore_null_values=True)
    assert await observe_all(recorded, [ignoring], START + 120) == [0.0]
    assert (await recorded.samples(ignoring, START - 60, START + 300, 60)).values.tolist() == [1.0, 0.0, 3.0]


async def test_outside_of_a_recording_nothing_is_0() -> None:
    """It says nothing about other times, whatever the trigger reads nothing as."""
    recorded = source(1, 2, loop=False)
    ignoring = replace(TRIGGER, ignore_null_values=True)
    for moment in (START, START + 180):
        (answer,) = await observe_all(recorded, [ignoring], moment)
        assert isinstance(answer, NoDemand)
    assert not len((await recorded.blocks(ignoring, START + 900, START + 2700, 900)).starts)


async def test_blocks_sum_up_what_was_seen_within_them() -> None:
    """The block that starts at s covers the samples in (s, s + block]."""
    recorded = source(*range(60), loop=False)
    blocks = await recorded.blocks(TRIGGER, START, START + 3600, 900)
    assert blocks.starts.tolist() == [START + 900 * i for i in range(4)]
    assert blocks.mean.tolist() == [7, 22, 37, 52]
    assert blocks.max.tolist() == [14, 29, 44, 59]


async def test_a_loop_keeps_hours_and_weekdays() -> None:
    """A recording of nine days repeats its first week, forwards and backwards."""
    recorded = source(*range(9 * 24), step=3600.0)
    week = 7 * 86400
    for hour in (1, 50, 160):
        for weeks in (-3, -1, 0, 1, 10):
            assert await observe_all(recorded, [TRIGGER], START + hour * 3600 + weeks * week) == [hour - 1]


async def test_a_shift_brings_another_time_into_the_present() -> None:
    """The moment plus the shift is the moment of the recording."""
    recorded = source(1, 2, 3, loop=False, shift_seconds=-1000.0)
    assert await observe_all(recorded, [TRIGGER], START + 1120) == [2]


async def test_an_unknown_series_is_refused_with_the_nearest_name() -> None:
    """In its place; the others are answered."""
    recorded = source(1, 2)
    refused, fine = await observe_all(recorded, [replace(TRIGGER, query="wep"), TRIGGER], START + 60)
    assert isinstance(refused, SourceRefused)
    assert "'wep'" in str(refused)
    assert "'web'" in str(refused)
    assert fine == 1
    with pytest.raises(SourceRefused):
        await recorded.samples(replace(TRIGGER, query="wep"), START, START + 60, 60)


GOOD = "series,timestamp,value,unit\nweb,2018-01-01T00:00:00Z,5.5,percent\nweb,2018-01-01T00:05:00Z,,percent\n"


@pytest.mark.parametrize("name", ["trace.csv", "trace.csv.gz", "trace.parquet"])
def test_every_format_reads_the_same(tmp_path: Path, name: str) -> None:
    """CSV, compressed CSV and Parquet."""
    path = tmp_path / name
    if name.endswith(".parquet"):
        pyarrow_csv = pytest.importorskip("pyarrow.csv", reason="pip install pyarrow")
        parquet = pytest.importorskip("pyarrow.parquet", reason="pip install pyarrow")
        (tmp_path / "plain.csv").write_text(GOOD)
        parquet.write_table(pyarrow_csv.read_csv(tmp_path / "plain.csv"), path)
    elif name.endswith(".gz"):
        path.write_bytes(gzip.compress(GOOD.encode()))
    else:
        path.write_text(GOOD)
    (trace,) = read_traces(path).values()
    assert (trace.name, trace.unit, trace.start, trace.step_seconds) == ("web", "percent", 1514764800.0, 300.0)
    np.testing.assert_array_equal(trace.values, np.array([5.5, NAN], np.float32))


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "lacks series, timestamp, value"),
        ("series,timestamp\n", "lacks value"),
        ("series,timestamp,value\n", "no rows"),
        ("series,timestamp,value\nweb,2018-01-01T00:00:00Z\n", "line 2"),
        ("series,timestamp,value\nweb,yesterday,1\nweb,today,1\n", "series web"),
        ("series,timestamp,value\nweb,2018-01-01T00:00:00Z,many\n", "could not convert string to float: 'many'"),
        ("series,timestamp,value\nweb,2018-01-01T00:00:00Z,1\n", "regular step"),
        (GOOD + "web,2018-01-01T00:15:00Z,1,percent\n", "regular step"),
        (GOOD + "web,2018-01-01T00:10:00Z,-1,percent\n", "not negative"),
    ],
)
def test_a_bad_recording_is_refused(tmp_path: Path, text: str, rule: str) -> None:
    """The error names the file and the rule."""
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(SettingsError, match=rule) as caught:
        read_traces(path)
    assert "bad.csv" in str(caught.value)


def test_unreadable_files_are_refused(tmp_path: Path) -> None:
    """Missing, truncated, foreign."""
    for name, content in {"none.csv": None, "cut.csv.gz": gzip.compress(GOOD.encode())[:30], "x.parquet": b"?"}.items():
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(SettingsError, match=name):
            read_traces(path)


def test_a_name_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    """A query must name one series."""
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text(GOOD)
    with pytest.raises(SettingsError, match="web is in another file"):
        RecordedSource.read([tmp_path / "a.csv", tmp_path / "b.csv"])
