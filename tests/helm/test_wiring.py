"""The manifests fit each other and the scaler: settings, ports, probes, files, names."""

import re
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from scaler.cli import app
from scaler.settings import Settings, load_settings
from scaler.status.routes import PATHS
from tests.helm.pod_security import containers
from tests.helm.rendering import NAMESPACE, VALUES, of_kind, pod_templates
from tests.helm.workload import container_of, files_of, manifests_of, scaler_of, settings_text

every_value_set = pytest.mark.parametrize("values", VALUES)


def settings_of(values: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings that the scaler reads in its pod: the arguments, the environment and the files, below `tmp_path`."""
    manifests = manifests_of(values)
    workload = scaler_of(manifests)
    files = files_of(workload, manifests)
    text = settings_text(manifests)
    for secret_file in re.findall(r"/etc/headway/[\w./-]+", text):
        assert any(secret_file.startswith(f"{folder}/") for folder in files), secret_file
        target = tmp_path / secret_file.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text("x")
    settings_file = tmp_path / "headway.yaml"
    settings_file.write_text(text.replace("/etc/headway", f"{tmp_path}/etc/headway").replace("/var/lib", f"{tmp_path}"))
    for variable in container_of(workload).get("env", ()):
        if variable["name"] in ENVIRONMENT:
            monkeypatch.setenv(variable["name"], ENVIRONMENT[variable["name"]])
    return load_settings({"config": str(settings_file)})


ENVIRONMENT = {"HEADWAY_DATABASE": "postgresql://u:p@db/headway", "HEADWAY_REDIS": "redis://:p@redis:6379/0"}
"""what the Secrets hold"""


@every_value_set
def test_scaler_takes_its_settings(values: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings file is valid, and says what the values say."""
    settings = settings_of(values, tmp_path, monkeypatch)
    given = (yaml.safe_load(VALUES[values].read_text()).get("settings")) or {}
    rendered_file = yaml.safe_load((tmp_path / "headway.yaml").read_text().replace(str(tmp_path), ""))
    assert {name: rendered_file[name] for name in given} == given
    assert settings.data_dir == tmp_path / "headway"


@every_value_set
def test_ports_are_those_on_which_the_scaler_listens(
    values: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Services lead to the container's ports, and the scaler listens there."""
    settings = settings_of(values, tmp_path, monkeypatch)
    manifests = manifests_of(values)
    workload = scaler_of(manifests)
    ports = {port["name"]: port["containerPort"] for port in container_of(workload)["ports"]}
    listening = {"grpc": settings.grpc_address, "http": settings.http_address, "probes": settings.probe_address}
    assert ports == {name: _port(address) for name, address in listening.items() if address}
    labels = workload["spec"]["template"]["metadata"]["labels"]
    services = {service["metadata"]["name"]: service["spec"] for service in of_kind(manifests, "Service")}
    name = workload["metadata"]["name"]
    for service in (services[name], services[f"{name}-http"]):
        assert service["selector"].items() <= labels.items()
        assert all(port["targetPort"] in ports for port in service["ports"])
    [grpc] = services[name]["ports"]
    assert services[name]["clusterIP"] == "None"
    assert grpc["port"] == ports["grpc"]  # a headless Service does not translate ports


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])


def _plain(settings: Settings) -> dict[str, bool]:
    """Ports of the scaler that answer probes and scrapes → whether without TLS. The first one is to be used."""
    own = {"probes": True} if settings.probe_address else {}
    return {**own, "http": settings.http_tls == "off"}


@every_value_set
def test_probes_ask_what_the_scaler_answers(values: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each probe's path is one of the scaler's, on the port that needs least, by TLS where the scaler wants it."""
    port, plain = next(iter(_plain(settings_of(values, tmp_path, monkeypatch)).items()))
    container = container_of(scaler_of(manifests_of(values)))
    probes = {name: container[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert {probe["port"] for probe in probes.values()} == {port}
    assert {probe.get("scheme", "HTTP") for probe in probes.values()} == {"HTTP" if plain else "HTTPS"}
    assert {probe["path"] for probe in probes.values()} <= set(PATHS)
    assert probes["readinessProbe"]["path"] == "/readyz"
    assert probes["livenessProbe"]["path"] == "/livez"


@every_value_set
def test_scrapes_reach_telemetry(values: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By TLS where the scaler wants it: with an authority, a name that its certificate has, and a client certificate
    where it is required."""
    settings = settings_of(values, tmp_path, monkeypatch)
    port, plain = next(iter(_plain(settings).items()))
    manifests = manifests_of(values)
    for monitor in of_kind(manifests, "ServiceMonitor"):
        [endpoint] = monitor["spec"]["endpoints"]
        assert endpoint["port"] == port
        assert endpoint.get("scheme", "http") == ("http" if plain else "https")
        tls = endpoint.get("tlsConfig", {})
        assert set(tls) == ({"ca", "serverName"} if not plain else set()) | (
            {"cert", "keySecret"} if not plain and settings.http_tls == "mtls" else set()
        )
        for certificate in of_kind(manifests, "Certificate"):
            if tls and certificate["spec"]["secretName"] == tls["ca"]["secret"]["name"]:
                assert tls["serverName"] in certificate["spec"]["dnsNames"]
    annotations = scaler_of(manifests)["spec"]["template"]["metadata"]["annotations"]
    if "prometheus.io/scrape" in annotations:
        assert annotations.get("prometheus.io/scheme", "http") == ("http" if plain else "https")


@every_value_set
def test_the_release_itself_may_call_the_http_port(
    values: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By every name of its Service, where hosts are limited."""
    hosts = settings_of(values, tmp_path, monkeypatch).http_allowed_hosts
    names = {f"headway-http{end}" for end in ("", f".{NAMESPACE}", f".{NAMESPACE}.svc")}
    assert not hosts or names < set(hosts)


@every_value_set
def test_pod_outlives_the_drain(values: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The grace period is longer than drain-grace, with time to close."""
    settings = settings_of(values, tmp_path, monkeypatch)
    pod = scaler_of(manifests_of(values))["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] >= settings.drain_grace + 10


@every_value_set
def test_every_reference_leads_somewhere(values: str) -> None:
    """What the pods name is in the chart, or named in the values."""
    manifests = manifests_of(values)
    text = VALUES[values].read_text()
    names = {kind: {manifest["metadata"]["name"] for manifest in of_kind(manifests, kind)}
             for kind in ("ConfigMap", "Secret", "ServiceAccount", "PersistentVolumeClaim")}  # fmt: skip
    names["Secret"] |= {certificate["spec"]["secretName"] for certificate in of_kind(manifests, "Certificate")}
    for kind, name in _references(manifests):
        assert name in names[kind] or re.search(rf"\b{re.escape(name)}\b", text), f"{kind}/{name}"


def _references(node: Any) -> Any:
    """(kind, name) of everything that pods refer to."""
    if isinstance(node, list):
        for item in node:
            yield from _references(item)
    if isinstance(node, dict):
        for key, value in node.items():
            match key, value:
                case (("configMap" | "configMapRef" | "configMapKeyRef"), {"name": name}):
                    yield "ConfigMap", name
                case ("secret", {"secretName": name}) | (("secretRef" | "secretKeyRef"), {"name": name}):
                    yield "Secret", name
                case "serviceAccountName", str():
                    yield "ServiceAccount", value
                case "persistentVolumeClaim", {"claimName": name}:
                    yield "PersistentVolumeClaim", name
                case _:
                    yield from _references(value)


@every_value_set
def test_selectors_find_their_pods(values: str) -> None:
    """Every selector of a Service, a policy or a budget matches the pods of exactly one workload of the chart."""
    manifests = manifests_of(values)
    pods = {name: template["metadata"].get("labels", {}) for name, template in pod_templates(manifests)}
    for manifest in manifests:
        match manifest["kind"]:
            case "Service":
                selector = manifest["spec"]["selector"]
            case "NetworkPolicy":
                selector = manifest["spec"]["podSelector"]["matchLabels"]
            case "PodDisruptionBudget":
                selector = manifest["spec"]["selector"]["matchLabels"]
            case _:
                continue
        found = [name for name, labels in pods.items() if selector.items() <= labels.items()]
        assert len(found) == 1, (manifest["metadata"]["name"], found)


@every_value_set
def test_namespaces_are_those_of_the_values(values: str) -> None:
    """Objects lie in the release's namespace, or in one that the values name."""
    text = VALUES[values].read_text()
    for manifest in manifests_of(values):
        namespace = manifest["metadata"].get("namespace", NAMESPACE)
        assert namespace == NAMESPACE or re.search(rf"\b{namespace}\b", text), manifest["metadata"]["name"]


@every_value_set
def test_arguments_are_ones_that_the_commands_take(values: str) -> None:
    """Every container of our images calls a command that exists, with its flags."""
    for name, template in pod_templates(manifests_of(values)):
        for container in containers(template["spec"]):
            arguments = container.get("args", [])
            if "headway" in container["image"] and "command" not in container:
                assert parsed(arguments), (name, arguments)


def parsed(arguments: list[str]) -> bool:
    """Does the command line accept these? Only parsed, never run."""
    command: Any = typer.main.get_command(app)
    context = command.make_context("headway", list(arguments), resilient_parsing=False)
    while rest := [*context._protected_args, *context.args]:
        name, command, rest = command.resolve_command(context, rest)
        context = command.make_context(name, rest, parent=context)
    return True


@every_value_set
def test_scaler_has_no_permissions_without_discovery(values: str) -> None:
    """No role is bound and no token is mounted; with discovery the role reads ScaledObjects and nothing else."""
    manifests = manifests_of(values)
    discovers = (yaml.safe_load(VALUES[values].read_text()).get("discovery") or {}).get("enabled", False)
    roles = [*of_kind(manifests, "Role"), *of_kind(manifests, "ClusterRole")]
    pod = scaler_of(manifests)["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is discovers
    assert bool(roles) is discovers
    for role in roles:
        [rule] = role["rules"]
        assert rule == {"apiGroups": ["keda.sh"], "resources": ["scaledobjects"], "verbs": ["get", "list", "watch"]}


@every_value_set
def test_labels_follow_the_convention(values: str) -> None:
    """Every object has the recommended labels of Kubernetes and Helm, and those that the values add."""
    common = yaml.safe_load(VALUES[values].read_text()).get("commonLabels") or {}
    for manifest in manifests_of(values):
        labels = manifest["metadata"]["labels"]
        assert labels["app.kubernetes.io/name"] == "headway"
        assert labels["app.kubernetes.io/instance"] == "headway"
        assert labels["app.kubernetes.io/managed-by"] == "Helm"
        assert {"app.kubernetes.io/version", "app.kubernetes.io/component", "helm.sh/chart"} <= labels.keys()
        assert common.items() <= labels.items()
