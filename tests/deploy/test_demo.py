"""The demo service's replicas and the demand on it, moment by moment."""

import math
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.demo.fleet import Autoscaler, Fleet, Queue
from deploy.demo.patterns import SHAPES, daily, demand, demand_of, office, recorded, spiky, weekly

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "deploy" / "demo"
RECORDING = ROOT / "scaler" / "commands" / "demo" / "data" / "workloads.csv.gz"
MONDAY_NOON = 1_760_356_800  # 13 October 2025
FORTNIGHT = [step / 288 for step in range(14 * 288)]


@pytest.mark.parametrize("name", [*SHAPES, "recorded"])
def test_a_shape_is_a_share_of_the_peak(name: str):
    """Within 0 and 1, high at some moment, low at another, and the same again when asked again."""
    shape = recorded(RECORDING) if name == "recorded" else SHAPES[name]
    values = [shape(days) for days in FORTNIGHT]
    assert 0 <= min(values) <= 0.2
    assert 0.7 < max(values) <= 1
    assert values == [shape(days) for days in FORTNIGHT]


def test_days_are_those_of_the_calendar():
    """Noon is the peak, midnight the least, and Saturday is half a Monday."""
    assert demand(MONDAY_NOON, daily, peak=80) == pytest.approx(80)
    assert demand(MONDAY_NOON + 43_200, daily, peak=100) == pytest.approx(15)
    assert demand(MONDAY_NOON + 5 * 86_400, weekly, peak=100) == pytest.approx(50)


def test_a_day_can_be_short():
    """With days of 20 minutes, demand is back after 20 minutes, and elsewhere after 10."""
    noon = math.ceil(MONDAY_NOON / 1200) * 1200 + 600
    assert demand(noon, daily, day=1200) == pytest.approx(100)
    assert demand(noon + 1200, daily, day=1200) == pytest.approx(100)
    assert demand(noon + 600, daily, day=1200) == pytest.approx(15)


def test_spikes_are_short_and_come_at_other_times_every_day():
    """Three a day, half an hour each, on top of the weekly pattern."""
    minutes = [minute for minute in range(7 * 1440) if spiky(minute / 1440) > 0.5 * weekly(minute / 1440) + 1e-9]
    starts = [minute for minute in minutes if minute - 1 not in minutes]
    assert len(starts) == 21
    assert len(minutes) / len(starts) == pytest.approx(30, abs=1)
    assert len({start % 1440 for start in starts}) > 15


def test_an_office_opens_and_closes_within_an_hour():
    """Low until 8, high from 9 to 17, low from 18."""
    assert [round(office(hour / 24), 6) for hour in (0, 8, 8.5, 9, 17, 17.5, 18)] == [0.2, 0.2, 0.6, 1, 1, 0.6, 0.2]


def test_the_recording_repeats_after_its_two_weeks():
    shape = recorded(RECORDING)
    assert [shape(day + 0.3003) for day in range(14)] == [shape(day + 14.3003) for day in range(14)]


@pytest.mark.parametrize(
    ("variable", "value", "rule"),
    [
        ("PATTERN", "hourly", "must be daily, weekly, spiky, office or recorded"),
        ("PEAK", "much", "must be a number above 0"),
        ("PEAK", "nan", "must be a number above 0"),
        ("DAY_SECONDS", "0", "must be a number above 0"),
    ],
)
def test_wrong_variables_are_named(variable: str, value: str, rule: str):
    with pytest.raises(ValueError, match=f"^{variable}={value}: {rule}$"):
        demand_of({variable: value})


def test_a_missing_recording_is_named():
    with pytest.raises(ValueError, match=r"^RECORDING=/nowhere: must be an existing file$"):
        demand_of({"PATTERN": "recorded", "RECORDING": "/nowhere"})


def test_a_queue_serves_in_order_and_refuses_what_waits_too_long():
    """Ten requests a second: the sixth at one moment waits half a second, the seventh is refused; later all is free."""
    queue = Queue(patience=0.5)
    waits = [queue.wait(100, 10) for _ in range(7)]
    assert waits[:6] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5])
    assert waits[6] is None
    assert queue.wait(200, 10) == 0


def test_replicas_are_ready_some_time_after_they_are_ordered():
    fleet = Fleet(start_seconds=45)
    fleet.scale(4, now=100)
    assert (fleet.ordered, fleet.ready(144), fleet.ready(145)) == (4, 1, 4)


def test_the_newest_replicas_go_first():
    """Those that are ready stay, and one is always left."""
    fleet = Fleet(start_seconds=45)
    fleet.scale(2, now=0)
    fleet.scale(4, now=100)
    fleet.scale(2, now=101)
    assert fleet.ready(101) == 2
    fleet.scale(0, now=101)
    assert fleet.ordered == 1


def autoscaler() -> Autoscaler:
    return Autoscaler(threshold=5, least=2, most=10, down_seconds=300)


@pytest.mark.parametrize(("metric", "replicas"), [(20, 4), (21.9, 4), (22.5, 5), (0, 4), (1000, 10)])
def test_the_arithmetic_is_that_of_the_hpa(metric: float, replicas: int):
    """Rounded up, within a tolerance of 10 % unchanged, limited; down only after a while."""
    scaler = autoscaler()
    scaler.replicas(4, 20, now=0)
    assert scaler.replicas(4, metric, now=15) == replicas


def test_fewer_replicas_must_be_enough_for_a_while():
    scaler = autoscaler()
    assert scaler.replicas(2, 40, now=0) == 8
    assert scaler.replicas(8, 10, now=300) == 8
    assert scaler.replicas(8, 10, now=301) == 2


def test_the_past_is_written_once(tmp_path: Path):
    """OpenMetrics of both apps, which a second run leaves alone."""
    path = tmp_path / "past.openmetrics"
    command = [sys.executable, str(DEMO / "past_demand.py"), str(path), "shop", "one", "two"]
    for days in ("0.01", "1"):
        environment = {"PATTERN": "recorded", "RECORDING": str(RECORDING), "PAST_DAYS": days}
        subprocess.run(command, check=True, env=environment)
    lines = path.read_text().splitlines()
    assert lines[-1] == "# EOF"
    assert len(lines) == pytest.approx(2 * 864 / 15 + 1, abs=4)
    totals = [float(line.split()[-2]) for line in lines if 'app="two"' in line]
    assert totals == sorted(totals)
    assert totals[-1] > totals[0]
