"""The same checks over every policy of the registry: sound answers, the same each time, and no look ahead.

Only the oracle may look ahead: demand after a moment changes no decision of the others before it.
"""

from collections.abc import Callable
from dataclasses import fields
from functools import cache

import numpy as np
import pytest

from scaler.forecast.catalog import open_shipped
from scaler.forecast.onnx_forecaster import OnnxForecaster
from training.data.load import Series
from training.replay.policies.oracle import Oracle
from training.replay.policies.reactive import Reactive
from training.replay.policies.registry import POLICIES, PolicyInputs
from training.replay.simulation.demand import Demand
from training.replay.simulation.forecasts import Forecasts, Issues, forecasts_of
from training.replay.simulation.loop import Run, replay
from training.replay.simulation.policy import ReplayPolicy
from training.replay.simulation.scenario import Refreshed, Scenario, Setting, Span
from training.replay.simulation.start_up import Constant, Lognormal

START = 1_772_323_200.0
"""2026-03-01T00:00:00Z"""
MINUTES = 15 * 1440
HOURS = 4
TURN = MINUTES - 100
"""the first minute that comes differently: within an hour, a block and a window of any length"""
MOMENT = START + 60 * TURN

BLIND = [name for name in POLICIES if name != "oracle"]
FUTURES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "thrice as much": lambda values: 3 * values,
    "nothing": np.zeros_like,
    "unknown": lambda values: np.full_like(values, np.nan),
}


@cache
def seasonal() -> OnnxForecaster:
    forecaster = open_shipped().seasonal
    assert forecaster is not None
    return forecaster


def demand(future: str = "") -> Demand:
    """Noisy days; from MOMENT on as the future says."""
    wave = 100 + 60 * np.sin(2 * np.pi * np.arange(MINUTES) / 1440)
    values = np.random.default_rng(4).gamma(20, wave / 20).astype(np.float32)
    if future:
        values[TURN:] = FUTURES[future](values[TURN:])
    return Demand(Series("shop", "web", "req", START, 60, values))


@cache
def scenario(future: str = "") -> tuple[Scenario, Forecasts]:
    """The last hours, and forecasts at every minute of them."""
    came = demand(future)
    setting = Setting(10.0, 12.0, Lognormal(90.0, 0.3), scales_to_zero=True)
    one = Scenario(came, setting, Span(came.end - 3600 * HOURS, came.end))
    return one, forecasts_of(came, seasonal(), setting.observing, Issues(one.span, 60.0, 7200.0))


@cache
def run(policy: str, future: str = "") -> Run:
    one, forecasts = scenario(future)
    return replay(one, POLICIES[policy](PolicyInputs(one, forecasts)), with_reasons=True)


def ticks(until: float) -> int:
    """How many syncs there are up to a moment, that one included."""
    return int(np.searchsorted(scenario()[0].sync_K, until, side="right"))


def same(one: np.ndarray, other: np.ndarray) -> bool:
    return one.tobytes() == other.tobytes()


def made(policy: str) -> ReplayPolicy:
    return POLICIES[policy](PolicyInputs(*scenario("unknown")))


@pytest.mark.parametrize("policy", POLICIES)
def test_every_tick_has_a_sound_answer(policy: str) -> None:
    """Also where demand is unknown: a metric at least, none below zero, each with a target; an error is None."""
    one = made(policy)
    assert one.name
    for k in range(len(scenario("unknown")[0])):
        answer = one.answer(k, 3)
        assert answer.metrics
        for value, target in answer.metrics:
            assert value is None or (np.isfinite(value) and value >= 0)
            assert np.isfinite(target)
            assert target > 0
        assert isinstance(answer.active, bool)
        assert all(str(reason) for reason in answer.reasons)


@pytest.mark.parametrize("policy", POLICIES)
def test_equal_scenarios_give_equal_answers(policy: str) -> None:
    """From one instance to the next; a tick that is asked about twice has one answer."""
    one, other = made(policy), made(policy)
    for k in range(len(scenario("unknown")[0])):
        first = one.answer(k, 3)
        assert one.answer(k, 3) == first == other.answer(k, 3)


@pytest.mark.parametrize("policy", POLICIES)
def test_a_policy_leaves_its_scenario_as_it_is(policy: str) -> None:
    """All policies share one."""
    one, forecasts = scenario()
    arrays = [one.demand_K, one.seen_K, forecasts.quantiles_IHQ, *vars_of(one.refreshed)]
    before = [array.tobytes() for array in arrays]
    replay(one, POLICIES[policy](PolicyInputs(one, forecasts)))
    assert [array.tobytes() for array in arrays] == before


def vars_of(refreshed: Refreshed) -> list[np.ndarray]:
    return [getattr(refreshed, field.name) for field in fields(refreshed)]


@pytest.mark.parametrize("future", FUTURES)
@pytest.mark.parametrize("policy", BLIND)
def test_no_decision_knows_what_comes(policy: str, future: str) -> None:
    """Metric, replicas and reasons are the same until demand differs, and something of them is not later on."""
    expected, found = run(policy), run(policy, future)
    until = ticks(MOMENT)
    assert same(expected.metric_K[:until], found.metric_K[:until])
    assert same(expected.replicas_K[:until], found.replicas_K[:until])
    assert expected.reasons[:until] == found.reasons[:until]
    assert not same(expected.metric_K[until:], found.metric_K[until:])


@pytest.mark.parametrize("policy", BLIND)
def test_what_came_before_is_served_the_same(policy: str) -> None:
    """Whatever comes, all that was over by then went as it did."""
    until = ticks(MOMENT - 15)
    expected, found = run(policy), run(policy, "thrice as much")
    for figure in ("ready_K", "capacity_K", "unserved_K", "lost_K", "delay_K"):
        assert same(getattr(expected, figure)[:until], getattr(found, figure)[:until])


def test_no_forecast_knows_what_comes() -> None:
    """Every forecast issued until then is the same, byte for byte; those after it are not."""
    expected, found = scenario()[1], scenario("thrice as much")[1]
    until = int(np.searchsorted(expected.issued_I, MOMENT, side="right"))
    assert (expected.newest_I[:until] >= 0).all()
    assert same(expected.quantiles_IHQ[:until], found.quantiles_IHQ[:until])
    assert same(expected.newest_I[:until], found.newest_I[:until])
    assert not same(expected.quantiles_IHQ[until:], found.quantiles_IHQ[until:])


def test_the_oracle_knows_what_comes() -> None:
    """It orders pods for a rise before there is one: what these tests look for can be found."""
    expected, found = (replay(one, Oracle(one)) for one, _ in (scenario(), scenario("thrice as much")))
    last = ticks(MOMENT) - 1
    assert found.replicas_K[last] > 2 * expected.replicas_K[last]
    early = ticks(MOMENT - 300)
    assert same(expected.replicas_K[:early], found.replicas_K[:early])


def test_the_first_replicas_do_not_know_what_comes() -> None:
    """Nor where nothing is there at first, and the policy has nothing to go by."""

    def first(values: list[float]) -> list[int]:
        came = Demand(Series("shop", "web", "req", START, 60, np.array(values, np.float32)))
        one = Scenario(came, Setting(10.0, 12.0, Constant(30.0)), Span(START + 600, came.end))
        return replay(one, Reactive(one)).replicas_K[:4].tolist()

    for quiet in (0.0, float("nan")):
        assert first([quiet] * 12 + [50.0] * 30) == first([quiet] * 12 + [900.0] * 30)
