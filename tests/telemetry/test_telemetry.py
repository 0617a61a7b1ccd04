"""Telemetry: the tables, and what the code says by them."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import generate_latest

import scaler
from scaler.telemetry.events import EVENTS
from scaler.telemetry.figure import Kind
from scaler.telemetry.figures import FIGURES
from scaler.telemetry.metrics import Distribution, Telemetry
from scaler.telemetry.process_figures import PROCESS_FIGURES, RPC_BUCKETS, STEPS

SOURCES = sorted(Path(scaler.__file__).parent.rglob("*.py"))


def calls(*objects: str) -> Iterator[tuple[str, ast.Call, str]]:
    """Every `log.info("…")`, `self._telemetry.count("…")` and so on: (where, call, first argument)."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
                owner = node.func.value
                name = owner.id if isinstance(owner, ast.Name) else getattr(owner, "attr", "")
                first = node.args[0]
                if name.strip("_") in objects and isinstance(first, ast.Constant) and isinstance(first.value, str):
                    yield f"{path.name}:{node.lineno}", node, first.value


def exported(telemetry: Telemetry) -> str:
    return generate_latest(telemetry.registry).decode()


def test_counters_gauges_and_steps_are_exported_under_their_names():
    """What the code calls by its short name leaves under the name in the table."""
    telemetry = Telemetry()
    telemetry.count("source_error", server="http://p", kind="NoDemand")
    telemetry.count("source_error", 2, server="http://p", kind="NoDemand")
    telemetry.set("watched_triggers", 7)
    with telemetry.step("observe"):
        pass
    text = exported(telemetry)
    assert 'headway_source_errors_total{kind="NoDemand",server="http://p"} 3.0' in text
    assert "headway_watched_triggers 7.0" in text
    assert 'headway_refresh_step_duration_seconds_count{step="observe"} 1.0' in text


def test_counters_without_labels_begin_at_0():
    """The first failure is an increase that an alert can see."""
    text = exported(Telemetry())
    counters = [figure.name for figure in PROCESS_FIGURES if figure.kind is Kind.COUNTER and not figure.labels]
    assert [name for name in counters if f"\n{name} 0.0\n" not in text] == []


def test_a_failing_step_is_timed_too():
    """The time of a step that raised is not lost, and neither is its error."""
    telemetry = Telemetry()
    with pytest.raises(KeyError), telemetry.step("forecast"):
        raise KeyError
    assert 'headway_refresh_step_duration_seconds_count{step="forecast"} 1.0' in exported(telemetry)


def test_followed_figures_are_read_at_the_scrape():
    """`follow` reads the values at the scrape, not before."""
    telemetry = Telemetry()
    calls = {("GetMetrics", "OK"): 1.0}
    telemetry.follow("rpc_calls", lambda: calls)
    calls["GetMetrics", "OK"] = 5.0
    assert 'headway_rpc_calls_total{code="OK",method="GetMetrics"} 5.0' in exported(telemetry)


def test_followed_histograms_are_exported_with_cumulated_buckets():
    """Counts by bucket become Prometheus's counts of all values up to each bound."""
    telemetry = Telemetry()
    counts = (2, 1, *[0] * (len(RPC_BUCKETS) - 2), 3)
    telemetry.follow_distribution("rpc_duration", lambda: {("IsActive", "OK"): Distribution(counts, 30.5)})
    lines = exported(telemetry)
    labels = 'code="OK",method="IsActive"'
    assert 'headway_rpc_duration_seconds_bucket{code="OK",le="0.0001",method="IsActive"} 2.0' in lines
    assert 'headway_rpc_duration_seconds_bucket{code="OK",le="5.0",method="IsActive"} 3.0' in lines
    assert 'headway_rpc_duration_seconds_bucket{code="OK",le="+Inf",method="IsActive"} 6.0' in lines
    assert f"headway_rpc_duration_seconds_sum{{{labels}}} 30.5" in lines


@pytest.mark.parametrize(
    "wrong",
    [
        lambda t: t.count("sorce_error", kind="x"),
        lambda t: t.count("source_error", sort="x"),
        lambda t: t.count("watched_triggers"),
        lambda t: t.set("refresh_failed", 1),
        lambda t: t.follow("nothing", dict),
        lambda t: t.step("obsreve").__enter__(),
    ],
)
def test_names_that_are_not_in_the_table_are_errors(wrong):
    """A typo in a name, a label, a kind or a step is an error where it is made."""
    with pytest.raises(ValueError):
        wrong(Telemetry())


def test_names_follow_prometheus_conventions():
    """One prefix, counters end in _total, times are seconds, every name once."""
    names = [figure.name for figure in FIGURES]
    assert len(set(names)) == len(names)
    for figure in FIGURES:
        assert figure.name.startswith("headway_")
        assert figure.name.endswith("_total") == (figure.kind is Kind.COUNTER)
        assert ("seconds" in figure.unit.value) == figure.name.removesuffix("_total").endswith("_seconds")


def test_code_uses_only_what_is_in_the_table():
    """Every figure, step and event that the code names exists, with the labels and fields of the table."""
    labels = {figure.called: set(figure.labels) for figure in PROCESS_FIGURES}
    fields = {event.name: set(event.fields) for event in EVENTS}
    for where, call, name in calls("telemetry"):
        given = {keyword.arg for keyword in call.keywords}
        assert name in labels or name in STEPS, where
        called = call.func.attr if isinstance(call.func, ast.Attribute) else ""
        has_all_labels = called == "values" or called.startswith("follow")  # of every combination
        assert name in STEPS or has_all_labels or given == labels[name], where
    for where, call, name in calls("log"):
        assert name in fields, f"{where}: {name}"
        assert {keyword.arg for keyword in call.keywords} - {"exc_info"} <= fields[name], where


def test_table_has_only_what_the_code_uses():
    """Nothing is documented that is never exported or logged."""
    used = {name for _, _, name in calls("telemetry", "self")}
    assert {figure.called for figure in PROCESS_FIGURES} - used == set()
    assert {event.name for event in EVENTS} <= {name for _, _, name in calls("log")}
    assert set(STEPS) <= used
