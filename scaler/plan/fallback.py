"""The fallback ladder: what can be relied on at this moment, and on which rung that puts the plan."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from scaler.plan import Rung
from scaler.plan.demand import peak_quantile
from scaler.plan.policies import POLICIES, Policy
from scaler.series import Forecast, Observation, Outlook
from scaler.trigger import LARGEST_DEMAND, Mode, Trigger

KNOWN_SHARE = 0.8
"""weight of past days in a forecast, from which on a plan looks less far, and orders once for its whole window"""
KNOWN_BEYOND_SECONDS = 15.0
"""beyond the lead time: the HPA may have just missed an answer"""
LONG_STEP_SECONDS = 60.0
STEPS_BEYOND = 1.6
"""of the step of the data, where it is longer than a minute: the least that a plan looks beyond the lead time"""
LOST_BY = "lost_by"
"""what is remembered of a forecast that has stepped down; see skill.py"""
ENOUGH_COVERED = 0.9
"""share of the window that a forecast must cover to count for all of it.

    | lead time | a forecast over 2 h serves until it is … old |
    | 2m        | 1 h 58 min                                   |
    | 30m       | 1 h 33 min                                   |
    | 2h        | 12 min                                       |
"""


@dataclass(frozen=True, slots=True)
class Situation:
    """What the rules read. Times are seconds since the epoch, demand is in the units of the trigger's query."""

    trigger: Trigger
    policy: Policy
    now: float
    window_end: float
    """see `window_end`"""
    order_end: float
    """until when an order is to last: the whole window of the policy; see order.py"""
    rung: Rung
    observed: float | None
    """the newest observation, where it is within the trigger's maxStaleness of `now`, before or after"""
    last: Observation | None
    """the newest observation, however old"""
    forecast: Forecast | None
    """the forecast, where it can be relied on"""
    need: float | None
    """the quantile of the peak over [now, window_end]; None without forecast"""
    remembered: Mapping[str, float]
    """what the planner concluded from earlier observations and answers, by name; see memory.py"""
    problems: tuple[str, ...]
    """sentences: what cannot be relied on, and why"""


def situation_of(trigger: Trigger, outlook: Outlook, now: float, refresh_seconds: float) -> Situation:
    """What can be relied on at `now`. A forecast that covers part of the window counts only when nothing else does."""
    problems: list[str] = []
    last = _credible(outlook.observation)
    observed = _fresh(last, trigger, now, problems)
    end = window_of(trigger, now, refresh_seconds, outlook.forecast)
    forecast = need = None
    if trigger.mode is not Mode.REACTIVE:
        forecast = _covering(outlook.forecast, now, end, refresh_seconds, observed is not None, problems)
        forecast = _winning(forecast, outlook.remembered.get(LOST_BY), problems)
    if forecast is not None:
        if trigger.model not in ("auto", forecast.model, forecast.model.partition("@")[0]):
            problems.append(f"the trigger names model {trigger.model}; {forecast.model} made the forecast instead")
        need = peak_quantile(forecast, trigger.quantile, now, end)
        if not 0 <= need < math.inf:
            problems.append(f"the forecast of {forecast.model} is negative or not finite")
            forecast = need = None
    return Situation(
        trigger,
        POLICIES[trigger.policy],
        now,
        end,
        window_end(trigger, now, refresh_seconds, data_step_seconds=_data_step(outlook.forecast)),
        _rung(observed, forecast),
        observed,
        last,
        forecast,
        need,
        outlook.remembered,
        tuple(problems),
    )


def _winning(forecast: Forecast | None, lost_by: float | None, problems: list[str]) -> Forecast | None:
    """`forecast`, unless the newest observation has been the better one."""
    if forecast is None or lost_by is None:
        return forecast
    problems.append(
        f"the forecast of {forecast.model} has stepped down: over about two days its loss was {lost_by:.3g} times that "
        "of the newest observation; it returns when it is the better one again"
    )
    return None


def window_of(trigger: Trigger, now: float, refresh_seconds: float, forecast: Forecast | None) -> float:
    """`window_end` for a forecast."""
    if forecast is None:
        return window_end(trigger, now, refresh_seconds)
    return window_end(trigger, now, refresh_seconds, forecast.past_share, forecast.data_step_seconds)


def _data_step(forecast: Forecast | None) -> float:
    return 0.0 if forecast is None else forecast.data_step_seconds


def window_end(
    trigger: Trigger, now: float, refresh_seconds: float, past_share: float = 0.0, data_step_seconds: float = 0.0
) -> float:
    """Until when a plan made at `now` is to serve: the lead time, one refresh, and what its policy looks beyond.

    Where past days make up the forecast, its edges are sharp: looking further would order too early.
    Where demand has a new number every step only, it jumps by its growth in that time: the plan covers the next jump.
    The step is the trigger's `queryStep`, or what its history shows.
    """
    beyond = POLICIES[trigger.policy].beyond_seconds
    if past_share >= KNOWN_SHARE:
        beyond = min(beyond, KNOWN_BEYOND_SECONDS)
    step = trigger.query_step_seconds or data_step_seconds
    if step > LONG_STEP_SECONDS:
        beyond = max(beyond, STEPS_BEYOND * step)
    return now + trigger.lead_time_seconds + refresh_seconds + beyond


def _rung(observed: float | None, forecast: Forecast | None) -> Rung:
    if forecast is not None:
        return Rung.FORECAST if observed is None else Rung.BOTH
    return Rung.NOTHING if observed is None else Rung.OBSERVATION


def _credible(observation: Observation | None) -> Observation | None:
    """The observation unless it is no demand at all: the source's word is not taken for granted here."""
    if observation is None or not 0 <= observation.value < math.inf:
        return None
    return observation


def _fresh(last: Observation | None, trigger: Trigger, now: float, problems: list[str]) -> float | None:
    if last is None:
        problems.append("there is no observation")
        return None
    age = now - last.at
    limit = trigger.max_staleness_seconds
    if age > limit:
        problems.append(f"the newest observation is {age:.0f} s old, maxStaleness is {limit:g} s")
        return None
    if -age > limit:
        problems.append(
            f"the newest observation is {-age:.0f} s in the future, maxStaleness is {limit:g} s: "
            "a clock is wrong, or was set back"
        )
        return None
    return min(last.value, LARGEST_DEMAND)


def _covering(
    forecast: Forecast | None,
    now: float,
    window_end: float,
    refresh_seconds: float,
    is_observed: bool,
    problems: list[str],
) -> Forecast | None:
    """`forecast` where it covers enough of the window, or any of it while there is no fresh observation."""
    if forecast is None:
        problems.append("there is no forecast")
        return None
    from_when = forecast.start if forecast.start > now + refresh_seconds else now
    covered = (min(window_end, forecast.end) - from_when) / (window_end - now)
    if covered >= ENOUGH_COVERED:
        return forecast
    if covered <= 0:
        problems.append(f"the forecast of {forecast.model} covers nothing of the next {window_end - now:.0f} s")
        return None
    problems.append(f"the forecast of {forecast.model} covers {covered:.0%} of the next {window_end - now:.0f} s")
    return None if is_observed else forecast
