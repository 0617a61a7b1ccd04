"""The rules in a real Prometheus that scrapes a real scaler: no alert while all is well, the right ones after failures.

The rules are those of the chart without `for` and `interval`, so that an alert fires at the first evaluation.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
import yaml

from scaler.commands.check.keda_client import KedaClient, OurTrigger
from scaler.telemetry.process_figures import QUEUES
from tests.e2e.scaler_process import ScalerProcess, scaler_running
from tests.servers.prometheus import PrometheusServer, Recorded, prometheus
from tests.servers.redis import RedisServer, redis_server

pytestmark = [pytest.mark.server, pytest.mark.e2e]

RULES = Path(__file__).parents[2] / "helm" / "headway" / "files" / "rules"
SECONDS = 90
"""until a change must have been seen"""
OF_A_BUSY_MACHINE = {"HeadwaySlowAnswers", "HeadwayRefreshOverruns"}
"""may fire here, where many tests share few cores"""
TRIGGERS = 6
"""each is asked for in a request of its own: five failures in a row open the circuit in one refresh"""

CONFIG = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [recording.yaml, alerts.yaml]
scrape_configs:
  - job_name: any-name
    honor_labels: true
    static_configs: [{{targets: ["{target}"]}}]
"""


@dataclass
class World:
    """Everything that runs, and the Prometheus that watches it."""

    source: PrometheusServer
    redis: RedisServer
    scaler: ScalerProcess
    authority: Path
    watching: PrometheusServer
    keda: KedaClient
    triggers: list[OurTrigger]

    def firing(self) -> set[str]:
        """Names of the alerts that fire."""
        return {alert["labels"]["alertname"] for alert in self._read("alerts")["alerts"]} - OF_A_BUSY_MACHINE

    def until(self, *alerts: str, gone: bool = False) -> set[str]:
        """Wait until all of these fire (or none of them), with KEDA and an HPA calling; returns what fires then."""
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            self._call()
            firing = self.firing()
            if not firing & set(alerts) if gone else set(alerts) <= firing:
                return firing
            time.sleep(0.3)
        raise AssertionError(f"after {SECONDS} s: {sorted(self.firing())}, not {alerts}")

    def rules(self) -> list[dict[str, Any]]:
        """Every rule as Prometheus has evaluated it."""
        return [rule for group in self._read("rules")["groups"] for rule in group["rules"]]

    def query(self, expression: str) -> Any:
        """The elements of its result now."""
        return self._read("query", query=expression)["result"]

    def _read(self, what: str, **parameters: str) -> Any:
        return httpx.get(f"{self.watching.url}/api/v1/{what}", params=parameters, timeout=5).json()["data"]

    def _call(self) -> None:
        for trigger in self.triggers:
            for phase in ("poll", "HPA"):
                self.keda.metrics(trigger, "headway", phase)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("alerts")
    authority = folder / "ca.pem"
    authority.write_bytes(certificate(expires_in_days=1))
    with ExitStack() as stack:
        source = stack.enter_context(prometheus(folder / "source", [demand()]))
        redis = stack.enter_context(redis_server())
        options = ("--prometheus", source.url, "--prometheus-ca-file", str(authority), "--redis", redis.url)
        scaler = stack.enter_context(scaler_running(folder, *options, "--refresh-interval", "5s"))
        watching = stack.enter_context(watched(folder / "watching", scaler.http_address))
        keda = stack.enter_context(KedaClient(scaler.grpc_address))
        yield World(source, redis, scaler, authority, watching, keda, triggers())


def watched(folder: Path, target: str) -> Any:
    folder.mkdir()
    for name in ("recording.yaml", "alerts.yaml"):
        groups = yaml.safe_load((RULES / name).read_text())
        for group in groups["groups"]:
            group.pop("interval", None)
            for rule in group["rules"]:
                rule.pop("for", None)
        (folder / name).write_text(yaml.safe_dump(groups))
    return prometheus(folder, config=CONFIG.format(target=target))


def demand() -> Recorded:
    """A steady demand, from a day ago until long after the test."""
    now = time.time()
    return Recorded("demand", [(now - 86_400 + 15 * i, 100.0 + i % 7) for i in range(6_000)])


def triggers() -> list[OurTrigger]:
    metadata = {"scalerAddress": "headway:50051", "query": "demand", "threshold": "20"}
    return [OurTrigger(0, "shop", f"web-{n}", {**metadata, "queryParameters": f"request={n}"}) for n in range(TRIGGERS)]


def certificate(expires_in_days: float) -> bytes:
    """A certificate of ninety days."""
    expires = datetime.now(UTC) + timedelta(days=expires_in_days)
    made = trustme.CA().issue_cert("localhost", not_before=expires - timedelta(days=90), not_after=expires)
    return made.cert_chain_pems[0].bytes()


def test_certificates_are_watched(world: World) -> None:
    """A certificate with a day left is reported, and no longer once it is renewed."""
    world.until("HeadwayCertificateExpires", "HeadwayCertificateExpiresSoon")
    world.authority.write_bytes(certificate(expires_in_days=80))
    world.until("HeadwayCertificateExpires", "HeadwayCertificateExpiresSoon", gone=True)


def test_no_alert_fires_while_all_is_well(world: World) -> None:
    """Once the triggers have their forecasts; and Prometheus evaluates every rule without an error."""
    rules = world.rules()
    assert len(rules) > 40
    world.until(*(rule["name"] for rule in rules), gone=True)
    assert [rule for rule in world.rules() if rule["health"] != "ok" or rule.get("lastError")] == []


def test_every_queue_is_seen(world: World) -> None:
    """All of them are empty once nothing is left to do, which new triggers take a few seconds each for."""
    deadline = time.monotonic() + 60
    while (lengths := queue_lengths(world)) != dict.fromkeys(QUEUES, "0") and time.monotonic() < deadline:
        time.sleep(1)
    assert lengths == dict.fromkeys(QUEUES, "0")


def queue_lengths(world: World) -> dict[str, str]:
    return {one["metric"]["queue"]: one["value"][1] for one in world.query("headway_queue_length")}


def test_what_fails_is_reported_and_nothing_else(world: World) -> None:
    """Redis and the source of the demand; and Redis no longer once it is back. The HPA misses the metric where the
    machine is so slow that the outage lasts."""
    world.redis.stop()
    world.source.stop()
    firing = world.until("HeadwayCacheDown", "HeadwaySourceUnreachable")
    assert firing - {"HeadwayMetricLostByHPA"} == {"HeadwayCacheDown", "HeadwaySourceUnreachable"}
    world.redis.start()
    world.until("HeadwayCacheDown", gone=True)


def test_a_scaler_that_is_gone_is_reported(world: World) -> None:
    """The target remains, and nothing answers there."""
    world.scaler.kill()
    world.until("HeadwayDown", "HeadwayReplicaDown")


def test_a_bundle_that_is_refused_is_counted(tmp_path: Path) -> None:
    """HeadwayBundleRefused reads this figure: it lasts as long as the refusal."""
    (tmp_path / "bundles").mkdir()
    with scaler_running(
        tmp_path, "--bundle", str(tmp_path / "bundles"), "--prometheus", "http://127.0.0.1:9"
    ) as scaler:
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            text = httpx.get(f"http://{scaler.http_address}/metrics", timeout=5).text
            if "\nheadway_refused_bundles 1.0\n" in text:
                return
            time.sleep(0.2)
    raise AssertionError("headway_refused_bundles is not 1")
