"""What a run cost and served."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.training.replay.made import scenario, series
from training.replay.simulation.demand import Demand
from training.replay.simulation.loop import Run, replay
from training.replay.simulation.policy import Metric, PolicyAnswer
from training.replay.simulation.scenario import Scenario, Span
from training.replay.verdict.score import Price, local_days, score, weighted_quantiles


class Always:
    """A policy that always wants so many replicas."""

    def __init__(self, replicas: int) -> None:
        self.name = f"{replicas} replicas"
        self.replicas = replicas

    def answer(self, k: int, replicas: int) -> PolicyAnswer:
        return PolicyAnswer((Metric(float(self.replicas), 1.0),), True)


def run(made: Scenario, replicas: int) -> Run:
    return replay(made, Always(replicas))


def test_a_known_day() -> None:
    """Ten replicas of 20 serve 200; of 250 for half of a day, 50 are unserved, in 720 short minutes."""
    made = scenario(np.repeat([150.0, 250.0], 720))
    found = score(made, run(made, 10), Price(0.5))
    assert found.days == pytest.approx(1)
    assert found.replica_hours == pytest.approx(240)
    assert found.money == pytest.approx(120)
    assert found.short_minutes == pytest.approx(720, abs=0.5)
    assert found.short_minutes_per_week == pytest.approx(7 * 720, abs=4)
    assert found.unserved_share == pytest.approx(50 / 400, rel=1e-3)
    assert found.largest == 10
    assert found.scale_events == 0


def test_what_waits_is_not_lost() -> None:
    """A burst of a minute is unserved when it comes, waits in the queue for less than its patience, and is served."""
    values = np.full(1440, 100.0)
    values[600] = 240.0
    made = scenario(values)
    found = score(made, run(made, 10))
    # the two stretches that lie half in that minute bring 170 on average
    assert found.unserved_share == pytest.approx(40 * 45 / (100.0 * 86400 + 140 * 60), rel=1e-3)
    assert found.lost_share == 0
    assert found.delay_p95 == 0


def test_nodes_are_paid_whole() -> None:
    """Ten replicas on nodes of four cost three nodes."""
    made = scenario(np.full(1440, 100.0))
    assert score(made, run(made, 10), Price(1.0, per_node=4)).money == pytest.approx(24 * 12)


def test_what_is_not_on_record_counts_for_nothing() -> None:
    """Neither its cost nor its demand."""
    values = np.full(1440, 100.0)
    values[:720] = np.nan
    made = scenario(values)
    found = score(made, run(made, 10))
    assert found.days == pytest.approx(0.5, abs=0.001)
    assert found.replica_hours == pytest.approx(120, abs=0.2)


def test_days_add_up() -> None:
    """What is told by day sums up to what is told of all, on the clocks of the series."""
    made = scenario(np.tile(np.repeat([150.0, 250.0], 720), 4))
    found = score(made, run(made, 10))
    days = found.by_day
    assert len(days.demand_D) == 3
    assert days.replica_hours_D.sum() == pytest.approx(found.replica_hours)
    assert days.unserved_D.sum() / days.demand_D.sum() == pytest.approx(found.unserved_share)
    assert days.short_minutes_D.sum() == pytest.approx(found.short_minutes)


def test_days_never_go_back() -> None:
    """In St. John's clocks went from 00:01 back to 23:01 on 7 November 2010: that hour belongs to the new day."""
    zone = "America/St_Johns"
    start = pd.Timestamp("2010-11-05 00:00", tz=zone).timestamp()
    one = replace(series(np.full(4 * 1440, 100.0)), start=start, timezone=zone)
    for hours in (47, 48, 49):
        begin = start + hours * 3600
        made = Scenario(Demand(one), scenario(one.values).setting, Span(begin, begin + 86_400))
        days_K = local_days(made)
        assert days_K[0] == 0
        assert set(np.diff(days_K)) <= {0, 1}
        assert score(made, run(made, 10)).by_day.replica_hours_D.sum() == pytest.approx(240)


def test_the_wrong_size() -> None:
    """More than ten per cent, and more than one, off what would just do."""
    made = scenario(np.full(1440, 200.0))
    assert [score(made, run(made, count)).wrong_size_share for count in (9, 11, 12)] == [0, 0, 1]


def test_quantiles_are_of_the_weight() -> None:
    values, weights = np.array([3.0, 1.0, 2.0]), np.array([1.0, 94.0, 5.0])
    assert weighted_quantiles(values, weights, (0.5, 0.94, 0.95, 0.99, 1.0)) == [1, 1, 2, 2, 3]
    assert weighted_quantiles(np.empty(0), np.empty(0), (0.95,)) == [0.0]
