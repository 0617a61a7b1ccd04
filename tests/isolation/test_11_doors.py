"""Doors: what each port shows to whom, which servers a tenant may choose, and what a signal or a bundle does."""

import contextlib
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import trustme

from tests.isolation.world import BYSTANDER, SEARCH, SHOP, Replica, bystander, replica, trigger
from tests.rounds import least
from tests.servers.process import free_port, until
from tests.servers.prometheus import PrometheusServer

pytestmark = pytest.mark.e2e

TOKEN = "the-read-token-of-this-test"


@dataclass
class Files:
    """Certificates of one authority for the server and its clients, and a token."""

    folder: Path

    def __post_init__(self) -> None:
        self.authority = trustme.CA()
        self.authority.cert_pem.write_to_path(str(self.folder / "ca.pem"))
        self.issue("127.0.0.1")
        self.issue("prometheus")
        (self.folder / "token").write_text(f"{TOKEN}\n")

    def issue(self, name: str) -> None:
        issued = self.authority.issue_cert(name)
        issued.private_key_pem.write_to_path(str(self.folder / f"{name}.key"))
        issued.cert_chain_pems[0].write_to_path(str(self.folder / f"{name}.pem"))

    def path(self, name: str) -> str:
        return str(self.folder / name)

    @property
    def flags(self) -> tuple[str, ...]:
        return (
            *("--tls-cert", self.path("127.0.0.1.pem"), "--tls-key", self.path("127.0.0.1.key")),
            *("--tls-client-ca", self.path("ca.pem"), "--http-token-file", self.path("token")),
        )

    def context(self) -> ssl.SSLContext:
        """What a Prometheus with a client certificate has."""
        context = ssl.create_default_context(cafile=self.path("ca.pem"))
        context.load_cert_chain(self.path("prometheus.pem"), self.path("prometheus.key"))
        return context


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def logged(scaler: Replica, event: str) -> list[dict[str, object]]:
    """The log's lines of one event."""
    lines = (json.loads(line) for line in scaler.log().splitlines() if line.startswith("{"))
    return [line for line in lines if line["event"] == event]


@contextlib.contextmanager
def process(folder: Path, *options: str) -> Iterator[Replica]:
    """A scaler whose gRPC port may have TLS: it is not called."""
    from tests.e2e.scaler_process import scaler_running

    with scaler_running(folder, "--prometheus", "http://127.0.0.1:9", *options) as started:
        yield Replica(started, None)  # type: ignore[arg-type]


def probe_address(scaler: Replica) -> str:
    until(lambda: logged(scaler, "listening"))
    return str(logged(scaler, "listening")[0]["probe_address"])


@pytest.mark.parametrize(("pattern", "warned"), [("*", True), ("http://prometheus.{namespace}:9090", False)])
def test_an_open_list_of_servers_is_a_warning(tmp_path: Path, pattern: str, warned: bool) -> None:
    """Every tenant then chooses what this process calls."""
    with process(tmp_path, "--allow-server-address", pattern) as scaler:
        until(lambda: logged(scaler, "listening"))
        assert bool(logged(scaler, "any_server")) == warned


def kubelet(url: str) -> int:
    """A probe as the kubelet makes it: without certificate, token, name, or a look at the server's certificate."""
    return httpx.get(url, verify=False, trust_env=False).status_code


@pytest.mark.parametrize("tls", ["off", "tls", "mtls"])
@pytest.mark.parametrize("apart", [False, True])
def test_probes_and_prometheus_work_in_each_combination(files: Files, tls: str, apart: bool) -> None:
    """With TLS, mTLS, a token and a list of names: the kubelet's probes, and a real Prometheus that scrapes."""
    options = (*files.flags, "--http-tls", tls, "--http-allowed-hosts", "headway.keda")
    options += ("--probe-address", "127.0.0.1:0") if apart else ()
    with process(files.folder, *options) as scaler:
        address = scaler.process.http_address
        scheme, scraped = ("http" if tls == "off" else "https"), address
        until(lambda: [kubelet(f"{scheme}://{address}/{path}") for path in ("livez", "readyz")] == [200, 200])
        if apart:
            scheme, scraped = "http", probe_address(scaler)
            assert [kubelet(f"http://{scraped}/{path}") for path in ("livez", "readyz", "metrics")] == [200, 200, 200]
            assert kubelet(f"http://{scraped}/api/v1/plans") == 404
        with scraping(files, scheme, scraped) as prometheus:
            until(lambda: is_up(prometheus))


@contextlib.contextmanager
def scraping(files: Files, scheme: str, address: str) -> Iterator[PrometheusServer]:
    tls = f"""
    tls_config:
      ca_file: {files.path("ca.pem")}
      cert_file: {files.path("prometheus.pem")}
      key_file: {files.path("prometheus.key")}"""
    config = f"""
global:
  scrape_interval: 1s
scrape_configs:
  - job_name: headway
    scheme: {scheme}{tls if scheme == "https" else ""}
    static_configs:
      - targets: ["{address}"]
"""
    (files.folder / "prometheus").mkdir()
    server = PrometheusServer(files.folder / "prometheus", config)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def is_up(prometheus: PrometheusServer) -> bool:
    found = httpx.get(f"{prometheus.url}/api/v1/query", params={"query": "up * on() headway_build_info"}).json()
    return any(one["value"][1] == "1" for one in found["data"]["result"])


def test_a_tenant_without_the_token_sees_no_query(tmp_path: Path, metrics: PrometheusServer, files: Files) -> None:
    """The API and the page are closed to it; the operator's `headway why` opens them, also after the token changed."""
    with replica(tmp_path, metrics.url, "--http-token-file", files.path("token")) as scaler:
        scaler.until_value(bystander(query="vector(1000) + 0 * scalar(vector(42))"), 1000)
        url = f"http://{scaler.process.http_address}"
        for path in ("/", "/api/v1/plans", f"/api/v1/why/{BYSTANDER}/orders"):
            answer = httpx.get(f"{url}{path}")
            assert (answer.status_code, "scalar" in answer.text) == (401, False)
            assert answer.headers["www-authenticate"].startswith("Bearer")
        (tmp_path / "token").write_text("a-new-read-token-of-this-test")
        command = [sys.executable, "-m", "scaler.cli", "why", BYSTANDER, "orders", "--address", url]
        shown = subprocess.run(
            [*command, "--token-file", files.path("token")], capture_output=True, text=True, check=True
        ).stdout
        assert "scalar(vector(42))" in shown
        assert httpx.get(f"{url}/api/v1/plans", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 401


def test_a_browser_is_not_led_here_by_another_site(files: Files) -> None:
    """After DNS rebinding the name in the Host header is the other site's."""
    with process(files.folder, "--http-allowed-hosts", "headway.keda") as scaler:
        url = f"http://{scaler.process.http_address}/api/v1/plans"
        found = [httpx.get(url, headers={"Host": host}).status_code for host in ("evil.example", "headway.keda:8080")]
        assert (found, httpx.get(url).status_code) == ([421, 200], 200)


def test_certificates_change_while_the_port_stays_open(files: Files) -> None:
    """A renewed certificate of another authority counts for the next connection."""
    with process(files.folder, *files.flags, "--http-tls", "mtls") as scaler:
        url = f"https://{scaler.process.http_address}/metrics"
        with httpx.Client(verify=files.context()) as kept:
            assert kept.get(url).status_code == 200
            files.__post_init__()
            assert httpx.get(url, verify=files.context()).status_code == 200
            assert kept.get(url).status_code == 200


def test_the_grpc_port_describes_itself_only_when_asked_for(tmp_path: Path, metrics: PrometheusServer) -> None:
    """Reflection is a setting."""
    import grpc
    from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

    def services(scaler: Replica) -> list[str]:
        with grpc.insecure_channel(scaler.process.grpc_address) as channel:
            stub = reflection_pb2_grpc.ServerReflectionStub(channel)
            asked = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
            [answer] = list(stub.ServerReflectionInfo(asked, timeout=10))
            return [service.name for service in answer.list_services_response.service]

    with replica(tmp_path, metrics.url) as scaler:
        with pytest.raises(grpc.RpcError) as refused:
            services(scaler)
        assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
    with replica(tmp_path, metrics.url, "--grpc-reflection", "true") as scaler:
        assert "externalscaler.ExternalScaler" in services(scaler)


def test_a_bundle_url_that_hangs_delays_no_answer(tmp_path: Path, metrics: PrometheusServer) -> None:
    """The place accepts connections and never says a word: the first answer comes as without it."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"ftp://127.0.0.1:{silent.getsockname()[1]}/bundles"
        with replica(tmp_path, metrics.url) as scaler:
            usual = seconds_to_the_first_answer(scaler)
        with replica(tmp_path, metrics.url, "--bundle", url, "--bundle-protocols", "ftp") as scaler:
            assert seconds_to_the_first_answer(scaler) < 2 * usual + 4
            until(lambda: logged(scaler, "bundle_awaited"), seconds=60)


def seconds_to_the_first_answer(scaler: Replica) -> float:
    """From the start of the process."""
    scaler.until_value(bystander(), 1000)
    return time.time() - scaler.process.started


@pytest.mark.parametrize("bundle", ["http://models/x", "zip://x::file:///tmp/x.zip", "simplecache::/tmp/x"])
def test_a_bundle_of_another_protocol_stops_the_start(tmp_path: Path, bundle: str) -> None:
    """The reason names the setting."""
    command = [sys.executable, "-m", "scaler.cli", "serve", "--bundle", bundle]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 2
    assert "bundle=" in json.loads(ended.stderr.splitlines()[-1])["error"]


@pytest.mark.parametrize("pattern", ["http://prometheus.*:9090", "http://prometheus.*.svc.cluster.local:9090"])
def test_a_pattern_that_a_tenant_chooses_stops_the_start(tmp_path: Path, pattern: str) -> None:
    """Its error has the pattern to write instead."""
    command = [sys.executable, "-m", "scaler.cli", "serve", "--allow-server-address", pattern]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 2
    assert pattern.replace("*", "{namespace}") in json.loads(ended.stderr.splitlines()[-1])["error"]


def test_a_tenant_gets_the_server_of_its_own_namespace_only(tmp_path: Path, metrics: PrometheusServer) -> None:
    """With `{namespace}` a trigger may name the Prometheus of its namespace and of no other."""
    with replica(tmp_path, metrics.url, "--allow-server-address", "http://prometheus.{namespace}:9") as scaler:
        own = scaler.ask(trigger(SHOP, "up", f"http://prometheus.{SHOP}:9"))
        other = scaler.ask(trigger(SEARCH, "up", f"http://prometheus.{SHOP}:9"))
        scaler.until_value(bystander(), 1000)
    assert (own.status, other.status) == ("UNAVAILABLE", "INVALID_ARGUMENT")
    assert "not among the servers" in str(other)


def test_long_addresses_against_many_stars_hold_nobody_up(tmp_path: Path, metrics: PrometheusServer) -> None:
    """A pattern of the operator's with many stars, addresses of a tenant made for it: the bystander does not notice."""
    pattern = "http://host/" + "*a" * 60 + "b"
    with replica(tmp_path, metrics.url, "--allow-server-address", pattern) as scaler:
        scaler.until_value(bystander(), 1000)

        def longest() -> float:
            hostile = [scaler.ask(trigger(SHOP, "up", "http://host/" + "a" * (1900 + n))) for n in range(50)]
            assert {call.status for call in hostile} == {"INVALID_ARGUMENT"}
            return max(call.milliseconds for call in hostile + scaler.poll(bystander(), 2))

        assert least(longest, 1000) < 1000


def test_signals_end_nothing(tmp_path: Path, metrics: PrometheusServer) -> None:
    """SIGHUP reads again what can be read and names what needs a restart; SIGUSR1, SIGUSR2 and SIGPIPE do nothing."""
    config = tmp_path / "headway.yaml"
    config.write_text("max-query-length: 4000\nlog-level: info\n")
    with replica(tmp_path, metrics.url, "--config", str(config)) as scaler:
        scaler.until_value(bystander(), 1000)
        for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGPIPE, signal.SIGHUP):
            os.kill(scaler.process.process.pid, number)
        until(lambda: len(logged(scaler, "reloaded")) == 1)
        config.write_text("max-query-length: 3000\nrefresh-interval: 10s\nlog-level: info\n")
        scaler.process.process.send_signal(signal.SIGHUP)
        until(lambda: len(logged(scaler, "reloaded")) == 2)
        config.write_text("- broken\n")
        scaler.process.process.send_signal(signal.SIGHUP)
        until(lambda: logged(scaler, "reload_failed"))
        assert scaler.ask(bystander()).number == 1000
        assert [line["restart_needed"] for line in logged(scaler, "reloaded")[:2]] == [
            [],
            ["max-query-length", "refresh-interval"],
        ]
        assert scaler.process.terminate() == 0


def test_sighup_reads_a_renewed_token_at_once(files: Files) -> None:
    """Before anybody uses it: a file that is wrong is in the log, where an operator looks after a reload."""
    with process(files.folder, "--http-token-file", files.path("token")) as scaler:
        (files.folder / "token").write_text("short")
        scaler.process.process.send_signal(signal.SIGHUP)
        until(lambda: logged(scaler, "files_not_renewed"))
        (files.folder / "token").write_text("a-renewed-token-of-this-test")
        scaler.process.process.send_signal(signal.SIGHUP)
        until(lambda: logged(scaler, "files_renewed"))


def test_a_second_sigterm_ends_it_at_once(tmp_path: Path, metrics: PrometheusServer) -> None:
    """The first one drains, also when it comes twice in a moment; one that comes later means now."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        server = f"http://127.0.0.1:{silent.getsockname()[1]}"
        slow = ("--refresh-interval", "15s", "--first-answer-wait", "50s", "--drain-grace", "60s")
        with replica(tmp_path, metrics.url, *slow, "--allow-server-address", server) as scaler:
            scaler.until_value(bystander(), 1000)
            calling = threading.Thread(target=scaler.ask, args=(trigger(SHOP, "up", server),))
            calling.start()
            asked, _ = silent.accept()
            for _ in range(2):
                scaler.process.process.send_signal(signal.SIGTERM)
            time.sleep(1.5)
            assert scaler.process.process.poll() is None, "two at once are one request to drain"
            until(
                lambda: scaler.process.process.send_signal(signal.SIGTERM) or scaler.process.process.poll(), seconds=20
            )
            assert scaler.process.process.wait() == -signal.SIGTERM
            calling.join()
            asked.close()


def test_the_port_of_probes_may_be_taken(tmp_path: Path) -> None:
    """The start ends with the setting and the reason, as for the other ports."""
    port = free_port()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        addresses = [f"--{name}-address=127.0.0.1:0" for name in ("grpc", "http")]
        command = [sys.executable, "-m", "scaler.cli", "serve", *addresses, f"--probe-address=127.0.0.1:{port}"]
        ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 2
    assert "probe-address=" in json.loads(ended.stderr.splitlines()[-1])["error"]
