"""Models on the same windows: tables of scores, skill against the naive ones, and what is more than chance.

Axes: N windows, H future steps, W window lengths, Q levels. Tables are pandas frames in the long form: a row per model
and series (lead, hour, level). Losses are relative: divided by the mean demand of the series in its windows, so that
series compare. What joins series is their median, except coverage, which is their mean. Hours and weekdays are local.

A window is judged where every model answers it: the same windows for all. What the scaler would refuse (not finite,
negative, not ascending) is no answer.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import permutations
from math import inf, nan

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from scaler.series import Floats
from training.data.windows import KnownFuture, Past, Truth, Windows
from training.evaluate import metrics
from training.task import DAY_SECONDS, Prediction, Task

NAIVE = ("persistence", "seasonal-naive")
BETTER_NAIVE = "better naive"
"""the better of the naive models present, for each series and score by itself: a judge that no single model equals"""
DECISIVE = "peak_loss"
RESAMPLES = 4000
CONFIDENCE = 0.95
STRONGLY_SEASONAL = 0.8
"""daily R² above which a series counts as strongly seasonal"""
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
FIRST_WEEKDAY = 3
"""the epoch began on a Thursday; Monday is 0"""


@dataclass(frozen=True, slots=True)
class Judging:
    """What decides: the peak in the first `lead_seconds`; `level` is the quantile that is also shown by itself."""

    lead_seconds: int = 300
    level: float = 0.9


@dataclass(frozen=True, slots=True)
class Cost:
    """What a model takes: seconds to fit, seconds to answer all the windows compared, bytes of its bundle."""

    fit_seconds: float = nan
    inference_seconds: float = nan
    size_bytes: float = nan


@dataclass(frozen=True, slots=True)
class Example:
    """One judged window as it came and as each model saw it. Times are local seconds since the epoch."""

    series: str
    place: float
    """how hard it was: the share of judged windows that were easier for the better naive model"""
    past_time_T: NDArray[np.int64]
    past_T: Floats
    time_H: NDArray[np.int64]
    truth_H: Floats
    answers: Mapping[str, Prediction]
    """of this window alone (N = 1)"""


@dataclass(frozen=True, slots=True)
class Paired:
    """One model against another over the series: the median ratio of their scores, and whether it is chance.

    Below 1 `model` is better. low, high: 95 % bootstrap interval of the median; p: Wilcoxon's signed rank test of the
    log ratios, two-sided. Both take the series as independent; systems_better says in how many systems the median
    ratio is below 1, because series of one system are alike.
    """

    model: str
    against: str
    series: int
    median_ratio: float
    low: float
    high: float
    p: float
    better: int
    worse: int
    systems: int
    systems_better: int


@dataclass(frozen=True)
class Comparison:
    """Everything that a report shows. Frames: see the function of the same name."""

    task: Task
    judging: Judging
    models: tuple[str, ...]
    windows: int
    judged: int
    answered: Mapping[str, float]
    """share of the windows that each model answers"""
    left_out: tuple[str, ...]
    """series without a score, and why"""
    first: float
    last: float
    """cutoffs of the first and the last window judged, in seconds since the epoch"""
    scores: pd.DataFrame
    leads: pd.DataFrame
    seasonal_leads: pd.DataFrame
    """as `leads`, of the strongly seasonal series alone (none: no rows)"""
    peak_windows: pd.DataFrame
    hours: pd.DataFrame
    weekdays: pd.DataFrame
    coverage: pd.DataFrame
    coverage_by_lead: pd.DataFrame
    skill: pd.DataFrame
    against_naive: tuple[Paired, ...]
    """each model against the better naive one"""
    pairs: tuple[Paired, ...]
    """each model against each other one"""
    ranks: pd.DataFrame
    costs: Mapping[str, Cost] = field(default_factory=dict)
    examples: tuple[Example, ...] = ()

    @property
    def deciding_seconds(self) -> int:
        """Length of the window whose peak decides: at least the lead asked for."""
        asked = Asked(self.task, self.judging)
        return int(asked.window_seconds[asked.window])

    @property
    def series(self) -> int:
        return int(self.scores["series"].nunique())

    @property
    def systems(self) -> int:
        return int(self.scores["system"].nunique())

    @property
    def summary(self) -> pd.DataFrame:
        """A row per model, best first: medians over the series of the main scores, and what it takes."""
        return summary(self)


def compare(
    windows: Windows,
    predictions: Mapping[str, Prediction],
    task: Task,
    costs: Mapping[str, Cost] | None = None,
    judging: Judging = Judging(),
    examples: int = 6,
    seed: int = 0,
) -> Comparison:
    """All tables for what the models (by name) said of the same windows.

    Raises ValueError where no naive model is among them, shapes or levels do not fit the task, or no window is
    answered by every model.
    """
    rows = judged(windows, predictions, task)
    asked = Asked(task, judging)
    cases = tuple(_cases(windows, rows, asked))
    scores = series_scores(cases, predictions, asked)
    left_out = _without_score(scores)
    cases = tuple(case for case in cases if case.name not in left_out)
    scores = scores[~scores["series"].isin(left_out)].reset_index(drop=True)
    if scores.empty:
        raise ValueError("no series has a score: no demand in their windows, or a gap in each first peak")
    losses = by_series(scores)
    answers = {name: float(answered(one).mean()) for name, one in predictions.items()}
    moments = windows.cutoff_N[rows]
    return Comparison(
        task=task,
        judging=judging,
        models=tuple(predictions),
        windows=len(windows),
        judged=int(rows.sum()),
        answered=answers,
        left_out=tuple(f"{name}: {rule}" for name, rule in {**_unjudged(windows, rows), **left_out}.items()),
        first=float(moments.min()),
        last=float(moments.max()),
        scores=scores,
        leads=leads(cases, predictions, asked),
        seasonal_leads=leads([case for case in cases if case.daily_r2 > STRONGLY_SEASONAL], predictions, asked),
        peak_windows=peak_windows(cases, predictions, asked),
        hours=calendar(cases, predictions, asked, "hour"),
        weekdays=calendar(cases, predictions, asked, "weekday"),
        coverage=coverage(cases, predictions, asked),
        coverage_by_lead=coverage_by_lead(cases, predictions, asked),
        skill=skill(scores),
        against_naive=tuple(_paired(losses, model, BETTER_NAIVE, seed) for model in predictions),
        pairs=tuple(_paired(losses, one, other, seed) for one, other in permutations(predictions, 2)),
        ranks=ranks(scores),
        costs=dict(costs or {}),
        examples=tuple(_examples(windows, cases, predictions, asked, examples)),
    )


def together(
    pieces: Sequence[tuple[Windows, Mapping[str, Prediction]]],
) -> tuple[Windows, dict[str, Prediction]]:
    """Windows and predictions of several folds as those of one test, in order; series keep their names.

    Raises ValueError where a model is missing from a fold.
    """
    names = tuple(dict.fromkeys(name for windows, _ in pieces for name in windows.names))
    models = tuple(dict.fromkeys(model for _, predictions in pieces for model in predictions))
    for i, (_, predictions) in enumerate(pieces):
        if missing := [model for model in models if model not in predictions]:
            raise ValueError(f"fold {i + 1}: lacks the predictions of {', '.join(missing)}")
    parts = [windows for windows, _ in pieces]
    places = [np.array([names.index(name) for name in part.names], np.int64)[part.series_N] for part in parts]
    past = Past(
        np.concatenate([part.past.history_NT for part in parts]),
        np.concatenate([part.past.long_history_NL2 for part in parts]),
        np.concatenate([part.past.local_time_N for part in parts]),
        np.concatenate(places),
    )
    future = KnownFuture(np.concatenate([part.future.local_time_NH for part in parts]))
    truth = Truth(np.concatenate([part.truth.demand_NH for part in parts]))
    cutoff_N = np.concatenate([part.cutoff_N for part in parts])
    joined = {
        model: Prediction(
            np.concatenate([predictions[model].quantiles_NHQ for _, predictions in pieces]),
            np.concatenate([predictions[model].peaks_NWQ for _, predictions in pieces]),
        )
        for model in models
    }
    return Windows(parts[0].grid, past, future, truth, names, cutoff_N), joined


def answered(prediction: Prediction) -> NDArray[np.bool_]:
    """Which windows have an answer that the scaler would take: finite, not negative, ascending. [N]"""
    sound = np.ones(len(prediction.quantiles_NHQ), np.bool_)
    for values in (prediction.quantiles_NHQ, prediction.peaks_NWQ):
        sound &= (np.isfinite(values) & (values >= 0)).all(axis=(1, 2))
        sound &= (values[:, :, 1:] >= values[:, :, :-1]).all(axis=(1, 2))
    peaks = prediction.peaks_NWQ
    sound &= (peaks[:, 1:] >= peaks[:, :-1]).all(axis=(1, 2))
    return sound


def judged(windows: Windows, predictions: Mapping[str, Prediction], task: Task) -> NDArray[np.bool_]:
    """Which windows count: answered by every model, with some truth known. [N]  Raises ValueError as `compare`."""
    if not any(name in predictions for name in NAIVE):
        raise ValueError(f"nothing to compare with: {' or '.join(NAIVE)} must be among {', '.join(predictions)}")
    levels, sizes = len(task.levels), task.sizes
    wanted = ((len(windows), task.horizon_steps, levels), (len(windows), len(task.peak_steps), levels))
    for name, one in predictions.items():
        found = (one.quantiles_NHQ.shape, one.peaks_NWQ.shape)
        if found != wanted:
            raise ValueError(f"{name}: quantiles and peaks are {found}, must be {wanted} ({sizes})")
    rows = (~np.isnan(windows.truth.demand_NH)).any(axis=1)
    for one in predictions.values():
        rows = rows & answered(one)
    if not rows.any():
        shares = ", ".join(f"{name} answers {answered(one).mean():.0%}" for name, one in predictions.items())
        raise ValueError(f"no window is answered by every model: {shares}")
    return np.asarray(rows)


@dataclass(frozen=True, slots=True)
class Asked:
    """The task, with the places of what decides."""

    task: Task
    judging: Judging

    @property
    def level(self) -> int:
        """Position along Q of the level shown by itself."""
        if self.judging.level not in self.task.levels:
            raise ValueError(f"level {self.judging.level}: must be one of {self.task.levels}")
        return self.task.levels.index(self.judging.level)

    @property
    def window(self) -> int:
        """Position along W of the shortest window that covers the deciding lead (the longest, where none does)."""
        steps = self.judging.lead_seconds / self.task.grid.step_seconds
        return next((i for i, w in enumerate(self.task.peak_steps) if w >= steps), len(self.task.peak_steps) - 1)

    @property
    def lead_seconds(self) -> NDArray[np.int64]:
        return self.task.grid.step_seconds * np.arange(1, self.task.horizon_steps + 1)

    @property
    def window_seconds(self) -> NDArray[np.int64]:
        return self.task.grid.step_seconds * np.asarray(self.task.peak_steps, np.int64)


@dataclass(frozen=True, slots=True)
class Case:
    """The judged windows of one series, and what its scores are measured in."""

    name: str
    rows: NDArray[np.int64]
    truth_NH: Floats
    peak_NW: Floats
    start_NH: NDArray[np.int64]
    """local time at which each step begins"""
    naive_error_N: metrics.Scores
    mean_demand: float
    daily_r2: float


def _cases(windows: Windows, rows: NDArray[np.bool_], asked: Asked) -> Iterator[Case]:
    grid, task = windows.grid, asked.task
    season = DAY_SECONDS // grid.step_seconds
    for place in np.unique(windows.series_N[rows]):
        mine = np.flatnonzero(rows & (windows.series_N == place))
        history_NT, truth = windows.past.history_NT[mine], Truth(windows.truth.demand_NH[mine])
        latest = windows.past.long_history_NL2[mine[np.argmax(windows.cutoff_N[mine])], :, 0]
        yield Case(
            windows.names[place],
            mine,
            truth.demand_NH,
            truth.peaks(task.peak_steps),
            windows.future.local_time_NH[mine] - grid.step_seconds,
            metrics.naive_error(history_NT, season if season < grid.steps else 1),
            float(metrics.mean_known(truth.demand_NH, truth.demand_NH)),
            metrics.daily_r2(latest, DAY_SECONDS // grid.coarse_seconds),
        )


Predictions = Mapping[str, Prediction]


def _each(cases: Iterable[Case], predictions: Predictions) -> Iterator[tuple[str, Case, Prediction]]:
    """Each model on each series: what it said of the judged windows."""
    for case in cases:
        for model, said in predictions.items():
            yield model, case, Prediction(said.quantiles_NHQ[case.rows], said.peaks_NWQ[case.rows])


def series_scores(cases: Iterable[Case], predictions: Predictions, asked: Asked) -> pd.DataFrame:
    """A row per model and series.

    peak_loss: of the peak in the deciding window, mean over the levels; peak_loss_at_level: at the one level;
    pinball: mean over steps and levels (all three relative). mae and rmse: in units of demand; mape, smape: shares;
    mase, wql, r2: see `metrics`. coverage, peak_coverage: share of truths at or below the one level. daily_r2: how
    strongly the series repeats each day.
    """
    levels = asked.task.levels
    found = []
    for model, case, said in _each(cases, predictions):
        truth, point = case.truth_NH, metrics.median_of(said.quantiles_NHQ, levels)
        peak_WQ = metrics.peak_loss(case.peak_NW, said.peaks_NWQ, levels, case.mean_demand)[asked.window]
        peak_cover_WQ = metrics.coverage(case.peak_NW, said.peaks_NWQ, 0)[asked.window]
        found.append(
            {
                "model": model,
                "series": case.name,
                "system": system_of(case.name),
                "windows": len(case.rows),
                "mean_demand": case.mean_demand,
                "daily_r2": case.daily_r2,
                "peak_loss": peak_WQ.mean(),
                "peak_loss_at_level": peak_WQ[asked.level],
                "pinball": _relative(metrics.pinball_loss(truth, said.quantiles_NHQ, levels).mean(), case),
                "wql": metrics.wql(truth, said.quantiles_NHQ, levels),
                "mase": metrics.mase(truth, point, case.naive_error_N),
                "mae": metrics.mae(truth, point),
                "rmse": metrics.rmse(truth, point),
                "mape": metrics.mape(truth, point),
                "smape": metrics.smape(truth, point),
                "r2": metrics.r2(truth, point),
                "coverage": metrics.coverage(truth, said.quantiles_NHQ)[asked.level],
                "peak_coverage": peak_cover_WQ[asked.level],
            }
        )
    return pd.DataFrame(found)


def leads(cases: Iterable[Case], predictions: Predictions, asked: Asked) -> pd.DataFrame:
    """A row per model and lead: median over series of pinball, mae, rmse (relative) and mape."""
    levels, found = asked.task.levels, []
    for model, case, said in _each(cases, predictions):
        truth, point = case.truth_NH, metrics.median_of(said.quantiles_NHQ, levels)
        loss_NHQ = metrics.pinball(truth, said.quantiles_NHQ, levels)
        error = np.abs(np.asarray(truth, np.float64) - point)
        counted = np.where(truth == 0, np.nan, truth)
        values = {
            "pinball": metrics.mean_known(loss_NHQ, truth, 0).mean(axis=-1) / case.mean_demand,
            "mae": metrics.mean_known(error, truth, 0) / case.mean_demand,
            "rmse": np.sqrt(metrics.mean_known(error**2, truth, 0)) / case.mean_demand,
            "mape": metrics.mean_known(error / counted, counted, 0),
        }
        found.append(pd.DataFrame({"model": model, "lead_seconds": asked.lead_seconds, **values}))
    if not found:
        return pd.DataFrame(columns=["model", "lead_seconds", "pinball", "mae", "rmse", "mape"])
    return _medians(found, "lead_seconds")


def peak_windows(cases: Iterable[Case], predictions: Predictions, asked: Asked) -> pd.DataFrame:
    """A row per model and window length: median over series of peak_loss and peak_loss_at_level (relative)."""
    found = []
    for model, case, said in _each(cases, predictions):
        loss_WQ = metrics.peak_loss(case.peak_NW, said.peaks_NWQ, asked.task.levels, case.mean_demand)
        values = {"peak_loss": loss_WQ.mean(axis=1), "peak_loss_at_level": loss_WQ[:, asked.level]}
        found.append(pd.DataFrame({"model": model, "window_seconds": asked.window_seconds, **values}))
    return _medians(found, "window_seconds")


def calendar(cases: Iterable[Case], predictions: Predictions, asked: Asked, by: str) -> pd.DataFrame:
    """A row per model and local hour of day (by="hour") or weekday ("weekday", 0 is Monday), medians over series.

    pinball: of the steps that begin then; peak_loss: of the windows cut then (both relative).
    """
    count = {"hour": 24, "weekday": 7}[by]
    levels, found = asked.task.levels, []
    for model, case, said in _each(cases, predictions):
        then_NH = case.start_NH // 3600 % 24 if by == "hour" else (case.start_NH // DAY_SECONDS + FIRST_WEEKDAY) % 7
        loss_NH = metrics.pinball(case.truth_NH, said.quantiles_NHQ, levels).mean(axis=-1)
        peak_NW = metrics.pinball(case.peak_NW, said.peaks_NWQ, levels).mean(axis=-1)
        values = {
            "pinball": _mean_by(loss_NH, then_NH, count) / case.mean_demand,
            "peak_loss": _mean_by(peak_NW[:, asked.window], then_NH[:, 0], count) / case.mean_demand,
        }
        found.append(pd.DataFrame({"model": model, by: np.arange(count), **values}))
    return _medians(found, by)


def coverage(cases: Iterable[Case], predictions: Predictions, asked: Asked) -> pd.DataFrame:
    """A row per model, kind ("step", or "peak" of the deciding window) and level promised.

    realised: share of truths at or below, mean over series; lowest, highest: of any series.
    """
    found = []
    for model, case, said in _each(cases, predictions):
        kinds = {
            "step": metrics.coverage(case.truth_NH, said.quantiles_NHQ),
            "peak": metrics.coverage(case.peak_NW, said.peaks_NWQ, 0)[asked.window],
        }
        found += [
            pd.DataFrame({"model": model, "kind": kind, "level": asked.task.levels, "share": share})
            for kind, share in kinds.items()
        ]
    grouped = pd.concat(found).groupby(["model", "kind", "level"], sort=False)["share"]
    return grouped.agg(realised="mean", lowest="min", highest="max").reset_index()


def coverage_by_lead(cases: Iterable[Case], predictions: Predictions, asked: Asked) -> pd.DataFrame:
    """A row per model, lead and level promised; realised: share of truths at or below, mean over series."""
    levels, leads = asked.task.levels, asked.lead_seconds
    found = []
    for model in predictions:
        shares = [
            metrics.coverage(case.truth_NH, said.quantiles_NHQ, 0)
            for _, case, said in _each(cases, {model: predictions[model]})
        ]
        told = np.array(shares)
        realised = metrics.mean_known(told, told, 0)
        columns = {"lead_seconds": np.repeat(leads, len(levels)), "level": np.tile(levels, len(leads))}
        found.append(pd.DataFrame({"model": model, **columns, "realised": realised.ravel()}))
    return pd.concat(found, ignore_index=True)


def by_series(scores: pd.DataFrame, score: str = DECISIVE) -> pd.DataFrame:
    """One score as series x models, with the better naive one (lower is better) as a further column."""
    table = scores.pivot_table(index="series", columns="model", values=score, sort=False, dropna=False)
    naive = [name for name in NAIVE if name in table.columns]
    return table.assign(**{BETTER_NAIVE: table[naive].min(axis=1)})


def skill(scores: pd.DataFrame, score: str = DECISIVE) -> pd.DataFrame:
    """A row per model and series, a column per rival (the naive models, and the better of them).

    1 less the ratio of the scores: how much less is lost than by the rival; 0 is no gain, 1 is perfect.
    """
    table = by_series(scores, score)
    models = [model for model in table.columns if model != BETTER_NAIVE]
    rivals = [name for name in (*NAIVE, BETTER_NAIVE) if name in table.columns]
    parts = [
        pd.DataFrame(
            {"model": model, "series": table.index}
            | {rival: 1.0 - ratios(table[model].to_numpy(), table[rival].to_numpy()) for rival in rivals}
        )
        for model in models
    ]
    return pd.concat(parts, ignore_index=True)


def ratios(mine: metrics.Scores, theirs: metrics.Scores) -> metrics.Scores:
    """mine / theirs; 1 where both are 0, infinite where theirs alone is, NaN where one is unknown."""
    with np.errstate(divide="ignore", invalid="ignore"):
        quotient = np.asarray(mine, np.float64) / theirs
    return np.where((mine == 0) & (theirs == 0), 1.0, quotient)


def paired(scores: pd.DataFrame, model: str, against: str, score: str = DECISIVE, seed: int = 0) -> Paired:
    """`model` against another (or `BETTER_NAIVE`) over the series for which both have the score."""
    return _paired(by_series(scores, score), model, against, seed)


def _paired(table: pd.DataFrame, model: str, against: str, seed: int) -> Paired:
    found = ratios(table[model].to_numpy(), table[against].to_numpy())
    known = ~np.isnan(found)
    ratio_S, systems = found[known], [system_of(name) for name in table.index[known]]
    low, high = _interval(ratio_S, seed)
    by_system = pd.Series(ratio_S).groupby(systems).median()
    return Paired(
        model=model,
        against=against,
        series=len(ratio_S),
        median_ratio=float(np.median(ratio_S)) if len(ratio_S) else nan,
        low=low,
        high=high,
        p=_signed_rank(ratio_S),
        better=int((ratio_S < 1).sum()),
        worse=int((ratio_S > 1).sum()),
        systems=len(by_system),
        systems_better=int((by_system < 1).sum()),
    )


def _interval(ratio_S: metrics.Scores, seed: int) -> tuple[float, float]:
    """Percentile bootstrap of the median (Efron, 1979). NaN below two series."""
    if len(ratio_S) < 2:
        return nan, nan
    drawn = np.random.default_rng(seed).integers(0, len(ratio_S), (RESAMPLES, len(ratio_S)))
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(np.median(ratio_S[drawn], axis=1), [tail, 1 - tail], method="nearest")
    return float(low), float(high)


def _signed_rank(ratio_S: metrics.Scores) -> float:
    """p of Wilcoxon's signed rank test (1945) that log ratios lie about 0; 1 where none differs from it."""
    with np.errstate(divide="ignore"):
        logs = np.log(ratio_S)
    logs = logs[logs != 0]
    return float(stats.wilcoxon(np.clip(logs, -1e300, 1e300)).pvalue) if len(logs) else 1.0


def ranks(scores: pd.DataFrame, score: str = DECISIVE) -> pd.DataFrame:
    """A row per model, best first: its mean rank over the series (1 is best, ties share), and where it was first."""
    table = by_series(scores, score).drop(columns=BETTER_NAIVE).dropna()
    places = table.rank(axis=1)
    first = table.eq(table.min(axis=1), axis=0).sum()
    found = pd.DataFrame({"mean_rank": places.mean(), "first_on": first, "series": len(table)})
    return found.rename_axis("model").sort_values("mean_rank", kind="stable").reset_index()


def summary(comparison: Comparison) -> pd.DataFrame:
    """A row per model, best first by peak loss against the better naive one: medians over series, and what it takes.

    ratio, low, high, p, better: as `Paired`, against the better naive model. coverage, peak_coverage: means.
    inference_seconds: for 10,000 windows.
    """
    grouped = comparison.scores.groupby("model", sort=False)
    medians = grouped[["peak_loss", "peak_loss_at_level", "pinball", "wql", "mase", "mape", "smape", "r2"]].median()
    means = grouped[["coverage", "peak_coverage"]].mean()
    relative = comparison.scores["rmse"] / comparison.scores["mean_demand"]
    rmse = relative.groupby(comparison.scores["model"], sort=False).median().rename("rmse")
    table = pd.concat([medians, rmse, means], axis=1)
    told = {pair.model: pair for pair in comparison.against_naive}
    for column in ("median_ratio", "low", "high", "p", "better", "series"):
        table[column] = [getattr(told[model], column) for model in table.index]
    costs = [comparison.costs.get(model, Cost()) for model in table.index]
    table["fit_seconds"] = [cost.fit_seconds for cost in costs]
    table["inference_seconds"] = [cost.inference_seconds / comparison.windows * 10_000 for cost in costs]
    table["size_bytes"] = [cost.size_bytes for cost in costs]
    table = table.join(comparison.ranks.set_index("model")[["mean_rank", "first_on"]])
    return table.sort_values(["median_ratio", "peak_loss"], kind="stable").reset_index()


def system_of(name: str) -> str:
    """The system in a name of `Windows.names`."""
    return name.partition("/")[0]


def _relative(loss: float, case: Case) -> float:
    return float(loss) / case.mean_demand if case.mean_demand > 0 else nan


def _without_score(scores: pd.DataFrame) -> dict[str, str]:
    """The series on which nothing can be said of any model, and why."""
    unknown = scores[scores[DECISIVE].isna()].drop_duplicates("series")
    idle = "no demand in any window: nothing to relate a loss to"
    gaps = "a gap in each first peak: no truth to compare with"
    return {row.series: gaps if row.mean_demand > 0 else idle for row in unknown.itertuples()}


def _unjudged(windows: Windows, rows: NDArray[np.bool_]) -> dict[str, str]:
    """The series that have windows, none of which is judged."""
    gone = set(windows.series_N.tolist()) - set(windows.series_N[rows].tolist())
    return {
        windows.names[place]: "no window that every model answers and whose truth is known" for place in sorted(gone)
    }


def _mean_by(values: metrics.Scores, group: NDArray[np.int64], count: int) -> metrics.Scores:
    """Mean of what is known in each group; NaN for one without."""
    known = ~np.isnan(values)
    total = np.bincount(group[known], values[known], minlength=count)
    members = np.bincount(group[known], minlength=count)
    return np.where(members > 0, total / np.maximum(members, 1), nan)


def _medians(found: Iterable[pd.DataFrame], along: str) -> pd.DataFrame:
    return pd.concat(found).groupby(["model", along], sort=False).median().reset_index()


def _examples(
    windows: Windows, cases: Sequence[Case], predictions: Predictions, asked: Asked, count: int
) -> Iterator[Example]:
    """Windows spread evenly from easy to hard for the better naive model, each of another series where there are
    enough, without a gap in the truth."""
    rows = np.concatenate([case.rows for case in cases])
    loss = np.full(len(rows), inf)
    for naive in (predictions[name] for name in NAIVE if name in predictions):
        parts = [
            metrics.pinball(
                case.peak_NW[:, asked.window], naive.peaks_NWQ[case.rows, asked.window], asked.task.levels
            ).mean(axis=-1)
            / case.mean_demand
            for case in cases
        ]
        loss = np.minimum(loss, np.concatenate(parts))
    whole = ~np.isnan(windows.truth.demand_NH[rows]).any(axis=1)
    order = np.argsort(loss[whole], kind="stable")
    rows = rows[whole][order]
    shown: set[int] = set()
    for target in (np.arange(count) + 0.5) / count * len(rows):
        near = np.argsort(np.abs(np.arange(len(rows)) - target), kind="stable")
        fresh = [i for i in near if int(windows.series_N[rows[i]]) not in shown]
        if not len(near):
            return
        chosen = int((fresh or list(near))[0])
        row = int(rows[chosen])
        shown.add(int(windows.series_N[row]))
        yield _example(windows, predictions, row, chosen / len(rows))


def _example(windows: Windows, predictions: Predictions, row: int, place: float) -> Example:
    step, steps = windows.grid.step_seconds, min(windows.grid.steps, 2 * windows.truth.demand_NH.shape[1])
    return Example(
        series=windows.names[windows.series_N[row]],
        place=place,
        past_time_T=windows.past.local_time_N[row] + step * np.arange(1 - steps, 1),
        past_T=windows.past.history_NT[row, -steps:],
        time_H=windows.future.local_time_NH[row],
        truth_H=windows.truth.demand_NH[row],
        answers={
            model: Prediction(said.quantiles_NHQ[row : row + 1], said.peaks_NWQ[row : row + 1])
            for model, said in predictions.items()
        },
    )
