"""One query per trigger, as `headway check` makes it: whose error it is."""

import random
import time
from functools import partial
from urllib.parse import parse_qsl

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


@pytest.mark.parametrize(
    ("every", "named", "step"), [(300, None, 5), (60, None, 0), (300, 300.0, 0), (0, None, 0)], ids=str
)
def test_a_step_of_the_data_is_found_where_the_trigger_does_not_name_it(
    every: int, named: float | None, step: int
) -> None:
    """every: seconds between two new numbers; 0: the server answers no range query."""
    trigger = Trigger("shop", "web", "up", 10.0, "http://p:9090", key="a", query_step_seconds=named)
    source = PrometheusSource(transport=httpx.MockTransport(partial(answering, every)))
    (scaled,) = read_manifest(OBJECT).objects
    (asked,) = ask_queries(scaled, [(0, trigger)], source)
    assert (asked.demand, asked.step_minutes) == (1.0, step)


def answering(every: int, request: httpx.Request) -> httpx.Response:
    parameters = dict(parse_qsl(request.content.decode())) or dict(request.url.params)
    if "start" not in parameters:
        now = [time.time(), "1"]
        one = {"resultType": "vector", "result": [{"metric": {}, "value": now}]}
        return httpx.Response(200, json={"status": "success", "data": one})
    if not every:
        return httpx.Response(422, json={"status": "error", "errorType": "execution", "error": "too many samples"})
    moments = range(int(float(parameters["start"])), int(float(parameters["end"])) + 1, int(float(parameters["step"])))
    values = [[at, str(random.Random(at // every).random())] for at in moments]
    data = {"resultType": "matrix", "result": [{"metric": {}, "values": values}]}
    return httpx.Response(200, json={"status": "success", "data": data})
