"""Credentials: checked when they are read, renewed when their files change, and never in a text."""

import asyncio
import gc
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
import trustme
from cryptography.hazmat.primitives import serialization
from structlog.testing import capture_logs

from scaler.errors import SettingsError, SourceUnavailable
from scaler.files import stale_files
from scaler.history import observe_all
from scaler.history.connection import Limits
from scaler.history.credentials import ServerAccess
from scaler.history.prometheus import PrometheusSource
from scaler.http.client import system_trust
from tests.history.test_prometheus_answers import AT, TRIGGER, answering, vector

QUICK = Limits(observe_seconds=5, attempts=1, failures_to_open=99)

FAULTS = [
    ("firsthalf\nSECONDHALF\n", "a line break in it"),
    ("firsthalf\r\nSECONDHALF", "a line break in it"),
    ("firsthalf\u2028SECONDHALF", "a line break in it"),
    ("firsthalf\x00SECONDHALF", "a control character in it"),
    ("firsthalf\tSECONDHALF", "a control character in it"),
    (" \n", "it is empty"),
    ("HALF" * 5000, "it is longer than 16 KiB"),
]


@pytest.mark.parametrize(
    ("content", "fault"), [*FAULTS, ("firsthalfSECONDHALFé", "a character in it that is not ASCII")]
)
async def test_a_token_that_cannot_be_sent(tmp_path: Path, content: str, fault: str) -> None:
    """Nobody is asked; the error names the file and what is wrong, and nothing of the token."""
    token, seen = tmp_path / "token", []
    token.write_bytes(content.encode())
    access = ServerAccess("*", bearer_token_file=token)
    source = PrometheusSource([access], QUICK, answering(httpx.Response(200, json=vector(1)), seen=seen))
    with capture_logs() as logged:
        (error,) = await observe_all(source, [TRIGGER], AT)
    assert isinstance(error, SourceUnavailable)
    assert str(error) == f"credentials file {token} holds no token: {fault}"
    assert not seen
    assert "HALF" not in f"{error!r} {error.__cause__!r} {error.__context__!r} {logged}"


@pytest.mark.parametrize(("content", "fault"), FAULTS)
async def test_a_password_that_cannot_be_sent(tmp_path: Path, content: str, fault: str) -> None:
    """As a token."""
    password = tmp_path / "password"
    password.write_bytes(content.encode())
    access = ServerAccess("*", username="me", password_file=password)
    (error,) = await observe_all(PrometheusSource([access], QUICK, answering(httpx.Response(200))), [TRIGGER], AT)
    assert str(error) == f"credentials file {password} holds no password: {fault}"


@pytest.mark.parametrize(
    "fields",
    [
        {"tenant": "first\nSECONDHALF"},
        {"tenant": "SECONDHALFé"},
        {"tenant": " SECONDHALF"},
        {"tenant_header": "X SECONDHALF"},
        {"headers": (("X-Key", "first\nSECONDHALF"),)},
        {"headers": (("X-Key", "first\x7fSECONDHALF"),)},
        {"username": "first\rSECONDHALF", "password_file": Path("p")},
        {"username": "first:SECONDHALF", "password_file": Path("p")},
    ],
)
def test_what_the_settings_put_into_a_header(fields: dict[str, object]) -> None:
    """Refused at the start, without the value."""
    with pytest.raises(SettingsError, match="must") as raised:
        ServerAccess("*", **fields)  # type: ignore[arg-type]
    assert "SECONDHALF" not in str(raised.value)


@pytest.mark.parametrize("content", ["first\nsecond", "", None])
async def test_a_token_that_is_wrong_for_a_moment(tmp_path: Path, content: str | None) -> None:
    """The last good one is sent, the log shows it once, and the next good one is taken."""
    gc.collect()  # files of tests before this one
    before = stale_files()
    token, seen = tmp_path / "token", []
    token.write_text("good")
    access = ServerAccess("*", bearer_token_file=token)
    source = PrometheusSource([access], QUICK, answering(httpx.Response(200, json=vector(1)), seen=seen))
    await observe_all(source, [TRIGGER], AT)
    token.unlink() if content is None else token.write_text(content)
    with capture_logs() as logged:
        for _ in range(3):
            assert await observe_all(source, [TRIGGER], AT) == [1.0]
    assert [line["event"] for line in logged] == ["files_not_renewed"]
    assert stale_files() == before + 1
    token.write_text("better")
    await observe_all(source, [TRIGGER], AT)
    assert stale_files() == before
    assert [one.headers["authorization"] for one in seen] == [*["Bearer good"] * 4, "Bearer better"]


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE"])
async def test_system_authorities_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    """An error that names the variable; servers without TLS are asked as ever."""
    monkeypatch.setenv(variable, "/nowhere/ca.pem")
    system_trust.cache_clear()
    source = PrometheusSource(limits=QUICK, transport=answering(httpx.Response(200, json=vector(1))))
    broken, fine = await observe_all(source, [replace(TRIGGER, server_address="https://prometheus:9090"), TRIGGER], AT)
    system_trust.cache_clear()
    assert str(broken) == (
        f"https://prometheus:9090: {variable} of the environment cannot be used: No such file or directory"
    )
    assert fine == 1.0


class Authorities:
    """Two authorities, and the files of a client that trusts some of them."""

    def __init__(self, folder: Path) -> None:
        self.old, self.new = trustme.CA(), trustme.CA()
        self.file = folder / "ca.pem"

    def trust(self, *authorities: trustme.CA) -> None:
        self.file.write_bytes(b"".join(one.cert_pem.bytes() for one in authorities))


@asynccontextmanager
async def serving(authority: trustme.CA, port: int = 0, wait: Callable[[], float] = lambda: 0) -> AsyncIterator[int]:
    """A server whose certificate comes from `authority`; it answers after `wait` seconds."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        body = json.dumps(vector(1)).encode()
        while await reader.read(4096):
            await asyncio.sleep(wait())
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
            await writer.drain()

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    server = await asyncio.start_server(serve, "localhost", port, ssl=context)
    yield server.sockets[0].getsockname()[1]
    server.close()


async def test_renewed_authorities_are_trusted_without_a_restart(tmp_path: Path) -> None:
    """The file holds both, the server's certificate comes from the second; then the first is trusted no more."""
    both = Authorities(tmp_path)
    both.trust(both.old)
    source = PrometheusSource([ServerAccess("*", ca_file=both.file)], QUICK)
    async with serving(both.old) as old, serving(both.new) as new:
        before, after = (replace(TRIGGER, server_address=f"https://localhost:{port}") for port in (old, new))
        found = await observe_all(source, [before, after], AT)
        assert found[0] == 1.0
        assert "its certificate is not trusted" in str(found[1])
        both.trust(both.old, both.new)
        assert await observe_all(source, [before, after], AT) == [1.0, 1.0]
        both.trust(both.new)
        found = await observe_all(source, [before, after], AT)
        assert found[1] == 1.0
        assert "its certificate is not trusted" in str(found[0])
    await source.close()


@pytest.mark.parametrize("content", [b"no PEM", b"", None])
async def test_authorities_that_are_wrong_for_a_moment(tmp_path: Path, content: bytes | None) -> None:
    """The last good ones stay in use, and the log shows it once; at first they are an error of their server."""
    both = Authorities(tmp_path)
    both.trust(both.old)
    access = ServerAccess("*", ca_file=both.file)
    async with serving(both.old) as port:
        trigger = replace(TRIGGER, server_address=f"https://localhost:{port}")
        source = PrometheusSource([access], QUICK)
        assert await observe_all(source, [trigger], AT) == [1.0]
        both.file.unlink() if content is None else both.file.write_bytes(content)
        with capture_logs() as logged:
            assert [await observe_all(source, [trigger], AT) for _ in range(3)] == [[1.0]] * 3
        assert [line["event"] for line in logged] == ["files_not_renewed"]
        (error,) = await observe_all(PrometheusSource([access], QUICK), [trigger], AT)
        assert isinstance(error, SourceUnavailable)
        assert f"TLS files {both.file}" in str(error)
    await source.close()


async def test_a_request_under_way_outlives_the_renewal(tmp_path: Path) -> None:
    """Its connection is closed when it has ended, not when the files change."""
    both = Authorities(tmp_path)
    both.trust(both.old)
    source = PrometheusSource([ServerAccess("*", ca_file=both.file)], QUICK)
    waits = [0.5, 0.0]
    async with serving(both.old, wait=lambda: waits.pop(0)) as port:
        trigger = replace(TRIGGER, server_address=f"https://localhost:{port}")
        slow = asyncio.create_task(observe_all(source, [trigger], AT))
        await asyncio.sleep(0.2)
        both.trust(both.old, both.new)
        assert await observe_all(source, [trigger], AT) == [1.0]
        assert await slow == [1.0]
    await source.close()


async def test_a_key_with_a_password_is_refused_and_nobody_is_asked_for_it(tmp_path: Path) -> None:
    """OpenSSL would wait for somebody at the terminal."""
    pair = trustme.CA().issue_cert("localhost")
    certificate, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    pair.cert_chain_pems[0].write_to_path(str(certificate))
    loaded = serialization.load_pem_private_key(pair.private_key_pem.bytes(), None)
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    key.write_bytes(loaded.private_bytes(pem, pkcs8, serialization.BestAvailableEncryption(b"s3cret")))
    access = ServerAccess("*", certificate_file=certificate, key_file=key)
    trigger = replace(TRIGGER, server_address="https://localhost:1")
    (error,) = await observe_all(PrometheusSource([access], QUICK), [trigger], AT)
    assert f"TLS files {certificate}, {key}" in str(error)
