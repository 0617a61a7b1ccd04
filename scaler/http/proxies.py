"""Which proxy the environment names for a URL. Pure: the environment is an argument.

HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY are read as Go reads them (golang.org/x/net/http/httpproxy), because
KEDA is written in Go and the same variables are usually set for both. Beyond Go: lower-case names win, ALL_PROXY stands
in for a scheme without a variable of its own, and a network may be written in brackets.
"""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias
from urllib.parse import SplitResult, urlsplit

from scaler.errors import SettingsError

SCHEMES = ("http", "https")
"""proxies that Headway can use; SOCKS needs a package that it does not bring"""

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_ENTRY = re.compile(r"(?:(?P<scheme>[a-z]+)://)?(?P<host>\[[^\]]*\](?:/\d+)?|[^:]*|.*:.*:.*?)(?::(?P<port>\d+))?")


class ProxyUnusable(SettingsError):
    """The environment names a proxy that cannot be used; the text names the variable."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy of the environment."""

    url: str = field(repr=False)
    """with user name and password, where it has them"""
    shown: str
    """without"""
    variable: str


def proxy_for(url: str, environment: Mapping[str, str]) -> Proxy | None:
    """The proxy through which `url` is asked; None for none, as for this machine itself. Raises ProxyUnusable."""
    target = _split(url)
    if target is None or not target.hostname:
        return None
    port = target.port or {"http": 80, "https": 443}.get(target.scheme, 0)
    if is_loopback(target.hostname) or _is_exempt(target.scheme, target.hostname, port, environment):
        return None
    for variable in (f"{target.scheme}_proxy", "all_proxy"):
        name, value = _variable(variable, environment)
        if value:
            return _proxy(name, value)
    return None


def is_loopback(host: str) -> bool:
    """Whether `host` is this machine."""
    name = _bare(host)
    if name == "localhost" or name.endswith(".localhost"):
        return True
    address = _address(name)
    return address is not None and (getattr(address, "ipv4_mapped", None) or address).is_loopback


def not_understood(environment: Mapping[str, str]) -> list[str]:
    """Entries of NO_PROXY that are neither a name nor an address nor a network."""
    _, value = _variable("no_proxy", environment)
    return [entry for entry in _entries(value) if "/" in entry.rpartition("://")[2] and _network(entry) is None]


def _variable(name: str, environment: Mapping[str, str]) -> tuple[str, str]:
    """Name and value; the lower-case variable wins, also where it is empty."""
    chosen = name if name in environment else name.upper()
    return chosen, environment.get(chosen, "").strip()


def _proxy(variable: str, value: str) -> Proxy:
    parts = _split(value if "://" in value else f"http://{value}")
    if parts is None or not parts.hostname or not re.fullmatch(r"[!-~]+", value):
        raise ProxyUnusable(f"{variable} of the environment must be the URL of a proxy, as http://proxy:3128")
    if parts.scheme not in SCHEMES:
        raise ProxyUnusable(
            f"{variable} of the environment names a proxy of the kind {parts.scheme}://, which Headway cannot use: "
            "it must be http:// or https://; NO_PROXY lists what is asked without a proxy"
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    shown = f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "")
    return Proxy(parts.geturl(), shown, variable)


def _is_exempt(scheme: str, host: str, port: int, environment: Mapping[str, str]) -> bool:
    _, value = _variable("no_proxy", environment)
    return any(_covers(entry, scheme, _bare(host), port) for entry in _entries(value))


def _entries(no_proxy: str) -> list[str]:
    return [entry.lower() for entry in re.split(r"[,\s]+", no_proxy) if entry]


def _covers(entry: str, scheme: str, host: str, port: int) -> bool:
    """Whether one entry of NO_PROXY covers the host: `*`, an address, a network, a name or the end of one."""
    if entry == "*":
        return True
    address = _address(host)
    network = _network(entry)
    if network is not None:
        return address is not None and address in network
    found = _ENTRY.fullmatch(entry)
    if found is None or found["scheme"] not in (None, "all", scheme) or found["port"] not in (None, str(port)):
        return False
    wanted = _bare(found["host"])
    if address is not None or _address(wanted) is not None:
        return address == _address(wanted)
    suffix = wanted.removeprefix("*")
    return bool(wanted) and (host.endswith(suffix) if suffix.startswith(".") else _is_below(host, suffix))


def _is_below(host: str, domain: str) -> bool:
    return host == domain or host.endswith(f".{domain}")


def _network(entry: str) -> Network | None:
    """`10.0.0.0/8`, `fd02::/112`, `[fd02::]/112` or `[fd02::/112]`."""
    if "/" not in entry:
        return None
    try:
        return ipaddress.ip_network(entry.replace("[", "").replace("]", ""), strict=False)
    except ValueError:
        return None


def _address(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _bare(host: str) -> str:
    return host.lower().strip("[]").rstrip(".")


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        return parts if parts.port is None or parts.port else None
    except ValueError:
        return None
