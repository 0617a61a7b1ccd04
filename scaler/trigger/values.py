"""One string → one value, for each kind of value a trigger has. Every parser raises Refused and nothing else.

`Refused` carries the rule where it says more than the key's own rule does; without a text, the key's rule says it.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from importlib.resources import files
from typing import TypeVar

import durationpy

from scaler.telemetry.redaction import LONGEST_WHOLE_WORD, ends
from scaler.trigger.promql import fault

Value = TypeVar("Value")

LONGEST_SHOWN = 60
"""characters of a name that a message repeats"""
NOT_SHOWN = "(not shown)"

_LONGEST_NUMBER = 40
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
_DURATION = re.compile(r"([0-9]+(\.[0-9]+)?(ns|us|µs|μs|ms|s|m|h|d|w))+")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_PARAMETER = re.compile(r"[A-Za-z_][A-Za-z0-9_.\-]*(\[\])?")
_SECRET = re.compile(
    r"token|passw|passphrase|secret|api[-_.]?key|accesskey|private|credential|authori[sz]|authmode|^auth|bearer"
    r"|username|^user$|headers?$|cookie|signature",
    re.IGNORECASE,
)
_RESERVED_PARAMETERS = frozenset({"query", "time", "start", "end", "step", "timeout"})


class Refused(ValueError):
    """The value breaks the rule; the text, where there is one, says which part of it."""


def printable(text: str) -> str:
    """`text` without what would move a terminal's cursor."""
    return "".join(c if c.isprintable() else "�" for c in text)


def veil(text: str) -> str:
    """A value as a message may repeat it: `sk-l…90ab (43 characters)` of one that is long enough for a secret."""
    length = f" ({len(text)} characters)" if len(text) > LONGEST_WHOLE_WORD else ""
    return printable(ends(text)) + length


def shorten(text: str) -> str:
    """A name as a message may repeat it: bounded, and without characters that do not print."""
    head = text[: LONGEST_SHOWN + 1]
    shown = printable(head)
    return shown if len(head) <= LONGEST_SHOWN else shown[: LONGEST_SHOWN - 1] + "…"


def hide(_: str) -> str:
    return NOT_SHOWN


def is_secret(name: str) -> bool:
    """Whether a key or parameter of this name would carry a credential."""
    return _SECRET.search(name[:200]) is not None


def number(low: float, high: float, *, open_ends: bool = False) -> Callable[[str], float]:
    """A parser of plain decimal numbers in [low, high], or in (low, high) with `open_ends`."""

    def parse(text: str) -> float:
        if len(text) > _LONGEST_NUMBER or not _NUMBER.fullmatch(text):
            raise Refused
        value = float(text)
        within = low < value < high if open_ends else low <= value <= high
        if not within:
            raise Refused
        return value + 0.0  # -0 → 0

    return parse


def target(low: float, high: float) -> Callable[[str], float]:
    """A parser like `number` of what KEDA writes into the HPA, in thousandths; it must stay the same within 1 %."""
    parse_number = number(low, high)

    def parse(text: str) -> float:
        value = parse_number(text)
        rounded = round(value, 3)
        if abs(rounded - value) > 0.01 * value:
            raise Refused(f"KEDA rounds it to thousandths, to {rounded:g}: write that, or multiply query and threshold")
        return value

    return parse


def duration(low_seconds: float, high_seconds: float) -> Callable[[str], float]:
    """A parser of Go durations (also `d` and `w`) → seconds in [low, high]."""

    def parse(text: str) -> float:
        if len(text) > _LONGEST_NUMBER or not _DURATION.fullmatch(text):
            raise Refused
        try:
            seconds: float = durationpy.from_str(text).total_seconds()
        except ValueError as error:
            raise Refused from error
        if not low_seconds <= seconds <= high_seconds:
            raise Refused
        return seconds

    return parse


def timeout(low_seconds: float, high_seconds: float) -> Callable[[str], float]:
    """A parser like `duration`, for which a plain integer means milliseconds, as in KEDA's `prometheus` scaler."""
    parse_duration = duration(low_seconds, high_seconds)

    def parse(text: str) -> float:
        return parse_duration(f"{text}ms" if re.fullmatch("[0-9]+", text[:_LONGEST_NUMBER]) else text)

    return parse


def choice(kind: Callable[[str], Value]) -> Callable[[str], Value]:
    """A parser of one of an enumeration's values."""

    def parse(text: str) -> Value:
        try:
            return kind(text)
        except ValueError as error:
            raise Refused from error

    return parse


def shaped(pattern: str) -> Callable[[str], str]:
    """A parser of text that matches the whole of `pattern`."""
    compiled = re.compile(pattern)

    def parse(text: str) -> str:
        if not compiled.fullmatch(text):
            raise Refused
        return text

    return parse


def boolean(text: str) -> bool:
    if text not in ("true", "false"):
        raise Refused
    return text == "true"


def promql(text: str) -> str:
    """A query that is not empty, and that every server reads alike (`scaler.trigger.promql`)."""
    if rule := fault(text):
        raise Refused(rule)
    if not text:
        raise Refused
    if text.lstrip().startswith("<"):
        raise Refused("PromQL; what stands in <> is still to be filled in")
    return text


def timezone(text: str) -> str:
    """An IANA name, checked against the list in the `tzdata` package: equal on every replica, whatever its host has."""
    if text not in _timezones():
        raise Refused
    return text


def query_parameters(text: str) -> tuple[tuple[str, str], ...]:
    """`key=value,key2=value2` → pairs, in order. Names that Headway sets itself and credentials are refused."""
    if len(text) > 1024 or _CONTROL.search(text):
        raise Refused
    pairs = []
    for part in text.split(","):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not value or not _PARAMETER.fullmatch(name):
            raise Refused
        if name.lower() in _RESERVED_PARAMETERS:
            raise Refused(f"{name} is set by Headway itself: remove it")
        if is_secret(name):
            raise Refused(f"{veil(name)} looks like a credential: {CREDENTIALS_BELONG}")
        pairs.append((name, value))
    return tuple(pairs)


CREDENTIALS_BELONG = (
    "credentials for the metrics server are configured by the operator on the Headway server, "
    "never in trigger metadata, which is stored and travels in the clear"
)


@lru_cache(maxsize=1)
def _timezones() -> frozenset[str]:
    return frozenset((files("tzdata") / "zones").read_text(encoding="utf-8").split())
