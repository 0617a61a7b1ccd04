"""The whole path with real servers: Prometheus with two weeks of a recorded trace, Redis, two scaler processes, and a
client that behaves like KEDA. Parts are taken away one by one; no answer may fall below the reactive trigger's."""

import csv
import gzip
import itertools
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import urlopen

import pytest

from scaler.commands.check.keda_client import KedaClient, OurTrigger
from tests.e2e.scaler_process import ScalerProcess, scaler_running
from tests.servers.prometheus import PrometheusServer, Recorded, prometheus
from tests.servers.redis import RedisServer, redis_server

pytestmark = [pytest.mark.server, pytest.mark.e2e, pytest.mark.alone]

DAY_STEPS = 1440
STEP = 60
LEAD_STEPS = 30
SERIES = "web_requests"
RECORDING = Path(__file__).parents[2] / "scaler" / "commands" / "demo" / "data" / "workloads.csv.gz"


def recorded() -> list[float]:
    with gzip.open(RECORDING, "rt") as file:
        return [float(row["value"]) for row in csv.DictReader(file) if row["series"] == SERIES]


def steepest_morning(values: list[float]) -> int:
    """Where demand grew most in the lead time, on the last two days as on the days before."""

    def growth(i: int) -> float:
        return sum(values[i + 10 : i + LEAD_STEPS]) / (LEAD_STEPS - 10) / (sum(values[i - 10 : i]) / 10)

    candidates = range(12 * DAY_STEPS, len(values) - 2 * LEAD_STEPS)
    return max(candidates, key=lambda i: min(growth(i), growth(i - DAY_STEPS), growth(i - 7 * DAY_STEPS)))


@dataclass(frozen=True)
class Demand:
    """The recording, shifted in time so that its steepest morning is now."""

    start: float
    values: list[float]

    def at(self, moment: float) -> float:
        """What a reactive trigger reads."""
        return self.values[int((moment - self.start) // STEP)]

    def peak(self, start: float, end: float) -> float:
        return max(self.values[int((start - self.start) // STEP) : int((end - self.start) // STEP) + 1])

    def series(self) -> Recorded:
        return Recorded("demand", [(self.start + i * STEP, value) for i, value in enumerate(self.values)])


@pytest.fixture(scope="module")
def demand() -> Demand:
    values = recorded()
    return Demand(time.time() // STEP * STEP - steepest_morning(values) * STEP, values)


@dataclass
class Keda:
    """Asks the replicas in turn, in KEDA's order, and keeps every number it was given."""

    replicas: list[KedaClient]
    trigger: OurTrigger
    given: list[tuple[float, float]] = field(default_factory=list)
    _turn: Iterator[int] = field(default_factory=itertools.count)

    def cycle(self) -> float | None:
        """One poll: spec, value, activity, each from the next replica. None where the value was refused."""
        spec = self._next().metric_spec(self.trigger, "poll")
        assert not spec.error, spec
        value = self._next().metrics(self.trigger, "headway", "poll")
        if value.number is None:
            return None
        active = self._next().is_active(self.trigger, "poll")
        assert active.number == 1, active
        self.given.append((time.time(), value.number))
        return value.number

    def until_forecast(self, address: str, seconds: float = 60) -> None:
        """Poll until the plan behind the answers uses a forecast."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.cycle()
            if plan_of(address)["rung"] == "forecast_and_observation":
                return
            time.sleep(0.5)
        raise AssertionError(f"no forecast after {seconds} s: {plan_of(address)}")

    def _next(self) -> KedaClient:
        return self.replicas[next(self._turn) % len(self.replicas)]


def plan_of(address: str) -> dict[str, object]:
    """The one current plan of a replica, as its HTTP port tells it."""
    with urlopen(f"http://{address}/api/v1/plans", timeout=5) as answer:
        plans = json.load(answer)["plans"]
    return (plans[0]["plan"] if plans else None) or {"rung": "nothing"}


def metadata(prometheus: str) -> dict[str, str]:
    return {
        "scalerAddress": "dns:///headway:50051",
        "serverAddress": prometheus,
        "query": "demand",
        "threshold": "20",
        "leadTime": f"{LEAD_STEPS}m",
        "maxStaleness": "15s",
    }


@dataclass
class World:
    """Everything that runs, and what may be taken away."""

    demand: Demand
    prometheus: PrometheusServer
    redis: RedisServer
    replicas: list[ScalerProcess]
    keda: Keda

    def poll(self, seconds: float, pause: float = 1.0) -> list[float]:
        """What KEDA was given in so many seconds; every answer at least what a reactive trigger would have had."""
        given = []
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            value = self.keda.cycle()
            assert value is not None
            assert value >= self.demand.at(time.time())
            given.append(value)
            time.sleep(pause)
        return given


@pytest.fixture(scope="module")
def world(demand: Demand, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("e2e")
    with ExitStack() as stack:
        metrics = stack.enter_context(prometheus(folder / "prometheus", [demand.series()]))
        redis = stack.enter_context(redis_server())
        options = ("--redis", redis.url, "--allow-server-address", metrics.url, "--refresh-interval", "5s")
        replicas = [stack.enter_context(scaler_running(folder, *options, name=f"replica-{n}")) for n in (1, 2)]
        clients = [stack.enter_context(KedaClient(replica.grpc_address)) for replica in replicas]
        trigger = OurTrigger(0, "shop", "web", metadata(metrics.url))
        yield World(demand, metrics, redis, replicas, Keda(clients, trigger))


def test_answers_rise_before_the_demand(world: World) -> None:
    """With two weeks of history the answer holds the demand of the coming half hour, long before it is there."""
    for replica in world.replicas:
        world.keda.until_forecast(replica.http_address)
    now = time.time()
    value = world.keda.cycle()
    coming = world.demand.peak(now, now + LEAD_STEPS * STEP)
    recent = world.demand.peak(now - 10 * STEP, now)
    assert value is not None
    assert coming > 1.1 * recent, "the recording was to grow here"
    assert value > 1.1 * recent


def test_replicas_agree(world: World) -> None:
    """Whichever replica is asked, the number is the same at the same moment."""
    first, second = world.keda.replicas
    compared = 0
    for _ in range(60):
        before, other, after = (c.metrics(world.keda.trigger, "headway", "poll").number for c in (first, second, first))
        if before == after:
            compared += 1
            assert other == before
        time.sleep(0.2)
    assert compared > 30


def test_outages_never_lower_the_answer(world: World) -> None:
    """Prometheus, then Redis, then a replica goes; answers go on and stay at or above the reactive trigger's."""
    world.prometheus.stop()
    world.poll(5)
    world.poll(20)
    assert plan_of(world.replicas[0].http_address)["rung"] == "forecast_alone"
    world.redis.stop()
    world.poll(10)
    world.replicas[1].kill()
    world.keda.replicas.pop()
    world.poll(10)


def test_recovery_without_restart(world: World) -> None:
    """When Prometheus and Redis are back, the remaining replica observes and forecasts again by itself."""
    world.prometheus.start()
    world.redis.start()
    world.keda.until_forecast(world.replicas[0].http_address)
    world.poll(6)
    assert world.replicas[0].terminate() == 0
