"""Models of one's own as autoscalers: the cut of a record, figures, and the table."""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from league_models import GENERAL, PAST, Row, judged, main, mean_of, ratio, shortened, summary, tables

from tests.training.replay.made import series, waves
from training.data.load import DAY_SECONDS, Series
from training.replay.verdict import candidates

ROW = Row("a", "one", 0.0, GENERAL, 0.4, 0.001, 1.2, 0.8, 0.0, True)


def rows() -> list[Row]:
    """Two systems: the own model halves u on the one, and does nothing on the other."""
    found = []
    for system, name, own in (("a", "one", 0.2), ("a", "two", 0.2), ("b", "three", 0.4)):
        for policy, u in ((GENERAL, 0.4), (GENERAL + PAST, 0.4), ("blend" + PAST, own)):
            found.append(replace(ROW, system=system, series=name, policy=policy, u=u))
    return found


def test_a_record_is_cut_before_its_end() -> None:
    """Four days, of which the last two are left out: the days before them, at the moments they were recorded."""
    one = series(np.arange(5 * 1440.0))
    cut = shortened(one, 2, 2)
    assert cut.start == one.start + DAY_SECONDS
    assert cut.values[0] == 1440
    assert cut.end == one.end - 2 * DAY_SECONDS
    assert shortened(one, 0, 30).values.tolist() == one.values.tolist()


def test_systems_count_alike() -> None:
    """A ratio of a half on both series of one system and of 1 on another: their geometric mean."""
    every = rows()
    base, own = ([row for row in every if row.policy == policy] for policy in (GENERAL + PAST, "blend" + PAST))
    assert ratio(own, base) == pytest.approx(0.5**0.5)
    assert mean_of(own, "u") == pytest.approx((0.2 * 0.4) ** 0.5)
    unknown = [*own, replace(ROW, system="b", u=float("nan"))]
    assert mean_of(unknown, "u") == mean_of(own, "u")
    assert summary(every)["blend_past_days_over_general_with_past_days"] == pytest.approx(0.5**0.5)


def test_the_table_names_what_would_not_be_published() -> None:
    """Such a bundle lost on its own data; its figures stand there all the same."""
    text = tables([replace(row, kept=row.policy != "blend" + PAST) for row in rows()])
    assert "| one | 0 | 0.400 | 0.400 | 0.200 (refused) |" in text
    assert "| blend, past days | 0.283 | 0.71 | 0.100 % | 1.200 | 0.80 | 0.00 |" in text


def test_a_bundle_trained_on_the_days_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The own model sees only what is not replayed. A naive one would not be published. All have figures."""
    monkeypatch.setattr(candidates, "REACTIVE_TARGETS", (1.5, 0.2))
    record = replace(series(waves(4)), system="shop", name="one")
    write(record, tmp_path / "shop.csv.gz")
    options = argparse.Namespace(
        **{"learned": 3, "days": 1, "recipes": ["naive"], "series": None, "names": [], "bundles": None},
        **{"start_up": 120, "every": 300.0, "jobs": 1, "cache": tmp_path / "cache"},
    )
    found = list(judged(tmp_path / "shop.csv.gz", 0, options))
    assert [row.policy for row in found] == [GENERAL, GENERAL + PAST, "naive", "naive" + PAST]
    assert [row.kept for row in found] == [True, True, False, False]
    assert all(0 < row.u < 10 and row.hours > 1 for row in found)
    (trained_on,) = (tmp_path / "cache").glob("bundles/*/shop.csv")
    assert len(trained_on.read_text().splitlines()) == 1 + 3 * 1440


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--traces", "/nonexistent"], "--traces /nonexistent: must be a folder of recorded systems"),
        (["--files", "shop", "nope"], "--files nope: must be of shop"),
        (["--recipes", "nope"], "argument --recipes: invalid choice: 'nope'"),
        (["--bundles", "/nonexistent"], "--bundles /nonexistent: must be a folder"),
        (["--days", "-1"], "argument --days: '-1': must be above 0"),
        (["--learned", "nan"], "argument --learned: 'nan': must be above 0"),
        (["--cut", "-1"], "argument --cut: '-1': must be 0 or more"),
        (["--series", "1.5"], "argument --series: '1.5': must be a whole number from 1"),
    ],
)
def test_what_cannot_be_judged_is_refused(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(replace(series(waves(1)), system="shop", name="one"), tmp_path / "shop.csv.gz")
    with pytest.raises(SystemExit) as refused:
        main(["--traces", str(tmp_path), *arguments])
    assert refused.value.code == 2
    shown = capsys.readouterr()
    assert message in shown.err
    assert not shown.out


def test_without_a_series_there_is_no_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(replace(series(waves(4)), system="shop", name="one"), tmp_path / "shop.csv.gz")
    arguments = ["--recipes", "--names", "nope", "--json", str(tmp_path / "figures.json")]
    assert main(["--traces", str(tmp_path), *arguments]) == 2
    shown = capsys.readouterr()
    assert "no series by the minute was chosen" in shown.err
    assert not shown.out
    assert not (tmp_path / "figures.json").exists()


def write(one: Series, path: Path) -> None:
    moments = pd.to_datetime(one.times, unit="s", utc=True)
    pd.DataFrame({"series": one.name, "timestamp": moments, "value": one.values}).to_csv(path, index=False)
