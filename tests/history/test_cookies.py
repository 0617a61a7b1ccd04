"""Cookies that a metric server sets."""

import httpx

from scaler.history.client import Client
from scaler.history.credentials import ServerAccess
from scaler.turns import Turns

MANY = 1000


async def test_cookies_are_neither_kept_nor_sent() -> None:
    """Else a server makes each answer dearer than the one before, in time and in memory, for ever."""
    sent: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request.headers.get("Cookie", ""))
        return httpx.Response(200, headers=[("Set-Cookie", f"c{n}-{len(sent)}=1; Path=/") for n in range(MANY)])

    client = Client("http://metrics.test", ServerAccess("*"), 1, Turns(), httpx.MockTransport(answer))
    for _ in range(2):
        async with client.request() as http:
            await http.get("http://metrics.test/api/v1/query")
    async with client.request() as http:
        kept = len(http.cookies)
    await client.close()
    assert (sent, kept) == (["", ""], 0)
