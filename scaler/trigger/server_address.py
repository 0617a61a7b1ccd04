"""Which metrics server a trigger may name: an address, and the operator's patterns, compared part by part.

A pattern is never matched against the whole text: `*` would then reach across the `/`, `@` and `.` that separate the
part an attacker chooses from the part the operator meant. Scheme, host, port and path are compared one by one, and
within host and path one segment at a time. Matching takes time proportional to the address: `*` is no regular
expression.
"""

import ipaddress
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit

_LONGEST = 2048
_DEFAULT_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*\.?")
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_NUMERIC_LABEL = re.compile(r"[0-9]+|0x[0-9a-f]*")
_PATH = re.compile(r"(/[A-Za-z0-9_~:+=,;!-][A-Za-z0-9._~:+=,;!-]*)*/?")
_PATTERN = re.compile(
    r"(https?|\*)://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.*?{}-]+)(?::([0-9]+|\*))?(/[A-Za-z0-9._~*?/{}-]*)?"
)

ANY_SERVER = "*"
"""the one pattern that allows every http and https server; the operator says so knowingly"""

NAMESPACE = "{namespace}"
"""in a pattern: the namespace of the trigger that names the server"""


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """The parts of an http or https address. `host` is lower-case without a final dot, `path` without a final slash."""

    scheme: str
    host: str
    port: int
    path: str

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}{self.path}"


def parse_server_address(text: str) -> ServerAddress:
    """The parts of `text`. Raises ValueError with what is wrong."""
    if len(text) > _LONGEST:
        raise ValueError(f"at most {_LONGEST} characters")
    if not text.isascii() or not text.isprintable() or any(c in text for c in " \\"):
        raise ValueError("must be plain ASCII without blanks and backslashes")
    if any(c in text for c in "?#"):
        raise ValueError("must not carry a query or a fragment")
    if "@" in text:
        raise ValueError("must not carry a user or a password")
    scheme, host, port, path = _split(text)
    if scheme not in _DEFAULT_PORTS or not host:
        raise ValueError("must start with http:// or https:// and name a host")
    if not _PATH.fullmatch(path):
        raise ValueError("the path must be plain: no %, no empty segment, no segment that starts with a dot")
    return ServerAddress(scheme, _host(host), _DEFAULT_PORTS[scheme] if port is None else port, path.rstrip("/"))


def is_allowed(address: ServerAddress, patterns: tuple[str, ...], namespace: str = "") -> bool:
    """Whether one of the operator's patterns covers `address` for a trigger of `namespace`."""
    return any(pattern == ANY_SERVER or _matches(pattern, address, namespace) for pattern in patterns)


PATTERN_RULE = (
    f"must be SCHEME://HOST[:PORT][/PATH], with * and ? within a segment and {NAMESPACE} for the trigger's own, "
    "or * for any server"
)
"""what breaks it is no pattern"""


def is_pattern(pattern: str) -> bool:
    """Whether `pattern` can match anything: `*`, or `SCHEME://HOST[:PORT][/PATH]` with `*` and `?` within a segment,
    and `{namespace}` in host and path."""
    if len(pattern) > _LONGEST or not {"{", "}"}.isdisjoint(pattern.replace(NAMESPACE, "")):
        return False
    return pattern == ANY_SERVER or _PATTERN.fullmatch(pattern) is not None


def chosen_by_tenants(pattern: str) -> str:
    """The rule that a pattern breaks where its `*` or `?` stands for a namespace of Kubernetes: who may create a
    namespace would choose the server. Empty where none does.

    A service is called as `service.namespace`, `service.namespace.svc` and so on, so a namespace may be the last part
    of a name, or stand before `svc` or `pod`.
    """
    parts = _parts_of(pattern)
    if parts is None or ":" in parts[1]:
        return ""
    labels = parts[1].split(".")
    if len(labels) == 1 or _is_ipv4(labels):
        return ""
    for position, label in enumerate(labels):
        following = labels[position + 1 : position + 2]
        may_end = not following or any(_segment_matches(following[0], word) for word in ("svc", "pod"))
        if may_end and not {"*", "?"}.isdisjoint(label):
            instead = pattern.replace(f".{label}", f".{NAMESPACE}", 1)
            return (
                f"{label!r} may stand for any namespace, which a tenant chooses: write {NAMESPACE} for the trigger's "
                f"own namespace, as {instead}, or one pattern per namespace"
            )
    return ""


def redact(text: str) -> str:
    """`text` without what may be a credential: everything before an `@`, everything after a `?` or `#`."""
    scheme, separator, rest = text.partition("://")
    if "@" not in text:
        return re.split("[?#]", text, maxsplit=1)[0]
    rest = re.split("[?#]", rest.rpartition("@")[2], maxsplit=1)[0]
    return f"{scheme}://***@{rest}" if separator and "@" not in scheme else "***@…"


def _split(text: str) -> tuple[str, str, int | None, str]:
    try:
        parts = urlsplit(text)
        return parts.scheme, parts.hostname or "", parts.port, parts.path
    except ValueError:  # its text repeats the value, which may hold a secret
        raise ValueError("the host or the port cannot be read") from None


def _host(name: str) -> str:
    bare = name.rstrip(".")
    is_numeric = _NUMERIC_LABEL.fullmatch(bare.rpartition(".")[2])  # to a resolver, 2130706433 and 0x7f.1 are 127.0.0.1
    try:
        if ":" in name and "%" not in name:
            return str(ipaddress.IPv6Address(name))
        if is_numeric:
            return str(ipaddress.IPv4Address(bare))
    except ValueError:
        raise ValueError("the host is not an IP address") from None
    if len(name) > 253 or not _HOST.fullmatch(name):
        raise ValueError("the host must be a DNS name or an IP address")
    return bare


@lru_cache(maxsize=1024)
def _parts_of(pattern: str) -> tuple[str, str, str, tuple[str, ...]] | None:
    match = _PATTERN.fullmatch(pattern)
    if match is None:
        return None
    scheme, host, port, path = match.groups()
    host = host.lower().strip("[]").rstrip(".")
    if ":" in host:
        with suppress(ValueError):
            host = str(ipaddress.IPv6Address(host))
    return scheme, host, port or "", tuple((path or "").strip("/").split("/"))


def _matches(pattern: str, address: ServerAddress, namespace: str) -> bool:
    parts = _parts_of(pattern)
    if parts is None:
        return False
    scheme, host, port, path = parts
    return (
        scheme in ("*", address.scheme)
        and (port == "*" or address.port == (int(port) if port else _DEFAULT_PORTS[address.scheme]))
        and _host_matches(host, address.host, namespace)
        and _is_below(path, tuple(address.path.strip("/").split("/")), namespace)
    )


def _host_matches(pattern: str, host: str, namespace: str) -> bool:
    if ":" in host or ":" in pattern:
        return pattern == host
    wanted, labels = pattern.split("."), host.split(".")
    if _is_ipv4(wanted) and not _is_ipv4(labels):
        return False
    return len(wanted) == len(labels) and _all_match(wanted, labels, namespace)


def _is_ipv4(labels: Sequence[str]) -> bool:
    """Whether the parts are those of an IPv4 address, or of a pattern for some: numbers, `*` and `?`."""
    return len(labels) == 4 and labels[0].isdigit() and all(set(label) <= set("0123456789*?") for label in labels)


def _is_below(wanted: tuple[str, ...], segments: tuple[str, ...], namespace: str) -> bool:
    if wanted == ("",):
        return True
    return len(wanted) <= len(segments) and _all_match(wanted, segments, namespace)


def _all_match(wanted: Sequence[str], segments: Sequence[str], namespace: str) -> bool:
    return all(_segment_matches(*pair, namespace) for pair in zip(wanted, segments, strict=False))


def _segment_matches(pattern: str, segment: str, namespace: str = "") -> bool:
    """Whether a shell pattern covers one segment. Each piece between two `*` is taken where it is found first, so that
    no piece is tried twice."""
    if NAMESPACE in pattern:
        if not _LABEL.fullmatch(namespace):  # a caller's claim: it must not bring a `*` of its own
            return False
        pattern = pattern.replace(NAMESPACE, namespace)
    first, *others = pattern.split("*")
    if not others:
        return len(segment) == len(first) and _found(first, segment, 0) == 0
    *middle, last = others
    end = len(segment) - len(last)
    position = len(first)
    if end < position or _found(first, segment[:position], 0) != 0 or _found(last, segment[end:], 0) != 0:
        return False
    for piece in middle:
        found = _found(piece, segment[:end], position)
        if found < 0:
            return False
        position = found + len(piece)
    return True


def _found(piece: str, text: str, start: int) -> int:
    """Where `piece` begins in `text` from `start` on, `?` being any letter; -1 where it does not."""
    if "?" not in piece:
        return text.find(piece, start)
    match = _piece(piece).search(text, start)
    return -1 if match is None else match.start()


@lru_cache(maxsize=1024)
def _piece(piece: str) -> re.Pattern[str]:
    return re.compile("".join("." if letter == "?" else re.escape(letter) for letter in piece))
