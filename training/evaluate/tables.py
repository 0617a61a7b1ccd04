"""Tables of scores: a row per model and series, lead, window length, hour or level; pandas frames in the long form.

Losses are relative: divided by the mean demand of the series in its windows, so that series compare. Series are
aggregated by median, coverage by mean. Hours and weekdays are local.

Axes: N windows, H future steps, W window lengths, Q levels.
"""

from collections.abc import Iterable
from math import nan

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from training.evaluate import metrics
from training.evaluate.cases import Case, Evaluation, Predictions, each, system_of
from training.task import DAY_SECONDS

FIRST_WEEKDAY = 3
"""the epoch began on a Thursday; Monday is 0"""


def series_scores(cases: Iterable[Case], predictions: Predictions, evaluation: Evaluation) -> pd.DataFrame:
    """A row per model and series.

    peak_loss: of the peak in the deciding window, mean over the levels; peak_loss_at_level: at the one level;
    pinball: mean over steps and levels (all three relative). mae and rmse: in units of demand; mape, smape: shares;
    mase, wql, r2: see `metrics`. coverage, peak_coverage: share of truths at or below the one level. daily_r2: how
    strongly the series repeats each day.
    """
    levels = evaluation.task.levels
    found = []
    for model, case, prediction in each(cases, predictions):
        truth, point = case.truth_NH, metrics.median_of(prediction.quantiles_NHQ, levels)
        peak_WQ = metrics.peak_loss(case.peak_NW, prediction.peaks_NWQ, levels, case.mean_demand)[evaluation.window]
        peak_cover_WQ = metrics.coverage(case.peak_NW, prediction.peaks_NWQ, 0)[evaluation.window]
        found.append(
            {
                "model": model,
                "series": case.name,
                "system": system_of(case.name),
                "windows": len(case.rows),
                "mean_demand": case.mean_demand,
                "daily_r2": case.daily_r2,
                "peak_loss": peak_WQ.mean(),
                "peak_loss_at_level": peak_WQ[evaluation.level],
                "pinball": _relative(metrics.pinball_loss(truth, prediction.quantiles_NHQ, levels).mean(), case),
                "wql": metrics.wql(truth, prediction.quantiles_NHQ, levels),
                "mase": metrics.mase(truth, point, case.naive_error_N),
                "mae": metrics.mae(truth, point),
                "rmse": metrics.rmse(truth, point),
                "mape": metrics.mape(truth, point),
                "smape": metrics.smape(truth, point),
                "r2": metrics.r2(truth, point),
                "coverage": metrics.coverage(truth, prediction.quantiles_NHQ)[evaluation.level],
                "peak_coverage": peak_cover_WQ[evaluation.level],
            }
        )
    return pd.DataFrame(found)


def leads(cases: Iterable[Case], predictions: Predictions, evaluation: Evaluation) -> pd.DataFrame:
    """A row per model and lead: median over series of pinball, mae, rmse (relative) and mape."""
    levels, found = evaluation.task.levels, []
    for model, case, prediction in each(cases, predictions):
        truth, point = case.truth_NH, metrics.median_of(prediction.quantiles_NHQ, levels)
        loss_NHQ = metrics.pinball(truth, prediction.quantiles_NHQ, levels)
        error = np.abs(np.asarray(truth, np.float64) - point)
        counted = np.where(truth == 0, np.nan, truth)
        values = {
            "pinball": metrics.mean_known(loss_NHQ, truth, 0).mean(axis=-1) / case.mean_demand,
            "mae": metrics.mean_known(error, truth, 0) / case.mean_demand,
            "rmse": np.sqrt(metrics.mean_known(error**2, truth, 0)) / case.mean_demand,
            "mape": metrics.mean_known(error / counted, counted, 0),
        }
        found.append(pd.DataFrame({"model": model, "lead_seconds": evaluation.lead_seconds, **values}))
    if not found:
        return pd.DataFrame(columns=["model", "lead_seconds", "pinball", "mae", "rmse", "mape"])
    return _medians(found, "lead_seconds")


def peak_windows(cases: Iterable[Case], predictions: Predictions, evaluation: Evaluation) -> pd.DataFrame:
    """A row per model and window length: median over series of peak_loss and peak_loss_at_level (relative)."""
    found = []
    for model, case, prediction in each(cases, predictions):
        loss_WQ = metrics.peak_loss(case.peak_NW, prediction.peaks_NWQ, evaluation.task.levels, case.mean_demand)
        values = {"peak_loss": loss_WQ.mean(axis=1), "peak_loss_at_level": loss_WQ[:, evaluation.level]}
        found.append(pd.DataFrame({"model": model, "window_seconds": evaluation.window_seconds, **values}))
    return _medians(found, "window_seconds")


def calendar(cases: Iterable[Case], predictions: Predictions, evaluation: Evaluation, by: str) -> pd.DataFrame:
    """A row per model and local hour of day (by="hour") or weekday ("weekday", 0 is Monday), medians over series.

    pinball: of the steps that begin then; peak_loss: of the windows cut then (both relative).
    """
    count = {"hour": 24, "weekday": 7}[by]
    levels, found = evaluation.task.levels, []
    for model, case, prediction in each(cases, predictions):
        then_NH = case.start_NH // 3600 % 24 if by == "hour" else (case.start_NH // DAY_SECONDS + FIRST_WEEKDAY) % 7
        loss_NH = metrics.pinball(case.truth_NH, prediction.quantiles_NHQ, levels).mean(axis=-1)
        peak_NW = metrics.pinball(case.peak_NW, prediction.peaks_NWQ, levels).mean(axis=-1)
        values = {
            "pinball": _mean_by(loss_NH, then_NH, count) / case.mean_demand,
            "peak_loss": _mean_by(peak_NW[:, evaluation.window], then_NH[:, 0], count) / case.mean_demand,
        }
        found.append(pd.DataFrame({"model": model, by: np.arange(count), **values}))
    return _medians(found, by)


def coverage(cases: Iterable[Case], predictions: Predictions, evaluation: Evaluation) -> pd.DataFrame:
    """A row per model, kind ("step", or "peak" of the deciding window) and nominal level.

    realised: share of truths at or below, mean over series; lowest, highest: of any series.
    """
    found = []
    for model, case, prediction in each(cases, predictions):
        kinds = {
            "step": metrics.coverage(case.truth_NH, prediction.quantiles_NHQ),
            "peak": metrics.coverage(case.peak_NW, prediction.peaks_NWQ, 0)[evaluation.window],
        }
        found += [
            pd.DataFrame({"model": model, "kind": kind, "level": evaluation.task.levels, "share": share})
            for kind, share in kinds.items()
        ]
    grouped = pd.concat(found).groupby(["model", "kind", "level"], sort=False)["share"]
    return grouped.agg(realised="mean", lowest="min", highest="max").reset_index()


def coverage_by_lead(cases: Iterable[Case], predictions: Predictions, evaluation: Evaluation) -> pd.DataFrame:
    """A row per model, lead and nominal level; realised: share of truths at or below, mean over series."""
    levels, leads = evaluation.task.levels, evaluation.lead_seconds
    found = []
    for model in predictions:
        shares = [
            metrics.coverage(case.truth_NH, prediction.quantiles_NHQ, 0)
            for _, case, prediction in each(cases, {model: predictions[model]})
        ]
        shares_LQ = np.array(shares)
        realised = metrics.mean_known(shares_LQ, shares_LQ, 0)
        columns = {"lead_seconds": np.repeat(leads, len(levels)), "level": np.tile(levels, len(leads))}
        found.append(pd.DataFrame({"model": model, **columns, "realised": realised.ravel()}))
    return pd.concat(found, ignore_index=True)


def _relative(loss: float, case: Case) -> float:
    return float(loss) / case.mean_demand if case.mean_demand > 0 else nan


def _mean_by(values: metrics.Scores, group: NDArray[np.int64], count: int) -> metrics.Scores:
    """Mean of the known values of each group; NaN without any."""
    known = ~np.isnan(values)
    total = np.bincount(group[known], values[known], minlength=count)
    members = np.bincount(group[known], minlength=count)
    return np.where(members > 0, total / np.maximum(members, 1), nan)


def _medians(found: Iterable[pd.DataFrame], along: str) -> pd.DataFrame:
    return pd.concat(found).groupby(["model", along], sort=False).median().reset_index()
