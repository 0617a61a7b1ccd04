"""No answer of a metric server can freeze the process that answers KEDA.

One tenant's query is answered with something large or odd; the bystander's calls and the probe go on meanwhile.
"""

import gzip
import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.isolation.world import DEMAND, SHOP, Replica, bystander, replica, trigger
from tests.rounds import least
from tests.servers.front import ENDLESS, Asked, Instead, front
from tests.servers.prometheus import PrometheusServer

pytestmark = [pytest.mark.server, pytest.mark.e2e, pytest.mark.alone]

NEEDLE = "hostile"
tenants = (f"{SHOP}-{number}" for number in count())
"""of whom each comes once, so that none has a circuit that an earlier answer has opened"""
LONGEST_CALL_MS = 1000.0
"""calls take less than a fifth of that; the answers below froze everything for up to a minute"""
MOST_GROWTH_MB = 150.0


def vector(count: int) -> bytes:
    """A successful answer of `count` series, as from a query without sum()."""
    one = [{"metric": {"pod": f"pod-{n:06d}", "node": "n" * 20}, "value": [1.7e9, "1"]} for n in range(count)]
    return json.dumps({"status": "success", "data": {"resultType": "vector", "result": one}}).encode()


def success(kind: object, result: object) -> bytes:
    return json.dumps({"status": "success", "data": {"resultType": kind, "result": result}}).encode()


def bomb(megabytes: int, times: int = 1) -> Instead:
    """An answer of that size, compressed `times` times over."""
    body = b'{"status":"success","data":"' + b" " * (megabytes << 20) + b'"}'
    for _ in range(times):
        body = gzip.compress(body, 9)
    headers = {"Content-Type": "application/json", "Content-Encoding": ", ".join(["gzip"] * times)}
    return Instead(body, headers=headers)


MEGABYTE = 2**20
HOSTILE = {
    "a long result type": Instead(success("x" * 200_000, [])),
    "a result type full of near secrets": Instead(success("token" * 200_000, [])),
    "a result type of a long scheme": Instead(success("a+" * 500_000, [])),
    "an error text of a megabyte": Instead(
        json.dumps({"status": "error", "error": "password " * 120_000}).encode(), 422
    ),
    "blank error text": Instead(json.dumps({"status": "error", "error": "token" + " " * MEGABYTE}).encode(), 500),
    "warnings of megabytes": Instead(
        json.dumps(
            {"status": "success", "warnings": ["a" * MEGABYTE] * 8, "data": {"resultType": "vector", "result": []}}
        ).encode()
    ),
    "70,000 series": Instead(vector(70_000)),
    "a label of megabytes": Instead(success("vector", [{"metric": {"a": "b" * 8 * MEGABYTE}, "value": [1, "1"]}])),
    "a number of a megabyte": Instead(success("vector", [{"metric": {}, "value": [1, "9" * MEGABYTE]}])),
    "a whole number of a megabyte": Instead(
        b'{"status":"success","data":{"resultType":"scalar","result":[1,' + b"9" * MEGABYTE + b"]}}"
    ),
    "deeply nested": Instead(b"[" * 5 * MEGABYTE),
    "no JSON, 15 MB": Instead(b"<html>" * 2_500_000, 502),
    "a gzip bomb": bomb(1500),
    "a gzip bomb in gzip": bomb(1500, times=2),
    "a bomb as an error": Instead(bomb(500).body, 500, bomb(1).headers),
    "compressed otherwise": Instead(b"\0" * 1000, headers={"Content-Encoding": "br"}),
    **ENDLESS,
}


@dataclass
class Hostile:
    """What the hostile queries get now, and how often each path has been asked for it."""

    answer: Instead | None = None
    asked: Counter[str] = field(default_factory=Counter)

    def __call__(self, asked: Asked) -> Instead | None:
        if NEEDLE not in asked.query:
            return None
        self.asked[asked.path] += 1
        return self.answer


@pytest.fixture(scope="module")
def hostile() -> Hostile:
    return Hostile()


@pytest.fixture(scope="module")
def scaler(tmp_path_factory: pytest.TempPathFactory, metrics: PrometheusServer, hostile: Hostile) -> Iterator[Replica]:
    with front(metrics.url) as state:
        state.rules.append(hostile)
        with replica(tmp_path_factory.mktemp("frozen"), state.url) as process:
            process.until_value(bystander(), float(DEMAND))
            yield process


@pytest.mark.parametrize("name", HOSTILE)
def test_the_bystander_does_not_notice(scaler: Replica, hostile: Hostile, name: str) -> None:
    """Ten triggers get the hostile answer at once, for instant and range queries; no call of another waits."""
    hostile.answer = HOSTILE[name]
    before = _resident_mb(scaler)

    def longest() -> float:
        calls, memory = zip(*_watched(scaler, hostile), strict=True)
        assert max(memory) - before < MOST_GROWTH_MB
        return max(calls)

    assert least(longest, LONGEST_CALL_MS) < LONGEST_CALL_MS


def _watched(scaler: Replica, hostile: Hostile) -> list[tuple[float, float]]:
    """Milliseconds of a call and resident memory, again and again while a new tenant gets the hostile answer."""
    hostile.asked.clear()
    tenant = next(tenants)
    scaler.register([trigger(tenant, f"{NEEDLE}_{n}") for n in range(10)])
    began, watched = time.monotonic(), []
    while time.monotonic() - began < 6 or len(hostile.asked) < 2:  # more than one refresh, and both kinds
        assert time.monotonic() - began < 60, f"asked: {hostile.asked}"
        call = scaler.ask(bystander())
        assert call.number == float(DEMAND), call
        watched.append((max(call.milliseconds, _probe_milliseconds(scaler)), _resident_mb(scaler)))
    return watched


def _probe_milliseconds(scaler: Replica) -> float:
    began = time.perf_counter()
    with urlopen(f"http://{scaler.process.http_address}/livez", timeout=30) as answer:
        assert answer.status == 200
    return (time.perf_counter() - began) * 1000


def _resident_mb(scaler: Replica) -> float:
    pages = int(Path(f"/proc/{scaler.process.process.pid}/statm").read_text().split()[1])
    return pages * 4096 / 2**20
