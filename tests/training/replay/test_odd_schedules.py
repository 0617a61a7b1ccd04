"""Odd schedules, end to end: what is ordered before an edge, how early, and when it is released.

A table of decisions as an operator would judge them. Demand is 100 (10 replicas) in between and 1000 at the peak.
"""

from dataclasses import dataclass, replace
from math import inf, nan

import numpy as np
import pytest

from tests.training.replay.edges import Edge, decided
from training.data.load import DAY_SECONDS, Series
from training.data.schedules import (
    BEFORE_DST,
    QUIET,
    VOLUME,
    Days,
    Schedule,
    days_since_start,
    failing,
    minute_of_day,
    moved,
    only_on,
    runs,
)
from training.data.synthetic import MONDAY, Clock, Demand, Ingredient, Random, opening_hours, trend

BERLIN = "Europe/Berlin"
BEFORE_AUTUMN = MONDAY + 280 * DAY_SECONDS
"""2024-10-07T00:00:00Z: European clocks change 20 days later, at the start of day 20 by the local clock"""
PEAK = 1000.0
CLEARLY_MORE = 400.0
"""demand above it is on the way to the peak"""
KNOWN = (2.0, 6.0)
"""minutes before an edge in which a schedule that is known is ordered: replicas take two to start"""


@dataclass(frozen=True)
class Case:
    """An edge on one day of a schedule, and what a good decision is.

    ordered: the fewest and the most minutes before the edge in which more is first planned; 0 is not at all.
    short: the largest share of the demand in the ten minutes after the edge that is not served.
    released: the most minutes after the end until the replicas are given back. highest: the most that is planned, over
    the peak.
    """

    good: str
    series: Series
    edge: Edge
    ordered: tuple[float, float] = KNOWN
    short: float = 0.01
    released: float = 10.0
    highest: float = 1.3
    past_days: int = 7
    factor: float = 1.0
    """of the demand on that day over the first day's"""
    scales_to_zero: bool = False
    timezone: str = ""
    """of the trigger, where it is not that of the demand"""

    def __str__(self) -> str:
        return self.good


def made(
    days: int, *ingredients: Ingredient, seed: int = 0, volume: float = QUIET, clock: Clock | None = None
) -> Series:
    return Schedule(ingredients, volume, clock or Clock(days)).series("odd", seed)


def batch(jitter_minutes: float = 0.0, begins: float = 150) -> Ingredient:
    return runs(begins, 40, PEAK / QUIET, jitter_minutes)


def opens(outside: float = QUIET / VOLUME) -> Ingredient:
    """Weekdays from 09:00 to 10:00, within three minutes."""
    return opening_hours(9.0, 10.0, ramp_minutes=3.0, outside=outside)


def unknown(on: Days, begins_minute: float, ends_minute: float) -> Ingredient:
    """Minutes without a record on some days."""

    def apply(demand: Demand, clock: Clock, random: Random) -> Demand:
        is_on = np.array([on(day) for day in range(round(clock.days) + 2)])[days_since_start(clock)]
        minute = minute_of_day(clock)
        return np.where(is_on & (minute >= begins_minute) & (minute < ends_minute), nan, demand)

    return apply


def after_the_gap(begins: int) -> Case:
    return Case(
        f"the source is down from {begins} minutes before the edge until 5 after it: ordered on the forecast alone",
        made(10, batch(), unknown(lambda day: day == 9, 150 - begins, 155)),
        Edge(9, 150, 190),
    )


def spread(seed: int) -> Case:
    series = made(12, batch(jitter_minutes=3, begins=375), seed=seed)
    first = int(np.argmax(series.values[11 * 1440 :] > PEAK / 2))
    return Case(
        f"a batch between 06:12 and 06:18 begins at 06:{first - 360}: there before the earliest start",
        series,
        Edge(11, 372, first + 40),
        ordered=(2.0, 7.0),
        short=0.02,
        highest=1.8,  # past days are scaled to a level that is early today
        past_days=9,
    )


def changed_clocks(start: float, season: str, day: int) -> Case:
    return Case(
        f"day {day}, where clocks change on day 20 in {season}: ordered by the local clock",
        made(24, batch(begins=360), clock=Clock(24, start=start, timezone=BERLIN)),
        Edge(day, 360, 400),
    )


BATCH_AT, HOUR_LATER = Edge(9, 390, 450), Edge(9, 450, 510)


def moved_days_ago(days: int) -> Series:
    return made(10, moved(390, 450, 10 - days, 60, PEAK / QUIET))


CASES = (
    Case("a daily batch: there when it starts", made(10, batch()), Edge(9, 150, 190)),
    Case("opens on weekdays: ordered on Monday after a weekend", made(15, opens(), volume=VOLUME), Edge(14, 540, 600)),
    Case(
        "the record has gaps around the edge on the last three days: ordered as on the days before",
        made(10, batch(), unknown(lambda day: day in (6, 7, 8), 140, 160)),
        Edge(9, 150, 190),
    ),
    Case(
        "nothing is known of yesterday: ordered as on the days before",
        made(10, batch(), unknown(lambda day: day == 8, 0, 1440)),
        Edge(9, 150, 190),
    ),
    after_the_gap(3),
    after_the_gap(15),
    Case(
        "an outage at the opening of the last three Mondays: the other days count",
        made(22, opens(), failing(530, 60, lambda day: day % 7 == 0 and day < 21), volume=VOLUME),
        Edge(21, 540, 600),
        past_days=14,
    ),
    Case(
        "an outage at the opening of yesterday: one day is not believed",
        made(10, opens(), failing(530, 60, lambda day: day == 8), volume=VOLUME),
        Edge(9, 540, 600),
    ),
    Case(
        "a holiday: ordered as usual, and given back within half an hour",
        made(16, opens(), only_on(lambda day: day != 14, QUIET), volume=VOLUME),
        Edge(14, 540, 543),
        released=30.0,
    ),
    Case(
        "the day after a holiday: not unlearned",
        made(16, opens(), only_on(lambda day: day != 14, QUIET), volume=VOLUME),
        Edge(15, 540, 600),
    ),
    Case(
        "every fifth day is left out: ordered on the others",
        made(14, runs(150, 40, PEAK / QUIET, on=lambda day: day % 5 != 4)),
        Edge(12, 150, 190),
        short=0.02,
    ),
    Case(
        "the first day of a batch at another time: ordered at the old one",
        moved_days_ago(0),
        BATCH_AT,
        released=inf,
    ),
    Case(
        "the fourth day of a batch at another time: not ordered at the old one for long",
        moved_days_ago(4),
        Edge(9, 390, 393),
        released=10.0,
    ),
    Case(
        "the fourth day of a batch at another time: ordered there",
        moved_days_ago(4),
        HOUR_LATER,
        ordered=(2.0, 16.0),
        released=20.0,
        highest=1.5,
    ),
    Case(
        "a batch that runs by UTC, the seventh day after clocks have changed: ordered at its new local time",
        made(27, batch(begins=360 - 60), clock=Clock(27, start=BEFORE_DST)),
        Edge(26, 420, 460),
        highest=1.5,
        past_days=14,
        timezone=BERLIN,
    ),
    spread(0),
    spread(1),
    spread(6),
    changed_clocks(BEFORE_DST, "spring", 20),
    changed_clocks(BEFORE_DST, "spring", 21),
    changed_clocks(BEFORE_AUTUMN, "autumn", 20),
    changed_clocks(BEFORE_AUTUMN, "autumn", 21),
    Case(
        "5 % more every day: ordered as much as it is today, not as it was",
        made(10, batch(), trend(float(np.exp(0.35) - 1))),
        Edge(9, 150, 190),
        factor=1.05**9,
    ),
    Case(
        "a workload that goes to zero at night: woken just before it opens",
        made(15, opens(outside=0.0), volume=VOLUME),
        Edge(14, 540, 600),
        scales_to_zero=True,
    ),
    Case(
        "a weekly batch: ordered on its day from the fourth week on",
        made(25, runs(360, 60, PEAK / QUIET, on=lambda day: day % 7 == 2)),
        Edge(23, 360, 420),
        past_days=15,
    ),
    Case(
        "the day after a weekly batch: not ordered",
        made(18, runs(360, 60, PEAK / QUIET, on=lambda day: day % 7 == 2)),
        Edge(17, 360, 363),
        ordered=(0.0, 0.0),
        past_days=15,
        highest=0.2,
    ),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_decision_around_an_edge(case: Case) -> None:
    series = replace(case.series, timezone=case.timezone) if case.timezone else case.series
    found = decided(series, case.edge, case.past_days, case.scales_to_zero)
    least, most = case.ordered
    more = case.factor * CLEARLY_MORE
    assert least <= found.ordered(more) <= most
    assert found.short() <= case.short
    assert found.released(more) <= case.released
    assert found.planned_K.max() <= case.highest * case.factor * PEAK
