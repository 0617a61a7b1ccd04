"""How far the clocks of time zones are ahead of UTC."""

from collections.abc import Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

QUARTER_SECONDS = 900.0
"""offsets change at full quarters of an hour only"""


def utc_offset_seconds(timezone: str, at: float) -> int:
    """How far the clock of an IANA zone is ahead of UTC at the moment `at`."""
    if timezone == "UTC":
        return 0
    offset = datetime.fromtimestamp(at, UTC).astimezone(ZoneInfo(timezone)).utcoffset()
    return int(offset.total_seconds()) if offset is not None else 0


def utc_offsets(timezones: Sequence[str], at: float) -> NDArray[np.int64]:
    """As `utc_offset_seconds`, of many zones at one moment [N]."""
    offsets = {zone: utc_offset_seconds(zone, at) for zone in set(timezones)}
    return np.fromiter((offsets[zone] for zone in timezones), np.int64, len(timezones))


def utc_offsets_at(timezone: str, moments_S: NDArray[np.float64]) -> NDArray[np.int64]:
    """As `utc_offset_seconds`, of one zone at many moments [S]."""
    quarter_S, which_S = np.unique(np.floor(moments_S / QUARTER_SECONDS), return_inverse=True)
    offsets = [utc_offset_seconds(timezone, quarter * QUARTER_SECONDS) for quarter in quarter_S.tolist()]
    return np.array(offsets, np.int64)[which_S]


def first_moment(timezone: str, local_time: float) -> float:
    """When the clock of an IANA zone first shows a time. local_time: seconds from the epoch of local time."""
    return datetime.fromtimestamp(local_time, UTC).replace(tzinfo=ZoneInfo(timezone)).timestamp()
