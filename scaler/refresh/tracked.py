"""The triggers that this process refreshes, each with its history table, its forecaster and how far its backfill is."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from functools import partial

import structlog

from scaler.clock import Clock
from scaler.forecast import Choice, Forecaster, Forecasters
from scaler.history.table import HistoryTable
from scaler.plan.memory import Memory, resume
from scaler.refresh.accounts import Accounts
from scaler.refresh.anomalies import Anomalies
from scaler.refresh.combining import Combining
from scaler.refresh.doubting import Doubts
from scaler.refresh.past_plans import PlanNotes
from scaler.refresh.score_records import ScoreRecords
from scaler.refresh.scoring import Scoring
from scaler.refresh.spans import Span
from scaler.registry import Registration, undoubted, unscored, unwatched
from scaler.series import FURTHEST_AHEAD_SECONDS, Forecast, Gap, Grid, HistoryFacts, Observation
from scaler.trigger import Mode, Trigger

log = structlog.get_logger(__name__)


class Phase(IntEnum):
    """What a backfill fetches, most urgent first."""

    FINE = 0
    COARSE = 1
    HOLE = 2
    MINUTES = 3


@dataclass(slots=True)
class Tracked:
    """One trigger that this process refreshes."""

    registration: Registration
    forecaster: Forecaster
    table: HistoryTable
    advice: str = ""
    """why its forecaster is not the model that the trigger names; empty when it is"""
    observation: Observation | None = None
    memory: Memory = field(default_factory=Memory)
    """what the planner remembers of it"""
    forecast: Forecast | None = None
    error: str = ""
    """why the newest observation failed"""
    unasked: int = 0
    """rounds in a row in which the source did not ask for it, because others had the slots"""
    heard_at: float = 0.0
    """when the source last answered for this trigger"""
    done: set[Phase] = field(default_factory=set)
    wanted_since: dict[Phase, float] = field(default_factory=dict)
    """parts of the past that are not fetched yet, and since when they are wanted"""
    known_minutes: list[Span] = field(default_factory=list)
    """of which past its minutes need not be fetched any more"""
    minutes_read: bool = False
    """whether the stored minutes were read; only then others are stored in their place"""
    minutes_due: float = 0.0
    """when changed minutes are stored again"""
    stored_unfinished: set[int] = field(default_factory=set)
    """days that were stored while a part of the past was still to be fetched, modulo LOCAL_DAYS"""
    began_anew: bool = True
    """whether no replica had an outlook for it when this one began to refresh it"""
    rehearsed: bool = False
    """whether the experts were scored on its past, or will be"""
    backfill_errors: dict[Phase, str] = field(default_factory=dict)
    """why the last attempt to fetch a part of the past failed"""
    retry_at: dict[Phase, float] = field(default_factory=dict)
    """when a failed part is fetched again"""
    gaps: dict[Phase, tuple[Gap, ...]] = field(default_factory=dict)
    """stretches of the past that the source could not answer"""
    key: str = field(init=False)
    """the trigger's; kept here because every refresh reads it many times"""

    def __post_init__(self) -> None:
        self.key = self.registration.trigger.key

    @property
    def trigger(self) -> Trigger:
        return self.registration.trigger

    @property
    def query_step_seconds(self) -> float:
        return self.trigger.query_step_seconds or self.forecaster.grid.step_seconds

    @property
    def note(self) -> str:
        """What a reader of the plan should know in addition: an error, a model that is not the one named."""
        return "; ".join(filter(None, (self.error, self.advice)))


class Tracking:
    """All tracked triggers by key. No I/O."""

    def __init__(self, catalog: Forecasters, clock: Clock, slot_seconds: float) -> None:
        self._catalog = catalog
        self._clock = clock
        self._slot_seconds = slot_seconds
        self._tables: dict[Grid, HistoryTable] = {}
        self._tracked: dict[str, Tracked] = {}
        self.combining = Combining()
        """what past days show, of all triggers that want forecasts"""
        self.score_records = ScoreRecords()
        self.scoring = Scoring(self.score_records.put)
        """how good these forecasts turned out"""
        self.anomalies = Anomalies()
        """where demand left their band"""
        self.doubts = Doubts()
        """whether they are uncertain"""
        self.accounts = Accounts()
        """what each was worth"""
        self.plans = PlanNotes()
        """what was planned, on its way into the store"""

    def __len__(self) -> int:
        return len(self._tracked)

    def __iter__(self) -> Iterator[Tracked]:
        return iter(list(self._tracked.values()))

    def __contains__(self, key: str) -> bool:
        return key in self._tracked

    def get(self, key: str) -> Tracked | None:
        return self._tracked.get(key)

    def adopt(self, registration: Iterable[Registration]) -> list[Tracked]:
        """Track what is not tracked yet, or is served by another bundle now; returns those whose history is missing."""
        fresh = []
        for one in registration:
            known, choice = self._tracked.get(one.trigger.key), self._catalog.choice(one.trigger)
            if choice.reason and (known is None or known.advice != choice.reason):
                name, namespace = one.trigger.name, one.trigger.namespace
                log.warning("model_not_used", namespace=namespace, name=name, why=choice.reason)
            if known is not None and known.table is self._table(choice.forecaster.grid):
                one.serving = choice.serving
                known.forecaster, known.advice = choice.forecaster, choice.reason
                known.registration = one  # another one where it was dropped, and registered again before this refresh
                self._show_scores(known)
                continue
            self.drop(one.trigger.key)
            fresh.append(self._track(one, choice))
        return fresh

    def drop(self, key: str) -> None:
        """Forget a trigger and its history."""
        tracked = self._tracked.pop(key, None)
        if tracked is not None:
            tracked.table.remove(key)
            self.combining.remove(key)
            self.scoring.remove(key)
            self.score_records.end(key)
            self.anomalies.remove(key)
            self.doubts.remove(key)
            tracked.registration.scores = unscored
            tracked.registration.serving = None
            tracked.registration.anomalies, tracked.registration.doubt = unwatched, undoubted
            self.accounts.close(key)
            self.plans.remove(key)

    def clear(self) -> None:
        """Forget all triggers and all history."""
        self._tracked.clear()
        self._tables.clear()
        self.combining.clear()
        self.scoring.clear()
        self.score_records.clear()
        self.anomalies.clear()
        self.doubts.clear()
        self.accounts.close_all()
        self.plans.clear()

    def advance(self, at: float) -> None:
        """Move every table to the moment `at`."""
        for table in self._tables.values():
            table.advance(at)

    def facts(self, key: str) -> HistoryFacts | None:
        """What the readiness report says of a trigger; None where another replica refreshes it."""
        tracked = self._tracked.get(key)
        if tracked is None:
            return None
        known, grid = tracked.table.coverage(key), tracked.forecaster.grid
        return HistoryFacts(
            model=tracked.forecaster.model,
            observed_at=tracked.observation.at if tracked.observation else None,
            forecast_at=tracked.forecast.start if tracked.forecast else None,
            covered_seconds=max(known.steps * grid.step_seconds, known.blocks * grid.coarse_seconds),
            needed_seconds=tracked.forecaster.needed_seconds,
            wanted_seconds=float(grid.coarse_span_seconds),
            is_backfilled={Phase.FINE, Phase.COARSE} <= tracked.done,
            error=tracked.error,
            backfill_error="; ".join(dict.fromkeys(tracked.backfill_errors.values())),
            retry_at=min(tracked.retry_at.values(), default=None),
            gaps=tuple(dict.fromkeys(gap for phase in sorted(tracked.gaps) for gap in tracked.gaps[phase])),
        )

    @property
    def bytes_per_trigger(self) -> float:
        """History kept per trigger, in bytes, over all grids."""
        kept = sum(table.bytes_per_trigger * len(table) for table in self._tables.values())
        return kept / len(self) if len(self) else 0.0

    def _track(self, registration: Registration, choice: Choice) -> Tracked:
        tracked = Tracked(registration, choice.forecaster, self._table(choice.forecaster.grid), choice.reason)
        known = registration.current.outlook if registration.current else None
        if known is not None and known.counts_from <= self._clock.now() + FURTHEST_AHEAD_SECONDS:
            tracked.forecast, tracked.observation = known.forecast, known.observation
            tracked.memory = resume(known.remembered, known.counts_from)
            tracked.began_anew = False
        registration.forecast_coming = tracked.forecast is None and tracked.trigger.mode is not Mode.REACTIVE
        tracked.table.add(tracked.key)
        if tracked.trigger.mode is not Mode.REACTIVE:
            self.combining.add(tracked.key)
            self.scoring.add(tracked.key)
            self.score_records.begin(tracked.trigger, self._clock.now())
            self.anomalies.add(tracked.key)
            self.doubts.add(tracked.key)
        self._show_scores(tracked)
        registration.serving = choice.serving
        self._tracked[tracked.key] = tracked
        return tracked

    def _show_scores(self, tracked: Tracked) -> None:
        tracked.registration.scores = partial(self.scoring.scores, tracked.key)
        tracked.registration.anomalies = partial(self.anomalies.seen, tracked.key)
        tracked.registration.doubt = partial(self.doubts.of, tracked.key)

    def _table(self, grid: Grid) -> HistoryTable:
        if grid not in self._tables:
            self._tables[grid] = HistoryTable(grid, self._slot_seconds)
            self._tables[grid].advance(self._clock.now())
        return self._tables[grid]
