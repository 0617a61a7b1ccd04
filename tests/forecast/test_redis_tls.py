"""Redis behind TLS: the authorities that the URL names are read again when their file changes."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme
from structlog.testing import capture_logs

from scaler.errors import CacheUnavailable
from scaler.forecast.redis_cache import RedisCache
from tests.servers.certificates import plain_certificates, verify_as_python_3_13
from tests.servers.redis import RedisServer, redis_server

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with redis_server() as started:
        yield started


@asynccontextmanager
async def behind_tls(
    redis: RedisServer, authority: trustme.CA | None, port: int = 0, context: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """A port with the authority's certificate, or a context, whose connections lead to the server; all end with it."""
    open_connections: list[asyncio.StreamWriter] = []

    async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            target.write(data)
        target.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_connections.append(writer)
        inner_reader, inner_writer = await asyncio.open_unix_connection(str(redis.socket))
        await asyncio.gather(copy(reader, inner_writer), copy(inner_reader, writer), return_exceptions=True)

    if authority is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("localhost").configure_cert(context)
    server = await asyncio.start_server(serve, "localhost", port, ssl=context)
    yield server.sockets[0].getsockname()[1]
    server.close()
    for writer in open_connections:
        if not writer.is_closing():  # a TLS transport that was closed twice has no protocol left to abort
            writer.transport.abort()


async def test_renewed_authorities_are_trusted_without_a_restart(redis: RedisServer, tmp_path: Path) -> None:
    """After the server's certificate comes from another authority; a file that is wrong keeps the last good one."""
    old, new, file = trustme.CA(), trustme.CA(), tmp_path / "ca.pem"
    old.cert_pem.write_to_path(str(file))
    async with behind_tls(redis, old) as port:
        cache = RedisCache(f"rediss://localhost:{port}/0?ssl_ca_certs={file}&ssl_check_hostname=true", "one")
        assert await cache.receive(["a"]) == {}
    async with behind_tls(redis, new, port):
        with pytest.raises(CacheUnavailable, match=r"not trusted|CERTIFICATE_VERIFY_FAILED"):
            await cache.receive(["a"])
        file.write_bytes(old.cert_pem.bytes() + new.cert_pem.bytes())
        assert await cache.receive(["a"]) == {}
    file.write_text("no PEM")
    async with behind_tls(redis, new, port):
        with capture_logs() as logged:
            assert await _again(cache) == {}
        assert [line["event"] for line in logged] == ["files_not_renewed"]
    await cache.close()


async def test_certificates_of_own_authorities_may_be_plain(
    redis: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python 3.13 verifies strictly by default; authorities that the URL names may lack some extensions."""
    verify_as_python_3_13(monkeypatch)
    ca_file, context = plain_certificates(tmp_path)
    async with behind_tls(redis, None, context=context) as port:
        cache = RedisCache(f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={ca_file}&ssl_check_hostname=true", "one")
        assert await cache.receive(["a"]) == {}
        await cache.close()


async def _again(cache: RedisCache) -> dict[str, object]:
    """What the cache answers once it has noticed that its connection is gone."""
    try:
        return dict(await cache.receive(["a"]))
    except CacheUnavailable:
        return dict(await cache.receive(["a"]))
