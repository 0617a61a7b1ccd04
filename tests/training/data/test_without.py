"""Stretches that the scaler has listed are kept out of training, and no others."""

from pathlib import Path

import numpy as np
import pytest

from scaler.anomalies import Anomaly, Direction, Kind
from training.data.clean import Cleaned
from training.data.load import Series
from training.data.without import Interval, intervals_of, left_out, read_intervals, without
from training.errors import DataError

BEGIN = 1_767_571_200.0
HEAD = "namespace,name,trigger,since,until,direction,kind,largest,expected,bound,is_over\n"
SINCE, UNTIL = "2026-01-05T01:00:00Z", "2026-01-05T01:10:00Z"


def cleaned(name: str = "shop/web", step_seconds: int = 60) -> Cleaned:
    """A day that begins at BEGIN; the second hour has a gap of some minutes."""
    values = np.full(86_400 // step_seconds, 5.0, np.float32)
    values[3600 // step_seconds + 2 : 3600 // step_seconds + 5] = np.nan
    series = Series("pulled", name, "", BEGIN, step_seconds, values)
    return Cleaned(series, np.zeros(len(values), np.bool_), ())


def interval(since: float = 3600.0, until: float = 4200.0, trigger: str = "0f") -> Interval:
    return Interval("shop", "web", trigger, BEGIN + since, BEGIN + until)


def test_the_listed_minutes_are_marked() -> None:
    """Known ones alone; the values stay, and models that are fitted to all of the record see a gap."""
    before = cleaned()
    found = without(before, [interval()])
    assert np.flatnonzero(found.mask_S).tolist() == [60, 61, 65, 66, 67, 68, 69]
    assert np.array_equal(found.series.values, before.series.values, equal_nan=True)
    assert np.isnan(found.kept.values[60:70]).all()
    (finding,) = found.report
    assert (finding.kind, finding.since, finding.words) == (
        *("listed", BEGIN + 3600, "listed as an anomaly: 7 samples left out"),
    )
    assert left_out([before], [found]) == "kept out of training, as they are listed as anomalies: 7 samples of 1 series"


def test_a_coarse_bin_that_is_touched_is_marked() -> None:
    found = without(cleaned(step_seconds=900), [interval(1700, 1900)])
    assert np.flatnonzero(found.mask_S).tolist() == [1, 2]


@pytest.mark.parametrize("bounds", [(-9000, -3000), (86_400, 90_000), (3720, 3900)])
def test_nothing_known_is_touched_elsewhere(bounds: tuple[float, float]) -> None:
    """Before the record, after it, in a gap of it: no finding."""
    found = without(cleaned(), [interval(*bounds)])
    assert not found.mask_S.any()
    assert found.report == ()


OWNERS = {
    ("shop/web", "0f"): True,
    ("shop/web", "1e"): True,  # the only trigger of its object, before an edit
    ("shop/web/0f", "0f"): True,
    ("shop/web/0f", ""): True,
    ("shop/web/1e", "0f"): False,
    ("shop/webshop", "0f"): False,
    ("web", "0f"): False,
}


@pytest.mark.parametrize(("series", "trigger"), OWNERS)
def test_whose_series_it_is(series: str, trigger: str) -> None:
    """As pull names them: with the trigger where the object has several."""
    assert without(cleaned(series), [interval(trigger=trigger)]).mask_S.any() == OWNERS[series, trigger]


def test_rows_of_the_store_and_of_a_file_are_the_same(tmp_path: Path) -> None:
    """Level shifts stay; so do columns that nobody needs."""
    file = tmp_path / "listed.csv"
    row = f"shop,web,0f,{SINCE},{UNTIL},above"
    file.write_text(f"{HEAD}{row},anomaly,300,100,120,true\n{row},level_shift,300,100,120,true\n")
    listed = [
        Anomaly("shop", "web", "0f", BEGIN + 3600, BEGIN + 4200, Direction.ABOVE, kind, 300.0, 100.0, 120.0, True)
        for kind in Kind
    ]
    assert read_intervals(file) == intervals_of(listed) == (interval(),)


BAD = {
    "line 2: since 'yesterday': must be a moment such as": f"shop,web,0f,yesterday,{UNTIL},above,anomaly,3,1,2,true\n",
    "line 2: until '': must be a moment such as": f"shop,web,0f,{SINCE},,above,anomaly,3,1,2,true\n",
    "line 2: until '2026-01-05T01:00:00Z': must be later than since": (
        f"shop,web,0f,{UNTIL},{SINCE},above,anomaly,3,1,2,true\n"
    ),
    "line 2: kind 'odd': must be anomaly or level_shift": f"shop,web,0f,{SINCE},{UNTIL},above,odd,3,1,2,true\n",
    "line 2: name '': must not be empty": f"shop,,0f,{SINCE},{UNTIL},above,anomaly,3,1,2,true\n",
    "line 2: kind '': must be": "shop,web\n",
}


@pytest.mark.parametrize("message", BAD)
def test_a_bad_line_is_named(tmp_path: Path, message: str) -> None:
    file = tmp_path / "listed.csv"
    file.write_text(HEAD + BAD[message])
    with pytest.raises(DataError) as error:
        read_intervals(file)
    assert f"listed.csv: {message}" in str(error.value)


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "other.csv").write_text("series,timestamp,value\n")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    for name, words in {
        "empty.csv": "lacks the column namespace, name, trigger, since, until, kind",
        "other.csv": "lacks the column namespace",
        "binary.csv": "it is not CSV text in UTF-8",
        "none.csv": "cannot be read: No such file or directory",
    }.items():
        with pytest.raises(DataError, match=f"{name}: .*{words}"):
            read_intervals(tmp_path / name)
