"""`headway demo`: the real service on recorded and generated demand and a fast clock, with simulated KEDA and HPA."""

import asyncio
import contextlib
import math
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import as_file, files
from pathlib import Path

from scaler.app.service import Service, loop_factory
from scaler.clock import AcceleratedClock, Clock
from scaler.commands import Exit
from scaler.commands.demo.schedule import GENERATED, openings, ticket_requests
from scaler.commands.demo.view import LiveView, RowView, View, introduction
from scaler.commands.demo.workload import Workload
from scaler.history.recorded import RecordedSource
from scaler.history.traces import Trace, read_traces
from scaler.manifest import ScaledObject, read_manifest
from scaler.plan.hpa import SYNC_SECONDS
from scaler.settings import load_settings
from scaler.settings.fields import ENVIRONMENT_PREFIX
from scaler.telemetry.logs import configure_logs

BEGIN = datetime(1995, 9, 7, 5, 35, tzinfo=UTC).timestamp()
"""ten days of the recording come before, four after; the generated workload opens 25 minutes later. Past days are
known by then: without them its forecast begins to rise a quarter of an hour before"""

GENERATED_FROM = datetime(1995, 8, 23, tzinfo=UTC).timestamp()
"""two weeks of past days before the first opening"""

ONCE_SECONDS = 60.0
"""how long --once waits for every forecast (real seconds)"""

RECORDING = "http://recorded"
"""a placeholder for the address of Prometheus; nothing connects to it"""


@dataclass(frozen=True, slots=True)
class DemoOptions:
    speed: float = 60
    seconds: float | None = None
    once: bool = False
    as_json: bool = False
    grpc_address: str = "127.0.0.1:50051"
    http_address: str = "127.0.0.1:8080"


def run_demo(options: DemoOptions) -> Exit:
    """Run until Ctrl-C, --seconds, or the first forecasts. FAULTS where --once saw no forecast in a minute."""
    forget_environment()
    configure_logs("console", "error")
    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            return runner.run(_demo(options))
    except (KeyboardInterrupt, asyncio.CancelledError):
        return Exit.FINE


def forget_environment() -> None:
    """The demo runs on embedded defaults: no HEADWAY_… variable may point it to a real database."""
    for name in [name for name in os.environ if name.startswith(ENVIRONMENT_PREFIX)]:
        del os.environ[name]


async def _demo(options: DemoOptions) -> Exit:
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, _cancel_all)
    async with _running(options) as (service, source, clock):
        workloads = [Workload(scaled, _openings(scaled, source)) for scaled in demo_objects()]
        view = _view(options, service)
        with view, contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ONCE_SECONDS if options.once else options.seconds):
                return await _watch(workloads, service, source, clock, view, options.once)
        return Exit.FAULTS if options.once else Exit.FINE


async def _watch(
    workloads: list[Workload], service: Service, source: RecordedSource, clock: Clock, view: View, once: bool
) -> Exit:
    """Sync every workload each 15 s of the demo's clock and show it, to the end of the recording."""
    end = _end(source.traces.values())
    while (at := (math.floor(clock.now() / SYNC_SECONDS) + 1) * SYNC_SECONDS) < end:
        await clock.sleep_until(at)
        for workload in workloads:
            await workload.sync(service, source, at)
        complete = once and all(workload.plan and workload.plan.need is not None for workload in workloads)
        view.show([workload.row(at) for workload in workloads], at_once=complete)
        if complete:
            break
    return Exit.FINE


@contextlib.asynccontextmanager
async def _running(options: DemoOptions) -> AsyncIterator[tuple[Service, RecordedSource, Clock]]:
    """The started service on the recorded and the generated demand, with its state in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="headway-demo-") as folder:
        settings = load_settings(
            {
                "prometheus": RECORDING,
                "grpc_address": options.grpc_address,
                "http_address": options.http_address,
                "data_dir": folder,
                "drain_grace": "1s",
                "grpc_reflection": True,  # for grpcurl
            }
        )
        clock = AcceleratedClock(options.speed, BEGIN)
        source = RecordedSource(demo_traces(), loop=False)  # a loop would show the forecast its own future
        service = Service(settings, source=source, clock=clock)
        try:
            await service.start()
            yield service, source, clock
        finally:
            await service.stop()


def demo_objects() -> list[ScaledObject]:
    """The ScaledObjects that ship with the recording."""
    text = (files("scaler.commands.demo") / "data" / "scaledobjects.yaml").read_text(encoding="utf-8")
    return list(read_manifest(text).objects)


def demo_traces() -> dict[str, Trace]:
    """The demand of every workload by the name of its series: the recording, and what is generated next to it."""
    with as_file(files("scaler.commands.demo") / "data" / "workloads.csv.gz") as recording:
        recorded = read_traces(recording)
    return {**recorded, GENERATED: ticket_requests(GENERATED_FROM, _end(recorded.values()))}


def program() -> str:
    """The command to call this program: `headway` where the shell finds it, else its path."""
    called = Path(sys.argv[0])
    if called.name != "headway" or shutil.which("headway") == str(called):
        return "headway"
    return _from_here(called)


def manifest_path() -> str:
    """The path of the ScaledObjects, relative to the working directory where possible."""
    return _from_here(Path(str(files("scaler.commands.demo") / "data" / "scaledobjects.yaml")))


def _from_here(path: Path) -> str:
    with contextlib.suppress(ValueError):
        path = path.relative_to(Path.cwd())
    return str(path)


def _end(traces: Iterable[Trace]) -> float:
    """When the first of them ends."""
    return min(trace.start + len(trace.values) * trace.step_seconds for trace in traces)


def _openings(scaled: ScaledObject, source: RecordedSource) -> Sequence[float]:
    """The openings of a workload on a schedule; none for a recorded one."""
    if scaled.our_triggers[0].metadata["query"] != GENERATED:
        return ()
    return tuple(openings(BEGIN, _end(source.traces.values())))


def _view(options: DemoOptions, service: Service) -> View:
    grpc_address = _with_port(options.grpc_address, service.grpc_port)
    http_address = _with_port(options.http_address, service.http_port)
    (first, *_), path = demo_objects(), manifest_path()
    text = introduction(program(), grpc_address, http_address, path, first)
    if sys.stdout.isatty() and not options.as_json:
        return LiveView(options.speed, text)
    print(text, file=sys.stderr)
    return RowView(options.as_json)


def _with_port(address: str, port: int) -> str:
    """The address with the port in use, which differs where port 0 was requested."""
    return f"{address.rpartition(':')[0]}:{port}"


def _cancel_all() -> None:
    for task in asyncio.all_tasks():
        task.cancel()
