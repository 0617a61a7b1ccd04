"""Which policies run: those that do the same once, and all the others, on any number of cores."""

import gc
from dataclasses import replace

import numpy as np
import pytest

from scaler.bundle import read_bundle
from scaler.forecast.catalog import SEASONAL
from scaler.forecast.onnx_forecaster import open_later
from training.data.load import Series
from training.replay.policies.headway import trigger_of
from training.replay.simulation.demand import Demand
from training.replay.simulation.forecasts import Forecasts, Issues, forecasts_of
from training.replay.simulation.scenario import Scenario, Setting, Span
from training.replay.simulation.start_up import Constant
from training.replay.verdict import candidates
from training.replay.verdict.candidates import (
    Entry,
    HeadwayEntry,
    OracleEntry,
    ReactiveEntry,
    RivalEntry,
    run_all,
)
from training.replay.verdict.score import Price

START = 1_767_571_200.0
SETTING = Setting(threshold=10.0, capacity=10.0, start_up=Constant(60.0))
SPAN = Span(START + 3 * 3600, START + 5 * 3600)
DEFAULT = trigger_of(SETTING, "q", "UTC")
ENTRIES: tuple[Entry, ...] = (
    ReactiveEntry(10.0, "today"),
    HeadwayEntry(DEFAULT, "headway"),
    HeadwayEntry(replace(DEFAULT, quantile=0.5), "headway, tuned"),
    OracleEntry(),
    RivalEntry("same time last week"),
    ReactiveEntry(7.0, "reactive at 70%"),
    ReactiveEntry(10.0, "reactive at 100%"),
    HeadwayEntry(replace(DEFAULT), "headway q0.9 at 100%"),
)


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    values = np.random.default_rng(5).gamma(3, 40, 420)
    return Scenario(Demand(Series("shop", "web", "req/s", START, 60, values.astype(np.float32))), SETTING, SPAN)


@pytest.fixture(scope="module")
def forecasts(scenario: Scenario) -> Forecasts:
    forecaster = open_later(read_bundle(SEASONAL), "seasonal")
    return forecasts_of(scenario.demand, forecaster, SETTING.observing, Issues(SPAN, 60.0, 3600.0))


def test_the_same_under_two_names_runs_once(
    scenario: Scenario, forecasts: Forecasts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have its scores, each under its own name; whoever does something else has their own."""
    runs = []
    monkeypatch.setattr(candidates, "replay", lambda *given, real=candidates.replay: runs.append(given) or real(*given))
    ran = run_all(scenario, forecasts, ENTRIES, Price())
    assert len(runs) == len(ENTRIES) - 2
    assert [(one.entry, one.scores.policy, one.run.policy) for one in ran] == [
        (entry, entry.name, entry.name) for entry in ENTRIES
    ]
    by_name = {one.entry.name: one.scores for one in ran}
    for one, other in (("today", "reactive at 100%"), ("headway", "headway q0.9 at 100%")):
        assert by_name[one].replica_hours == by_name[other].replica_hours
        assert by_name[one].unserved_share == by_name[other].unserved_share
    costs = {
        by_name[name].replica_hours for name in ("today", "reactive at 70%", "headway", "headway, tuned", "oracle")
    }
    assert len(costs) == 5


def test_two_cores_find_what_one_finds(scenario: Scenario, forecasts: Forecasts) -> None:
    one, two = (run_all(scenario, forecasts, ENTRIES, Price(), jobs) for jobs in (1, 2))
    for mine, theirs in zip(one, two, strict=True):
        assert mine.entry == theirs.entry
        assert mine.run.replicas_K.tolist() == theirs.run.replicas_K.tolist()
        assert mine.scores.unserved_share == theirs.scores.unserved_share


def test_garbage_is_collected_afterwards(scenario: Scenario, forecasts: Forecasts) -> None:
    """Also where a policy cannot be made."""
    with pytest.raises(KeyError):
        run_all(scenario, forecasts, [RivalEntry("nobody")], Price())
    assert gc.isenabled()
