"""`headway train compare`: every recipe on the same windows, as a page, a table and a verdict."""

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from typer.testing import CliRunner

from scaler.cli import app
from tests.training.recording import add_series, bad_values, write_recording, write_values
from tests.training.stand_ins import Around, press_ctrl_c, recipe_of
from training import recipes
from training.errors import ModelError
from training.experiment.shipped import shipped_for
from training.models import Model
from training.progress import Progress
from training.task import task_for

WRITTEN = {"report.html", "scores.csv", "compare.json"}


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two systems in steps of five minutes, with a series that cannot be used."""
    folder = tmp_path_factory.mktemp("sites")
    first = write_recording(folder / "north.csv", shop=100, search=9000)
    add_series(first, "still", 7)
    return [first, write_recording(folder / "south.csv", days=5, shop=400)]


def compared(sites: list[Path], out: Path, recipes: str, *more: str) -> Result:
    data = [part for site in sites for part in ("--data", str(site))]
    arguments = ["train", "compare", *data, "--recipes", recipes, "--out", str(out), "--windows", "30", *more]
    return CliRunner().invoke(app, arguments)


def record_in(out: Path) -> dict:
    return json.loads((out / "compare.json").read_text())


def stand_in(monkeypatch: pytest.MonkeyPatch, name: str, model: Model, per_series: bool = False) -> None:
    monkeypatch.setitem(recipes.RECIPES, name, recipe_of(lambda: model, per_series))


def fine(progress: Progress) -> None:
    """Nothing happens before the fit."""


def failing(progress: Progress) -> None:
    raise ModelError("the trees\ndo not grow")


def test_a_comparison_by_time(sites: list[Path], tmp_path: Path) -> None:
    """Page, table and record are there; the ranking names each model with what it takes, and gives a verdict on it."""
    out = tmp_path / "compared"
    result = compared(sites, out, "naive", "--folds", "2")
    assert result.exit_code == 0, result.output
    assert {path.name for path in out.iterdir()} == WRITTEN
    with (out / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    models = {"persistence", "seasonal-naive", "naive"}
    assert {(row["model"], row["series"]) for row in rows} == {
        (model, series) for model in models for series in ("north/shop", "north/search", "south/shop")
    }
    assert len({row["windows"] for row in rows if row["series"] == "north/shop"}) == 1
    assert (out / "report.html").read_text().startswith("<!DOCTYPE html>")
    for model in models:
        assert f"\n{model}: " in result.stdout
    assert "naive: Too few series for a verdict" in result.stdout
    assert "north: series 'still': is constant" in result.stderr
    record = record_in(out)
    assert record["folds"] == ["time 1 of 2", "time 2 of 2"]
    assert record["data"].keys() == {"north.csv", "south.csv"}
    for row in record["scores"]:
        assert row["fit_seconds"] > 0
        assert row["inference_seconds"] > 0
        assert row["size_bytes"] > 10_000


def test_the_importance_of_features_is_reported(sites: list[Path], tmp_path: Path) -> None:
    """For a model that has features, on the page and in the record; a naive model has none."""
    out = tmp_path / "compared"
    assert compared(sites, out, "naive,xgboost").exit_code == 0
    (model,) = record_in(out)["importance"]
    shares = record_in(out)["importance"][model]
    assert model == "xgboost"
    assert list(shares.values()) == sorted(shares.values(), reverse=True)
    assert next(iter(shares.values())) > 0.02
    assert shares["the last day in patches"] == 0
    assert "What the models rely on" in (out / "report.html").read_text()


def test_the_summary_as_json(sites: list[Path], tmp_path: Path) -> None:
    """Nothing but JSON on stdout: the models best first, each with its verdict."""
    result = compared(sites, tmp_path / "compared", "naive", "--json")
    told = json.loads(result.stdout)
    ratios = [model["median_ratio"] for model in told["models"]]
    assert ratios == sorted(ratios)
    assert {model["model"] for model in told["models"]} == {"persistence", "seasonal-naive", "naive"}
    assert all(model["verdict"] for model in told["models"])
    assert (told["series"], told["not_judged"], told["systems"]) == (3, 1, 2)
    assert told["left_out"] == ["north: series 'still': is constant: there is nothing to forecast"]
    assert Path(told["report"]).is_file()


@pytest.mark.parametrize("name", bad_values())
def test_a_series_of_no_use_is_reported(tmp_path: Path, name: str) -> None:
    """Alone: exit status 2, one sentence with its name and the rule, and no file."""
    values, rule = bad_values()[name]
    data = write_values(tmp_path / "site.csv", **{name: values})
    result = compared([data], tmp_path / "compared", "naive")
    assert result.exit_code == 2, result.output
    (line,) = result.stderr.splitlines()
    assert f"site: series {name!r}: " in line
    assert rule in line
    assert list(tmp_path.iterdir()) == [data]


def test_systems_too_young_to_compare_are_reported(tmp_path: Path) -> None:
    """By system it is two that must have enough."""
    values, _ = bad_values()["young"]
    young = [write_values(tmp_path / f"{name}.csv", shop=values) for name in ("north", "south")]
    result = compared(young, tmp_path / "compared", "naive", "--by", "system")
    assert result.exit_code == 2, result.output
    assert "series 'shop': has 1.0 days of history; 1." in result.stderr


def test_counters_and_findings_are_reported_and_recorded(tmp_path: Path) -> None:
    """A counter is left out in cleaning's words; what was found in another is on stderr, in the JSON and the record."""
    total, rule = bad_values()["counter"]
    usual = np.diff(total, prepend=0)
    usual[3 * 288 + 100 : 3 * 288 + 118] = 0
    data = write_values(tmp_path / "site.csv", total=total, shop=usual)
    result = compared([data], tmp_path / "compared", "naive")
    assert f"not judged: site: series 'total': {rule}" in result.stderr
    assert "found: site: series 'shop': outage 2026-01-08 08:20 to 2026-01-08 09:50: demand of 0 " in result.stderr
    told = json.loads(compared([data], tmp_path / "again", "naive", "--json").stdout)
    assert told["findings"] == record_in(tmp_path / "compared")["findings"]
    assert [one["kind"] for one in told["findings"]["site/shop"]] == ["outage"]
    assert told["series"] == 1


def test_a_comparison_by_system(sites: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each system is judged by models that never saw it; models made for their series are left out, with the reason.

    Those whose recipe says so are not even fitted.
    """
    seen = []

    class Curious(Around):
        def fit(self, training, progress=fine):
            seen.append({one.system for one in training.series})
            return super().fit(training, progress)

    stand_in(monkeypatch, "one-by-one", Around(failing), per_series=True)
    stand_in(monkeypatch, "made-for-some", Around(fine, series=("north/shop",)))
    stand_in(monkeypatch, "curious", Curious(fine))
    result = compared(sites, tmp_path / "compared", "one-by-one,made-for-some,curious", "--by", "system")
    assert result.exit_code == 1
    record = record_in(tmp_path / "compared")
    assert record["folds"] == ["without north", "without south"]
    assert seen == [{"south"}, {"north"}]
    assert {row["model"] for row in record["scores"]} == {"persistence", "seasonal-naive", "curious"}
    assert record["failed"].keys() == {"one-by-one", "made-for-some"}
    assert all("serves only the series it was fitted to" in reason for reason in record["failed"].values())
    assert "one-by-one: not compared: serves only the series" in result.stderr


def test_a_recipe_that_fails_leaves_the_others_alone(
    sites: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told once why, on one line, the exit status says so, and it is in no fold: all are judged on the same."""
    calls = []

    def tiring(progress: Progress) -> None:
        calls.append(1)
        if len(calls) == 2:
            raise RuntimeError("tired")

    stand_in(monkeypatch, "broken", Around(failing))
    stand_in(monkeypatch, "tiring", Around(tiring))
    result = compared(sites, tmp_path / "compared", "broken,tiring,naive", "--folds", "2")
    assert result.exit_code == 1
    assert result.stderr.count("broken: not compared: time 1 of 2: the trees do not grow") == 1
    record = record_in(tmp_path / "compared")
    assert {row["model"] for row in record["scores"]} == {"persistence", "seasonal-naive", "naive"}
    assert record["failed"] == {
        "broken": "time 1 of 2: the trees do not grow",
        "tiring": "time 2 of 2: unexpected RuntimeError in tests",
    }


def test_an_answer_to_nothing_is_a_failure(sites: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such a model would leave no window that everybody answers."""
    monkeypatch.setattr("training.experiment.compare.answers_of", silenced("quiet"))
    stand_in(monkeypatch, "quiet", Around(fine))
    result = compared(sites, tmp_path / "compared", "quiet,naive")
    assert record_in(tmp_path / "compared")["failed"] == {"quiet": "time 1 of 1: answers none of the judged windows"}
    assert result.exit_code == 1


def silenced(who: str) -> object:
    from training.experiment.compare import answers_of

    def asked(graph, name, past, per_series):
        prediction, seconds = answers_of(graph, name, past, per_series)
        if name == who:
            prediction.quantiles_NHQ[:] = math.nan
        return prediction, seconds

    return asked


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (["wizard"], 2, "recipe 'wizard': must be one of naive"),
        ([","], 2, "--recipes: must name at least one"),
        (["naive", "--folds", "9"], 2, "9 folds of 0.1 and 0.1 held out: must leave a share to train on"),
        (["naive", "--by", "system", "--folds", "3"], 2, "3 folds: must be between 2 and the 2 systems"),
        (["naive", "--by", "moon"], 2, "'moon' is not one of"),
        (["naive", "--windows", "-1"], 2, "should be greater than or equal to 10"),
        (["broken"], 1, "no recipe is left to compare: broken: time 1 of 1: the trees do not grow"),
    ],
)
def test_errors_are_reported_and_nothing_is_written(
    sites: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], status: int, told: str
) -> None:
    """One sentence that names the field and the rule, and no file."""
    stand_in(monkeypatch, "broken", Around(failing))
    result = compared(sites, tmp_path / "compared", *arguments)
    assert result.exit_code == status, result.output
    assert told in " ".join(result.stderr.replace("│", " ").split())
    assert not list(tmp_path.iterdir())


def test_older_files_are_replaced_as_a_whole_or_not_at_all(
    sites: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C while the report is written leaves all three as they were; other files in the folder are left alone."""
    out = tmp_path / "compared"
    out.mkdir()
    before = {name: f"{name} of before" for name in (*WRITTEN, "notes.txt")}
    for name, text in before.items():
        (out / name).write_text(text)

    def half_way(comparison: object, path_html: Path, path_csv: Path) -> None:
        path_html.write_text("half")
        press_ctrl_c()

    with monkeypatch.context() as changed:
        changed.setattr("training.experiment.compare.write_report", half_way)
        assert compared(sites, out, "naive").exit_code == 130
    assert {path.name: path.read_text() for path in out.iterdir()} == before
    assert compared(sites, out, "naive").exit_code == 0
    after = {path.name: path.read_text() for path in out.iterdir()}
    assert {name for name in after if after[name] != before[name]} == WRITTEN


def test_the_bundle_that_ships_takes_part_on_its_grid() -> None:
    """On the minute grid it is asked, on another it has nothing to say."""
    found = shipped_for(task_for(60))
    assert found is not None
    assert found.name == "general"
    assert shipped_for(task_for(300)) is None
