"""The forecaster that runs a bundle's graph, on the golden bundle: no training package is needed here."""

import shutil
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from scaler.bundle import Bundle, checksum, read_bundle
from scaler.errors import BundleInvalid
from scaler.forecast.onnx_forecaster import OnnxForecaster, load_forecaster, open_bundle, reference_difference
from scaler.series import HistoryBatch
from tests.servers.process import until

GOLDEN = Path(__file__).parents[1] / "bundle" / "golden"
END = 1_750_003_380.0


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return read_bundle(GOLDEN)


@pytest.fixture(scope="module")
def forecaster() -> OnnxForecaster:
    return load_forecaster(GOLDEN)


def batch_of(bundle: Bundle, keys: list[str] | None = None) -> HistoryBatch:
    stored = bundle.reference
    names = keys or [f"shop/web{i}/0" for i in range(len(stored["history"]))]
    return HistoryBatch(names, END, stored["history"], stored["long_history"], stored["local_time"])  # type: ignore[arg-type]


def refused(bundle: Bundle) -> str:
    with pytest.raises(BundleInvalid) as refusal:
        open_bundle(bundle, "golden")
    return str(refusal.value)


def with_manifest(bundle: Bundle, **changes: object) -> Bundle:
    return replace(bundle, manifest=bundle.manifest.model_copy(update=changes))


def test_a_forecast_carries_what_the_manifest_says(bundle: Bundle, forecaster: OnnxForecaster) -> None:
    """Start, step, levels, windows and model come with the quantiles."""
    forecast = forecaster.forecast(batch_of(bundle))[0]
    assert forecast is not None
    assert (forecast.start, forecast.step_seconds, forecast.model) == (END, 60, "golden@1")
    assert (forecast.levels, forecast.peak_steps) == ((0.1, 0.5, 0.9), (1, 2, 5, 10))
    assert forecast.peaks_WQ is not None
    assert (forecast.quantiles_HQ.shape, forecast.peaks_WQ.shape) == ((12, 3), (4, 3))


def test_forecasts_are_the_stored_answers(bundle: Bundle, forecaster: OnnxForecaster) -> None:
    """Series by series what the reference holds, and None exactly where it is not a number."""
    forecasts = forecaster.forecast(batch_of(bundle))
    stored = bundle.reference["quantiles"]
    assert [f is None for f in forecasts] == np.isnan(stored).any(axis=(1, 2)).tolist()
    for forecast, wanted in zip(forecasts, stored, strict=True):
        if forecast is not None:
            np.testing.assert_allclose(forecast.quantiles_HQ, wanted, rtol=1e-3, atol=1e-3 * float(wanted.max()))


@pytest.mark.parametrize("chunk", [1, 3, 1000])
def test_chunks_do_not_show(bundle: Bundle, forecaster: OnnxForecaster, chunk: int) -> None:
    """However a batch is cut, answers and their order are the same."""
    whole = forecaster.forecast(batch_of(bundle))
    cut = load_forecaster(GOLDEN, chunk=chunk).forecast(batch_of(bundle))
    assert [f is None for f in cut] == [f is None for f in whole]
    for one, other in zip(cut, whole, strict=True):
        if one is not None and other is not None:
            np.testing.assert_allclose(one.quantiles_HQ, other.quantiles_HQ, rtol=1e-3, atol=1e-3)


def test_a_forecast_owns_its_memory(bundle: Bundle, forecaster: OnnxForecaster) -> None:
    """Keeping one forecast does not keep the answers of its whole batch."""
    forecast = forecaster.forecast(batch_of(bundle))[0]
    assert forecast is not None
    assert forecast.quantiles_HQ.base is None
    assert forecast.peaks_WQ is not None
    assert forecast.peaks_WQ.base is None


def test_an_empty_batch_has_no_forecasts(bundle: Bundle, forecaster: OnnxForecaster) -> None:
    """No series, no answer, no error."""
    stored = bundle.reference
    empty = HistoryBatch([], END, stored["history"][:0], stored["long_history"][:0], stored["local_time"][:0])  # type: ignore[arg-type]
    assert forecaster.forecast(empty) == []


def test_a_batch_that_does_not_fit_is_an_error_of_ours(bundle: Bundle, forecaster: OnnxForecaster) -> None:
    """What onnxruntime raises while running comes out as BundleInvalid, with its text."""
    wrong = replace(batch_of(bundle), history_NT=np.zeros((16, 3), np.float32))
    with pytest.raises(BundleInvalid, match="failed while running"):
        forecaster.forecast(wrong)


def test_a_foreign_file_is_refused(bundle: Bundle) -> None:
    """Bytes that are no graph are told as such, even with a right checksum."""
    foreign = b"this is not a graph"
    changed = with_manifest(replace(bundle, graph=foreign), graph_sha256=checksum(foreign))
    assert "model.onnx cannot be loaded" in refused(changed)


def test_other_sizes_than_the_manifest_says_are_refused(bundle: Bundle) -> None:
    """Every tensor whose declared shape differs is listed."""
    told = refused(with_manifest(bundle, horizon_steps=13, steps=121))
    assert "input history: shape is [N, 120], must be [N, 121]" in told
    assert "output quantiles: shape is [N, 12, 3], must be [N, 13, 3]" in told


def test_missing_and_foreign_tensors_are_refused(bundle: Bundle) -> None:
    """A manifest with a list of series needs the input, one without windows must not have the output."""
    told = refused(with_manifest(bundle, series=("shop/web",), peak_steps=()))
    assert "input series: missing" in told
    assert "output peaks: not in the contract" in told


def test_a_failing_reference_case_is_refused(bundle: Bundle) -> None:
    """The refusal names the output, the case, the place and both numbers."""
    quantiles = bundle.reference["quantiles"].copy()
    quantiles[6, 2, 1] *= 2  # type: ignore[operator]
    told = refused(replace(bundle, reference={**bundle.reference, "quantiles": quantiles}))
    assert "reference quantiles: 1 of 16 cases differ; first case 6 at [2, 1]" in told


def test_a_truncated_folder_is_refused(tmp_path: Path) -> None:
    """Loading a folder checks the files before the graph."""
    folder = Path(shutil.copytree(GOLDEN, tmp_path / "golden"))
    (folder / "model.onnx").write_bytes((folder / "model.onnx").read_bytes()[:1000])
    with pytest.raises(BundleInvalid, match="checksum"):
        load_forecaster(folder)


@pytest.mark.parametrize(
    ("found", "agrees"),
    [
        ([[100.0, 1.0]], True),
        ([[100.05, 1.05]], True),
        ([[100.2, 1.0]], False),
        ([[100.0, np.nan]], False),
        ([[np.inf, 1.0]], False),
    ],
)
def test_tolerance_is_relative_to_the_case(found: list[list[float]], agrees: bool) -> None:
    """A thousandth of the case's largest value is rounding; more, or not a number, is a difference."""
    assert (reference_difference("quantiles", np.array([[100.0, 1.0]]), np.array(found)) == "") is agrees


class Rubbish:
    """Stands for a session whose graph answers what no quantiles can be."""

    def __init__(self, answer: np.ndarray) -> None:
        self.answer = answer

    def get_outputs(self) -> list[object]:
        return [type("Output", (), {"name": "quantiles"})]

    def run(self, _names: list[str], _inputs: object, _options: object) -> list[np.ndarray]:
        return [self.answer]


@pytest.mark.parametrize("row", [[1, np.nan, 3], [1, 2, np.inf], [-1, 2, 3], [1, 3, 2], [np.nan, 2, 3]])
def test_rubbish_is_no_forecast(bundle: Bundle, row: list[float]) -> None:
    """Not finite, negative or unsorted quantiles become None, and only for their series."""
    answer = np.tile(np.array([1, 2, 3], np.float32), (2, 12, 1))
    answer[1, 5] = row
    manifest = bundle.manifest.model_copy(update={"peak_steps": ()})
    forecasts = OnnxForecaster(manifest, Rubbish(answer)).forecast(batch_of(bundle, ["shop/a/0", "shop/b/0"]))
    assert forecasts[0] is not None
    assert forecasts[1] is None


def test_a_fitted_bundle_answers_only_its_triggers(bundle: Bundle) -> None:
    """With a list of series, others get None."""
    answer = np.tile(np.array([1, 2, 3], np.float32), (2, 12, 1))
    manifest = bundle.manifest.model_copy(update={"peak_steps": (), "series": ("shop/b",)})
    forecaster = OnnxForecaster(manifest, Rubbish(answer))
    forecasts = forecaster.forecast(batch_of(bundle, ["shop/a/0", "shop/b/0"]))
    assert [f is None for f in forecasts] == [True, False]


class Failing(Rubbish):
    """Stands for a session whose graph breaks while it runs."""

    def __init__(self) -> None:
        super().__init__(np.empty(0))

    def run(self, _names: list[str], _inputs: object, _options: object) -> list[np.ndarray]:
        raise RuntimeError("no memory")


class Endless(Rubbish):
    """Stands for a session whose graph loops for ever, which onnxruntime ends when it is asked to."""

    def __init__(self) -> None:
        super().__init__(np.empty(0))
        self.runs = 0

    def run(self, _names: list[str], _inputs: object, options: onnxruntime.RunOptions) -> list[np.ndarray]:
        self.runs += 1
        until(lambda: options.terminate, seconds=20)
        raise RuntimeError("Exiting due to terminate flag being set to true.")


def test_an_endless_graph_is_ended_and_rests(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next bundle answers, at once from the second time on, until the rest is over."""
    monkeypatch.setattr("scaler.forecast.onnx_forecaster.LONGEST_RUN_SECONDS", 0.05)
    manifest = bundle.manifest.model_copy(update={"peak_steps": ()})
    sound = np.tile(np.array([1, 2, 3], np.float32), (1, 12, 1))
    endless, below = Endless(), manifest.model_copy(update={"name": "below"})
    forecaster = OnnxForecaster(manifest, endless, fallback=OnnxForecaster(below, Rubbish(sound)))
    for _ in range(3):
        [forecast] = forecaster.forecast(batch_of(bundle, ["shop/a/0"]))
        assert forecast is not None
        assert forecast.model == "below@1"
    assert endless.runs == 1
    monkeypatch.setattr("scaler.forecast.onnx_forecaster.monotonic", lambda: time.monotonic() + 601)
    forecaster.forecast(batch_of(bundle, ["shop/a/0"]))
    assert endless.runs == 2


@pytest.mark.parametrize("shape", [(1, 12, 3), (3, 12, 3), (2, 11, 3), (2, 12, 4), (12, 3), ()])
def test_an_answer_of_another_shape_is_none(bundle: Bundle, shape: tuple[int, ...]) -> None:
    """A graph may answer other shapes than it declares: the next bundle serves all."""
    manifest = bundle.manifest.model_copy(update={"peak_steps": ()})
    odd, sound = np.ones(shape, np.float32), np.ones((2, 12, 3), np.float32)
    below = OnnxForecaster(manifest.model_copy(update={"name": "below"}), Rubbish(sound))
    forecasts = OnnxForecaster(manifest, Rubbish(odd), fallback=below).forecast(batch_of(bundle, ["a/a/0", "a/b/0"]))
    assert [f and f.model for f in forecasts] == ["below@1", "below@1"]


def test_what_a_bundle_cannot_say_the_next_one_says(bundle: Bundle) -> None:
    """Series by series, and each forecast names the bundle that made it."""
    below = bundle.manifest.model_copy(update={"peak_steps": (), "name": "below"})
    sound = np.tile(np.array([1, 2, 3], np.float32), (1, 12, 1))
    rubbish = np.concatenate([sound, sound * np.float32(np.nan)])
    manifest = bundle.manifest.model_copy(update={"peak_steps": ()})
    forecaster = OnnxForecaster(manifest, Rubbish(rubbish), fallback=OnnxForecaster(below, Rubbish(sound)))
    forecasts = forecaster.forecast(batch_of(bundle, ["shop/a/0", "shop/b/0"]))
    assert [f and f.model for f in forecasts] == ["golden@1", "below@1"]


def test_a_next_one_that_fails_takes_nothing_away(bundle: Bundle) -> None:
    """What the first could say stays said."""
    manifest = bundle.manifest.model_copy(update={"peak_steps": ()})
    sound = np.tile(np.array([1, 2, 3], np.float32), (1, 12, 1))
    rubbish = np.concatenate([sound, sound * np.float32(np.nan)])
    forecaster = OnnxForecaster(manifest, Rubbish(rubbish), fallback=OnnxForecaster(manifest, Failing()))
    forecasts = forecaster.forecast(batch_of(bundle, ["shop/a/0", "shop/b/0"]))
    assert [f is None for f in forecasts] == [False, True]


def test_a_failing_graph_leaves_all_to_the_next_one(bundle: Bundle) -> None:
    """And on another grid there is no next one: the failure is told."""
    below = bundle.manifest.model_copy(update={"peak_steps": (), "name": "below"})
    manifest = bundle.manifest.model_copy(update={"peak_steps": ()})
    sound = OnnxForecaster(below, Rubbish(np.tile(np.array([1, 2, 3], np.float32), (1, 12, 1))))
    batch = batch_of(bundle, ["shop/a/0"])
    assert [f and f.model for f in OnnxForecaster(manifest, Failing(), fallback=sound).forecast(batch)] == ["below@1"]
    hourly = manifest.model_copy(update={"step_seconds": 3600})
    with pytest.raises(BundleInvalid, match="no memory"):
        OnnxForecaster(hourly, Failing(), fallback=sound).forecast(batch)
