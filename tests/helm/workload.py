"""The scaler's workload in a rendered chart, and what its container sees."""

from typing import Any

from tests.helm.rendering import objects, of_kind, rendered


def manifests_of(values: str) -> list[dict[str, Any]]:
    return objects(rendered(values).text)


def scaler_of(manifests: list[dict[str, Any]]) -> Any:
    """The scaler's Deployment, or StatefulSet."""
    [workload] = [
        manifest
        for manifest in [*of_kind(manifests, "Deployment"), *of_kind(manifests, "StatefulSet")]
        if manifest["metadata"]["labels"]["app.kubernetes.io/component"] == "scaler"
    ]
    return workload


def container_of(workload: Any) -> Any:
    """The one of Headway, or of Valkey: the first."""
    return workload["spec"]["template"]["spec"]["containers"][0]


def files_of(workload: Any, manifests: list[dict[str, Any]]) -> dict[str, str | None]:
    """Path → content of every file of a ConfigMap in the scaler's container; a Secret's folder, with None."""
    volumes = {volume["name"]: volume for volume in workload["spec"]["template"]["spec"]["volumes"]}
    maps = {manifest["metadata"]["name"]: manifest["data"] for manifest in of_kind(manifests, "ConfigMap")}
    files: dict[str, str | None] = {}
    for mount in container_of(workload)["volumeMounts"]:
        volume = volumes[mount["name"]]
        if "configMap" in volume and volume["configMap"]["name"] in maps:
            data = maps[volume["configMap"]["name"]]
            files |= {f"{mount['mountPath']}/{key}": text for key, text in data.items()}
        else:
            files[mount["mountPath"]] = None
    return files


def settings_text(manifests: list[dict[str, Any]]) -> str:
    """The settings file that `headway serve` reads in the scaler's container."""
    workload = scaler_of(manifests)
    assert container_of(workload)["args"] == ["serve"]
    [path] = [one["value"] for one in container_of(workload)["env"] if one["name"] == "HEADWAY_CONFIG"]
    text = files_of(workload, manifests)[path]
    assert text is not None
    return text
