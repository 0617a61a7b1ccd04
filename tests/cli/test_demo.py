"""The demo as a newcomer starts it: a whole process on the recording that ships with the package."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

import pytest
from typer.testing import CliRunner

from scaler.cli import app
from scaler.commands.demo import demo_objects
from scaler.commands.demo_view import introduction
from scaler.commands.rules import Context, inspect
from scaler.history.traces import read_traces
from scaler.trigger import TriggerRules, parse_trigger
from tests.servers.process import running, wait_until

DATA = Path(str(files("scaler") / "demo_data"))
FREE_PORTS = ("--grpc-address", "127.0.0.1:0", "--http-address", "127.0.0.1:0")
CREDIT = {"ClarkNet", "OmniAnomaly", "InterFusion"}


@contextmanager
def demo(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], str, str]]:
    """A running `headway demo`: the process, its gRPC and its HTTP address."""
    log = folder / "demo.log"
    command = [sys.executable, "-m", "scaler.cli", "demo", "--json", *FREE_PORTS]
    with running(command, log, cwd=folder) as process:
        wait_until(lambda: '"metric": ' in log.read_text() and '"metric": null' not in _last(log), log)
        text = log.read_text()
        grpc_address = re.search(r"--scaler (\S+)", text)
        http_address = re.search(r"--address (\S+)", text)
        assert grpc_address
        assert http_address
        yield process, grpc_address[1], http_address[1]


def _last(log: Path) -> str:
    return log.read_text().splitlines()[-1]


def test_shipped_objects_have_nothing_to_mend() -> None:
    """What newcomers copy is what `headway check` asks for."""
    assert [inspect(scaled, Context()) for scaled in demo_objects()] == [[], [], []]


def test_every_shipped_query_is_recorded_and_credited() -> None:
    """Each workload's series is in the recording, and the notices beside it name the series and its origin."""
    recorded = read_traces(DATA / "workloads.csv.gz")
    notices = (DATA / "NOTICES.txt").read_text()
    queries = {scaled.our_triggers[0].metadata["query"] for scaled in demo_objects()}
    assert queries == set(recorded)
    assert {word for word in queries | CREDIT if word not in notices} == set()


def test_the_recording_stays_small() -> None:
    """Samples ship in every wheel."""
    assert (DATA / "workloads.csv.gz").stat().st_size < 250_000


def test_the_printed_call_is_about_the_demos_own_trigger() -> None:
    """Other metadata would make the scaler watch a further trigger."""
    scaled, *_ = demo_objects()
    message = re.search(r"-d '(.*?)'", introduction("a:1", "b:2", "objects.yaml", scaled))
    assert message
    rules = TriggerRules(default_server="http://recorded")
    asked = parse_trigger(scaled.namespace, scaled.name, json.loads(message[1])["scalerMetadata"], rules)
    assert asked == parse_trigger(scaled.namespace, scaled.name, scaled.our_triggers[0].metadata, rules)


@pytest.mark.e2e
def test_every_workload_has_a_forecast_within_a_minute(tmp_path: Path) -> None:
    """--once ends with a row per workload that has demand, forecast, metric and replicas of both deployments."""
    command = [sys.executable, "-m", "scaler.cli", "demo", "--once", "--json", *FREE_PORTS]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()][-3:]
    assert [row["workload"] for row in rows] == ["gateway", "shop", "web"]
    wanted = ("demand", "need", "metric", "replicas", "reactive_replicas")
    assert all(row[name] is not None for row in rows for name in wanted)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.e2e
def test_the_demo_answers_keda_and_why_and_ends_cleanly(tmp_path: Path) -> None:
    """While it runs, KEDA's calls and `why` are answered; SIGTERM ends it with 0."""
    with demo(tmp_path) as (process, grpc_address, http_address):
        checked = CliRunner().invoke(app, ["check", str(DATA / "scaledobjects.yaml"), "--scaler", grpc_address])
        why = CliRunner().invoke(app, ["why", "demo", "gateway", "--address", http_address, "--json"])
        process.send_signal(signal.SIGTERM)
        status = process.wait(20)
    assert checked.exit_code == 0, checked.stdout
    assert checked.stdout.count("IsActive") == 6
    assert json.loads(why.stdout)["triggers"][0]["query"] == "gateway_traffic"
    assert status == 0
