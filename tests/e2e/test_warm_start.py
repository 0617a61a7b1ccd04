"""A process that starts beside replicas that know the answers."""

import asyncio
import time
from pathlib import Path

import grpc
import pytest

from scaler.app import service as app
from scaler.app.backends import Backends
from scaler.forecast.redis_cache import RedisCache
from scaler.metric.wire import externalscaler_pb2 as wire
from scaler.metric.wire.externalscaler_pb2_grpc import ExternalScalerStub
from scaler.series import Observation, Outlook
from scaler.settings import Settings
from scaler.trigger import TriggerRules, parse_trigger
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
