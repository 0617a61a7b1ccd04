"""From recorded demand to KEDA's answer: a model is trained, and a scaler process answers with what it says."""

import csv
import gzip
import json
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
from typer.testing import CliRunner

from scaler.bundle import read_bundle
from scaler.cli import app
from scaler.commands.check.keda_client import KedaClient, OurTrigger
from tests.e2e.scaler_process import ScalerProcess, scaler_running
from tests.servers.prometheus import Recorded, prometheus

pytestmark = [pytest.mark.server, pytest.mark.e2e]

STEP = 60
DAY_STEPS = 1440
LEARNED_DAYS = 7
LEAD_SECONDS = 600
RECORDING = Path(__file__).parents[2] / "scaler" / "commands" / "demo" / "data" / "workloads.csv.gz"
SERIES = "web_requests"


def recorded() -> list[dict[str, str]]:
    with gzip.open(RECORDING, "rt") as file:
        return [row for row in csv.DictReader(file) if row["series"] == SERIES]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network that learned from the first week of a recording, made as a user makes it."""
    folder = tmp_path_factory.mktemp("trained")
    data = folder / "week.csv"
    with data.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["series", "timestamp", "value", "unit"])
        writer.writeheader()
        writer.writerows(recorded()[: LEARNED_DAYS * DAY_STEPS])
    arguments = ["train", "run", "mlp", "--data", data, "--out", folder / "bundle", "--windows", 60]
    result = CliRunner().invoke(app, list(map(str, arguments)))
    assert result.exit_code == 0, result.output
    return folder / "bundle"


@pytest.fixture(scope="module")
def scaler(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScalerProcess]:
    """A scaler with that bundle, and a Prometheus in which the days after that week have just been."""
    folder = tmp_path_factory.mktemp("e2e")
    days = [float(row["value"]) for row in recorded()[LEARNED_DAYS * DAY_STEPS :]]
    begin = time.time() // STEP * STEP - (len(days) - 2 * 60) * STEP
    demand = Recorded("demand", [(begin + i * STEP, value) for i, value in enumerate(days)])
    with (
        prometheus(folder / "prometheus", [demand]) as server,
        scaler_running(folder, "--bundle", str(bundle), "--prometheus", server.url) as running,
    ):
        yield running


def plan_of(scaler: ScalerProcess) -> dict[str, object]:
    """The one record of the scaler's plans."""
    with urlopen(f"http://{scaler.http_address}/api/v1/plans", timeout=5) as answer:
        return json.load(answer)["plans"][0]


def test_answers_come_from_the_trained_model_and_say_so(scaler: ScalerProcess, bundle: Path) -> None:
    """KEDA's number is the plan's; plan and reasons name the model and version, and the need is what it forecast."""
    model = read_bundle(bundle).manifest.model
    assert model.startswith("mlp@")
    metadata = {"query": "demand", "threshold": "10", "leadTime": f"{LEAD_SECONDS}s"}
    trigger = OurTrigger(0, "shop", "web", metadata)
    deadline = time.monotonic() + 60
    with KedaClient(scaler.grpc_address) as keda:
        while True:
            value = keda.metrics(trigger, "headway", "poll").number
            record = plan_of(scaler)
            plan = record["plan"] or {"rung": "none yet"}
            if plan["rung"] == "forecast_and_observation" and value == pytest.approx(plan["metric"], rel=1e-3):
                break
            assert time.monotonic() < deadline, (value, record)
            time.sleep(0.3)
    assert plan["model"] == record["forecast"]["model"] == model
    assert any(model in reason["text"] for reason in plan["reasons"]), plan["reasons"]
    assert plan["need"] == pytest.approx(record["forecast"]["peak"]["0.9"])
    assert value >= plan["observed"]
