"""Scores of the experts from the past of a new trigger."""

import numpy as np
import pytest

from scaler.history.minutes import MinuteMemory, local_minutes
from scaler.history.table import HistoryTable
from scaler.refresh.combining import Combining
from scaler.refresh.rehearsal import EVERY_MINUTES, REHEARSED_MINUTES, moments_of, past_batch
from scaler.series import Blocks, Grid
from tests.refresh.test_combining import AHEAD, BATCH_FROM, DAY, MIDNIGHT, bundle, live, p90, remembering

GRID = Grid()


def rehearsed(until: float) -> Combining:
    """A trigger that was just added, with its past fetched and scored."""
    combining = remembering(until)
    moments = moments_of(until)
    local_N = np.array(moments, np.int64)
    for start in range(0, len(moments), 100):
        part = moments[start : start + 100]
        combining.rehearse("a", [bundle(at) for at in part], local_N[start : start + 100], AHEAD)
    return combining


def test_a_new_trigger_knows_at_once_what_its_schedule_is_worth() -> None:
    """Without a rehearsal the bundle would count until the second batch."""
    soon = MIDNIGHT + 13 * DAY + 60 * (BATCH_FROM - 6)
    made = live(rehearsed(soon - 60), soon, soon)
    assert p90(made) == pytest.approx(1000, rel=0.1)
    assert made.past_share > 0.8
    unrehearsed = live(remembering(soon - 60), soon, soon)
    assert p90(unrehearsed) < 500


def test_a_key_that_is_gone_is_ignored() -> None:
    combining = rehearsed(MIDNIGHT + 13 * DAY)
    combining.remove("a")
    combining.rehearse("a", [bundle(MIDNIGHT)], np.array([int(MIDNIGHT)]), AHEAD)
    combining.rehearse("a", [None], np.array([int(MIDNIGHT)]), AHEAD)


def test_moments_cover_two_days() -> None:
    moments = moments_of(MIDNIGHT + 42)
    assert moments[0] == MIDNIGHT - 60 * REHEARSED_MINUTES
    assert moments[-1] == MIDNIGHT - 60 * EVERY_MINUTES
    assert (np.diff(moments) == 60 * EVERY_MINUTES).all()


@pytest.mark.parametrize("offset", [0, 3600, -7200])
def test_a_bundle_is_passed_what_it_would_have_been_passed_then(offset: int) -> None:
    """The same as the table had at that moment."""
    demand = np.random.default_rng(1).uniform(1, 100, 4 * 1440).astype(np.float32)
    table, memory = HistoryTable(GRID, 60.0), MinuteMemory()
    table.add("a")
    memory.add("a")
    moments = [MIDNIGHT + 60 * 3000, MIDNIGHT + 60 * 3600]
    expected = []
    for minute, value in enumerate(demand.tolist()):
        at = MIDNIGHT + 60 * minute
        table.put(["a"], np.array([value], np.float32), at)
        memory.put(["a"], np.array([value], np.float32), local_minutes(at, np.array([offset])))
        if at in moments:
            expected.append(table.batch(["a"], np.array([offset])))
    blocks: Blocks = table.blocks_of("a")
    found = past_batch("a", memory, blocks, GRID, moments, offset)
    for i, then in enumerate(expected):
        assert found.local_time_N[i] == then.local_time_N[0]
        np.testing.assert_allclose(found.history_NT[i], then.history_NT[0], rtol=1e-3)
        np.testing.assert_allclose(found.long_history_NL2[i], then.long_history_NL2[0], rtol=1e-3)
