"""What describes one exported figure."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


class Unit(StrEnum):
    DEMAND = "the unit of the trigger's query"
    DEMAND_SECONDS = "the unit of the trigger's query, times seconds"
    SECONDS = "seconds"
    EPOCH = "seconds since the epoch"
    YES = "0 or 1"
    SHARE = "share"
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
