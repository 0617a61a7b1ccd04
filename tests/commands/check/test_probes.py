"""One query per trigger, as `headway check` makes it: whose error it is."""

import httpx
import pytest

from scaler.commands.check.probes import ask_queries
from scaler.history.prometheus import PrometheusSource
from scaler.manifest import read_manifest
from scaler.trigger import Trigger

OBJECT = """
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {name: web}
spec: {scaleTargetRef: {name: web}, triggers: []}
"""
ONE = {"resultType": "vector", "result": [{"metric": {}, "value": [0, "1"]}]}


@pytest.mark.parametrize(
    ("answer", "unreachable"),
    [
        (httpx.Response(503), True),
        (httpx.Response(200, json={"status": "success", "data": ONE, "warnings": ["store-1 is away"]}), False),
        (httpx.Response(200, json={"status": "success", "data": ONE, "isPartial": True}), False),
    ],
)
def test_a_partial_answer_is_an_error_of_a_server_that_is_reachable(answer: httpx.Response, unreachable: bool) -> None:
    """No demand is shown for it, and nobody looks for a fault of the network."""
    again = httpx.MockTransport(lambda _: httpx.Response(answer.status_code, content=answer.content))
    source = PrometheusSource(transport=again)
    (scaled,) = read_manifest(OBJECT).objects
    (asked,) = ask_queries(scaled, [(0, Trigger("shop", "web", "up", 10.0, "http://p:9090", key="a"))], source)
    assert (asked.demand, asked.unreachable) == (None, unreachable)
    assert unreachable or "may be partial" in asked.error
