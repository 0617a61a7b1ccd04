"""Faults of settings: in one field's value, or a contradiction between fields. Pure."""

import difflib
import re
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from scaler.errors import Fault, SettingsError, TriggerInvalid
from scaler.settings.bundle_url import place_fault
from scaler.settings.values import duration_text
from scaler.telemetry.redaction import HIDDEN, redacted
from scaler.trigger import ServerIdentity, TriggerRules, parse_trigger
from scaler.trigger.server_address import redact
from scaler.trigger.values import veil

if TYPE_CHECKING:
    from scaler.settings.fields import Server, Settings

SHORTEST_REFRESH_SECONDS = 5


class SettingsInvalid(SettingsError):
    """Every fault of the settings at once, one per line."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        self.faults = faults
        noun = "fault" if len(faults) == 1 else "faults"
        super().__init__("\n  ".join([f"{len(faults)} {noun} in the settings:", *map(str, faults)]))


def field_name(written: str) -> str:
    """The field's name, from the way a flag or the file spells it."""
    return written.replace("-", "_")


def written(name: str) -> str:
    """The field as flags and the file spell it."""
    return name.replace("_", "-")


def fault_of(detail: ErrorDetails, model: type[BaseModel]) -> Fault:
    """The fault behind one error of pydantic about `model`. The value is shown without its secrets.

    The value of an unknown setting or of a trigger's metadata is never shown: it may be a secret.
    """
    field = written(".".join(map(str, detail["loc"])))
    if detail["type"] == "extra_forbidden":
        return Fault(field, HIDDEN, _unknown(field.rpartition(".")[2], model))
    if detail["type"] == "missing":
        return Fault(field, "", "is required")
    hidden = (
        not {"metadata", "options"}.isdisjoint(detail["loc"])
        or (_is_secret(detail, model) and "://" not in str(detail["input"]))
        or _may_be_the_secret(field, str(detail["input"]))
    )
    return Fault(field, HIDDEN if hidden else _shown(detail["input"]), _rule(detail))


def _may_be_the_secret(field: str, value: str) -> bool:
    """A token or password where the file that holds it is meant: what does not begin as a path may be one."""
    return field.endswith(("password-file", "token-file")) and not value.startswith(("/", "./", "../"))


def _is_secret(detail: ErrorDetails, model: type[BaseModel]) -> bool:
    known = model.model_fields.get(str(detail["loc"][0]))
    return known is not None and "SecretStr" in str(known.annotation)


_MUST_BE = {
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "string_type": "must be quoted: it is text",
    "path_type": "must be a path",
    "tuple_type": "must be a list",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be {expected}",
}
"""pydantic's error types, in the wording of the other rules"""


def _rule(detail: ErrorDetails) -> str:
    text = _MUST_BE.get(detail["type"])
    if text is not None:
        return text.format(**detail.get("ctx", {}))
    rule = detail["msg"].removeprefix("Value error, ")
    return rule[0].lower() + rule[1:]


def contradictions(settings: "Settings", faulty: Collection[str] = ()) -> list[Fault]:
    """Contradictions between valid fields; those that involve a `faulty` field are left out."""
    left_out = set(map(written, faulty))
    found = [
        *_door(settings),
        *_bundle(settings),
        *_timing(settings),
        *_access(settings),
        *_triggers(settings),
        *_kubernetes(settings),
    ]
    return [fault for fault in found if left_out.isdisjoint({fault.field, *_FIELD.findall(fault.rule)})]


_FIELD = re.compile(r"[a-z]+(?:[-.][a-z0-9]+)*")


def _unknown(field: str, model: type[BaseModel]) -> str:
    near = difflib.get_close_matches(field, list(map(written, model.model_fields)), n=1)
    return f"unknown setting; did you mean {near[0]}?" if near else "unknown setting"


def _shown(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_shown, value))
    if isinstance(value, str | int | float):
        text = str(value)
        if "://" in text:
            return redact(text) if "@" in text else redacted(text)
        return text if text.startswith(("/", "./", "../")) else veil(redacted(text))
    return HIDDEN if value is not None else ""


def _door(settings: "Settings") -> list[Fault]:
    needs = [
        ("tls-cert", settings.tls_cert, settings.tls_key, "needs tls-key"),
        ("tls-key", settings.tls_key, settings.tls_cert, "needs tls-cert"),
        ("tls-client-ca", settings.tls_client_ca, settings.tls_cert, "needs tls-cert and tls-key"),
    ]
    faults = [Fault(name, str(file), rule) for name, file, needed, rule in needs if file and not needed]
    if settings.http_tls != "off" and not settings.tls_cert:
        faults.append(Fault("http-tls", settings.http_tls, "needs tls-cert and tls-key"))
    if settings.http_tls == "mtls" and not settings.tls_client_ca:
        faults.append(Fault("http-tls", settings.http_tls, "needs tls-client-ca, whose clients may call"))
    faults += _writes(settings)
    for name in ("http-address", "grpc-address"):
        address = getattr(settings, field_name(name))
        if settings.probe_address == address and not address.endswith(":0"):
            faults.append(Fault("probe-address", address, f"must differ from {name}"))
    return faults


def _writes(settings: "Settings") -> list[Fault]:
    mode, header = settings.http_writes, settings.http_user_header
    if mode == "token" and not settings.http_token_file:
        return [Fault("http-writes", mode, "needs http-token-file, whose token lets clients write")]
    if mode == "proxy" and not header:
        return [Fault("http-writes", mode, "needs http-user-header, in which the proxy names the user")]
    if header and mode != "proxy":
        return [Fault("http-user-header", header, "needs http-writes: proxy, which trusts it")]
    return []


def _bundle(settings: "Settings") -> list[Fault]:
    rule = place_fault(settings.bundle, settings.bundle_protocols)
    return [Fault("bundle", redact(settings.bundle), rule)] if rule else []


def _timing(settings: "Settings") -> list[Fault]:
    interval, age = settings.refresh_interval, settings.max_connection_age
    faults = []
    if interval < SHORTEST_REFRESH_SECONDS or 60 % interval:
        rule = "must be at least 5s and divide a minute: 5s, 6s, 10s, 12s, 15s, 20s, 30s or 1m"
        faults.append(Fault("refresh-interval", duration_text(interval), rule))
    for name, value, limit_name, limit in (
        ("publish-grace", settings.publish_grace, "refresh-interval", interval),
        ("stream-lifetime", settings.stream_lifetime, "max-connection-age", age),
    ):
        if value >= limit:
            rule = f"must be shorter than {limit_name} ({duration_text(limit)})"
            faults.append(Fault(name, duration_text(value), rule))
    return faults


def trigger_rules(settings: "Settings") -> TriggerRules:
    """What the operator allows in triggers, and what belongs to the keys of their state."""
    identities = tuple(
        ServerIdentity(
            one.pattern, one.tenant, one.tenant_header, one.username, "" if one.kind == "prometheus" else one.kind
        )
        for one in settings.known_servers
    )
    return TriggerRules(
        settings.prometheus,
        settings.allow_server_address,
        settings.max_query_length,
        settings.installation,
        identities,
    )


def _triggers(settings: "Settings") -> list[Fault]:
    rules = trigger_rules(settings)
    faults = []
    for number, listed in enumerate(settings.triggers):
        try:
            parse_trigger(listed.namespace, listed.name, listed.metadata, rules)
        except TriggerInvalid as error:
            faults += [Fault(f"triggers.{number}.{f.field}", f.value, f.rule) for f in error.faults]
    return faults


def _kubernetes(settings: "Settings") -> list[Fault]:
    given = [
        (name, str(getattr(settings, name)))
        for name in ("kubernetes_api", "kubernetes_token_file", "kubernetes_ca_file")
        if getattr(settings, name)
    ]
    if not settings.discover_namespaces:
        return [Fault(written(name), value, "needs discover-namespaces, which uses it") for name, value in given]
    if not settings.kubernetes_api.startswith("http:"):
        return []
    rule = "needs a kubernetes-api that begins with https://"
    return [Fault(written(name), value, rule) for name, value in given if name != "kubernetes_api"]


def _access(settings: "Settings") -> list[Fault]:
    faults = [fault for number, server in enumerate(settings.servers) for fault in _login(server, f"servers.{number}.")]
    if settings.default_server is not None:
        return faults + _login(settings.default_server, "prometheus-")
    return faults + [
        Fault(written(name), str(getattr(settings, name)), "needs prometheus, the server that it applies to")
        for name in sorted(settings.model_fields_set)
        if name.startswith("prometheus_") and name not in _FOR_EVERY_SERVER and getattr(settings, name)
    ]


_FOR_EVERY_SERVER = ("prometheus_timeout", "prometheus_concurrency", "prometheus_method")


def _login(server: "Server", prefix: str) -> list[Fault]:
    pairs = [
        ("username", "password_file"),
        ("password_file", "username"),
        ("certificate_file", "key_file"),
        ("key_file", "certificate_file"),
    ]
    faults = [
        Fault(prefix + written(name), str(getattr(server, name)), f"needs {prefix}{written(other)}")
        for name, other in pairs
        if getattr(server, name) and not getattr(server, other)
    ]
    if server.bearer_token_file and server.username:
        rule = f"must not be set together with {prefix}username: a server takes one kind of credentials"
        faults.append(Fault(f"{prefix}bearer-token-file", str(server.bearer_token_file), rule))
    return faults
