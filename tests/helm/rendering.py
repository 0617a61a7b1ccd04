"""The chart, rendered: every value set in every kind of cluster, each once and in parallel."""

import copy
import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.servers.helm import MAJORS, run_helm

HERE = Path(__file__).parent
CHART = HERE.parents[1] / "helm" / "headway"
VALUES = {path.stem: path for path in sorted((HERE / "values").glob("*.yaml"))}
"""value sets by name; the comment at the top of each says which installation it is"""
RELEASE, NAMESPACE = "headway", "keda"

KUBERNETES = ("1.27", "1.33", "1.37")
"""the oldest version that the chart accepts, one between, and the newest that the validators know"""
KEDA = ("keda.sh/v1alpha1", "keda.sh/v1alpha1/ScaledObject", "keda.sh/v1alpha1/ClusterTriggerAuthentication",
        "keda.sh/v1alpha1/TriggerAuthentication")  # fmt: skip
MONITORING = ("monitoring.coreos.com/v1", "monitoring.coreos.com/v1/ServiceMonitor",
              "monitoring.coreos.com/v1/PrometheusRule")  # fmt: skip
CERT_MANAGER = ("cert-manager.io/v1", "cert-manager.io/v1/Certificate", "cert-manager.io/v1/Issuer",
                "cert-manager.io/v1/ClusterIssuer")  # fmt: skip
EVERYTHING = KEDA + MONITORING + CERT_MANAGER
APIS = {"all": EVERYTHING, "keda": KEDA, "none": ()}
"""which CRDs a cluster has"""


@dataclass(frozen=True, slots=True)
class Cluster:
    """What `helm template` is told about where it installs."""

    kubernetes: str = KUBERNETES[-1]
    apis: str = "all"

    @property
    def flags(self) -> tuple[str, ...]:
        return "--kube-version", self.kubernetes, *(f"--api-versions={api}" for api in APIS[self.apis])


CLUSTERS = (*(Cluster(version) for version in KUBERNETES), *(Cluster(apis=apis) for apis in APIS if apis != "all"))
"""every version with all CRDs, and the newest with fewer"""


@dataclass(frozen=True, slots=True)
class Rendered:
    """What one call printed: manifests, or the error."""

    text: str = ""
    error: str = ""


@functools.cache
def rendered(values: str, major: int = MAJORS[-1], cluster: Cluster = Cluster()) -> Rendered:
    """One value set, rendered once per run of the tests."""
    return render(major, cluster, "--values", VALUES[values])


def render(major: int, cluster: Cluster, *flags: str | Path, chart: Path = CHART) -> Rendered:
    """The chart with these flags."""
    result = run_helm(major, "template", RELEASE, chart, "--namespace", NAMESPACE, *cluster.flags, *flags)
    if result.returncode:
        return Rendered(error=result.stderr)
    return Rendered(text=without_blank_ends(result.stdout))


def without_blank_ends(text: str) -> str:
    """The same without blank lines between documents, in which Helm 3 and 4 differ."""
    return re.sub(r"\n+(---\n|$)", r"\n\1", text)


def render_all(calls: Iterable[tuple[str, int, Cluster]]) -> None:
    """Renders these at the same time, for the calls of `rendered` that follow."""
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda call: rendered(*call), calls))


class _OneOfEachKey(yaml.CSafeLoader):
    """Refuses a key that is twice in one mapping, as kubectl and the API server do."""


def _mapping(loader: yaml.CSafeLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = [key.value for key, _ in node.value]
    if twice := {key for key in keys if keys.count(key) > 1}:
        raise yaml.constructor.ConstructorError(None, None, f"twice in one mapping: {twice}", node.start_mark)
    return loader.construct_mapping(node, deep=True)


_OneOfEachKey.add_constructor("tag:yaml.org,2002:map", _mapping)


def objects(text: str) -> list[dict[str, Any]]:
    """The manifests of a rendered text."""
    return copy.deepcopy(_read(text))


@functools.cache
def _read(text: str) -> list[dict[str, Any]]:
    return [document for document in yaml.load_all(text, Loader=_OneOfEachKey) if document]


def of_kind(manifests: Iterable[Mapping[str, Any]], kind: str) -> list[Any]:
    return [manifest for manifest in manifests if manifest["kind"] == kind]


def pod_templates(manifests: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Name and pod template of every object that makes pods."""
    for manifest in manifests:
        name = f"{manifest['kind']}/{manifest['metadata']['name']}"
        match manifest["kind"]:
            case "Deployment" | "StatefulSet" | "DaemonSet" | "Job":
                yield name, manifest["spec"]["template"]
            case "CronJob":
                yield name, manifest["spec"]["jobTemplate"]["spec"]["template"]
            case "Pod":
                yield name, manifest
