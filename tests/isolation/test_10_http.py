"""Budgets of the HTTP port: one client that fills its share keeps out neither Prometheus, nor the probes, nor KEDA."""

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator

import httpx
import psutil
import pytest

from tests.isolation.world import Replica, bystander, replica
from tests.rounds import least
from tests.servers.process import until
from tests.servers.prometheus import PrometheusServer

pytestmark = [pytest.mark.e2e, pytest.mark.alone]

CROWD, PROMETHEUS = "127.0.0.2", "127.0.0.3"

TRIGGERS = 3000
"""their telemetry has 3 MB: more than all buffers on the way to a reader"""


@pytest.fixture(scope="module")
def scaler(tmp_path_factory: pytest.TempPathFactory, metrics: PrometheusServer) -> Iterator[Replica]:
    """A scaler that watches many triggers, and has answered the bystander."""
    folder = tmp_path_factory.mktemp("http")
    listed = [
        {"namespace": "shop", "name": f"web-{n}", "metadata": {"query": "up", "threshold": "1", "mode": "reactive"}}
        for n in range(TRIGGERS)
    ]
    (folder / "headway.yaml").write_text(json.dumps({"triggers": listed}))
    quotas = ("--max-triggers-per-namespace", "5000")
    with replica(folder, metrics.url, "--config", str(folder / "headway.yaml"), *quotas) as started:
        started.until_value(bystander(), 1000)
        until(lambda: get(started, "/readyz") == 200, seconds=60)
        yield started


@contextlib.contextmanager
def crowd(kind: str, scaler: Replica) -> Iterator[None]:
    command = [sys.executable, "-m", "tests.isolation.http_crowd", kind, scaler.process.http_address, CROWD]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as attacking:
        assert attacking.stdout is not None
        assert attacking.stdout.readline() == "ready\n"
        try:
            yield
        finally:
            attacking.kill()


def is_alive_at_the_crowds_address(scaler: Replica) -> bool:
    """A probe of a kubelet that has the address of the hostile client."""
    try:
        return get(scaler, "/livez", CROWD, seconds=5) == 200
    except httpx.HTTPError:
        return False


def get(scaler: Replica, path: str, client: str = PROMETHEUS, seconds: float = 10) -> int:
    """The status of an answer, read to its end as a scraper does: within ten seconds by default."""
    transport = httpx.HTTPTransport(local_address=client)
    began = time.monotonic()
    with httpx.Client(transport=transport, timeout=seconds) as caller:
        with caller.stream("GET", f"http://{scaler.process.http_address}{path}") as answer:
            for _ in answer.iter_bytes():
                assert time.monotonic() - began < seconds, "a scraper would have given up"
        return answer.status_code


@pytest.fixture(scope="module")
def patience(scaler: Replica) -> float:
    """Seconds in which a scraper is to have its answer: ten, where it takes less than three without a crowd."""

    def alone() -> float:
        began = time.monotonic()
        assert get(scaler, "/metrics", seconds=60) == 200
        return time.monotonic() - began

    return max(10.0, 4 * least(alone, 1.0))


@pytest.mark.parametrize("kind", ["unread", "half", "scrape", "flood"])
def test_one_client_keeps_nobody_out(scaler: Replica, patience: float, kind: str) -> None:
    """It does not read, does not finish its requests, or reads all day long: others and KEDA are answered."""
    with crowd(kind, scaler):
        assert [get(scaler, path) for path in ("/livez", "/readyz")] == [200, 200]
        assert any(is_alive_at_the_crowds_address(scaler) for _ in range(3)), "a kubelet gives up after three"
        answers = [get(scaler, path, seconds=patience) for path in ("/metrics", "/api/v1/plans", "/metrics")]
        assert answers == [200] * 3
        assert least(lambda: longest_call(scaler), 3000) < 3000


def longest_call(scaler: Replica) -> float:
    """Milliseconds, of those of KEDA in five seconds; each is answered."""
    answers = scaler.poll(bystander(), 5, pause=0.01)
    assert {call.number for call in answers} == {1000}
    return max(call.milliseconds for call in answers)


def test_readers_that_do_not_read_are_disconnected(scaler: Replica) -> None:
    """Their memory is bounded while they are there, and given back; telemetry counts them."""
    process = psutil.Process(scaler.process.process.pid)
    before = process.memory_info().rss
    with crowd("unread", scaler):
        time.sleep(3)
        during = process.memory_info().rss
        until(lambda: counted(scaler, "slow") > 0, seconds=120)
    assert during - before < 64 * 2**20
    assert counted(scaler, "connections") > 0


def counted(scaler: Replica, reason: str) -> float:
    text = httpx.get(f"http://{scaler.process.http_address}/metrics", timeout=20).text
    name = f'headway_http_refused_total{{reason="{reason}"}} '
    return next(float(line.removeprefix(name)) for line in text.splitlines() if line.startswith(name))
