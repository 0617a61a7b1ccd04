"""Spans of a real scaler process at a real OTLP/HTTP receiver; and the error where the packages are missing."""

import json
import time
from pathlib import Path

import httpx
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from scaler.commands.check.keda_client import KedaClient, OurTrigger
from scaler.errors import SettingsError
from scaler.telemetry import traces
from scaler.telemetry.traces import configure_traces, span, traces_url, with_trace_ids
from tests.e2e.scaler_process import scaler_running
from tests.servers.otlp import receiving
from tests.servers.process import wait_until
from tests.servers.prometheus import Recorded, prometheus


def attributes(one: Span) -> dict[str, str]:
    return {found.key: found.value.string_value for found in one.attributes}


@pytest.mark.server
@pytest.mark.e2e
def test_a_scaler_sends_its_refreshes_and_requests(tmp_path: Path) -> None:
    """The steps lie within their refresh, a query has its server, and a request the id of its log lines."""
    now = time.time()
    recorded = [Recorded("demand", [(now + 15 * step, 100.0) for step in range(-240, 80)])]
    with receiving() as receiver, prometheus(tmp_path / "source", recorded) as source:
        options = ("--prometheus", source.url, "--refresh-interval", "5s", "--traces-endpoint", receiver.address)
        with scaler_running(tmp_path, *options) as scaler:
            with KedaClient(scaler.grpc_address) as keda:
                trigger = OurTrigger(0, "shop", "web", {"query": "demand", "threshold": "10"})
                keda.metric_spec(trigger, "poll")
                keda.metrics(trigger, "headway", "poll")
            httpx.get(f"http://{scaler.http_address}/api/v1/plans", headers={"X-Request-ID": "mine"})
            wanted = ("refresh", "refresh observe", "metric server query", "metric server query_range", "http request")
            wait_until(lambda: all(receiver.named(name) for name in wanted), scaler.process, scaler.log, 60)
            scaler.terminate()
    refreshes = {one.span_id: one.trace_id for one in receiver.named("refresh")}
    within = [one for one in receiver.named("refresh observe") if one.parent_span_id in refreshes]
    assert within
    assert within[0].trace_id == refreshes[within[0].parent_span_id]
    assert attributes(receiver.named("metric server query")[0]) == {"server": source.url, "namespace": "shop"}
    asked = [attributes(one) for one in receiver.named("http request")]
    assert {"url.path": "/api/v1/plans", "request_id": "mine"} in asked
    assert (receiver.services, receiver.paths) == ({"headway"}, {"/v1/traces"})


def test_failures_are_marked_and_log_lines_have_the_ids() -> None:
    with receiving() as receiver:
        end = configure_traces(receiver.address, "1")
        event = {"event": "x"}
        with pytest.raises(KeyError), span("broken", {"server": "a"}):
            with_trace_ids(None, "", event)["no such key"]
        end()
    broken = receiver.named("broken")[0]
    assert broken.status.code == 2
    assert (event["trace_id"], event["span_id"]) == (broken.trace_id.hex(), broken.span_id.hex())
    assert with_trace_ids(None, "", {"event": "x"}) == {"event": "x"}


def test_without_the_packages_the_setting_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the start, and with what to install; an empty setting needs nothing."""
    monkeypatch.setattr(traces, "EXTRA", ("no_such_package.of.headway",))
    with pytest.raises(SettingsError, match=r"traces-endpoint=http://c:4318: .* pip install 'headway\[tracing\]'"):
        configure_traces("http://c:4318", "1")
    configure_traces("", "1")()
    assert json.dumps(with_trace_ids(None, "", {})) == "{}"


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("http://c:4318", "http://c:4318/v1/traces"),
        ("http://c:4318/", "http://c:4318/v1/traces"),
        ("https://c/otlp/v1/traces", "https://c/otlp/v1/traces"),
    ],
)
def test_a_url_without_path_gets_one(endpoint: str, url: str) -> None:
    assert traces_url(endpoint) == url
