"""`headway check --prometheus` against a real Prometheus."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from scaler.cli import app
from tests.servers.prometheus import PrometheusServer, Recorded, prometheus

OBJECT = """\
kind: ScaledObject
metadata: {name: web, namespace: shop}
spec:
  minReplicaCount: 2
  maxReplicaCount: 20
  fallback: {failureThreshold: 3, replicas: 6, behavior: currentReplicasIfHigher}
  triggers:
    - type: external
      metadata:
        scalerAddress: dns:///headway.keda:50051
        query: QUERY
        threshold: "50"
    - type: cpu
      metadata: {value: "80"}
"""

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrometheusServer]:
    """Two series of `requests`, known for the last ten minutes."""
    now = time.time()
    series = [Recorded("requests", [(now - 600 + s, 240.0) for s in range(0, 1200, 15)], {"pod": p}) for p in "ab"]
    with prometheus(tmp_path_factory.mktemp("prometheus"), series) as running:
        yield running


def check(server: PrometheusServer, folder: Path, query: str, *arguments: str) -> Result:
    path = folder / "web.yaml"
    path.write_text(OBJECT.replace("QUERY", query))
    return CliRunner().invoke(app, ["check", str(path), "--prometheus", server.url, *arguments])


WRAPPED = """\
kind: ScaledObject
metadata: {name: web, namespace: shop, annotations: {headway.dev/forecast: "true"}}
spec:
  minReplicaCount: 2
  triggers:
    - type: prometheus
      metadata:
        serverAddress: SERVER
        query: max(PLAN{namespace="shop", name="web"}) or HALF
        threshold: "50"
"""


def test_the_demand_after_or_is_tried_alone(server: PrometheusServer, tmp_path: Path) -> None:
    """While there is a plan, the whole query hides whether the demand can be read: it would show in an outage only."""
    path = tmp_path / "web.yaml"
    plan = "headway_planned_demand"
    for half, code, words in (
        ("sum(requests)", 0, "demand after `or` of trigger 0 at .* demand now 480"),
        ("requests", 1, "demand after `or` of trigger 0 at .* error .*returned 2 series"),
    ):
        text = WRAPPED.replace("SERVER", server.url).replace("PLAN", plan).replace("HALF", half)
        path.write_text(text)
        result = CliRunner().invoke(app, ["check", str(path)])
        assert (result.exit_code, re.search(words, " ".join(result.stdout.split())) is not None) == (code, True)


def test_demand_and_the_replicas_that_follow_are_shown(server: PrometheusServer, tmp_path: Path) -> None:
    """480 of demand at 50 per replica is 10 replicas."""
    result = check(server, tmp_path, "sum(requests)")
    assert result.exit_code == 0
    assert "demand now 480 → 10 replicas" in result.stdout


def test_replicas_stay_within_the_objects_bounds(server: PrometheusServer, tmp_path: Path) -> None:
    """maxReplicaCount 20 holds whatever the demand is."""
    result = check(server, tmp_path, "sum(requests) * 1000", "--json")
    (asked,) = json.loads(result.stdout)["objects"][0]["queries"]
    assert (asked["demand"], asked["replicas"], asked["error"]) == (480000.0, 20, "")
    told = check(server, tmp_path, "sum(requests) * 1000").stdout
    assert "demand now 480000 → 20 replicas (maxReplicaCount; the demand asks for 9600)" in " ".join(told.split())


PLAN = 'max(headway_planned_demand{namespace="shop", name="web"})'


@pytest.mark.parametrize(
    ("query", "words"),
    [
        (f"{PLAN} or sum(requests)", "demand now 480 → 10 replicas"),
        (PLAN, "demand now 0, or the query returns nothing → 2 replicas"),
        (f"{PLAN} or requests", "error"),
    ],
)
def test_kedas_own_trigger_is_tried_at_its_own_server(
    server: PrometheusServer, tmp_path: Path, query: str, words: str
) -> None:
    """A `prometheus` trigger that reads the plan: what KEDA would read, where an empty answer is 0."""
    metadata = {"serverAddress": server.url, "query": query, "threshold": "50"}
    triggers = [{"type": "prometheus", "metadata": metadata}]
    document = {"kind": "ScaledObject", "metadata": {"name": "web", "namespace": "shop"}}
    path = tmp_path / "web.yaml"
    path.write_text(json.dumps({**document, "spec": {"minReplicaCount": 2, "triggers": triggers}}))
    told = " ".join(CliRunner().invoke(app, ["check", str(path)]).stdout.split())
    assert f"query of trigger 0 at {server.url}" in told
    assert words in told


@pytest.mark.parametrize(
    ("query", "words"),
    [("requests", "2 "), ("sum(requests", "parse error"), ("absent_metric", "nothing")],
)
def test_a_query_that_gives_no_demand_is_a_fault(
    server: PrometheusServer, tmp_path: Path, query: str, words: str
) -> None:
    """Several series, a bad query and an empty answer exit with 1, in Prometheus's own words."""
    result = check(server, tmp_path, query)
    assert result.exit_code == 1
    assert words in " ".join(result.stdout.split())
