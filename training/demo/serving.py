"""The service with the promoted model on a fast clock: what serves, what it answers, and when either changes."""

import asyncio
import math
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from scaler.app.service import Service
from scaler.clock import AcceleratedClock
from scaler.errors import HeadwayError
from scaler.history.recorded import RecordedSource
from scaler.history.traces import Trace
from scaler.plan import Plan, Rung
from scaler.plan.hpa import SYNC_SECONDS
from scaler.settings import load_settings

NAMESPACE, WORKLOAD = "shop", "checkout"
RECORDING = "http://recorded"
"""a placeholder for the address of Prometheus; nothing connects to it"""
AFTER_SECONDS = 2 * 3600.0
"""that the demo goes on once the model is rolled back"""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Stage:
    """begin, changed_from and end: seconds since the epoch, of the clock of the demo."""

    metadata: dict[str, str]
    trace: Trace
    folder: Path
    bundles: str
    begin: float
    changed_from: float
    end: float
    speed: float


async def served(stage: Stage, model: str, say: Say) -> bool:
    """Serve until two hours after the roll-back of `model`, or to the end. Whether it was rolled back.

    Commands then ask the running service, and print what a user sees.
    """
    async with _running(stage) as service:
        address = f"http://127.0.0.1:{service.http_port}"
        say(f"Serving at {address}, with a clock that runs {stage.speed:g} times as fast as yours (UTC):")
        rolled_back_at = await _watch(stage, service, model, say)
        async with _asked_on(stage, service):
            for arguments in _commands(stage, address):
                say(f"\n$ headway {' '.join(arguments)}")
                say((await _output(arguments)).rstrip())
        return rolled_back_at is not None


async def _watch(stage: Stage, service: Service, model: str, say: Say) -> float | None:
    """Ask as KEDA does and tell every change. When the model was rolled back, or None."""
    clock = service.clock
    shown: tuple[str, Rung] | None = None
    is_told = False
    lost_at: float | None = None
    end = stage.end
    while (at := (math.floor(clock.now() / SYNC_SECONDS) + 1) * SYNC_SECONDS) < end:
        await clock.sleep_until(at)
        plan = _asked(stage, service, at)
        if not is_told and at >= stage.changed_from:
            is_told = True
            say(f"{_clock(at)}  demand changes: from now on it builds up for an hour and drops, again and again")
        if plan is not None and (plan.model, plan.rung) != shown:
            if shown is not None and shown[0] == model != plan.model:
                lost_at, end = at, min(end, at + AFTER_SECONDS)
            shown = plan.model, plan.rung
            say(f"{_clock(at)}  {_told(plan)}")
    return lost_at


def _asked(stage: Stage, service: Service, at: float) -> Plan | None:
    """What KEDA is answered; None where that is an error, as before the first observation."""
    registration = service.registry.register(NAMESPACE, WORKLOAD, stage.metadata, at)
    try:
        return service.registry.answer(registration, at).plan
    except HeadwayError:
        return None


@asynccontextmanager
async def _asked_on(stage: Stage, service: Service) -> AsyncIterator[None]:
    """KEDA's calls go on."""

    async def go_on() -> None:
        while True:
            await service.clock.sleep_until(service.clock.now() + SYNC_SECONDS)
            _asked(stage, service, service.clock.now())

    calls = asyncio.create_task(go_on())
    try:
        yield
    finally:
        calls.cancel()


def _told(plan: Plan) -> str:
    """Which model serves on which rung, and why not on the highest."""
    by = f"forecasts of {plan.model}" if plan.model else "no forecast"
    why = "" if plan.rung is Rung.BOTH else "; ".join(str(one) for one in plan.reasons if one.rule == "fallback")
    return f"{by}, rung {plan.rung}{': ' if why else ''}{why}"


@asynccontextmanager
async def _running(stage: Stage) -> AsyncIterator[Service]:
    settings = load_settings(
        {
            "prometheus": RECORDING,
            "grpc_address": "127.0.0.1:0",
            "http_address": "127.0.0.1:0",
            "data_dir": str(stage.folder),
            "bundle": stage.bundles,
            "refresh_interval": "1m",
            "drain_grace": "1s",
        }
    )
    clock = AcceleratedClock(stage.speed, stage.begin)
    service = Service(settings, source=RecordedSource({stage.trace.name: stage.trace}, loop=False), clock=clock)
    try:
        await service.start()
        yield service
    finally:
        await service.stop()


def _commands(stage: Stage, address: str) -> Sequence[list[str]]:
    """What a user asks afterwards."""
    index = ["--data-dir", str(stage.folder), "--bundle", stage.bundles]
    return (
        ["models", "list", *index],
        ["models", "log", *index],
        ["why", NAMESPACE, WORKLOAD, "--address", address],
        ["savings", NAMESPACE, WORKLOAD, "--days", "1", "--address", address],
    )


async def _output(arguments: Sequence[str]) -> str:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "scaler.cli", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return output.decode()


def _clock(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%d %b %H:%M}"
