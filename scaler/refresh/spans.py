"""Which stretches of the past are still to be fetched. Pure.

A span is (first, last): the moments after `first`, up to `last`, in seconds since the epoch.
"""

from collections.abc import Iterable
from typing import TypeAlias

from scaler.refresh.local_time import first_moment
from scaler.series import DAY_MINUTES, MinuteDay

Span: TypeAlias = tuple[float, float]


def span_of(day: MinuteDay) -> Span:
    """What need not be fetched any more of a stored day."""
    midnight = day.day * DAY_MINUTES
    first, last = (first_moment(day.zone, 60.0 * (minute - 1)) for minute in (midnight, midnight + day.complete))
    return first, last


def joined(spans: Iterable[Span]) -> list[Span]:
    """The same moments in as few spans as possible, ascending."""
    found: list[Span] = []
    for first, last in sorted(spans):
        if found and first <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], last)
        elif first < last:
            found.append((first, last))
    return found


def missing(known: Iterable[Span], wanted: Span, longest: float) -> list[Span]:
    """The rest of `wanted`, the newest first, in spans of at most `longest` seconds."""
    start, end = wanted
    found: list[Span] = []
    for first, last in [*reversed(joined(known)), (start, start)]:
        while end > max(last, start):
            begin = max(last, start, end - longest)
            found.append((begin, end))
            end = begin
        end = min(end, first)
    return found
