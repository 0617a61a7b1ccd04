"""History by the hour: out of blocks and minutes, by the local clock, and for bundles with steps of an hour."""

from pathlib import Path

import numpy as np
import pytest

from scaler.forecast.hourly import PAST_HOURS
from scaler.history.minutes import MinuteMemory
from scaler.refresh.hours import HOUR, PastHours, hours_ahead, in_local_time, of_blocks, of_minutes, past_hours
from scaler.series import Blocks, Forecast, Grid, HistoryBatch, MinuteDay
from scaler.store.sql_store import open_store
from scaler.trigger import Trigger, TriggerRules, parse_trigger

END = 1_800_000_000.0 // HOUR * HOUR


def trigger(zone: str = "UTC") -> Trigger:
    return parse_trigger("shop", "web", {"query": "a", "threshold": "1", "timezone": zone}, TriggerRules("http://p"))


def blocks(values: np.ndarray, end: float = END) -> Blocks:
    starts = end - 900.0 * np.arange(len(values), 0, -1)
    return Blocks(starts, values.astype(np.float32), values.astype(np.float32))


def test_four_blocks_are_an_hour() -> None:
    """Of an hour with one block of four nothing is known; blocks after the last full hour are left out."""
    found = of_blocks(blocks(np.array([9.0, 1.0, 2.0, 3.0, 6.0])), END)
    assert found[-1] == 3.0
    assert np.isnan(found[:-1]).all()
    later = of_blocks(blocks(np.array([1.0, 2.0, 3.0, 6.0, 50.0]), END + 900), END)
    assert later[-1] == 3.0


def test_half_an_hour_of_minutes_is_an_hour() -> None:
    minutes = np.full(180, 4.0, np.float32)
    minutes[:31] = np.nan
    minutes[60:90] = np.nan
    found = of_minutes(minutes)
    assert np.isnan(found[-3])
    assert found[-2:].tolist() == [4.0, 4.0]


def test_the_local_clock_counts() -> None:
    """Berlin sets its clocks back on 25 October 2026: of two hours from 2 to 3, the later one counts."""
    end = 1_792_900_800.0  # 2026-10-25 04:00 UTC, 05:00 in Berlin
    mean = np.arange(PAST_HOURS, dtype=np.float32)
    local, newest = in_local_time(PastHours(end, mean, ""), "Europe/Berlin")
    assert newest % 24 == 4
    assert local[-3:].tolist() == [PAST_HOURS - 3, PAST_HOURS - 2, PAST_HOURS - 1]
    assert len(local) == PAST_HOURS - 1


class Hourly:
    """A bundle with steps of an hour: what it was given, and as many steps as it is asked for."""

    model = "hourly@1"
    grid = Grid(3600, 48, 7200, 24)
    needed_seconds = 3600.0

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.batch: HistoryBatch | None = None

    def forecast(self, batch: HistoryBatch) -> list[Forecast | None]:
        self.batch = batch
        quantiles = np.tile(np.array([1.0, 5.0, 9.0], np.float32), (self.steps, 1))
        return [Forecast(batch.end, 3600.0, (0.1, 0.5, 0.9), quantiles, (), None, self.model)]


def test_a_bundle_by_the_hour_comes_first() -> None:
    """Where it reaches so far; its history is means by the hour, and of two hours aligned to the clock."""
    past = PastHours(END, np.arange(PAST_HOURS, dtype=np.float32), "minutes")
    short, far = Hourly(24), Hourly(168)
    made = hours_ahead(past, trigger("Asia/Tokyo"), 168, (short, far))
    assert (made.basis, made.quantiles_HQ.shape) == ("hourly@1", (168, 4))
    assert made.quantiles_HQ[0].tolist() == [1.0, 5.0, 9.0, 9.0]
    assert far.batch is not None
    assert far.batch.history_NT[0].tolist() == list(range(PAST_HOURS - 48, PAST_HOURS))
    over = int(END // HOUR) % 2
    assert far.batch.long_history_NL2[0, -1].tolist() == [PAST_HOURS - 1.5 - over, PAST_HOURS - 1 - over]
    assert far.batch.local_time_N.tolist() == [int(END) + 9 * 3600]
    assert "newest hour" in hours_ahead(past, trigger(), 168, (short,)).basis


@pytest.mark.parametrize("kept", ["blocks", "minutes"])
async def test_the_store_knows_what_another_replica_refreshes(tmp_path: Path, kept: str) -> None:
    """Blocks of four weeks, or days of minutes; what the database lacks is not known."""
    store = open_store(None, tmp_path)
    one = trigger()
    try:
        if kept == "blocks":
            every = blocks(np.repeat(np.arange(240.0), 4))
            await store.save_blocks({one.history_key: every}, 900, 0.0)
            found = await past_hours(None, MinuteMemory(), store, one, END + 1800)
            assert found.mean_P[-240:].tolist() == list(range(240))
            assert np.isnan(found.mean_P[:-240]).all()
        else:
            day = int(END // 86400) - 1
            await store.save_minutes([MinuteDay(one.history_key, "UTC", day, np.full(1440, 7.0, np.float32), 1440)])
            found = await past_hours(None, MinuteMemory(), store, one, END + 1800)
            assert np.isfinite(found.mean_P).sum() == 24
            assert set(found.mean_P[np.isfinite(found.mean_P)].tolist()) == {7.0}
            assert found.source == "minutes"
    finally:
        await store.close()
