"""The schedules of the league: a cell, and its table and summary."""

import pytest
from league import parsed
from league_cell import ALONE, DEFAULT, BothForecasts
from league_schedules import REACTIVE, ScheduleCell, replayed, schedule_span, schedule_summary, schedule_tables

from scaler.forecast.catalog import SEASONAL
from scaler.forecast.onnx_forecaster import load_forecaster
from training.data.schedules import KINDS
from training.replay.policies import registry
from training.replay.simulation.demand import Demand, Observing
from training.replay.simulation.forecasts import Issues, forecasts_of


def point(hours: float, unserved: float, events: float = 10.0) -> dict[str, float]:
    return {"replica_hours": hours, "unserved_share": unserved, "scale_events": events, "delay_p99": 2.0}


def cell(kind: str, unserved: float) -> ScheduleCell:
    points = {
        DEFAULT: point(110, unserved),
        "oracle": point(100, 0.0),
        REACTIVE: point(90, 0.05),
        "hourly plan": point(109, 0.001),
        "same time last week": point(111, 0.0),
    }
    return ScheduleCell(kind, 120, points)


CELLS = [cell("opening hours", 0.002), cell("lunch peak", 0.001), cell("nights of zero", 0.01)]


def test_figures_are_relative_to_perfect_foresight() -> None:
    assert CELLS[0].figures(DEFAULT) == pytest.approx({"unserved": 0.2, "hours": 1.1, "events": 10, "delay p99": 2})


def test_a_rival_is_better_only_at_no_higher_cost() -> None:
    """The hourly plan is cheaper: it beats Headway where it serves more. Last week serves all, and costs more."""
    assert [one.is_beaten_by("hourly plan") for one in CELLS] == [True, False, True]
    assert not any(one.is_beaten_by("same time last week") for one in CELLS)


def test_tables_and_summary() -> None:
    """A row for each kind, and mean and worst over the kinds of a group."""
    text = schedule_tables(CELLS)
    assert "### Schedules, start-up 120 s, 2 plain kinds" in text
    assert "### Schedules, start-up 120 s, 1 harder kinds" in text
    assert "| opening hours | 0.2 %, 1.100, 10 |" in text
    assert "| hourly plan | 0.100 / 0.100 | 1.090 / 1.090 | 10 | 2.0 s | 1 of 2 |" in text
    found = schedule_summary(CELLS)
    assert found["schedules_plain_120s_headway_unserved_mean"] == pytest.approx(0.15)
    assert found["schedules_plain_120s_headway_unserved_worst"] == pytest.approx(0.2)
    assert found["schedules_harder_120s_headway_unserved_worst"] == pytest.approx(1.0)
    assert found["schedules_plain_120s_hourly_plan_beats_headway"] == 1


def test_a_replayed_kind() -> None:
    """Every policy has a point, and perfect foresight leaves least unserved."""
    one = KINDS["lunch peak"].series("lunch peak")
    span = schedule_span(one)
    assert span.days == 14
    forecasts = forecasts_of(Demand(one), load_forecaster(SEASONAL), Observing(), Issues(span, 600, 3600))
    found = replayed(one, 120, BothForecasts(forecasts, forecasts), rivals=True, jobs=1)
    assert found[ALONE] == found[DEFAULT]
    assert set(found) == {DEFAULT, ALONE, "oracle", REACTIVE, *registry.RIVALS}
    assert found["oracle"]["unserved_share"] == min(point["unserved_share"] for point in found.values())


def test_schedules_need_no_traces(capsys: pytest.CaptureFixture[str]) -> None:
    """They are generated; a page has both blocks."""
    assert parsed(["--only", "schedules"]).docs is None
    with pytest.raises(SystemExit):
        parsed(["--only", "schedules", "--docs", "page.md"])
    assert "--docs: the page has both blocks" in capsys.readouterr().err
