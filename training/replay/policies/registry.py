"""All policies by name. A further one is a file next to this one, and a line here.

Every policy passes tests/conformance/test_policies.py.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

from training.replay.policies.averaged import Averaged
from training.replay.policies.cron import Cron
from training.replay.policies.headway import Headway, TickForecasts, lead_seconds, tick_forecasts_of, trigger_of
from training.replay.policies.hourly import Hourly
from training.replay.policies.last_value import LastValue
from training.replay.policies.last_week import LastWeek
from training.replay.policies.offset import Offset
from training.replay.policies.oracle import Oracle
from training.replay.policies.phpa import Phpa
from training.replay.policies.reactive import Reactive
from training.replay.policies.state_space import StateSpace, arima, kalman
from training.replay.simulation.forecasts import Forecasts
from training.replay.simulation.policy import ReplayPolicy
from training.replay.simulation.scenario import Scenario


@dataclass(frozen=True)
class PolicyInputs:
    """What policies are made from."""

    scenario: Scenario
    forecasts: Forecasts

    @cached_property
    def tick_forecasts(self) -> TickForecasts:
        """Shared by all triggers of Headway, as they are expensive to make."""
        return tick_forecasts_of(self.scenario, self.forecasts)


def _headway(inputs: PolicyInputs) -> Headway:
    scenario = inputs.scenario
    trigger = trigger_of(scenario.setting, "demand", scenario.demand.series.timezone)
    return Headway(scenario, inputs.tick_forecasts, trigger)


def _last_value(inputs: PolicyInputs) -> LastValue:
    scenario = inputs.scenario
    trigger = trigger_of(scenario.setting, "demand", scenario.demand.series.timezone)
    return LastValue(scenario, inputs.forecasts, inputs.tick_forecasts, trigger)


def _average(inputs: PolicyInputs) -> Averaged:
    return Averaged(inputs.scenario, inputs.forecasts, lead_seconds(inputs.scenario.setting))


def _one_point_ahead(inputs: PolicyInputs) -> Offset:
    return Offset(inputs.scenario, inputs.forecasts, lead_seconds(inputs.scenario.setting))


Make: TypeAlias = Callable[[PolicyInputs], ReplayPolicy]

RIVALS: Mapping[str, Make] = {
    "PHPA": lambda inputs: Phpa(inputs.scenario),
    "average": _average,
    "one point ahead": _one_point_ahead,
    "hourly plan": lambda inputs: Hourly(inputs.scenario),
    "same time last week": lambda inputs: LastWeek(inputs.scenario),
    "cron": lambda inputs: Cron(inputs.scenario),
    "last value": _last_value,
    "Kalman filter": lambda inputs: StateSpace(inputs.scenario, kalman),
    "ARIMA": lambda inputs: StateSpace(inputs.scenario, arima),
}
"""what users might choose instead of Headway, at today's threshold; those that need forecasts get Headway's"""
POLICIES: Mapping[str, Make] = {
    "reactive": lambda inputs: Reactive(inputs.scenario),
    "headway": _headway,
    "oracle": lambda inputs: Oracle(inputs.scenario),
    **RIVALS,
}
