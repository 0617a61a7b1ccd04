"""A process that starts beside replicas that know the answers."""

import asyncio
import socket
import time
from collections.abc import Sequence
from pathlib import Path

import grpc
import httpx
import pytest
from pydantic import SecretStr

from scaler.app import service as app
from scaler.app.backends import Backends
from scaler.forecast.redis_cache import RedisCache
from scaler.history.arriving import Arriving
from scaler.metric.wire import externalscaler_pb2 as wire
from scaler.metric.wire.externalscaler_pb2_grpc import ExternalScalerStub
from scaler.series import Observation, Outlook, Samples
from scaler.settings import Settings
from scaler.testing import FixedSource
from scaler.trigger import Trigger, TriggerRules, parse_trigger
from tests.servers.redis import redis_server

METADATA = {"query": "demand", "threshold": "10"}
SERVER = "http://prometheus.example:9090"


@pytest.mark.server
async def test_what_another_replica_published_is_answered_before_the_engine_is_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model and the database may still be loading: the shared cache is enough for an answer."""

    async def never(*_: object) -> Backends:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(app, "open_backends", never)
    with redis_server() as server:
        key = parse_trigger("shop", "web", METADATA, TriggerRules(default_server=SERVER)).key
        now = time.time()
        other = RedisCache(server.url, "other")
        await other.publish({key: Outlook(now, Observation(now, 70.0, 70.0, 70.0), None)}, 60)
        await other.close()
        settings = Settings(
            prometheus=SERVER,
            redis=server.url,
            data_dir=tmp_path,
            grpc_address="127.0.0.1:0",
            http_address="127.0.0.1:0",
        )
        service = app.Service(settings)
        starting = asyncio.create_task(service.start())
        while not service.http_port:  # noqa: ASYNC110 - the port has no event to wait for
            await asyncio.sleep(0.01)
        ref = wire.ScaledObjectRef(namespace="shop", name="web", scalerMetadata=METADATA)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{service.grpc_port}") as channel:
            stub = ExternalScalerStub(channel)
            reply = await stub.GetMetrics(wire.GetMetricsRequest(scaledObjectRef=ref, metricName="headway"), timeout=5)
        starting.cancel()
        await service.stop()
    assert [value.metricValueFloat for value in reply.metricValues] == [70.0]


PATHS_OF_ONE = (
    "/api/v1/why/shop/web",
    "/api/v1/timeline/shop/web",
    "/api/v1/forecast/shop/web",
    "/api/v1/scores/shop/web",
    "/api/v1/plans/shop/web",
    "/api/v1/savings?namespace=shop&name=web",
    "/workloads/shop/web",
)


async def test_a_trigger_is_not_called_unknown_before_the_database_was_read(tmp_path: Path) -> None:
    """It may have been watched before the restart; 404 would send its owner to look for a fault in KEDA."""
    listening = {"grpc_address": "127.0.0.1:0", "http_address": "127.0.0.1:0"}
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        database = f"postgresql://headway@127.0.0.1:{nobody.getsockname()[1]}/headway"
        lost = await codes_of(Settings(prometheus=SERVER, database=SecretStr(database), **listening))
    assert lost == dict.fromkeys(PATHS_OF_ONE, 503)
    read = await codes_of(Settings(prometheus=SERVER, data_dir=tmp_path, **listening))
    assert read == dict.fromkeys(PATHS_OF_ONE, 404)


async def codes_of(settings: Settings) -> dict[str, int]:
    """The status codes of a trigger that nobody has called for, by path, once the process serves."""
    service = app.Service(settings, FixedSource(lambda *_: 70.0))
    await service.start()
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{service.http_port}", timeout=20) as client:
            async with asyncio.timeout(30):
                while (await client.get("/readyz")).status_code != 200:  # noqa: ASYNC110 - seen from outside only
                    await asyncio.sleep(0.05)
            return {path: (await client.get(path)).status_code for path in PATHS_OF_ONE}
    finally:
        await service.stop()


class Hanging(FixedSource):
    """A source that does not answer while `hangs`."""

    hangs = False

    async def observe(self, triggers: Sequence[Trigger], at: float) -> Arriving:
        if self.hangs:
            await asyncio.Event().wait()
        async for part in super().observe(triggers, at):
            yield part

    async def samples(self, trigger: Trigger, start: float, end: float, step_seconds: float) -> Samples:
        if self.hangs:
            await asyncio.Event().wait()
        return await super().samples(trigger, start, end, step_seconds)


async def test_a_process_that_is_ready_stays_ready(tmp_path: Path) -> None:
    """A trigger that nothing is known about yet is no reason to take a warm replica out of its Service."""
    source = Hanging(lambda *_: 70.0)
    settings = Settings(prometheus=SERVER, data_dir=tmp_path, grpc_address="127.0.0.1:0", http_address="127.0.0.1:0")
    service = app.Service(settings, source)
    await service.start()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{service.http_port}") as client:
        async with asyncio.timeout(20):
            while (await client.get("/readyz")).status_code != 200:  # noqa: ASYNC110 - seen from outside only
                await asyncio.sleep(0.05)
        source.hangs = True
        registration = service.registry.register("shop", "new", METADATA, time.time())
        await asyncio.sleep(0.1)
        answer = await client.get("/readyz")
        is_known = registration.ready
    await service.stop()

    assert not is_known
    assert answer.json() == {"ready": True, "missing": {}}
