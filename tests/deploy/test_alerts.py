"""The example of alert rules, as Prometheus reads and evaluates it."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from scaler.telemetry.metrics import FIGURES
from tests.servers.programs import program

ALERTS = Path(__file__).parent.parent.parent / "deploy" / "examples" / "alerts.yaml"


def promtool(*arguments: str | Path) -> str:
    """Its complaints; empty when there are none."""
    command = [program("promtool"), *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return "" if result.returncode == 0 else result.stdout + result.stderr


@pytest.mark.server
def test_rules_are_valid():
    """Prometheus accepts the file."""
    assert promtool("check", "rules", ALERTS) == ""


@pytest.mark.server
def test_alerts_fire_where_they_should_and_nowhere_else(tmp_path: Path):
    """Prometheus evaluates the rules over series that look like a lost metric, and over those that only resemble it."""
    shutil.copy(ALERTS, tmp_path)
    shutil.copy(Path(__file__).parent / "alerts_test.yaml", tmp_path)
    assert promtool("test", "rules", tmp_path / "alerts_test.yaml") == ""


def test_rules_read_what_is_exported():
    """Every name in the rules is a figure of the table."""
    exported = {figure.name for figure in FIGURES}
    read = set(re.findall(r"\bheadway_\w+", ALERTS.read_text()))
    assert {name.removesuffix("_bucket") for name in read} <= exported
