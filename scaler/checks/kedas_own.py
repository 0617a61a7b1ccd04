"""Rules on KEDA's own `prometheus` triggers, as KEDA reads them (typed_config.go, prometheus_scaler.go)."""

import re
from collections.abc import Callable, Iterator, Mapping
from urllib.parse import urlsplit

from scaler.checks.finding import Context, Finding, Level
from scaler.manifest import ScaledObject, TriggerEntry
from scaler.trigger.schema import RETIRED_KEYS, shown_address
from scaler.trigger.values import NOT_SHOWN, veil

_RETIRED_SINCE = (2, 12, 0)
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_BUILD_FAILS = "KEDA cannot build the trigger, and with it fails the whole ScaledObject"
_QUERY_FAILS = "KEDA gets no value from this trigger"


def is_web_address(text: str) -> bool:
    """Whether KEDA can ask there at all."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def _is_pairs(text: str) -> bool:
    return all(part.count("=") == 1 for part in text.split(","))


_RULES: Mapping[str, tuple[Callable[[str], bool], str, str]] = {
    "serverAddress": (is_web_address, "must begin with http:// or https:// and name a host", _QUERY_FAILS),
    "query": (bool, "must be a query", _BUILD_FAILS),
    "threshold": (lambda text: bool(_NUMBER.fullmatch(text)), "must be a number, as JSON has it", _BUILD_FAILS),
    "activationThreshold": (
        lambda text: bool(_NUMBER.fullmatch(text)),
        "must be a number, as JSON has it",
        _BUILD_FAILS,
    ),
    "ignoreNullValues": (lambda text: text in ("true", "false"), "must be true or false", _BUILD_FAILS),
    "unsafeSsl": (lambda text: text in ("true", "false"), "must be true or false", _BUILD_FAILS),
    "queryParameters": (_is_pairs, "must be key=value,key2=value2", _BUILD_FAILS),
    "customHeaders": (_is_pairs, "must be key=value,key2=value2", _BUILD_FAILS),
}
_REQUIRED = ("serverAddress", "query", "threshold")
_SHOWN = ("threshold", "activationThreshold", "ignoreNullValues", "unsafeSsl")


def keda_faults(scaled: ScaledObject, context: Context) -> Iterator[Finding]:
    for entry in scaled.prometheus_triggers:
        given = entry.given
        for key in _REQUIRED:
            if key not in given:
                yield _finding(entry, key, f"{key} is required ({_BUILD_FAILS}).", f"Add `{key}`.")
        for key, text in given.items():
            fits, rule, consequence = _RULES.get(key, (bool, "", ""))
            if not fits(text):
                yield _finding(entry, key, f"{key}={_shown(key, text)!r}: {rule} ({consequence}).", _fix(key, rule))


def _finding(entry: TriggerEntry, key: str, text: str, fix: str) -> Finding:
    return Finding(Level.ERROR, "keda-fault", text, fix, (*entry.path, "metadata", key))


def _shown(key: str, text: str) -> str:
    if key == "serverAddress":
        return shown_address(text)
    return veil(text) if key in _SHOWN else NOT_SHOWN


def _fix(key: str, rule: str) -> str:
    return f"Write `{key}` as the rule says: it {rule}."


def rounded_threshold(scaled: ScaledObject, context: Context) -> Iterator[Finding]:
    for entry in scaled.prometheus_triggers:
        text = entry.given.get("threshold", "")
        threshold = float(text) if _NUMBER.fullmatch(text) else 1.0
        rounded = round(threshold, 3)
        if abs(rounded - threshold) > 0.01 * abs(threshold):
            said = f"KEDA rounds threshold {veil(text)} to thousandths: the HPA gets {rounded:g}."
            fix = "Multiply query and threshold by a thousand."
            yield Finding(Level.WARNING, "rounded-threshold", said, fix, (*entry.path, "metadata", "threshold"))


def retired_keys(scaled: ScaledObject, context: Context) -> Iterator[Finding]:
    for entry in scaled.triggers:
        works = entry.kind == "prometheus" and context.keda_version < _RETIRED_SINCE
        if works or not (entry.ours or entry.kind == "prometheus"):
            continue
        for key in entry.metadata.keys() & RETIRED_KEYS.keys():
            text = f"`{key}` {RETIRED_KEYS[key]}."
            yield Finding(Level.ADVICE, "retired-key", text, f"Remove `{key}`.", (*entry.path, "metadata", key))
