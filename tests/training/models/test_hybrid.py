"""Hybrid: what each window is told by whom, what the core adds to Prophet, the graph, and series without a Prophet."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir
import pytest

from scaler.bundle.signature import QUANTILES
from scaler.forecast.onnx_forecaster import OnnxForecaster, open_graph
from scaler.series import Floats, Grid, HistoryBatch
from training import graph
from training.data.load import Series
from training.data.windows import Past, Windows, cut, cutoffs
from training.export.bundle import bundle_of
from training.export.parity import answer, checked
from training.export.reference import reference_cases
from training.features.extract import CHANNELS, CoreInputs, Extractor, feature_graph
from training.models import Training
from training.models.earlier import before, borders
from training.models.hybrid import Hybrid, block_of
from training.models.hybrid_graph import addition, path_graph, prophet_first
from training.models.prophet import Prophet
from training.models.prophet_fit import Choices
from training.models.prophet_graph import path
from training.models.torch_model.core import lstm
from training.models.torch_model.fit import Fitting
from training.models.xgboost import Boosting, XgboostCore
from training.progress import Progress, no_progress
from training.recipes import RECIPES, Effort
from training.task import DAY_SECONDS, Task

START = 1_700_006_400 // DAY_SECONDS * DAY_SECONDS
COARSE = Task(Grid(900, 96, 900, 2688), 24, (0.1, 0.5, 0.9), (1, 2, 4, 12, 24), 8)
QUICK = Choices(daily_order=3, weekly_order=3, changepoints=5, growth="flat")
SHARES = (0.4, 0.7)
SMALL = Boosting(rounds=40, patience=40, depth=3, learning_rate=0.2, columns=0.5, least_weight=10.0)


def made(name: str, level: float, days: int = 21, seed: int = 0) -> Series:
    """A wave of a day and noise; what a morning is above its usual level, its afternoon is below it."""
    ends = START + 900 * np.arange(1, days * 96 + 1)
    random = np.random.default_rng(seed)
    wave = 1 - 0.5 * np.cos(2 * np.pi * ends / DAY_SECONDS)
    turned = random.standard_normal(days + 1)[(ends - START) // DAY_SECONDS]
    turned *= np.where(ends % DAY_SECONDS < DAY_SECONDS / 2, 1, -1)
    values = level * wave * (1 + 0.1 * turned + 0.01 * random.standard_normal(len(ends)))
    return Series("made", name, "", float(START), 900, np.maximum(values, 0).astype(np.float32))


def windows_of(series: Sequence[Series], count: int, since: float, until: float) -> Windows:
    """Windows between two shares of each series."""
    spans = [(one.start + since * (one.end - one.start), one.start + until * (one.end - one.start)) for one in series]
    pairs = zip(series, spans, strict=True)
    return cut([(one, cutoffs(one, count, 24, *span)) for one, span in pairs], COARSE.grid, 24)


def training_of(*series: Series, count: int = 400) -> Training:
    """The last quarter is held out."""
    return Training(COARSE, series, windows_of(series, count, 0.0, 0.75), windows_of(series, 150, 0.75, 1.0))


def hybrid(shares: Sequence[float] = SHARES[:1]) -> Hybrid:
    return Hybrid(XgboostCore(COARSE, SMALL), COARSE, QUICK, shares=shares)


WEB, NIGHT, SHORT = made("web", 100), made("night", 3e6, seed=1), made("short", 5, days=1, seed=2)


@dataclass(frozen=True)
class Fitted:
    training: Training
    model: Hybrid
    figures: Mapping[str, float]
    graph: bytes
    ends: list[float]
    """of the first series' record as each Prophet saw it"""


@pytest.fixture(scope="module")
def fitted() -> Fitted:
    training, model, ends = training_of(WEB, NIGHT, SHORT), hybrid(SHARES), []

    class Registration(Prophet):
        def fit(self, training: Training, progress: Progress = no_progress) -> Mapping[str, float]:
            ends.append(training.series[0].end)
            return super().fit(training, progress)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.models.hybrid.Prophet", Registration)
        figures = model.fit(training)
    return Fitted(training, model, figures, model.to_onnx(), ends)


def test_each_prophet_ends_before_the_windows_that_it_tells() -> None:
    """Record, truth and calibration of a block's Prophet end at its border; its windows begin there."""
    training = training_of(WEB, NIGHT)
    moments = borders(training, (*SHARES, 1.0))
    block_N = block_of(training.windows, moments)
    assert moments[-1].tolist() == [training.held_out.cutoff_N[training.held_out.series_N == s].min() for s in (0, 1)]
    assert set(block_N) == {-1, 0, 1}
    for b, border_S in enumerate(moments):
        known = before(training, border_S)
        last = known.held_out.cutoff_N + 24 * 900
        assert (last <= border_S[known.held_out.series_N]).all()
        for one, border in zip(known.series, border_S, strict=True):
            assert border - 900 < one.end <= border
        mine = block_N == b
        assert (training.windows.cutoff_N[mine] >= border_S[training.windows.series_N[mine]]).all()


def test_every_fit_ends_at_its_border_and_the_last_one_sees_all(fitted: Fitted) -> None:
    """A Prophet for each block, one for the held-out windows, and the one that serves; the core learns from blocks."""
    assert fitted.ends[:-1] == pytest.approx(borders(fitted.training, (*SHARES, 1.0))[:, 0], abs=900)
    assert fitted.ends[-1] == WEB.end
    blocks = block_of(fitted.training.windows, borders(fitted.training, SHARES))
    assert fitted.figures["windows"] == (blocks >= 0).sum()


def test_the_core_knows_what_prophet_cannot(fitted: Fitted) -> None:
    """An afternoon that answers to its morning is foreseen: far smaller errors than Prophet's, alone or moved."""
    later = windows_of((made("web", 100, 28), made("night", 3e6, 28, 1)), 300, 0.75, 1.0)
    errors = {}
    for level_correction in (True, False):
        prophet = Prophet(QUICK, level_correction=level_correction)
        prophet.fit(training_of(WEB, NIGHT))
        errors[prophet.name] = error_of(prophet, later)
    assert error_of(fitted.model, later) < 0.85 * min(errors.values())


def test_the_sequence_has_prophets_residuals() -> None:
    """The further channel is demand less Prophet's path, patch by patch, in one unit per window; 0 where unknown."""
    training, prophet = training_of(WEB, count=40), Prophet(QUICK)
    prophet.fit(training)
    features = feature_graph(COARSE, addition(COARSE))
    watched = prophet_first(features.graph, prophet.to_onnx(), path_graph(COARSE, prophet.components))
    extract = Extractor(COARSE, made=replace(features, graph=watched))
    past = training.held_out.past.take(np.arange(0, 150, 30))
    past.history_NT[:, 50] = np.nan
    seen = extract(past).seen.sequence_NPC
    assert seen.shape[2] == len(CHANNELS) + 1
    channel = np.sinh(seen[:, :, -1])
    behind = (900 * np.arange(-95, 1)).tolist()
    missed = past.history_NT - path(prophet.components, past.series_N, past.local_time_N, behind)
    known = np.arange(96) != 50
    assert (channel[:, ~known] == 0).all()
    for mine, wanted in zip(channel[:, known], missed[:, known], strict=True):
        assert np.corrcoef(mine, wanted)[0, 1] > 0.999
        assert np.median(mine / wanted) > 0


def test_an_lstm_learns_what_prophet_missed() -> None:
    """It loses less than the best constant quantiles of Prophet's residuals, and its graph agrees with the model."""
    training = training_of(made("web", 100, 42), made("night", 3e6, 42, seed=1), count=1200)
    model = Hybrid(lstm(Fitting(batch_rows=64, threads=1)), COARSE, QUICK, shares=SHARES[:1], name="hybrid-lstm")
    figures = model.fit(training)
    assert figures["held_out_loss"] < 0.85 * figures["constant_loss"]
    assert checked(model, model.to_onnx(), training.held_out.past.take(np.arange(0, 300, 10))).largest < 1e-4


def test_recipes_of_prophet_differ_in_what_learns_its_residuals() -> None:
    """Both serve single series alone, under their own names."""
    for name in ("hybrid", "hybrid-lstm"):
        recipe = RECIPES[name](Effort())
        assert recipe.per_series
        assert recipe.make(COARSE).name == name


def error_of(model: Prophet | Hybrid, windows: Windows) -> float:
    """RMSE of the median six hours ahead, relative to the demand of each series; mean over series."""
    missed = model.predict_quantiles(windows.past).quantiles_NHQ[:, -1, 1] - windows.truth.demand_NH[:, -1]
    rows = [windows.series_N == s for s in (0, 1)]
    return float(np.mean([np.sqrt((missed[r] ** 2).mean()) / windows.truth.demand_NH[r].mean() for r in rows]))


def test_the_graph_says_the_same_on_whole_and_damaged_windows(fitted: Fitted) -> None:
    """Model and graph agree, for the series without a Prophet too."""
    training, model = fitted.training, fitted.model
    whole = training.held_out.take(np.arange(0, len(training.held_out), 10)).past
    past = replace(whole, series_N=np.arange(len(whole)) % 3)
    assert checked(model, fitted.graph, past).largest < 1e-4


def test_answers_keep_the_contract(fitted: Fitted) -> None:
    """Not negative, ascending along levels, peaks ascending along window lengths; NaN with too little history."""
    training, model = fitted.training, fitted.model
    past = training.held_out.past.take(np.arange(40))
    past.history_NT[7, : 96 - 7], past.history_NT[8, -8:] = np.nan, np.nan
    said = model.predict_quantiles(past)
    assert np.flatnonzero(np.isnan(said.quantiles_NHQ).any(axis=(1, 2))).tolist() == [7, 8]
    good = np.delete(np.arange(40), [7, 8])
    assert min(said.quantiles_NHQ[good].min(), said.peaks_NWQ[good].min()) >= 0
    assert (np.diff(said.quantiles_NHQ[good], axis=2) >= 0).all()
    assert (np.diff(said.peaks_NWQ[good], axis=2) >= 0).all()
    assert (np.diff(said.peaks_NWQ[good], axis=1) >= 0).all()


def test_a_series_without_a_prophet_is_named_and_uses_the_seasonal_model(
    fitted: Fitted,
) -> None:
    """It is in `failed` with the rule and counted; its windows are answered, and no longer by another's Prophet."""
    training, model = fitted.training, fitted.model
    assert model.series == ("made/web", "made/night", "made/short")
    assert model.failed == {"made/short": "spans 1.0 days with 96 values; Prophet needs 2 days and 96"}
    assert fitted.figures["failed"] == 1
    past = training.held_out.past.take(np.array([0, 0]))
    past.series_N[1] = 2
    said = model.predict_quantiles(past).quantiles_NHQ[:, :, 1]
    assert np.isfinite(said).all()
    assert said[1] == pytest.approx(said[0], rel=0.5)
    assert (said[1] != said[0]).any()


def test_series_too_short_for_any_prophet_are_an_error_with_the_rule() -> None:
    """Where Prophet can tell no training window, fitting says which series is too short, and for what."""
    short = made("week", 100, days=3)
    with pytest.raises(ValueError, match=r"series 'made/week': spans .* Prophet needs 2 days"):
        hybrid().fit(Training(COARSE, (short,), windows_of((short,), 50, 0, 0.6), windows_of((short,), 50, 0.6, 1.0)))


@pytest.mark.parametrize("during", ["prophet", "xgboost"])
def test_an_interrupt_is_heard(during: str) -> None:
    """Before the core learns there is nothing to keep; later the trees grown so far answer."""
    raised = []

    def impatient(doing: str, share: float) -> None:
        if doing.startswith(during) and not raised:
            raised.append(share)
            raise KeyboardInterrupt

    training, model = training_of(WEB, count=40), hybrid()
    if during == "prophet":
        with pytest.raises(KeyboardInterrupt):
            model.fit(training, impatient)
    else:
        assert model.fit(training, impatient)["interrupted"] == 1
        assert np.isfinite(model.predict_quantiles(training.held_out.past.take([0])).quantiles_NHQ).all()


def test_the_scaler_serves_each_series_with_its_own_prophet(fitted: Fitted) -> None:
    """The bundle loads; the same history means something else for a series of another size."""
    training, model = fitted.training, fitted.model
    manifest = COARSE.manifest(model.name, "1", series=model.series)
    end = int(training.held_out.past.local_time_N.max())
    bundle = bundle_of(fitted.graph, manifest, reference_cases(manifest, end))
    assert np.isfinite(bundle.reference[QUANTILES.name]).all(axis=(1, 2)).sum() >= 8
    past = training.held_out.past.take(np.array([30, 30]))
    batch = HistoryBatch(
        ("made/web/1", "made/night/2"),
        float(past.local_time_N[0]),
        past.history_NT,
        past.long_history_NL2,
        past.local_time_N,
    )
    web, night = OnnxForecaster(bundle.manifest, open_graph(bundle.graph, "h")).forecast(batch)
    assert web is not None
    assert night is not None
    assert web.quantiles_HQ.max() < 200 < np.median(night.quantiles_HQ)


def test_the_same_data_gives_the_same_graph() -> None:
    """Bit for bit, with another model in the same process."""
    training, models = training_of(WEB, count=60), [hybrid(), hybrid()]
    for model in models:
        model.fit(training)
    assert models[0].to_onnx() == models[1].to_onnx()


class Patches:
    """A core that reads the sequence: it answers the share of the last day that is known, plus each level."""

    name = "patches"

    def fit(self, seen: CoreInputs, target_NK: Floats, *_: object) -> Mapping[str, float]:
        self.targets = target_NK.shape[1]
        return {}

    def predict(self, seen: CoreInputs) -> Floats:
        levels = np.tile(np.float32(COARSE.levels), (self.targets, 1))
        return np.asarray(levels + seen.sequence_NPC[:, :, 3].mean(axis=1)[:, None, None], np.float32)

    def to_onnx(self) -> bytes:
        with graph.building("patches") as (builder, op):
            sequence = builder.input("sequence", ir.DataType.FLOAT, ("N", 96, 5))
            known = op.ReduceMean(graph.part(op, sequence, 3, 4, axis=2), [1])
            scaled = known + graph.constant(op, np.tile(np.float32(COARSE.levels), (self.targets, 1)))
            scaled.shape, scaled.dtype = ir.Shape(("N", self.targets, 3)), ir.DataType.FLOAT
            builder.add_output(scaled, "scaled")
            return graph.serialised(builder, "test")


def test_the_core_may_read_the_sequence() -> None:
    """Another core learns the same targets, and its graph says the same."""
    training = training_of(WEB, count=60)
    model = Hybrid(Patches(), COARSE, QUICK, shares=SHARES[:1])
    model.fit(training)
    past: Past = training.held_out.past.take(np.arange(5))
    said = answer(model.to_onnx(), model, past)[QUANTILES.name]
    assert said == pytest.approx(model.predict_quantiles(past).quantiles_NHQ, rel=1e-3)
