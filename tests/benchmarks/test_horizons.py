"""benchmarks/horizons.py: what it cuts out of a recording, and how it scores."""

from pathlib import Path

import numpy as np
import pytest
from horizons import DAY, LEVELS, WEEK, Window, by_the_hour, scored, windows_of

from scaler.history.traces import Trace


def test_hours_are_means_and_begin_at_the_hour() -> None:
    """Of 15-minute steps from a quarter past on, the first full hour is the next one."""
    values = np.array([9, 9, 9, 1, 2, 3, 6, np.nan, np.nan, np.nan, 5], np.float32)
    first, hours = by_the_hour(Trace("a", "", 3600.0 * 10 + 900, 900.0, values))
    assert first == 11
    assert hours[0] == 3.0
    assert np.isnan(hours[1:]).all()


def test_a_perfect_forecast_loses_nothing() -> None:
    came = np.arange(1.0, WEEK + 1)
    window = Window("a", 0, came, came)
    found = scored(window, np.tile(came[:, None], (1, len(LEVELS))))
    assert {name: (one["loss"], one["p90"]) for name, one in found.items()} == {"24 h": (0.0, 1.0), "7 d": (0.0, 1.0)}
    low = scored(window, np.tile(came[:, None] - 1, (1, len(LEVELS))))["24 h"]
    assert low["p90"] == 0.0
    assert low["loss"] == pytest.approx(np.mean(LEVELS) / came.mean())


def test_windows_do_not_see_their_future(tmp_path: Path) -> None:
    """The past of each ends where its week begins."""
    rows = [f"a,{np.datetime64(0, 's') + 3600 * hour}Z,{hour},requests" for hour in range(24 * 60)]
    file = tmp_path / "one.csv"
    file.write_text("\n".join(["series,timestamp,value,unit", *rows]) + "\n")
    found = list(windows_of([file], series=1, windows=2))
    assert [one.past_P[-1] + 1 for one in found] == [one.came_A[0] for one in found]
    assert [one.newest for one in found] == [one.past_P[-1] for one in found]
    assert found[0].came_A[-1] == 24 * 60 - 1
    assert found[0].newest - found[1].newest == 9 * DAY + 7
