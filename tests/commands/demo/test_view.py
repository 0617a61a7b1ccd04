"""What the demo prints about an opening."""

from datetime import UTC, datetime

import pytest

from scaler.commands.demo.opening import Opening, Preparation
from scaler.commands.demo.simulated import Deployment
from scaler.commands.demo.view import Row, RowView, opening_lines
from scaler.plan.hpa import Hpa

AT = datetime(1995, 9, 7, 6, tzinfo=UTC).timestamp()


def row(now: float, opening: Opening | None) -> Row:
    return Row(now, "tickets", 10.0, 40.0, None, None, None, "", opening)


def opening(ready_at: float | None = None, asked: float = 0.0, unserved: float = 0.0) -> Opening:
    ours = Preparation(Deployment(Hpa(), 10.0, 90.0, [0.0] * 4), ready_at, asked, 0.0)
    reactive = Preparation(Deployment(Hpa(), 10.0, 90.0, [0.0, AT + 9999]), None, asked, unserved)
    return Opening(AT, 9.8, 32, ours, reactive)


def test_before_it_opens_the_ready_replicas_are_counted() -> None:
    """Pods that are still to start do not count, and nothing is unserved yet."""
    assert opening_lines([row(AT - 300, None), row(AT - 300, opening())]) == [
        "tickets opens at 06:00: demand × 10 within 3 min, needs 32 ready replicas",
        "  headway   4 of 32 ready",
        "  reactive  1 of 32 ready",
    ]


def test_while_it_opens_moment_and_share_are_shown() -> None:
    """The share counts until now."""
    assert opening_lines([row(AT + 300, opening(AT - 90, 1000.0, 123.4))]) == [
        "tickets opened at 06:00: demand × 10 within 3 min, needs 32 ready replicas",
        "  headway   ready 05:58:30, 1.5 min before · 0.00 % unserved until 06:05",
        "  reactive  1 of 32 ready · 12.34 % unserved until 06:05",
    ]


def test_who_is_late_is_ready_after_and_the_share_ends_with_the_quarter_of_an_hour() -> None:
    """As it stays on the screen when the demo ends."""
    assert opening_lines([row(AT + 3600, opening(AT + 330, 1000.0))])[1] == (
        "  headway   ready 06:05:30, 5.5 min after · 0.00 % unserved until 06:15"
    )


@pytest.mark.parametrize("as_json", [False, True])
def test_rows_end_with_what_was_measured(as_json: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """Plain rows end with a summary; JSON lines stay JSON, with the same in their keys."""
    with RowView(as_json) as view:
        view.show([row(AT + 3600, opening(AT - 60, 1000.0))], at_once=True)
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith('{"at"') if as_json else last.startswith("  reactive")
    assert ('"opening_ready_at": "1995-09-07T05:59:00+00:00"' in last) == as_json
