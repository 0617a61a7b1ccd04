"""Does demand outgrow its forecasts? A crowd that no history knows of doubles demand within a quarter of an hour, and
every forecast says a little more than there is now, and is too late. Pure.

Demand has outgrown its forecasts where for two minutes it lay above the 0.9 quantile of the peak that was forecast a
lead time before, and it has risen from minute to minute for three. Then its growth is taken to go on for one and a half
lead times, to twice as much at most. docs/decisions/0012 has the results, and what else was tried.
"""

import math
from itertools import pairwise
from typing import NamedTuple

from scaler.plan.demand import peak_quantile
from scaler.plan.fallback import Situation, window_end
from scaler.plan.rule import News, Remembered

LEVEL = 0.9
BETWEEN_SECONDS = 60.0
"""observations are sampled at this interval"""
LASTS_SECONDS = 120.0
"""how long demand must lie above its forecasts; shorter may be chance"""
RISES_SECONDS = 180.0
"""how long demand must rise; a jump that stays is no growth (a source may have a new number every five minutes)"""
GOES_ON = 1.5
"""lead times that growth is taken to go on"""
MOST = 2.0
"""times what was forecast"""
EXPLAINED = 0.5
"""weight of past days in a forecast, above which growth is no surprise"""
GROWS_SECONDS = 60.0
"""how old the observation may be that demand was seen to grow by"""


class Seen(NamedTuple):
    """An observation, with the peak that was forecast then; None without forecast."""

    at: float
    value: float
    forecast_peak: float | None


class Surge(NamedTuple):
    """What is remembered of a trigger's last minutes. growth: what forecasts are to be multiplied by, 1 to `MOST`."""

    seen: tuple[Seen, ...] = ()
    growth: float = 1.0


NO_SURGE = Surge()


def watch(before: Surge, news: News) -> Surge:
    """`before`, with the newest observation; the same where it brings none, or one too soon after the last."""
    trigger, observation, forecast = news.trigger, news.observation, news.forecast
    if observation is None or (before.seen and observation.at < before.seen[-1].at + BETWEEN_SECONDS):
        return before
    at = observation.at
    peak = None
    if forecast is not None:
        end = window_end(trigger, at, news.refresh_seconds, data_step_seconds=forecast.data_step_seconds)
        peak = peak_quantile(forecast, LEVEL, at, end)
    oldest = at - LASTS_SECONDS - trigger.lead_time_seconds - BETWEEN_SECONDS
    seen = (*(one for one in before.seen if one.at > oldest), Seen(at, observation.value, peak))
    return Surge(seen, growth(seen, trigger.lead_time_seconds))


def growth(seen: tuple[Seen, ...], lead_seconds: float) -> float:
    """What forecasts are to be multiplied by: 1 unless demand has outgrown them. In thousandths.

    | lead time 2m; forecast: 100 | 95, 100, 110, 120 | 99, 105, 110, 120 | 99, 110, 150, 220 | 105, 105, 110, 120 |
    | growth                      | 1                 | 1.222             | 2                 | 1                  |
    """
    newest = seen[-1]
    rising = [one for one in seen if one.at >= newest.at - RISES_SECONDS]
    if len(rising) <= RISES_SECONDS / BETWEEN_SECONDS or not all(a.value < b.value for a, b in pairwise(rising)):
        return 1.0
    recent = [one for one in rising if one.at >= newest.at - LASTS_SECONDS]
    for one in recent:
        peak = _forecast_before(seen, one.at - lead_seconds)
        if peak is None or not math.inf > one.value > max(peak, 0.0):
            return 1.0
    grown = GOES_ON * lead_seconds / LASTS_SECONDS * math.log(newest.value / recent[0].value)
    return round(math.exp(min(grown, math.log(MOST))), 3)


def _forecast_before(seen: tuple[Seen, ...], moment: float) -> float | None:
    """The peak that was forecast at that moment, or last before."""
    return next((one.forecast_peak for one in reversed(seen) if one.at <= moment), None)


GROWTH: Remembered[Surge] = Remembered(
    name="growth",
    start=NO_SURGE,
    observe=watch,
    conclude=lambda surge: surge.growth if surge.growth > 1 else None,
    reads_answers=False,
)
"""what forecasts are multiplied by while demand outgrows them"""


def surge(situation: Situation, value: float) -> tuple[float, str] | None:
    """The rule: more than was forecast, where demand was seen to outgrow its forecasts within the last minute.

    Not where past days explain the demand: they know where its growth ends.
    """
    factor, last = situation.remembered.get(GROWTH.name, 1.0), situation.last
    if situation.forecast is not None and situation.forecast.past_share > EXPLAINED:
        return None
    if situation.need is None or last is None or abs(situation.now - last.at) > GROWS_SECONDS or not factor > 1:
        return None
    return value * factor, (
        f"demand has outgrown its forecasts for two minutes; its growth is taken to go on: × {factor:.2f}"
    )
