"""The matrix of faults: what it counts, and that it notices a scaler that answers too little."""

import asyncio
import json
import random
from collections import Counter
from datetime import date
from pathlib import Path

import httpx
import pytest
from faults.__main__ import ALONE, FAMILIES, LANES
from faults.bystander import SLOW, called, named
from faults.demand import PERIOD_SECONDS, demand, least, reactive_need
from faults.keda import ScaledObject
from faults.kills import killed_writer
from faults.neighbours import neighbours
from faults.prometheus_faults import QUICK, cases
from faults.record import Answer, Injection, Row, Watch, fill, longest_gap, recovery
from faults.report import page, targets, totals
from faults.wire import Mode, Wire
from faults.writer import missing

from scaler.commands.check.keda_client import Call, OurTrigger
from tests.servers.front import Instead, front

START = 1_800_000_000.0


def watch(numbers: list[float | None], rung: str = "", mode: str = "predictive", rpc: str = "GetMetrics") -> Watch:
    """A watch that got these numbers, one a second, where the need was 1000."""
    made = Watch(OurTrigger(0, "bystander", "orders", {"mode": mode}), list)
    for second, number in enumerate(numbers):
        status = "OK" if number is not None else "UNAVAILABLE"
        made.answers.append(Answer(START + second, START + second + 0.1, rpc, status, number, 1000.0, rung))
    return made


def row_of(*watches: Watch, until: float = 10.0) -> Row:
    return fill(Row("family", "fault", 1), watches, [Injection(START, START + 5)], START + until)


def test_the_demand_is_a_staircase():
    """What the query computes, and the least of a span that covers the fall."""
    begin = START - START % PERIOD_SECONDS
    assert [demand(begin + at) for at in (0, 9.9, 10, 125)] == [1000, 1000, 1100, 2200]
    assert least(begin + 120, begin + PERIOD_SECONDS + 1) == 1000
    assert reactive_need(begin + 60, begin + 60) == demand(begin + 60 - 23)


def test_half_the_demand_is_noticed():
    """Answers below the need are counted, with the worst of them and an example."""
    row = row_of(watch([1000.0, 500.0, 900.0, 1100.0]))
    assert (row.below_need, row.worst_below) == (2, 0.5)
    assert row.examples[0].startswith("500 for 1000")
    (missed,) = [one for one in targets(totals([row], 1)) if "below the reactive need" in one.name]
    assert not missed.met


def test_a_quick_run_is_not_too_short():
    """A few faults are what it is for; a full run wants hundreds."""
    figures = totals([row_of(watch([1000.0]))], 1)
    assert [targets(figures, quick)[0].met for quick in (True, False)] == [True, False]


def test_a_forecast_without_an_observation_is_shown_apart():
    """Below the need, but not while an observation is fresh."""
    row = row_of(watch([800.0], rung="forecast_alone"))
    assert (row.below_need, row.forecast_below) == (0, pytest.approx(0.2))


def test_zeros_and_inactivity_are_made_up():
    """There is demand at every moment."""
    row = row_of(watch([0.0]), watch([0.0, 1.0], rpc="IsActive"))
    assert (row.made_up_zeros, row.inactive) == (1, 1)
    assert totals([row], 1)["made_up_zeros"] == 2


def test_times_without_an_answer():
    """From the last good answer to the next, by mode; errors are no answers."""
    assert row_of(watch([1000.0, None, None, None, 1000.0]), until=5).longest_without_seconds == 4
    assert row_of(watch([None] * 5, mode="reactive"), until=5).longest_without_reactive_seconds == 5
    assert longest_gap([], 1, 4) == 3


def test_recovery_is_the_last_bad_answer_after_the_end():
    """Each injection has the time until the next one."""
    values = watch([1000.0] * 5 + [None, None, 1000.0]).answers
    assert recovery(values, [Injection(START, START + 5)], START + 10) == pytest.approx(1.1)
    assert recovery(values[:5], [Injection(START, START + 5)], START + 10) == 0


def test_the_page_states_what_was_missed():
    """A missed target is bold, and what was left out is listed."""
    good, bad = row_of(watch([1000.0])), row_of(watch([400.0, None]))
    bad.errors = Counter({"UNAVAILABLE": 3, "IsActive UNAVAILABLE": 2})
    text = page([good, bad], ["DST: no library"], date(2027, 1, 2), 22.5)
    assert "2027-01-02" in text
    assert "**1** (missed)" in text
    assert "| **1, 60%** |" in text
    assert "UNAVAILABLE 5" in text
    assert "* DST: no library" in text[: text.index("## The matrix")], "beside the figures"
    json.dumps({"summary": totals([good, bad], 60), "rows": [vars(good), vars(bad)]})


def test_acknowledged_rows_survive_a_kill(tmp_path: Path):
    """A process that writes SQLite is killed; a row that was never written counts as lost."""
    written = killed_writer(str(tmp_path), 1, random.Random(1))
    assert written
    checked, lost = asyncio.run(missing(str(tmp_path), written))
    assert (checked > 0, lost) == (True, 0)
    empty = tmp_path / "empty"
    empty.mkdir()
    assert asyncio.run(missing(str(empty), written)) == (checked, checked)


class Caller:
    """A client of a scaler that is there, or is not."""

    def __init__(self) -> None:
        self.there = True
        self.value = 1500.0

    def metric_spec(self, trigger: OurTrigger, phase: str) -> Call:
        return self._call("GetMetricSpec", 100.0)

    def metrics(self, trigger: OurTrigger, name: str, phase: str) -> Call:
        return self._call("GetMetrics", self.value)

    def _call(self, rpc: str, number: float) -> Call:
        if self.there:
            return Call(rpc, 0, "", 1.0, "", number=number)
        return Call(rpc, 0, "", 1.0, "", "UNAVAILABLE", "failed to connect to all addresses")


@pytest.mark.parametrize(
    ("keeps_specs", "other", "replicas"),
    [(False, 3000.0, 15), (True, 3000.0, 30), (False, None, 15), (True, None, 20)],
    ids=["today, two triggers", "proposed, two triggers", "today, alone", "proposed, alone"],
)
def test_what_keda_does_without_a_scaler(keeps_specs: bool, other: float | None, replicas: int):
    """Today nothing scales; with kept specs the other trigger does, or the fallback acts."""
    caller = Caller()
    ours = OurTrigger(0, "shop", "web", {})
    read = None if other is None else lambda: 1000.0 if caller.there else other
    made = ScaledObject(ours, lambda: caller, read, keeps_specs)
    for _ in range(5):
        made.once()
    assert made.replicas == 15
    caller.there = False
    for _ in range(10):
        made.once()
    assert made.replicas == replicas


@pytest.mark.parametrize("mode", [mode for mode in Mode if mode not in (Mode.TRICKLE, Mode.HOLD)])
def test_a_wire_breaks_as_it_says(tmp_path: Path, mode: Mode):
    """While it is broken no whole answer comes through; before and after, one does."""
    with front("http://127.0.0.1:9") as server, Wire(int(server.url.rpartition(":")[2])).running() as wire:
        server.rules.append(lambda _: Instead(b"x" * 1000))
        url = f"http://127.0.0.1:{wire.port}/"

        def whole() -> bool:
            try:
                return len(httpx.get(url, timeout=5, trust_env=False).content) == 1000
            except httpx.HTTPError:
                return False

        assert whole()
        with wire.broken(mode):
            assert whole() is (mode is Mode.PASS)
        assert whole()


def test_every_family_is_in_one_lane():
    """None is forgotten, and the faults of quick runs exist."""
    assert sorted([*ALONE, *(name for lane in LANES for name in lane)]) == sorted(FAMILIES)
    names = [case.name for case in cases()]
    assert len(set(names)) == len(names)
    assert all(any(name.startswith(start) for name in names) for start in QUICK)


def test_each_neighbour_has_a_figure_of_its_own():
    """Names of figures differ, and the one that the step of demand is measured beside is among them."""
    tried = neighbours(quick=False)
    assert len({named(one) for one in tried}) == len(tried)
    assert [one.name for one in tried].count(SLOW) == 1


def test_a_failing_call_of_the_bystander_ends_its_benchmark():
    """A refused call is quick; counted as a time it would make the figure better."""
    with pytest.raises(RuntimeError, match="UNAVAILABLE"):
        called("127.0.0.1:9", b"", seconds=1)
