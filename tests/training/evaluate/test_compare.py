"""Comparisons: the better model wins, chance is called chance, and nobody is judged where others were not."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import mean_pinball_loss

from tests.training.evaluate.forecasts import TASK, forecast, forecasts, windows
from training.data.windows import KnownFuture, Truth, Windows
from training.evaluate.cases import Judging, answered, together
from training.evaluate.compare import Cost, compare
from training.evaluate.skill import BETTER_NAIVE, DECISIVE, Paired, by_series, paired_in, ranks, ratios, skill
from training.task import Prediction


@pytest.fixture(scope="module")
def cut_windows() -> Windows:
    return windows()


@pytest.fixture(scope="module")
def comparison(cut_windows):
    return compare(cut_windows, forecasts(cut_windows), TASK, {"good": Cost(3.0, 0.5, 1000)})


def scores_of(**models: list[float]) -> pd.DataFrame:
    """A table of peak losses: a list over series per model."""
    rows = [
        {"model": model.replace("_", "-"), "series": f"s{i % 2}/{i}", "system": f"s{i % 2}", "peak_loss": loss}
        for model, losses in models.items()
        for i, loss in enumerate(losses)
    ]
    return pd.DataFrame(rows)


def test_models_are_ordered_by_quality(comparison):
    """The summary lists the models by how well they do, and says what they cost."""
    summary = comparison.summary.set_index("model")
    assert list(summary.index) == ["good", "middling", "persistence", "seasonal-naive", "bad"]
    assert (summary.loc["good", ["fit_seconds", "size_bytes"]] == [3.0, 1000]).all()
    assert summary.loc["good", "inference_seconds"] == pytest.approx(0.5 / comparison.windows * 10_000)
    assert np.isnan(summary.loc["bad", "fit_seconds"])


def test_the_decisive_score_as_scikit_learn(cut_windows, comparison):
    """Peak loss of a series is the mean pinball loss of the peak in five minutes, over its mean demand."""
    said = forecasts(cut_windows)["middling"].peaks_NWQ[:, 0]
    mine = (cut_windows.series_N == 5) & ~np.isnan(cut_windows.truth.demand_NH[:, 0])
    truth = cut_windows.truth.demand_NH[mine, 0].astype(float)
    losses = [mean_pinball_loss(truth, said[mine, q].astype(float), alpha=a) for q, a in enumerate(TASK.levels)]
    mean = np.nanmean(cut_windows.truth.demand_NH[cut_windows.series_N == 5].astype(float))
    scores = comparison.scores.set_index(["model", "series"]).loc[("middling", cut_windows.names[5])]
    assert scores["peak_loss"] == pytest.approx(np.mean(losses) / mean, rel=1e-5)
    assert scores["peak_loss_at_level"] == pytest.approx(losses[2] / mean, rel=1e-5)


def test_the_window_that_decides_covers_the_lead(cut_windows):
    """The shortest window that covers the lead decides; beyond the horizon, the longest."""
    said = {name: forecasts(cut_windows)[name] for name in ("persistence", "good")}
    for seconds, column in ((300, 0), (400, 1), (700, 2), (86_400, 2)):
        found = compare(cut_windows, said, TASK, judging=Judging(seconds), examples=0)
        told = found.peak_windows.set_index(["model", "window_seconds"])["peak_loss"]
        length = TASK.peak_steps[column] * 300
        assert found.summary.set_index("model").loc["good", "peak_loss"] == pytest.approx(told["good", length])


def test_a_window_counts_only_where_all_answer(cut_windows, comparison):
    """A model that skips its hard windows gains nothing: they are skipped for all."""
    said = forecasts(cut_windows)
    skipped = np.arange(len(cut_windows)) % 4 == 0
    holes = Prediction(said["bad"].quantiles_NHQ.copy(), said["bad"].peaks_NWQ.copy())
    holes.peaks_NWQ[skipped] = np.nan
    found = compare(cut_windows, {**said, "bad": holes}, TASK, examples=0)
    alone = compare(cut_windows.take(~skipped), {k: taken(v, ~skipped) for k, v in said.items()}, TASK, examples=0)
    pd.testing.assert_frame_equal(found.scores, alone.scores)
    assert found.judged == alone.judged < comparison.judged
    assert found.answered["bad"] == pytest.approx(1 - skipped.mean())
    assert found.answered["good"] == 1.0


def taken(said: Prediction, rows: np.ndarray) -> Prediction:
    return Prediction(said.quantiles_NHQ[rows], said.peaks_NWQ[rows])


@pytest.mark.parametrize(
    "spoil",
    [
        lambda q, p: q.__setitem__((0, 1, 1), np.inf),
        lambda q, p: q.__setitem__((0, 1, 0), -1.0),
        lambda q, p: q.__setitem__((0, 1, 2), 0.0),
        lambda q, p: p.__setitem__((0, 1), 0.0),
        lambda q, p: p.__setitem__((0, 0, 0), np.nan),
    ],
    ids=["infinite", "negative", "crossing levels", "falling peaks", "missing"],
)
def test_what_the_scaler_would_refuse_is_no_answer(cut_windows, spoil):
    """A row that breaks the rules of a bundle's outputs counts as not answered, the others as before."""
    said = forecasts(cut_windows)["good"]
    row = int(np.flatnonzero((cut_windows.truth.demand_NH > 0).all(axis=1))[0])
    quantiles, peaks = said.quantiles_NHQ[[row, row]].copy(), said.peaks_NWQ[[row, row]].copy()
    assert answered(Prediction(quantiles, peaks)).all()
    spoil(quantiles, peaks)
    assert answered(Prediction(quantiles, peaks)).tolist() == [False, True]


def test_a_series_without_demand_or_answers_is_named(cut_windows):
    """Series on which nothing can be said are left out by name and rule; the others go on."""
    said, truth = forecasts(cut_windows), cut_windows.truth.demand_NH.copy()
    truth[cut_windows.series_N == 0] = 0.0
    truth[cut_windows.series_N == 1] = np.nan
    truth[cut_windows.series_N == 2, 0] = np.nan
    found = compare(replace(cut_windows, truth=Truth(truth)), said, TASK, examples=0)
    rules = dict(line.split(": ", 1) for line in found.left_out)
    assert set(rules) == set(cut_windows.names[:3])
    assert "no demand" in rules[cut_windows.names[0]]
    assert "truth is known" in rules[cut_windows.names[1]]
    assert "gap" in rules[cut_windows.names[2]]
    assert found.series == len(cut_windows.names) - 3


def test_what_cannot_be_compared_is_refused(cut_windows):
    """No naive model, a wrong shape, an unknown level, nobody who answers: an error that says so."""
    said = forecasts(cut_windows)
    with pytest.raises(ValueError, match="persistence or seasonal-naive must be among good"):
        compare(cut_windows, {"good": said["good"]}, TASK)
    with pytest.raises(ValueError, match="bad: quantiles and peaks are"):
        compare(cut_windows, {**said, "bad": taken(said["bad"], np.arange(3))}, TASK)
    with pytest.raises(ValueError, match=r"level 0\.95: must be one of"):
        compare(cut_windows, said, TASK, judging=Judging(level=0.95))
    mute = Prediction(np.full_like(said["bad"].quantiles_NHQ, np.nan), said["bad"].peaks_NWQ)
    with pytest.raises(ValueError, match="bad answers 0%"):
        compare(cut_windows, {**said, "bad": mute}, TASK)


def test_coverage_is_what_was_promised(cut_windows):
    """Forecasts drawn from what they promise keep it; the same ones shifted do not."""
    many = windows(count=150)
    said = {"persistence": forecast(many, 0.1, 1), "bold": forecast(many, 0.1, 1, bias=-0.2)}
    found = compare(many, said, TASK, examples=0).coverage.set_index(["model", "kind", "level"])["realised"]
    for level in TASK.levels:
        assert found["persistence", "step", level] == pytest.approx(level, abs=0.03)
        assert found["bold", "step", level] < level - 0.05


def test_coverage_by_lead_averages_to_coverage(comparison):
    """Both tables tell the same promise."""
    whole = comparison.coverage.query("kind == 'step'").set_index(["model", "level"])["realised"]
    by_lead = comparison.coverage_by_lead.groupby(["model", "level"])["realised"].mean()
    assert by_lead[whole.index].to_numpy() == pytest.approx(whole.to_numpy(), abs=0.02)


def test_a_bad_hour_and_weekday_stand_out():
    """An error made at one local hour and weekday appears there and nowhere else."""
    cut_windows = windows(count=200)
    shift = 5 * 3600
    local = replace(cut_windows, future=KnownFuture(cut_windows.future.local_time_NH + shift))
    begins = local.future.local_time_NH - TASK.grid.step_seconds
    then = pd.DatetimeIndex(begins.ravel().astype("datetime64[s]"))
    wrong = ((then.hour == 15) & (then.dayofweek == 2)).reshape(begins.shape)
    said = forecast(cut_windows, 0.0)
    quantiles = np.where(wrong[..., None], said.quantiles_NHQ * 2, said.quantiles_NHQ)
    models = {"persistence": said, "wrong": Prediction(quantiles, said.peaks_NWQ)}
    found = compare(local, models, TASK, examples=0)
    for table, by, place in ((found.hours, "hour", 15), (found.weekdays, "weekday", 2)):
        scores = by_calendar(local, Prediction(quantiles, said.peaks_NWQ), by)
        told = table[table["model"] == "wrong"].set_index(by)["pinball"]
        assert told.to_numpy() == pytest.approx(scores, rel=1e-4, nan_ok=True)
        assert (told.drop(place).fillna(0) < 1e-6).all()


def by_calendar(local: Windows, said: Prediction, by: str) -> list[float]:
    """Median over series of relative pinball loss by hour or weekday, with pandas."""
    begins = local.future.local_time_NH - TASK.grid.step_seconds
    then = pd.DatetimeIndex(begins.ravel().astype("datetime64[s]"))
    truth = local.truth.demand_NH.astype(float)
    short = truth[..., None] - said.quantiles_NHQ
    level = np.array(TASK.levels)
    loss = np.maximum(level * short, (level - 1) * short).mean(axis=-1)
    owner = np.repeat(local.series_N, truth.shape[1])
    frame = pd.DataFrame({"owner": owner, "truth": truth.ravel(), "loss": loss.ravel()})
    frame["then"] = then.hour if by == "hour" else then.dayofweek
    means = frame.groupby("owner")["truth"].mean()
    table = frame.dropna().groupby(["owner", "then"])["loss"].mean().unstack()
    return table.div(means, axis=0).median().reindex(range(24 if by == "hour" else 7)).tolist()


def test_loss_by_lead_grows_where_the_error_does(cut_windows):
    """The tables by lead and by window follow an error that is made late only."""
    said = forecast(cut_windows, 0.0)
    late, peaks = said.quantiles_NHQ.copy(), said.peaks_NWQ.copy()
    late[:, 4:] *= 1.5
    peaks[:, 2] *= 1.5
    found = compare(cut_windows, {"persistence": said, "late": Prediction(late, peaks)}, TASK, examples=0)
    leads = found.leads[found.leads["model"] == "late"]
    assert leads["mape"].to_numpy() == pytest.approx([0, 0, 0, 0, 0.5, 0.5], abs=1e-4)
    lengths = found.peak_windows[found.peak_windows["model"] == "late"]["peak_loss"].to_numpy()
    assert (lengths[:2] < 1e-6).all()
    assert lengths[2] > 0.1


def test_the_better_naive_is_the_better_one_of_each_series():
    """The judge is chosen for each series; skill is measured against it and against each naive model."""
    table = scores_of(persistence=[4.0, 1.0], seasonal_naive=[2.0, 5.0], mine=[1.0, 1.0])
    assert by_series(table)[BETTER_NAIVE].tolist() == [2.0, 1.0]
    mine = skill(table).set_index("model").loc["mine"]
    assert mine[BETTER_NAIVE].tolist() == [0.5, 0.0]
    assert mine["persistence"].tolist() == [0.75, 0.0]
    assert mine["seasonal-naive"].tolist() == [0.5, 0.8]


def test_ratios_of_nothing():
    """No loss against no loss is a draw, some against none is infinitely worse, and unknown stays unknown."""
    found = ratios(np.array([0.0, 1.0, 0.0, np.nan]), np.array([0.0, 0.0, 2.0, 1.0]))
    assert found[:3].tolist() == [1.0, np.inf, 0.0]
    assert np.isnan(found[3])


def paired_of(scores: pd.DataFrame, model: str, against: str, seed: int = 0) -> Paired:
    return paired_in(by_series(scores, DECISIVE), model, against, seed)


def test_a_clear_difference_is_significant_and_chance_is_not():
    """A steady gain is significant, its interval covers it; a gain on every other series is chance."""
    random = np.random.default_rng(0)
    base = random.lognormal(0, 1, 30)
    steady = base * 0.8 * random.lognormal(0, 0.05, 30)
    chance = base * random.lognormal(0, 0.05, 30)
    table = scores_of(persistence=list(base), steady=list(steady), chance=list(chance))
    gain, none = paired_of(table, "steady", BETTER_NAIVE), paired_of(table, "chance", "persistence")
    assert gain.low < 0.8 < gain.high < 1
    assert gain.p < 1e-6
    assert (gain.better, gain.worse, gain.systems, gain.systems_better) == (30, 0, 2, 2)
    assert none.low < 1 < none.high
    assert none.p > 0.05


def test_the_interval_covers_as_often_as_it_says():
    """Over many draws the 95 % interval of the median ratio holds the true one about that often."""
    random = np.random.default_rng(1)
    held = 0
    for draw in range(80):
        ratio = 0.9 * random.lognormal(0, 0.3, 25)
        found = paired_of(scores_of(persistence=[1.0] * 25, mine=list(ratio)), "mine", "persistence", seed=draw)
        held += found.low <= 0.9 <= found.high
    assert 0.86 <= held / 80 < 1


def test_ties_and_infinite_losses_have_a_verdict():
    """Equal models give p = 1, and a rival without any loss is infinitely better, not an error."""
    table = scores_of(persistence=[0.0] * 8, same=[0.0] * 8, worse=[1.0] * 8)
    same = paired_of(table, "same", "persistence")
    assert (same.p, same.median_ratio) == (1.0, 1.0)
    worse = paired_of(table, "worse", "persistence")
    assert (worse.median_ratio, worse.low, worse.worse) == (np.inf, np.inf, 8)
    assert worse.p < 0.01


def test_ranks_share_ties():
    """Ranks are means over the series; equal losses share theirs and are first together."""
    table = ranks(scores_of(persistence=[3.0, 3.0], mine=[1.0, 2.0], other=[2.0, 2.0])).set_index("model")
    assert table["mean_rank"].to_dict() == {"mine": 1.25, "other": 1.75, "persistence": 3.0}
    assert table["first_on"].to_dict() == {"mine": 2, "other": 1, "persistence": 0}


def test_the_same_comparison_twice_is_equal(cut_windows, comparison):
    """Nothing is left to chance: the same input gives bit-equal tables and pairs."""
    again = compare(cut_windows, forecasts(cut_windows), TASK, {"good": Cost(3.0, 0.5, 1000)})
    assert again.against_naive == comparison.against_naive
    assert again.pairs == comparison.pairs
    pd.testing.assert_frame_equal(again.scores, comparison.scores, check_exact=True)
    pd.testing.assert_frame_equal(again.summary, comparison.summary, check_exact=True)


def test_examples_run_from_easy_to_hard_over_several_series(comparison):
    """Examples are whole windows of different series, in order of difficulty, with every model's answer."""
    places = [example.place for example in comparison.examples]
    assert places == sorted(places)
    assert places[-1] - places[0] > 0.5
    assert len({example.series for example in comparison.examples}) == len(comparison.examples) == 6
    for example in comparison.examples:
        assert not np.isnan(example.truth_H).any()
        assert set(example.answers) == set(comparison.models)
        assert example.time_H[0] - example.past_time_T[-1] == TASK.grid.step_seconds


def test_folds_together_are_one_test(cut_windows):
    """Windows of folds, cut apart and joined with names in another order, score as if they were never apart."""
    said = forecasts(cut_windows)
    half = cut_windows.series_N % 2 == 0
    flipped = np.arange(len(cut_windows.names))[::-1]
    second = cut_windows.take(~half)
    renamed = replace(
        second,
        names=tuple(cut_windows.names[i] for i in flipped),
        past=replace(second.past, series_N=flipped[second.series_N]),
    )
    pieces = [
        (cut_windows.take(half), {k: taken(v, half) for k, v in said.items()}),
        (renamed, {k: taken(v, ~half) for k, v in said.items()}),
    ]
    joined, predictions = together(pieces)
    whole = compare(cut_windows, said, TASK, examples=0).scores
    found = compare(joined, predictions, TASK, examples=0).scores
    order = ["series", "model"]
    pd.testing.assert_frame_equal(
        found.sort_values(order, ignore_index=True), whole.sort_values(order, ignore_index=True)
    )
    with pytest.raises(ValueError, match="fold 2: lacks the predictions of good"):
        together([pieces[0], (renamed, {k: v for k, v in pieces[1][1].items() if k != "good"})])


def test_strongly_seasonal_series_are_distinguished(comparison):
    """The series repeat each day with little noise in a quarter of an hour: all are strongly seasonal."""
    assert (comparison.scores["daily_r2"] > 0.8).all()
    pd.testing.assert_frame_equal(comparison.seasonal_leads, comparison.leads)
