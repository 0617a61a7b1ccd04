"""The values: each is documented, in the schema and of use; bad ones are refused with what to write instead; those of
the chart's previous version still render."""

import copy
import functools
import itertools
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import yaml

from tests.helm.rendering import CHART, Cluster, Rendered, render
from tests.servers.helm import MAJORS
from tools.chart_values import every, read_values

DEFAULTS = yaml.safe_load((CHART / "values.yaml").read_text())
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
LEAVES = {value.path: value.default for value in every(read_values((CHART / "values.yaml").read_text()))
          if not value.children}  # fmt: skip


def test_values_and_schema_have_the_same_names() -> None:
    """Down to the mappings whose keys are the user's: settings, labels, resources, security contexts."""
    known = set(_properties(SCHEMA)) - {("global",)}  # Helm's own
    own = {path for path in known if path[0] != "settings" and path[-2:] != ("resources", "claims")}
    assert own == {next((path[:end] for end in range(1, len(path)) if path[:end] in known), path)
                   for path in LEAVES if path[0] != "settings"}  # fmt: skip


LONGER = {("settings",), ("podSecurityContext",), ("securityContext",)}
"""mappings of which the values have a part"""

ELSEWHERE = {("requireCRDs",)}
"""tested in test_values_refused.py: it matters in a cluster without CRDs"""


def _properties(schema: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, below in schema.get("properties", {}).items():
        yield from _properties(below, (*path, name))
    if not schema.get("properties"):
        yield path


def test_every_mapping_of_the_schema_refuses_unknown_values() -> None:
    """Except those whose keys are the user's."""
    open_ones = [path for path, schema in _mappings(SCHEMA) if "properties" in schema and _is_open(schema)]
    assert open_ones == []


def _mappings(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, below in schema.get("properties", {}).items():
        yield from _mappings(below, f"{path}.{name}")


def _is_open(schema: dict[str, Any]) -> bool:
    return schema.get("additionalProperties", True) is not False


def test_readme_has_a_row_for_every_value() -> None:
    """With its path, as people write it."""
    rows = re.findall(r"^\| `([^`]+)` \|", (CHART / "README.md").read_text(), re.MULTILINE)
    assert {".".join(path) for path in LEAVES} <= set(rows)


def test_templates_read_only_values_that_exist() -> None:
    """A value that a template reads and values.yaml lacks would always be empty."""
    text = "\n".join(path.read_text() for path in (CHART / "templates").rglob("*.*"))
    for chain in set(re.findall(r"\.Values((?:\.\w+)+)", text)):
        node: Any = DEFAULTS
        for name in chain.strip(".").split("."):
            assert name in node, chain
            node = node[name]


def test_every_value_changes_what_is_rendered() -> None:
    """A value that no template reads would be a promise that nothing keeps."""
    cases = [(path, *_change(path)) for path in LEAVES if path[:1] not in LONGER | ELSEWHERE and _has_files(path[0])]
    with ThreadPoolExecutor(4) as pool:
        without_effect = [
            path for path in pool.map(lambda case: None if _has_effect(*case) else case[0], cases) if path
        ]
    assert without_effect == []


def _has_files(name: str) -> bool:
    """Rules and dashboards are rendered from files."""
    folder = {"prometheusRule": "rules", "dashboards": "dashboards"}.get(name)
    return folder is None or any((CHART / "files" / folder).glob("*"))


CHANGES: dict[str, Any] = {
    "image.digest": "sha256:" + 64 * "0",
    "image.pullPolicy": "Never",
    "imagePullSecrets": [{"name": "other"}],
    "credentials": [{"name": "x", "secretName": "y"}],
    "listenAddress": "[::]",
    "service.ipFamilyPolicy": "PreferDualStack",
    "resources.requests.cpu": "3",
    "podDisruptionBudget.maxUnavailable": 2,
    "topologySpread.hosts": "DoNotSchedule",
    "topologySpread.zones": "DoNotSchedule",
    "tolerations": [{"operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "extraEnv": [{"name": "A", "value": "b"}],
    "extraEnvFrom": [{"secretRef": {"name": "s"}}],
    "extraVolumes": [{"name": "v", "emptyDir": {}}],
    "extraVolumeMounts": [{"name": "v", "mountPath": "/v"}],
    "database.url": "postgresql://db/headway",
    "database.existingSecret": "secret",
    "redis.url": "redis://redis:6379",
    "valkey.maxMemory": "64mb",
    "valkey.image.digest": "sha256:" + 64 * "0",
    "valkey.image.pullPolicy": "Never",
    "accessModes": ["ReadWriteOncePod"],
    "size": "7Gi",
    "scratchSize": "7Gi",
    "tls.certManager.duration": "100h",
    "tls.certManager.renewBefore": "50h",
    "tls.certManager.issuerRef.kind": "ClusterIssuer",
    "kedaAuth.kind": "TriggerAuthentication",
    "kedaAuth.namespaces": ["one"],
    "http.tls": "tls",
    "http.allowedHosts": ["other.example.com"],
    "serviceMonitor.tlsConfig": {"serverName": "other"},
    "discovery.namespaces": ["one"],
    "monitoringNamespaces": ["one"],
    "redisPorts": [1],
    "databasePorts": [1],
    "tracesPorts": [1],
    "extraIngress": [{"ports": [{"port": 1}]}],
    "extra": [{"ports": [{"port": 1}]}],
    "serviceMonitor.interval": "7s",
    "serviceMonitor.scrapeTimeout": "7s",
    "relabelings": [{"action": "labeldrop", "regex": "x"}],
    "metricRelabelings": [{"action": "labeldrop", "regex": "x"}],
    "training.schedule": "1 1 1 1 1",
    "training.image.digest": "sha256:" + 64 * "0",
    "training.image.pullPolicy": "Never",
    "training.since": "7d",
    "training.step": "5m",
    "training.recipe": "mlp",
    "training.extraArgs": ["--timezone", "UTC"],
    "requests.cpu": "3",
    "requests.memory": "3Gi",
    "limits.memory": "9Gi",
    "extraObjects": [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}}],
    "kedaNamespace": "elsewhere",
}
"""other values, by the whole path or its end, where another text or number is not enough"""

BASES: dict[str, dict[str, Any]] = {
    "clusterDomain": {"tls": {"enabled": True, "certManager": {"enabled": True}}},
    "kedaNamespace": {"networkPolicy": {"enabled": True}},
    "database.key": {"database": {"existingSecret": "s"}},
    "redis.key": {"redis": {"existingSecret": "s"}},
    "redis.signingKey": {"redis": {"url": "redis://r", "signingKey": {"existingSecret": "s"}}},
    "valkey.password": {"valkey": {"enabled": True, "password": "p"}},
    "valkey.enabled": {"valkey": {"password": "p"}},
    "valkey": {"valkey": {"enabled": True, "existingSecret": "s"}},
    "persistence": {"replicaCount": 1, "persistence": {"enabled": True}},
    "bundle.path": {"bundle": {"existingClaim": "c"}},
    "bundle.claim": {"bundle": {"claim": {"create": True}}},
    "bundle.envFromSecret": {"bundle": {"url": "s3://b"}},
    "tls.enabled": {"kedaAuth": {"enabled": False}, "tls": {"enabled": True, "existingSecret": "s"}},
    "tls.clientCA": {"tls": {"enabled": True, "existingSecret": "s"}, "kedaAuth": {"existingSecret": "k"}},
    "tls.clientCA.key": {"tls": {"enabled": True, "existingSecret": "s", "clientCA": {"existingSecret": "c"}},
                         "kedaAuth": {"existingSecret": "k"}},
    "tls.existingSecret": {"tls": {"enabled": True, "existingSecret": "s"}, "kedaAuth": {"existingSecret": "k"}},
    "tls.certManager.enabled": {"tls": {"enabled": True, "existingSecret": "s"}, "kedaAuth": {"enabled": False}},
    "tls": {"tls": {"enabled": True, "certManager": {"enabled": True, "issuerRef": {"name": "i"}}}},
    "kedaAuth": {"tls": {"enabled": True, "existingSecret": "s"}, "kedaAuth": {"existingSecret": "k"}},
    "kedaAuth.namespaces": {
        "tls": {"enabled": True, "existingSecret": "s"},
        "kedaAuth": {"existingSecret": "k", "kind": "TriggerAuthentication", "namespaces": ["shop"]},
    },
    "http": {"tls": {"enabled": True, "existingSecret": "s"}, "kedaAuth": {"existingSecret": "k"},
             "http": {"token": {"existingSecret": "t"}}},
    "serviceMonitor.tlsConfig": {"tls": {"enabled": True, "existingSecret": "s"}, "kedaAuth": {"existingSecret": "k"},
                                 "http": {"tls": "tls"}, "serviceMonitor": {"enabled": True}},
    "discovery": {"discovery": {"enabled": True}},
    "networkPolicy": {"networkPolicy": {"enabled": True}, "redis": {"url": "redis://r"},
                      "database": {"url": "postgresql://d"}},
    "serviceMonitor": {"serviceMonitor": {"enabled": True}},
    "prometheusRule": {"prometheusRule": {"enabled": True}},
    "dashboards": {"dashboards": {"enabled": True}},
    "training": {"training": {"enabled": True, "destination": "s3://b"}, "bundle": {"url": "s3://b"}},
}  # fmt: skip
"""what has to be set for a value to matter, by the longest path that begins the value's"""


def _change(path: tuple[str, ...]) -> tuple[dict[str, Any], Any]:
    """(the values that make it matter, another value for it)"""
    names = [".".join(path[:length]) for length in range(len(path), 0, -1)]
    base = next((BASES[name] for name in names if name in BASES), {})
    ends = [".".join(path[start:]) for start in range(len(path))]
    default = LEAVES[path]
    changed = next((CHANGES[end] for end in ends if end in CHANGES), None)
    if changed is None:
        match default:
            case bool():
                changed = not (default if _get(base, path) is None else _get(base, path))
            case int():
                changed = default + 1
            case str():
                changed = "changed"
            case list():
                changed = ["changed"]
            case dict():
                changed = {"changed": "changed"}
    return base, changed


def _get(values: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        values = values.get(name) if isinstance(values, dict) else None
    return values


def _with(values: dict[str, Any], path: tuple[str, ...], value: Any) -> dict[str, Any]:
    values = copy.deepcopy(values)
    node = values
    for name in path[:-1]:
        node = node.setdefault(name, {})
    node[path[-1]] = value
    return values


def _has_effect(path: tuple[str, ...], base: dict[str, Any], changed: Any) -> bool:
    """Does the rendered chart change? A fault that names the value counts: a template has read it."""
    before = _rendered(json.dumps(base))
    assert before.error == "", (path, before.error)
    after = _rendered(json.dumps(_with(base, path, changed)))
    return after.text != before.text and (after.error == "" or ".".join(path) in after.error)


@functools.cache
def _rendered(values: str) -> Rendered:
    flags = (("--set-json", f"{name}={json.dumps(value)}") for name, value in json.loads(values).items())
    return render(MAJORS[-1], Cluster(), *itertools.chain.from_iterable(flags))
