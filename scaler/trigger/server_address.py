"""Which metrics server a trigger may name: an address, and the operator's patterns, compared part by part.

A pattern is never matched against the whole text: `*` would then reach across the `/`, `@` and `.` that separate the
part an attacker chooses from the part the operator meant. Scheme, host, port and path are compared one by one, and
within host and path one segment at a time.
"""

import ipaddress
import re
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit

_LONGEST = 2048
_DEFAULT_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*\.?")
_NUMERIC_LABEL = re.compile(r"[0-9]+|0x[0-9a-f]*")
_PATH = re.compile(r"(/[A-Za-z0-9_~:+=,;!-][A-Za-z0-9._~:+=,;!-]*)*/?")
_PATTERN = re.compile(r"(https?|\*)://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.*?-]+)(?::([0-9]+|\*))?(/[A-Za-z0-9._~*?/-]*)?")

ANY_SERVER = "*"
"""the one pattern that allows every http and https server; the operator says so knowingly"""


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


def is_allowed(address: ServerAddress, patterns: tuple[str, ...]) -> bool:
    """Whether one of the operator's patterns covers `address`."""
    return any(pattern == ANY_SERVER or _matches(pattern, address) for pattern in patterns)


def is_pattern(pattern: str) -> bool:
    """Whether `pattern` can match anything: `*`, or `SCHEME://HOST[:PORT][/PATH]` with `*` and `?` within a segment."""
    return pattern == ANY_SERVER or _PATTERN.fullmatch(pattern) is not None


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


def _matches(pattern: str, address: ServerAddress) -> bool:
    parts = _parts_of(pattern)
    if parts is None:
        return False
    scheme, host, port, path = parts
    return (
        scheme in ("*", address.scheme)
        and (port == "*" or address.port == (int(port) if port else _DEFAULT_PORTS[address.scheme]))
        and _host_matches(host, address.host)
        and _is_below(path, tuple(address.path.strip("/").split("/")))
    )


def _host_matches(pattern: str, host: str) -> bool:
    if ":" in host or ":" in pattern:
        return pattern == host
    wanted, labels = pattern.split("."), host.split(".")
    return len(wanted) == len(labels) and all(map(_segment_matches, wanted, labels))


def _is_below(wanted: tuple[str, ...], segments: tuple[str, ...]) -> bool:
    if wanted == ("",):
        return True
    return len(wanted) <= len(segments) and all(map(_segment_matches, wanted, segments))


def _segment_matches(pattern: str, segment: str) -> bool:
    return _segment(pattern).fullmatch(segment) is not None


@lru_cache(maxsize=1024)
def _segment(pattern: str) -> re.Pattern[str]:
    """Shell pattern of one segment → regular expression; runs of `*` become one, so that matching stays quick."""
    collapsed = re.sub(r"\*+", "*", pattern)
    return re.compile("".join({"*": ".*", "?": "."}.get(c, re.escape(c)) for c in collapsed))
