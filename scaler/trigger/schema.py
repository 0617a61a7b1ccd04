"""Strings → one frozen `Trigger`, or one error that lists every fault. No clock, no I/O.

`TRIGGER_KEYS` is the whole schema: what a key means, its default and its rule are written there once, and both the
parser and the reference page in the docs are made from it.
"""

import dataclasses
import difflib
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any

from scaler.errors import Fault, TriggerInvalid
from scaler.telemetry.redaction import LONGEST_WHOLE_WORD
from scaler.trigger import server_address
from scaler.trigger import values as value
from scaler.trigger.sizes import LONGEST_KEY, size_faults
from scaler.trigger.values import NOT_SHOWN, hide, is_secret, shorten, veil


@dataclass(frozen=True, slots=True)
class TriggerRules:
    """What the operator allows in a trigger."""

    default_server: str = ""
    """used for a trigger without `serverAddress`; if empty, every trigger needs one"""
    allowed_servers: tuple[str, ...] = ()
    """patterns (`http://prometheus.{namespace}:9090`) a `serverAddress` must match, part by part: `*` stays within one
    label of the host or one segment of the path; `{namespace}` is the trigger's own; without a port, the scheme's own;
    a path allows what lies below it. `*` alone allows every server. The default server is always allowed."""
    max_query_length: int = 4096
    """characters"""
    installation: str = ""
    """whose state it is, where several installations share a cache or a database"""
    identities: tuple["ServerIdentity", ...] = ()
    """whose data the servers answer with; the first one that matches a server counts"""


@dataclass(frozen=True, slots=True)
class ServerIdentity:
    """What the operator's entry for some servers says of whose data they answer with. No secrets."""

    pattern: str
    """as in `TriggerRules.allowed_servers`"""
    tenant: str = ""
    tenant_header: str = ""
    username: str = ""
    kind: str = ""
    """empty: a Prometheus"""


class Mode(StrEnum):
    PREDICTIVE = "predictive"
    SHADOW = "shadow"
    REACTIVE = "reactive"


class PolicyName(StrEnum):
    AGGRESSIVE = "aggressive"
    BALANCED = "balanced"
    CONSERVATIVE = "conservative"


@dataclass(frozen=True, slots=True)
class Trigger:
    """The validated form of one ScaledObject's `scalerMetadata` plus its namespace and name."""

    namespace: str
    name: str
    query: str
    threshold: float
    server_address: str
    activation_threshold: float = 0.0
    lead_time_seconds: float = 120.0
    quantile: float = 0.9
    mode: Mode = Mode.PREDICTIVE
    policy: PolicyName = PolicyName.BALANCED
    model: str = "auto"
    timezone: str = "UTC"
    history_window_seconds: float = 14 * 86400.0
    query_step_seconds: float | None = None
    max_staleness_seconds: float = 300.0
    ignore_null_values: bool = False
    tenant: str = ""
    query_parameters: tuple[tuple[str, str], ...] = ()
    timeout_seconds: float | None = None
    key: str = ""
    """namespace/name/hash of all that determines the answer: the key of its state"""
    history_key: str = dataclasses.field(default="", compare=False)
    """namespace/name/hash of all that determines the demand, and of nothing else: the key of its long history, which
    another threshold or policy leaves in place"""

    @property
    def short_key(self) -> str:
        """Only the hash: it distinguishes two triggers of one ScaledObject."""
        return self.key.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class TriggerKey:
    """One key of the trigger's metadata."""

    name: str
    field: str
    """the field of `Trigger` that it fills"""
    default: str
    """as written in a trigger; empty if `meaning` describes the default"""
    meaning: str
    rule: str
    """the rule for a value; the text of the fault if the value breaks it"""
    parse: Callable[[str], object]
    required: bool = False
    show: Callable[[str], str] = veil
    """the part of a faulty value that a message shows"""


def shown_address(text: str) -> str:
    """The part of a faulty `serverAddress` that a message shows: the server; a path may hold a token."""
    try:
        address = server_address.parse_server_address(text)
    except ValueError:
        return veil(server_address.redact(text[: 2 * LONGEST_WHOLE_ADDRESS]))
    server = str(replace(address, path=""))
    return server + veil(address.path) if len(server) <= LONGEST_WHOLE_ADDRESS else veil(server)


LONGEST_WHOLE_ADDRESS = 100
"""characters of scheme, host and port that a message repeats whole"""

DEMAND_LIMIT = 9.2e15
"""demand, targets and metrics lie below this: the HPA counts in int64 thousandths, and KEDA turns what does not fit
into another number"""

LARGEST_DEMAND = 0.999 * DEMAND_LIMIT
"""the largest number that is accepted and answered"""

TRIGGER_KEYS: tuple[TriggerKey, ...] = (
    TriggerKey(
        "query", "query", "", "PromQL returning one element: the demand",
        "PromQL, not empty, without control characters other than tabs and line feeds, and without backslashes outside "
        "of quotes", value.promql, required=True,
    ),
    TriggerKey(
        "threshold", "threshold", "", "demand that one replica carries; becomes the HPA target (AverageValue)",
        "a plain number of at least 0.001 and less than 9.2e15; KEDA rounds it to thousandths, which must change it "
        "by 1 % at most",
        value.target(0.001, LARGEST_DEMAND), required=True,
    ),
    TriggerKey(
        "activationThreshold", "activation_threshold", "0",
        "active while the expected demand in the lead window is above this",
        "a plain number of at least 0 and less than 9.2e15", value.number(0, LARGEST_DEMAND),
    ),
    TriggerKey(
        "serverAddress", "server_address", "",
        "a Prometheus-compatible API; without it, the server of the `prometheus` setting",
        "an http or https address without user, query and fragment, and one that the operator allows",
        lambda text: text, show=shown_address,
    ),
    TriggerKey(
        "leadTime", "lead_time_seconds", "2m",
        "from the moment the metric changes to the moment a new replica serves: polling, HPA sync and start-up",
        "a duration from 1s to 2h (90s, 2m), as far as a forecast reaches", value.duration(1, 2 * 3600),
    ),
    TriggerKey(
        "quantile", "quantile", "0.9", "probability with which a plan covers the peak",
        "a plain number above 0.5 and below 1", value.number(0.5, 1, open_ends=True),
    ),
    TriggerKey(
        "mode", "mode", "predictive",
        "`predictive`; `shadow` answers the observation and only shows its plan; `reactive` never uses a forecast",
        "predictive, shadow or reactive", value.choice(Mode),
    ),
    TriggerKey(
        "policy", "policy", "balanced",
        "a named set of limits on plans: how far ahead, how long held, how large a step",
        "aggressive, balanced or conservative", value.choice(PolicyName),
    ),
    TriggerKey(
        "model", "model", "auto", "a bundle's name, or `auto`: the champion for this trigger",
        "auto or a bundle's name: letters, digits, dots, dashes and underscores, with an optional @version",
        value.shaped(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}(@[A-Za-z0-9._-]{1,40})?"),
    ),
    TriggerKey(
        "timezone", "timezone", "UTC", "time zone of the days and weeks that the demand follows",
        "an IANA name such as Europe/Berlin", value.timezone,
    ),
    TriggerKey(
        "historyWindow", "history_window_seconds", "14d", "how much history is fetched for a new trigger",
        "a duration from 1h to 90d (36h, 14d)", value.duration(3600, 90 * 86400),
    ),
    TriggerKey(
        "queryStep", "query_step_seconds", "",
        "how often demand has a new number, and the resolution of range queries. Where it is longer than a minute, a "
        "plan looks at least 1.6 steps beyond the lead time. Default: the bundle's step for queries, and for plans "
        "what the history shows",
        "a duration from 1s to 15m", value.duration(1, 900),
    ),
    TriggerKey(
        "maxStaleness", "max_staleness_seconds", "5m",
        "age above which an observation no longer counts, nor one that far in the future; then only the forecast does",
        "a duration from 15s to 2h", value.duration(15, 2 * 3600),
    ),
    TriggerKey(
        "ignoreNullValues", "ignore_null_values", "false",
        "whether an empty result means 0; otherwise demand is unknown, as it is for NaN and infinity. KEDA's "
        "`prometheus` trigger defaults to true",
        "true or false", value.boolean,
    ),
    TriggerKey(
        "namespace", "tenant", "", "as in KEDA's `prometheus` scaler: the tenant whose data is queried",
        "1 to 150 letters, digits and !-_.*'()|", value.shaped(r"[A-Za-z0-9!_.*'()|-]{1,150}"),
    ),
    TriggerKey(
        "queryParameters", "query_parameters", "",
        "as in KEDA's `prometheus` scaler: parameters to add to each query",
        "key=value,key2=value2, at most 1024 characters", value.query_parameters, show=hide,
    ),
    TriggerKey(
        "timeout", "timeout_seconds", "",
        "how long one query may take; without it, the server's own limit. A plain integer is milliseconds, as in KEDA",
        "milliseconds or a duration, from 100ms to 1m", value.timeout(0.1, 60),
    ),
)  # fmt: skip

KEDA_KEYS = frozenset({"scalerAddress", "enableTLS", "unsafeSsl"})
"""KEDA's own keys, always sent: ignored"""

KEDA_READS = ("query", "threshold", "serverAddress", "namespace", "queryParameters", "timeout", "ignoreNullValues")
"""what KEDA's `prometheus` trigger and ours both have, and mean the same by"""

RETIRED_KEYS: Mapping[str, str] = {
    "metricName": "does nothing since KEDA 2.12",
    "cortexOrgID": "does nothing since KEDA 2.12",
    "disableScaleToZero": "does nothing in KEDA 2",
}
"""keys that KEDA's `prometheus` trigger once had, and still ignores: ignored here too"""

_CONNECTION_KEYS = frozenset({"caCert", "tlsCertFile", "tlsClientCert", "tlsClientKey", "ca", "cert", "key"})
_CONNECTION_RULE = (
    "has no effect in trigger metadata, the connection would not be verified with it: "
    "KEDA reads caCert, tlsClientCert and tlsClientKey from a TriggerAuthentication only"
)
_HINTS = {
    "lookAhead": "did you mean leadTime? It is a window that starts now, not a point in the future",
    "predictHorizon": "did you mean leadTime? It is a window that starts now, not a point in the future",
    "history": "did you mean historyWindow?",
    "historyTimeWindow": "did you mean historyWindow?",
    "prometheusAddress": "did you mean serverAddress?",
    "targetValue": "did you mean threshold?",
    "awsRegion": "Headway does not sign requests for AWS: name a proxy that does as serverAddress, and remove it",
    "identityOwner": "Headway does not sign requests for AWS: name a proxy that does as serverAddress, and remove it",
    "metricType": "it belongs next to `metadata`, not into it, and is best left out",
}
_KEYS = {key.name: key for key in TRIGGER_KEYS}
_BY_LOWER = {name.lower(): name for name in _KEYS}
_FROM_ENV = "FromEnv"
_DEFAULTS: Mapping[str, object] = {one.name: one.default for one in fields(Trigger)}
_KUBERNETES_NAME = re.compile(r"[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class _Entry:
    """One value of the metadata, with its key."""

    text: str
    spelled: str
    """the key as written, with its suffix `FromEnv` if it has one"""

    def shown(self, show: Callable[[str], str]) -> str:
        return NOT_SHOWN if self.spelled.endswith(_FROM_ENV) else show(self.text)


def parse_trigger(namespace: str, name: str, metadata: Mapping[str, str], rules: TriggerRules) -> Trigger:
    """The frozen trigger for what KEDA sent. Raises TriggerInvalid, and nothing else, with every fault at once.

    Metadata that is too large is refused for its size alone.
    """
    if too_large := size_faults(metadata):
        raise TriggerInvalid(too_large, threshold=_threshold(metadata))
    faults = list(_name_faults(namespace, name))
    entries = _resolve_aliases(metadata, faults)
    values = _parse_known(entries, faults)
    _apply_rules(values, entries, rules, faults, namespace)
    faults.extend(_unknown_faults(entries))
    if faults:
        raise TriggerInvalid(tuple(faults), threshold=values.get("threshold"))
    return _with_keys(Trigger(namespace=namespace, name=name, **values), rules)


def _threshold(metadata: Mapping[str, str]) -> float | None:
    """The threshold alone, of metadata that is not read further; None where it is faulty."""
    text = metadata.get("threshold") or metadata.get(f"threshold{_FROM_ENV}") or ""
    if len(text) > LONGEST_KEY:
        return None
    with suppress(value.Refused):
        return value.target(0.001, LARGEST_DEMAND)(text.strip())
    return None


def relevant(metadata: Mapping[str, str]) -> dict[str, str]:
    """The part of a valid trigger's metadata that makes the trigger: no keys that are ignored, and no blank values."""
    return {spelled: text for spelled, text in metadata.items() if not _is_ignored(spelled, text)}


def _is_ignored(spelled: str, text: str) -> bool:
    name = spelled.removesuffix(_FROM_ENV)
    return name in KEDA_KEYS or name in RETIRED_KEYS or not text or text.isspace()


def _name_faults(namespace: str, name: str) -> Iterator[Fault]:
    for field, text in (("ScaledObject namespace", namespace), ("ScaledObject name", name)):
        if not _KUBERNETES_NAME.fullmatch(text):
            yield Fault(field, shorten(text), "must be a Kubernetes name: lower-case letters, digits, dashes and dots")


def _resolve_aliases(metadata: Mapping[str, str], faults: list[Fault]) -> dict[str, _Entry]:
    """Values by plain key, trimmed. `fooFromEnv` counts as `foo`.

    Left out: KEDA's own keys, retired ones, and blank values, which KEDA reads as absent.
    """
    entries: dict[str, _Entry] = {}
    for spelled in sorted(metadata):
        if _is_ignored(spelled, metadata[spelled]):
            continue
        name = spelled.removesuffix(_FROM_ENV)
        found = _Entry(metadata[spelled].strip(), spelled)
        other = entries.setdefault(name, found)
        if other.text != found.text:
            faults.append(Fault(shown_key(spelled), NOT_SHOWN, f"{shown_key(name)} has another value: set only one"))
    return entries


def _parse_known(entries: Mapping[str, _Entry], faults: list[Fault]) -> dict[str, Any]:
    """Values by field of `Trigger`, for the keys that are present and valid."""
    values: dict[str, Any] = {}
    for key in TRIGGER_KEYS:
        found = entries.get(key.name)
        if found is None:
            if key.required:
                faults.append(Fault(key.name, "", f"is required: {key.rule}"))
            continue
        try:
            values[key.field] = key.parse(found.text)
        except value.Refused as refused:
            faults.append(Fault(found.spelled, found.shown(key.show), str(refused) or f"must be {key.rule}"))
    return values


def _apply_rules(
    values: dict[str, Any], entries: Mapping[str, _Entry], rules: TriggerRules, faults: list[Fault], namespace: str
) -> None:
    """Rules of the operator: the length of a query, and the allowed servers."""
    query = values.get("query", "")
    if len(query) > rules.max_query_length:
        rule = f"has {len(query)} characters, at most {rules.max_query_length} are allowed"
        faults.append(Fault("query", entries["query"].shown(veil), rule))
    found = entries.get("serverAddress")
    if found is None:
        values["server_address"] = rules.default_server
        if not rules.default_server:
            faults.append(Fault("serverAddress", "", "is required: this Headway server has no default"))
        return
    try:
        values["server_address"] = _allowed_server(found.text, rules, namespace)
    except ValueError as refused:
        faults.append(Fault(found.spelled, found.shown(_KEYS["serverAddress"].show), str(refused)))


def _allowed_server(text: str, rules: TriggerRules, namespace: str) -> str:
    if rules.default_server and text.rstrip("/") == rules.default_server.rstrip("/"):
        return rules.default_server
    address = server_address.parse_server_address(text)
    if str(address) == rules.default_server.rstrip("/"):
        return str(address)
    if server_address.is_allowed(address, rules.allowed_servers, namespace):
        return str(address)
    raise ValueError("is not among the servers that the operator of Headway allows")


MOST_COMPARED = 8
"""unknown keys that are compared with the known ones; a comparison takes some 50 µs"""


def _unknown_faults(entries: Mapping[str, _Entry]) -> Iterator[Fault]:
    """Unknown keys. Their values are never shown: they may be secrets."""
    unknown = [name for name in entries if name not in _KEYS]
    for position, name in enumerate(unknown):
        if position < MOST_COMPARED:
            yield Fault(shown_key(entries[name].spelled), NOT_SHOWN, _unknown_rule(name))
        else:
            yield Fault(veil(entries[name].spelled), NOT_SHOWN, "is not a key of this trigger")


def _unknown_rule(name: str) -> str:
    if name in _HINTS:
        return f"is not a key: {_HINTS[name]}"
    if name in _CONNECTION_KEYS:
        return _CONNECTION_RULE
    if is_secret(name):
        return f"is refused: {value.CREDENTIALS_BELONG}"
    nearest = _nearest(name)
    return f"is not a key: did you mean {nearest}?" if nearest else "is not a key of this trigger"


def shown_key(spelled: str) -> str:
    """A key as a message repeats it. An unknown long one that resembles no key may be a secret in the wrong place."""
    name = spelled.removesuffix(_FROM_ENV)
    is_known = name in _KEYS or name in _HINTS or name in _CONNECTION_KEYS or (name.isalpha() and is_secret(name))
    return shorten(spelled) if len(spelled) <= LONGEST_WHOLE_WORD or is_known or _nearest(name) else veil(spelled)


def _nearest(name: str) -> str | None:
    if len(name) > 40:  # longer than any key, and the comparison is not linear
        return None
    close = difflib.get_close_matches(name.lower(), _BY_LOWER, n=1, cutoff=0.65)
    return _BY_LOWER[close[0]] if close else None


def _with_keys(trigger: Trigger, rules: TriggerRules) -> Trigger:
    """The trigger with the keys of its state. They depend on values, however these are spelled."""
    demand = (
        rules.installation,
        trigger.server_address.rstrip("/"),
        _identity(trigger.server_address, rules.identities),
        trigger.tenant,
        trigger.query,
        trigger.query_parameters,
        trigger.query_step_seconds,
        trigger.ignore_null_values,
    )
    chosen = {one.name: getattr(trigger, one.name) for one in fields(trigger)}
    chosen = {name: chosen[name] for name in chosen if chosen[name] != _DEFAULTS[name]}
    place = f"{trigger.namespace}/{trigger.name}"
    return replace(trigger, key=f"{place}/{_digest(demand, chosen)}", history_key=f"{place}/{_digest(demand)}")


def _identity(address: str, identities: Sequence[ServerIdentity]) -> tuple[str, ...]:
    """What the first matching entry says, without its pattern, which may be written in another way tomorrow."""
    if not identities:
        return ()
    server = server_address.parse_server_address(address)
    found = next((one for one in identities if server_address.is_allowed(server, (one.pattern,))), None)
    if found is None or not (found.tenant or found.username or found.kind):
        return ()
    return (found.tenant, found.tenant and found.tenant_header, found.username, found.kind)


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]
