"""The naive models: what they say, that their graphs say the same, and what they do with bad windows."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from scaler.bundle.signature import PEAKS, QUANTILES, SERIES
from scaler.forecast.onnx_forecaster import open_graph, run
from scaler.series import Grid
from training.data.load import Series
from training.data.windows import Past, Windows, cut, cutoffs
from training.export.bundle import bundle_of
from training.export.reference import reference_cases
from training.models import Training
from training.models.empirical import error_quantiles, pinball
from training.models.naive import Naive, Persistence, SeasonalNaive
from training.task import DAY_SECONDS, Prediction, Task, task_for

START = 1_700_006_400 // DAY_SECONDS * DAY_SECONDS
COARSE = Task(Grid(900, 96, 900, 1344), 24, (0.1, 0.5, 0.9), (1, 2, 4, 12, 24), 8)
MODELS = (Persistence, SeasonalNaive, Naive)


def series_of(demand: Callable[[np.ndarray], np.ndarray], days: int, step: int = 900, name: str = "a") -> Series:
    """Demand as a function of the local time at the end of each bin, in seconds."""
    ends = START + step * np.arange(1, days * DAY_SECONDS // step + 1)
    return Series("made", name, "", float(START), step, np.maximum(demand(ends), 0).astype(np.float32))


def training_of(*series: Series, task: Task = COARSE, windows: int = 120) -> Training:
    """The first two thirds to learn from (after a week of history), the rest held out."""
    horizon = task.horizon_steps
    spans = [
        (one.start + min(7 * DAY_SECONDS, 0.4 * (one.end - one.start)), one.start + 0.7 * (one.end - one.start))
        for one in series
    ]
    learn = cut(
        [(s, cutoffs(s, windows, horizon, *span)) for s, span in zip(series, spans, strict=True)], task.grid, horizon
    )
    held_out = cut(
        [(s, cutoffs(s, windows, horizon, span[1], s.end)) for s, span in zip(series, spans, strict=True)],
        task.grid,
        horizon,
    )
    return Training(task, series, learn, held_out)


def daily(ends: np.ndarray) -> np.ndarray:
    return 100 - 60 * np.cos(2 * np.pi * ends / DAY_SECONDS)


def noisy(ends: np.ndarray, seed: int = 0) -> np.ndarray:
    return daily(ends) * np.exp(0.1 * np.random.default_rng(seed).standard_normal(len(ends)))


def with_weekends(ends: np.ndarray) -> np.ndarray:
    return noisy(ends) * np.where((ends // DAY_SECONDS + 3) % 7 >= 5, 0.4, 1.0)


def walk(ends: np.ndarray) -> np.ndarray:
    return 1000 + np.cumsum(np.random.default_rng(1).standard_normal(len(ends)))


def median(said: Prediction, task: Task = COARSE) -> np.ndarray:
    return said.quantiles_NHQ[:, :, task.levels.index(0.5)]


def awkward(past: Past, task: Task = COARSE) -> Past:
    """Windows as a bundle meets them: gaps, no yesterday, no weeks, zeros, tiny, huge, too little, stopped, nothing."""
    history, weeks = (values[:12].copy() for values in (past.history_NT, past.long_history_NL2))
    history[1, ::3], weeks[1, ::5] = np.nan, np.nan
    history[2, : task.grid.steps // 2] = np.nan
    weeks[3] = np.nan
    history[4], weeks[4] = 0, 0
    history[5], weeks[5] = history[5] * 1e-11, weeks[5] * 1e-11
    history[6], weeks[6] = history[6] * 1e10, weeks[6] * 1e10
    history[7, : task.grid.steps - task.minimum_history_steps + 1] = np.nan
    history[8, -5:] = np.nan
    history[9], weeks[9] = np.nan, np.nan
    history[10, -4:] = np.nan
    history[11] = 7
    return Past(history, weeks, past.local_time_N[:12] + np.arange(12) * 300, past.series_N[:12])


def of_graph(model: Persistence | SeasonalNaive | Naive, past: Past) -> Prediction:
    inputs = {name: values for name, values in past.inputs().items() if name != SERIES.name}
    answers = run(open_graph(model.to_onnx(), model.name), inputs, model.name)
    return Prediction(answers[QUANTILES.name], answers[PEAKS.name])


def relative_difference(one: Prediction, other: Prediction) -> float:
    """Largest difference, relative to the largest answer of its window; infinite where only one is NaN."""
    worst = 0.0
    for a, b in ((one.quantiles_NHQ, other.quantiles_NHQ), (one.peaks_NWQ, other.peaks_NWQ)):
        if (np.isnan(a) != np.isnan(b)).any():
            return np.inf
        size = np.maximum(np.nanmax(np.abs(np.nan_to_num(a)), axis=(1, 2), keepdims=True), 1e-30)
        worst = max(worst, float(np.nanmax(np.abs(a - b) / size)))
    return worst


@pytest.fixture(scope="module")
def weekends() -> Training:
    return training_of(series_of(with_weekends, 42))


def test_persistence_is_the_newest_known_value() -> None:
    """On a walk nothing is better than the newest value, also where it is four steps old."""
    training, model = training_of(series_of(walk, 28)), Persistence()
    assert model.fit(training)["mean_level"] == 0
    past = training.held_out.past.take(np.arange(3))
    past.history_NT[1, -4:] = np.nan
    said = median(model.predict_quantiles(past))
    newest = past.history_NT[[0, 1, 2], [-1, -5, -1]]
    assert said[:, 0] == pytest.approx(newest, rel=1e-3)


def test_persistence_takes_a_mean_where_demand_jitters() -> None:
    """Around a constant level the mean of five steps errs less than the newest one."""
    jitter = series_of(lambda ends: 100 + 5 * np.random.default_rng(2).standard_normal(len(ends)), 28)
    assert Persistence().fit(training_of(jitter))["mean_level"] == 1


def test_the_season_repeats_yesterday() -> None:
    """A day like every other is foretold without error, step by step and for each peak."""
    training, model = training_of(series_of(daily, 20)), SeasonalNaive()
    assert model.fit(training)["weekly"] == 0
    said, truth = model.predict_quantiles(training.held_out.past), training.held_out.truth
    assert median(said) == pytest.approx(truth.demand_NH, rel=1e-4)
    assert said.peaks_NWQ[:, :, 1] == pytest.approx(truth.peaks(COARSE.peak_steps), rel=1e-4)


def test_the_week_is_taken_where_it_fits_better(weekends: Training) -> None:
    """With quiet weekends a week ago errs less than yesterday; without, yesterday is nearer."""
    model = SeasonalNaive()
    assert model.fit(weekends)["weekly"] == 1
    held = weekends.held_out
    a_week_ago = held.past.long_history_NL2[:, -672 : -672 + 24, 0]
    assert median(model.predict_quantiles(held.past)) == pytest.approx(a_week_ago, abs=6)


def test_steps_without_yesterday_fall_back_to_persistence(weekends: Training) -> None:
    """Where neither yesterday nor last week is known the season answers as persistence does."""
    past = weekends.held_out.past.take(np.arange(2))
    past.history_NT[:, :48], past.long_history_NL2[:] = np.nan, np.nan
    answers = []
    for model in (SeasonalNaive(), Persistence()):
        model.fit(weekends)
        answers.append(model.predict_quantiles(past))
    assert np.array_equal(answers[0].quantiles_NHQ, answers[1].quantiles_NHQ)
    assert np.array_equal(answers[0].peaks_NWQ, answers[1].peaks_NWQ)


@pytest.mark.parametrize("kind", [Persistence, SeasonalNaive])
def test_quantiles_cover_what_they_promise(kind: type[Persistence | SeasonalNaive]) -> None:
    """Nine of ten steps, and nine of ten peaks of every length, lie below the 0.9 quantile on windows not seen."""
    training, model = training_of(*(series_of(lambda e, s=s: noisy(e, s), 28, name=str(s)) for s in range(4))), kind()
    model.fit(training)
    said, truth = model.predict_quantiles(training.held_out.past), training.held_out.truth
    steps = truth.demand_NH <= said.quantiles_NHQ[:, :, 2]
    peaks = truth.peaks(COARSE.peak_steps) <= said.peaks_NWQ[:, :, 2]
    assert steps.mean() == pytest.approx(0.9, abs=0.05)
    assert peaks.mean(axis=0) == pytest.approx(np.full(5, 0.9), abs=0.08)


def test_naive_takes_the_better_rule_for_each_range_of_leads() -> None:
    """A walk is left to persistence; a noisy day is left to the season where the lead is long."""
    assert Naive().fit(training_of(series_of(walk, 28)))["seasonal_share"] == 0
    training, models = training_of(series_of(noisy, 28)), [kind() for kind in MODELS]
    shares = [model.fit(training)["seasonal_share"] for model in models]
    assert 0.5 < shares[2] <= 1
    held = training.held_out
    losses = [
        np.nanmean(pinball(held.truth.demand_NH, model.predict_quantiles(held.past).quantiles_NHQ, COARSE.levels))
        for model in models
    ]
    assert losses[2] <= min(losses) * 1.02


@pytest.mark.parametrize("kind", MODELS)
def test_the_graph_says_the_same(kind: type[Persistence | SeasonalNaive | Naive], weekends: Training) -> None:
    """Graph and numpy agree on windows with gaps, zeros, other scales, too little and nothing."""
    model = kind()
    model.fit(weekends)
    past = awkward(weekends.held_out.past)
    assert relative_difference(model.predict_quantiles(past), of_graph(model, past)) < 1e-3


def test_the_graph_says_the_same_on_the_usual_grid() -> None:
    """One-minute windows with 15-minute blocks: the week is read between the centres of blocks."""
    task = task_for(60)
    training, model = training_of(series_of(with_weekends, 16, 60), task=task, windows=40), SeasonalNaive()
    model.fit(training)
    model._fitted = replace(model._fitted, weekly=True)
    past = awkward(training.held_out.past, task)
    assert relative_difference(model.predict_quantiles(past), of_graph(model, past)) < 1e-3


def test_scale_changes_nothing_but_the_scale(weekends: Training) -> None:
    """Demand in other units gives the same answer in those units."""
    model, past = Naive(), weekends.held_out.past
    model.fit(weekends)
    plain = model.predict_quantiles(past)
    for factor in (1e-9, 1e12):
        scaled = model.predict_quantiles(
            Past(
                past.history_NT * np.float32(factor),
                past.long_history_NL2 * np.float32(factor),
                past.local_time_N,
                past.series_N,
            )
        )
        assert scaled.quantiles_NHQ / factor == pytest.approx(plain.quantiles_NHQ, rel=1e-4)
        assert scaled.peaks_NWQ / factor == pytest.approx(plain.peaks_NWQ, rel=1e-4)


@pytest.mark.parametrize("kind", MODELS)
def test_answers_keep_the_contract(kind: type[Persistence | SeasonalNaive | Naive], weekends: Training) -> None:
    """Ascending and not negative wherever there is an answer; none without enough, or recent, history."""
    model = kind()
    model.fit(weekends)
    said = model.predict_quantiles(awkward(weekends.held_out.past))
    no_progress = np.isnan(said.quantiles_NHQ).any(axis=(1, 2))
    assert np.flatnonzero(no_progress).tolist() == [7, 8, 9]
    assert np.isnan(said.quantiles_NHQ[no_progress]).all()
    steps, peaks = said.quantiles_NHQ[~no_progress], said.peaks_NWQ[~no_progress]
    assert min(steps.min(), peaks.min()) >= 0
    assert all((np.diff(values, axis=axis) >= 0).all() for values, axis in ((steps, 2), (peaks, 2), (peaks, 1)))


@pytest.mark.parametrize("kind", MODELS)
def test_the_scaler_accepts_the_bundle(kind: type[Persistence | SeasonalNaive | Naive], weekends: Training) -> None:
    """Each graph becomes a bundle that loads, and is the same for the same data."""
    graphs = []
    for _ in range(2):
        model = kind()
        model.fit(weekends)
        graphs.append(model.to_onnx())
    assert graphs[0] == graphs[1]
    manifest = COARSE.manifest(model.name, "1")
    bundle = bundle_of(graphs[0], manifest, reference_cases(manifest))
    assert np.isfinite(bundle.reference[QUANTILES.name]).all(axis=(1, 2)).sum() >= 10


def test_a_history_of_less_than_a_day_is_refused() -> None:
    """Yesterday must be within the history; the error names the rule."""
    task = Task(Grid(900, 48, 900, 96), 8, (0.1, 0.5, 0.9), (1, 2), 8)
    with pytest.raises(ValueError, match="must span a day, it spans 43200 s"):
        Naive().fit(training_of(series_of(noisy, 20), task=task))


def test_too_few_windows_are_refused(weekends: Training) -> None:
    """Quantiles are not made up from a handful of errors."""
    few: Windows = weekends.windows.take(np.arange(3))
    with pytest.raises(ValueError, match="too few windows"):
        Naive().fit(replace(weekends, windows=few))


def test_a_lead_without_errors_borrows_from_the_nearest() -> None:
    """A lead that nobody recorded gets the quantiles of the lead next to it."""
    errors = np.tile(np.arange(99.0)[:, None], (1, 3))
    errors[:, 1] *= 2
    errors[:, 2] = np.nan
    found = error_quantiles(errors, [1, 10, 20], [0.5, 0.9])
    assert found == pytest.approx(np.array([[49, 89], [98, 178], [98, 178]]))
