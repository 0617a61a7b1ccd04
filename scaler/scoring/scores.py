"""What a trigger's scored forecasts say: sums over about a week, and figures of them. Pure numpy.

Axes: N triggers, K forecasts, B buckets (`pending.BUCKETS`), F figures (`losses.Figure`).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from scaler.pool import Integers
from scaler.scoring.losses import FIGURES, LEVELS, Figure
from scaler.scoring.pending import BUCKETS
from scaler.series import Floats

DAY_KEEPS: Final = 6 / 7
"""share of the sums of earlier days that is left after each day: what counts is about a week"""


class Sums:
    """Of `rows` triggers: of their newest day, and of the days before it, which fade."""

    def __init__(self, rows: int) -> None:
        self.day = np.zeros(rows, np.int32)
        """the newest one: days since the epoch of local time"""
        self.today = np.zeros((rows, len(BUCKETS), FIGURES), np.float32)
        self.before = np.zeros((rows, len(BUCKETS), FIGURES), np.float32)

    def clear(self, row: int) -> None:
        self.day[row], self.today[row], self.before[row] = 0, 0, 0

    def begin(self, rows: Integers, day_N: Integers) -> None:
        """Let a day be the newest one of each row, unless it has a later one."""
        is_new = day_N > self.day[rows]
        rows, day_N = rows[is_new], day_N[is_new]
        kept_N = DAY_KEEPS ** (day_N - self.day[rows])
        self.before[rows] = (self.before[rows] + self.today[rows]) * kept_N[:, None, None]
        self.day[rows], self.today[rows] = day_N, 0

    def add(self, rows: Integers, bucket: Integers, sums_KF: Floats) -> None:
        """Add to the sums of the newest day; rows may repeat."""
        np.add.at(self.today, (rows, bucket), sums_KF)

    def resume(self, row: int, day: int, sums_BF: Floats) -> None:
        """Add sums that were made until `day`, in which earlier days have faded already."""
        self.day[row] = max(int(self.day[row]), day)
        with np.errstate(over="ignore"):
            self.before[row] += sums_BF * DAY_KEEPS ** int(self.day[row] - day)

    def of(self, row: int) -> Floats:
        """The sums of all days [B, F]."""
        return np.asarray(self.today[row] + self.before[row], np.float32)


def sums_BF(leads: Mapping[str, Sequence[float]]) -> Floats:
    """Sums by lead as one array; zeros where there are none."""
    nothing = (0.0,) * FIGURES
    with np.errstate(over="ignore"):
        return np.array([leads.get(lead, nothing) for lead in BUCKETS], np.float32)


@dataclass(frozen=True, slots=True)
class BucketScores:
    """Of the forecasts of one lead, at least one. Errors are in the units of demand; None: there is no such number.

    Computed when asked for: a scrape of thousands of triggers wants few of them.
    """

    sums: Sequence[float]
    """[F]"""

    @property
    def count(self) -> int:
        return round(self.sums[Figure.COUNT])

    @property
    def coverage(self) -> dict[float, float]:
        """Share of truths within each quantile, by its level."""
        hits = self.sums[len(Figure) :]
        return {level: hit / self.sums[Figure.COUNT] for level, hit in zip(LEVELS, hits, strict=True)}

    @property
    def held(self) -> float:
        """Share of truths within the trigger's own quantile."""
        return self._mean(Figure.HELD)

    @property
    def pinball(self) -> float:
        return self._mean(Figure.PINBALL)

    @property
    def mae(self) -> float:
        return self._mean(Figure.ABSOLUTE)

    @property
    def rmse(self) -> float | None:
        return _finite(math.sqrt(self._mean(Figure.SQUARED)))

    @property
    def bias(self) -> float:
        """Of the median; above 0 where it is too high."""
        return self._mean(Figure.BIAS)

    @property
    def mape(self) -> float | None:
        return self._ratio(Figure.PERCENT, Figure.PERCENT_COUNT)

    @property
    def smape(self) -> float:
        return self._mean(Figure.SYMMETRIC)

    @property
    def over_persistence(self) -> float | None:
        """Pinball loss over that of the newest observation: below 1 is better."""
        return self._ratio(Figure.PINBALL, Figure.PERSISTENCE)

    @property
    def over_seasonal(self) -> float | None:
        """Pinball loss over that of the demand a day before."""
        return self._ratio(Figure.BESIDE_SEASONAL, Figure.SEASONAL)

    @property
    def promised_over_persistence(self) -> float | None:
        """`over_persistence` at the trigger's own quantile, by which it plans."""
        return self._ratio(Figure.PROMISED, Figure.PROMISED_PERSISTENCE)

    def record(self) -> dict[str, Any]:
        """All of it, as JSON."""
        coverage = {f"{level:g}": share for level, share in self.coverage.items()}
        return {name: getattr(self, name) for name in RECORDED} | {"coverage": coverage}

    def _mean(self, figure: Figure) -> float:
        return self.sums[figure] / self.sums[Figure.COUNT]

    def _ratio(self, part: Figure, whole: Figure) -> float | None:
        return _finite(self.sums[part] / self.sums[whole]) if self.sums[whole] > 0 else None


RECORDED: Final = (
    *("count", "held", "pinball", "mae", "rmse", "bias", "mape", "smape"),
    *("over_persistence", "over_seasonal", "promised_over_persistence"),
)


@dataclass(frozen=True, slots=True)
class Scores:
    """Of one trigger, over about a week."""

    sums_BF: Floats

    def of(self, bucket: str) -> BucketScores | None:
        """Those of one lead, or of the peak; None where none has come due."""
        sums = self.sums_BF[BUCKETS.index(bucket)].tolist()
        return BucketScores(sums) if sums[Figure.COUNT] > 0 else None

    @property
    def buckets(self) -> dict[str, BucketScores]:
        """By lead; those of which none has come due are left out."""
        return {name: found for name in BUCKETS if (found := self.of(name)) is not None}

    def record(self) -> dict[str, Any]:
        """All of it, as JSON."""
        return {name: bucket.record() for name, bucket in self.buckets.items()}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
