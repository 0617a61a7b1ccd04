"""Which edge of past days explains each forecast. Found once for each edge, before it comes."""

from collections.abc import Sequence

import numpy as np

from scaler.forecast.recurring import LEAST_RISE, is_shown, recurrences
from scaler.pool import Integers
from scaler.recurrence import FROM_NOTHING, Recurrence
from scaler.series import MOSTLY, Floats, PastDays

MOST_SEARCHES = 16
"""of one chunk at a time: all of them take half a millisecond"""


class Explaining:
    """The edges of all triggers of this replica that are about to come, or have just come, by key."""

    def __init__(self) -> None:
        self._found: dict[str, Recurrence] = {}
        self._sought: dict[str, int] = {}
        """minute in which nothing was found, by key"""

    def remove(self, key: str) -> None:
        """Forget `key`."""
        self._found.pop(key, None)
        self._sought.pop(key, None)

    def clear(self) -> None:
        """Forget everything."""
        self._found.clear()
        self._sought.clear()

    def explain(
        self, keys: Sequence[str], past: PastDays, minute_N: Integers, median_N: Floats, share_N: Floats
    ) -> list[Recurrence | None]:
        """The edge of each trigger; None where there is none.

        minute: of local time, now. median: of the coming peak. share: weight of past days in the forecast.
        """
        level_N = past.today_NB[:, -1]
        with np.errstate(divide="ignore", invalid="ignore"):
            rise_N = np.where(median_N > 0, np.minimum(median_N / level_N, FROM_NOTHING), 1.0)
        wanted = np.flatnonzero((share_N >= MOSTLY) & (rise_N >= LEAST_RISE)).tolist()
        self._search([i for i in wanted if self._is_due(keys[i], int(minute_N[i]))], keys, past, minute_N, rise_N)
        return [self._shown(key, minute) for key, minute in zip(keys, minute_N.tolist(), strict=True)]

    def _search(
        self, due: Sequence[int], keys: Sequence[str], past: PastDays, minute_N: Integers, rise_N: Floats
    ) -> None:
        rows = np.asarray(due[:MOST_SEARCHES], np.int64)
        if not len(rows):
            return
        found = recurrences(past.take(rows), minute_N[rows], rise_N[rows])
        for row, one in zip(rows.tolist(), found, strict=True):
            self._sought[keys[row]] = int(minute_N[row])
            if one is not None:
                self._found[keys[row]] = one

    def _is_due(self, key: str, minute: int) -> bool:
        return key not in self._found and self._sought.get(key) != minute

    def _shown(self, key: str, minute: int) -> Recurrence | None:
        found = self._found.get(key)
        if found is not None and not is_shown(found, minute):
            del self._found[key]
            return None
        return found
