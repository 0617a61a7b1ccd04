"""How good the forecasts of many triggers are, by lead. Pure numpy.

Axes: N triggers, B buckets (`pending.BUCKETS`), F figures (`losses.Figure`), Q scored levels (`losses.LEVELS`).
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from scaler.scoring.losses import LEVELS, Figure
from scaler.scoring.pending import BUCKETS
from scaler.series import Floats


class LeadScores(NamedTuple):
    """Of the triggers of which a forecast of one lead has come due: at least one. None: no trigger has the number."""

    triggers: int
    coverage: Mapping[float, float]
    """mean over them of the share of truths within each quantile, by its level"""
    skill: float | None
    """median over them of 1 minus pinball loss over that of the newest observation"""
    mape: float | None
    """median over them"""


def by_lead(sums_NBF: Floats) -> dict[str, LeadScores]:
    """Scores of each lead of which a forecast of some trigger has come due."""
    scored = {lead: sums_NBF[sums_NBF[:, b, Figure.COUNT] > 0, b] for b, lead in enumerate(BUCKETS)}
    return {lead: _scores(sums_NF) for lead, sums_NF in scored.items() if len(sums_NF)}


def _scores(sums_NF: Floats) -> LeadScores:
    coverage_Q = (sums_NF[:, len(Figure) :] / sums_NF[:, [Figure.COUNT]]).mean(axis=0)
    loss = _median_ratio(sums_NF, Figure.PINBALL, Figure.PERSISTENCE)
    return LeadScores(
        len(sums_NF),
        dict(zip(LEVELS, coverage_Q.tolist(), strict=True)),
        None if loss is None else 1 - loss,
        _median_ratio(sums_NF, Figure.PERCENT, Figure.PERCENT_COUNT),
    )


def _median_ratio(sums_NF: Floats, part: Figure, whole: Figure) -> float | None:
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        ratio_N = sums_NF[:, part] / sums_NF[:, whole]
    known = ratio_N[np.isfinite(ratio_N)]
    return float(np.median(known)) if len(known) else None
