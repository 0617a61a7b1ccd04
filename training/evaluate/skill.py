"""Models against each other over many series: skill, ranks and significance.

Axes: S series.
"""

from dataclasses import dataclass
from math import nan

import numpy as np
import pandas as pd
from scipy import stats

from training.evaluate import metrics
from training.evaluate.cases import NAIVE, system_of

BETTER_NAIVE = "better naive"
"""the better of the naive models, for each series and score separately"""
DECISIVE = "peak_loss"
RESAMPLES = 4000
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Paired:
    """One model against another over the series: the median ratio of their scores, and its significance.

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


def paired_in(table: pd.DataFrame, model: str, against: str, seed: int) -> Paired:
    """`model` against another (or `BETTER_NAIVE`) over the series for which both have the score, see `by_series`."""
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
