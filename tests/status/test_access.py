"""Who may read what at the HTTP port, with real sockets and certificates."""

import asyncio
import gc
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme

from scaler.errors import SettingsError
from scaler.page.routes import all_pages
from scaler.settings import load_settings
from scaler.status.access import is_host_allowed, is_token
from scaler.status.server import StatusServer
from scaler.telemetry.metrics import Telemetry
from tests.servers.process import until_async
from tests.status.registry import filled_registry

TOKEN = "a-token-of-some-length"


@asynccontextmanager
async def served(**settings: Any) -> AsyncIterator[tuple[str, StatusServer, Telemetry]]:
    telemetry = Telemetry()
    read = load_settings({"http_address": "127.0.0.1:0", **settings})
    server = StatusServer(read, filled_registry(), telemetry, dict, lambda key: None, pages=all_pages)
    port = await server.start()
    yield f"127.0.0.1:{port}", server, telemetry
    await server.stop()


async def get(url: str, path: str, verify: Any = True, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(verify=verify) as client:
        return await client.get(f"{url}{path}", headers=headers)


async def statuses(url: str, verify: Any = True, **headers: str) -> list[int]:
    paths = ("/livez", "/readyz", "/metrics", "/", "/api/v1/plans", "/api/v1/why/shop/web", "/nothing")
    return [(await get(url, path, verify, **headers)).status_code for path in paths]


async def test_without_settings_all_is_open() -> None:
    """What worked before works."""
    async with served() as (address, _, _):
        assert await statuses(f"http://{address}") == [200, 200, 200, 200, 200, 200, 404]


async def test_the_token_guards_what_shows_tenants(tmp_path: Path) -> None:
    """Probes and telemetry are open; the page, the API and unknown paths need the token, in one form only."""
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    async with served(http_token_file=str(tmp_path / "token")) as (address, _, telemetry):
        url = f"http://{address}"
        assert await statuses(url) == [200, 200, 200, 401, 401, 401, 401]
        assert await statuses(url, Authorization=f"Bearer {TOKEN}") == [200, 200, 200, 200, 200, 200, 404]
        wrong = ["Bearer", f"Basic {TOKEN}", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", TOKEN, "Bearer \xfc"]
        for text in wrong:
            async with httpx.AsyncClient() as client:
                answer = await client.get(f"{url}/api/v1/plans", headers={b"Authorization": text.encode("latin-1")})
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == 'Bearer realm="headway", error="invalid_token"'
            assert TOKEN not in answer.text
        missing = await get(url, "/api/v1/plans")
        assert missing.headers["www-authenticate"] == 'Bearer realm="headway"'
        assert missing.json()["errors"][0]["field"] == "Authorization"
        count = telemetry.registry.get_sample_value("headway_http_refused_total", {"reason": "token"})
        assert count == 4 + len(wrong) + 1


async def test_a_changed_token_counts_at_once(tmp_path: Path) -> None:
    """The old one no longer; a file that is wrong for a moment leaves the last good one."""
    file = tmp_path / "token"
    file.write_text(TOKEN)
    async with served(http_token_file=str(file)) as (address, _, _):
        url = f"http://{address}"
        file.write_text(f"another-{TOKEN}")
        old = await get(url, "/", Authorization=f"Bearer {TOKEN}")
        new = await get(url, "/", Authorization=f"Bearer another-{TOKEN}")
        file.unlink()
        gone = await get(url, "/", Authorization=f"Bearer another-{TOKEN}")
    assert (old.status_code, new.status_code, gone.status_code) == (401, 200, 200)


@pytest.mark.parametrize("content", ["short", "two\nlines-of-a-token", "\x00" * 20])
async def test_a_token_that_cannot_be_used_stops_the_start(tmp_path: Path, content: str) -> None:
    """The error names the file and not what it holds."""
    (tmp_path / "token").write_text(content)
    with pytest.raises(SettingsError, match="http-token-file") as caught:
        async with served(http_token_file=str(tmp_path / "token")):
            pass
    assert content not in str(caught.value)


def test_tokens_are_compared_whole() -> None:
    """Case of the scheme apart, every letter counts."""
    assert is_token(f"bearer {TOKEN}", TOKEN)
    assert not is_token("", TOKEN)
    assert not is_token("Bearer ", TOKEN)
    assert not is_token(f"Bearer {TOKEN} {TOKEN}", TOKEN)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("headway.keda:8080", True),
        ("HEADWAY.keda.", True),
        ("eu.example.com", True),
        ("a.b.example.com:1", True),
        ("10.1.2.3:8080", True),
        ("[fd00::1]:8080", True),
        ("localhost:8080", True),
        ("x.localhost", True),
        ("evil.com", False),
        ("example.com", False),
        ("headway.keda.evil.com", False),
        ("10.1.2.3.evil.com", False),
        ("localhost.evil.com", False),
        ("xlocalhost", False),
        ("evilexample.com", False),
        ("[evil.com]", False),
        ("", False),
        (":8080", False),
    ],
)
def test_names_of_hosts(host: str, expected: bool) -> None:
    """Names are listed; addresses cannot be rebound."""
    assert is_host_allowed(host, ("headway.keda", "*.example.com")) is expected
    assert is_host_allowed(host, ())


async def test_a_page_of_another_site_reads_nothing() -> None:
    """After DNS rebinding the Host header has the other site's name; a kubelet's and a Prometheus's have an address."""
    async with served(http_allowed_hosts=["headway.keda"]) as (address, _, _):
        url = f"http://{address}"
        assert await statuses(url, Host="evil.com") == [200, 200, 421, 421, 421, 421, 421]
        assert await statuses(url) == [200, 200, 200, 200, 200, 200, 404]
        assert await statuses(url, Host="headway.keda:80") == [200, 200, 200, 200, 200, 200, 404]
        refused = await get(url, "/metrics", Host="evil.com")
        assert refused.json()["errors"][0]["value"] == "evil.com"


class Files:
    """A certificate for 127.0.0.1, and an authority of clients."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server = trustme.CA()
        self.clients = trustme.CA()
        self.renew()
        self.clients.cert_pem.write_to_path(str(folder / "clients.pem"))

    def renew(self) -> None:
        issued = self.server.issue_cert("127.0.0.1")
        issued.private_key_pem.write_to_path(str(self.folder / "key.pem"))
        issued.cert_chain_pems[0].write_to_path(str(self.folder / "certificate.pem"))

    def settings(self, kind: str) -> dict[str, str]:
        own = {"tls_cert": "certificate.pem", "tls_key": "key.pem", "tls_client_ca": "clients.pem"}
        return {"http_tls": kind, **{name: str(self.folder / file) for name, file in own.items()}}

    def trusting(self, client: trustme.CA | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context()
        self.server.configure_trust(context)
        if client is not None:
            client.issue_cert("prometheus").configure_cert(context)
        return context


async def test_tls_with_the_files_of_the_grpc_port(tmp_path: Path) -> None:
    """Encrypted, no certificate of the client is needed, and plain HTTP gets no answer."""
    files = Files(tmp_path)
    async with served(**files.settings("tls")) as (address, _, _):
        assert await statuses(f"https://{address}", files.trusting()) == [200, 200, 200, 200, 200, 200, 404]
        with pytest.raises(httpx.HTTPError):
            await get(f"http://{address}", "/livez")


async def test_mtls_needs_a_certificate_but_for_probes(tmp_path: Path) -> None:
    """A kubelet brings none and does not verify; who brings one of another authority is refused in the handshake."""
    files = Files(tmp_path)
    kubelet = ssl.create_default_context()
    kubelet.check_hostname, kubelet.verify_mode = False, ssl.CERT_NONE
    async with served(**files.settings("mtls")) as (address, _, _):
        url = f"https://{address}"
        assert await statuses(url, kubelet) == [200, 200, 403, 403, 403, 403, 403]
        assert await statuses(url, files.trusting(files.clients)) == [200, 200, 200, 200, 200, 200, 404]
        with pytest.raises(httpx.HTTPError):
            await get(url, "/metrics", files.trusting(trustme.CA()))


async def until_refused(client: httpx.AsyncClient, url: str, *passing: type[httpx.HTTPError]) -> None:
    """Ask until it fails, which it does not for ten seconds at most. passing: faults after which it is asked again."""
    for _ in range(100):
        with suppress(*passing):
            await client.get(url)
        await asyncio.sleep(0.1)


async def test_a_renewed_certificate_counts_for_new_connections(tmp_path: Path) -> None:
    """The port stays open; an earlier connection ends between two requests; a broken renewal changes nothing."""
    files = Files(tmp_path)
    async with served(**files.settings("mtls")) as (address, _, _):
        url = f"https://{address}"
        old = files.trusting(files.clients)
        async with httpx.AsyncClient(verify=old) as kept:
            assert (await kept.get(f"{url}/metrics")).status_code == 200
            files.server = trustme.CA()
            files.renew()
            assert (await get(url, "/metrics", files.trusting(files.clients))).status_code == 200
            with pytest.raises(httpx.ConnectError):
                await get(url, "/metrics", old)
            with pytest.raises(httpx.ConnectError):  # it connects anew, and does not trust the new authority
                # a request that is on its way when the connection ends gets no answer
                await until_refused(kept, f"{url}/metrics", httpx.RemoteProtocolError)
        (tmp_path / "key.pem").write_text("half a k")
        assert (await get(url, "/metrics", files.trusting(files.clients))).status_code == 200
        earlier = files.clients
        files.renew()
        files.clients = trustme.CA()
        files.clients.cert_pem.write_to_path(str(tmp_path / "clients.pem"))
        assert (await get(url, "/metrics", files.trusting(files.clients))).status_code == 200
        with pytest.raises(httpx.HTTPError):
            await get(url, "/metrics", files.trusting(earlier))


async def test_a_client_whose_authority_was_removed_is_refused_on_its_open_connection(tmp_path: Path) -> None:
    """Within seconds, however long it keeps its connection; an answer under way is completed."""
    files = Files(tmp_path)
    async with served(**files.settings("mtls")) as (address, _, _):
        url = f"https://{address}/metrics"
        async with httpx.AsyncClient(verify=files.trusting(files.clients)) as kept:
            assert (await kept.get(url)).status_code == 200
            trustme.CA().cert_pem.write_to_path(str(tmp_path / "clients.pem"))
            with pytest.raises(httpx.HTTPError):
                await until_refused(kept, url)


async def test_unusable_files_stop_the_start(tmp_path: Path) -> None:
    """The files are named."""
    files = Files(tmp_path)
    (tmp_path / "key.pem").write_text("no PEM")
    with pytest.raises(SettingsError, match=r"TLS files .*key.pem"):
        async with served(**files.settings("tls")):
            pass


async def test_a_client_that_makes_no_handshake_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its place is counted while it waits, and free afterwards. Four of its handshakes are under way at a time, and
    another client does not wait for them."""
    monkeypatch.setattr("scaler.status.connections.HANDSHAKE_SECONDS", 0.5)
    files = Files(tmp_path)
    async with served(**files.settings("tls"), http_max_connections_per_client="2") as (address, server, _):
        host, _, port = address.rpartition(":")
        silent = [await asyncio.open_connection(host, int(port), local_addr=("127.0.0.2", 0)) for _ in range(12)]
        places = server._ports[0]._door._places
        await until_async(lambda: places._taken == 12)
        assert (await get(f"https://{address}", "/metrics", files.trusting())).status_code == 200
        assert places._taken >= 2
        await until_async(lambda: places._taken == 0)
        gc.collect()
        assert not server._ports[0]._door._handshakes
        for _, writer in silent:
            writer.close()


async def test_the_probe_port_shows_no_tenant(tmp_path: Path) -> None:
    """It is plain and needs nothing; the HTTP port serves the same paths behind its own rules."""
    files = Files(tmp_path)
    (tmp_path / "token").write_text(TOKEN)
    settings = {**files.settings("mtls"), "probe_address": "127.0.0.1:0", "http_token_file": str(tmp_path / "token")}
    async with served(**settings) as (address, server, _):
        assert await statuses(f"http://127.0.0.1:{server.probe_port}") == [200, 200, 200, 404, 404, 404, 404]
        unknown = await get(f"http://127.0.0.1:{server.probe_port}", "/api/v1/plan")
        assert unknown.json()["errors"][0]["rule"] == "unknown path; known are /livez, /readyz, /metrics"
        client = files.trusting(files.clients)
        assert await statuses(f"https://{address}", client) == [200, 200, 200, 401, 401, 401, 401]
        found = await statuses(f"https://{address}", client, Authorization=f"Bearer {TOKEN}")
        assert found == [200, 200, 200, 200, 200, 200, 404]


async def test_a_probe_port_that_is_taken() -> None:
    """The error has the name of its setting."""
    async with served() as (address, _, _):
        with pytest.raises(SettingsError, match="probe-address='"):
            async with served(probe_address=address):
                pass
