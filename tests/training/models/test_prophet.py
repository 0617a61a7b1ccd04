"""Prophet: its exported components against its own predict, the graph against numpy, and series that fail."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import joblib
import numpy as np
import onnx_ir as ir
import pandas as pd
import pytest

from scaler.bundle.signature import PEAKS, QUANTILES
from scaler.forecast.onnx_forecaster import OnnxForecaster, open_graph, run
from scaler.series import Grid, HistoryBatch
from training import graph
from training.data.load import Series
from training.data.windows import Past, Windows, cut, cutoffs
from training.export.bundle import bundle_of, served
from training.export.reference import reference_cases
from training.models import Training
from training.models.prophet import Prophet
from training.models.prophet_fit import Choices, fit_components, fitted_prophet, frame_of, holidays_of, public_holidays
from training.models.prophet_graph import Components, path, path_nodes
from training.progress import no_progress
from training.task import DAY_SECONDS, Prediction, Task

START = 1_700_006_400 // DAY_SECONDS * DAY_SECONDS
COARSE = Task(Grid(900, 96, 900, 96), 24, (0.1, 0.5, 0.9), (1, 2, 4, 12, 24), 8)
TRENDY = Choices(daily_order=3, weekly_order=3, changepoints=5)
QUICK = replace(TRENDY, growth="flat")


def made(name: str, level: float, days: int = 21, seed: int = 0, zone: str = "UTC") -> Series:
    """A wave of a day with quieter weekends, on a level that wanders for hours at a time, and noise."""
    ends = START + 900 * np.arange(1, days * 96 + 1)
    random = np.random.default_rng(seed)
    wander = np.convolve(random.standard_normal(len(ends)), 0.9 ** np.arange(100), "full")[: len(ends)]
    wave = (1 - 0.5 * np.cos(2 * np.pi * ends / DAY_SECONDS)) * np.where((ends // DAY_SECONDS + 3) % 7 >= 5, 0.7, 1.0)
    values = level * wave * (1 + 0.03 * wander + 0.02 * random.standard_normal(len(ends)))
    return Series("made", name, "", float(START), 900, np.maximum(values, 0).astype(np.float32), zone)


def training_of(*series: Series, windows: int = 100) -> Training:
    """The last third is held out."""
    spans = [(one.start, one.start + 0.67 * (one.end - one.start)) for one in series]
    pairs = list(zip(series, spans, strict=True))
    learn = cut([(s, cutoffs(s, windows, 24, *span)) for s, span in pairs], COARSE.grid, 24)
    held_out = cut([(s, cutoffs(s, windows, 24, span[1], s.end)) for s, span in pairs], COARSE.grid, 24)
    return Training(COARSE, series, learn, held_out)


def later(*series: Series, windows: int = 100) -> Past:
    return later_windows(*series, windows=windows).past


def later_windows(*series: Series, windows: int = 100) -> Windows:
    """Windows of the last week, which `seen_until_last_week` keeps from a fit."""
    return cut([(s, cutoffs(s, windows, 24, s.end - 7 * DAY_SECONDS, s.end)) for s in series], COARSE.grid, 24)


def seen_until_last_week(series: Series) -> Series:
    return replace(series, values=series.values[: -7 * 96])


def of_graph(model: Prophet, past: Past) -> Prediction:
    answers = run(open_graph(model.to_onnx(), model.name), past.inputs(), model.name)
    return Prediction(answers[QUANTILES.name], answers[PEAKS.name])


def relative_difference(one: Prediction, other: Prediction) -> float:
    """Largest difference, relative to the largest answer of its window; infinite where only one is NaN."""
    worst = 0.0
    for a, b in ((one.quantiles_NHQ, other.quantiles_NHQ), (one.peaks_NWQ, other.peaks_NWQ)):
        if (np.isnan(a) != np.isnan(b)).any():
            return np.inf
        size = np.maximum(np.nan_to_num(a).max(axis=(1, 2), keepdims=True), 1e-30)
        worst = max(worst, float(np.nanmax(np.abs(a - b) / size)))
    return worst


def path_of_graph(
    components: Components, series_N: np.ndarray, local_time_N: np.ndarray, ahead: list[int]
) -> np.ndarray:
    """What the nodes say, relative to the scale of each series."""
    with graph.building("path") as (builder, op):
        inputs = [builder.input(name, ir.DataType.INT64, ("N",)) for name in ("series", "local_time")]
        said = path_nodes(op, components, *inputs, ahead)
        said.shape, said.dtype = ir.Shape(("N", len(ahead))), ir.DataType.FLOAT
        builder.add_output(said, "path")
        made_graph = graph.serialised(builder, "test")
    return np.asarray(
        run(open_graph(made_graph, "path"), {"series": series_N, "local_time": local_time_N}, "path")["path"]
    )


WEB, NIGHT, SHORT = made("web", 100), made("night", 3e6, seed=1), made("short", 5, days=1, seed=2)


@pytest.fixture(scope="module")
def fitted() -> tuple[Training, Prophet]:
    """Two series with a month, less its last week, and one with a day."""
    training = training_of(
        *(seen_until_last_week(made(s.name, level, 28, seed)) for s, level, seed in ((WEB, 100, 0), (NIGHT, 3e6, 1))),
        SHORT,
    )
    model = Prophet(QUICK)
    model.fit(training)
    return training, model


CASES = {
    "flat": (made("f", 50, days=15), QUICK),
    "additive": (made("a", 50, days=15), replace(TRENDY, mode="additive")),
    "holidays": (made("b", 50, days=45, zone="America/New_York"), replace(TRENDY, country="US", days_around=(1, 1))),
    "yearly": (made("c", 50, days=740), replace(TRENDY, fit_seconds=21600, daily_order=1, yearly_order=4)),
}


@pytest.mark.parametrize("case", CASES)
def test_components_say_what_prophet_predicts(case: str) -> None:
    """Trend, seasons and holidays taken out of Prophet agree with its predict, before, during and after the record."""
    series, choices = CASES[case]
    components, failed = fit_components([series], [series.end], choices, 0, 1, no_progress)
    assert failed == {}
    rows = frame_of(series, series.end, choices)
    moments = rows["ds"].iloc[0].value // 10**9 + np.arange(-2 * DAY_SECONDS, 60 * DAY_SECONDS, 3607)
    prophet = fitted_prophet(rows, choices, holidays_of([series], choices), 0)
    predicted = prophet.predict(pd.DataFrame({"ds": pd.to_datetime(moments, unit="s")}))["yhat"].to_numpy()
    owner = np.zeros(len(moments), np.int64)
    ahead = [-900, 0, 900, 2 * DAY_SECONDS]
    said = path(components, owner, moments, ahead)
    assert said[:, 1] == pytest.approx(predicted, abs=1e-9 * np.abs(predicted).max())
    assert bool(components.holidays.kinds) == (case == "holidays")
    assert (365.25 * DAY_SECONDS in components.period_F) == (case == "yearly")
    nodes = path_of_graph(components, owner, moments, ahead) * components.scale_S[0]
    assert nodes == pytest.approx(said, abs=1e-5 * np.abs(said).max())


def test_holidays_move_the_whole_local_day() -> None:
    """The effect of a holiday begins and ends at local midnight, and its eve has one of its own."""
    series, choices = CASES["holidays"]
    components, _ = fit_components([series], [series.end], choices, 0, 1, no_progress)
    effects = replace(components, holiday_SO=np.zeros_like(components.holiday_SO))
    christmas = int(pd.Timestamp("2024-12-25").value // 10**9)
    moments = christmas + np.array(
        [-DAY_SECONDS - 1, -DAY_SECONDS, -1, 0, DAY_SECONDS - 1, DAY_SECONDS, 2 * DAY_SECONDS]
    )
    owner = np.zeros(len(moments), np.int64)
    moved = (path(components, owner, moments, [0]) != path(effects, owner, moments, [0]))[:, 0]
    assert moved.tolist() == [False, True, True, True, True, True, False]


@pytest.mark.parametrize(("days", "kinds"), [(60, {"any holiday_delim_+0"}), (740, {"Christmas Day_delim_+0"})])
def test_holidays_that_came_once_have_one_effect_in_common(days: int, kinds: set[str]) -> None:
    """Below two years Thanksgiving teaches what Christmas does; from then on each has its own effect."""
    choices = replace(QUICK, country="US", fit_seconds=3600)
    components, _ = fit_components([made("h", 50, days)], [START + days * 86_400.0], choices, 0, 1, no_progress)
    assert kinds <= set(components.holidays.kinds)
    assert (len(components.holidays.kinds) == 1) == (days < 730)


def test_a_holiday_that_never_came_is_foreseen() -> None:
    """Thanksgiving was quiet and within the record; so will be New Year, and the Monday after it will not."""
    quiet = made("h", 50, 30)
    day = ((quiet.times - START) // DAY_SECONDS).astype(int)
    thanksgiving = (pd.Timestamp("2023-11-23").value // 10**9 - START) // DAY_SECONDS
    values = np.where(day == thanksgiving, 0.3, 1) * quiet.values
    series = replace(quiet, values=values.astype(np.float32))
    components, _ = fit_components([series], [series.end], replace(QUICK, country="US"), 0, 1, no_progress)
    noon = pd.Timestamp("2024-01-01 12:00").value // 10**9 + DAY_SECONDS * np.array([0, 7])
    new_year, week_after = path(components, np.zeros(2, np.int64), noon, [0])[:, 0]
    assert new_year < 0.6 * week_after


def test_holidays_of_a_part_of_a_country() -> None:
    """Epiphany is a holiday in Bavaria and none in Berlin."""
    days = [set(public_holidays(part, [2024])["ds"].dt.strftime("%m-%d")) for part in ("DE-BY", "DE-BE")]
    assert "01-06" in days[0] - days[1]
    with pytest.raises(ValueError, match=r"country 'DE-XX': no holidays are known for it; write it as DE or DE-BY"):
        public_holidays("DE-XX", [2024])


def test_predictions_of_held_out_windows_have_not_seen_them() -> None:
    """What came after their beginning changes neither the fit nor the quantiles."""
    training = training_of(WEB, windows=40)
    border = training.held_out.cutoff_N.min()
    other = replace(WEB, values=np.where(WEB.times >= border, 7, WEB.values).astype(np.float32))
    said, same = (Prophet(QUICK).predict_held_out(replace(training, series=(one,))).peaks_NWQ for one in (WEB, other))
    assert np.isfinite(said).all()
    np.testing.assert_array_equal(said, same)
    earlier = replace(WEB, values=np.where(WEB.times < border, WEB.values * 2, WEB.values).astype(np.float32))
    assert (Prophet(QUICK).predict_held_out(replace(training, series=(earlier,))).peaks_NWQ != said).any()


def test_half_of_a_fit_predicts_nothing() -> None:
    """An interrupt during the fit for the held-out windows is passed on: some series would be missing."""

    def impatient(doing: str, share: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Prophet(QUICK).predict_held_out(training_of(WEB, NIGHT, windows=40), impatient)


def test_a_fit_sees_nothing_beyond_its_end() -> None:
    """Rows end before `until`, and what comes later changes none of them."""
    until = WEB.start + 10.5 * DAY_SECONDS + 300
    changed = replace(WEB, values=np.where(WEB.times + 900 > until, 7, WEB.values).astype(np.float32))
    rows = frame_of(WEB, until, replace(QUICK, fit_seconds=1800))
    assert rows["ds"].max() <= pd.Timestamp(until, unit="s")
    assert rows.equals(frame_of(changed, until, replace(QUICK, fit_seconds=1800)))


def test_demand_is_averaged_around_its_moments() -> None:
    """A bin stands at its end; several become their mean at the mean of their ends; gaps are left out."""
    bins = Series("made", "b", "", float(START), 300, np.array([9, 1, 2, 6, np.nan, 4, np.nan], np.float32))
    rows = frame_of(bins, bins.end, Choices(fit_seconds=900))
    assert rows["y"].tolist() == [3, 4]
    assert [int(ds.value // 10**9) - START for ds in rows["ds"]] == [900, 1800]


def test_misses_are_measured_where_prophet_has_not_been(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fit that is calibrated ends where the held-out windows begin; the one that serves sees everything."""
    training, ends = training_of(WEB), []

    def watched(series: Sequence[Series], until: Sequence[float], *rest: object) -> object:
        ends.append(list(until))
        return fit_components(series, until, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr("training.models.prophet.fit_components", watched)
    Prophet(QUICK).fit(training)
    assert ends == [[training.held_out.cutoff_N.min()], [WEB.end]]


def test_the_graph_says_the_same(fitted: tuple[Training, Prophet]) -> None:
    """Graph and numpy agree for each series on windows with gaps, zeros, other scales, too little and nothing."""
    training, model = fitted
    web_and_night = training.held_out.take(training.held_out.series_N < 2).past
    past = web_and_night.take(np.linspace(0, len(web_and_night) - 1, 20).astype(np.int64))
    history = past.history_NT
    history[1, ::3], history[2, : 96 - 8], history[3, : 96 - 7] = np.nan, np.nan, np.nan
    history[4], history[5, -5:], history[6, -4:], history[7] = 0, np.nan, np.nan, np.nan
    history[11], history[12], history[13] = history[11] * 1e9, history[12] * 1e-9, 0
    said = model.predict_quantiles(past)
    assert np.flatnonzero(np.isnan(said.quantiles_NHQ[:, 0, 0])).tolist() == [3, 5, 7]
    assert relative_difference(said, of_graph(model, past)) < 1e-3


def test_answers_keep_the_contract(fitted: tuple[Training, Prophet]) -> None:
    """Not negative, ascending along levels, peaks ascending along window lengths."""
    said = fitted[1].predict_quantiles(later(made("web", 100, 28), made("night", 3e6, 28, 1)))
    assert min(said.quantiles_NHQ.min(), said.peaks_NWQ.min()) >= 0
    assert (np.diff(said.quantiles_NHQ, axis=2) >= 0).all()
    assert (np.diff(said.peaks_NWQ, axis=2) >= 0).all()
    assert (np.diff(said.peaks_NWQ, axis=1) >= 0).all()


def test_quantiles_cover_what_they_promise_in_the_week_after(fitted: tuple[Training, Prophet]) -> None:
    """About nine of ten steps and peaks of a week never seen lie below the 0.9 quantile."""
    windows = later_windows(made("web", 100, 28), made("night", 3e6, 28, 1), windows=200)
    said = fitted[1].predict_quantiles(windows.past)
    steps = windows.truth.demand_NH <= said.quantiles_NHQ[:, :, 2]
    peaks = windows.truth.peaks(COARSE.peak_steps) <= said.peaks_NWQ[:, :, 2]
    assert steps.mean() == pytest.approx(0.9, abs=0.07)
    assert peaks.mean() == pytest.approx(0.9, abs=0.07)


def test_newest_misses_move_the_next_steps_only(fitted: tuple[Training, Prophet]) -> None:
    """Demand that wanders is followed at a short lead and less so later; Prophet alone takes no notice."""
    training, model = fitted
    alone = Prophet(QUICK, level_correction=False)
    alone.fit(training)
    assert (model.name, alone.name) == ("prophet-level", "prophet")
    past = later(made("web", 100, 28), windows=1)
    raised = replace(past, history_NT=past.history_NT * np.float32(1.1))
    medians = [m.predict_quantiles(p).quantiles_NHQ[0, :, 1] for m in (model, alone) for p in (past, raised)]
    moved = (medians[1] - medians[0]) / past.history_NT[0, -1]
    assert moved[0] == pytest.approx(0.1, abs=0.03)
    assert moved[-1] < 0.8 * moved[0]
    assert medians[3] == pytest.approx(medians[2], rel=0.02)


def test_a_series_that_cannot_be_fitted_keeps_nobody_else_out(fitted: tuple[Training, Prophet]) -> None:
    """It is named with the rule it breaks and answered with NaN; its place among the series stays, without a name."""
    training, model = fitted
    assert model.series == ("made/web", "made/night", "")
    assert model.failed == {"made/short": "spans 1.0 days with 96 values; Prophet needs 2 days and 96"}
    past = training.held_out.past.take(np.array([0, 0]))
    past.series_N[1] = 2
    for said in (model.predict_quantiles(past), of_graph(model, past)):
        assert np.isnan(said.quantiles_NHQ).all(axis=(1, 2)).tolist() == [False, True]


def test_a_graph_without_some_series_counts_the_others(fitted: tuple[Training, Prophet]) -> None:
    """What was the second series is the first where that has no name, and answers as before."""
    training, model = fitted
    past = training.held_out.take(np.flatnonzero(training.held_out.series_N == 1)).past
    before = of_graph(model, past)
    graph, names = served(model.to_onnx(), ("", "made/night", ""))
    assert names == ("made/night",)
    after = run(open_graph(graph, "p"), replace(past, series_N=np.zeros_like(past.series_N)).inputs(), "p")
    np.testing.assert_array_equal(after[QUANTILES.name], before.quantiles_NHQ)
    assert served(model.to_onnx(), ("a", "b", "c")) == (model.to_onnx(), ("a", "b", "c"))


def test_nothing_to_fit_names_a_series_and_its_rule() -> None:
    """Where every series fails the first one says why."""
    with pytest.raises(ValueError, match=r"no series could be fitted; series 'made/short': spans 1\.0 days"):
        fit_components([SHORT], [SHORT.end], QUICK, 0, 1, no_progress)


def test_an_unknown_country_is_named() -> None:
    """Holidays of a country that nobody knows are an error, not a year without holidays."""
    with pytest.raises(ValueError, match="country 'Atlantis'"):
        fit_components([WEB], [WEB.end], replace(QUICK, country="Atlantis"), 0, 1, no_progress)


def test_an_interrupt_keeps_what_is_fitted() -> None:
    """The series fitted by then answer; the other says that its turn never came."""

    def impatient(doing: str, share: float) -> None:
        raise KeyboardInterrupt

    model = Prophet(QUICK)
    figures = model.fit(training_of(WEB, NIGHT), impatient)
    assert figures == {"series": 1, "failed": 1}
    assert model.failed == {"made/night": "the fit was interrupted before its turn"}
    assert np.isfinite(model.predict_quantiles(later(WEB)).quantiles_NHQ).all()


def test_an_interrupt_of_the_last_fit_keeps_the_one_before() -> None:
    """Every series was fitted once by then: none is given up."""

    def impatient(doing: str, share: float) -> None:
        if share > 0.5:
            raise KeyboardInterrupt

    model = Prophet(QUICK)
    assert model.fit(training_of(WEB, NIGHT), impatient) == {"series": 2, "failed": 0}
    assert np.isfinite(model.predict_quantiles(later(WEB, NIGHT)).quantiles_NHQ).all()


def test_an_interrupt_before_any_series_is_fitted_leaves_nothing_to_keep() -> None:
    """The only series reached by then cannot be fitted: that is no error in the data, but an interrupt."""

    def impatient(doing: str, share: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_components([SHORT, WEB], [SHORT.end, WEB.end], QUICK, 0, 1, impatient)


FITTING = """
import sys
import numpy as np
from training.data.load import Series
from training.experiment.interrupts import interruptible
from training.models.prophet_fit import Choices, fit_components

if __name__ == "__main__":
    demand = np.random.default_rng(0).gamma(9.0, size=(12, 30 * 96)).astype(np.float32)
    series = [Series("made", f"s{i}", "", 1_699_920_000.0, 900, one) for i, one in enumerate(demand)]
    with interruptible(lambda *step: print(*step, flush=True)) as (progress, _):
        _, failed = fit_components(series, [one.end for one in series], Choices(), 0, int(sys.argv[1]), progress)
    print("fitted", 12 - len(failed), set(failed.values()))
"""


@pytest.mark.parametrize("jobs", [1, 2])
def test_ctrl_c_in_a_terminal_ends_the_fits_soon_and_quietly(jobs: int, tmp_path: Path) -> None:
    """A terminal tells the optimiser and the workers too: fits under way are finished, nothing is said or left."""
    script, scratch = tmp_path / "fitting.py", tmp_path / "scratch"
    script.write_text(FITTING)
    scratch.mkdir()
    root = Path(__file__).parents[3]
    with subprocess.Popen(
        [sys.executable, script, str(jobs)],
        env={**os.environ, "TMPDIR": str(scratch), "PYTHONPATH": str(root)},
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        process.stdout.readline()
        time.sleep(0.1)
        os.killpg(process.pid, signal.SIGINT)
        said, complaints = process.communicate(timeout=60)
    last = said.splitlines()[-1]
    assert re.fullmatch(r"fitted [2-7] \{'the fit was interrupted before its turn'\}", last), said
    assert (process.returncode, complaints) == (0, "")
    assert list(scratch.iterdir()) == []


def test_the_scaler_serves_each_series_with_its_own_parameters(
    fitted: tuple[Training, Prophet], tmp_path: Path
) -> None:
    """The bundle loads, and two triggers with one history are answered by their own seasons and errors."""
    training, model = fitted
    graph, series = served(model.to_onnx(), model.series)
    manifest = COARSE.manifest(model.name, "1", series=series)
    end = int(training.held_out.past.local_time_N.max())
    bundle = bundle_of(graph, manifest, reference_cases(manifest, end))
    assert np.isfinite(bundle.reference[QUANTILES.name]).all(axis=(1, 2)).sum() >= 6
    past = training.held_out.past.take(np.array([5, 5]))
    batch = HistoryBatch(
        ("made/web/1", "made/night/2"),
        float(past.local_time_N[0]),
        past.history_NT,
        past.long_history_NL2,
        past.local_time_N,
    )
    web, night = OnnxForecaster(bundle.manifest, open_graph(bundle.graph, "p")).forecast(batch)
    assert web is not None
    assert night is not None
    assert web.quantiles_HQ.max() < 1000 < night.quantiles_HQ.max()


def test_the_same_data_gives_the_same_graph_however_many_work_on_it(fitted: tuple[Training, Prophet]) -> None:
    """Two fits at once are bit for bit those of one after the other."""
    training, model = fitted
    again = Prophet(QUICK, jobs=2)
    with joblib.parallel_config(backend="threading"):
        again.fit(training)
    assert again.to_onnx() == model.to_onnx()
