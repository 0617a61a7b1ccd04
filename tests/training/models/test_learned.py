"""Learned models whole: features → core → head agree with their one graph; trees and ensembles as cores."""

from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest
from scipy import stats

from scaler.bundle.signature import PEAKS
from scaler.forecast.onnx_forecaster import open_graph, run
from scaler.series import Floats
from training.data.synthetic import population
from training.evaluate.folds import by_time, training_of, windows_of
from training.export.bundle import bundle_of
from training.export.parity import ParityBroken, checked
from training.export.reference import reference_cases
from training.features.extract import CoreInputs, Extractor
from training.features.seasonal import seasonal_model
from training.graph import FURTHEST_ABOVE
from training.models import Training
from training.models.ensemble import Ensemble, best_weights, buckets, simplex
from training.models.learned import FURTHEST, Learned
from training.models.seasonal import SeasonalCore
from training.models.xgboost import Boosting, XgboostCore, learned_targets
from training.progress import no_progress
from training.seasonal import build
from training.task import Task, step_leads, task_for

TASK = task_for(300)
LEVELS = TASK.levels
FEW = Boosting(rounds=12, depth=3, least_weight=5, threads=1)


@pytest.fixture(scope="module")
def training() -> Training:
    series = population(4, 9, 300, 11)
    return training_of(by_time(series, TASK, folds=1)[0], TASK, 60, 20)


@pytest.fixture(scope="module")
def fitted(training: Training) -> Learned:
    model = Learned(XgboostCore(TASK, FEW), TASK)
    model.fit(training)
    return model


class Constant:
    """A core that answers the same always, and keeps what it was given to learn."""

    def __init__(self, name: str, value: float) -> None:
        self.name, self.value = name, value

    def fit(self, *given: Any) -> Mapping[str, float]:
        self.given = given
        return {}

    def predict(self, seen: CoreInputs) -> Floats:
        return np.full((len(seen), len(buckets(TASK)), len(LEVELS)), self.value, np.float32)

    def to_onnx(self) -> bytes:
        raise NotImplementedError


def rows(count: int, seed: int) -> tuple[CoreInputs, Floats]:
    """Targets that follow the first feature, with noise that grows with the second."""
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((count, 5)).astype(np.float32)
    noise = rng.standard_normal((count, len(buckets(TASK)))) * np.exp(0.5 * features[:, 1:2])
    return CoreInputs(features, np.zeros((count, 2, 1), np.float32)), (features[:, :1] + noise).astype(np.float32)


def test_the_graph_says_what_the_model_says(fitted: Learned, training: Training) -> None:
    """On windows as recorded, with gaps, begun lately, near zero and huge."""
    assert checked(fitted, fitted.to_onnx(), training.held_out.past).largest < 1e-4


def test_a_graph_of_another_model_is_refused(fitted: Learned, training: Training) -> None:
    other = Learned(XgboostCore(TASK, FEW), TASK)
    other.fit(Training(TASK, training.series, training.windows, training.held_out, seed=9))
    with pytest.raises(
        ParityBroken, match=r"xgboost: the exported graph differs from the model by .* in (peaks|quantiles)"
    ):
        checked(fitted, other.to_onnx(), training.held_out.past)


def test_the_scaler_takes_the_bundle(fitted: Learned) -> None:
    manifest = TASK.manifest("trees", "1")
    bundle = bundle_of(fitted.to_onnx(), manifest, reference_cases(manifest))
    assert bundle.manifest.model == "trees@1"


def test_answers_are_sound(fitted: Learned, training: Training) -> None:
    """Ascending along the levels and the windows, never negative, no step above the peak that holds it."""
    said = fitted.predict_quantiles(training.held_out.past)
    assert (np.diff(said.peaks_NWQ, axis=2) >= 0).all()
    assert (np.diff(said.peaks_NWQ, axis=1) >= 0).all()
    assert (np.diff(said.quantiles_NHQ, axis=2) >= 0).all()
    assert (said.quantiles_NHQ >= 0).all()
    assert (said.quantiles_NHQ[:, :5] <= said.peaks_NWQ[:, 4:5] + 1e-3).all()


def test_trees_learn_quantiles() -> None:
    """Coverage is what was promised, and most of the way from constant to true quantiles is gone."""
    core = XgboostCore(TASK, Boosting(rounds=40, depth=3, threads=1))
    learn, judge = rows(3000, 1), rows(1000, 2)
    core.fit(*learn, *judge, LEVELS, 0, no_progress)
    fresh, target = rows(2000, 3)
    said = core.predict(fresh)
    for level, promised in enumerate(LEVELS):
        assert (target <= said[..., level]).mean() == pytest.approx(promised, abs=0.04)
    constant = _loss(np.broadcast_to(np.quantile(learn[1], LEVELS, axis=0).T[None], said.shape), target)
    x, size = fresh.features_NF[:, 0, None, None], np.exp(0.5 * fresh.features_NF[:, 1, None, None])
    least = _loss(x + size * stats.norm.ppf(LEVELS), target)
    assert constant - _loss(said, target) > 0.6 * (constant - least)


def test_trees_say_the_same_as_a_graph() -> None:
    core = XgboostCore(TASK, FEW)
    core.fit(*rows(400, 1), *rows(100, 2), LEVELS, 0, no_progress)
    seen, _ = rows(7, 4)
    graph = onnxruntime.InferenceSession(core.to_onnx())
    (found,) = graph.run(None, {"features": seen.features_NF})
    np.testing.assert_allclose(found, core.predict(seen), rtol=1e-4, atol=1e-5)
    (alone,) = graph.run(None, {"features": seen.features_NF[3:4]})
    np.testing.assert_allclose(alone[0], found[3], atol=1e-6)


def test_an_interrupted_fit_keeps_its_trees() -> None:
    """The targets not reached get one round each: the model still answers everything."""

    def stop(doing: str, share: float) -> None:
        raise KeyboardInterrupt

    core = XgboostCore(TASK, FEW)
    figures = core.fit(*rows(400, 1), *rows(100, 2), LEVELS, 0, stop)
    assert figures["interrupted"] == 1
    assert np.isfinite(core.predict(rows(5, 5)[0])).all()


def test_few_windows_are_enough_for_trees_to_tell_them_apart() -> None:
    """A leaf need not hold more than a tenth of them: from 60 windows something is learned."""
    core = XgboostCore(TASK, Boosting(rounds=30, threads=1))
    core.fit(*rows(60, 1), *rows(100, 2), LEVELS, 0, no_progress)
    fresh, target = rows(1000, 3)
    said = core.predict(fresh)
    constant = np.quantile(rows(60, 1)[1], LEVELS, axis=0).T[None]
    assert _loss(said, target) < 0.95 * _loss(np.broadcast_to(constant, said.shape), target)


def test_a_freak_is_learned_as_no_more_than_far(training: Training) -> None:
    """Demand beyond all measure is a target of some spreads, and missing stays missing."""
    demand = training.windows.truth.demand_NH.copy()
    demand[-1], demand[-2] = 1e30, np.nan
    freak = replace(training.windows, truth=replace(training.windows.truth, demand_NH=demand))
    core = Constant("constant", 0.0)
    Learned(core, TASK).fit(replace(training, windows=freak, held_out=freak))
    for target in (core.given[1], core.given[3]):
        assert (target[-1] == FURTHEST).all()
        assert np.abs(target).max() == FURTHEST


def test_no_core_can_say_more_than_a_few_times_what_was_seen(training: Training) -> None:
    """Whatever it learned: the largest demand of the day and the weeks bounds what is forecast."""
    model = Learned(Constant("wild", FURTHEST), TASK)
    past = training.held_out.past
    largest_N = np.fmax(np.nanmax(past.history_NT, axis=1), np.nanmax(past.long_history_NL2[..., 1], axis=1))
    told = model.predict_quantiles(past)
    highest_N = np.fmax(told.quantiles_NHQ.max(axis=(1, 2)), told.peaks_NWQ.max(axis=(1, 2)))
    share_N = highest_N / (FURTHEST_ABOVE * largest_N)
    assert share_N.max() == pytest.approx(1)
    assert np.mean(share_N > 0.999) > 0.5


def test_models_of_a_task_share_what_they_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """The features of a task are made once, however many models learn from them."""
    made = []

    def counted(task: Task, threads: int) -> Any:
        made.append(task)
        return SimpleNamespace(shared_level=True)

    monkeypatch.setattr("training.models.learned.Extractor", counted)
    task = replace(TASK, minimum_history_steps=TASK.minimum_history_steps + 1)
    for value in (1.0, 2.0):
        Learned(Constant("constant", value), task)
    assert made == [task]


def test_a_graph_is_opened_once_to_be_checked(
    fitted: Learned, training: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many kinds of windows it is asked for."""
    opened = []

    def counted(*given: Any) -> Any:
        opened.append(given)
        return open_graph(*given)

    monkeypatch.setattr("training.export.parity.open_graph", counted)
    checked(fitted, fitted.to_onnx(), training.held_out.past.take(np.arange(3)))
    assert len(opened) == 1


def test_targets_without_trees_lie_between_their_neighbours() -> None:
    """Weights add up to one, and a target with trees of its own is just that."""
    learned, between = learned_targets(TASK)
    np.testing.assert_allclose(between.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(between[learned], np.eye(len(learned)), atol=1e-7)
    assert len(between) == len(TASK.peak_steps) + len(step_leads(TASK))


def test_an_ensemble_trusts_who_is_right() -> None:
    """Weights go to the member with the smaller loss, by bucket of leads."""
    seen, target = rows(300, 1)
    late = buckets(TASK) == 60
    target = np.where(late, 3.0, 1.0).astype(np.float32) * np.ones_like(target)
    model = Ensemble((Constant("one", 1.0), Constant("three", 3.0)), TASK)
    figures = model.fit(seen, target, seen, target, LEVELS, 0, no_progress)
    assert figures["bucket_2_one"] == 1
    assert figures["bucket_60_three"] == 1
    np.testing.assert_allclose(model.predict(seen)[..., 0], target)


class Ended(Constant):
    """A core that is interrupted: with `share` of the fit over, and nothing learned where that is 0."""

    def __init__(self, name: str, value: float, share: float) -> None:
        super().__init__(name, value)
        self.share = share

    def fit(self, *given: Any) -> Mapping[str, float]:
        try:
            given[-1]("working", self.share)
        except KeyboardInterrupt:
            if not self.share:
                raise
        return super().fit(*given)


@pytest.mark.parametrize(("share", "kept"), [(0.5, ["right", "under way"]), (0.0, ["right"])])
def test_ctrl_c_ends_an_ensemble(share: float, kept: list[str]) -> None:
    """The member under way is kept where it has something to keep; one whose turn did not come has no weight."""
    under_way, late = Ended("under way", 3.0, share), Constant("late", 1.0)
    model = Ensemble((Constant("right", 1.0), under_way, late), TASK)

    def impatient(doing: str, done: float) -> None:
        raise KeyboardInterrupt

    seen, target = rows(50, 1)
    target = np.ones_like(target)
    figures = model.fit(seen, target, seen, target, LEVELS, 0, impatient)
    assert figures["interrupted"] == 1
    assert [figures[f"bucket_2_{name}"] for name in ("right", "under way", "late")] == [1, 0, 0]
    assert [one.name for one in (under_way, late) if hasattr(one, "given")] == kept[1:]
    np.testing.assert_allclose(model.predict(seen), 1.0)


def test_ctrl_c_before_any_member_has_learned_ends_everything() -> None:
    """There is nothing to keep, and no other member is begun."""
    late = Constant("late", 1.0)

    def impatient(doing: str, done: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Ensemble((Ended("first", 1.0, 0.0), late), TASK).fit(*rows(50, 1), *rows(50, 2), LEVELS, 0, impatient)
    assert not hasattr(late, "given")


def test_an_interrupted_ensemble_is_the_graph_of_what_it_has() -> None:
    """It says what the member says that was fitted."""
    member = XgboostCore(TASK, FEW)
    model = Ensemble((member, Ended("second", 1.0, 0.0)), TASK)

    def impatient(doing: str, done: float) -> None:
        if done >= 0.5:
            raise KeyboardInterrupt

    model.fit(*rows(200, 1), *rows(100, 2), LEVELS, 0, impatient)
    seen, _ = rows(7, 4)
    (found,) = onnxruntime.InferenceSession(model.to_onnx()).run(None, {"features": seen.features_NF})
    np.testing.assert_allclose(found, member.predict(seen), rtol=1e-4, atol=1e-5)


def test_weights_lie_between_where_the_truth_does() -> None:
    target = np.full((50, 1), 1.5, np.float32)
    answers = [np.full((50, 1, len(LEVELS)), value, np.float32) for value in (1.0, 2.0)]
    weights, loss = best_weights(answers, target, LEVELS)
    assert weights == (0.5, 0.5)
    assert loss == pytest.approx(0)


def test_the_simplex_holds_every_mix_of_tenths() -> None:
    assert len(simplex(3)) == 66
    assert all(sum(weights) == pytest.approx(1) for weights in simplex(3))


def test_an_ensemble_is_one_graph(training: Training) -> None:
    """Two sets of trees side by side: the whole graph says what the model says."""
    model = Learned(Ensemble((XgboostCore(TASK, FEW), XgboostCore(TASK, Boosting(rounds=5, threads=1))), TASK), TASK)
    model.fit(training)
    assert checked(model, model.to_onnx(), training.held_out.past).largest < 1e-4


def test_windows_of_the_test_are_not_those_of_training(training: Training) -> None:
    """What is held out begins after what is learned from ends."""
    fold = by_time(population(4, 9, 300, 11), TASK, folds=1)[0]
    test = windows_of(fold.test, TASK, 10)
    for place in range(4):
        learned = training.windows.cutoff_N[training.windows.series_N == place].max()
        assert learned + TASK.horizon_steps * 300 <= test.cutoff_N[test.series_N == place].min()


def _loss(said: Floats, target: Floats) -> float:
    error = target[..., None] - said
    level = np.array(LEVELS)
    return float(np.maximum(level * error, (level - 1) * error).mean())


def test_the_seasonal_model_is_a_member_like_any_other(training: Training) -> None:
    """Alone it says what the seasonal model says, and with given shares the mean moves that way; so does the graph."""
    windows = training.held_out
    alone, trees = Learned(SeasonalCore(TASK), TASK), Learned(XgboostCore(TASK, FEW), TASK)
    both = Learned(Ensemble((XgboostCore(TASK, FEW), SeasonalCore(TASK)), TASK, (0.25, 0.75)), TASK)
    for model in (alone, trees, both):
        model.fit(training)
    seasonal = build(seasonal_model(TASK))
    session = open_graph(seasonal, "seasonal")
    inputs = {value.name: windows.past.inputs()[value.name] for value in session.get_inputs()}
    np.testing.assert_allclose(
        alone.predict_quantiles(windows.past).peaks_NWQ,
        run(session, inputs, "seasonal")[PEAKS.name],
        rtol=1e-3,
        atol=1e-2,
    )
    seen = Extractor(TASK)(windows.past).seen
    mean = 0.25 * trees._core.predict(seen) + 0.75 * alone._core.predict(seen)
    np.testing.assert_allclose(both._core.predict(seen), mean, atol=1e-5)
    checked(both, both.to_onnx(), windows.past)
