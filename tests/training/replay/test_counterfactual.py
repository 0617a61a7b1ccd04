"""What the scaler says that Headway was worth, against a replay of the same days."""

from collections.abc import Callable

import numpy as np
import pytest

from scaler.plan.counterfactual import WARM_UP_SECONDS, Followed, follow
from scaler.plan.hpa import SYNC_SECONDS, Hpa
from scaler.plan.memory import Memory, observe
from scaler.plan.rule import News
from scaler.savings import Side, Sums
from scaler.trigger import Trigger
from tests.training.replay.made import START, series
from training.data.load import DAY_SECONDS
from training.replay.policies.headway import Headway, TickForecasts, tick_forecasts_of, trigger_of
from training.replay.policies.reactive import Reactive
from training.replay.simulation.demand import Demand
from training.replay.simulation.forecasts import Forecasts
from training.replay.simulation.loop import replay
from training.replay.simulation.scenario import Scenario, Setting, Span
from training.replay.simulation.start_up import Constant
from training.replay.verdict.score import Scores, score

STEPS = 30
"""minutes of a forecast"""


def foreseen(values: np.ndarray, scenario: Scenario) -> Forecasts:
    """Forecasts that know the next half hour, with some spread."""
    ahead = np.lib.stride_tricks.sliding_window_view(np.append(values, np.full(STEPS, values[-1])), STEPS)
    issued = scenario.refresh_K[::4]
    which = ((issued - START) / 60).astype(int)
    quantiles = ahead[which][:, :, None] * np.array([1.0, 1.05, 1.15])
    levels = (0.5, 0.9, 0.99)
    return Forecasts(issued, np.arange(len(issued)), quantiles.astype(np.float32), None, 60, levels, (), "foreseen")


def counted(scenario: Scenario, made: TickForecasts, trigger: Trigger) -> Sums:
    """What the scaler adds up, having answered as in the replay."""
    policy, memory, sums = Headway(scenario, made, trigger), Memory(), Sums()
    followed: Followed | None = None
    answered: float | None = None
    for k, now in enumerate(scenario.refresh_K.tolist()):
        news = News(trigger, now, made.observations[k], made.forecasts[k], answered, SYNC_SECONDS)
        memory = observe(memory, news)
        followed, told = follow(followed, news, memory.replicas)
        for one in told:
            sums.add(*one, trigger.threshold)
        answered = policy.plan(k).planned
    return sums


MINUTES = np.arange(2 * 1440)


def working_day() -> np.ndarray:
    """A daily wave with a jump at nine, and noise."""
    hours = MINUTES / 60 % 24
    smooth = 300 - 200 * np.cos(2 * np.pi * hours / 24) + 250 * ((hours >= 9) & (hours < 17))
    return smooth * np.random.default_rng(0).normal(1, 0.01, len(MINUTES))


def spikes() -> np.ndarray:
    """Twenty minutes of eleven times the demand, now and then."""
    return 120 + 1200 * np.isin(MINUTES // 20, np.random.default_rng(1).choice(144, 14, replace=False))


def ramps() -> np.ndarray:
    """From 120 to 900 within a quarter of an hour, every four hours."""
    return np.interp(MINUTES % 240, [0, 60, 75, 150, 170, 239], [100, 120, 900, 850, 150, 100])


@pytest.mark.parametrize("start_up", [20.0, 90.0, 100.0])
@pytest.mark.parametrize("demand", [working_day, spikes, ramps])
def test_it_agrees_with_a_replay_of_the_same_days(demand: Callable[[], np.ndarray], start_up: float) -> None:
    """Of the plan and of the reactive trigger: replica-hours within 3 %, unserved demand within 0.05 points of all
    demand, scale events within 5 %."""
    values, threshold = demand().astype(np.float32), 20.0
    setting = Setting(threshold, threshold, Constant(start_up), Hpa(max_replicas=500))
    scenario = Scenario(Demand(series(values)), setting, Span(START, START + 2 * DAY_SECONDS))
    made = tick_forecasts_of(scenario, foreseen(values, scenario))
    trigger = trigger_of(setting, "demand", "UTC")
    sums = counted(scenario, made, trigger)
    assert sums.known_seconds == pytest.approx(2 * DAY_SECONDS - WARM_UP_SECONDS, abs=120)
    assert _difference(sums, sums.plan, score(scenario, replay(scenario, Headway(scenario, made, trigger)))) == CLOSE
    reactive = score(scenario, replay(scenario, Reactive(scenario)))
    assert _difference(sums, sums.reactive, reactive) == CLOSE
    assert reactive.unserved_share > 0.01  # there is something to agree on


CLOSE = pytest.approx((0.0, 0.0, 0.0), abs=1.0)


def _difference(sums: Sums, side: Side, replayed: Scores) -> tuple[float, float, float]:
    """From the replay, in what is allowed: replica-hours, unserved share, scale events."""
    hours = side.replica_seconds / sums.known_seconds * replayed.days * 24
    return (
        (hours / replayed.replica_hours - 1) / 0.03,
        (side.unserved / sums.demand - replayed.unserved_share) / 0.0005,
        (side.scale_events - replayed.scale_events) / (2 + 0.05 * replayed.scale_events),
    )
