"""Demand that left the outer band of its forecast: what is listed, kept out of training and shown. Pure values."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class Direction(StrEnum):
    ABOVE = "above"
    BELOW = "below"


class Kind(StrEnum):
    ANOMALY = "anomaly"
    LEVEL_SHIFT = "level_shift"
    """it lasted so long that it is the new level; training keeps it"""


@dataclass(frozen=True, slots=True)
class Anomaly:
    """Some minutes of one trigger's demand, in [since, until), seconds since the epoch."""

    namespace: str
    name: str
    trigger: str
    """the hash of its metadata"""
    since: float
    until: float
    """the end of the last minute outside, so far where it is not over"""
    direction: Direction
    kind: Kind
    largest: float
    """demand where it was furthest outside …"""
    expected: float
    """… the forecast's median for that minute …"""
    bound: float
    """… and the edge of the band that it left"""
    is_over: bool

    @property
    def times(self) -> float | None:
        """The demand over the forecast; None where the forecast was 0."""
        return self.largest / self.expected if self.expected > 0 else None


class Seen(NamedTuple):
    """What this process has seen of a trigger."""

    newest: Anomaly | None = None
    """the last one; under way while it is not over"""
    above: int = 0
    below: int = 0
    """how many there were"""


@dataclass(frozen=True, slots=True)
class AnomaliesAsked:
    """Which of them somebody wants to read, the newest first."""

    since: float
    """those that ended later"""
    limit: int = 1
    after: tuple[float, str, str, str] | None = None
    """since, namespace, name and trigger of the last one that was read"""
    namespace: str = ""
    name: str = ""
    """those of one namespace, or of one ScaledObject; empty for all"""
