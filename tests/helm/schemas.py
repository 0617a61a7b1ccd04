"""Manifests against the schemas of Kubernetes and of the custom resources. An unknown key is a fault: the API server
drops it without an error, and what it should have done is not done."""

import functools
import importlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

import kubernetes_validate
from pydantic import ValidationError

# it would read a megabyte of definitions for every manifest
kubernetes_validate.utils.schema_contents = functools.cache(kubernetes_validate.utils.schema_contents)

_CUSTOM = {
    "keda.sh/v1alpha1": "cloudcoil.models.keda.v1alpha1",
    "monitoring.coreos.com/v1": "cloudcoil.models.prometheus_operator.v1",
    "cert-manager.io/v1": "cloudcoil.models.cert_manager.v1",
}
"""models made from the CRDs of KEDA 2.16, the Prometheus operator 0.80 and cert-manager 1.17"""

_NEWER = {("ScaledObject", "spec.fallback.behavior")}
"""keys that later CRDs have: KEDA 2.17"""


def faults(manifest: Mapping[str, Any], kubernetes: str) -> list[str]:
    """What is wrong with a manifest in this version of Kubernetes; each says where."""
    return list(_faults(json.dumps(manifest, sort_keys=True), kubernetes))


@functools.cache
def _faults(text: str, kubernetes: str) -> tuple[str, ...]:
    manifest = json.loads(text)
    name = f"{manifest['kind']}/{manifest['metadata']['name']}"
    module = _CUSTOM.get(manifest["apiVersion"])
    found = _of_custom(manifest, module) if module else _of_kubernetes(manifest, kubernetes)
    return tuple(f"{name}: {fault}" for fault in found)


def _of_kubernetes(manifest: dict[str, Any], kubernetes: str) -> Iterator[str]:
    try:
        kubernetes_validate.validate(manifest, kubernetes, strict=True)
    except kubernetes_validate.ValidationError as error:
        yield f"{'.'.join(map(str, error.path))}: {error.message}"
    except kubernetes_validate.SchemaNotFoundError:
        yield f"Kubernetes {kubernetes} has no {manifest['kind']} in {manifest['apiVersion']}"


def _of_custom(manifest: dict[str, Any], module: str) -> Iterator[str]:
    model = getattr(importlib.import_module(module), manifest["kind"])
    try:
        read = model.model_validate(manifest).model_dump(by_alias=True, exclude_unset=True, mode="json")
    except ValidationError as error:
        yield from (f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        return
    unknown = [path for path in _lost(manifest, read) if (manifest["kind"], path) not in _NEWER]
    yield from (f"{path} is unknown" for path in unknown)


def _lost(given: object, read: object, path: str = "") -> Iterator[str]:
    """Paths of keys that the model did not take over."""
    match given, read:
        case dict(), dict():
            for key, value in given.items():
                here = f"{path}.{key}".lstrip(".")
                if key not in read:
                    yield here
                else:
                    yield from _lost(value, read[key], here)
        case list(), list():
            for index, (value, other) in enumerate(zip(given, read, strict=True)):
                yield from _lost(value, other, f"{path}[{index}]")
