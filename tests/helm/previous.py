"""What an installation of an earlier version of the chart has: all its values, some of them changed, and the fields of
its objects that Kubernetes lets nobody change.

`python -m tests.helm.previous` records the chart as it is, before its version is raised.
"""

from pathlib import Path
from typing import Any

import yaml

from tests.helm.rendering import CHART, HERE, VALUES, Cluster, objects, render

FOLDER = HERE / "previous"
CUSTOMISED = "everything"
"""the value set that changes the defaults"""


def versions() -> list[str]:
    return sorted(path.name.removesuffix(".values.yaml") for path in FOLDER.glob("*.values.yaml"))


def values_file(version: str) -> Path:
    return FOLDER / f"{version}.values.yaml"


def immutable_file(version: str) -> Path:
    return FOLDER / f"{version}.immutable.yaml"


def immutable_fields(manifests: list[dict[str, Any]]) -> dict[str, Any]:
    """Kind/namespace/name → what an update may not change; an upgrade that tries fails."""
    found: dict[str, Any] = {}
    for manifest in manifests:
        spec = manifest.get("spec", {})
        match manifest["kind"]:
            case "Deployment":
                fields = {"selector": spec["selector"]}
            case "Service":
                fields = {"clusterIP": spec.get("clusterIP", "")}
            case "PersistentVolumeClaim":
                fields = {name: value for name, value in spec.items() if name != "resources"}
            case "RoleBinding" | "ClusterRoleBinding":
                fields = {"roleRef": manifest["roleRef"]}
            case _:
                continue
        metadata = manifest["metadata"]
        found[f"{manifest['kind']}/{metadata.get('namespace', '')}/{metadata['name']}"] = fields
    return found


def record() -> None:
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["version"]
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    _merge(values, yaml.safe_load(VALUES[CUSTOMISED].read_text()))
    values_file(version).write_text(_HEADER.format(version=version) + yaml.safe_dump(values, sort_keys=False))
    result = render(4, Cluster(), "--values", values_file(version))
    immutable_file(version).write_text(yaml.safe_dump(immutable_fields(objects(result.text))))


_HEADER = "# All values of the chart {version}, as `helm get values --all` shows them for an installation of it.\n"


def _merge(values: dict[str, Any], changes: dict[str, Any]) -> None:
    for name, value in changes.items():
        if isinstance(value, dict) and isinstance(values.get(name), dict):
            _merge(values[name], value)
        else:
            values[name] = value


if __name__ == "__main__":
    record()
