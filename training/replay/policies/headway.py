"""Headway: the real `scaler.decide` on the outlook that the refresh would have published."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from scaler.decide import decide
from scaler.plan import Plan
from scaler.plan.hpa import SYNC_SECONDS
from scaler.plan.memory import REMEMBERED, Memory, observe
from scaler.plan.rule import News
from scaler.series import Forecast, Observation, Outlook
from scaler.trigger import Mode, PolicyName, Trigger
from training.replay.simulation.forecasts import Forecasts
from training.replay.simulation.policy import Metric, PolicyAnswer
from training.replay.simulation.scenario import Scenario, Setting

LONGEST_LEAD_SECONDS = 7200.0


@dataclass(frozen=True, slots=True)
class TickForecasts:
    """What the refresh published at each tick: shared by all triggers that differ in how they plan. [K]"""

    observations: tuple[Observation | None, ...]
    forecasts: tuple[Forecast | None, ...]
    issued: tuple[bool, ...]
    """whether a forecast was issued"""
    _shared: dict[tuple[float, PolicyName, float], tuple[Mapping[str, Any], ...]] = field(default_factory=dict)

    def shared_states(self, trigger: Trigger, refresh_K: Sequence[float]) -> tuple[Mapping[str, Any], ...]:
        """At each tick, what the planner remembers of demand and forecasts: equal for equal keys of `_shared`."""
        shared = trigger.lead_time_seconds, trigger.policy, trigger.quantile
        if shared not in self._shared:
            self._shared[shared] = tuple(self._remembered(trigger, refresh_K))
        return self._shared[shared]

    def _remembered(self, trigger: Trigger, refresh_K: Sequence[float]) -> Iterator[Mapping[str, Any]]:
        kinds = [kind for kind in REMEMBERED if not kind.reads_answers]
        states = {kind.name: kind.start for kind in kinds}
        for now, observation, forecast in zip(refresh_K, self.observations, self.forecasts, strict=True):
            news = News(trigger, now, observation, forecast, None, SYNC_SECONDS)
            states = {kind.name: kind.observe(states[kind.name], news) for kind in kinds}
            yield states


def tick_forecasts_of(scenario: Scenario, forecasts: Forecasts) -> TickForecasts:
    """At each tick of a scenario the newest observation and the newest forecast."""
    observation = scenario.refreshed
    columns = (observation.at_K, observation.value_K, observation.recent_peak_K, observation.history_peak_K)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    observations = tuple(None if at != at else Observation(at, value, near, far) for at, value, near, far in rows)
    issued_K = np.isin(scenario.refresh_K, forecasts.issued_I)
    return TickForecasts(observations, tuple(forecasts.at(scenario.refresh_K)), tuple(issued_K.tolist()))


class Headway:
    """One trigger of Headway.

    A new plan is made at every tick with a new forecast. If forecasts are issued less often, one is also made when
    demand has risen above the plan.
    """

    def __init__(
        self, scenario: Scenario, tick_forecasts: TickForecasts, trigger: Trigger, name: str = "headway"
    ) -> None:
        self.name = name
        self.trigger = trigger
        self._refresh_K = scenario.refresh_K.tolist()
        self._tick_forecasts = tick_forecasts
        self._memory = Memory()
        self._shared = tick_forecasts.shared_states(trigger, self._refresh_K)
        self._newest_tick = -1
        self._plan: Plan | None = None
        self._answer = PolicyAnswer((), active=False)

    def answer(self, k: int, replicas: int) -> PolicyAnswer:
        """The answer of the newest plan. The scaler does not know `replicas`."""
        if k > self._newest_tick:
            self._newest_tick = k
            if self._plan is None or self._is_news(k, self._plan):
                plan = self._plan = self._planned(k)
                self._answer = PolicyAnswer((Metric(plan.metric, self.trigger.threshold),), plan.active, plan.reasons)
        return self._answer

    def plan(self, k: int) -> Plan:
        """What `headway why` would show at tick `k`."""
        self.answer(k, 0)
        assert self._plan is not None
        return self._plan

    def _is_news(self, k: int, plan: Plan) -> bool:
        if self._tick_forecasts.issued[k] or plan.metric is None:
            return True
        observation = self._tick_forecasts.observations[k]
        return observation is not None and observation.value > plan.metric

    def _planned(self, k: int) -> Plan:
        now, answered = self._refresh_K[k], self._plan.planned if self._plan else None
        observation, forecast = self._tick_forecasts.observations[k], self._tick_forecasts.forecasts[k]
        news = News(self.trigger, now, observation, forecast, answered, SYNC_SECONDS)
        self._memory = observe(self._memory, news, self._shared[k])
        return decide(
            self.trigger, Outlook(now, observation, forecast, "", self._memory.conclusions), now, SYNC_SECONDS
        )


def lead_seconds(setting: Setting) -> float:
    """The lead time to set: start-up, one sync of the HPA and one spare; see keda.md."""
    return min(LONGEST_LEAD_SECONDS, math.ceil(setting.start_up.usual + 2 * SYNC_SECONDS))


def trigger_of(setting: Setting, query: str, timezone: str, today: Trigger | None = None) -> Trigger:
    """Today's trigger as a trigger of Headway with default settings; only the lead time is set, from the start-up.

    today: a trigger whose server, tenant and the like are kept; its quantile and policy are not.
    """
    plain = Trigger("replay", "replay", query, setting.threshold, server_address="", key="replay/replay/0")
    return replace(
        today or plain,
        quantile=plain.quantile,
        policy=plain.policy,
        query=query,
        threshold=setting.threshold,
        activation_threshold=setting.keda.activation_threshold,
        lead_time_seconds=lead_seconds(setting),
        timezone=timezone,
        mode=Mode.PREDICTIVE,
    )
