"""HTTP clients: real proxies, and failures in our own words."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from scaler.http.client import client_options, environment_proxy, in_words, through


@asynccontextmanager
async def listening(answer: bytes) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A port that answers every request with `answer` and closes; and what it was sent."""
    received: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.append(await reader.read(4096))
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1], received
    server.close()


async def asked(url: str) -> str:
    """What comes of a request: the answer's text, or the failure in words."""
    proxy = environment_proxy(url)
    try:
        async with httpx.AsyncClient(**client_options(proxy), headers={"Authorization": "Bearer s3cret"}) as client:
            return (await client.get(url)).text
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return in_words(error) + through(proxy)


async def test_a_request_goes_through_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the proxy's own user name and password."""
    async with listening(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi") as (port, received):
        monkeypatch.setenv("http_proxy", f"http://me:word@127.0.0.1:{port}")
        assert await asked("http://prometheus.example:9090/x") == "hi"
    assert received[0].startswith(b"GET http://prometheus.example:9090/x HTTP/1.1")
    assert b"Proxy-Authorization: Basic bWU6d29yZA==" in received[0]


async def test_a_failure_names_the_proxy_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a proxy that is not there, and for one that refuses; and the entry of NO_PROXY that was not understood."""
    monkeypatch.setenv("https_proxy", "http://me:word@127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "10.0.0.0/99")
    failed = await asked("https://prometheus.example")
    assert failed.startswith("Connection refused (through the proxy http://127.0.0.1:1, from https_proxy")
    assert "NO_PROXY holds '10.0.0.0/99'" in failed
    async with listening(b"HTTP/1.1 407 me:word\r\nContent-Length: 0\r\n\r\n") as (port, _):
        monkeypatch.setenv("https_proxy", f"http://me:word@127.0.0.1:{port}")
        refused = await asked("https://prometheus.example")
    assert refused.startswith(f"the proxy refused the connection (HTTP 407) (through the proxy http://127.0.0.1:{port}")
    assert "word" not in failed + refused


@pytest.mark.parametrize(
    "no_proxy", ["localhost,.svc,fd02::/112", "[::1]", "10.0.0.0/8,[fd02::]/112", "http://[", "a b\tc,,"]
)
async def test_no_value_of_no_proxy_is_too_much(monkeypatch: pytest.MonkeyPatch, no_proxy: str) -> None:
    """Also with a proxy that could not be used: this machine is asked without one."""
    monkeypatch.setenv("NO_PROXY", no_proxy)
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1")
    async with listening(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi") as (port, _):
        assert await asked(f"http://127.0.0.1:{port}") == "hi"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "the connection was closed before the answer"),
        (b"s3cret\r\n\r\n", "the answer is not valid HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ns3", "the connection was closed before the answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 6\r\n\r\ns3cret", "cannot be decompressed"),
    ],
)
async def test_no_text_of_a_server_or_library_is_repeated(answer: bytes, words: str) -> None:
    """What came back may hold what was sent."""
    async with listening(answer) as (port, _):
        failed = await asked(f"http://127.0.0.1:{port}")
    assert words in failed
    assert "s3" not in failed


async def test_a_port_that_does_not_speak_tls() -> None:
    """Told from a certificate that is not trusted."""
    async with listening(b"HTTP/1.1 400 plain\r\n\r\n") as (port, _):
        assert (await asked(f"https://127.0.0.1:{port}")).startswith("TLS failed: ")
    untrusted = ssl.SSLCertVerificationError(1, "the library's text")
    untrusted.verify_message = "self-signed certificate"
    assert in_words(untrusted) == "its certificate is not trusted: self-signed certificate"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (httpx.LocalProtocolError("Illegal header value b'Bearer s3cret'"), "does not allow"),
        (httpx.ConnectTimeout("s3cret"), "no answer in time"),
        (httpx.InvalidURL("s3cret"), "not a URL"),
        (UnicodeEncodeError("ascii", "s3cret", 0, 1, "s3cret"), "the name of the host is none"),
        (ImportError("s3cret"), "unexpected ImportError"),
        (httpx.ProxyError("s3cret"), "the proxy refused"),
    ],
)
def test_every_failure_has_words(error: Exception, words: str) -> None:
    """None of them holds the text of the exception."""
    assert words in in_words(error)
    assert "s3cret" not in in_words(error)
