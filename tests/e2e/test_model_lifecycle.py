"""A scaler process follows the index of models: a promotion from the command line, a version that cannot be used, and a
roll-back, without a restart."""

import asyncio
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from scaler.commands.check.keda_client import KedaClient, OurTrigger
from scaler.forecast.catalog import GENERAL
from scaler.models import Kind, ModelDecision, ModelVersion
from scaler.store.model_index import open_model_index
from tests.e2e.scaler_process import ScalerProcess, scaler_running
from tests.servers.prometheus import Recorded, prometheus

pytestmark = [pytest.mark.server, pytest.mark.e2e]

STEP = 60
METADATA = {"query": "demand", "threshold": "10"}


def publish(folder: Path, version: str) -> None:
    """The general bundle as `own`, where the scaler reads its bundles, and in the index of its database."""
    bundle = folder / "bundles" / f"own@{version}"
    shutil.copytree(GENERAL, bundle)
    manifest = json.loads((bundle / "manifest.json").read_text()) | {"name": "own", "version": version}
    (bundle / "manifest.json").write_text(json.dumps(manifest))

    async def work() -> None:
        index = open_model_index(None, folder / "scaler-data")
        new = ModelVersion("own", version, str(bundle), manifest, time.time())
        await index.publish(new, ModelDecision(time.time(), Kind.PUBLISHED, new.model, "a test"))
        await index.close()

    asyncio.run(work())


def headway_models(folder: Path, *arguments: str) -> str:
    flags = ("--data-dir", folder / "scaler-data", "--bundle", folder / "bundles")
    command = [sys.executable, "-m", "scaler.cli", "models", *arguments, *map(str, flags)]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout


@pytest.fixture
def scaler(tmp_path: Path) -> Iterator[ScalerProcess]:
    """With a Prometheus that has the last three hours of a constant demand."""
    begin = time.time() // STEP * STEP - 180 * STEP
    demand = Recorded("demand", [(begin + i * STEP, 100.0) for i in range(300)])
    (tmp_path / "bundles").mkdir()
    with (
        prometheus(tmp_path / "prometheus", [demand]) as server,
        scaler_running(tmp_path, "--bundle", str(tmp_path / "bundles"), "--prometheus", server.url) as running,
    ):
        yield running


def why(scaler: ScalerProcess) -> dict[str, Any]:
    with urlopen(f"http://{scaler.http_address}/api/v1/why/shop/web", timeout=20) as answer:
        return json.load(answer)["triggers"][0]


def called_until(scaler: ScalerProcess, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Call as KEDA does until `holds` of what `headway why` shows; from the first answer on, every call has one."""
    trigger, deadline, answered = OurTrigger(0, "shop", "web", METADATA), time.monotonic() + 120, False
    with KedaClient(scaler.grpc_address) as keda:
        while True:
            call = keda.metrics(trigger, "headway", "poll")
            assert call.number is not None or not answered, call
            answered = call.number is not None
            record = why(scaler)
            if holds(record):
                return record
            assert time.monotonic() < deadline, (record, scaler.log.read_text()[-3000:])
            time.sleep(0.3)


def forecast_by(model: str) -> Callable[[dict[str, Any]], bool]:
    return lambda record: record["plan"] is not None and record["plan"]["model"] == model


def test_promotions_are_taken_up_without_a_restart(scaler: ScalerProcess, tmp_path: Path) -> None:
    called_until(scaler, forecast_by("general@1"))
    publish(tmp_path, "1")
    assert "own@1 is the champion of shop" in headway_models(tmp_path, "promote", "own@1", "--scope", "shop")
    scaler.process.send_signal(signal.SIGHUP)
    champion = called_until(scaler, forecast_by("own@1"))["champion"]
    assert (champion["scope"], champion["model"], champion["fault"]) == ("shop", "own@1", "")
    assert champion["probation_until"] > time.time()
    publish(tmp_path, "2")
    headway_models(tmp_path, "promote", "own@2", "--scope", "shop")
    (tmp_path / "bundles" / "own@2" / "model.onnx").write_bytes(b"")
    scaler.process.send_signal(signal.SIGHUP)
    record = called_until(scaler, lambda found: bool(found["champion"]["fault"]))
    assert (record["plan"]["model"], record["champion"]["serves"]) == ("own@1", "own@1")
    assert "model.onnx: checksum is" in record["champion"]["fault"]
    with urlopen(f"http://{scaler.http_address}/metrics", timeout=20) as answer:
        telemetry = answer.read().decode()
    assert 'headway_champion_info{model="own@1",scope="shop"} 1.0' in telemetry
    assert "headway_refused_bundles 1.0" in telemetry
    headway_models(tmp_path, "roll-back", "--scope", "shop", "--reason", "it cannot be read")
    scaler.process.send_signal(signal.SIGHUP)
    record = called_until(scaler, lambda found: not found["champion"]["fault"])
    assert (record["champion"]["model"], record["champion"]["probation_until"]) == ("own@1", None)
    events = [json.loads(line) for line in scaler.log.read_text().splitlines() if line.startswith("{")]
    taken_up = [(one["scope"], one["before"], one["model"]) for one in events if one["event"] == "champion_serves"]
    assert taken_up == [("shop", "", "own@1")]
