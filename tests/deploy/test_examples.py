"""deploy/examples: every file is valid for Kubernetes, KEDA and Headway, and every query gives one number."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from scaler.cli import app
from scaler.settings import Settings, load_settings
from scaler.trigger import TriggerRules, parse_trigger
from tests.helm.rendering import KUBERNETES, Cluster, objects, of_kind, render
from tests.helm.schemas import faults
from tests.servers.helm import MAJORS
from tests.servers.prometheus import PrometheusServer, Recorded, prometheus

EXAMPLES = Path(__file__).parents[2] / "deploy" / "examples"
FILES = {path.name: path for path in sorted(EXAMPLES.glob("*.yaml"))}
SETTINGS = {"headway.yaml": EXAMPLES / "headway.yaml", "nodes-ahead.yaml": EXAMPLES / "settings" / "nodes-ahead.yaml"}
SERVERS = {path.name: path for path in sorted((EXAMPLES / "servers").glob("*.yaml"))}
MANIFESTS = {name: path for name, path in FILES.items() if "kind: " in path.read_text()}
SCALED_OBJECTS = {name: path for name, path in MANIFESTS.items() if "kind: ScaledObject" in path.read_text()}

FINDINGS = {
    # `scalingModifiers` has a price, which the comments name
    "formula.yaml": [("advice", "scaling-modifiers")],
    # no room is kept without a plan: right for pods that do nothing, and wrong for a workload
    "nodes-ahead.yaml": [("warning", "planned-demand")],
}
"""what `headway check` reports of an example; nothing for the others"""

RATE = 120.0
"""requests per second of every application in the fixture"""
GAUGES = {
    "rabbitmq_queue_messages_ready": ({"queue": "reports"}, 80.0),
    "jobs_pending": ({"namespace": "shop", "app": "documents"}, 30.0),
    "vllm:num_requests_running": ({"namespace": "llm", "model_name": "chat"}, 20.0),
    "vllm:num_requests_waiting": ({"namespace": "llm", "model_name": "chat"}, 44.0),
}
APPS = ("cart", "checkout", "web", "orders", "documents", "payments")
PLANS = {("shop", "cart"): 150.0, ("shop", "checkout"): 150.0, ("shop", "web"): 150.0, ("shop", "web-nodes"): 420.0,
         ("llm", "chat"): 90.0}  # fmt: skip


def manifests(path: Path) -> list[dict[str, Any]]:
    return objects(path.read_text())


def scaled_objects(path: Path) -> list[dict[str, Any]]:
    return of_kind(manifests(path), "ScaledObject")


def test_every_file_is_a_manifest_or_settings() -> None:
    """None escapes the tests below."""
    assert set(FILES) == set(MANIFESTS) | {"headway.yaml"}
    assert set(SERVERS) == {
        f"{name}.yaml" for name in ("amazon", "azure", "google", "mimir", "thanos", "victoriametrics")
    }


@pytest.mark.parametrize("kubernetes", KUBERNETES)
@pytest.mark.parametrize("name", MANIFESTS)
def test_manifests_are_valid(name: str, kubernetes: str) -> None:
    """Against Kubernetes' schemas and those of KEDA and cert-manager; an unknown key is a fault."""
    assert [fault for found in manifests(MANIFESTS[name]) for fault in faults(found, kubernetes)] == []


@pytest.mark.parametrize("name", SCALED_OBJECTS)
def test_headway_check_finds_what_is_expected(name: str) -> None:
    """The command itself, without a server."""
    result = CliRunner().invoke(app, ["check", str(SCALED_OBJECTS[name]), "--offline", "--json"])
    assert result.exit_code == 0, result.output
    found = [(f["level"], f["rule"]) for each in json.loads(result.output)["objects"] for f in each["findings"]]
    assert found == FINDINGS.get(name, [])


@pytest.mark.parametrize("name", SCALED_OBJECTS)
def test_triggers_of_ours_are_accepted(name: str) -> None:
    """Each passes the parser that KEDA's calls go through; the others read the plan."""
    for scaled in scaled_objects(SCALED_OBJECTS[name]):
        triggers = scaled["spec"]["triggers"]
        ours = [trigger for trigger in triggers if trigger["type"].startswith("external")]
        for trigger in ours:
            place = scaled["metadata"]["namespace"], scaled["metadata"]["name"]
            parse_trigger(*place, trigger["metadata"], TriggerRules(default_server="http://prometheus:9090"))
            assert "metricType" not in trigger
        assert ours or "headway_planned_demand" in triggers[0]["metadata"]["query"]


@pytest.mark.parametrize("name", sorted(set(SCALED_OBJECTS) - {"nodes-ahead.yaml"}))
def test_examples_keep_a_reactive_floor(name: str) -> None:
    """Every workload scales on the demand itself when Headway answers errors, and somehow when it is gone."""
    [scaled] = scaled_objects(SCALED_OBJECTS[name])
    triggers = scaled["spec"]["triggers"]
    reactive = [trigger["metadata"]["query"] for trigger in triggers if trigger["type"] == "prometheus"]
    assert any("headway" not in query or re.search(r"\bor sum\(", query) for query in reactive)
    without_keda = any(trigger["type"] == "cpu" for trigger in triggers)
    assert without_keda or not any(trigger["type"].startswith("external") for trigger in triggers)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrometheusServer]:
    """A Prometheus with every series that the examples read, and with the plans of two replicas of Headway."""
    now = time.time()
    moments = [now - 600 + 15 * step for step in range(41)]
    series = [
        Recorded("http_requests_total", [(m, RATE / 2 * (m - moments[0])) for m in moments], {**labels, "pod": pod})
        for labels in ({"namespace": "shop", "app": app} for app in APPS)
        for pod in ("a", "b")
    ]
    for name, (labels, value) in GAUGES.items():
        series += [Recorded(name, [(m, value / 2) for m in moments], {**labels, "pod": pod}) for pod in ("a", "b")]
    for (namespace, workload), value in PLANS.items():
        labels = {"namespace": namespace, "name": workload}
        series += [
            Recorded("headway_planned_demand", [(m, value) for m in moments], {**labels, "pod": pod}) for pod in "ab"
        ]
    with prometheus(tmp_path_factory.mktemp("prometheus"), series) as running:
        yield running


def adapter_rule() -> dict[str, Any]:
    [config] = of_kind(manifests(EXAMPLES / "hpa.yaml"), "ConfigMap")
    [rule] = yaml.safe_load(config["data"]["config.yaml"])["externalRules"]
    return rule


def queries() -> Iterator[tuple[str, str]]:
    for name, path in SCALED_OBJECTS.items():
        for scaled in scaled_objects(path):
            for index, trigger in enumerate(scaled["spec"]["triggers"]):
                if "query" in trigger["metadata"]:
                    yield f"{name}/{scaled['metadata']['name']}/{index}", trigger["metadata"]["query"]
    yield "hpa.yaml", adapter_rule()["metricsQuery"]


QUERIES = dict(queries())
EXPECTED = (
    ("external-push.yaml", 80.0),
    ("formula.yaml/documents/2", 30.0),
    ("/chat/", 90.0),
    ("/web-nodes/", 270.0),
    ("discovery.yaml", 150.0),
    ("prometheus.yaml", 150.0),
    ("hpa.yaml", 150.0),
    ("nodes-ahead.yaml/web/", 150.0),
)
"""the number that a query gives: part of its name → number; otherwise the rate"""


@pytest.mark.server
@pytest.mark.parametrize("name", QUERIES)
def test_queries_give_one_number(name: str, server: PrometheusServer) -> None:
    """With a plan: that of the workload, or what the comments promise. Without one: the demand itself, or no room."""
    query = QUERIES[name]
    expected = next((value for part, value in EXPECTED if part in name), RATE)
    assert server.values(query) == pytest.approx([expected], rel=0.03)
    without_plan = query.replace("headway_planned_demand", "absent_planned_demand")
    if without_plan != query:
        demand = 64.0 if "chat" in name else 0.0 if "web-nodes" in name else RATE
        assert server.values(without_plan) == pytest.approx([demand], rel=0.03)


@pytest.mark.server
def test_adapter_finds_its_metric_without_headway(server: PrometheusServer) -> None:
    """The rule's series are those of the demand, and the HPA asks for the metric that the rule makes."""
    rule = adapter_rule()
    assert server.values(f"count({rule['seriesQuery']})") == [2.0]
    assert "headway" not in rule["seriesQuery"]
    [hpa] = of_kind(manifests(EXAMPLES / "hpa.yaml"), "HorizontalPodAutoscaler")
    [metric] = hpa["spec"]["metrics"]
    [listed] = load_settings({"config": str(SETTINGS["headway.yaml"])}).triggers
    assert metric["external"]["metric"]["name"] == rule["name"]["as"]
    assert metric["external"]["target"] == {"type": "AverageValue", "averageValue": listed.metadata["threshold"]}
    assert rule["metricsQuery"].endswith("or " + listed.metadata["query"])


def listed(name: str) -> dict[tuple[str, str], dict[str, str]]:
    settings = load_settings({"config": str(SETTINGS[name])})
    return {(trigger.namespace, trigger.name): trigger.metadata for trigger in settings.triggers}


def test_second_way_reads_what_the_listed_trigger_exports() -> None:
    """ScaledObject, listed trigger and query speak of the same workload and the same threshold."""
    [scaled] = scaled_objects(EXAMPLES / "prometheus.yaml")
    [trigger] = scaled["spec"]["triggers"]
    metadata = listed("headway.yaml")[scaled["metadata"]["namespace"], scaled["metadata"]["name"]]
    assert trigger["metadata"]["query"].endswith("or " + metadata["query"])
    assert trigger["metadata"]["threshold"] == metadata["threshold"]


def test_nodes_ahead_watches_both_with_one_query() -> None:
    """The two listed triggers differ in the lead time only, and the pods that wait have a lower priority."""
    web, nodes = (listed("nodes-ahead.yaml")["shop", name] for name in ("web", "web-nodes"))
    assert {key for key in web if web[key] != nodes[key]} == {"leadTime"}
    found = manifests(EXAMPLES / "nodes-ahead.yaml")
    [deployment], [priority] = of_kind(found, "Deployment"), of_kind(found, "PriorityClass")
    assert deployment["spec"]["template"]["spec"]["priorityClassName"] == priority["metadata"]["name"]
    assert -10 < priority["value"] < 0
    assert {scaled["metadata"]["name"] for scaled in of_kind(found, "ScaledObject")} == {"web", "web-nodes"}


def test_certificates_fit_the_trigger() -> None:
    """The server's certificate names the host that KEDA calls; KEDA's Secret is that of its certificate."""
    found = manifests(EXAMPLES / "mtls.yaml")
    certificates = {
        certificate["metadata"]["name"]: certificate["spec"] for certificate in of_kind(found, "Certificate")
    }
    [authentication], [scaled] = of_kind(found, "ClusterTriggerAuthentication"), of_kind(found, "ScaledObject")
    [ours] = [trigger for trigger in scaled["spec"]["triggers"] if trigger["type"] == "external"]
    host = ours["metadata"]["scalerAddress"].removeprefix("dns:///").partition(":")[0]
    assert host in certificates["headway-tls"]["dnsNames"]
    assert {target["name"] for target in authentication["spec"]["secretTargetRef"]} == {
        certificates["headway-client"]["secretName"]
    }
    assert ours["authenticationRef"] == {
        "kind": authentication["kind"],
        "name": authentication["metadata"]["name"],
    }
    issuers = {issuer["metadata"]["name"] for issuer in of_kind(found, "Issuer")}
    assert {spec["issuerRef"]["name"] for spec in certificates.values()} == issuers


def settings_below(folder: Path, values: dict[str, Any]) -> Settings:
    """The settings of chart values, loaded with the files that they name; those are made below `folder`."""
    text = yaml.safe_dump(values["settings"])
    for named in re.findall(r"/(?:etc|var)/\S+", text):
        file = folder / named.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("secret\n")
        text = text.replace(named, str(file))
    path = folder / "headway.yaml"
    path.write_text(text)
    return load_settings({"config": str(path)})


@pytest.mark.parametrize("name", SERVERS)
def test_server_settings_load(name: str, tmp_path: Path) -> None:
    """The part below `settings` is a settings file, and each credential that it names is mounted."""
    values = yaml.safe_load(SERVERS[name].read_text())
    assert settings_below(tmp_path, values).prometheus
    mounted = {credential["name"] for credential in values.get("credentials", [])}
    assert set(re.findall(r"/etc/headway/credentials/([^/]+)/", SERVERS[name].read_text())) == mounted


@pytest.mark.parametrize("major", MAJORS)
@pytest.mark.parametrize("name", SERVERS)
def test_server_values_render(name: str, major: int) -> None:
    """The chart takes the values, and what it renders is valid where native sidecars are, too."""
    rendered = render(major, Cluster("1.33"), "--values", SERVERS[name])
    assert rendered.error == ""
    assert [fault for found in objects(rendered.text) for fault in faults(found, "1.33")] == []


def test_index_names_every_file() -> None:
    """deploy/examples/README.md has a row per file, and per folder for whole charts."""
    linked = set(re.findall(r"\]\(([^)#\s]+)\)", (EXAMPLES / "README.md").read_text()))
    files = [path for path in EXAMPLES.rglob("*.yaml") if "application-chart" not in path.parts]
    assert {str(path.relative_to(EXAMPLES)) for path in files} <= linked
