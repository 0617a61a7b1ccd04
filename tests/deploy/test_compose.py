"""The local stack as far as it can be checked without a container engine; e2e/test_local_stack.py runs its parts."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from scaler.settings import load_settings
from tests.deploy.compose import DEPLOY, ROOT, read_compose
from tests.servers.programs import program

COMPOSE = read_compose()
SERVICES = COMPOSE["services"]
SHORT_LIVED = {"past-demand", "past-blocks"}
WITHOUT_PROBE = {*SHORT_LIVED, "load-headway", "load-reactive"}

each = pytest.mark.parametrize("name", SERVICES)


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)


def test_file_is_valid():
    """As the Compose specification says."""
    checked = run(
        sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", DEPLOY / "compose.yaml"
    )
    assert checked.returncode == 0, checked.stdout


def test_yaml_is_clean():
    """Yamllint finds nothing."""
    rules = (
        "{extends: default, rules: {line-length: {max: 120}, document-start: disable, braces: {max-spaces-inside: 1}}}"
    )
    files = [DEPLOY / "compose.yaml", *sorted((DEPLOY / "compose").rglob("*.yaml"))]
    checked = run(sys.executable, "-m", "yamllint", "--strict", "-d", rules, *files)
    assert checked.returncode == 0, checked.stdout


@each
def test_service_is_safe(name: str):
    """Named version, not root, no capabilities, limited resources, ports for this machine alone."""
    service: dict[str, Any] = SERVICES[name]
    assert service["image"] == "headway:local" or re.fullmatch(
        r"docker\.io/[\w/-]+:v?\d+(\.\d+)+(-alpine)?", service["image"]
    )
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory"}
    assert not service.get("user", "unset").startswith(("0:", "root"))
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


@each
def test_service_is_probed(name: str):
    """Every service that others wait for has a health check: its own, or that of the runtime image."""
    probe = SERVICES[name].get("healthcheck")
    of_the_image = SERVICES[name]["image"] == "headway:local" and probe is None
    assert (name in WITHOUT_PROBE) == (not of_the_image and (probe is None or "disable" in probe))


@each
def test_service_names_what_exists(name: str):
    """Files it mounts, volumes, configs, services it waits for, and conditions that those can meet."""
    service = SERVICES[name]
    for volume in service.get("volumes", []):
        source = volume.partition(":")[0]
        assert (DEPLOY / source).exists() if source.startswith(".") else source in COMPOSE["volumes"], source
    for config in service.get("configs", []):
        assert (DEPLOY / COMPOSE["configs"][config["source"]]["file"]).is_file()
    for other, wait in service.get("depends_on", {}).items():
        condition = "service_completed_successfully" if other in SHORT_LIVED else "service_healthy"
        assert wait == {"condition": condition}
        assert other in SHORT_LIVED or other not in WITHOUT_PROBE
    if "build" in service:
        assert (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]).is_file()


def test_ports_are_used_once():
    ports = [port.split(":")[1] for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(ports) == len(set(ports))


def test_addresses_lead_to_services():
    """Every host:port in the compose file and in the files it mounts is a service of it."""
    files = [DEPLOY / "compose.yaml", *(DEPLOY / "compose").rglob("*.yaml")]
    named = {
        host for path in files for host in re.findall(r"(?:https?://|@|\")([a-z][a-z-]*):\d{4,5}", path.read_text())
    }
    assert named == {"postgres", "valkey", "prometheus", "scaler-a", "scaler-b", "web-headway", "web-reactive"}
    assert named <= set(SERVICES)


def test_both_scalers_have_the_same_settings(monkeypatch: pytest.MonkeyPatch):
    """The settings are accepted, with the stores of the environment."""
    assert SERVICES["scaler-a"]["environment"] == SERVICES["scaler-b"]["environment"]
    for variable, value in SERVICES["scaler-a"]["environment"].items():
        monkeypatch.setenv(variable, value)
    settings = load_settings({"config": str(DEPLOY / COMPOSE["configs"]["headway"]["file"])})
    assert settings.database is not None
    assert settings.redis is not None


def test_autoscaler_reads_what_the_scaler_plans():
    """The query of the demo service names the listed trigger, and falls back to its demand; thresholds are equal."""
    settings = yaml.safe_load((DEPLOY / "compose" / "headway.yaml").read_text())
    [trigger] = settings["triggers"]
    planned = f'max(headway_planned_demand{{namespace="{trigger["namespace"]}", name="{trigger["name"]}"}})'
    environment = SERVICES["web-headway"]["environment"]
    assert environment["SCALE_QUERY"] == f"{planned} or {trigger['metadata']['query']}"
    assert environment["THRESHOLD"] == trigger["metadata"]["threshold"]


@pytest.mark.server
def test_prometheus_accepts_its_configuration(tmp_path: Path):
    """With the rules of the chart beside it, as they are mounted."""
    shutil.copy(DEPLOY / "compose" / "prometheus.yaml", tmp_path / "prometheus.yml")
    shutil.copy(DEPLOY / "compose" / "stand-in.yaml", tmp_path)
    shutil.copytree(ROOT / "helm" / "headway" / "files" / "rules", tmp_path / "rules")
    checked = run(program("promtool"), "check", "config", tmp_path / "prometheus.yml")
    assert checked.returncode == 0, checked.stderr
    assert {"alerts.yaml", "recording.yaml", "stand-in.yaml"} <= set(re.findall(r"[\w-]+\.yaml", checked.stdout))
