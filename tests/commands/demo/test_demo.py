"""The demo as a newcomer starts it: a whole process on the recording that ships with the package."""

import io
import json
import math
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from importlib.resources import files
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from scaler.checks import Context, inspect
from scaler.cli import app
from scaler.commands.demo.command import BEGIN, demo_objects, demo_traces, program
from scaler.commands.demo.opening import Opening, Preparation
from scaler.commands.demo.schedule import GENERATED
from scaler.commands.demo.simulated import Deployment
from scaler.commands.demo.view import LiveView, Row, introduction
from scaler.history.traces import read_traces
from scaler.plan.hpa import Hpa
from tests.servers.process import running, wait_until

DATA = Path(str(files("scaler.commands.demo") / "data"))
FREE_PORTS = ("--grpc-address", "127.0.0.1:0", "--http-address", "127.0.0.1:0")
CREDIT = {"ClarkNet", "OmniAnomaly", "InterFusion"}


@contextmanager
def demo(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], str, str]]:
    """A running `headway demo`: the process, its gRPC and its HTTP address."""
    log = folder / "demo.log"
    command = [sys.executable, "-m", "scaler.cli", "demo", "--json", *FREE_PORTS]
    with running(command, log, cwd=folder) as process:
        wait_until(lambda: '"metric": ' in log.read_text() and '"metric": null' not in _last(log), process, log)
        text = log.read_text()
        grpc_address = re.search(r"--scaler (\S+)", text)
        http_address = re.search(r"--address (\S+)", text)
        assert grpc_address
        assert http_address
        yield process, grpc_address[1], http_address[1]


def _last(log: Path) -> str:
    return log.read_text().splitlines()[-1]


def test_shipped_objects_have_nothing_to_fix() -> None:
    """What newcomers copy is what `headway check` asks for."""
    assert [inspect(scaled, Context()) for scaled in demo_objects()] == [[], [], [], []]


def test_every_shipped_query_has_demand_and_every_recording_is_credited() -> None:
    """Each workload's series is recorded or generated, and the notices name what is recorded and its origin."""
    recorded = set(read_traces(DATA / "workloads.csv.gz"))
    notices = (DATA / "NOTICES.txt").read_text()
    queries = {scaled.our_triggers[0].metadata["query"] for scaled in demo_objects()}
    assert queries == set(demo_traces()) == recorded | {GENERATED}
    assert {word for word in recorded | CREDIT if word not in notices} == set()


def test_the_recording_stays_small() -> None:
    """Samples ship in every wheel."""
    assert (DATA / "workloads.csv.gz").stat().st_size < 250_000


@pytest.mark.parametrize("error", ["", "demo/x: registered, waiting for the first observation"])
def test_text_and_table_fit_into_a_small_terminal(error: str) -> None:
    """80 columns and 24 rows, the line of the call included, with the commands as long as in a checkout."""
    scaled, *_ = demo_objects()
    manifest = "scaler/commands/demo/data/scaledobjects.yaml"
    lines = introduction(".venv/bin/headway", "127.0.0.1:50051", "127.0.0.1:8080", manifest, scaled).splitlines()
    commands = [line for line in lines if "127.0.0.1" in line]
    assert [line for line in lines if len(line) > 80 and line not in commands] == []
    view = LiveView(600, "")
    deployment = Deployment.sized_for(42.0, 10.0, 90.0, Hpa(2, 60))
    prepared = Preparation(deployment, BEGIN, 600.0, 600.0)
    opening = Opening(BEGIN, 10.0, 320, prepared, prepared)
    rows = [
        Row(BEGIN, scaled.name, 10.0, 4200.0, None, deployment, deployment, error, watched)
        for scaled, watched in zip(demo_objects(), [opening, None, None, None], strict=True)
    ]
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(view.screen(rows))
    table = console.export_text().splitlines()
    assert table[-1].strip() == "Ctrl-C quits"
    assert 1 + sum(math.ceil(max(1, len(line)) / 80) for line in lines) + 1 + len(table) <= 24


@pytest.mark.parametrize(
    ("called", "found", "printed"),
    [
        ("HERE/.venv/bin/headway", None, ".venv/bin/headway"),
        (".venv/bin/headway", "/usr/bin/headway", ".venv/bin/headway"),
        ("/opt/x/headway", None, "/opt/x/headway"),
        ("/usr/bin/headway", "/usr/bin/headway", "headway"),
        ("HERE/scaler/cli.py", None, "headway"),
    ],
)
def test_printed_commands_begin_with_what_can_be_called(
    called: str, found: str | None, printed: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The path of the running program as one writes it from here; its name alone where the shell finds it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", [called.replace("HERE", str(tmp_path))])
    monkeypatch.setattr("shutil.which", lambda _: found)
    assert program() == printed


@pytest.mark.e2e
@pytest.mark.alone
def test_every_workload_has_a_forecast_within_a_minute(tmp_path: Path) -> None:
    """--once ends with a row per workload that has demand, forecast, metric and replicas of both deployments."""
    command = [sys.executable, "-m", "scaler.cli", "demo", "--once", "--json", *FREE_PORTS]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()][-4:]
    assert [row["workload"] for row in rows] == ["tickets", "gateway", "shop", "web"]
    wanted = ("demand", "need", "metric", "replicas", "reactive_replicas")
    assert all(row[name] is not None for row in rows for name in wanted)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.e2e
@pytest.mark.alone
def test_the_demo_answers_keda_and_why_and_ends_cleanly(tmp_path: Path) -> None:
    """While it runs, KEDA's calls and `why` are answered; SIGTERM ends it with 0."""
    with demo(tmp_path) as (process, grpc_address, http_address):
        checked = CliRunner().invoke(app, ["check", str(DATA / "scaledobjects.yaml"), "--scaler", grpc_address])
        why = CliRunner().invoke(app, ["why", "demo", "tickets", "--address", http_address, "--json"])
        process.send_signal(signal.SIGTERM)
        status = process.wait(20)
    assert checked.exit_code == 0, checked.stdout
    assert checked.stdout.count("IsActive") == 8
    assert json.loads(why.stdout)["triggers"][0]["query"] == GENERATED
    assert status == 0


@pytest.mark.e2e
@pytest.mark.alone
def test_it_is_ready_for_an_opening_that_past_days_had(tmp_path: Path) -> None:
    """Headway has the replicas minutes before demand opens and serves all of it; the reactive trigger is late."""
    command = [sys.executable, "-m", "scaler.cli", "demo", "--json", "--speed", "120", "--seconds", "18", *FREE_PORTS]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=90, check=False)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    row = [row for row in rows if row["workload"] == "tickets"][-1]
    opens, ours, reactive = (
        datetime.fromisoformat(row[key]) for key in ("opens_at", "opening_ready_at", "reactive_opening_ready_at")
    )
    assert timedelta(0) <= opens - ours <= timedelta(minutes=3)
    assert reactive - opens >= timedelta(minutes=3)
    assert row["opening_unserved"] <= 0.001
    assert row["reactive_opening_unserved"] >= 0.05
