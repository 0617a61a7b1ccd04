"""The servers that `rpc_latency.py` compares, each its own process: `python benchmarks/rpc_server.py KIND [--core N]`.

headway      the real registry, servicer and port, with many watched triggers, each with a forecast; nothing refreshes
refreshing   the whole service with a source that answers at once; refreshes all triggers without a pause
bare         grpc.aio on uvloop as Headway opens it, handlers that return constant bytes
bare-aio     the same on asyncio's own loop
bare-switching  the same as bare under the default scheduling of Linux and Python
bare-threads grpc's threaded server, 8 threads
bare-typed   grpc.aio on uvloop with generated code: messages are parsed and made

Each prints one JSON line when it is ready and runs until its standard input ends, or, where several processes share a
port, until it is killed.
"""

import argparse
import asyncio
import json
import os
import random
import sys
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import grpc
import numpy as np
import uvloop

from scaler.app.scheduling import prefer_answers
from scaler.clock import SystemClock
from scaler.metric.first_answer import FirstAnswers
from scaler.metric.replies import ACTIVE, METRIC_NAME, spec_reply, value_reply
from scaler.metric.server import SERVICE, MetricServer, ServerOptions
from scaler.metric.servicer import Servicer
from scaler.metric.streams import Streams
from scaler.metric.wire import externalscaler_pb2 as wire
from scaler.metric.wire import externalscaler_pb2_grpc as wire_grpc
from scaler.registry import Registry
from scaler.series import Forecast, Observation, Outlook
from scaler.trigger import TriggerRules

THRESHOLD, DEMAND = 10.0, 123.5
LEVELS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
CONSTANTS = {"GetMetricSpec": spec_reply(THRESHOLD), "GetMetrics": value_reply(DEMAND), "IsActive": ACTIVE}


def metadata(number: int) -> dict[str, str]:
    """The trigger metadata of workload `number`: what an application team would write."""
    return {
        "scalerAddress": "dns:///headway.headway.svc:50051",
        "serverAddress": "http://prometheus.example:9090",
        "query": f'sum(rate(http_requests_total{{namespace="team-{number % 100}",service="shop-{number}"}}[1m]))',
        "threshold": "10",
        "leadTime": "2m",
        "quantile": "0.9",
    }


def cycles(triggers: int, spellings: int) -> list[dict[str, bytes]]:
    """What KEDA sends in one cycle, by method: for each trigger in some orders of its metadata, in random order.

    Go's maps have no order: a small one is written as any rotation of itself.
    """
    made = []
    for number in range(triggers):
        items = list(metadata(number).items())
        made += [_cycle(number, dict(items[turn:] + items[:turn])) for turn in range(min(spellings, len(items)))]
    random.Random(1).shuffle(made)
    return made


def _cycle(number: int, spelled: dict[str, str]) -> dict[str, bytes]:
    ref = wire.ScaledObjectRef(name=f"shop-{number}", namespace=f"team-{number % 100}", scalerMetadata=spelled)
    asked = wire.GetMetricsRequest(scaledObjectRef=ref, metricName=METRIC_NAME).SerializeToString()
    reference = ref.SerializeToString()
    return {"GetMetricSpec": reference, "GetMetrics": asked, "IsActive": reference}


async def warm(servicer: Servicer, options: argparse.Namespace) -> None:
    """Ask everything once, as any hour in a process's life would have done."""
    for cycle in cycles(options.triggers, options.spellings):
        for method, request in cycle.items():
            await getattr(servicer, method)(request, None)


def watch(registry: Registry, triggers: int, now: float) -> None:
    """Have `triggers` workloads watched."""
    for number in range(triggers):
        registry.register(f"team-{number % 100}", f"shop-{number}", metadata(number), now)


async def headway(options: argparse.Namespace) -> None:
    """The real answer path; outlooks count for an hour, so that no plan falls due while calls are measured."""
    clock = SystemClock()
    registry = Registry(TriggerRules(default_server="http://prometheus.example:9090"), refresh_seconds=3600.0)
    watch(registry, options.triggers, clock.now())
    quantiles = (DEMAND * np.linspace(0.7, 1.3, len(LEVELS), dtype=np.float32))[None, :].repeat(120, axis=0)
    for watched in registry:
        now = clock.now()
        forecast = Forecast(now, 60.0, LEVELS, quantiles.copy(), (), None, "benchmark@1")
        observation = Observation(now, DEMAND, DEMAND, DEMAND)
        registry.receive(watched.trigger.key, Outlook(now, observation, forecast), now)
    servicer = Servicer(registry, clock, Streams(60), FirstAnswers(1.0, clock.now))
    await warm(servicer, options)
    server = MetricServer(servicer, ServerOptions(address="127.0.0.1:0", notice_seconds=0))
    await until_stdin_closes(await server.start())
    await server.stop(0)


async def refreshing(options: argparse.Namespace) -> None:
    """The real refresh beside the real answer path: history, bundle, plans, one refresh after another."""
    from refresh import Loaded  # the neighbouring benchmark; it loads the model runtime

    loaded = Loaded(0)
    await _fill(loaded, options.triggers)
    clock = SystemClock()
    servicer = Servicer(loaded.registry, clock, Streams(60), FirstAnswers(1.0, clock.now))
    await warm(servicer, options)
    server = MetricServer(servicer, ServerOptions(address="127.0.0.1:0", notice_seconds=0))
    again = asyncio.create_task(_refresh_without_pause(loaded))
    await until_stdin_closes(await server.start())
    again.cancel()
    await server.stop(0)


async def _fill(loaded: Any, triggers: int) -> None:
    workers = [
        asyncio.create_task(run()) for run in (loaded.refresh.run_new_registrations, loaded.refresh.backfill.run)
    ]
    watch(loaded.registry, triggers, time.time())
    while len(loaded.refresh.tracking) < triggers or loaded.refresh.backfill.waiting():  # noqa: ASYNC110 - polls once per run
        await asyncio.sleep(0.05)
    for worker in workers:
        worker.cancel()
    await loaded.tick()


async def _refresh_without_pause(loaded: Any) -> None:
    while True:
        seconds = await loaded.tick()
        print(json.dumps({step: round(took, 3) for step, took in seconds.items()}), file=sys.stderr, flush=True)


class Constants:
    """Answers of Headway's servicer without the servicer."""

    def __init__(self) -> None:
        self.streams = Streams(60)

    async def GetMetricSpec(self, request: bytes, context: object) -> bytes:
        return CONSTANTS["GetMetricSpec"]

    async def GetMetrics(self, request: bytes, context: object) -> bytes:
        return CONSTANTS["GetMetrics"]

    async def IsActive(self, request: bytes, context: object) -> bytes:
        return ACTIVE

    async def StreamIsActive(self, request: bytes, context: object) -> None:
        """Not called here."""

    async def StreamMetricSpec(self, request: bytes, context: object) -> None:
        """Not called here."""


async def bare(options: argparse.Namespace) -> None:
    """Headway's own port, where constants are answered: what is left out is Headway's work on each call."""
    where = ServerOptions(address=f"127.0.0.1:{options.port}", notice_seconds=0, reuse_port=options.port > 0)
    server = MetricServer(cast("Servicer", Constants()), where)
    await until_stdin_closes(await server.start())
    await server.stop(0)


async def bare_typed(options: argparse.Namespace) -> None:
    """grpc.aio with constants and generated code."""

    class Typed(wire_grpc.ExternalScalerServicer):
        async def GetMetricSpec(self, request: object, context: object) -> object:
            return wire.GetMetricSpecResponse.FromString(CONSTANTS["GetMetricSpec"])

        async def GetMetrics(self, request: object, context: object) -> object:
            return wire.GetMetricsResponse.FromString(CONSTANTS["GetMetrics"])

        async def IsActive(self, request: object, context: object) -> object:
            return wire.IsActiveResponse(result=True)

    server = grpc.aio.server()
    wire_grpc.add_ExternalScalerServicer_to_server(Typed(), server)  # type: ignore[no-untyped-call]
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    await until_stdin_closes(port)
    await server.stop(0)


def bare_threads(options: argparse.Namespace) -> None:
    """grpc's threaded server with constants."""
    server = grpc.server(ThreadPoolExecutor(8))
    add_constants(server, _now)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    ready(port)
    sys.stdin.read()
    server.stop(0)


def add_constants(server: Any, make: Callable[[bytes], Callable[..., Any]]) -> None:
    """Give the server the three methods of KEDA's cycle, bytes in and bytes out, as generated code registers them."""
    handlers = {name: grpc.unary_unary_rpc_method_handler(make(reply)) for name, reply in CONSTANTS.items()}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE.full_name, handlers),))
    server.add_registered_method_handlers(SERVICE.full_name, handlers)


def _later(reply: bytes) -> Callable[[bytes, object], Awaitable[bytes]]:
    async def answer(request: bytes, context: object) -> bytes:
        return reply

    return answer


def _now(reply: bytes) -> Callable[[bytes, object], bytes]:
    return lambda request, context: reply


def ready(port: int) -> None:
    """Print the port for the parent process."""
    print(json.dumps({"port": port}), flush=True)


async def until_stdin_closes(port: int) -> None:
    """Print the port, and wait until the parent closes our standard input."""
    ready(port)
    await asyncio.to_thread(sys.stdin.read)


KINDS: dict[str, Callable[[argparse.Namespace], Any]] = {
    "headway": lambda options: uvloop.run(headway(options)),
    "refreshing": lambda options: uvloop.run(refreshing(options)),
    "bare": lambda options: uvloop.run(bare(options)),
    "bare-switching": lambda options: uvloop.run(bare(options)),
    "bare-aio": lambda options: asyncio.run(bare(options)),
    "bare-threads": bare_threads,
    "bare-typed": lambda options: uvloop.run(bare_typed(options)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=list(KINDS))
    parser.add_argument("--core", type=int, help="run on this processor alone")
    parser.add_argument("--all-cores", action="store_true", help="run on every processor")
    parser.add_argument("--port", type=int, default=0, help="share this port with others")
    parser.add_argument("--triggers", type=int, default=10_000)
    parser.add_argument("--spellings", type=int, default=1)
    options = parser.parse_args()
    if options.all_cores:
        os.sched_setaffinity(0, range(os.cpu_count() or 1))
    elif options.core is not None:
        os.sched_setaffinity(0, {options.core})
    if options.kind != "bare-switching":
        prefer_answers()
    KINDS[options.kind](options)


if __name__ == "__main__":
    main()
