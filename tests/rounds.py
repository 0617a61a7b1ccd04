"""Durations on a machine that may stop for a second or two."""

from collections.abc import Callable

ROUNDS = 5


def least(measured: Callable[[], float], limit: float) -> float:
    """The first measurement below `limit`, or the least of five: a machine that stops for a moment spoils one of them,
    a fault spoils each."""
    found = measured()
    for _ in range(ROUNDS - 1):
        if found < limit:
            break
        found = min(found, measured())
    return found
