"""Fitted Prophet components (Taylor, Letham, "Forecasting at scale", 2018) as tables, evaluated in numpy and as nodes.

    yhat = trend + size * season          size: the trend where the season is multiplicative, else the series' scale
    trend = piecewise linear in the time since the series began
    season = daily, weekly, yearly Fourier terms, and holidays as effects on whole local days

Waves at later steps follow from those at one moment by angle addition, so that a window needs one sine per wave.
Times are local: seconds since the epoch of the local clock. A moment is `local_time` plus some steps; a change of the
clock within a window is ignored.

Axes: N windows, K moments of a window, S series, C changepoints, F waves, E holiday days, J local days of a window,
O kinds of holiday.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from training import graph
from training.models.empirical import Mask, Values
from training.task import DAY_SECONDS

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Holidays:
    """Holidays: the local day `day_E` (days since the epoch) has the effect number `kind_E`."""

    day_E: Integers
    kind_E: Integers
    kinds: tuple[str, ...]

    @property
    def marks_EO(self) -> Values:
        return np.asarray(self.kind_E[:, None] == np.arange(len(self.kinds)), np.float64)


@dataclass(frozen=True)
class Components:
    """Prophet's parameters of S series. A series that could not be fitted has `fitted_S` false and zeros.

    scale_S is in units of demand, start_S and span_S in seconds; all else is relative to them, as in Prophet.
    """

    period_F: Integers
    """seconds"""
    order_F: Integers
    """how many turns in a period"""
    holidays: Holidays
    fitted_S: Mask
    scale_S: Values
    start_S: Integers
    span_S: Values
    slope_S: Values
    offset_S: Values
    change_SC: Values
    changed_at_SC: Values
    sine_SF: Values
    cosine_SF: Values
    holiday_SO: Values
    multiplicative_S: Values
    """1.0 or 0.0"""
    noise_S: Values
    """standard deviation of Prophet's residuals, relative to the scale"""

    @property
    def angle_F(self) -> Values:
        """Radians per second of each wave."""
        return 2 * np.pi * self.order_F / self.period_F


def path(components: Components, series_N: Integers, local_time_N: Integers, ahead_K: Sequence[int]) -> Values:
    """Prophet's `predict` at `ahead_K` seconds after each local time (negative: before), in demand. [N, K]

    NaN for a series that could not be fitted.
    """
    c, rows = components, series_N
    moment_NK = local_time_N[:, None] + np.asarray(ahead_K, np.int64)
    since_NK = (moment_NK - c.start_S[rows, None]) / c.span_S[rows, None]
    trend = c.slope_S[rows, None] * since_NK + c.offset_S[rows, None]
    for change_S, at_S in zip(c.change_SC.T, c.changed_at_SC.T, strict=True):
        trend += change_S[rows, None] * np.maximum(since_NK - at_S[rows, None], 0.0)
    season = _holiday_effects(c, rows, moment_NK)
    for f, (period, order) in enumerate(zip(c.period_F, c.order_F, strict=True)):
        angle_NK = 2 * np.pi * order * (moment_NK % period) / period
        season += c.sine_SF[rows, f, None] * np.sin(angle_NK) + c.cosine_SF[rows, f, None] * np.cos(angle_NK)
    size = np.where(c.multiplicative_S[rows, None] > 0, trend, 1.0)
    found = (trend + size * season) * c.scale_S[rows, None]
    return np.asarray(np.where(c.fitted_S[rows, None], found, np.nan), np.float64)


def _holiday_effects(components: Components, series_N: Integers, moment_NK: Integers) -> Values:
    holidays = components.holidays
    day_NK, effect = moment_NK // DAY_SECONDS, np.zeros(moment_NK.shape)
    for day, kind in zip(holidays.day_E, holidays.kind_E, strict=True):
        effect += (day_NK == day) * components.holiday_SO[series_N, kind, None]
    return effect


def path_nodes(op: Any, components: Components, series: Any, local_time: Any, ahead_K: Sequence[int]) -> Any:
    """`path` as nodes, relative to each series' scale (`scale_nodes`). series, local_time: int64 [N] → [N, K].

    0 for a series that could not be fitted.
    """
    now = op.Unsqueeze(local_time, [1])
    trend = _trend_nodes(op, components, series, now, ahead_K)
    season = _wave_nodes(op, components, series, now, ahead_K)
    if components.holidays.kinds:
        season = season + _holiday_nodes(op, components, series, now, ahead_K)
    multiplicative = _column(op, components.multiplicative_S, series)
    return trend + op.Where(op.Greater(multiplicative, 0.0), trend, 1.0) * season


def scale_nodes(op: Any, components: Components, series: Any) -> Any:
    """What `path_nodes` is relative to, in units of demand; NaN for a series that could not be fitted. [N, 1]"""
    return _column(op, np.where(components.fitted_S, components.scale_S, np.nan), series)


def noise_nodes(op: Any, components: Components, series: Any) -> Any:
    """[N, 1]"""
    return _column(op, components.noise_S, series)


def _column(op: Any, values_S: Values, series: Any) -> Any:
    return graph.rows(op, graph.floats(values_S)[:, None], series)


def _trend_nodes(op: Any, components: Components, series: Any, now: Any, ahead_K: Sequence[int]) -> Any:
    start = graph.rows(op, components.start_S[:, None], series)
    span = graph.rows(op, components.span_S[:, None], series)
    seconds = now - start + graph.constant(op, np.asarray(ahead_K, np.int64))
    since = op.Cast(op.Cast(seconds, to=ir.DataType.DOUBLE) / span, to=ir.DataType.FLOAT)
    changes = graph.rows(op, graph.floats(components.change_SC)[:, :, None], series)
    changed_at = graph.rows(op, graph.floats(components.changed_at_SC)[:, None, :], series)
    bent = op.Relu(op.Unsqueeze(since, [2]) - changed_at)
    straight = since * _column(op, components.slope_S, series) + _column(op, components.offset_S, series)
    return straight + op.Squeeze(op.MatMul(bent, changes), [2])


def _wave_nodes(op: Any, components: Components, series: Any, now: Any, ahead_K: Sequence[int]) -> Any:
    """sin(a + b) and cos(a + b) from those of a (now) and of b (the way ahead, known beforehand)."""
    periods = [int(period) for period in components.period_F]
    within = {period: op.Cast(op.Mod(now, period), to=ir.DataType.FLOAT) for period in dict.fromkeys(periods)}
    turns = op.Concat(*(within[period] * float(1 / period) for period in periods), axis=1)
    # whole turns are dropped before the sine: its argument stays small
    turns = turns * graph.constant(op, graph.floats(components.order_F))
    angle = (turns - op.Floor(turns)) * float(2 * np.pi)
    sine, cosine = op.Sin(angle), op.Cos(angle)
    of_sine = graph.rows(op, graph.floats(components.sine_SF), series)
    of_cosine = graph.rows(op, graph.floats(components.cosine_SF), series)
    turned = op.Concat(of_sine * sine + of_cosine * cosine, of_sine * cosine - of_cosine * sine, axis=1)
    ahead = components.angle_F[:, None] * np.asarray(ahead_K)
    return op.MatMul(turned, graph.constant(op, graph.floats(np.concatenate([np.cos(ahead), np.sin(ahead)]))))


def _holiday_nodes(op: Any, components: Components, series: Any, now: Any, ahead_K: Sequence[int]) -> Any:
    """Effects of the local days that the window touches, then the day of each moment among them."""
    ahead, holidays = np.asarray(ahead_K, np.int64), components.holidays
    first = _day_nodes(op, now + int(ahead.min()))
    days = np.arange(-(-int(ahead.max() - ahead.min()) // DAY_SECONDS) + 1)
    day = op.Unsqueeze(first + graph.constant(op, days), [2])
    marks = graph.flag(op, op.Equal(day, graph.constant(op, holidays.day_E)))
    kinds = op.MatMul(marks, graph.constant(op, graph.floats(holidays.marks_EO)))
    effects = graph.rows(op, graph.floats(components.holiday_SO)[:, :, None], series)
    by_day = op.Squeeze(op.MatMul(kinds, effects), [2])
    return op.GatherElements(by_day, _day_nodes(op, now + graph.constant(op, ahead)) - first, axis=1)


def _day_nodes(op: Any, moment: Any) -> Any:
    return op.Div(moment, DAY_SECONDS)
