"""What a workload gets while no replica of Headway can be reached, with two behaviours of KEDA.

Both pollers follow KEDA's source (pkg/scaling/scale_handler.go, 2.20): each HPA fetch asks all triggers of the
ScaledObject for their specs first. Today one failing spec fails every external metric, and `fallback` counts failures
of GetMetrics alone, which is never reached. As proposed (keda#8056), the spec of before is kept, so that only our
metric fails: the other triggers go on, and `fallback` begins after more than `failureThreshold` failures.

A sync, every 15 s in a cluster, is made every second here; the HPA's own time is that of the syncs.
"""

import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import httpx

from scaler.commands.check.keda_client import KedaClient, OurTrigger
from scaler.plan.hpa import SYNC_SECONDS, Hpa, HpaState, average_value, milli, sync

from .demand import LOWEST, PERIOD_SECONDS, demand
from .record import Injection, Row, Watch, fill
from .suite import Run
from .world import replicas, settled, triggers

FAMILY = "KEDA"
THRESHOLD = 100.0
FAILURE_THRESHOLD = 3
FALLBACK_REPLICAS = 20
REAL_SECONDS = 1.0
"""between two syncs of this model"""
GONE_SECONDS = 45.0
HPA = Hpa(max_replicas=100, downscale_stabilization_seconds=30.0)


@dataclass
class ScaledObject:
    """One workload with our trigger, and with a `prometheus` trigger on the same query where `other` is given."""

    ours: OurTrigger
    client: Callable[[], KedaClient]
    other: Callable[[], float | None] | None
    keeps_specs: bool
    """the proposed behaviour"""
    replicas: int = math.ceil(LOWEST / THRESHOLD)
    state: HpaState = field(default_factory=HpaState)
    failures: int = 0
    spec_known: bool = False
    at: float = 0.0

    def once(self) -> list[int | None]:
        """One HPA sync; the proposals of its metrics."""
        self.at += SYNC_SECONDS
        proposals = self._proposals()
        result = sync(HPA, self.state, self.replicas, proposals, self.at)
        self.replicas, self.state = result.replicas, result.state
        return proposals

    def _proposals(self) -> list[int | None]:
        others = [] if self.other is None else [self.other()]
        spec = self.client().metric_spec(self.ours, "HPA sync")
        self.spec_known = self.spec_known or not spec.error
        if spec.error and not (self.keeps_specs and self.spec_known):
            return [None for _ in (0, *others)]
        call = self.client().metrics(self.ours, "headway", "HPA sync")
        return [self._proposal(self._with_fallback(call.number)), *map(self._proposal, others)]

    def _with_fallback(self, number: float | None) -> float | None:
        """`behavior: currentReplicasIfHigher`."""
        self.failures = self.failures + 1 if number is None else 0
        if number is None and self.failures > FAILURE_THRESHOLD:
            return THRESHOLD * max(FALLBACK_REPLICAS, self.replicas)
        return number

    def _proposal(self, value: float | None) -> int | None:
        return None if value is None else average_value(milli(value), milli(THRESHOLD), self.replicas, HPA)


@dataclass
class Course:
    """What became of one workload while nothing could be reached."""

    lowest: int
    highest: int
    blocked: int
    """syncs in which no metric was known"""
    syncs: int
    short: float
    """the largest share of the demand that its replicas could not carry"""


def run_family(run: Run) -> None:
    """Each behaviour with and without a second trigger, all at once; the only replica is killed and started again."""
    cases = [(keeps_specs, with_other) for keeps_specs in (False, True) for with_other in (True, False)]
    with ThreadPoolExecutor(len(cases)) as pool:
        for row in pool.map(lambda case: _row(run, *case), cases):
            run.add(row)


def _row(run: Run, keeps_specs: bool, with_other: bool) -> Row:
    behaviour = "proposed: specs kept, fallback" if keeps_specs else "today: a failing spec blocks all metrics"
    name = f"Headway gone; {behaviour}; {'with a second trigger' if with_other else 'alone'}"
    row = Row(FAMILY, name, 0)
    with replicas(run.place(f"keda-{keeps_specs}-{with_other}"), 1, "--prometheus", run.prometheus.url) as group:
        wanted = triggers(run.prometheus.url)
        group.until_forecast(wanted)
        other = (lambda: _read(run.prometheus.url, wanted[0].metadata["query"])) if with_other else None
        courses, injections = [], []
        with group.watched(wanted) as watches:
            for _ in range(run.times(2, 1)):
                settled(watches, 1)
                _until_the_foot(0 if run.quick else PERIOD_SECONDS)
                workload = ScaledObject(wanted[0], lambda: group.replicas[0].client, other, keeps_specs)
                for _ in range(6):
                    workload.once()
                start = time.time()
                group.replicas[0].process.kill()
                courses.append(_course(workload, 10 if run.quick else GONE_SECONDS))
                group.replicas[0].restart()
                injections.append(Injection(start, time.time()))
                settled(watches, 1)
            _fill(row, watches, injections)
    row.injected = len(injections)
    row.note = _told(courses)
    return row


def _until_the_foot(seconds: float) -> None:
    """Return when demand has just fallen, so that it rises during the outage; after `seconds` at the latest."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not 6 < time.time() % PERIOD_SECONDS < 12:
        time.sleep(0.5)


def _fill(row: Row, watches: list[Watch], injections: list[Injection]) -> None:
    fill(row, watches, injections, time.time())


def _course(workload: ScaledObject, seconds: float) -> Course:
    course = Course(workload.replicas, workload.replicas, 0, 0, 0.0)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        proposals = workload.once()
        course.syncs += 1
        course.blocked += all(one is None for one in proposals)
        course.lowest, course.highest = min(course.lowest, workload.replicas), max(course.highest, workload.replicas)
        course.short = max(course.short, 1 - workload.replicas * THRESHOLD / demand(time.time()))
        time.sleep(REAL_SECONDS)
    return course


def _told(courses: list[Course]) -> str:
    lowest, highest = min(one.lowest for one in courses), max(one.highest for one in courses)
    blocked, syncs = sum(one.blocked for one in courses), sum(one.syncs for one in courses)
    short = max(one.short for one in courses)
    return (
        f"replicas {lowest} to {highest}; no metric in {blocked} of {syncs} syncs; "
        f"at worst {max(0.0, short):.0%} of the demand without replicas"
    )


def _read(url: str, query: str) -> float | None:
    """What KEDA's `prometheus` trigger reads."""
    try:
        answer = httpx.get(f"{url}/api/v1/query", params={"query": query}, timeout=5).json()
        return float(answer["data"]["result"][0]["value"][1])
    except (httpx.HTTPError, KeyError, IndexError, ValueError):
        return None
