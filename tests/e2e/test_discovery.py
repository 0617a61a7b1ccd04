"""A whole scaler process that discovers: a stand-in for the Kubernetes API, a real Prometheus, the exported plan."""

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from scaler.telemetry.names import PLANNED_DEMAND
from scaler.trigger.planned import wrapped
from tests.e2e.scaler_process import ScalerProcess, scaler_running
from tests.servers.kubernetes import KubernetesApi, kubernetes_api, scaled_object
from tests.servers.process import until
from tests.servers.prometheus import PrometheusServer, Recorded, prometheus
from tests.servers.redis import redis_server

pytestmark = [pytest.mark.server, pytest.mark.e2e]

DEMAND = 420.0
PLAN = f'max({PLANNED_DEMAND}{{namespace="shop", name="web"}})'


def steady() -> Recorded:
    """Four hours of demand, and some minutes to come."""
    now = time.time()
    return Recorded("demand", [(now + 30 * step, DEMAND) for step in range(-480, 40)])


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrometheusServer]:
    with prometheus(tmp_path_factory.mktemp("prometheus"), [steady()]) as server:
        yield server


@contextmanager
def discovering(
    folder: Path, source: PrometheusServer, api: KubernetesApi, *more: str, name: str = "scaler"
) -> Iterator[ScalerProcess]:
    options = ("--prometheus", source.url, "--discover-namespaces", "shop", "--kubernetes-api", api.url)
    with scaler_running(folder, *options, "--refresh-interval", "5s", *more, name=name) as scaler:
        yield scaler


def get(scaler: ScalerProcess, path: str) -> httpx.Response:
    return httpx.get(f"http://{scaler.http_address}{path}", timeout=5)


def planned(scaler: ScalerProcess) -> dict[str, float]:
    """The exported plan by name of the object."""
    line = rf'^{PLANNED_DEMAND}{{namespace="shop",name="(\w+)".*}} (\S+)$'
    lines = re.findall(line, get(scaler, "/metrics").text, re.MULTILINE)
    return {name: float(value) for name, value in lines}


def plans(scaler: ScalerProcess) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = get(scaler, "/api/v1/plans").json()["plans"]
    return found


def test_a_discovered_object_is_forecast_kept_and_dropped(tmp_path: Path, source: PrometheusServer) -> None:
    """Annotated: its plan is exported within seconds; an outage of the API keeps it; deleted, it is gone."""
    with kubernetes_api() as api, discovering(tmp_path, source, api) as scaler:
        assert planned(scaler) == {}
        api.put(scaled_object("web", query=f"{PLAN} or sum(demand)", serverAddress=source.url))
        until(lambda: "web" in planned(scaler))
        assert planned(scaler)["web"] >= DEMAND
        api.stop()
        until(lambda: 'headway_discovery_up{scope="shop"} 0.0' in get(scaler, "/metrics").text)
        time.sleep(1)
        assert get(scaler, "/readyz").status_code == 200
        assert "web" in planned(scaler)
        api.start()
        api.delete("shop", "web")
        until(lambda: planned(scaler) == {})
        until(lambda: get(scaler, "/api/v1/why/shop/web").status_code == 404)


SCRAPES = """\
scrape_configs:
  - job_name: headway
    honor_labels: true
    scrape_interval: 1s
    scrape_timeout: 1s
    file_sd_configs:
      - files: [targets.json]
        refresh_interval: 1s
"""


def test_keda_s_query_outlives_every_replica(tmp_path: Path) -> None:
    """What KEDA reads, from a real Prometheus that scrapes two replicas: the plan, then the demand without an error."""
    folder = tmp_path / "prometheus"
    with kubernetes_api() as api, prometheus(folder, (), SCRAPES) as source, redis_server() as redis:
        query = wrapped(f"vector({DEMAND:g})", "shop", "web")  # recorded samples of the future would refuse scrapes
        api.put(scaled_object("web", query=query, serverAddress=source.url))

        with (
            discovering(tmp_path, source, api, "--redis", redis.url, name="one") as one,
            discovering(tmp_path, source, api, "--redis", redis.url, name="two") as two,
        ):
            targets = [{"targets": [one.http_address, two.http_address]}]
            (folder / "targets.json").write_text(json.dumps(targets))
            until(lambda: len(source.values(PLANNED_DEMAND)) == 2)
            assert source.values(query) == source.values(PLAN)
            assert source.values(query)[0] >= DEMAND
            one.kill()
            until(lambda: len(source.values(PLANNED_DEMAND)) == 1)
            assert source.values(query)[0] >= DEMAND
            two.kill()
            until(lambda: source.values(PLAN) == [])
            assert source.values(query) == [DEMAND]
        with discovering(tmp_path, source, api, "--redis", redis.url, name="three") as three:
            (folder / "targets.json").write_text(json.dumps([{"targets": [three.http_address]}]))
            until(lambda: source.values(PLAN) != [])


def test_a_changed_query_replaces_the_trigger(tmp_path: Path, source: PrometheusServer) -> None:
    """The old one is exported no longer, so `max` cannot mix the two."""
    with kubernetes_api() as api, discovering(tmp_path, source, api) as scaler:
        api.put(scaled_object("web", query="sum(demand)", serverAddress=source.url))
        until(lambda: planned(scaler).get("web", 0) >= DEMAND)
        api.put(scaled_object("web", query="sum(demand) / 10", serverAddress=source.url))
        until(lambda: 0 < planned(scaler).get("web", 0) < DEMAND / 2)
        until(lambda: len(plans(scaler)) == 1)
        [record] = plans(scaler)
        assert record["query"] == "sum(demand) / 10"
        assert record["listed_by"] == "annotation"


def test_what_the_settings_list_is_watched_without_calls(tmp_path: Path, source: PrometheusServer) -> None:
    """The way without discovery."""
    metadata = {"query": "sum(demand)", "threshold": "100"}
    settings = {"prometheus": source.url, "triggers": [{"namespace": "shop", "name": "web", "metadata": metadata}]}
    path = tmp_path / "headway.yaml"
    path.write_text(yaml.safe_dump(settings))
    with scaler_running(tmp_path, "--config", str(path)) as scaler:
        until(lambda: planned(scaler).get("web", 0) >= DEMAND)
        [record] = plans(scaler)
        assert (record["listed_by"], record["last_called"]) == ("settings", None)
        assert get(scaler, "/api/v1/discovery").status_code == 404


def test_a_refused_object_is_explained(tmp_path: Path, source: PrometheusServer) -> None:
    """By the API; the rest of the process goes on."""
    with kubernetes_api() as api, discovering(tmp_path, source, api) as scaler:
        api.put(scaled_object("web", serverAddress="http://elsewhere:9090"))
        until(lambda: get(scaler, "/api/v1/discovery").json()["refused_count"] == 1)
        [fault] = get(scaler, "/api/v1/why/shop/web").json()["refused"]
        assert fault["field"] == "spec.triggers[0].metadata.serverAddress"
        assert "not among the servers" in fault["rule"]
        assert get(scaler, "/api/v1/discovery").json()["scopes"] == [{"namespace": "shop", "is_up": True, "error": ""}]


def test_readiness_does_not_wait_for_the_api_for_long(tmp_path: Path, source: PrometheusServer) -> None:
    """An API server that is away at the start: ready within moments, and discovered once it is back."""
    with kubernetes_api() as api:
        api.stop()
        with discovering(tmp_path, source, api) as scaler:
            until(lambda: get(scaler, "/readyz").status_code == 200)
            api.put(scaled_object("web", query="sum(demand)", serverAddress=source.url))
            api.start()
            until(lambda: "web" in planned(scaler))
