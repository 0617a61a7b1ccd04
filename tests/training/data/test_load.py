"""What can be loaded as recorded demand, and what is said of the rest."""

import gzip
import re
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from training.data.load import Loaded, load, local_seconds, system_of
from training.errors import DataError

NOON = pd.Timestamp("2024-03-01T12:00:00Z")
DEMAND = [3.0, 1.0, 4.0, 1.0, 5.0, 9.0]

Rows = tuple[list[str], list[object]]


def minutes(count: int = 6, step: float = 60.0) -> list[str]:
    """Timestamps from noon on."""
    return [(NOON + pd.Timedelta(seconds=step * i)).isoformat() for i in range(count)]


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Loaded]:
    """Loads a CSV of the given series next to a healthy one, which must always be there."""

    def loaded(**series: Rows) -> Loaded:
        lines = ["series,timestamp,value,unit"]
        for name, (times, values) in {**series, "healthy": (minutes(), DEMAND)}.items():
            lines += [f"{name},{time},{value},req" for time, value in zip(times, values, strict=True)]
        path = tmp_path / "shop.csv"
        path.write_text("\n".join(lines) + "\n")
        found = load([path])
        assert any(one.name == "healthy" and one.values.tolist() == DEMAND for one in found.series)
        return found

    return loaded


def refused(found: Loaded, name: str) -> str:
    """The one refusal, which must be of this series."""
    (one,) = found.refused
    assert (one.system, one.name) == ("shop", name)
    return str(one)


def test_more_fields_than_the_header_names(tmp_path: Path) -> None:
    """They are not taken for those of another column."""
    path = tmp_path / "shop.csv"
    path.write_text("series,timestamp,value\n" + "".join(f"web,{time},5,x\n" for time in minutes()))
    with pytest.raises(DataError, match=r"shop.csv: cannot be read: a row has more fields than the header has columns"):
        load([path])


def test_parquet_of_other_types(tmp_path: Path) -> None:
    """Names that are no text are told as text; durations are no moments."""
    times = pd.to_datetime(minutes())
    path = tmp_path / "shop.parquet"
    pd.DataFrame({"series": [["a"]] * 6, "timestamp": times, "value": DEMAND}).to_parquet(path)
    assert [one.name for one in load([path]).series] == ["['a']"]
    pd.DataFrame({"series": ["a"] * 6, "timestamp": times - times[0], "value": DEMAND}).to_parquet(path)
    with pytest.raises(DataError, match="column timestamp holds durations; it must hold moments"):
        load([path])


@pytest.mark.parametrize("zone", ["localtime", "Factory", "Mars"])
def test_zones_that_are_none(tmp_path: Path, zone: str) -> None:
    """The first two are files of a machine, not names."""
    with pytest.raises(DataError, match=f"timezone='{zone}': must be an IANA name"):
        load([tmp_path], zone)


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "parquet"])
def test_every_format_gives_the_same(tmp_path, suffix) -> None:
    """CSV, compressed CSV and Parquet hold the same series: empty values and missing rows are gaps."""
    frame = pd.DataFrame(
        {
            "series": ["b"] * 4 + ["a"] * 2,
            "timestamp": pd.to_datetime([*np.array(minutes())[[0, 1, 2, 5]], *minutes(2, 300)]),
            "value": [1.0, np.nan, 0.0, 2.5, 7.0, 8.0],
            "unit": ["req/min"] * 4 + [None] * 2,
        }
    )
    path = tmp_path / f"shop.eu.{suffix}"
    frame.to_parquet(path) if suffix == "parquet" else frame.to_csv(path, index=False)
    b, a = load([path]).series
    assert (b.system, b.name, b.unit, b.start, b.step_seconds) == ("shop.eu", "b", "req/min", NOON.timestamp(), 60)
    np.testing.assert_array_equal(b.values, np.float32([1, np.nan, 0, np.nan, np.nan, 2.5]))
    assert (a.name, a.unit, a.step_seconds, a.values.tolist(), a.end) == ("a", "", 300, [7, 8], NOON.timestamp() + 600)


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ([2.0] * 6, "is constant: there is nothing to forecast"),
        ([1e12, 1e12 + 1] * 3, "is constant: there is nothing to forecast"),
        ([""] * 6, "has no value at all"),
        ([1, 2, -0.5, 4, 5, 6], r"row 3 of the series \(2024-03-01T12:02:00Z\): value -0.5: demand must be from 0"),
        ([1, 2, "inf", 4, 5, 6], r"row 3 of the series \(.*\): value inf: demand must be from 0 to 9.2e\+15"),
        (
            [1, 2, "many", 4, 5, 6],
            r"row 3 of the series \(.*Z\): value 'many' is not a number; a gap is empty, NaN, NA, N/A, null or None$",
        ),
    ],
)
def test_values_that_are_no_demand(read, values, rule) -> None:
    """Constant, unknown, negative, infinite or written in words: refused by name and rule; the others go on."""
    assert re.search(rule, refused(read(ill=(minutes(), values)), "ill"))


@pytest.mark.parametrize(
    ("times", "rule"),
    [
        (minutes(1), "has one row"),
        ([*minutes(5), minutes(5)[-1]], r"row 6 of the series \(2024-03-01T12:04:00Z\): timestamp occurs twice"),
        ([minutes(2)[1], minutes(2)[0]], r"row 2 of the series \(2024-03-01T12:00:00Z\): timestamps must ascend"),
        (
            ["yesterday", *minutes(5)],
            r"row 1 of the series: timestamp 'yesterday' is not a moment \(ISO 8601, from 1678",
        ),
        (
            [*minutes(5), "3000-01-01T00:00:00Z"],
            r"row 6 of the series: timestamp '3000-.*' is not a moment .* to 2261\)",
        ),
        (minutes(6, 0.5), "its step of 0.5 s is not whole"),
        ([*minutes(5), *minutes(5, 88)[-1:]], r"row 6 .*12:05:52Z.* is 8 s off its regular step of 60 s; 10% of the"),
    ],
)
def test_timestamps_that_are_no_regular_step(read, times, rule) -> None:
    """Too few, duplicated, unsorted, unreadable or irregular timestamps: refused by name, row and rule."""
    values = (np.arange(len(times)) % 5).tolist()
    assert re.search(rule, refused(read(ill=(times, values)), "ill"))


def test_jitter_of_seconds_is_snapped_to_the_clock(read) -> None:
    """Samples taken some seconds late or early, as exporters do, lie on the clock's minute; a lost one is a gap."""
    late = np.random.default_rng(3).uniform(-5, 5, 200)
    times = [(NOON + pd.Timedelta(seconds=60 * i + late[i])).isoformat() for i in range(200) if i != 50]
    found = read(jittery=(times, [float(i) for i in range(200) if i != 50]))
    one = found.series[0]
    expected = np.arange(200, dtype=np.float32)
    expected[50] = np.nan
    assert (one.start, one.step_seconds, found.refused) == (NOON.timestamp(), 60, ())
    np.testing.assert_array_equal(one.values, expected)


def test_a_step_beside_the_clock_stays_there(read) -> None:
    """A series sampled at half past every minute, some seconds early or late, keeps its own phase."""
    late = np.random.default_rng(4).uniform(-3, 3, 400)
    times = [(NOON + pd.Timedelta(seconds=60 * i + 30 + late[i])).isoformat() for i in range(400)]
    one = read(beside=(times, list(range(400)))).series[0]
    assert one.start == pytest.approx(NOON.timestamp() + 30, abs=1)
    assert one.values.tolist() == list(range(400))


def test_two_rows_in_one_step(read) -> None:
    """Two exports that overlap by some seconds have two values for one moment: which one counts is not ours to say."""
    times = [*minutes(50)[:40], (NOON + pd.Timedelta(seconds=60 * 39 + 4)).isoformat(), *minutes(50)[40:]]
    rule = refused(read(twice=(times, list(range(51)))), "twice")
    assert "row 41 of the series (2024-03-01T12:39:04Z): is the second in one step of 60 s" in rule


def test_one_wrong_year_does_not_fill_the_memory(read) -> None:
    """One timestamp decades away is refused with the moment in question, and little memory is taken."""
    times = [*minutes(500), "2064-03-01T12:00:00Z"]
    tracemalloc.start()
    rule = refused(read(wrong=(times, list(range(501)))), "wrong")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "14610 days of it before row 501 of the series (2064-03-01T12:00:00Z): check that timestamp" in rule
    assert peak < 20e6


@pytest.mark.parametrize("scale", [1e-9, 1e12])
def test_wild_scales(read, scale) -> None:
    """Demand of a billionth and of a trillion is demand."""
    one = read(wild=(minutes(), [scale * value for value in DEMAND])).series[0]
    np.testing.assert_allclose(one.values, np.array(DEMAND) * scale, rtol=1e-6)


def test_what_is_healthy_though_it_looks_odd(read) -> None:
    """A week without variance within a record, a record of two rows, and one that begins later than the others."""
    flat = [1.0, *[7.0] * (7 * 1440), 2.0]
    found = read(flat=(minutes(len(flat)), flat), young=(minutes(9)[7:], [1, 2]))
    assert [(one.name, len(one.values)) for one in found.series] == [
        ("flat", 7 * 1440 + 2),
        ("young", 2),
        ("healthy", 6),
    ]
    assert found.refused == ()


@pytest.mark.parametrize(
    ("name", "content", "rule"),
    [
        ("a.csv", b"", "a.csv: is empty"),
        ("a.csv", b"series,timestamp,value\n", "a.csv: holds no rows"),
        (
            "a.csv",
            b"series,time,value\na,2024-01-01,1\n",
            "a.csv: lacks the column timestamp; there are series, time, v",
        ),
        (
            "a.csv",
            b"series,timestamp,value\na,b,1,2,3\na,b\nc,d,e,f,g,h",
            "a.csv: cannot be read: a row has more fields",
        ),
        (
            "a.csv",
            b'series,timestamp,value\na,"b,1',
            "read: a row has more fields .* quote is not closed",
        ),
        (
            "a.csv.gz",
            gzip.compress(b"series,timestamp,value\n" * 1000, mtime=0)[:-20],
            "read: it is damaged or incomplete$",
        ),
        ("a.csv.gz", b"series,timestamp,value\n", "a.csv.gz: cannot be read: it is damaged or incomplete$"),
        ("a.csv", "series,timestamp,value\n".encode("utf-16"), "a.csv: cannot be read: it is not UTF-8 text$"),
        ("a.csv.zst", b"series,timestamp,value\n", "read: (its compression is not supported|it is not CSV)"),
        ("a.csv.zip", b"PK and then nothing", "a.csv.zip: cannot be read: it is damaged or incomplete$"),
        ("a.parquet", b"PAR1 and then nothing", "read: it is not a Parquet file, or it is incomplete$"),
    ],
)
def test_files_that_are_none_of_ours(tmp_path, name, content, rule) -> None:
    """An empty, torn or foreign file is refused by name and rule."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=rule):
        load([tmp_path / name])


def test_a_file_that_is_not_there(tmp_path) -> None:
    """A missing file is named."""
    with pytest.raises(DataError, match=r"no\.csv: cannot be read"):
        load([tmp_path / "no.csv"])


def test_numbers_are_no_timestamps(tmp_path) -> None:
    """A Parquet file with epochs as plain numbers is refused: nobody knows their unit."""
    frame = pd.DataFrame({"series": ["a"] * 2, "timestamp": [1_700_000_000, 1_700_000_060], "value": [1.0, 2.0]})
    frame.to_parquet(tmp_path / "a.parquet")
    with pytest.raises(DataError, match="plain numbers"):
        load([tmp_path / "a.parquet"])


@pytest.mark.parametrize("name", ["NA", "null", "None", "nan", "n/a", "-", "007", "true"])
def test_a_series_may_be_called_anything(tmp_path: Path, name: str) -> None:
    """Words that mean missing data elsewhere are names and units like any other, in CSV and in Parquet."""
    frame = pd.DataFrame({"series": [name] * 6, "timestamp": minutes(), "value": DEMAND, "unit": [name] * 6})
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_parquet(tmp_path / "b.parquet")
    found = load([tmp_path / "a.csv", tmp_path / "b.parquet"])
    assert [(one.name, one.unit) for one in found.series] == [(name, name)] * 2
    assert found.refused == ()


@pytest.mark.parametrize("gap", ["", " ", "NaN", "NA", "N/A", "n/a", "null", "NULL", "None", "nan"])
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_words_that_mean_a_gap(tmp_path: Path, gap: str, suffix: str) -> None:
    """The same in every format, in small and in capital letters."""
    frame = pd.DataFrame({"series": "web", "timestamp": minutes(), "value": ["3", "1", gap, "1", "5", "9"]})
    path = tmp_path / f"shop.{suffix}"
    frame.to_parquet(path) if suffix == "parquet" else frame.to_csv(path, index=False)
    np.testing.assert_array_equal(load([path]).series[0].values, np.float32([3, 1, np.nan, 1, 5, 9]))


@pytest.mark.parametrize(("value", "hint"), [("-", "a gap is empty"), ("1,5", "decimals have a point; a gap is empty")])
def test_words_that_mean_no_gap(read, value: str, hint: str) -> None:
    """Any other text is an error that lists the words for a gap."""
    rule = refused(read(ill=(minutes(), [1, 2, f'"{value}"', 4, 5, 6])), "ill")
    assert f"value '{value}' is not a number; {hint}" in rule


def test_blanks_around_fields(tmp_path: Path) -> None:
    """Blanks after commas and before them belong neither to names of columns nor to names of series."""
    path = tmp_path / "shop.csv"
    rows = "".join(f"web , {time} , {value} , req\n" for time, value in zip(minutes(), DEMAND, strict=True))
    path.write_text(f"\ufeffseries, timestamp ,  value, unit\n{rows}", encoding="utf-8")
    (web,) = load([path]).series
    assert (web.name, web.unit, web.values.tolist()) == ("web", "req", DEMAND)


@pytest.mark.parametrize(
    ("separator", "words"), [(";", "';' and ','"), ("\t", "tabs"), ("|", r"'\|'")], ids=["semicolon", "tab", "bar"]
)
@pytest.mark.parametrize("suffix", ["csv", "csv.gz"])
def test_other_separators(tmp_path: Path, separator: str, words: str, suffix: str) -> None:
    """What Excel writes in many countries is refused with what it seems to be and what is expected."""
    path = tmp_path / f"shop.{suffix}"
    lines = [
        ["series", "timestamp", "value"],
        *(["web", time, f"{value:.1f}"] for time, value in zip(minutes(), DEMAND, strict=True)),
    ]
    text = "".join(separator.join(line) + "\n" for line in lines)
    text = text.replace(".", ",") if separator == ";" else text
    path.write_bytes(gzip.compress(text.encode()) if suffix == "csv.gz" else text.encode())
    rule = f"columns must be separated by commas and decimals have a point: this file seems to use {words}$"
    with pytest.raises(DataError, match=rule):
        load([path])


def test_a_column_that_occurs_twice(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("series,timestamp,value,value\na,2026-01-05T00:00Z,1,2\n")
    with pytest.raises(DataError, match="has the column value twice"):
        load([tmp_path / "a.csv"])


def test_rows_without_a_name_are_reported(read) -> None:
    """Rows that belong to no series are not dropped in silence."""
    (one,) = read(**{"": (minutes(2), [1, 2])}).refused
    assert str(one) == "shop: series '': 2 rows have no name of a series"


def test_one_series_in_two_files(tmp_path) -> None:
    """Two files of one name in two folders: the series of the first counts, the second is reported."""
    for folder, value in (("first", 1), ("second", 5)):
        (tmp_path / folder).mkdir()
        frame = pd.DataFrame({"series": "web", "timestamp": minutes(3), "value": [value, 2, 3]})
        frame.to_csv(tmp_path / folder / "shop.csv", index=False)
    found = load([tmp_path / "first" / "shop.csv", tmp_path / "second" / "shop.csv"])
    assert [one.values.tolist() for one in found.series] == [[1, 2, 3]]
    assert [str(one) for one in found.refused] == ["shop: series 'web': is in another file of this name as well"]


def test_the_system_is_the_name_of_the_file() -> None:
    """Without folder and format; a name without a suffix stays whole."""
    names = ("a/web.csv", "web.csv.gz", "web.eu.parquet", "web")
    assert [system_of(Path(name)) for name in names] == ["web", "web", "web.eu", "web"]


def test_local_time_over_a_clock_change() -> None:
    """The clocks of Berlin jump from 2 to 3 on the last Sunday of March; those of Kolkata lie half an hour off."""
    before = pd.Timestamp("2024-03-31T00:59:00Z").timestamp()
    shown = local_seconds(np.array([before, before + 60]), "Europe/Berlin") - before
    assert shown.tolist() == [3600, 60 + 7200]
    assert local_seconds(np.array([before]), "Asia/Kolkata")[0] - before == 5.5 * 3600


def test_an_unknown_zone() -> None:
    """A zone that nobody knows is told before a file is read."""
    with pytest.raises(DataError, match="timezone='Berlin': must be an IANA name"):
        load([], "Berlin")
