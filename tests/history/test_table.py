"""The table against a slow, obvious reference, and the figures it promises."""

import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaler.history.grid import Slots
from scaler.history.page import ROWS
from scaler.history.table import HistoryTable
from scaler.series import Blocks, Grid, Samples

GRID = Grid(step_seconds=60, steps=70, coarse_seconds=360, coarse_steps=6)
SLOT = 15.0
START = 1_700_000_100.0
NAN = float("nan")


class Reference:
    """One trigger's history in dictionaries that forget nothing; the windows are applied when reading."""

    def __init__(self, grid: Grid, slot_seconds: float, at: float) -> None:
        self.grid, self.slot_seconds = grid, slot_seconds
        self.per_step = round(grid.step_seconds / slot_seconds)
        self.per_block = round(grid.coarse_seconds / slot_seconds)
        self.rolling = min(grid.steps, 3600 // grid.step_seconds)
        self.now = self.slot(at)
        self.slots: dict[int, float] = {}
        self.steps: dict[int, float] = {}
        self.blocks: dict[int, tuple[float, float]] = {}

    def slot(self, moment: float) -> int:
        return math.floor(moment / self.slot_seconds)

    def step(self, slot: int) -> int:
        return math.ceil(slot / self.per_step)

    def last_block(self) -> int:
        return self.now // self.per_block - 1

    def last_in_step(self, step: int) -> float | None:
        for slot in range(step * self.per_step, (step - 1) * self.per_step, -1):
            if slot in self.slots and slot > self.now - self.rolling * self.per_step:
                return self.slots[slot]
        return None

    def complete(self, block: int, overwrite: bool = True) -> None:
        per_block = self.per_block // self.per_step
        known = [self.steps[s] for s in range(block * per_block + 1, (block + 1) * per_block + 1) if s in self.steps]
        if 2 * len(known) >= per_block and (overwrite or block not in self.blocks):
            self.blocks[block] = (float(np.float32(sum(known) / len(known))), max(known))

    def advance(self, at: float) -> None:
        old = self.last_block()
        self.now = max(self.now, self.slot(at))
        for block in range(old + 1, self.last_block() + 1):
            self.complete(block)

    def put(self, value: float, at: float) -> None:
        self.advance(at)
        slot = self.slot(at)
        if math.isnan(value) or slot <= self.now - self.rolling * self.per_step:
            return
        self.slots[slot] = value
        known = self.last_in_step(self.step(slot))
        assert known is not None
        self.steps[self.step(slot)] = known
        block = math.ceil(slot / self.per_block) - 1
        if block <= self.last_block():
            self.complete(block)

    def backfill(self, samples: list[tuple[float, float]], hold_seconds: float) -> None:
        hold = math.floor(hold_seconds / self.slot_seconds)
        placed = [(self.slot(t), v) for t, v in samples if self.slot(t) <= self.now]
        for slot in range(self.now - self.rolling * self.per_step + 1, self.now + 1):
            fitting = [v for s, v in placed if s <= slot <= s + hold]
            if fitting:
                self.slots.setdefault(slot, fitting[-1])
        newest = self.step(self.now)
        oldest = newest - self.grid.steps - self.per_block // self.per_step
        for step in range(oldest, newest + 1):
            first, last = (step - 1) * self.per_step + 1, min(step * self.per_step, self.now)
            fitting = [v for s, v in placed if s <= last and s + hold >= first]
            if fitting:
                self.steps.setdefault(step, fitting[-1])
        if placed:
            per_block = self.per_block // self.per_step
            for block in range(math.ceil((oldest - 1) / per_block), self.last_block() + 1):
                self.complete(block, overwrite=False)

    def backfill_blocks(self, blocks: list[tuple[int, float, float]]) -> None:
        for number, mean, peak in blocks:
            if self.last_block() - self.grid.coarse_steps < number <= self.last_block():
                self.blocks.setdefault(number, (mean, peak))

    def fine(self) -> list[float]:
        aligned = self.now // self.per_step
        older = [self.steps.get(aligned - back, NAN) for back in range(self.grid.steps - 1, self.rolling - 1, -1)]
        recent = []
        for back in range(self.rolling - 1, -1, -1):
            window = range(self.now - back * self.per_step, self.now - (back + 1) * self.per_step, -1)
            recent.append(next((self.slots[slot] for slot in window if slot in self.slots), NAN))
        return older + recent

    def coarse(self) -> list[tuple[float, float]]:
        wanted = range(self.last_block() - self.grid.coarse_steps + 1, self.last_block() + 1)
        return [self.blocks.get(block, (NAN, NAN)) for block in wanted]


VALUES = st.floats(0, 1000, width=32)
TICKS = st.tuples(st.just("tick"), st.one_of(st.just(1), st.integers(1, 400)), st.one_of(VALUES, st.just(NAN)))
LATE = st.tuples(st.just("late"), st.integers(0, 300), VALUES)
SAMPLES = st.tuples(
    st.just("samples"),
    st.lists(st.tuples(st.integers(-30, 6000), VALUES), max_size=30, unique_by=lambda pair: pair[0]),
    st.sampled_from([0.0, 15.0, 60.0, 300.0]),
)
BLOCKS = st.tuples(
    st.just("blocks"),
    st.lists(st.tuples(st.integers(-2, 8), VALUES, VALUES), max_size=6, unique_by=lambda three: three[0]),
    st.none(),
)


def _apply(table: HistoryTable, reference: Reference, event: tuple, at: float) -> float:
    kind, what, extra = event
    if kind == "tick":
        at += what * SLOT
        table.advance(at)
        table.put(["a"], np.array([extra], np.float32), at)
        reference.put(extra, at)
        reference.advance(at)
    elif kind == "late":
        table.put(["a"], np.array([extra], np.float32), at - what * SLOT)
        reference.put(extra, at - what * SLOT)
    elif kind == "samples":
        pairs = sorted((at - back, value) for back, value in what)
        times, values = np.array([t for t, _ in pairs]), np.array([v for _, v in pairs], np.float32)
        table.backfill("a", Samples(times, values), extra)
        reference.backfill(pairs, extra)
    else:
        last = reference.last_block()
        found = sorted((last - back, mean, peak) for back, mean, peak in what)
        starts = np.array([n * float(GRID.coarse_seconds) for n, _, _ in found])
        means, peaks = (np.array([three[i] for three in found], np.float32) for i in (1, 2))
        table.backfill_blocks("a", Blocks(starts, means, peaks))
        reference.backfill_blocks(found)
    return at


@settings(max_examples=300, deadline=None)
@given(
    offset=st.integers(0, 400),
    events=st.lists(st.one_of(TICKS, TICKS, TICKS, LATE, SAMPLES, BLOCKS), min_size=1, max_size=40),
)
def test_the_table_agrees_with_the_reference(offset: int, events: list[tuple]) -> None:
    """Whatever comes - gaps, skipped ticks, late values, backfills, wrap-around - both tell the same history."""
    at = START + offset
    table = HistoryTable(GRID, SLOT)
    table.advance(at)
    table.add("other")
    table.add("a")
    reference = Reference(GRID, SLOT, at)
    for event in events:
        at = _apply(table, reference, event, at)
        batch = table.batch(["a", "other"], np.array([3600, 0]))
        np.testing.assert_array_equal(batch.history_NT[0], np.array(reference.fine(), np.float32))
        np.testing.assert_allclose(
            batch.long_history_NL2[0], np.array(reference.coarse(), np.float32), rtol=1e-6, atol=1e-30
        )
        assert np.isnan(batch.history_NT[1]).all()
    assert batch.end == at
    assert batch.local_time_N[0] == math.floor(at) + 3600


@settings(max_examples=100, deadline=None)
@given(events=st.lists(st.one_of(TICKS, SAMPLES, BLOCKS), min_size=1, max_size=40))
def test_peaks_lie_between_what_is_kept_and_what_was_ever_seen(events: list[tuple]) -> None:
    """The recent peak is that of the last slots; the whole peak covers what a batch shows and invents nothing."""
    at = START
    table, reference = HistoryTable(GRID, SLOT), Reference(GRID, SLOT, START)
    table.advance(at)
    table.add("a")
    for event in events:
        at = _apply(table, reference, event, at)
        recent = [reference.slots[s] for s in range(reference.now - 59, reference.now + 1) if s in reference.slots]
        assert table.recent_peak(["a"], 900)[0] == (max(recent) if recent else pytest.approx(NAN, nan_ok=True))
        peak = float(table.history_peak(["a"])[0])
        shown = [v for v in [*reference.fine(), *(peak for _, peak in reference.coarse())] if not math.isnan(v)]
        ever = [*reference.slots.values(), *reference.steps.values(), *(peak for _, peak in reference.blocks.values())]
        if shown:
            assert max(shown) <= peak <= max(ever)


def test_a_forgotten_peak_stops_counting() -> None:
    """What has fallen out of every ring is no longer the peak once a block has ended."""
    table = HistoryTable(GRID, SLOT)
    table.advance(START)
    table.add("a")
    table.put(["a"], np.array([500], np.float32), START)
    assert table.history_peak(["a"])[0] == 500
    later = START + 86400
    table.put(["a"], np.array([3], np.float32), later)
    assert table.history_peak(["a"])[0] == 3


def test_newest_is_the_last_value_with_its_own_moment() -> None:
    """Not rounded to a slot, not moved by missing values, and NaN for a key that nothing is known of."""
    table = HistoryTable(GRID, SLOT)
    for key in ("a", "b"):
        table.add(key)
    table.put(["a"], np.array([7], np.float32), START + 4.5)
    table.put(["a", "b"], np.array([NAN, NAN], np.float32), START + 30)
    (at, value), nothing, gone = table.newest(["a", "b", "gone"])
    assert (at, value) == (START + 4.5, 7)
    assert all(math.isnan(x) for x in (*nothing, *gone))


def test_rows_come_and_go_without_leaking_history_or_memory() -> None:
    """A row is empty when it is taken again; pages are given back when their last row goes."""
    tracemalloc.start()
    table = HistoryTable(GRID, SLOT)
    table.advance(START)
    keys = [f"key{i}" for i in range(3 * ROWS)]
    for key in keys:
        table.add(key)
    table.put(keys, np.arange(len(keys), dtype=np.float32), START)
    full = tracemalloc.get_traced_memory()[0]
    assert full >= 3 * ROWS * table.bytes_per_trigger
    for key in keys[:-1]:
        table.remove(key)
    assert tracemalloc.get_traced_memory()[0] <= full - 2 * ROWS * table.bytes_per_trigger
    tracemalloc.stop()
    assert len(table) == 1
    table.add("new")
    assert np.isnan(table.batch(["new"], np.zeros(1, np.int64)).history_NT).all()
    assert table.batch(keys[-1:], np.zeros(1, np.int64)).history_NT[0, -1] == len(keys) - 1


def test_a_removed_key_is_unknown_in_a_batch_and_ignored_in_a_put() -> None:
    """A trigger that goes while a refresh is under way disturbs nobody."""
    table = HistoryTable(GRID, SLOT)
    for key in ("a", "b"):
        table.add(key)
    table.remove("a")
    table.put(["a", "b"], np.array([1, 2], np.float32), START)
    batch = table.batch(["a", "b"], np.zeros(2, np.int64))
    assert np.isnan(batch.history_NT[0]).all()
    assert batch.history_NT[1, -1] == 2


def test_coverage_counts_what_is_known() -> None:
    """Steps and blocks that are known."""
    table = HistoryTable(GRID, SLOT)
    table.advance(START)
    table.add("a")
    times = START - 60.0 * np.arange(20)[::-1]
    table.backfill("a", Samples(times, np.ones(20, np.float32)), hold_seconds=60)
    found = table.coverage("a")
    assert (found.steps, found.blocks) == (20, 3)


def test_a_default_trigger_costs_28_kilobytes() -> None:
    """The figure that the documentation states."""
    assert 27_000 < HistoryTable(Grid(), SLOT).bytes_per_trigger < 29_000


@pytest.mark.parametrize(
    ("grid", "slot_seconds", "rule"),
    [(Grid(), 25.0, "multiple"), (Grid(), 0.0, "multiple"), (Grid(coarse_seconds=100), 15.0, "coarse_seconds=100")],
)
def test_slots_that_do_not_divide_the_grid_are_refused(grid: Grid, slot_seconds: float, rule: str) -> None:
    """The error names the figure and the rule."""
    with pytest.raises(ValueError, match=rule):
        Slots(grid, slot_seconds)


def test_after_a_long_silence_nothing_is_known() -> None:
    """A month without a tick leaves no value behind that stands in a column of its own age."""
    table = HistoryTable(Grid(), SLOT)
    table.advance(START)
    table.add("a")
    table.put(["a"], np.array([1], np.float32), START)
    table.advance(START + 30 * 86400)
    assert np.isnan(table.batch(["a"], np.zeros(1, np.int64)).history_NT).all()
