"""The HTTP client of one server, opened by the first request, and again when its TLS files change."""

import socket
import ssl
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from scaler.history.credentials import Credentials, ServerAccess, tls_context
from scaler.http.client import NoCookies, client_options, environment_proxy, through
from scaler.http.network import SmallPieces
from scaler.turns import Turns

READ_AHEAD = (socket.SOL_SOCKET, socket.SO_RCVBUF, 128 * 2**10)
"""uvloop reads all that the system has, up to megabytes a connection, before anybody takes the first piece of it"""


class Client:
    """The connections to one server. A client that was replaced is closed when its last request has ended."""

    def __init__(
        self,
        address: str,
        access: ServerAccess,
        keep_alive: int,
        turns: Turns,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.through = ""
        """for errors: the proxy, once a request was made"""
        self._address = address
        self._credentials = Credentials(access)
        self._tls = tls_context(access) if address.startswith("https:") else None
        self._keep_alive = keep_alive
        self._turns = turns
        self._transport = transport
        self._verify: ssl.SSLContext | bool = False
        self._current: httpx.AsyncClient | None = None
        self._busy: Counter[httpx.AsyncClient] = Counter()

    @asynccontextmanager
    async def request(self) -> AsyncIterator[httpx.AsyncClient]:
        """The client for one request. Raises ProxyUnusable, and SourceUnavailable for files that cannot be used."""
        client = self._newest()
        self._busy[client] += 1
        try:
            await self._close_replaced()
            yield client
        finally:
            self._busy[client] -= 1
            await self._close_replaced()

    async def close(self) -> None:
        """Close all connections, whatever is under way."""
        for client in list(self._busy):
            await client.aclose()

    def _newest(self) -> httpx.AsyncClient:
        verify = self._tls.current() if self._tls else False
        if self._current is None or verify is not self._verify:
            self._current, self._verify = self._opened(verify), verify
        return self._current

    def _opened(self, verify: ssl.SSLContext | bool) -> httpx.AsyncClient:
        proxy = environment_proxy(self._address)
        self.through = through(proxy)
        network = self._transport or SmallPieces(
            self._turns,
            verify=verify,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=self._keep_alive),
            socket_options=[READ_AHEAD],
            **client_options(proxy),
        )
        return httpx.AsyncClient(
            auth=self._credentials,
            transport=network,
            timeout=None,
            trust_env=False,
            headers={"User-Agent": "headway"},
            cookies=NoCookies(),
        )

    async def _close_replaced(self) -> None:
        for client in [one for one, requests in self._busy.items() if not requests and one is not self._current]:
            del self._busy[client]
            await client.aclose()
