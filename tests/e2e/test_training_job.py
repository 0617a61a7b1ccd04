"""The chart's training job, step by step: what its containers run trains a bundle that the running scaler takes up."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scaler.commands.check.keda_client import KedaClient, OurTrigger
from scaler.forecast.catalog import Catalog
from tests.e2e.scaler_process import scaler_running
from tests.helm.rendering import Cluster, objects, of_kind, render
from tests.servers.helm import MAJORS
from tests.servers.prometheus import PrometheusServer, Recorded, prometheus

pytestmark = [pytest.mark.server, pytest.mark.e2e]

DAYS = 9
VALUES = (
    *("training.enabled=true", "training.recipe=naive", "bundle.existingClaim=models", "bundle.path=champions"),
    "settings.prometheus=http://prometheus.example:9090",
)


@pytest.fixture(scope="module")
def metrics(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrometheusServer]:
    """Demand with the same day every day, by the minute."""
    now = time.time() // 60 * 60
    samples = [(now - minute * 60, 100.0 + abs((now // 60 - minute) % 1440 - 720)) for minute in range(DAYS * 1440)]
    with prometheus(tmp_path_factory.mktemp("prometheus"), [Recorded("demand", samples[::-1])]) as server:
        yield server


def rendered() -> tuple[list[dict[str, Any]], str]:
    """(containers of the job in their order, the settings file of the job)."""
    flags = [flag for value in VALUES for flag in ("--set", value)]
    manifests = objects(render(MAJORS[-1], Cluster(), *flags).text)
    [job] = of_kind(manifests, "CronJob")
    pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    [settings] = [m for m in of_kind(manifests, "ConfigMap") if m["metadata"]["name"].endswith("-training")]
    return [*pod["initContainers"], *pod["containers"]], settings["data"]["headway.yaml"]


def run_step(container: dict[str, Any], places: dict[str, str], home: Path) -> subprocess.CompletedProcess[str]:
    """Run the command of a container with nothing in the environment, its folders being others here."""
    arguments = container["args"]
    for there, here in places.items():
        arguments = [argument.replace(there, here) for argument in arguments]
    environment = {"PATH": os.environ["PATH"], "TMPDIR": str(home), "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    command = [sys.executable, "-m", "scaler.cli", *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, env=environment, cwd=home)


def test_the_job_trains_a_bundle_that_the_scaler_takes_up(tmp_path: Path, metrics: PrometheusServer) -> None:
    """Pull, train, publish: each step succeeds after the one before. A scaler takes up what they leave."""
    containers, settings = rendered()
    bundles = tmp_path / "bundle" / "champions"
    (tmp_path / "scratch").mkdir()
    bundles.mkdir(parents=True)
    options = ("--prometheus", metrics.url, "--bundle", str(bundles))
    with scaler_running(tmp_path, *options) as scaler:
        with KedaClient(scaler.grpc_address) as keda:
            keda.metrics(OurTrigger(0, "shop", "web", {"query": "demand", "threshold": "10"}), "headway", "poll")
        (tmp_path / "headway.yaml").write_text(settings.replace("http://prometheus.example:9090", metrics.url))
        places = {
            "/etc/headway/settings": str(tmp_path),
            "http://headway-http:8080": f"http://{scaler.http_address}",
            "/scratch": str(tmp_path / "scratch"),
            "/bundle": str(tmp_path / "bundle"),
        }
        for container in containers:
            done = run_step(container, places, tmp_path)
            assert done.returncode == 0, (container["name"], done.stdout, done.stderr)
    catalog = Catalog.open(str(bundles))
    assert catalog.champion.manifest.name == "naive", done.stdout
    assert not catalog.refusals
