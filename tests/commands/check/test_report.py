"""What `headway check` prints for people."""

import io
from dataclasses import replace

from rich.console import Console

from scaler.commands.check.keda_client import Call
from scaler.commands.check.probes import Asked
from scaler.commands.check.report import Report, print_report
from tests.commands.check.test_rules import scaled_object

LONG = "http://" + "prometheus-of-the-team" * 8 + ":9090/api/v1/query"


def printed(report: Report) -> str:
    console = Console(width=80, file=io.StringIO(), record=True)
    print_report(report, console)
    return console.export_text()


def test_long_words_are_folded() -> None:
    """In a terminal of 80 columns an address of 190 letters can still be read whole."""
    scaled = scaled_object()
    asked = Asked(0, LONG, "q", error=f"{LONG}: connection refused", unreachable=True)
    call = Call("GetMetrics", 0, "poll", 1.0, "", "UNAVAILABLE", f"UNAVAILABLE: {LONG}: no answer", f"see {LONG}")
    text = printed(Report(scaled, [], [asked], [call]))
    joined = "".join(text.split())
    assert joined.count(LONG) == 4
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 80


def test_no_replicas_follow_from_a_number_that_keda_cannot_use() -> None:
    """It is an error already; the HPA's arithmetic would overflow."""
    calls = [
        Call("GetMetricSpec", 0, "poll", 1.0, "a target 1", number=1.0),
        Call("GetMetrics", 0, "poll", 1.0, "huge", "OK", "1e+308 is no demand", "see", number=1e308),
    ]
    assert "replicas" not in printed(Report(scaled_object(), [], [], calls))


def test_a_step_of_the_data_is_recommended_as_the_query_step() -> None:
    asked = Asked(0, "http://p", "q", 10.0, 42.0, 5, step_minutes=5)
    assert "demand has a new number only every 5 min: write queryStep: 5m" in printed(
        Report(scaled_object(), [], [asked])
    )
    assert "queryStep" not in printed(Report(scaled_object(), [], [replace(asked, step_minutes=0)]))
