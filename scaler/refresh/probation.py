"""Champions on probation beside what they replaced: both forecast a sample of the scope's triggers once a minute, and a
champion that falls behind is rolled back.

Each replica judges by the triggers that it refreshes. Two that conclude alike do not disturb one another: the index
changes the champion only where it is still the one that was judged.
"""

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from zlib import crc32

import structlog

from scaler.chunks import chunks
from scaler.clock import Clock
from scaler.errors import StoreUnavailable
from scaler.forecast import Forecaster
from scaler.models import Champion, ChampionChanged, Kind, ModelDecision, ModelIndex, ModelRefused, scope_name
from scaler.plan.probation import Evidence, compared, counted
from scaler.plan.rule import News
from scaler.plan.windows import Noted
from scaler.refresh.forecasting import ForecastRunner
from scaler.refresh.tracked import Tracked, Tracking
from scaler.telemetry.metrics import Telemetry

log = structlog.get_logger()

EVERY_SECONDS = 60.0
MOST_TRIGGERS = 200
"""of a scope that are compared: a round costs two forecasts of each"""
AT_A_TIME = 64
"""triggers forecast before the forecasts of a refresh get their turn"""


class OnProbation(Protocol):
    """A champion with its bundle and that of what it replaced."""

    @property
    def champion(self) -> Champion: ...
    @property
    def forecaster(self) -> Forecaster: ...
    @property
    def before(self) -> Forecaster: ...


@dataclass(slots=True)
class _Watch:
    """What is known of one champion. noted: by trigger key."""

    evidence: Evidence = field(default_factory=Evidence)
    noted: dict[str, list[Noted]] = field(default_factory=dict)
    is_told: bool = False
    """whether the log says already that it cannot be compared, or not be rolled back"""


class Probations:
    """All champions on probation. `run` loops for ever; `round` is one comparison.

    probations: those at a moment. rolled_back: is called when the index has changed.
    """

    def __init__(
        self,
        tracking: Tracking,
        runner: ForecastRunner,
        index: ModelIndex,
        probations: Callable[[float], Sequence[OnProbation]],
        clock: Clock,
        telemetry: Telemetry,
        refresh_seconds: float,
        rolled_back: Callable[[], None],
    ) -> None:
        self._tracking = tracking
        self._runner = runner
        self._index = index
        self._probations = probations
        self._clock = clock
        self._telemetry = telemetry
        self._refresh_seconds = refresh_seconds
        self._rolled_back = rolled_back
        self._watches: dict[Champion, _Watch] = {}
        telemetry.follow("probation_loss_ratio", self._ratios)

    async def run(self) -> None:
        """Compare once a minute, for ever."""
        while True:
            await self._clock.sleep_until(self._clock.now() + EVERY_SECONDS)
            await self.round(self._clock.now())

    async def round(self, now: float) -> None:
        """Compare all once, and roll back what falls behind."""
        current = self._probations(now)
        self._watches = {one.champion: self._watches.get(one.champion, _Watch()) for one in current}
        for one in current:
            watch = self._watches[one.champion]
            if one.before.grid != one.forecaster.grid:
                self._tell_unscored(one, watch)
                continue
            await self._compare(one, watch, now)
            if watch.evidence.falls_behind:
                await self._roll_back(one.champion, watch, now)

    async def _compare(self, one: OnProbation, watch: _Watch, now: float) -> None:
        sample = sampled(self._tracking, one.champion, one.forecaster)
        kept = {tracked.key for tracked in sample}
        watch.noted = {key: noted for key, noted in watch.noted.items() if key in kept}
        for part in chunks(sample, AT_A_TIME):
            both = await self._runner.compare(part, one.forecaster, one.before, now)
            for tracked, (mine, before) in zip(part, both, strict=True):
                news = News(tracked.trigger, now, tracked.observation, mine, None, self._refresh_seconds)
                over, left = compared(watch.noted.get(tracked.key, ()), news, before)
                watch.noted[tracked.key] = left
                largest = tracked.observation.history_peak if tracked.observation else 0.0
                watch.evidence = counted(watch.evidence, over, tracked.trigger, largest)

    async def _roll_back(self, champion: Champion, watch: _Watch, now: float) -> None:
        figures = watch.evidence.figures()
        reason = (
            f"its loss was {figures['ratio']:.2f} times that of its predecessor, over {figures['windows']:.0f} windows "
            f"in {figures['hours']:.0f} hours"
        )
        by = f"scaler {socket.gethostname()}"
        decision = ModelDecision(now, Kind.ROLLED_BACK, champion.model, by, reason, champion.scope, figures=figures)
        try:
            now_serves = await self._index.roll_back(champion, decision)
        except ChampionChanged:
            self._rolled_back()  # by another replica, or somebody has promoted another one
            return
        except (ModelRefused, StoreUnavailable) as error:
            if not watch.is_told:
                log.error("roll_back_failed", scope=champion.scope, model=champion.model, error=str(error))
            watch.is_told = True
            return
        self._telemetry.count("model_rolled_back")
        to = now_serves.model if now_serves is not None else ""
        log.warning("model_rolled_back", scope=scope_name(champion.scope), model=champion.model, to=to, reason=reason)
        self._rolled_back()

    def _tell_unscored(self, one: OnProbation, watch: _Watch) -> None:
        if not watch.is_told:
            scope, model = scope_name(one.champion.scope), one.champion.model
            log.warning("probation_unscored", scope=scope, model=model, previous=one.before.model)
        watch.is_told = True

    def _ratios(self) -> dict[tuple[str, ...], float]:
        judged = self._watches.items()
        return {(one.scope, one.model): watch.evidence.ratio for one, watch in judged if watch.evidence.windows}


def sampled(tracked: Sequence[Tracked] | Tracking, champion: Champion, forecaster: Forecaster) -> list[Tracked]:
    """At most MOST_TRIGGERS that the champion serves here: the same ones in every round, by the hash of their keys."""
    served = (t for t in tracked if t.forecaster is forecaster and t.done and _is_served_as(t, champion))
    return sorted(served, key=lambda t: (crc32(t.key.encode()), t.key))[:MOST_TRIGGERS]


def _is_served_as(tracked: Tracked, champion: Champion) -> bool:
    serving = tracked.registration.serving
    return serving is not None and serving.champion == champion
