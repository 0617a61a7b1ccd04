"""A moment as people write it: ISO 8601, a time of the day, how long ago, or seconds since the epoch. Pure."""

import math
import re
from datetime import datetime, timedelta, tzinfo

from scaler.trigger.values import Refused, duration

RULE = "must be a time of the day (02:31), an ISO 8601 time (2026-11-29T02:31), or how long ago (2h)"
LATEST = 2e10
"""seconds since the epoch; a moment is below it"""
_TIME = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9]))?")
_SECONDS = re.compile(r"[0-9]{6,11}(\.[0-9]{1,6})?")
_ago = duration(0.0, 366 * 86400.0)


def moment_in(text: str, now: float, zone: tzinfo) -> float:
    """Seconds since the epoch. A time of the day is the last one that has passed in `zone`; an ISO time without offset
    is one of `zone`. Raises ValueError where the text is none of all these."""
    if _SECONDS.fullmatch(text):
        return _possible(float(text))
    if found := _TIME.fullmatch(text):
        return _last(int(found[1]), int(found[2]), int(found[3] or 0), datetime.fromtimestamp(now, zone))
    try:
        return now - _ago(text)
    except Refused:
        pass
    moment = datetime.fromisoformat(text[:40])
    try:
        return _possible((moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)).timestamp())
    except OverflowError as error:
        raise ValueError(text) from error


def is_absolute(text: str) -> bool:
    """Whether it names the same moment at any time, in any zone: seconds since the epoch."""
    return _SECONDS.fullmatch(text) is not None


def _last(hour: int, minute: int, second: int, local_now: datetime) -> float:
    today = local_now.replace(hour=hour, minute=minute, second=second, microsecond=0, fold=0)
    if today.timestamp() > local_now.timestamp():
        today -= timedelta(days=1)
    return today.timestamp()


def _possible(moment: float) -> float:
    if not (math.isfinite(moment) and 0 <= moment < LATEST):
        raise ValueError(moment)
    return moment
