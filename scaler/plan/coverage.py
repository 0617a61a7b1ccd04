"""Which quantile of a bundle's forecast is read, so that demand exceeds it as often as the trigger's. Pure.

A p90 of the peak is to be exceeded in one window of ten. A bundle learned that on other systems; on this one its p90
may be exceeded in one of five. Then the p94, say, is read in its place: the level moves a little with every window that
is over, up where demand exceeded it and down where not. This is adaptive conformal inference (Gibbs and Candès 2021,
equation 2); their proposition 4.1 bounds how far the share in the long run is from the promise, whatever demand does.
Here a step is one of log odds, and the level stays between the trigger's own and p99. At these bounds the proposition
does not hold: there the share can stay above the promise, or below it. Past days are too sharp
for all this, their quantiles lie too close together: see calibration.py.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from scaler.plan import Plan
from scaler.plan.demand import peak_quantile
from scaler.plan.fallback import KNOWN_SHARE, Situation
from scaler.plan.rule import News, Remembered
from scaler.plan.windows import Noted, due_end, sorted_out, worth_noting
from scaler.trigger import Trigger

RATE = 0.05
"""by how much the log odds of the level move where a window exceeds its quantile"""
HIGHEST = 0.99
"""the level beyond which bundles have no quantile"""
LEAST = 0.01
"""a smaller shift is none"""
COVERAGE_RULE = "coverage"
"""by which its reasons are known"""


class Coverage(NamedTuple):
    """What is remembered of a trigger. shift: by how much the log odds of the level are moved."""

    noted: tuple[Noted, ...] = ()
    """windows that are not over"""
    shift: float = 0.0


def watch(before: Coverage, news: News) -> Coverage:
    """`before`, with the newest observation: windows that are over move the level, and a new window is noted."""
    over, left = sorted_out(before.noted, news)
    shift, promised = before.shift, news.trigger.quantile
    for one in over:
        is_exceeded = (one.observed or 0.0) > one.peak
        shift = _within(shift + RATE * (is_exceeded - (1 - promised)), promised)
    new = _window(left, news, shift)
    return Coverage((*left, new) if new is not None else tuple(left), shift)


def level_at(quantile: float, shift: float) -> float:
    """The level that is read in place of `quantile`; to six digits, so that a higher quantile never has a lower one."""
    if shift < LEAST or quantile >= HIGHEST:
        return quantile
    return max(quantile, round(1 / (1 + math.exp(-_log_odds(quantile) - _within(shift, quantile))), 6))


def _within(shift: float, quantile: float) -> float:
    return min(max(shift, 0.0), max(0.0, _log_odds(HIGHEST) - _log_odds(quantile)))


def _log_odds(share: float) -> float:
    return math.log(share / (1 - share))


def _window(left: Sequence[Noted], news: News, shift: float) -> Noted | None:
    """The window that begins now; None where past days make up its forecast, or it is one of little demand."""
    forecast, ends = news.forecast, due_end(left, news)
    if ends is None or forecast is None or forecast.past_share >= KNOWN_SHARE:
        return None
    return worth_noting(news, ends, peak_quantile(forecast, level_at(news.trigger.quantile, shift), news.now, ends))


COVERAGE: Remembered[Coverage] = Remembered(
    name="level_shift",
    start=Coverage(),
    observe=watch,
    conclude=lambda state: round(state.shift, 2) if state.shift >= LEAST else None,
    resume=lambda shift, at: Coverage((), shift),
    reads_answers=False,
    lasts=True,
)
"""by how much the log odds of the level are moved, because demand exceeds the trigger's quantile too often"""


def coverage(situation: Situation, value: float) -> tuple[float, str] | None:
    """The rule: a higher quantile than the trigger's, where demand exceeds that too often."""
    forecast, promised = situation.forecast, situation.trigger.quantile
    if forecast is None or forecast.past_share >= KNOWN_SHARE:
        return None
    level = level_at(promised, situation.remembered.get(COVERAGE.name, 0.0))
    if not level > promised:
        return None
    raised = peak_quantile(forecast, level, situation.now, situation.window_end)
    if not value < raised < math.inf:
        return None
    return raised, f"demand exceeds the p{100 * promised:g} too often: p{100 * level:.3g} is read in its place"


def quantile_read(trigger: Trigger, plan: Plan, remembered: Mapping[str, float]) -> float | None:
    """Which quantile of the peak a plan was made by; None without forecast. remembered: the outlook's."""
    if plan.need is None:
        return None
    is_raised = any(reason.rule == COVERAGE_RULE for reason in plan.reasons)
    return level_at(trigger.quantile, remembered.get(COVERAGE.name, 0.0)) if is_raised else trigger.quantile
