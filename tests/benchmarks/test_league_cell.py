"""One cell of the league, and its table."""

import math
from dataclasses import replace

import numpy as np
import pytest
from league import ROOT, RULES
from league_cell import (
    ALONE,
    DEFAULT,
    MEAN_REPLICAS,
    BothForecasts,
    figures_of,
    median_of,
    replayed,
    setting_of,
    span_of,
)
from league_tables import Cell, groups, summary, tables

from scaler.forecast.catalog import SEASONAL
from scaler.forecast.onnx_forecaster import load_forecaster
from tests.training.replay.made import series, waves
from training.data.load import DAY_SECONDS
from training.replay.policies import registry
from training.replay.simulation.demand import Demand, Observing
from training.replay.simulation.forecasts import Issues, forecasts_of
from training.replay.verdict import candidates


def point(
    hours: float, unserved: float, short: float = 10.0, events: float = 100.0, delay: float = 5.0
) -> dict[str, float]:
    return {
        "replica_hours": hours,
        "unserved_share": unserved,
        "short_minutes": short,
        "scale_events": events,
        "delay_p99": delay,
    }


POINTS = {
    DEFAULT: point(100, 0.001, events=50, delay=1.5),
    ALONE: point(100, 0.004),
    "oracle": point(90, 0.0),
    "reactive at 100%": point(80, 0.1),
    "reactive at 80%": point(100, 0.01, short=40, delay=12.0),
    "reactive at 50%": point(160, 0.00001),
    "headway q0.6 at 120%": point(85, 0.02),
    "headway q0.9 at 100%": point(100, 0.001, short=10, events=50),
    "headway q0.99 at 65%": point(160, 0.0),
}


def test_figures_compare_at_equal_cost_and_service() -> None:
    """At a cost of 100 reactive leaves 1 % unserved and Headway 0.1 %."""
    found = figures_of(POINTS)
    assert found["u at 1%"] == pytest.approx(0.1)
    assert found["gap closed at 1%"] == pytest.approx(0.9)
    assert found["short_minutes at 1%"] == pytest.approx(0.25)
    assert found["scale_events at 1%"] == pytest.approx(0.5)
    assert found["hours at 1%"] == pytest.approx((85 + 15 * math.log(2) / math.log(20)) / 100)
    assert found["headway: unserved at its cost"] == pytest.approx(0.1)
    assert found["headway: hours at its service"] == pytest.approx(1 / 1.2)
    assert found["headway: scale events"] == pytest.approx(0.5)
    assert found["past days: unserved at its cost, over the bundle's alone"] == pytest.approx(0.25)
    assert (found["headway: delay p99"], found["headway: delay p99 of reactive"]) == (1.5, 12.0)


def test_where_a_front_does_not_reach_nothing_is_said() -> None:
    """A reactive trigger that never leaves as little unserved has no such cost."""
    some = {name: one for name, one in POINTS.items() if name != "reactive at 50%"}
    assert math.isnan(figures_of(some)["u at 0.1%"])


def test_the_workload_depends_on_mean_demand_alone() -> None:
    """Whatever the units, mean demand takes twenty replicas; the last seven days are replayed, and never the first."""
    one = series(np.full(12 * 1440, 500.0))
    assert setting_of(one, 60).capacity == pytest.approx(500 / MEAN_REPLICAS)
    assert span_of(one).days == 7
    short = series(np.full(3 * 1440, 500.0))
    assert span_of(short).begin == short.start + DAY_SECONDS


def test_a_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everybody has a point, and the oracle the best."""
    monkeypatch.setattr(candidates, "REACTIVE_TARGETS", (1.0, 0.6))
    monkeypatch.setattr(candidates, "HEADWAY_FRONT", ((0.9, 1.0),))
    one = series(waves(4))
    span = span_of(one, days=1)
    issues = Issues(span, 300, 3600)
    alone = forecasts_of(Demand(one), load_forecaster(SEASONAL), Observing(), issues)
    mixed = replace(alone, quantiles_IHQ=1.5 * alone.quantiles_IHQ, peaks_IWQ=None)
    found = replayed(one, 120, BothForecasts(mixed, alone), span)
    names = {DEFAULT, ALONE, "oracle", *registry.RIVALS, "reactive at 100%", "reactive at 60%", "headway q0.9 at 100%"}
    assert set(found["points"]) == names
    assert found["points"]["oracle"]["unserved_share"] == min(one["unserved_share"] for one in found["points"].values())
    assert found["points"][DEFAULT] == found["points"]["headway q0.9 at 100%"]
    assert found["points"][DEFAULT]["replica_hours"] > 1.2 * found["points"][ALONE]["replica_hours"]


def test_cached_cells_depend_on_files_that_exist() -> None:
    """A move of the planner or the replay takes the list of files along."""
    assert [pattern for pattern in RULES if not any(ROOT.glob(pattern))] == []


def test_medians_leave_out_what_is_not_known() -> None:
    cells = [{"a": 1.0}, {"a": math.nan}, {"a": 3.0}, {"a": 2.0}]
    assert median_of(cells, "a") == (2.0, 1.5, 2.5, 3)
    assert median_of([{"a": math.nan}], "a")[3] == 0


def cell(u: float, step: int = 60, start_up: int = 120) -> Cell:
    figures = figures_of(POINTS)
    return Cell("made", f"web {u}", step, start_up, False, figures | {"u at 1%": u})


def test_tables_tell_groups_and_start_ups_apart() -> None:
    """Series recorded by the minute stand by themselves; who is better and worse by more than 2 % is counted."""
    cells = [cell(0.5), cell(0.7), cell(1.01), cell(1.3), cell(0.9, step=300), cell(0.2, start_up=300)]
    assert {name: len(some) for name, some in groups(cells).items()} == {
        "one-minute": 5,
        "coarser (replayed as steps)": 1,
    }
    told = tables(cells)
    assert "### Start-up 120 s, 4 one-minute series" in told
    assert "### Start-up 300 s, 1 one-minute series" in told
    assert "| series better / worse by more than 2 % | 2 / 1 of 4 |" in told
    assert "0.85 (0.65 to 1.08)" in told
    assert "| 1.50 (1.50 to 1.50) | 12.00 (12.00 to 12.00) |" in told
    assert summary(cells)["one-minute_120s_u_at_1pct"] == pytest.approx(0.855)
    assert summary(cells)["one-minute_120s_headway_delay_p99"] == 1.5
    assert "unserved at equal cost 0.25 (0.25 to 0.25) times that of the bundle alone" in told
