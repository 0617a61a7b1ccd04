"""The cluster of deploy/kind as far as no container engine is needed: its scripts with recorded tools, its manifests
and values against schemas and a real Helm, its past demand in a real Prometheus with a real scaler."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from deploy.grafana import DEMO
from tests.e2e.scaler_process import ScalerProcess, scaler_running
from tests.helm.pod_security import violations
from tests.helm.rendering import KUBERNETES, Cluster, objects, of_kind, pod_templates, render
from tests.helm.schemas import faults
from tests.servers.helm import MAJORS
from tests.servers.kubernetes import kubernetes_api
from tests.servers.programs import program
from tests.servers.prometheus import PrometheusServer

ROOT = Path(__file__).parents[2]
KIND = ROOT / "deploy" / "kind"
SCRIPTS = sorted(KIND.glob("*.sh"))
MANIFESTS = KIND / "shop.yaml", KIND / "scaledobjects.yaml"
TOOLS = "docker", "kind", "kubectl", "helm"
CONTEXT = "kind-headway"
DEMAND = dict(line.split("=") for line in (KIND / "demand.env").read_text().split())

SEPARATOR = "\x1f"
RECORDER = rf"""#!/bin/bash
{{ printf '%s{SEPARATOR}' "${{0##*/}}" "$@"; echo; }} >>"$CALLS"
[ "${{0##*/}}" != "$FAILING" ] || exit 1
[ "${{*: -1}}" != - ] || cat >/dev/null
[ "$*" != "get clusters" ] || echo "$CLUSTERS"
"""


def documents(path: Path) -> list[dict[str, Any]]:
    return objects(path.read_text())


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A folder with programs that record their calls and do nothing else."""
    folder = tmp_path / "tools"
    folder.mkdir()
    for name in TOOLS:
        (folder / name).write_text(RECORDER)
        (folder / name).chmod(0o755)
    return folder


def run(script: str, tools: Path, **environment: str) -> tuple[subprocess.CompletedProcess[str], list[list[str]]]:
    """What the script prints and returns, and which tools it called; it finds no others of these names."""
    calls = tools.parent / "calls"
    calls.write_text("")
    basics = tools.parent / "basics"
    basics.mkdir(exist_ok=True)
    for name in ("bash", "cat", "dirname", "env", "grep"):
        target = Path("/usr/bin") / name
        if not (basics / name).exists():
            (basics / name).symlink_to(target)
    result = subprocess.run(
        [KIND / script],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=tools.parent,
        env={"PATH": f"{tools}:{basics}", "CALLS": str(calls), **environment},
    )
    lines = calls.read_text().removesuffix("\n").split("\n")
    return result, [line.split(SEPARATOR)[:-1] for line in lines if line]


def test_scripts_are_clean() -> None:
    """Shellcheck finds nothing."""
    shellcheck = Path(sys.executable).with_name("shellcheck")
    checked = subprocess.run([shellcheck, *SCRIPTS], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout
    assert all(os.access(script, os.X_OK) for script in SCRIPTS)


def test_a_first_run_makes_everything(tools: Path) -> None:
    """In an order in which each step finds what it needs, and only in this cluster."""
    result, calls = run("up.sh", tools)
    assert result.returncode == 0, result.stderr
    assert ["kind", "create", "cluster", "--config", "deploy/kind/cluster.yaml", "--wait", "5m"] in calls
    assert [call[3] for call in calls if call[0] == "helm"] == ["kube-prometheus-stack", "keda", "headway"]
    for call in calls:
        if call[0] == "kubectl":
            assert call[1:3] == ["--context", CONTEXT]
        if call[0] == "helm":
            assert call[call.index("--kube-context") + 1] == CONTEXT
    steps = [" ".join(call) for call in calls]
    parts = (
        "kind create",
        "docker build",
        "kind load",
        "configmap demand --namespace monitoring",
        "helm upgrade --install kube-prometheus-stack",
        "deploy/kind/shop.yaml",
        "helm upgrade --install keda",
        "helm upgrade --install headway",
        "scaledobjects.yaml",
    )
    order = [next(number for number, step in enumerate(steps) if part in step) for part in parts]
    assert order == sorted(order)


def test_grafana_finds_the_demo_dashboard(tools: Path) -> None:
    """Its ConfigMap has the label that the sidecar of kube-prometheus-stack looks for."""
    _, calls = run("up.sh", tools)
    steps = [" ".join(call) for call in calls]
    made, labelled = (
        next(number for number, step in enumerate(steps) if part in step)
        for part in ("create configmap demo-dashboard", "label configmap demo-dashboard")
    )
    assert made < labelled
    assert steps[labelled].endswith("--namespace monitoring --overwrite grafana_dashboard=1")
    assert (ROOT / DEMO).parent == ROOT / steps[made].split("--from-file=")[1].split()[0]


def test_every_file_of_the_script_exists(tools: Path) -> None:
    """Those that it passes to a tool."""
    _, calls = run("up.sh", tools)
    words = [word.removeprefix("--from-file=") for call in calls for word in call]
    named = [word for word in words if re.match(r"(deploy|helm)/", word)]
    assert len(named) > 8
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_a_second_run_keeps_the_cluster(tools: Path) -> None:
    """It applies changes; a cluster whose name is only similar is another one."""
    _, calls = run("up.sh", tools, CLUSTERS="headway")
    assert [call for call in calls if call[:2] == ["kind", "create"]] == []
    assert len(calls) > 10
    _, calls = run("up.sh", tools, CLUSTERS="headway-2\nmy-headway")
    assert len([call for call in calls if call[:2] == ["kind", "create"]]) == 1


@pytest.mark.parametrize("missing", TOOLS)
def test_a_missing_program_is_named(tools: Path, missing: str) -> None:
    """Before anything is done."""
    (tools / missing).unlink()
    result, calls = run("up.sh", tools)
    assert result.returncode == 2
    assert f"on the PATH: {missing}." in result.stderr
    assert calls == []


def test_docker_must_run(tools: Path) -> None:
    """Installed but not running is an error of its own."""
    result, calls = run("up.sh", tools, FAILING="docker")
    assert result.returncode == 2
    assert "running Docker" in result.stderr
    assert calls == [["docker", "info"]]


@pytest.mark.parametrize("failing", ["kind", "kubectl", "helm"])
def test_a_failed_step_ends_the_script(tools: Path, failing: str) -> None:
    """Nothing is installed after it, and the exit code is not 0."""
    result, calls = run("up.sh", tools, FAILING=failing)
    assert result.returncode != 0
    assert "Everything runs" not in result.stdout
    assert calls[-1][0] in {failing, "kubectl"}


def test_down_removes_this_cluster(tools: Path) -> None:
    """And no other."""
    result, calls = run("down.sh", tools)
    assert result.returncode == 0
    assert calls == [["kind", "delete", "cluster", "--name", "headway"]]
    (tools / "kind").unlink()
    result, _ = run("down.sh", tools)
    assert (result.returncode, result.stderr) == (2, "down.sh needs kind on the PATH.\n")


@pytest.mark.parametrize("kubernetes", KUBERNETES)
@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_manifests_are_valid(path: Path, kubernetes: str) -> None:
    """Unknown keys are faults."""
    found = documents(path)
    assert found
    assert [fault for manifest in found for fault in faults(manifest, kubernetes)] == []


def test_pods_are_restricted() -> None:
    """The demo keeps the Pod Security Standard, as the scaler does."""
    templates = list(pod_templates(documents(KIND / "shop.yaml")))
    assert len(templates) == 3
    assert [violations(template) for _, template in templates] == [[], [], []]


@pytest.mark.parametrize("major", MAJORS)
def test_values_of_headway_render(major: int) -> None:
    """With a real Helm, into valid manifests, the monitoring included."""
    rendered = render(major, Cluster(), "--values", KIND / "headway.yaml")
    assert rendered.error == ""
    found = objects(rendered.text)
    assert [fault for manifest in found for fault in faults(manifest, KUBERNETES[-1])] == []
    assert {"Deployment", "ServiceMonitor", "PrometheusRule", "Role", "NetworkPolicy"} <= {m["kind"] for m in found}


def prometheus_spec() -> dict[str, Any]:
    """What kind's Prometheus is made with."""
    spec: dict[str, Any] = yaml.safe_load((KIND / "prometheus.yaml").read_text())["prometheus"]["prometheusSpec"]
    return spec


def test_past_demand_is_loaded_before_prometheus_starts() -> None:
    """The init containers are valid in a pod, and mount what up.sh and the operator make."""
    spec = prometheus_spec()
    data = "prometheus-kube-prometheus-stack-prometheus-db"  # the operator's name: prometheus-NAME-db
    pod = {
        "initContainers": spec["initContainers"],
        "containers": [{"name": "prometheus"}],
        "volumes": [*spec["volumes"], {"name": data, "emptyDir": {}}],
    }
    manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "prometheus"}, "spec": pod}
    assert faults(manifest, KUBERNETES[-1]) == []
    mounted = {mount["name"] for container in spec["initContainers"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod["volumes"]}


def words_of(path: Path, pattern: str) -> set[str]:
    return set(re.findall(pattern, path.read_text()))


def test_the_parts_fit_together(tools: Path) -> None:
    """Names in one file are those that another file, or the script, makes."""
    _, calls = run("up.sh", tools)
    made = {call[call.index("configmap") + 1] for call in calls if "configmap" in call}
    built = {call[call.index("--tag") + 1] for call in calls if "--tag" in call}
    used = KIND / "shop.yaml", KIND / "prometheus.yaml"
    mounted = set.union(*(words_of(path, r"configMap(?:Ref)?:\s+name: (\S+)") for path in used))
    assert mounted | {"demo-dashboard"} == made
    assert set.union(*(words_of(path, r"image: (headway:\S+)") for path in used)) == built
    image = yaml.safe_load((KIND / "headway.yaml").read_text())["image"]
    assert {f"{image['repository']}:{image['tag']}"} == built
    workloads = {manifest["metadata"]["name"] for manifest in of_kind(documents(KIND / "shop.yaml"), "Deployment")}
    scaled = documents(KIND / "scaledobjects.yaml")
    assert {one["spec"]["scaleTargetRef"]["name"] for one in scaled} == workloads - {"load"}
    files = set(re.findall(r"/demo/(\w+\.py)", "".join(path.read_text() for path in used)))
    assert {name for name in files if not (ROOT / "deploy" / "demo" / name).exists()} == set()


def day_that_grows_in(seconds: float) -> float:
    """The length of a day, all but that of the demand in kind, with which it is so long until 8 o'clock."""
    now, length = time.time(), float(DEMAND["DAY_SECONDS"])
    days = now // length + 8 / 24 - seconds / length
    return now / days


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrometheusServer]:
    """A Prometheus that began as the one in kind does, by the commands of its init containers, when demand was about
    to grow."""
    folder = tmp_path_factory.mktemp("prometheus")
    data = folder / "data"
    data.mkdir()
    demand = {**DEMAND, "DAY_SECONDS": str(day_that_grows_in(120))}
    programs = {"python3": sys.executable, "promtool": program("promtool")}
    for container in prometheus_spec()["initContainers"]:
        command = [re.sub("^/prometheus", str(data), word) for word in container["command"]]
        command = [re.sub("^/demo", str(ROOT / "deploy" / "demo"), word) for word in command]
        command[0] = programs[command[0]]
        subprocess.run(command, check=True, capture_output=True, env={**os.environ, **demand})
    server = PrometheusServer(folder)
    server.start()
    yield server
    server.stop()


@pytest.mark.server
def test_the_first_plan_knows_what_comes(tmp_path: Path, past: PrometheusServer) -> None:
    """A scaler discovers the annotated object, and not the other one. It reads two weeks of past demand, and plans for
    the growth before it begins."""
    with kubernetes_api() as api:
        for found in documents(KIND / "scaledobjects.yaml"):
            for trigger in found["spec"]["triggers"]:
                trigger["metadata"]["serverAddress"] = past.url
            api.put(found)
        options = ("--prometheus", past.url, "--discover-namespaces", "shop", "--kubernetes-api", api.url)
        with scaler_running(tmp_path, *options, "--refresh-interval", "5s") as scaler:
            plan = first_forecast(scaler)
    [annotated, _] = documents(KIND / "scaledobjects.yaml")
    assert plan["name"] == annotated["metadata"]["name"]
    assert annotated["spec"]["triggers"][0]["metadata"]["query"].endswith(f"or {plan['query']}")
    assert (plan["threshold"], plan["lead_time_seconds"], plan["quantile"]) == (7, 180, 0.75)
    demand_at_night = 0.2 * float(DEMAND["PEAK"])
    assert plan["plan"]["need"] > 2 * demand_at_night


def first_forecast(scaler: ScalerProcess) -> dict[str, Any]:
    """The record of the only trigger, once it has a forecast."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        plans = httpx.get(f"http://{scaler.http_address}/api/v1/plans", timeout=5).json()["plans"]
        if plans and plans[0]["forecast"] and plans[0]["plan"]:
            [plan] = plans
            return dict(plan)
        time.sleep(0.2)
    raise AssertionError(f"no forecast: {plans}")
