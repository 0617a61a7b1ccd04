"""The named templates for application charts, rendered through the example of such a chart."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from scaler.checks import Context, inspect
from scaler.discovery.annotated import Annotated, read_annotated
from scaler.manifest import read_manifest
from scaler.trigger import TRIGGER_KEYS, TriggerRules, parse_trigger
from scaler.trigger.schema import KEDA_READS
from tests.servers.helm import MAJORS, run_helm

ROOT = Path(__file__).parents[2]
LIBRARY = Path("helm/headway-trigger")
EXAMPLE = Path("deploy/examples/application-chart")

FORECAST: dict[str, Any] = {
    "serverAddress": "http://prometheus-operated.monitoring.svc.cluster.local:9090",
    "query": 'sum(rate(http_requests_total{namespace="shop", app="web"}[2m]))',
    "threshold": 100,
    "leadTime": "3m",
    "timezone": "Europe/Berlin",
}
"""what the example has in its values"""

OBJECT = """\
{{- $trigger := mergeOverwrite (dict "namespace" "shop" "name" "web") .Values.trigger }}
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  name: web
  namespace: shop
  {{- if eq .Values.template "prometheus" }}
  annotations:
    {{- include "headway-trigger.annotations" $trigger | nindent 4 }}
  {{- end }}
spec:
  scaleTargetRef: {name: web}
  minReplicaCount: 2
  fallback: {failureThreshold: 3, replicas: 6, behavior: currentReplicasIfHigher}
  triggers:
    {{- include (printf "headway-trigger.%s" .Values.template) $trigger | nindent 4 }}
"""


@pytest.fixture(scope="module", params=MAJORS)
def helm_major(request: pytest.FixtureRequest) -> int:
    return request.param


@pytest.fixture(scope="module")
def example(helm_major: int, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the example with its dependency built, as `helm dependency build` does it."""
    root = tmp_path_factory.mktemp("charts")
    for chart in (LIBRARY, EXAMPLE):
        shutil.copytree(ROOT / chart, root / chart)
    built = run_helm(helm_major, "dependency", "build", root / EXAMPLE)
    assert built.returncode == 0, built.stderr
    return root / EXAMPLE


@pytest.fixture(scope="module")
def chart(example: Path) -> Path:
    """The same chart with a ScaledObject whose triggers come from the template named in its values."""
    changed = example.with_name("changed")
    shutil.copytree(example, changed)
    (changed / "templates" / "scaledobject.yaml").write_text(OBJECT)
    return changed


def render(major: int, chart: Path, template: str = "", **trigger: Any) -> str:
    """The rendered chart, or the error. Without a template: as the chart is."""
    values = ["--set-json", f"template={json.dumps(template)}", "--set-json", f"trigger={json.dumps(trigger)}"]
    result = run_helm(major, "template", "web", chart, "--namespace", "shop", *(values if template else ()))
    return result.stdout if result.returncode == 0 else result.stderr


def test_example_is_what_headway_check_likes(helm_major: int, example: Path) -> None:
    """The example renders the safe connection, and `headway check` finds nothing in it."""
    rendered = render(helm_major, example)
    scaled = yaml.safe_load(rendered)
    assert scaled["metadata"]["annotations"] == {
        "headway.dev/forecast": "true",
        "headway.dev/lead-time": "3m",
        "headway.dev/timezone": "Europe/Berlin",
    }
    [trigger] = scaled["spec"]["triggers"]
    assert trigger == {
        "type": "prometheus",
        "metadata": {
            "serverAddress": FORECAST["serverAddress"],
            "threshold": "100",
            "query": f'max(headway_planned_demand{{namespace="shop", name="web"}}) or {FORECAST["query"]}',
        },
    }
    assert findings(rendered) == []
    linted = run_helm(helm_major, "lint", "--strict", example)
    assert linted.returncode == 0, linted.stdout


def findings(rendered: str) -> list[str]:
    manifest = read_manifest(rendered)
    [scaled] = manifest.objects
    return [str(found) for found in inspect(scaled, Context(keda_version=(2, 20, 2)))]


def test_external_trigger_comes_with_its_floors(helm_major: int, chart: Path) -> None:
    """The trigger that asks Headway has every key; beside it are the demand itself and the CPU."""
    rendered = render(helm_major, chart, "external", forecast=FORECAST)
    external, reactive, cpu = yaml.safe_load(rendered)["spec"]["triggers"]
    texts = {key: str(value) for key, value in FORECAST.items()}
    assert external["type"] == "external"
    assert external["metadata"] == {"scalerAddress": "dns:///headway.keda.svc.cluster.local:50051", **texts}
    assert reactive["metadata"] == {key: texts[key] for key in ("serverAddress", "query", "threshold")}
    assert cpu == {"type": "cpu", "metricType": "Utilization", "metadata": {"value": "80"}}
    assert findings(rendered) == []


def test_external_trigger_can_be_changed(helm_major: int, chart: Path) -> None:
    """Address, type, TLS and the CPU floor are the caller's."""
    reference = {"name": "headway", "kind": "ClusterTriggerAuthentication"}
    rendered = render(
        helm_major, chart, "external", forecast=FORECAST, scalerAddress="dns:///h.ns:1", type="external-push",
        authenticationRef=reference, cpu=65,
    )  # fmt: skip
    external, _, cpu = yaml.safe_load(rendered)["spec"]["triggers"]
    assert (external["type"], external["metadata"]["scalerAddress"]) == ("external-push", "dns:///h.ns:1")
    assert external["authenticationRef"] == reference
    assert cpu["metadata"] == {"value": "65"}
    without = yaml.safe_load(render(helm_major, chart, "external", forecast=FORECAST, cpu=False))
    assert [trigger["type"] for trigger in without["spec"]["triggers"]] == ["external", "prometheus"]


SAMPLES = {
    "query": "sum(up)", "threshold": 1000000, "activationThreshold": 0.5, "serverAddress": "http://prometheus:9090",
    "leadTime": "3m", "quantile": 0.95, "mode": "shadow", "policy": "aggressive", "model": "auto",
    "timezone": "Europe/Berlin", "historyWindow": "7d", "queryStep": "30s", "maxStaleness": "10m",
    "ignoreNullValues": True, "namespace": "team-a", "queryParameters": "dedup=true", "timeout": 3000,
}  # fmt: skip
"""a value of every key, as people write them in values: numbers and booleans are not always quoted"""


def test_every_key_of_the_trigger_arrives(helm_major: int, chart: Path) -> None:
    """All keys of docs/trigger.md are known. The external trigger has them all; with the prometheus trigger, discovery
    finds the same in the trigger and the annotations."""
    assert set(SAMPLES) == {key.name for key in TRIGGER_KEYS}
    rules = TriggerRules(default_server="http://prometheus:9090")
    texts = {key: json.dumps(value).strip('"') for key, value in SAMPLES.items()}
    expected = parse_trigger("shop", "web", texts, rules)

    external, *_ = yaml.safe_load(render(helm_major, chart, "external", forecast=SAMPLES))["spec"]["triggers"]
    assert parse_trigger("shop", "web", external["metadata"], rules) == expected

    rendered = render(helm_major, chart, "prometheus", forecast=SAMPLES)
    [scaled] = read_manifest(rendered).objects
    found = read_annotated(scaled, rules)
    assert isinstance(found, Annotated), found
    assert found.is_wrapped
    assert found.trigger == expected
    [trigger] = yaml.safe_load(rendered)["spec"]["triggers"]
    assert {*trigger["metadata"], "activationThreshold"} == {*KEDA_READS, "activationThreshold"}


REFUSED = [
    ({"forecast": {**FORECAST, "leedTime": "3m"}}, "forecast.leedTime is unknown: the keys are query, threshold"),
    ({"forecast": {**FORECAST, "bearerToken": "x"}}, "forecast.bearerToken is unknown"),
    ({"forecast": {"threshold": 1}}, "forecast.query is missing: write the PromQL that returns the demand"),
    ({"forecast": {"query": " ", "threshold": 1}}, "forecast.query is missing"),
    (
        {"forecast": {"query": "up", "serverAddress": "http://p"}},
        "forecast.threshold is missing: write the demand that one replica carries",
    ),
    ({"forecast": {"query": "up", "threshold": 1}}, "forecast.serverAddress is missing: KEDA needs it"),
    ({"forecast": {**FORECAST, "query": "max(headway_planned_demand) or up"}}, "forecast.query reads headway_planned"),
    ({}, "forecast.query is missing"),
    ({"forecast": {**FORECAST, "threshold": [1]}}, "forecast.threshold must be a text or a number, not [1]"),
    ({"forecast": FORECAST, "name": ""}, "name is missing: pass the name of the ScaledObject"),
    ({"forecast": FORECAST, "type": "push"}, 'type "push" is unknown: write external or external-push'),
]


@pytest.mark.parametrize(("trigger", "message"), REFUSED)
def test_mistakes_are_refused(helm_major: int, chart: Path, trigger: dict[str, Any], message: str) -> None:
    """A wrong argument ends the rendering with what to write instead."""
    assert f"headway-trigger: {message}" in render(helm_major, chart, "external", **trigger)
