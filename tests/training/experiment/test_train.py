"""`headway train run`, whole: a file of recorded demand becomes a bundle that the scaler takes."""

import json
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import Result
from typer.testing import CliRunner

from scaler.bundle import read_bundle
from scaler.cli import app
from scaler.forecast.onnx_forecaster import load_forecaster, open_bundle
from tests.training.recording import add_series, bad_values, write_recording, write_values
from tests.training.stand_ins import Around, Drawing, press_ctrl_c, recipe_of
from training import recipes
from training.data.load import Series
from training.data.windows import Past
from training.errors import ModelError
from training.experiment.search import Found
from training.export.parity import Difference
from training.models import Training
from training.models.prophet_fit import Fit, _fit_or_reason
from training.progress import Progress
from training.task import Prediction

WRITTEN = {"model.onnx", "manifest.json", "reference.npz", "run.json"}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two daily series in steps of five minutes, and one that cannot be used."""
    path = write_recording(tmp_path_factory.mktemp("recorded") / "site.csv", shop=100, search=9000)
    add_series(path, "still", 7)
    return path


def asked(recipe: str, data: Path, out: Path, *more: str) -> Result:
    return CliRunner().invoke(
        app, ["train", "run", recipe, "--data", str(data), "--out", str(out), "--windows", "30", *more]
    )


def trained(recipe: str, data: Path, out: Path, *more: str) -> str:
    result = asked(recipe, data, out, *more)
    assert result.exit_code == 0, result.output
    return result.output


def record_in(out: Path) -> dict:
    return json.loads((out / "run.json").read_text())


def old_bundle(out: Path) -> dict[str, bytes]:
    """Something that a run left there before; returns its contents."""
    out.mkdir()
    for name in WRITTEN:
        (out / name).write_text(f"{name} of before")
    return contents(out)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_run_leaves_a_bundle_that_the_scaler_takes(recorded: Path, tmp_path: Path) -> None:
    """The folder holds a bundle with scores, and a record of what went in."""
    told = trained("naive", recorded, tmp_path / "made")
    forecaster = open_bundle(read_bundle(tmp_path / "made"), "made")
    assert forecaster.model.startswith("naive@")
    record = record_in(tmp_path / "made")
    assert record["series"] == ["site/shop", "site/search"]
    assert record["data"].keys() == {"site.csv"}
    assert record["search"] is None
    assert not record["interrupted"]
    assert "series 'still': is constant" in told
    assert "judged on 2 series, not on 1 others" in told
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


@pytest.mark.parametrize("name", bad_values())
def test_an_unusable_series_is_reported_before_any_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Alone in a file: exit status 2, one sentence with its name, the rule, and what is needed where it is short."""

    def fitted(progress: Progress) -> None:
        raise AssertionError("nothing should be fitted")

    monkeypatch.setitem(recipes.RECIPES, "naive", recipe_of(lambda: Around(fitted)))
    values, rule = bad_values()[name]
    data = write_values(tmp_path / "site.csv", **{name: values})
    result = asked("naive", data, tmp_path / "made")
    assert result.exit_code == 2, result.output
    (line,) = result.stderr.splitlines()
    assert f"site: series {name!r}: " in line
    assert rule in line
    assert "learned from" not in line
    assert not (tmp_path / "made").exists()


def test_series_of_no_use_do_not_end_the_others(tmp_path: Path) -> None:
    """Each is told with its rule and recorded; the good one has the scores that it has alone."""
    bad = {name: values for name, (values, _) in bad_values().items() if len(values) == 6 * 288}
    write_recording(tmp_path / "alone.csv", shop=100)
    trained("naive", tmp_path / "alone.csv", tmp_path / "one")
    good = pd.read_csv(tmp_path / "alone.csv")["value"].to_numpy()
    told = trained("naive", write_values(tmp_path / "all.csv", shop=good, **bad), tmp_path / "made")
    record = record_in(tmp_path / "made")
    for name in bad:
        rule = f"all: series {name!r}: {bad_values()[name][1]}"
        assert rule in told
        assert any(one.startswith(rule) for one in record["left_out"])
    assert len(record["left_out"]) == len(bad)
    assert record["series"] == ["all/shop", "all/gone", "all/off"]
    assert "judged on 1 series, not on 5 others" in told


def test_what_cleaning_found_is_reported_and_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line for each series with how often what and the first, then a count; the record has all, with its time."""
    monkeypatch.setattr("training.commands.training_options.MOST_FINDINGS", 1)
    good = pd.read_csv(write_recording(tmp_path / "drawn.csv", days=10, shop=100))["value"].to_numpy(np.float64)
    worse = good.copy()
    worse[3 * 288 + 100 : 3 * 288 + 118] = 0
    worse[5 * 288 + 100 : 5 * 288 + 103] *= 20
    data = write_values(tmp_path / "site.csv", shop=worse, again=worse, fine=good)
    told = trained("naive", data, tmp_path / "made").splitlines()
    since, until = "2026-01-08 08:20", "2026-01-08 09:50"
    lines = [line for line in told if line.startswith("found: ")]
    assert lines[0].startswith(
        f"found: site: series 'shop': outage, anomaly; the first: outage {since} to {until}: demand of 0 where "
    )
    assert lines[1:] == [f"found: something in 1 more series; all are in {tmp_path / 'made' / 'run.json'}"]
    findings = record_in(tmp_path / "made")["findings"]
    assert findings.keys() == {"site/shop", "site/again"}
    assert [one["kind"] for one in findings["site/shop"]] == ["outage", "anomaly"]
    first = findings["site/again"][0]
    assert (first["since"], first["until"]) == (f"{since}Z", f"{until}Z")
    assert first["words"].startswith("demand of 0 where ")


def test_more_series_than_memory(recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They share the windows that there is room for, and a line says so."""
    monkeypatch.setattr("training.evaluate.folds.MOST_LEARNED", 40)
    told = trained("naive", recorded, tmp_path / "made")
    assert "headway: 40 windows, 20 of each series instead of 30: more than 40 are not cut" in told.splitlines()
    assert "Warning" not in told


def test_a_rerun_makes_the_same_bytes(recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Data, seed and code decide every byte, also where a model draws at random; another seed is another version."""
    monkeypatch.setitem(recipes.RECIPES, "naive", recipe_of(Drawing))
    for out, seed in (("one", "1"), ("two", "1"), ("three", "2")):
        trained("naive", recorded, tmp_path / out, "--seed", seed)
    assert contents(tmp_path / "one").keys() == WRITTEN
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    first, other = (read_bundle(tmp_path / out).manifest for out in ("one", "three"))
    assert first.version != other.version
    assert first.trained["data"] == other.trained["data"]


def test_a_search_decides_what_is_fitted(recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model is the one with the choices found, and the record holds them."""
    chosen = Found({"depth": 3}, 0.4, 0.5, 7, lambda _: Around(lambda _: None, "searched"))

    def found(recipe: str, training: Training, minutes: float, threads: int, progress: Progress) -> Found:
        assert (recipe, minutes) == ("xgboost", 0.5)
        return chosen

    monkeypatch.setattr("training.experiment.train.search", found)
    told = trained("xgboost", recorded, tmp_path / "made", "--search", "0.5")
    assert record_in(tmp_path / "made")["search"] == {
        "choices": {"depth": 3},
        "held_out_loss": 0.4,
        "default_held_out_loss": 0.5,
        "trials": 7,
    }
    assert "search: 7 trials, held-out loss 0.4000 (the recipe's 0.5000): depth 3" in told
    assert any(line.startswith("searched ") for line in told.splitlines())


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["wizard"], "recipe 'wizard': must be one of naive"),
        (["naive", "--step", "soon"], "--step 'soon': must be a duration"),
        (["naive", "--step", "-5m"], "--step '-5m': must be whole seconds and at least 1s"),
        (["naive", "--step", "7m"], "a step of 420 s: must divide 900 s"),
        (["naive", "--step", "1m"], "series 'shop': its step of 300 s is coarser than 60 s"),
        (["naive", "--data", "absent.csv"], "absent.csv: cannot be read: No such file"),
        (["naive", "--data", "columns.csv"], "columns.csv: lacks the column timestamp; there are series, time, value"),
        (["naive", "--data", "still.csv"], "no series can be used: still: series 'still': is constant"),
        (
            ["naive", "--data", "short.csv"],
            "series 'shop': has 0.6 days of history; 1.4 days are needed at a step of 300 s: its held-out part has no "
            "room for a window of 24 steps ahead",
        ),
        (["naive", "--timezone", "Middle/Earth"], "timezone='Middle/Earth': must be an IANA name"),
        (["naive", "--windows", "-3"], "should be greater than or equal to 10"),
        (["naive", "--seed", "-3"], "should be greater than or equal to 0"),
        (
            ["naive", "--search", "1"],
            "recipe 'naive' has no hyperparameters to search; these have: mlp, lstm, transformer, xgboost",
        ),
        (["mlp", "--country", "DE"], "country 'DE': mlp has no holidays; these have: prophet, hybrid, hybrid-lstm"),
        (["prophet", "--country", "ZZ"], "country 'ZZ': no holidays are known for it; write it as DE or DE-BY"),
        (["naive", "--name", "My Model"], "name 'My Model': must be at most 63 of a-z"),
    ],
)
def test_errors_are_reported_and_nothing_is_written(
    recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], told: str
) -> None:
    """Exit status 2, one sentence that names the field and the rule, no folder."""
    (tmp_path / "columns.csv").write_text("series,time,value\na,2026-01-05T00:00:00Z,1\n")
    still = [f"still,2026-01-05T{hour:02}:00:00Z,7\n" for hour in range(24)]
    (tmp_path / "still.csv").write_text("series,timestamp,value\n" + "".join(still))
    lines = recorded.read_text().splitlines(keepends=True)
    (tmp_path / "short.csv").write_text("".join(lines[:200]))
    monkeypatch.chdir(tmp_path)
    before = set(tmp_path.iterdir())
    data = [] if "--data" in arguments else ["--data", str(recorded)]
    result = CliRunner().invoke(app, ["train", "run", *arguments, *data, "--out", "made"])
    assert result.exit_code == 2, result.output
    assert told in " ".join(result.stderr.replace("│", " ").split())
    assert set(tmp_path.iterdir()) == before


def test_a_folder_with_other_things_is_not_replaced(recorded: Path, tmp_path: Path) -> None:
    """A slip of the pen in --out costs nobody their files; a bundle that is there is replaced."""
    precious = tmp_path / "thesis.txt"
    precious.write_text("ten years of work")
    result = asked("naive", recorded, tmp_path)
    assert result.exit_code == 2
    assert "contains other files than a bundle" in result.stderr
    assert precious.read_text() == "ten years of work"
    old_bundle(tmp_path / "made")
    trained("naive", recorded, tmp_path / "made", "--name", "second")
    assert read_bundle(tmp_path / "made").manifest.name == "second"


def test_a_series_that_a_model_cannot_be_fitted_to_is_not_served(
    recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bundle serves the others alone, each with its own parameters, and the record says why."""

    def fit_or_reason(series: Series, *more: Any) -> Fit | str:
        return "no fit today" if series.name == "shop" else _fit_or_reason(series, *more)

    monkeypatch.setattr("training.models.prophet_fit._fit_or_reason", fit_or_reason)
    trained("prophet", recorded, tmp_path / "made")
    bundle = read_bundle(tmp_path / "made")
    assert bundle.manifest.series == ("site/search",)
    assert record_in(tmp_path / "made")["failed"] == {"site/shop": "no fit today"}
    forecaster = open_bundle(bundle, "made")
    assert forecaster.serves("site/search/1")
    assert not forecaster.serves("site/shop/1")
    assert np.isfinite(bundle.reference["quantiles"][0]).all()


def test_two_series_of_one_name_are_reported_before_a_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a bundle is made for certain series: exit status 2, with the name and the files."""

    def fitted(progress: Progress) -> None:
        raise AssertionError("nothing should be fitted")

    monkeypatch.setitem(recipes.RECIPES, "prophet", recipe_of(lambda: Around(fitted), per_series=True))
    north, south = (write_recording(tmp_path / f"{name}.csv", **{"web/shop": 100, name: 50}) for name in ("no", "so"))
    result = asked("prophet", north, tmp_path / "made", "--data", str(south))
    assert result.exit_code == 2, result.output
    assert "series 'web/shop': is in no.csv, so.csv: a model fitted to single series" in " ".join(result.stderr.split())
    assert not (tmp_path / "made").exists()


@contextmanager
def full_disk() -> Iterator[None]:
    """The system refuses to write what goes beyond a few pages of any file."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_disk_that_takes_no_more_leaves_the_old_bundle(recorded: Path, tmp_path: Path) -> None:
    """A write that fails is told in a sentence; the bundle of before is whole, and no draft is left."""
    out = tmp_path / "made"
    before = old_bundle(out)
    with full_disk():
        result = asked("naive", recorded, out, "--name", "second")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == "headway: File too large"
    assert contents(out) == before
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ModelError("the moon is in the wrong house"), "the moon is in the wrong house"),
        (ValueError("operands could not be broadcast together"), "unexpected ValueError in tests"),
        (RuntimeError("CUDA driver: http://user:secret@host"), "unexpected RuntimeError in tests"),
    ],
)
def test_a_fit_that_fails_says_why(
    recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, words: str
) -> None:
    """One sentence with exit status 1: why a model refuses, or which package failed, without that package's text."""

    def refuse(progress: Progress) -> None:
        raise error

    monkeypatch.setitem(recipes.RECIPES, "naive", recipe_of(lambda: Around(refuse)))
    result = asked("naive", recorded, tmp_path / "made")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == f"headway: stand-in: cannot be fitted: {words}"
    assert not list(tmp_path.iterdir())


def pressing(at: float, times: int = 1) -> Callable[[recipes.Effort], recipes.Recipe]:
    """A recipe whose fit goes on in tenths until it is told to end; Ctrl-C is pressed at `at`."""

    def work(progress: Progress) -> None:
        try:
            for tenth in range(11):
                if tenth / 10 == at:
                    press_ctrl_c(times)
                progress("working", tenth / 10)
        except KeyboardInterrupt:
            progress("keeping the best", 0.9)
            return
        raise AssertionError("nobody ended the fit")

    return recipe_of(lambda: Around(work))


def test_ctrl_c_during_the_fit_keeps_the_best_so_far(
    recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fit is told once, also where it tells of its progress again; judging and export follow, and the record."""
    monkeypatch.setitem(recipes.RECIPES, "naive", pressing(0.5))
    handler = signal.getsignal(signal.SIGINT)
    told = trained("naive", recorded, tmp_path / "made")
    assert "the fit ends with its best so far; Ctrl-C again ends the command at once" in told
    assert "the fit was ended early" in told
    assert record_in(tmp_path / "made")["interrupted"] is True
    assert open_bundle(read_bundle(tmp_path / "made"), "made")
    assert signal.getsignal(signal.SIGINT) is handler


@pytest.mark.parametrize(("at", "times"), [(0.5, 2), (0.0, 1)])
def test_a_second_ctrl_c_or_one_before_anything_is_learned_ends_the_run(
    recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: float, times: int
) -> None:
    """Exit status 130, and nothing is written."""
    monkeypatch.setitem(recipes.RECIPES, "naive", pressing(at, times))
    result = asked("naive", recorded, tmp_path / "made")
    assert result.exit_code == 130
    assert "interrupted; nothing was written" in result.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("step", ["clean", "compare", "export"])
def test_ctrl_c_elsewhere_leaves_what_was_there(
    recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """While data is cleaned, models are judged, or the bundle is being written."""
    out = tmp_path / "made"
    before = old_bundle(out)

    def pressed(*_: object, **__: object) -> None:
        press_ctrl_c()

    monkeypatch.setattr(f"training.experiment.train.{step}", pressed)
    assert asked("naive", recorded, out).exit_code == 130
    assert contents(out) == before
    assert list(tmp_path.iterdir()) == [out]


def small_network(effort: recipes.Effort) -> recipes.Recipe:
    """The network recipe, with few epochs."""
    from training.models.learned import Learned
    from training.models.torch_model.core import mlp
    from training.models.torch_model.fit import Fitting

    return recipes.Recipe(lambda task: Learned(mlp(Fitting(epochs=2, threads=1)), task), windows=60, held_out=20)


def test_int8_is_smaller_and_says_what_it_costs(
    recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Size, seconds and loss before and after are told; the bundle holds the smaller graph and the scaler takes it."""
    monkeypatch.setitem(recipes.RECIPES, "mlp", small_network)
    told = trained("mlp", recorded, tmp_path / "small", "--int8")
    before, after = (line.split() for line in told.splitlines() if line.startswith(("float32", "int8")))
    assert float(after[1]) < float(before[1])
    assert float(after[-4]) == pytest.approx(float(before[-4]), rel=0.05)
    graph = (tmp_path / "small" / "model.onnx").read_bytes()
    assert len(graph) / 1e6 == pytest.approx(float(after[1]), abs=0.01)
    assert load_forecaster(tmp_path / "small").model.startswith("mlp@")


def test_what_a_model_relies_on_is_printed_and_recorded(
    recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The three subjects whose exchange costs most in a line, all of them in the record; none for a naive model."""
    monkeypatch.setitem(recipes.RECIPES, "mlp", small_network)
    told = trained("mlp", recorded, tmp_path / "network")
    shares = record_in(tmp_path / "network")["importance"]
    first, share = next(iter(shares.items()))
    (line,) = (line for line in told.splitlines() if line.startswith("loss without: "))
    assert line.startswith(f"loss without: {first} {share:+.0%}, ")
    assert line.count("%") == 3 < len(shares)
    assert "loss without" not in trained("naive", recorded, tmp_path / "naive")
    assert record_in(tmp_path / "naive")["importance"] == {}


def test_int8_of_what_has_no_weights_is_refused(recorded: Path, tmp_path: Path) -> None:
    """Nothing is written."""
    result = asked("naive", recorded, tmp_path / "none", "--int8")
    assert result.exit_code == 1
    assert "has no weights that int8 could hold" in result.output
    assert not (tmp_path / "none").exists()


def test_a_link_is_not_replaced(recorded: Path, tmp_path: Path) -> None:
    """Whoever reads what it points to would go on with the old bundle; it is told before any work."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    result = asked("naive", recorded, tmp_path / "link")
    assert result.exit_code == 2
    assert "link': is a symbolic link" in result.output
    assert (tmp_path / "link").is_symlink()


def test_a_model_that_loses_is_reported(recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bundle that is worse than doing nothing comes with a warning."""

    class Wild(Around):
        def predict_quantiles(self, past: Past) -> Prediction:
            said = super().predict_quantiles(past)
            return Prediction(said.quantiles_NHQ * 9, said.peaks_NWQ * 9)

    monkeypatch.setitem(recipes.RECIPES, "naive", recipe_of(lambda: Wild(lambda _: None)))
    monkeypatch.setattr("training.experiment.train.checked", lambda *_: Difference(0.0, ""))
    assert "times the loss of the better naive model: do not serve it" in trained("naive", recorded, tmp_path / "wild")
