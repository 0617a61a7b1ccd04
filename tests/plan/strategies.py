"""Triggers, forecasts, observations and memories of every kind, for properties of the planner.

A `Case` is all that an answer is made of. Half of the cases are arbitrary: each number is drawn on its own, broken ones
too. The other half are what refreshes publish: the planner's own memory, after a clock that jumps, a source that is
down at times, a forecast that is broken now and then, and a replica that takes over from another.
"""

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from hypothesis import reject
from hypothesis import strategies as st

from scaler.decide import decide
from scaler.forecast.record import RecordInvalid, pack, unpack
from scaler.plan import Plan
from scaler.plan.memory import Memory, observe, resume
from scaler.plan.rule import News
from scaler.recurrence import Recurrence
from scaler.series import REMEMBERED, Floats, Forecast, Observation, Outlook
from scaler.trigger import LARGEST_DEMAND, Mode, PolicyName, Trigger

NOW = 1_700_000_000.0
ALL_LEVELS = ((0.05, 0.25, 0.5, 0.75, 0.9, 0.99), (0.5, 0.9), (0.9,))

amounts = st.floats(0, 1000) | st.floats(0, 1e6) | st.sampled_from([0.0, 1e-300, 1e-3, 100.0, 9e15])
odd = st.sampled_from([math.nan, math.inf, -math.inf, -1.0, 1e38, -1e38, 1e300])
wild = amounts | odd
spreads = st.sampled_from([0.0, 0.2, 3.0, 1e6])
"""by how much the highest quantile exceeds the lowest one, times that"""
any_spreads = spreads | st.sampled_from([-0.2, -1.0, -2.0])
"""below 0: they descend"""
ages = st.floats(-30, 300) | st.floats(-8000, 8000) | st.sampled_from([0.0, 300.0, -300.0])
"""seconds; below 0: from the future"""
jumps = st.sampled_from([0.0, 1.0, 5.0, 14.9, 15.0, 22.5, 31.0, 60.0, 600.0, 7200.0]).flatmap(
    lambda seconds: st.sampled_from([seconds, -seconds])
)
refresh_intervals = st.sampled_from([15.0, 15.0, 5.0, 60.0])
quantiles = st.sampled_from([0.9, 0.51, 0.75, 0.95, 0.999]) | st.floats(0.5, 1, exclude_min=True, exclude_max=True)
triggers = st.builds(
    Trigger,
    namespace=st.just("shop"),
    name=st.just("web"),
    query=st.just("demand"),
    server_address=st.just("http://prometheus"),
    threshold=st.sampled_from([10.0, 0.001, LARGEST_DEMAND]) | st.floats(0.001, 1e6),
    activation_threshold=st.sampled_from([0.0, 5.0, LARGEST_DEMAND]) | st.floats(0, 1000),
    lead_time_seconds=st.sampled_from([30.0, 120.0]) | st.floats(1, 7200),
    quantile=quantiles,
    mode=st.sampled_from([Mode.PREDICTIVE, *Mode]),
    policy=st.sampled_from(PolicyName),
    model=st.sampled_from(["auto", "test", "other@2"]),
    query_step_seconds=st.none() | st.sampled_from([15.0, 300.0, 900.0]),
    max_staleness_seconds=st.sampled_from([300.0, 15.0, 7200.0]),
)
replica_counts = st.integers(1, 300) | st.floats(*REMEMBERED["replicas"])
remembered = st.fixed_dictionaries(
    {},
    optional={
        "growth": st.floats(*REMEMBERED["growth"]),
        "level_shift": st.floats(*REMEMBERED["level_shift"]),
        "lost_by": st.floats(*REMEMBERED["lost_by"]),
        "calibration": st.floats(*REMEMBERED["calibration"]),
        "returning": amounts | st.floats(*REMEMBERED["returning"]),
        "answered": amounts | st.floats(*REMEMBERED["answered"]),
        "replicas": replica_counts,
        "replicas_20_syncs": replica_counts,
        "replicas_1_sync": replica_counts,
    },
)
"""any conclusions of the planner; `test_memory.py` has a test that there are no other names"""


class Case(NamedTuple):
    """A trigger, what a replica knows of it, and the moment at which KEDA calls."""

    trigger: Trigger
    outlook: Outlook
    now: float
    refresh_seconds: float

    @property
    def plan(self) -> Plan:
        return decide(self.trigger, self.outlook, self.now, self.refresh_seconds)


@st.composite
def forecasts(draw: st.DrawFn, sound: bool = True) -> Forecast:
    """A forecast that began before `NOW`, or will begin after it. sound: its quantiles ascend."""
    levels = draw(st.sampled_from(ALL_LEVELS))
    steps = draw(st.sampled_from([120, 30, 3, 1]))
    peak_steps = tuple(one for one in draw(st.sampled_from([(), (1, 2, 5, 10), (2, 5, 30)])) if one <= steps)
    shares = draw(st.sampled_from([0.0, 1.0, 0.5, 0.8]) | st.floats(0, 1))
    return Forecast(
        start=NOW - draw(ages),
        step_seconds=draw(st.sampled_from([60.0, 60.0, 1.0, 900.0])),
        levels=levels,
        quantiles_HQ=draw(_rows(sound, steps, len(levels))),
        peak_steps=peak_steps,
        peaks_WQ=draw(_rows(sound, len(peak_steps), len(levels))) if peak_steps else None,
        model="test@1",
        past_shares=(shares, 0.0, 0.0),
        days_alike=(3, 9) if shares else (0, 0),
        recurrence=Recurrence(540, 546, 1, 19_784, 8.75, 9, 10) if shares == 1 else None,
        data_step_seconds=draw(st.sampled_from([0.0, 0.0, 300.0, 3600.0])),
    )


@st.composite
def _rows(draw: st.DrawFn, sound: bool, rows: int, columns: int) -> Floats:
    """Up to three rows of quantiles, again and again. Unsound: some descend, or one number is odd from a row on."""
    some = [(draw(amounts), draw(spreads if sound else any_spreads)) for _ in range(min(rows, 3))]
    array = np.resize([middle * np.linspace(1, 1 + spread, columns) for middle, spread in some], (rows, columns))
    if not sound and draw(st.booleans()):
        array[draw(st.integers(0, min(rows, 12) - 1)) :, draw(st.integers(0, columns - 1))] = draw(odd)
    return np.asarray(array, np.float32)


@st.composite
def observations(draw: st.DrawFn, values: st.SearchStrategy[float] = amounts) -> Observation:
    """Made before `NOW`, or after it by a clock that is wrong."""
    value = draw(values)
    return Observation(NOW - draw(ages), value, draw(st.just(value) | values), draw(st.just(value) | values))


any_forecasts = forecasts(sound=False)
any_observations = observations() | observations(wild)
outlooks = st.builds(
    Outlook,
    st.just(NOW) | st.floats(NOW - 30, NOW + 30),
    st.none() | observations(),
    st.none() | forecasts(),
    remembered=remembered,
)
any_outlooks = st.builds(
    Outlook,
    st.just(NOW) | st.floats(NOW - 30, NOW + 30),
    st.none() | any_observations,
    st.none() | any_forecasts,
    remembered=remembered,
)


@st.composite
def refreshed(draw: st.DrawFn) -> tuple[Trigger, Outlook, float]:
    """A trigger, what was published for it last after some refreshes, and their interval."""
    trigger, every = draw(triggers), draw(refresh_intervals)
    memory, now, made = Memory(), NOW, None
    demand, factor = draw(amounts), draw(st.sampled_from([1.0, 1.2, 2.0, 0.5]))
    base, history_peak = draw(forecasts()), draw(wild)
    outlook = Outlook(now, None, None)
    for happens in draw(st.lists(st.sampled_from(EVENTS), min_size=1, max_size=12)):
        now += draw(jumps) if happens == "jump" else 60.0
        demand = min(demand * factor, 1e300)
        seen = Observation(now, draw(wild) if happens == "odd demand" else demand, 2 * demand, history_peak)
        forecast = draw(any_forecasts) if happens == "odd forecast" else base
        if happens != "odd forecast":
            forecast = replace(base, start=now if happens != "old forecast" else base.start)
        observation = outlook.observation if happens == "no demand" else seen
        answered = None if made is None else made.planned
        memory = observe(memory, News(trigger, now, observation, forecast, answered, every))
        outlook = Outlook(now + 1, observation, forecast, remembered=memory.conclusions)
        made = decide(trigger, outlook, now + 1, every)
        if happens == "takeover":
            memory = resume(outlook.remembered, outlook.counts_from)
    return trigger, outlook, every


EVENTS = (*("refresh",) * 6, "jump", "odd demand", "no demand", "odd forecast", "old forecast", "takeover")


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """What may be known and asked, of both halves."""
    if draw(st.booleans()):
        trigger, outlook, every = draw(refreshed())
    else:
        trigger, outlook, every = draw(triggers), draw(any_outlooks), draw(refresh_intervals)
    return Case(trigger, outlook, outlook.counts_from + draw(jumps), every)


metadata = st.fixed_dictionaries(
    {"query": st.just("demand"), "threshold": st.just("10")},
    optional={
        "mode": st.sampled_from(Mode),
        "policy": st.sampled_from(PolicyName),
        "leadTime": st.sampled_from(["30s", "2h"]),
        "maxStaleness": st.sampled_from(["15s", "2h"]),
    },
)
"""of a trigger, as KEDA sends it"""


@st.composite
def shared_outlooks(draw: st.DrawFn) -> Outlook:
    """What a replica may publish and others do not refuse."""
    try:
        return unpack(pack(draw(outlooks | refreshed().map(lambda known: known[1]))))
    except RecordInvalid:
        reject()


@st.composite
def monotone_cases(draw: st.DrawFn, aged_peaks: bool) -> Case:
    """Cases of forecasts whose quantiles ascend. Not aged: those with peaks begin at the moment of the plan."""
    case = draw(cases())
    forecast = draw(forecasts())
    if forecast.peaks_WQ is not None and not aged_peaks:
        forecast = replace(forecast, start=case.plan.at)
    return case._replace(outlook=replace(case.outlook, forecast=forecast))
