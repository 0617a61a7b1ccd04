"""Does the quantile hold what it promises? Where past days are exceeded too often, plans ask for more. Pure.

A p90 of the peak is to be exceeded in one window of ten. Past days can miss what they cannot see: a job of one minute,
of which samples a minute apart show three quarters. A forecast of a bundle is wide enough for that, a sharp one is not.
So what is forecast is raised until demand exceeds it clearly in one window of ten only. The factor moves a little with
every window that is over: adaptive conformal inference, Gibbs and Candès 2021. Windows of little demand do not count:
what is exceeded at night says nothing about the day.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from scaler.plan.demand import peak_quantile
from scaler.plan.fallback import KNOWN_SHARE, Situation
from scaler.plan.rule import News, Remembered
from scaler.plan.windows import Noted, due_end, sorted_out, worth_noting

CLEARLY = 1.05
"""times the quantile: what exceeds it by less is noise of the measurement, and within what `order` reserves"""
RATE = 0.02
"""by how much the logarithm of the factor moves where a window exceeds its quantile"""
HALF_LIFE_SECONDS = 6 * 3600.0
"""after which half of the factor, as a logarithm, is forgotten"""
LEAST, MOST = 1.05, 2.0
"""times what was forecast: a smaller factor is not used, so that a single window says nothing"""


class Calibration(NamedTuple):
    """What is remembered of a trigger: windows that are not over, and the logarithm of the factor, 0 to log `MOST`."""

    noted: tuple[Noted, ...] = ()
    log_factor: float = 0.0
    at: float = 0.0
    """when this was last brought up to date"""

    @property
    def factor(self) -> float:
        """What forecasts of past days are to be multiplied by."""
        return round(math.exp(self.log_factor), 2)


UNCALIBRATED = Calibration()


def watch(before: Calibration, news: News) -> Calibration:
    """`before`, with the newest observation: windows that are over move the factor, and a new window is noted."""
    over, left = sorted_out(before.noted, news)
    log_factor = _faded(before, news.now)
    for one in over:
        log_factor = _moved(log_factor, one, news.trigger.quantile)
    new = _window(left, news)
    return Calibration((*left, new) if new is not None else tuple(left), log_factor, news.now)


def _faded(before: Calibration, now: float) -> float:
    """The logarithm of the factor, of which time has taken a part."""
    return before.log_factor * 0.5 ** (max(0.0, now - before.at) / HALF_LIFE_SECONDS) if before.log_factor else 0.0


def _moved(log_factor: float, over: Noted, quantile: float) -> float:
    """The logarithm of the factor after a window that is over."""
    is_exceeded = (over.observed or 0.0) > CLEARLY * math.exp(log_factor) * over.peak
    return min(max(log_factor + RATE * (is_exceeded - (1 - quantile)), 0.0), math.log(MOST))


def _window(left: Sequence[Noted], news: News) -> Noted | None:
    """The window that begins now; None where past days do not make up its forecast, or it is one of little demand."""
    forecast, ends = news.forecast, due_end(left, news)
    if ends is None or forecast is None or forecast.past_share < KNOWN_SHARE:
        return None
    return worth_noting(news, ends, peak_quantile(forecast, news.trigger.quantile, news.now, ends))


CALIBRATION: Remembered[Calibration] = Remembered(
    name="calibration",
    start=UNCALIBRATED,
    observe=watch,
    conclude=lambda state: state.factor if state.factor >= LEAST else None,
    resume=lambda factor, at: Calibration((), math.log(min(max(factor, 1.0), MOST)), at),
    reads_answers=False,
    lasts=True,
)
"""what forecasts of past days are multiplied by, because demand exceeds their quantile too often"""


def calibrated(situation: Situation, value: float) -> float:
    """A quantile of demand, raised where past days make up the forecast and are exceeded too often."""
    if situation.forecast is None or situation.forecast.past_share < KNOWN_SHARE:
        return value
    return value * situation.remembered.get(CALIBRATION.name, 1.0)


def calibration(situation: Situation, value: float) -> tuple[float, str] | None:
    """The rule: more than past days show, where demand exceeds that too often."""
    raised = calibrated(situation, value)
    if situation.need is None or not raised > value:
        return None
    level = 100 * situation.trigger.quantile
    return raised, f"demand exceeds the p{level:g} of past days too often: × {raised / value:.2f}"
