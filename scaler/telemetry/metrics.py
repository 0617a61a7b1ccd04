"""This process's figures, and how they are written.

Code uses the short name of a figure (`telemetry.count("source_error", kind="NoDemand")`). A name that is not in the
table of scaler/telemetry/figures.py is an error.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from typing import TypeAlias

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from scaler import __version__
from scaler.telemetry.figure import Figure, Kind
from scaler.telemetry.process_figures import PROCESS_FIGURES, STEPS
from scaler.telemetry.traces import span


@dataclass(frozen=True, slots=True)
class Distribution:
    """A histogram's values: how many fell into each bucket, the last one without upper bound, and their sum."""

    counts: tuple[int, ...]
    total: float


Values: TypeAlias = Mapping[tuple[str, ...], float]
"""label values → figure"""

Distributions: TypeAlias = Mapping[tuple[str, ...], Distribution]
"""label values → histogram"""


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
        self._took: dict[str, float] = {}
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
            with span(f"refresh {name}" if name != "refresh" else name):
                yield
        finally:
            self._took[name] = time.perf_counter() - started
            histogram.labels(step=name).observe(self._took[name])

    def took(self, step: str) -> float | None:
        """Seconds of the last one of these steps; None before the first."""
        return self._took.get(step)

    def values(self, called: str) -> Values:
        """What the gauge or counter shows now, by the values of its labels. Empty where it shows nothing."""
        figure, known = _figure(called), self._objects.get(called)
        if known is not None:
            samples = (sample for family in known.collect() for sample in family.samples)
            return {tuple(one.labels[name] for name in figure.labels): one.value for one in samples}
        return next((dict(read()) for found, read in self._followed.numbers if found is figure), {})

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
        raise ValueError(f"figure={called!r}: is not in the table of scaler/telemetry/figures.py")
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
