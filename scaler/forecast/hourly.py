"""Demand by the hour for up to a week ahead: for people and capacity planning, never for answers to KEDA.

Five rules say what each hour ahead will have: the same hours of past days, of past days of its kind and weekday, of the
same day in past weeks, the mean of the last day, and the newest hour. The first two are brought to the level of the
last day. At past moments each rule is tried against the demand that came, and the rules
are mixed by how small their errors were, lead by lead; the errors of the mix give the quantiles.

Hours are those of the local clock. Axes: P past hours, the last one is the newest complete one; A hours ahead;
O origins, moments from which hours are looked ahead, the last one is now; D days back; E rules; Q levels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from scaler.series import Floats

Doubles = NDArray[np.float64]
Integers = NDArray[np.int64]

RULES = ("past days", "days of its kind", "past weeks", "last day", "newest hour")
LEVELS = (0.1, 0.5, 0.9, 0.95)
DAY, WEEK = 24, 168
MOST_AHEAD = WEEK
PAST_HOURS = 28 * DAY
SHORTEST_PAST = 3 * DAY
"""beyond the hours ahead: what the rules are tried on"""
ORIGIN_STRIDE = 5
"""hours between two origins; no divisor of a day, so that each hour of the day is tried"""
DAY_MEMORY = 0.97
"""weight of a past day relative to the day after it"""
Likeness: TypeAlias = tuple[float, float, float]
"""weight of a day of the other kind (weekday, weekend), of its kind, and of the same day of the week"""
ALL_ALIKE: Likeness = (1.0, 1.0, 1.0)
BY_KIND: Likeness = (0.1, 1.0, 3.0)
BY_WEEKDAY: Likeness = (0.0, 0.0, 1.0)
LEVEL_STAYS = 0.6
"""share of today's difference to past days that is left a day later"""
MIXING_POWER = 5.0
LEAD_EDGES = (2, 6, 12, 24, 72, 120)
"""leads up to each, and beyond the last, share their weights and errors"""
FEWEST_ERRORS = 8


@dataclass(frozen=True, slots=True)
class HourlyForecast:
    """quantiles_AQ: of the mean demand of each hour ahead, ascending along Q. weights: of each of RULES."""

    quantiles_AQ: Floats
    weights: Mapping[str, float]


def hourly_forecast(past_P: Floats, newest_hour: int, hours: int, levels: Sequence[float] = LEVELS) -> HourlyForecast:
    """The next `hours` after the newest of the past. newest_hour: its number in local time since the epoch; NaN is an
    hour that is not known. Past beyond PAST_HOURS is not looked at. Raises ValueError where `is_enough` is false."""
    known_P = np.asarray(past_P, np.float64)[-PAST_HOURS:]
    if not is_enough(known_P, hours):
        raise ValueError("the past is too short for these hours")
    lead_A = np.arange(1, hours + 1)
    origin_O = np.arange(len(known_P) - 1, DAY - 1, -ORIGIN_STRIDE)[::-1]
    rule_EOA = _rules(known_P, newest_hour - len(known_P) + 1, origin_O, lead_A)
    came_OA = _at(known_P, origin_O[:, None] + lead_A)
    group_A = np.searchsorted(LEAD_EDGES, lead_A)
    weight_EA = _weights(rule_EOA, came_OA, group_A)
    mixed_OA = np.einsum("eoa,ea->oa", rule_EOA, weight_EA)
    scale_OA = (mixed_OA + np.nanmean(known_P)) / 2 + 1e-9
    spread_AQ = _spread((came_OA - mixed_OA) / scale_OA, group_A, levels)
    found_AQ = mixed_OA[-1][:, None] + scale_OA[-1][:, None] * spread_AQ
    ascending = np.maximum.accumulate(np.maximum(found_AQ, 0.0), axis=1)
    return HourlyForecast(ascending.astype(np.float32), dict(zip(RULES, weight_EA.mean(axis=1).tolist(), strict=True)))


def is_enough(past_P: Floats | Doubles, hours: int) -> bool:
    """Whether the past begins early enough, and half of its hours and of its last day are known."""
    known_P = np.isfinite(past_P)
    if not known_P.any():
        return False
    span_P = known_P[int(np.argmax(known_P)) :]
    return len(span_P) >= needed_hours(hours) and span_P.mean() >= 0.5 and span_P[-DAY:].mean() >= 0.5


def needed_hours(hours: int) -> int:
    """How many hours the past must reach back for a look ahead."""
    return hours + SHORTEST_PAST


def _rules(past_P: Doubles, first_hour: int, origin_O: Integers, lead_A: Integers) -> Doubles:
    """[E, O, A], without a gap."""
    mean = float(np.nanmean(past_P))
    days_OA, kind_OA = (_levelled(past_P, first_hour, origin_O, lead_A, alike) for alike in (ALL_ALIKE, BY_KIND))
    weeks_OA = _typical(past_P, first_hour, origin_O, lead_A, BY_WEEKDAY)
    last_day_O = _mean(_at(past_P, origin_O[:, None] - np.arange(DAY)), mean)
    newest_O = np.where(np.isnan(past_P[origin_O]), last_day_O, past_P[origin_O])
    flat_OA = np.broadcast_to(last_day_O[:, None], days_OA.shape)
    newest_OA = np.broadcast_to(newest_O[:, None], days_OA.shape)
    days_OA = np.where(np.isnan(days_OA), flat_OA, days_OA)
    every = np.stack([days_OA, kind_OA, weeks_OA, flat_OA, newest_OA])
    return np.where(np.isnan(every), days_OA, every)


def _levelled(past_P: Doubles, first_hour: int, origin_O: Integers, lead_A: Integers, alike: Likeness) -> Doubles:
    """The weighted mean of the same hours of past days, brought to the level of the last day. [O, A]."""
    typical_OA = _typical(past_P, first_hour, origin_O, lead_A, alike)
    lead_L = np.arange(1, DAY + 1)
    then_OL = _typical(past_P, first_hour, origin_O - DAY, lead_L, alike)
    now_OL = _at(past_P, origin_O[:, None] - DAY + lead_L)
    both = np.isfinite(then_OL) & np.isfinite(now_OL)
    now_O, then_O = (np.where(both, value, 0.0).sum(axis=1) + 1e-9 for value in (now_OL, then_OL))
    level_O = np.clip(now_O / then_O, 0.2, 5.0)
    found_OA: Doubles = typical_OA * level_O[:, None] ** (LEVEL_STAYS ** (lead_A / DAY))
    return found_OA


def _typical(past_P: Doubles, first_hour: int, origin_O: Integers, lead_A: Integers, alike: Likeness) -> Doubles:
    """NaN where no past day knows the hour."""
    back_D = np.arange(1, PAST_HOURS // DAY + WEEK // DAY + 1)
    target_OA = origin_O[:, None] + lead_A
    place_OAD = target_OA[..., None] - DAY * back_D
    is_past = place_OAD <= origin_O[:, None, None]
    value_OAD = np.where(is_past, _at(past_P, place_OAD), np.nan)
    weight_OAD = DAY_MEMORY**back_D * np.isfinite(value_OAD) * _weight_of_days(target_OA + first_hour, back_D, alike)
    total_OA = weight_OAD.sum(axis=2)
    found_OA = (weight_OAD * np.nan_to_num(value_OAD)).sum(axis=2)
    return np.where(total_OA > 0, found_OA / np.maximum(total_OA, 1e-300), np.nan)


def _weight_of_days(hour_OA: Integers, back_D: Integers, alike: Likeness) -> Doubles:
    """How much the day some days before an hour counts for it. [O, A, D]. Day 0 of the epoch was a Thursday."""
    other_kind, same_kind, same_weekday = alike
    weekday_OA = (hour_OA // DAY + 3) % 7
    then_OAD = (weekday_OA[..., None] - back_D) % 7
    is_same_kind = (then_OAD >= 5) == (weekday_OA[..., None] >= 5)
    return np.where(back_D % 7 == 0, same_weekday, np.where(is_same_kind, same_kind, other_kind))


def _weights(rule_EOA: Doubles, came_OA: Doubles, group_A: Integers) -> Doubles:
    """The smaller the mean error at origins before now, the larger. [E, A]; they add up to 1."""
    error_EOA = np.abs(rule_EOA - came_OA)
    weight_EA = np.full((len(rule_EOA), len(group_A)), 1 / len(rule_EOA))
    for group in np.unique(group_A).tolist():
        own = group_A == group
        mean_E = _mean(error_EOA[:, :, own].reshape(len(rule_EOA), -1), np.nan)
        if np.isfinite(mean_E).all():
            score_E = 1 / (mean_E + 1e-6 * mean_E.max() + 1e-12) ** MIXING_POWER
            weight_EA[:, own] = (score_E / score_E.sum())[:, None]
    return weight_EA


def _spread(error_OA: Doubles, group_A: Integers, levels: Sequence[float]) -> Doubles:
    """Quantiles of past errors, lead by lead; they never get narrower with the lead. [A, Q]."""
    known: list[Doubles] = []
    for group in range(int(group_A.max()) + 1):
        errors = error_OA[:, group_A == group]
        errors = errors[np.isfinite(errors)]
        enough = len(errors) >= FEWEST_ERRORS
        known.append(np.quantile(errors, levels) if enough else known[-1] if known else np.zeros(len(levels)))
    middle_GQ = np.array([np.interp(0.5, levels, one) for one in known])[:, None]
    off_GQ = np.array(known) - middle_GQ
    below = np.array(levels) < 0.5
    wide_GQ = np.where(below, np.minimum.accumulate(off_GQ), np.maximum.accumulate(off_GQ))
    return np.asarray((middle_GQ + wide_GQ)[group_A], np.float64)


def _at(past_P: Doubles, place: Integers) -> Doubles:
    """Values at places; NaN outside."""
    inside = (place >= 0) & (place < len(past_P))
    return np.where(inside, past_P[np.clip(place, 0, len(past_P) - 1)], np.nan)


def _mean(value: Doubles, otherwise: float) -> Doubles:
    """Of what is known along the last axis."""
    known = np.isfinite(value)
    count = known.sum(axis=-1)
    total = np.where(known, value, 0.0).sum(axis=-1)
    return np.where(count > 0, total / np.maximum(count, 1), otherwise)
