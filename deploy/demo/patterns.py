"""Demand of the demo service over time: daily, weekly, spiky, office, recorded. All are functions of the moment alone.

The load generator follows them, and past_demand.py writes the history that they would have left.
"""

import csv
import gzip
import math
import random
from collections.abc import Callable, Mapping
from pathlib import Path

Shape = Callable[[float], float]
"""the share of the peak, 0 to 1, by the days since some Monday 0:00 UTC"""

SPIKES_PER_DAY = 3
SPIKE_DAYS = 1 / 48
MONDAY = 3
"""days from a Monday to 1 January 1970, a Thursday"""
RECORDED_SERIES = "web_requests"
RECORDING_START = 4 / 24
"""the recording begins on a Monday at 4:00 UTC"""
MINUTES_PER_DAY = 1440


def daily(days: float) -> float:
    """Least at midnight, most at noon."""
    return 0.15 + 0.85 * math.sin(math.pi * (days % 1)) ** 2


def weekly(days: float) -> float:
    """The same with a quieter weekend."""
    return daily(days) * (0.5 if days % 7 >= 5 else 1)


def spiky(days: float) -> float:
    """A weekly pattern at half the height, with three short spikes a day at times that nobody can know."""
    slot = math.floor(days * SPIKES_PER_DAY)
    start = (slot + random.Random(slot).uniform(0, 1 - SPIKES_PER_DAY * SPIKE_DAYS)) / SPIKES_PER_DAY
    progress = (days - start) / SPIKE_DAYS
    height = math.sin(math.pi * progress) if 0 < progress < 1 else 0
    return 0.5 * weekly(days) + 0.5 * height


def office(days: float) -> float:
    """Low at night, high in the day, and an hour for each change: what comes all at once in the morning."""
    hours = 24 * (days % 1)
    return 0.2 + 0.8 * min(1, max(0, min(hours - 8, 18 - hours)))


def recorded(path: Path) -> Shape:
    """The requests of a web server in 1995, over and over; `path` is the workloads.csv.gz of `headway demo`."""
    with gzip.open(path, "rt", newline="") as file:
        rows = [row["value"] for row in csv.DictReader(file) if row["series"] == RECORDED_SERIES]
    values: list[float] = []
    for value in rows:
        values.append(float(value) if value else values[-1])
    most = max(values)

    def share(days: float) -> float:
        minute = math.floor((days - RECORDING_START) * MINUTES_PER_DAY)
        return values[minute % len(values)] / most

    return share


SHAPES: Mapping[str, Shape] = {"daily": daily, "weekly": weekly, "spiky": spiky, "office": office}


def demand(moment: float, shape: Shape = weekly, peak: float = 100, day: float = 86_400) -> float:
    """Requests per second at `moment` (seconds since the epoch), where a day takes `day` seconds."""
    return peak * shape(moment / day + MONDAY)


def demand_of(environment: Mapping[str, str]) -> Callable[[float], float]:
    """The demand that the variables PATTERN, PEAK (requests per second), DAY_SECONDS and, for `recorded`, RECORDING
    describe. Raises ValueError naming the variable."""
    name = environment.get("PATTERN", "weekly")
    if name == "recorded":
        shape = recorded(_file(environment, "RECORDING", "workloads.csv.gz"))
    elif name in SHAPES:
        shape = SHAPES[name]
    else:
        raise ValueError(f"PATTERN={name}: must be {', '.join(SHAPES)} or recorded")
    peak, day = positive(environment, "PEAK", 100), positive(environment, "DAY_SECONDS", 86_400)
    return lambda moment: demand(moment, shape, peak, day)


def positive(environment: Mapping[str, str], name: str, default: float) -> float:
    """The number in that variable. Raises ValueError unless it is a number above 0."""
    text = environment.get(name, str(default))
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name}={text}: must be a number above 0")
    return value


def _file(environment: Mapping[str, str], name: str, default: str) -> Path:
    path = Path(environment.get(name, default))
    if not path.is_file():
        raise ValueError(f"{name}={path}: must be an existing file")
    return path
