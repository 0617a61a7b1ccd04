"""The table of everything that Headway exports about itself: FIGURES.

Code uses the short name of a figure (`telemetry.count("source_error", kind="NoDemand")`). Exported names, labels and
units are defined only here. docs/telemetry.md is generated from the table; a name that is not in it is an error.
`metric` never means any of this: the metric is what KEDA reads.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate
from typing import TypeAlias

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from scaler import __version__
from scaler.telemetry.names import PLANNED_DEMAND


@dataclass(frozen=True, slots=True)
class Distribution:
    """A histogram's values: how many fell into each bucket, the last one without upper bound, and their sum."""

    counts: tuple[int, ...]
    total: float


Values: TypeAlias = Mapping[tuple[str, ...], float]
"""label values → figure"""

Distributions: TypeAlias = Mapping[tuple[str, ...], Distribution]
"""label values → histogram"""


class Kind(StrEnum):
    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


class Unit(StrEnum):
    DEMAND = "the unit of the trigger's query"
    SECONDS = "seconds"
    EPOCH = "seconds since the epoch"
    YES = "0 or 1"
    NUMBER = "number"


@dataclass(frozen=True, slots=True)
class Figure:
    """One exported figure. `called` is its short name in the code."""

    called: str
    name: str
    kind: Kind
    labels: tuple[str, ...]
    unit: Unit
    meaning: str
    buckets: tuple[float, ...] = ()


TRIGGER_LABELS = ("namespace", "name", "trigger")
"""`trigger` is the hash of the relevant metadata: it distinguishes two triggers of one ScaledObject"""

FORECAST_LEVELS = (0.1, 0.5, 0.9)
"""levels exported of each forecast: sufficient for a chart; all levels would double the size of a scrape"""

STEP_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 7.5, 10.0, 15.0, 30.0)

RPC_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)

STEPS = ("refresh", "lease", "observe", "forecast", "publish")
"""steps that `Telemetry.step` times, named after the functions in scaler/refresh/; `refresh` is a complete tick"""

QUEUES = (
    "new_registrations",
    "backfill_fine",
    "backfill_coarse",
    "backfill_hole",
    "first_forecasts",
    "store_watched",
    "store_blocks",
)

PURPOSES = (
    "grpc_server",
    "grpc_client_ca",
    "source_client",
    "source_ca",
    "redis_client",
    "redis_ca",
    "database_client",
    "database_ca",
)
"""what a certificate is for; those in …_ca are authorities that Headway trusts"""


def _of_triggers(called: str, unit: Unit, meaning: str, more: tuple[str, ...] = (), suffix: str = "") -> Figure:
    return Figure(called, f"headway_{called}{suffix}", Kind.GAUGE, (*TRIGGER_LABELS, *more), unit, meaning)


TRIGGER_FIGURES: tuple[Figure, ...] = (
    Figure(
        "planned_demand",
        PLANNED_DEMAND,
        Kind.GAUGE,
        TRIGGER_LABELS,
        Unit.DEMAND,
        "The answer of predictive mode: the demand expected by the time a replica ordered now is ready. KEDA's own "
        "prometheus trigger can read it. Absent with neither forecast nor observation",
    ),
    Figure(
        "trigger_info",
        "headway_trigger_info",
        Kind.GAUGE,
        (*TRIGGER_LABELS, "mode", "policy"),
        Unit.YES,
        "Always 1; the trigger's mode and policy. A trigger in mode reactive has no forecast and needs none",
    ),
    _of_triggers("threshold", Unit.DEMAND, "The demand that one replica carries: the trigger's threshold"),
    _of_triggers("observed_demand", Unit.DEMAND, "The newest observation that is not too old. Absent without one"),
    _of_triggers(
        "needed_demand",
        Unit.DEMAND,
        "The trigger's quantile of the peak over the lead window, before floor, hold and limits. "
        "Absent without forecast",
    ),
    _of_triggers(
        "forecast_demand",
        Unit.DEMAND,
        "Quantile `level` of demand at the end of the lead time. Absent without forecast",
        more=("level",),
    ),
    _of_triggers(
        "plan_part",
        Unit.DEMAND,
        "Why the plan is what it is: what each rule that acted adds to it or takes away. The parts of a trigger add up "
        "to `headway_planned_demand`; `headway why` has the sentences, docs/policies.md the rules",
        more=("rule",),
    ),
    _of_triggers("plan_active", Unit.YES, "1 if IsActive answers true"),
    _of_triggers(
        "plan_rung",
        Unit.NUMBER,
        "Rung of the fallback ladder on which the answer is made: 3 forecast and observation, 2 forecast alone, 1 "
        "observation alone, 0 nothing (KEDA gets an error, and its own fallback acts)",
    ),
    Figure(
        "metric_calls",
        "headway_metric_calls_total",
        Kind.COUNTER,
        TRIGGER_LABELS,
        Unit.NUMBER,
        "GetMetrics calls for the trigger: two a minute from KEDA's polls by default, and four a minute from the HPA. "
        "Sum it over the replicas of Headway",
    ),
    _of_triggers(
        "observation_timestamp",
        Unit.EPOCH,
        "Time of the newest observation; its age is `time()` minus this",
        suffix="_seconds",
    ),
    _of_triggers(
        "forecast_timestamp",
        Unit.EPOCH,
        "Time at which the forecast in use was issued; its age is `time()` minus this",
        suffix="_seconds",
    ),
)
"""written by status/exposition.py from the answers that count at the time of the scrape"""

TRIGGERS_BY_RUNG = Figure(
    "triggers_by_rung", "headway_triggers", Kind.GAUGE, ("rung",), Unit.NUMBER,
    "Watched triggers on each rung of the fallback ladder",
)  # fmt: skip

PROCESS_FIGURES: tuple[Figure, ...] = (
    Figure("build_info", "headway_build_info", Kind.GAUGE, ("version",), Unit.YES, "Always 1; the running version"),
    Figure("bundle_info", "headway_bundle_info", Kind.GAUGE, ("model",), Unit.YES, "1 for each bundle in use"),
    Figure(
        "watched_triggers", "headway_watched_triggers", Kind.GAUGE, (), Unit.NUMBER,
        "Triggers that this process was called about and that have not expired, and listed ones",
    ),
    Figure(
        "refreshed_triggers", "headway_refreshed_triggers", Kind.GAUGE, (), Unit.NUMBER,
        "Triggers that this process observes and forecasts; other replicas do the rest",
    ),
    Figure(
        "deferred_forecasts", "headway_deferred_forecasts", Kind.GAUGE, (), Unit.NUMBER,
        "Forecasts deferred in the last refresh, because all would take more than half the interval",
    ),
    Figure(
        "forecast_deferred", "headway_forecast_deferrals_total", Kind.COUNTER, (), Unit.NUMBER,
        "Forecasts deferred to a later refresh; one forecast counts once per refresh that defers it",
    ),
    Figure(
        "queue_length", "headway_queue_length", Kind.GAUGE, ("queue",), Unit.NUMBER,
        f"Triggers that wait for a background task, by queue: {', '.join(QUEUES)}. backfill_… are the phases of "
        "fetching history, store_… wait for the database",
    ),
    Figure(
        "refresh_interval", "headway_refresh_interval_seconds", Kind.GAUGE, (), Unit.SECONDS,
        "The setting `refresh-interval`; alerts measure ages in it",
    ),
    Figure(
        "last_refresh", "headway_last_refresh_timestamp_seconds", Kind.GAUGE, (), Unit.EPOCH,
        "When the last refresh without a failure ended; 0 before the first one",
    ),
    Figure(
        "refresh_step", "headway_refresh_step_duration_seconds", Kind.HISTOGRAM, ("step",), Unit.SECONDS,
        f"Time of one refresh, by step ({', '.join(STEPS)}; steps of several servers overlap)", STEP_BUCKETS,
    ),
    Figure(
        "refresh_failed", "headway_refresh_failures_total", Kind.COUNTER, (), Unit.NUMBER,
        "Refreshes that failed; the log has the reason",
    ),
    Figure(
        "task_failed", "headway_task_failures_total", Kind.COUNTER, ("task",), Unit.NUMBER,
        "Background tasks that failed and were started again; the log has the reason",
    ),
    Figure(
        "refresh_overrun", "headway_refresh_overruns_total", Kind.COUNTER, (), Unit.NUMBER,
        "Refreshes that took longer than the refresh interval, so that the next one was late",
    ),
    Figure(
        "forecast_failed", "headway_forecast_failures_total", Kind.COUNTER, ("model",), Unit.NUMBER,
        "Failed runs of a bundle; the affected triggers keep their last forecast",
    ),
    Figure(
        "backfill_failed", "headway_backfill_failures_total", Kind.COUNTER, ("phase",), Unit.NUMBER,
        "Failed attempts to fetch a trigger's history, by phase: fine, coarse or hole. They are repeated",
    ),
    Figure(
        "backfill_triggers", "headway_backfill_triggers", Kind.GAUGE, ("state",), Unit.NUMBER,
        "Triggers that this process refreshes, by the state of their history: done, waiting (not complete yet), "
        "failing (the last attempt to fetch a part failed; it is repeated)",
    ),
    Figure(
        "backfill_oldest_wait", "headway_backfill_oldest_wait_seconds", Kind.GAUGE, (), Unit.SECONDS,
        "How long the trigger that has waited longest for a part of its history has waited; 0 when all is fetched",
    ),
    Figure(
        "source_error", "headway_source_errors_total", Kind.COUNTER, ("server", "kind"), Unit.NUMBER,
        "Failed observations, by server (`others` beyond a hundred) and kind: SourceUnavailable, SourceRefused, "
        "NoDemand, AmbiguousDemand",
    ),
    Figure(
        "circuit_open", "headway_source_circuit_open", Kind.GAUGE, ("server",), Unit.YES,
        "1 while no requests are sent to a server, because several in a row failed",
    ),
    Figure(
        "stale_files", "headway_stale_files", Kind.GAUGE, (), Unit.NUMBER,
        "Credentials and certificates whose files have changed and cannot be used; the last good ones are in use",
    ),
    Figure(
        "certificate_start", "headway_certificate_start_timestamp_seconds", Kind.GAUGE, ("purpose", "file"), Unit.EPOCH,
        "Beginning of the validity of a certificate that the settings name, see the next figure",
    ),
    Figure(
        "certificate_expiry", "headway_certificate_expiry_timestamp_seconds", Kind.GAUGE, ("purpose", "file"),
        Unit.EPOCH,
        f"End of the validity, by purpose ({', '.join(PURPOSES)}) and file. Of a chain the certificate that expires "
        "first, of several authorities the one that expires last. Absent while the file cannot be read",
    ),
    Figure(
        "leases", "headway_leases", Kind.GAUGE, (), Unit.NUMBER,
        "Triggers whose lease this process holds: all of them without other replicas, or while the cache is down",
    ),
    Figure(
        "lease_lost", "headway_leases_lost_total", Kind.COUNTER, (), Unit.NUMBER,
        "Triggers that this process refreshed and that another replica has leased since",
    ),
    Figure(
        "lease_taken_over", "headway_leases_taken_over_total", Kind.COUNTER, (), Unit.NUMBER,
        "Triggers that this process began to refresh with the outlook of another replica",
    ),
    Figure(
        "orphaned_triggers", "headway_orphaned_triggers", Kind.GAUGE, (), Unit.NUMBER,
        "Triggers that this process refreshes because the replica that holds their lease does not publish them",
    ),
    Figure(
        "cache_up", "headway_cache_up", Kind.GAUGE, (), Unit.YES,
        "1 if the shared cache answered last time; while 0, every replica refreshes all its triggers",
    ),
    Figure(
        "store_up", "headway_store_up", Kind.GAUGE, (), Unit.YES,
        "1 if the database answered last time; while 0, new state does not survive a restart",
    ),
    Figure(
        "discovered_objects", "headway_discovered_objects", Kind.GAUGE, (), Unit.NUMBER,
        "ScaledObjects with the annotation `headway.dev/forecast` whose trigger is watched. Absent without "
        "`discover-namespaces`",
    ),
    Figure(
        "discovery_refused", "headway_discovery_refused_objects", Kind.GAUGE, (), Unit.NUMBER,
        "ScaledObjects with that annotation that are refused; the log, the API and `headway why` have the faults",
    ),
    Figure(
        "discovery_up", "headway_discovery_up", Kind.GAUGE, ("scope",), Unit.YES,
        "1 while the ScaledObjects of the namespace `scope` (`*`: all) are watched; while 0, known ones stay, and new "
        "ones are not seen",
    ),
    Figure(
        "discovery_failed", "headway_discovery_failures_total", Kind.COUNTER, ("scope",), Unit.NUMBER,
        "Lists and watches that failed, and watches that broke off; they are repeated",
    ),
    Figure(
        "rpc_calls", "headway_rpc_calls_total", Kind.COUNTER, ("method", "code"), Unit.NUMBER,
        "KEDA's calls, by method and gRPC status",
    ),
    Figure(
        "rpc_duration", "headway_rpc_duration_seconds", Kind.HISTOGRAM, ("method", "code"), Unit.SECONDS,
        "Time of KEDA's calls, by method and gRPC status, from the moment at which the event loop takes the call up. "
        "First calls that wait for their answer are included; streams are not", RPC_BUCKETS,
    ),
    Figure(
        "loop_delay", "headway_event_loop_delay_seconds", Kind.HISTOGRAM, (), Unit.SECONDS,
        "How long the event loop keeps a call waiting before it takes it up, sampled four times a second", RPC_BUCKETS,
    ),
    Figure(
        "cold_start", "headway_cold_starts_total", Kind.COUNTER, (), Unit.NUMBER,
        "Triggers registered without a shared outlook; their first answer had to wait for an observation",
    ),
    Figure(
        "trigger_expired", "headway_expired_triggers_total", Kind.COUNTER, (), Unit.NUMBER,
        "Triggers forgotten after `trigger-expiry` without a call, or because they are no longer listed",
    ),
    Figure(
        "refused_bundles", "headway_refused_bundles", Kind.GAUGE, (), Unit.NUMBER,
        "Bundles that are refused now, or places of bundles that cannot be read; others serve in their place",
    ),
    Figure(
        "bundle_refused", "headway_bundle_refusals_total", Kind.COUNTER, (), Unit.NUMBER,
        "Bundles refused because they did not match their specification; the running one stayed in use",
    ),
)  # fmt: skip

FIGURES: tuple[Figure, ...] = (*TRIGGER_FIGURES, TRIGGERS_BY_RUNG, *PROCESS_FIGURES)

_BY_CALL = {figure.called: figure for figure in PROCESS_FIGURES}


class Telemetry:
    """This process's figures. Raises ValueError for a name or label that is not in the table."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self._followed = _Followed()
        self.registry.register(self._followed)
        self._objects: dict[str, Counter | Gauge | Histogram] = {}
        self.set("build_info", 1, version=__version__)
        for figure in PROCESS_FIGURES:
            if figure.kind is Kind.COUNTER and not figure.labels:
                self.count(figure.called, 0)  # Prometheus sees no increase in a counter that appears with 1

    def count(self, called: str, amount: float = 1, /, **labels: str) -> None:
        """`amount` more of the counter `called`."""
        counter = self._object(called, Kind.COUNTER)
        assert isinstance(counter, Counter)
        (counter.labels(**labels) if labels else counter).inc(amount)

    def set(self, called: str, value: float, /, **labels: str) -> None:
        """The gauge `called` is now `value`."""
        gauge = self._object(called, Kind.GAUGE)
        assert isinstance(gauge, Gauge)
        (gauge.labels(**labels) if labels else gauge).set(value)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time one step of a refresh, even if it fails."""
        if name not in STEPS:
            raise ValueError(f"step={name!r}: must be one of {', '.join(STEPS)}")
        histogram = self._object("refresh_step", Kind.HISTOGRAM)
        assert isinstance(histogram, Histogram)
        started = time.perf_counter()
        try:
            yield
        finally:
            histogram.labels(step=name).observe(time.perf_counter() - started)

    def follow(self, called: str, read: Callable[[], Values]) -> None:
        """Read the figure's values from `read` at each scrape."""
        self._followed.numbers.append((_figure(called), read))

    def follow_distribution(self, called: str, read: Callable[[], Distributions]) -> None:
        """Read the histogram's values from `read` at each scrape."""
        self._followed.distributions.append((_figure(called), read))

    def _object(self, called: str, kind: Kind) -> Counter | Gauge | Histogram:
        known = self._objects.get(called)
        if known is None:
            known = self._objects[called] = _made(_figure(called), self.registry)
        if known._type != kind:
            raise ValueError(f"{called} is a {known._type}, not a {kind}")
        return known


def _figure(called: str) -> Figure:
    figure = _BY_CALL.get(called)
    if figure is None:
        raise ValueError(f"figure={called!r}: is not in the table of scaler/telemetry/metrics.py")
    return figure


def _made(figure: Figure, registry: CollectorRegistry) -> Counter | Gauge | Histogram:
    if figure.kind is Kind.COUNTER:
        return Counter(figure.name, figure.meaning, figure.labels, registry=registry)
    if figure.kind is Kind.GAUGE:
        return Gauge(figure.name, figure.meaning, figure.labels, registry=registry)
    return Histogram(figure.name, figure.meaning, figure.labels, registry=registry, buckets=figure.buckets)


class _Followed(Collector):
    """The figures that are read from elsewhere at each scrape."""

    def __init__(self) -> None:
        self.numbers: list[tuple[Figure, Callable[[], Values]]] = []
        self.distributions: list[tuple[Figure, Callable[[], Distributions]]] = []

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        for figure, read in self.numbers:
            family = CounterMetricFamily if figure.kind is Kind.COUNTER else GaugeMetricFamily
            metric = family(figure.name, figure.meaning, labels=figure.labels)
            for labels, value in list(read().items()):
                metric.add_metric(labels, value)
            yield metric
        for figure, read_distributions in self.distributions:
            histogram = HistogramMetricFamily(figure.name, figure.meaning, labels=figure.labels)
            for labels, found in list(read_distributions().items()):
                histogram.add_metric(labels, _cumulated(figure.buckets, found.counts), found.total)
            yield histogram


def _cumulated(bounds: Sequence[float], counts: Sequence[int]) -> list[tuple[str, float]]:
    """Buckets as they are exported: the upper bound, and how many values are not above it."""
    return list(zip((*map(str, bounds), "+Inf"), accumulate(counts), strict=True))
