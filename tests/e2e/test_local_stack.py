"""The local stack without containers: the compose file's commands, environment and configuration with real servers.

Only addresses, paths and periods differ: a scrape and a sync of the autoscaler every second or two.
"""

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from deploy.grafana import DEMO
from tests.deploy.compose import DEPLOY, ROOT, read_compose
from tests.e2e.scaler_process import scaler_running
from tests.servers.postgres import postgres_server
from tests.servers.process import free_port, running, wait_until
from tests.servers.programs import program
from tests.servers.prometheus import PrometheusServer
from tests.servers.redis import redis_server

pytestmark = [pytest.mark.server, pytest.mark.e2e, pytest.mark.alone]

COMPOSE = read_compose({"PEAK": "20"})
SERVICES = COMPOSE["services"]
RECORDING = ROOT / "scaler" / "commands" / "demo" / "data"
PANELS = json.loads((ROOT / DEMO).read_text())["panels"]
SECONDS = 90
"""until every figure must be there"""

FIGURES = {
    "both scalers are scraped": 'count(up{job="headway"} == 1) == 2',
    "both use the stores": "count(headway_cache_up == 1) == 2 and count(headway_store_up == 1) == 2",
    "both services serve": 'count(sum by (app) (rate(http_requests_total{code="200"}[10s])) > 0) == 2',
    "demand is observed": 'max(headway_observed_demand{namespace="shop", name="web-headway"}) > 0',
    "demand is forecast": 'min(headway_plan_rung{namespace="shop", name="web-headway"}) == 3',
    "both plan the same": "count(headway_planned_demand) == 2 and stdvar(headway_planned_demand) == 0",
    "both services are scaled": 'count(demo_replicas{namespace="shop", state="ready"} >= 2) == 2',
    "rules are recorded": "count(instance:headway_refresh_age_seconds) == 2",
    **{f"panel {panel['title']}": panel["targets"][0]["expr"] for panel in PANELS if "targets" in panel},
    "replicas of the HPA": 'kube_horizontalpodautoscaler_status_current_replicas{namespace="shop"}',
}


class Stack:
    """What runs, and the address at which each service of the compose file listens here."""

    def __init__(self, folder: Path, life: ExitStack) -> None:
        self.folder = folder
        self._life = life
        listening = ("scaler-a:8080", "scaler-b:8080", "web-headway:8000", "web-reactive:8000")
        self.addresses = {service: f"127.0.0.1:{free_port()}" for service in listening}
        config = self.here((DEPLOY / COMPOSE["configs"]["prometheus"]["file"]).read_text())
        self.prometheus = PrometheusServer(folder / "prometheus", re.sub(r"(_interval): \d+s", r"\1: 1s", config))
        self.addresses["prometheus:9090"] = f"127.0.0.1:{self.prometheus.port}"

    def here(self, text: str) -> str:
        """`text` with the addresses and paths of this machine."""
        for service, address in self.addresses.items():
            text = text.replace(service, address)
        folders = {"/recording/": RECORDING, "/demo/": DEPLOY / "demo"}
        return re.sub(r"^(/recording/|/demo/)", lambda found: f"{folders[found[0]]}/", text)

    def start(self) -> None:
        """In the order of the compose file's dependencies."""
        self._stores()
        self._past()
        self._watch()
        for name in ("scaler-a", "scaler-b"):
            self._scaler(name)
        for name in ("web-headway", "web-reactive"):
            self._web(name)
        for name in ("load-headway", "load-reactive"):
            self._run(name, ["-m", "locust", *self._command(name)])

    def value(self, query: str) -> float | None:
        """The first value of a query's answer."""
        return next(iter(self.prometheus.values(query)), None)

    def _environment(self, name: str) -> dict[str, str]:
        return {variable: self.here(str(value)) for variable, value in SERVICES[name].get("environment", {}).items()}

    def _command(self, name: str) -> list[str]:
        """Entry point and command without the interpreter."""
        service = SERVICES[name]
        return [self.here(part) for part in [*service.get("entrypoint", [])[1:], *service["command"]]]

    def _stores(self) -> None:
        password = SERVICES["valkey"]["command"][2]
        valkey = self._life.enter_context(redis_server(["--requirepass", password]))
        self.addresses["valkey:6379"] = f"127.0.0.1:{valkey.port}"
        postgres = self._life.enter_context(postgres_server())
        self.addresses["postgresql://headway:dev-only@postgres:5432/headway"] = postgres.fresh_database()

    def _past(self) -> None:
        data = self.prometheus.directory / "data"
        data.mkdir(parents=True)
        self.addresses["/var/lib/headway/"] = self.addresses["/past/"] = f"{self.folder}/"
        command, environment = self._command("past-demand"), self._environment("past-demand")
        subprocess.run([sys.executable, *command], check=True, env=environment)
        [script] = self._command("past-blocks")[1:]
        script = script.replace("promtool", program("promtool")).replace(" /prometheus", f" {data}")
        subprocess.run(["/bin/sh", "-ec", script], check=True)
        assert (data / "past-is-loaded").exists()

    def _watch(self) -> None:
        shutil.copy(DEPLOY / COMPOSE["configs"]["stand-in"]["file"], self.prometheus.directory)
        shutil.copytree(ROOT / "helm" / "headway" / "files" / "rules", self.prometheus.directory / "rules")
        self._life.callback(self.prometheus.stop)
        self.prometheus.start()

    def _scaler(self, name: str) -> None:
        path = self.folder / "headway.yaml"
        path.write_text(self.here((DEPLOY / COMPOSE["configs"]["headway"]["file"]).read_text()))
        address = ("--http-address", self.addresses[f"{name}:8080"])
        options = ("--config", str(path), "--refresh-interval", "5s", "--prometheus-timeout", "2s", *address)
        environment = self._environment(name)
        self._life.enter_context(scaler_running(self.folder, *options, name=name, environment=environment))

    def _web(self, name: str) -> None:
        address, _, port = self.addresses[f"{name}:8000"].partition(":")
        fast = {"SYNC_SECONDS": "2", "START_SECONDS": "3", "ADDRESS": address, "PORT": port}
        process, log = self._run(name, self._command(name), fast)
        wait_until(lambda: answers(f"http://{address}:{port}/healthz"), process, log)

    def _run(
        self, name: str, command: list[str], further: Mapping[str, str] | None = None
    ) -> tuple[subprocess.Popen[bytes], Path]:
        log = self.folder / f"{name}.log"
        environment = {**self._environment(name), **(further or {})}
        life = running([sys.executable, *command], log, cwd=self.folder, env=environment)
        return self._life.enter_context(life), log


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=1).is_success
    except httpx.TransportError:
        return False


@contextmanager
def stack_running(folder: Path) -> Iterator[Stack]:
    with ExitStack() as life:
        stack = Stack(folder, life)
        stack.start()
        yield stack


def test_demand_becomes_forecasts_and_replicas(tmp_path: Path):
    """Load on both services, history from before the start, two scalers that share all, and figures of everything."""
    with stack_running(tmp_path) as stack:
        deadline = time.monotonic() + SECONDS
        missing = set(FIGURES)
        while missing and time.monotonic() < deadline:
            time.sleep(0.5)
            missing = {name for name in missing if stack.value(FIGURES[name]) is None}
        assert missing == set()
