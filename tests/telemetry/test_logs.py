"""The log: its forms, its request id, and what is kept out of it."""

import io
import json
import logging

import pytest
import structlog

from scaler.telemetry.logs import configure_logs, current_request_id, request


@pytest.fixture
def lines():
    """Configure JSON logs and return what was written, parsed."""
    stream = io.StringIO()
    configure_logs("json", "info", stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    structlog.reset_defaults()
    logging.getLogger().handlers.clear()


def test_lines_are_json_objects(lines):
    """One object per line with event, level, time and fields, also for numbers that JSON cannot hold."""
    structlog.get_logger().info("restored", triggers=3, share=float("nan"))
    [line] = lines()
    assert line["event"] == "restored"
    assert line["level"] == "info"
    assert line["timestamp"].endswith("Z")
    assert (line["triggers"], line["share"]) == (3, "nan")


def test_libraries_come_out_in_the_same_form(lines):
    """What a library logs in the standard way is JSON too; chatter below a warning is left out."""
    logging.getLogger("alembic").warning("cannot reach %s", "postgresql://u:geheim@h")
    logging.getLogger("httpx").info("request")
    [line] = lines()
    assert line["event"] == "cannot reach postgresql://***@h"
    assert line["logger"] == "alembic"


def test_levels_below_the_chosen_one_are_left_out(lines):
    """`debug` is silent at `info`."""
    structlog.get_logger().debug("no_subqueries")
    assert lines() == []


def test_request_id_stands_on_every_line_of_its_request(lines):
    """Inside `request` there is an id, outside there is none."""
    with request() as made:
        structlog.get_logger().info("inside")
        assert current_request_id() == made
    with request("brought"):
        structlog.get_logger().info("inside")
    structlog.get_logger().info("outside")
    assert [line.get("request_id") for line in lines()] == [made, "brought", None]


def test_tenants_values_and_credentials_are_hidden(lines):
    """Metadata shows its keys only; passwords and tokens are hidden wherever they stand, tracebacks included."""
    log = structlog.get_logger()
    log.warning(
        "x", metadata={"query": "geheim"}, token="geheim", nested={"password": "geheim"}, urls=["http://u:geheim@h"]
    )
    try:
        raise ValueError("http://u:geheim@h")
    except ValueError:
        log.exception("y")
    written = json.dumps(lines())
    assert "geheim" not in written
    assert lines()[0]["metadata"] == {"query": "***"}
    assert "ValueError: http://***@h" in lines()[1]["exception"]


def test_console_form_hides_them_too(capsys):
    """The form for people shows no local variables and no secrets."""
    stream = io.StringIO()
    configure_logs("console", "info", stream)
    secret = "geheim"
    try:
        raise ValueError(f"http://u:{secret}@h")
    except ValueError:
        structlog.get_logger().exception("broken", at=1.0)
    structlog.reset_defaults()
    logging.getLogger().handlers.clear()
    assert "broken" in stream.getvalue()
    assert "http://***@h" in stream.getvalue()
    assert "geheim" not in stream.getvalue()
