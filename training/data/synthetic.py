"""Synthetic demand: ingredients that are combined, and a varied population of series.

An ingredient takes expected demand per step and returns it changed; a recipe is a list of them, applied in order:

    series("shop", [daily(), weekly(), spikes(per_day=2), counted(), gaps()], Clock(days=28), volume=300, seed=7)

Each ingredient draws from its own stream of random numbers, so adding one at the end does not change the others, and
the same seed gives the same series bit for bit.

shape      daily, weekly, opening_hours, holidays      what recurs, by the clocks of the zone (which may change)
drift      trend, level_shift, fluctuation             what does not
events     spikes, batch, on_off, outage               what comes and goes
record     counted, measured, gaps                     how it was recorded: the last ones of a recipe
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.signal import lfilter  # type: ignore[import-untyped,unused-ignore]

from training.data.load import DAY_SECONDS, Series, local_seconds

SYSTEM = "synthetic"
MONDAY = 1_704_067_200.0
"""2024-01-01T00:00:00Z"""

Demand: TypeAlias = NDArray[np.float64]
"""expected demand per step [S]; NaN if not recorded"""
Random: TypeAlias = np.random.Generator


@dataclass(frozen=True)
class Clock:
    """When a series is recorded, and what the clocks of its zone show. Arrays have one entry per bin, at its start."""

    days: float = 28
    step_seconds: int = 60
    start: float = MONDAY
    timezone: str = "UTC"

    def __len__(self) -> int:
        return round(self.days * DAY_SECONDS / self.step_seconds)

    def steps(self, minutes: float) -> float:
        """The number of steps in some minutes, not rounded."""
        return minutes * 60 / self.step_seconds

    @cached_property
    def local_S(self) -> NDArray[np.int64]:
        """Local time in seconds."""
        return local_seconds(self.start + self.step_seconds * np.arange(len(self), dtype=np.float64), self.timezone)

    @property
    def hour_S(self) -> Demand:
        """Hour of the day, with fractions."""
        return self.local_S % DAY_SECONDS / 3600

    @property
    def day_S(self) -> NDArray[np.int64]:
        """Days since the epoch."""
        return self.local_S // DAY_SECONDS

    @property
    def weekday_S(self) -> NDArray[np.int64]:
        """0 is Monday."""
        return (self.day_S + 3) % 7


Ingredient: TypeAlias = Callable[[Demand, Clock, Random], Demand]


def series(
    name: str,
    ingredients: Sequence[Ingredient],
    clock: Clock,
    *,
    volume: float = 100.0,
    seed: int = 0,
    unit: str = "",
    system: str = SYSTEM,
) -> Series:
    """The demand that `ingredients` make, in this order, from a constant `volume` per step."""
    demand = np.full(len(clock), float(volume))
    for position, ingredient in enumerate(ingredients):
        demand = ingredient(demand, clock, np.random.default_rng([seed, position]))
    values = np.maximum(demand, 0.0).astype(np.float32)
    return Series(system, name, unit, clock.start, clock.step_seconds, values, clock.timezone)


def daily(depth: float = 0.8, peak_hour: float = 14.0, hours: float = 6.0, second: float = 0.0) -> Ingredient:
    """A day's rise and fall: at night 1 - depth of the peak, which is about `hours` wide.

    `second`: height of a second peak seven hours later, relative to the first.
    """

    def bump(hour_S: Demand, peak: float) -> Demand:
        narrow = 1 / (1 - np.cos(np.pi * min(hours, 12.0) / 24))
        shape: Demand = np.exp(0.7 * narrow * (np.cos(2 * np.pi * (hour_S - peak) / 24) - 1))
        return shape

    def apply(demand: Demand, clock: Clock, random: Random) -> Demand:
        day = np.maximum(bump(clock.hour_S, peak_hour), second * bump(clock.hour_S, peak_hour + 7))
        return demand * (1 - depth + depth * day)

    return apply


def weekly(weekend: float = 0.5, days: Sequence[int] = (5, 6)) -> Ingredient:
    """Demand on `days` (0 is Monday) as a share of the other days'."""
    return lambda demand, clock, random: demand * np.where(np.isin(clock.weekday_S, days), weekend, 1.0)


def opening_hours(
    opens: float = 9.0, closes: float = 17.5, ramp_minutes: float = 5.0, outside: float = 0.02, weekend: bool = False
) -> Ingredient:
    """Sharp edges: `outside` of the demand while closed (all weekend where `weekend` is False)."""

    def apply(demand: Demand, clock: Clock, random: Random) -> Demand:
        ramp = max(ramp_minutes / 60, 1e-6)
        hour = clock.hour_S
        is_open = np.clip((hour - opens) / ramp, 0, 1) * np.clip((closes - hour) / ramp, 0, 1)
        if not weekend:
            is_open = is_open * (clock.weekday_S < 5)
        return demand * (outside + (1 - outside) * is_open)

    return apply


def holidays(country: str = "DE", factor: float = 0.4) -> Ingredient:
    """Demand on the country's public holidays (ISO code) as a share of the usual."""

    def apply(demand: Demand, clock: Clock, random: Random) -> Demand:
        from holidays import country_holidays  # a second to import

        days = np.unique(clock.day_S)
        known = country_holidays(country)
        free = [day for day in days if pd.Timestamp(int(day), unit="D").date() in known]
        return demand * np.where(np.isin(clock.day_S, free), factor, 1.0)

    return apply


def trend(per_week: float = 0.1) -> Ingredient:
    """Growth (negative: decline) by this share each week, compounded."""
    return lambda demand, clock, random: demand * (1 + per_week) ** (_days(clock) / 7)


def level_shift(at_day: float = 14.0, factor: float = 2.0) -> Ingredient:
    """From one moment on demand has another level: a new customer, a cluster switched off."""
    return lambda demand, clock, random: demand * np.where(_days(clock) < at_day, 1.0, factor)


def fluctuation(size: float = 0.1, minutes: float = 30.0) -> Ingredient:
    """Autocorrelated noise: the logarithm has standard deviation `size` and reverts to the mean within `minutes`.

    An Ornstein-Uhlenbeck process (Uhlenbeck and Ornstein, "On the theory of the Brownian motion", 1930).
    """

    def apply(demand: Demand, clock: Clock, random: Random) -> Demand:
        return demand * np.exp(size * _wander(len(clock), clock.steps(minutes), random) - size**2 / 2)

    return apply


def spikes(per_day: float = 2.0, height: float = 3.0, minutes: float = 10.0, rise_minutes: float = 1.0) -> Ingredient:
    """Random bursts: about `height` times the demand in addition (heavy-tailed), decaying within `minutes`."""

    def apply(demand: Demand, clock: Clock, random: Random) -> Demand:
        kicks = np.zeros(len(clock))
        count = random.poisson(per_day * clock.days)
        np.add.at(kicks, random.integers(0, len(clock), count), height * random.pareto(2.5, count) * 1.5)
        fall = np.exp(-1 / max(clock.steps(minutes), 1e-3))
        rise = max(1, round(clock.steps(rise_minutes)))
        burst: Demand = lfilter(np.full(rise, 1 / rise), [1.0, -fall], kicks)
        return demand * (1 + burst)

    return apply


def crowds(
    per_day: float = 1.0, height: float = 2.0, rise_minutes: float = 30.0, stay_minutes: float = 60.0
) -> Ingredient:
    """Crowds at random moments: demand grows by about `height` times itself, each minute by the same share, and stays.

    Their decay takes half as long again. Height and times of each lie between half and twice the usual ones.
    """

    def apply(demand: Demand, clock: Clock, random: Random) -> Demand:
        gain = np.zeros(len(clock))
        step = np.arange(len(clock))
        for begin in random.integers(0, len(clock), random.poisson(per_day * clock.days)):
            rise, stay, fall = (
                max(1.0, clock.steps(minutes) * 2 ** random.uniform(-1, 1))
                for minutes in (rise_minutes, stay_minutes, 1.5 * rise_minutes)
            )
            here = slice(int(begin), int(begin + rise + stay + fall) + 1)
            since = step[here] - begin
            shape = np.clip(np.minimum(since / rise, (rise + stay + fall - since) / fall), 0, 1)
            gain[here] = np.maximum(gain[here], np.log1p(height * 2 ** random.uniform(-1, 1)) * shape)
        crowded: Demand = demand * np.exp(gain)
        return crowded

    return apply


def batch(
    every_minutes: float = 60.0, at_minute: float = 0.0, lasts_minutes: float = 5.0, height: float = 2.0
) -> Ingredient:
    """Cron jobs: at regular minutes of the local day, `height` times the mean demand in addition for a while."""

    def apply(demand: Demand, clock: Clock, random: Random) -> Demand:
        since = (clock.local_S % DAY_SECONDS / 60 - at_minute) % every_minutes
        size = random.lognormal(-0.02, 0.2, int(clock.days * 1440 / every_minutes) + 2)
        number = np.cumsum(np.diff(since, prepend=0.0) < 0) % len(size)
        return demand + height * float(np.nanmean(demand)) * np.where(since < lasts_minutes, size[number], 0.0)

    return apply


def on_off(on_minutes: float = 60.0, off_minutes: float = 120.0, off: float = 0.0) -> Ingredient:
    """Work that is on or off for exponentially distributed times; `off` of the demand in between."""

    def apply(demand: Demand, clock: Clock, random: Random) -> Demand:
        pairs = int(len(clock) / max(clock.steps(on_minutes + off_minutes), 1.0)) + 10
        spells = random.exponential((clock.steps(on_minutes), clock.steps(off_minutes)), (3 * pairs, 2)) + 1
        borders = np.cumsum(spells.ravel())
        return demand * np.where(np.searchsorted(borders, np.arange(len(clock))) % 2 == 0, 1.0, off)

    return apply


def outage(
    at_day: float = 10.5, minutes: float = 30.0, left: float = 0.0, storm: float = 3.0, storm_minutes: float = 15.0
) -> Ingredient:
    """An outage (`left` of the demand) after which all clients retry: up to `storm` times it, decaying."""

    def apply(demand: Demand, clock: Clock, random: Random) -> Demand:
        since = (_days(clock) - at_day) * 1440
        after = since - minutes
        storming = 1 + (storm - 1) * np.exp(-np.maximum(after, 0) / storm_minutes)
        return demand * np.where(since < 0, 1.0, np.where(after < 0, left, storming))

    return apply


def counted(dispersion: float = 0.0) -> Ingredient:
    """Counts of independent arrivals (Poisson); `dispersion` adds to the variance that share of the
    mean squared (negative binomial)."""

    def apply(demand: Demand, clock: Clock, random: Random) -> Demand:
        mean = np.clip(np.nan_to_num(demand), 0, 1e15)
        if dispersion > 0:
            mean = mean * random.gamma(1 / dispersion, dispersion, len(mean))
        return np.where(np.isnan(demand), np.nan, random.poisson(mean))

    return apply


def measured(error: float = 0.02, per_step: float = 1.0) -> Ingredient:
    """A gauge instead of a count: a relative error of each sample, and another unit (`per_step` times as large)."""
    return lambda demand, clock, random: demand * per_step * (1 + error * random.standard_normal(len(demand)))


def gaps(share: float = 0.01, minutes: float = 10.0) -> Ingredient:
    """This share of the record is missing, in holes of about `minutes`."""

    def apply(demand: Demand, clock: Clock, random: Random) -> Demand:
        length = max(1.0, clock.steps(minutes))
        count = random.poisson(share * len(clock) / length)
        holed = demand.copy()
        for first, steps in zip(
            random.integers(0, len(clock), count), random.geometric(1 / length, count), strict=True
        ):
            holed[first : first + steps] = np.nan
        return holed

    return apply


def _days(clock: Clock) -> Demand:
    """Days since the record began."""
    return np.arange(len(clock), dtype=np.float64) * (clock.step_seconds / DAY_SECONDS)


def _wander(count: int, memory_steps: float, random: Random) -> Demand:
    """An autoregressive series of standard deviation 1. [S]"""
    keep = float(np.exp(-1 / max(memory_steps, 1e-3)))
    shocks = random.standard_normal(count) * np.sqrt(1 - keep**2)
    shocks[:1] = random.standard_normal()
    wandering: Demand = lfilter([1.0], [1.0, -keep], shocks)
    return wandering


ZONES = ("UTC", "Europe/Berlin", "America/New_York", "America/Los_Angeles", "Asia/Kolkata", "Asia/Tokyo")
COUNTRIES = ("DE", "US", "GB", "IN", "JP", "BR")
KINDS = {"web": 0.35, "office": 0.2, "queue": 0.15, "bursty": 0.15, "steady": 0.15}
"""kinds of workload and their share of a population"""
VOLUMES = (0.1, 1e5)
"""per minute, drawn evenly on a logarithmic scale"""


def population(count: int, days: float, step_seconds: int = 60, seed: int = 0) -> tuple[Series, ...]:
    """`count` series of all kinds and volumes, to train a model for unknown series.

    Each begins on its own day between 2019 and 2024, so that clock changes and holidays fall anywhere, and about one in
    five is a gauge instead of a count. The first n of a larger population are the population of n.
    """
    return tuple(_stranger(number, days, step_seconds, seed) for number in range(count))


def _stranger(number: int, days: float, step_seconds: int, seed: int) -> Series:
    random = np.random.default_rng([seed, 7919, number])
    begins = pd.Timestamp("2019-01-01").timestamp() + DAY_SECONDS * int(random.integers(0, 6 * 365))
    clock = Clock(days, step_seconds, begins, str(random.choice(ZONES)))
    kind = str(random.choice(list(KINDS), p=list(KINDS.values())))
    ingredients = [*_shape(kind, random), *_drift(days, random), *_events(kind, days, random)]
    gauge = random.random() < 0.2
    volume = float(np.exp(random.uniform(*np.log(VOLUMES)))) * step_seconds / 60
    if gauge:
        ingredients += [measured(random.uniform(0.002, 0.05), float(10 ** random.uniform(-6, 0)))]
    else:
        ingredients += [counted(float(random.choice([0.0, 0.0, 0.003, 0.03])))]
    if random.random() < 0.3:
        ingredients += [gaps(_between(random, 0.0005, 0.05), _between(random, 1, 300))]
    unit = "gauge" if gauge else "requests"
    return series(
        f"{kind}-{seed}-{number:05d}", ingredients, clock, volume=volume, seed=int(random.integers(2**62)), unit=unit
    )


def _between(random: Random, low: float, high: float) -> float:
    """Drawn evenly on a logarithmic scale."""
    return float(np.exp(random.uniform(np.log(low), np.log(high))))


def _shape(kind: str, random: Random) -> list[Ingredient]:
    chosen: list[Ingredient] = []
    if kind == "web":
        second = random.uniform(0.3, 1.1) if random.random() < 0.4 else 0.0
        chosen += [daily(random.uniform(0.3, 0.98), random.uniform(0, 24), _between(random, 2.5, 11), second)]
        chosen += [weekly(float(random.choice([1.0, random.uniform(0.2, 0.9), random.uniform(1.1, 2)])))]
    elif kind == "office":
        opens = round(random.uniform(6, 11) * 4) / 4
        closes = min(opens + round(random.uniform(4, 12) * 4) / 4, 23.5)
        ramp, outside = _between(random, 1, 60), _between(random, 0.001, 0.3)
        chosen += [opening_hours(opens, closes, ramp, outside, weekend=random.random() < 0.4)]
        chosen += [daily(random.uniform(0, 0.5), (opens + closes) / 2)]
    elif kind in ("queue", "bursty") and random.random() < 0.5:
        chosen += [daily(random.uniform(0.1, 0.8), random.uniform(0, 24), random.uniform(4, 11))]
        chosen += [weekly(random.uniform(0.2, 1.0))]
    if kind in ("web", "office") and random.random() < 0.5:
        chosen += [holidays(str(random.choice(COUNTRIES)), random.uniform(0.1, 1.2))]
    return chosen


def _drift(days: float, random: Random) -> list[Ingredient]:
    chosen = [
        fluctuation(_between(random, 0.01, 0.25), _between(random, 3, 60)),
        fluctuation(_between(random, 0.01, 0.4), _between(random, 60, 3 * 1440)),
    ]
    if random.random() < 0.4:
        chosen += [trend(random.uniform(-0.15, 0.3))]
    if random.random() < 0.2:
        chosen += [level_shift(random.uniform(0, days), _between(random, 0.2, 5))]
    return chosen


def crowd(random: Random) -> Ingredient:
    """Crowds of one kind."""
    return crowds(_between(random, 0.2, 8), _between(random, 0.3, 8), _between(random, 4, 90), _between(random, 5, 180))


def _events(kind: str, days: float, random: Random) -> list[Ingredient]:
    chosen: list[Ingredient] = []
    if kind == "bursty":
        size, lasts = _between(random, 0.3, 8), _between(random, 1, 90)
        chosen += [spikes(_between(random, 0.3, 24), size, lasts, _between(random, 0.5, min(10, lasts + 1)))]
    elif random.random() < 0.4:
        chosen += [spikes(_between(random, 0.05, 1), _between(random, 0.3, 3), _between(random, 2, 60))]
    if random.random() < 0.3:
        chosen += [crowd(random)]
    if kind == "queue" and random.random() < 0.7:
        chosen += [on_off(_between(random, 5, 600), _between(random, 5, 900), random.choice([0.0, 0.0, 0.1]))]
    if random.random() < (0.6 if kind == "queue" else 0.25):
        every = float(random.choice([5, 10, 15, 30, 60, 60, 120, 360, 1440, 1440]))
        lasts = _between(random, 1, every / 2)
        chosen += [batch(every, float(random.integers(0, int(every))), lasts, _between(random, 0.2, 10))]
    if random.random() < 0.15:
        at, lasts = random.uniform(0, days), _between(random, 2, 240)
        chosen += [outage(at, lasts, random.choice([0.0, 0.02]), random.uniform(1, 6), _between(random, 3, 60))]
    return chosen
