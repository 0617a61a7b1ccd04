"""Small series, scenarios and scores for tests of what is said about replays."""

import numpy as np

from scaler.plan.hpa import Hpa
from training.data.load import DAY_SECONDS, Series
from training.replay.simulation.demand import Demand
from training.replay.simulation.scenario import Scenario, Setting, Span
from training.replay.simulation.start_up import Constant
from training.replay.verdict.score import Days, Scores

START = 1_699_920_000.0
"""a midnight in UTC"""


def series(values: np.ndarray, step_seconds: int = 60) -> Series:
    return Series("made", "web", "requests/s", START, step_seconds, np.asarray(values, np.float32))


def waves(days: float, seed: int = 0, steep: bool = True) -> np.ndarray:
    """Demand by the minute with a daily wave, noise and (steep) a jump at nine o'clock."""
    minutes = np.arange(round(days * 1440))
    hours = minutes / 60 % 24
    base = 300 - 200 * np.cos(2 * np.pi * hours / 24)
    if steep:
        base = base + 250 * ((hours >= 9) & (hours < 17))
    noise = np.random.default_rng(seed).normal(1, 0.03, len(minutes))
    return np.asarray(base * noise, np.float32)


def scenario(values: np.ndarray, capacity: float = 20.0, start_up: float = 90.0) -> Scenario:
    """All of the series but its first day, if it has two."""
    one = series(values)
    begin = one.start + (DAY_SECONDS if one.end - one.start >= 2 * DAY_SECONDS else 0)
    setting = Setting(0.8 * capacity, capacity, Constant(start_up), Hpa(max_replicas=500))
    return Scenario(Demand(one), setting, Span(begin, one.end))


def scores(name: str, cost_D: list[float], unserved_D: list[float], demand: float = 1000.0) -> Scores:
    """What a policy did on days of equal demand."""
    count = len(cost_D)
    columns = (cost_D, unserved_D, [demand] * count, [0.0] * count, [1.0] * count)
    days = Days(*(np.array(one, float) for one in columns))
    share = sum(unserved_D) / (demand * len(cost_D))
    return Scores(name, len(cost_D), sum(cost_D), 0.0, 0.0, share, 0.0, 0.0, 0.0, 10, 0.0, 10, days)
