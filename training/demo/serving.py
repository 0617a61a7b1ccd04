"""The service with the promoted model on a fast clock: what serves, what it answers, and when either changes."""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from scaler.app.service import Service
from scaler.errors import HeadwayError
from scaler.history.recorded import RecordedSource
from scaler.plan import Rung
from scaler.plan.fallback import LOST_BY
from scaler.plan.hpa import SYNC_SECONDS
from scaler.settings import load_settings
from training.demo.asking import NAMESPACE, WORKLOAD, Asking
from training.demo.clock import WaitingClock
from training.demo.life import Life, Seen, answered, clock_time, headline, lived, why_not
from training.demo.making import released
from training.demo.stage import METADATA, Stage
from training.lifecycle.gate import Verdict

RECORDING = "http://recorded"
"""a placeholder for the address of Prometheus; nothing connects to it"""
AFTER_SECONDS = 1800.0
"""that the demo goes on once all has happened"""
HOUR_SECONDS = 3600.0

Say = Callable[[str], None]
Promote = Callable[[float], Awaitable[str]]
"""makes the new model the champion at a moment of the clock, and returns its name"""


async def served(stage: Stage, bundle: Path, verdict: Verdict | None, say: Say) -> Life:
    """Publish the bundle, promote it when it is time, serve until half an hour after its end, and tell what happens.

    Commands ask the running service and print what a user sees: once when the forecast steps down, and at the end.
    """
    release = partial(released, bundle, str(stage.bundles), stage.data_dir, verdict)
    await release(stage.begin, promotes=False)
    clock = WaitingClock(stage.begin, stage.speed)
    async with _running(stage, clock) as service:
        address = f"http://127.0.0.1:{service.http_port}"
        say(f"Serving at {address}, with a clock that runs up to {stage.speed:g} times as fast as yours (UTC):")
        asking = Asking(address, str(stage.data_dir), str(stage.bundles), say)
        async with asyncio.TaskGroup() as asked:
            watch = _Watch(stage, service, clock, say, lambda: asked.create_task(asking.why()))
            await watch.run(partial(release, promotes=True))
        calls = asyncio.create_task(watch.keep_asking())
        await asking.everything()
        calls.cancel()
        return watch.life


class _Watch:
    """Asks as KEDA does, and tells every change. stepped_down: is called when the forecast has."""

    def __init__(
        self, stage: Stage, service: Service, clock: WaitingClock, say: Say, stepped_down: Callable[[], object]
    ) -> None:
        self.life = Life()
        self._stage, self._service, self._clock, self._say = stage, service, clock, say
        self._stepped_down = stepped_down
        self._coming = list(stage.coming)
        self._model = ""
        self._shown: tuple[str, Rung] | None = None
        self._hour = 0.0

    async def run(self, promote: Promote) -> None:
        """To the end of the demo."""
        while (at := (math.floor(self._clock.now() / SYNC_SECONDS) + 1) * SYNC_SECONDS) < self._end():
            await self._clock.sleep_until(at)
            if not self._model and at >= self._stage.promoted_from:
                self._model = await promote(at)
                self._tell(at, f"{self._model} is promoted for {NAMESPACE}, on probation for a day")
                continue  # time has passed
            while self._coming and at >= self._coming[0][0]:
                self._tell(at, self._coming.pop(0)[1])
            seen = self._seen(at)
            if seen is not None:
                self._follow(seen, at)
                if seen.observed_at is not None and (seen.plan.model or self._model):  # there is history
                    self._clock.observed(seen.observed_at)

    def _end(self) -> float:
        complete_at = self.life.complete_at
        return self._stage.end if complete_at is None else min(self._stage.end, complete_at + AFTER_SECONDS)

    async def keep_asking(self) -> None:
        """KEDA's calls go on, until cancelled; the clock is not hurried."""
        while True:
            await self._clock.sleep_until(self._clock.now() + SYNC_SECONDS)
            self._seen(self._clock.now())

    def _seen(self, at: float) -> Seen | None:
        """What KEDA is answered; None where that is an error, as before the first observation."""
        registration = self._service.registry.register(NAMESPACE, WORKLOAD, METADATA, at)
        try:
            answer = self._service.registry.answer(registration, at)
        except HeadwayError:
            return None
        champion = registration.serving.champion.model if registration.serving else ""
        observation = answer.outlook.observation
        return Seen(
            champion, answer.plan, LOST_BY in answer.outlook.remembered, observation.at if observation else None
        )

    def _follow(self, seen: Seen, at: float) -> None:
        before, plan = self.life, seen.plan
        if self._model:
            self.life = lived(before, seen, self._model, at)
        news = headline(before, self.life, self._model)
        if news:
            self._tell(at, news)
        if news or (plan.model, plan.rung) != self._shown or at >= self._hour + HOUR_SECONDS:
            self._tell(at, answered(plan))
        if (why := why_not(plan)) and (plan.model, plan.rung) != self._shown:
            self._tell(at, why)
        self._shown, self._hour = (plan.model, plan.rung), at // HOUR_SECONDS * HOUR_SECONDS
        if before.stepped_down_at is None and self.life.stepped_down_at is not None:
            self._stepped_down()

    def _tell(self, at: float, text: str) -> None:
        self._say(f"{clock_time(at)}  {text}")


@asynccontextmanager
async def _running(stage: Stage, clock: WaitingClock) -> AsyncIterator[Service]:
    settings = load_settings(
        {
            "prometheus": RECORDING,
            "grpc_address": "127.0.0.1:0",
            "http_address": "127.0.0.1:0",
            "data_dir": str(stage.data_dir),
            "bundle": str(stage.bundles),
            "drain_grace": "1s",
        }
    )
    service = Service(settings, source=RecordedSource({stage.trace.name: stage.trace}, loop=False), clock=clock)
    try:
        await service.start()
        yield service
    finally:
        await service.stop()
