"""helm/headway/values.schema.json: types from values.yaml's defaults, rules from below, `settings` from the scaler."""

import json
import re
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args, get_origin

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from scaler.settings.fields import Settings
from scaler.settings.options import placeholder
from scaler.settings.rules import written
from tools.chart_values import VALUES, Value, read_values

Schema: TypeAlias = dict[str, Any]

TEMPLATES = VALUES.parent / "templates"

DURATION = r"^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$"
PROMETHEUS_DURATION = "^([0-9]+(ms|s|m|h|d|w|y))+$"
SIZE = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$"
DNS_LABEL = "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"
OWN_NAME = "^([a-z0-9]([a-z0-9-]*[a-z0-9])?)?$"
DNS_NAME = r"^([a-z0-9]([a-z0-9.-]*[a-z0-9])?)?$"
SECRET_KEY = r"^[A-Za-z0-9._-]+$"
HOST = r"^(\*\.)?[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$"
DIGEST = "^(sha256:[0-9a-f]{64})?$"

SECRET_KEYS = ("database.key", "redis.key", "valkey.key", "tls.clientCA.key", "http.token.key", "redis.signingKey.key")
_PORT: Schema = {"minimum": 1, "maximum": 65535}
_TEXTS: Schema = {"items": {"type": "string"}}
_QUANTITIES: Schema = {"type": "object", "additionalProperties": {"type": ["string", "number"]}}
_RESOURCES: Schema = {"properties": {"requests": _QUANTITIES, "limits": _QUANTITIES, "claims": {"type": "array"}}}
_SCHEDULED: Schema = {"enum": ["ScheduleAnyway", "DoNotSchedule", ""]}
_NAMED: Schema = {
    "items": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string", "minLength": 1}}}
}
_ENVIRONMENT: Schema = {
    "items": {
        "type": "object",
        "required": ["name"],
        "properties": {"name": {"type": "string", "minLength": 1}, "value": {"type": "string"}},
    }
}
_IMAGES = ("image", "valkey.image", "training.image")

RULES: Mapping[str, Schema] = {
    "nameOverride": {"pattern": OWN_NAME, "maxLength": 63},
    "fullnameOverride": {"pattern": r"^([a-z]([a-z0-9-]*[a-z0-9])?)?$"},
    "clusterDomain": {"pattern": DNS_NAME, "minLength": 1},
    "replicaCount": {"minimum": 1},
    "imagePullSecrets": _NAMED,
    "extraEnv": _ENVIRONMENT,
    "extraContainers": _NAMED,
    "extraInitContainers": _NAMED,
    "extraVolumes": _NAMED,
    "extraVolumeMounts": _NAMED,
    "training.extraEnv": _ENVIRONMENT,
    **{f"{image}.repository": {"pattern": "^[A-Za-z0-9._/:-]+$"} for image in _IMAGES},
    **{f"{image}.tag": {"pattern": "^[A-Za-z0-9._-]*$"} for image in _IMAGES},
    "image.digest": {"pattern": DIGEST},
    "valkey.image.digest": {"pattern": DIGEST},
    "training.image.digest": {"pattern": DIGEST},
    "image.pullPolicy": {"enum": ["Always", "IfNotPresent", "Never"]},
    "valkey.image.pullPolicy": {"enum": ["Always", "IfNotPresent", "Never"]},
    "training.image.pullPolicy": {"enum": ["Always", "IfNotPresent", "Never"]},
    "kedaNamespace": {"pattern": DNS_LABEL},
    "credentials": {
        "items": {
            "type": "object",
            "required": ["name", "secretName"],
            "additionalProperties": False,
            "properties": {
                "name": {"type": "string", "pattern": DNS_LABEL, "maxLength": 51},
                "secretName": {"type": "string", "pattern": DNS_NAME, "minLength": 1},
            },
        }
    },
    "valkey.password": {"pattern": r"^[A-Za-z0-9.~_-]*$"},
    "valkey.maxMemory": {"pattern": "^[0-9]+(kb|mb|gb)$"},
    "persistence.size": {"pattern": SIZE},
    "bundle.claim.size": {"pattern": SIZE},
    "training.scratchSize": {"pattern": SIZE},
    "persistence.accessModes": {**_TEXTS, "minItems": 1},
    "bundle.claim.accessModes": {**_TEXTS, "minItems": 1},
    "bundle.path": {"pattern": r"^([^/.][^/]*(/[^/.][^/]*)*)?$"},
    "tls.certManager.issuerRef.kind": {"pattern": "^[A-Za-z]+$"},
    "training.timeZone": {"pattern": "^[A-Za-z0-9_+/-]*$"},
    "kedaAuth.name": {"pattern": DNS_NAME},
    **{key: {"pattern": SECRET_KEY} for key in SECRET_KEYS},
    "tls.certManager.duration": {"pattern": DURATION},
    "tls.certManager.renewBefore": {"pattern": DURATION},
    # YAML reads a bare `off` as a boolean
    "http.tls": {"type": ["string", "boolean"], "enum": ["off", "tls", "mtls", False]},
    "http.allowedHosts": {"items": {"type": "string", "pattern": HOST}},
    "http.probePort": {"minimum": 0, "maximum": 65535},
    "kedaAuth.kind": {"enum": ["ClusterTriggerAuthentication", "TriggerAuthentication"]},
    "kedaAuth.namespaces": {"items": {"type": "string", "pattern": DNS_LABEL}},
    "discovery.namespaces": {"items": {"type": "string", "pattern": r"^(\*|[a-z0-9]([a-z0-9-]*[a-z0-9])?)$"}},
    "networkPolicy.monitoringNamespaces": {"items": {"type": "string", "pattern": DNS_LABEL}},
    "networkPolicy.egress.redisPorts": {"items": {"type": "integer", **_PORT}},
    "networkPolicy.egress.databasePorts": {"items": {"type": "integer", **_PORT}},
    "networkPolicy.egress.tracesPorts": {"items": {"type": "integer", **_PORT}},
    **{
        f"{probe}Probe.{field}": {"minimum": 1}
        for probe in ("startup", "liveness", "readiness")
        for field in ("periodSeconds", "timeoutSeconds", "failureThreshold")
    },
    "service.grpcPort": _PORT,
    "service.httpPort": _PORT,
    "service.ipFamilyPolicy": {"enum": ["SingleStack", "PreferDualStack", "RequireDualStack", ""]},
    "podDisruptionBudget.maxUnavailable": {"type": ["integer", "string"], "pattern": "^[0-9]+%$"},
    "topologySpread.hosts": _SCHEDULED,
    "topologySpread.zones": _SCHEDULED,
    "minReadySeconds": {"minimum": 0},
    "revisionHistoryLimit": {"minimum": 0},
    "serviceMonitor.interval": {"pattern": PROMETHEUS_DURATION},
    "serviceMonitor.scrapeTimeout": {"pattern": "^(([0-9]+(ms|s|m|h))+)?$"},
    "training.schedule": {"pattern": r"^(@(hourly|daily|weekly|monthly|yearly|annually|midnight)|\S+( \S+){4})$"},
    "training.since": {"pattern": "^([0-9]+(s|m|h|d|w))+$"},
    "training.step": {"pattern": "^([0-9]+(s|m|h))+$"},
    "training.recipe": {"pattern": "^[a-z0-9_-]+$"},
    "training.extraArgs": _TEXTS,
    "training.activeDeadlineSeconds": {"minimum": 1},
    "training.backoffLimit": {"minimum": 0},
    "training.successfulJobsHistoryLimit": {"minimum": 0},
    "training.failedJobsHistoryLimit": {"minimum": 0},
    "resources": _RESOURCES,
    "valkey.resources": _RESOURCES,
    "training.resources": _RESOURCES,
    "tests.resources": _RESOURCES,
    "extraObjects": {"items": {"type": ["object", "string"]}},
}
"""value → what its schema says beyond the type of its default"""

FREE = (
    *("podSecurityContext", "securityContext", "affinity", "valkey.affinity", "training.affinity"),
    "serviceMonitor.tlsConfig",
)
"""values that the cluster itself checks"""

NAMES = frozenset(
    {
        *("existingSecret", "existingClaim", "envFromSecret", "storageClass", "priorityClassName", "runtimeClassName"),
        *("serviceAccount.name", "issuerRef.name", "issuerRef.group"),
    }
)
"""last parts of the values that name an object of the cluster, or an API group"""

TEXT_MAPS = frozenset(
    {"labels", "annotations", "podLabels", "podAnnotations", "commonLabels", "commonAnnotations", "nodeSelector"}
)
"""names of mappings from any key to a text"""

_TYPES: Mapping[type, str] = {str: "string", bool: "boolean", int: "integer", list: "array", dict: "object"}


def schema_text() -> str:
    """The content of values.schema.json."""
    return json.dumps(chart_schema(), indent=2, ensure_ascii=False) + "\n"


def chart_schema() -> Schema:
    """The schema of the chart's values. Raises ValueError where a rule is for a value that does not exist."""
    unused = set(RULES) | set(FREE)
    schema = _properties(read_values(VALUES.read_text()), unused)
    if unused:
        raise ValueError(f"rules for values that do not exist: {', '.join(sorted(unused))}")
    schema["properties"]["global"] = {
        "type": "object",
        "description": "Values that Helm gives to every subchart; not used.",
    }
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Values of the chart headway",
        "type": "object",
        **schema,
    }


def _schema_of(value: Value, unused: set[str]) -> Schema:
    unused.discard(value.key)
    schema: Schema = {"description": value.description} if value.description else {}
    schema["type"] = _TYPES[type(value.default)]
    if value.key == "settings":
        return {**schema, **settings_schema()}
    if schema["type"] == "object":
        schema |= _mapping(value, unused)
    if NAMES & {value.path[-1], ".".join(value.path[-2:])}:
        schema["pattern"] = DNS_NAME
    return schema | RULES.get(value.key, {})


def _mapping(value: Value, unused: set[str]) -> Schema:
    name = value.path[-1]
    if value.key in FREE:
        return {}
    if name in TEXT_MAPS:
        return {"additionalProperties": {"type": "string"}}
    if name == "resources":
        return {"additionalProperties": False}
    return _properties(value.children, unused)


def _properties(values: tuple[Value, ...], unused: set[str]) -> Schema:
    """A mapping of these values and no others. What the templates look into is required: null would remove it."""
    return {
        "additionalProperties": False,
        "required": [value.path[-1] for value in values if value.children and not _is_passed_on(value)],
        "properties": {value.path[-1]: _schema_of(value, unused) for value in values},
    }


def _is_passed_on(value: Value) -> bool:
    """Whether the templates pass the mapping on as it is, also where it is missing."""
    return value.key in FREE or value.path[-1] in {*TEXT_MAPS, "resources"}


def settings_schema() -> Schema:
    """The schema of `settings`, from the scaler's own fields. What the chart decides is admitted: a template refuses it
    and says what to write instead, which a schema cannot.
    """
    own = own_settings()
    fields = {written(name): field for name, field in Settings.model_fields.items()}
    listed = {name: _field_schema(field) for name, field in fields.items() if name not in own}
    refused = {name: {"description": f"Set by the chart; write {instead}."} for name, instead in own.items()}
    return {"additionalProperties": False, "properties": {**listed, **refused}}


def own_settings() -> dict[str, str]:
    """Settings that the chart decides → the value to write instead; from the template that refuses them."""
    text = Path(TEMPLATES / "_faults.tpl").read_text()
    found = re.search(r'define "headway.ownSettings" -}}\n(.*?)\n{{- end', text, re.DOTALL)
    assert found is not None
    listed: dict[str, str] = yaml.safe_load(found[1])
    return listed


def _field_schema(field: FieldInfo) -> Schema:
    return {"description": field.description, **_type_of(field)}


def _type_of(field: FieldInfo) -> Schema:
    annotation = field.annotation
    if get_origin(annotation) is types.UnionType:
        annotation = get_args(annotation)[0]
    if placeholder(field) == "DURATION":
        return {"type": "string", "pattern": DURATION}
    if get_origin(annotation) is Literal:
        names = list(get_args(annotation))
        return {"enum": [*names, False] if "off" in names else names}  # YAML reads a bare `off` as a boolean
    if get_origin(annotation) is tuple:
        return {"type": "array", "items": _item(get_args(annotation)[0])}
    if get_origin(annotation) is dict:
        return {"type": "object", "additionalProperties": {"type": "string"}}
    if annotation is int:
        return {"type": "integer", **_limits(field)}
    return {"type": "boolean" if annotation is bool else "string"}


def _item(annotation: Any) -> Schema:
    if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        return {"type": "string", "minLength": 1}
    fields = annotation.model_fields
    return {
        "type": "object",
        "additionalProperties": False,
        "required": [written(name) for name, field in fields.items() if field.is_required()],
        "properties": {written(name): _field_schema(field) for name, field in fields.items()},
    }


def _limits(field: FieldInfo) -> Schema:
    limits: Schema = {}
    for rule in field.metadata:
        for ours, theirs in (("ge", "minimum"), ("le", "maximum")):
            if getattr(rule, ours, None) is not None:
                limits[theirs] = getattr(rule, ours)
    return limits
