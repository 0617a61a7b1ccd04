"""Demand that left the band of its forecast, in words, from a record of `/api/v1/anomalies`. Pure."""

from collections.abc import Mapping
from typing import Any

from scaler.words.numbers import figure

NO_ANOMALY = (
    "no demand was far outside the band of its forecast of 15 minutes before (p5 to p99, and half as far again) in "
    "this time, as far as the scaler has seen"
)


def far_from(demand: float, expected: float) -> str:
    """`3.1 times the forecast`; `12 where 0 was forecast`."""
    return f"{demand / expected:.2g} times the forecast" if expected > 0 else f"{figure(demand)} where 0 was forecast"


def outcome(one: Mapping[str, Any]) -> str:
    """`above`; `below, under way`; `above: a level shift`"""
    if one["kind"] == "level_shift":
        return f"{one['direction']}: a level shift"
    return str(one["direction"]) if one["is_over"] else f"{one['direction']}, under way"
