"""How often a client may try to sign in."""

import ipaddress
from dataclasses import dataclass, field

MOST_WRONG = 10
WINDOW_SECONDS = 300.0
MOST_CLIENTS = 10_000
"""that are remembered; beyond, the one that tried first is forgotten"""


@dataclass(slots=True)
class Attempts:
    """Counts wrong attempts of each client; the addresses of an IPv6 network of 64 bits are one client."""

    _wrong: dict[str, tuple[float, int]] = field(default_factory=dict)
    """by client: when its first one was, and how many there are"""

    def wait(self, client: str, now: float) -> float:
        """Seconds until the client may try again; 0 where it may now."""
        since, count = self._wrong.get(_network(client), (now, 0))
        return max(0.0, since + WINDOW_SECONDS - now) if count >= MOST_WRONG else 0.0

    def failed(self, client: str, now: float) -> None:
        """Count a wrong one."""
        network = _network(client)
        since, count = self._wrong.get(network, (now, 0))
        if now - since >= WINDOW_SECONDS:
            since, count = now, 0
            self._wrong.pop(network, None)
        self._wrong[network] = (since, count + 1)
        if len(self._wrong) > MOST_CLIENTS:
            del self._wrong[next(iter(self._wrong))]


def _network(client: str) -> str:
    try:
        address = ipaddress.ip_address(client.partition("%")[0])
    except ValueError:
        return client
    return client if address.version == 4 else str(ipaddress.ip_network((address, 64), strict=False))
