"""Schedules: each kind happens at its minutes, and the harder ones leave out, move or grow what their names say."""

import numpy as np
import pytest

from training.data import schedules as made
from training.data.load import Series
from training.data.schedules import DAYS, HARDER, KINDS, PLAIN, QUIET, schedules
from training.data.synthetic import Clock

DAY = 1440


@pytest.fixture(autouse=True)
def _without_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(made, "NOISE", 0.0)


def of(kind: str, seed: int = 0) -> Series:
    return KINDS[kind].series(kind, seed)


def factor_DM(kind: str) -> np.ndarray:
    """Demand over the quiet one, by day and minute of the day in UTC."""
    return np.asarray(of(kind).values, np.float64).reshape(DAYS, DAY) / QUIET


def busy_DM(kind: str) -> np.ndarray:
    return factor_DM(kind) > 1.5


def test_there_are_enough_kinds_and_each_is_a_month() -> None:
    """Fourteen common ones and ten harder ones at least; all are four weeks by the minute."""
    assert len(PLAIN) >= 14
    assert len(HARDER) >= 10
    for one in schedules():
        assert (one.step_seconds, len(one.values)) == (60, DAYS * DAY)
        assert one.system == "schedules"


def test_the_seed_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the noise in each minute."""
    monkeypatch.setattr(made, "NOISE", 0.05)
    for one, again, other in zip(schedules(3), schedules(3), schedules(4), strict=True):
        assert one.values.tobytes() == again.values.tobytes()
        assert (one.values != other.values).mean() > 0.2  # nights of zero are equal


def test_opening_hours() -> None:
    """Weekdays, ten times the demand within three minutes of nine."""
    factor = factor_DM("opening hours")
    np.testing.assert_allclose(factor[0, 539:545], [1, 1, 4, 7, 10, 10], rtol=1e-5)
    assert busy_DM("opening hours").any(axis=1).tolist() == [day % 7 < 5 for day in range(DAYS)]


def test_crontabs() -> None:
    for kind, every, lasts in (("hour", 60, 6), ("30 min", 30, 5), ("20 min", 20, 4)):
        minute = np.arange(DAY)
        assert (busy_DM(f"crontab every {kind}") == (minute % every < lasts)).all()
    busy = busy_DM("cycle of 50 min").ravel()
    assert (busy == (np.arange(DAYS * DAY) % 50 < 6)).all()


def test_batches() -> None:
    """At 02:30 for forty minutes; weekly on Wednesdays; skipped every fifth day."""
    assert np.flatnonzero(busy_DM("batch at 02:30")[9]).tolist() == list(range(150, 190))
    assert np.flatnonzero(busy_DM("weekly batch").any(axis=1)).tolist() == [2, 9, 16, 23]
    assert np.flatnonzero(~busy_DM("every fifth day skipped").any(axis=1)).tolist() == [4, 9, 14, 19, 24]


@pytest.mark.parametrize(("kind", "jitter"), [("jitter of 3 min", 3), ("jitter of 10 min", 10)])
def test_jitter(kind: str, jitter: int) -> None:
    begins = busy_DM(kind).argmax(axis=1)
    assert begins.min() >= 150 - jitter
    assert begins.max() <= 150 + jitter + 1
    assert np.ptp(begins) > jitter


def test_what_changes_comes_within_the_replayed_days() -> None:
    """The last fourteen days, where a policy has to follow."""
    begins = busy_DM("moved by an hour").argmax(axis=1)
    assert begins.tolist() == [390] * 24 + [450] * 4
    begins = busy_DM("moved within the week").argmax(axis=1)
    assert begins.tolist() == [540] * 23 + [600] * 5
    assert not busy_DM("a day off")[16].any()
    assert not busy_DM("a holiday on Monday")[21].any()
    doubled = factor_DM("level doubles")
    assert doubled[21, 600] == pytest.approx(2 * doubled[18, 600])


def test_the_clock_change() -> None:
    """Doors open at nine in Berlin: in UTC an hour earlier from the last Sunday of March on."""
    begins = busy_DM("clock change").argmax(axis=1)
    assert begins[14:19].tolist() == [481] * 5
    assert begins[21:26].tolist() == [421] * 5
    assert of("clock change").timezone == "Europe/Berlin"


def test_what_spoils_a_memory() -> None:
    """A gap of a day, nights of zero, and an outage over the opening on three Mondays."""
    unknown = np.isnan(of("a gap of a day").values.reshape(DAYS, DAY))
    assert np.flatnonzero(unknown.any(axis=1)).tolist() == [17]
    assert unknown[17].all()
    assert factor_DM("nights of zero")[3, :540].max() == 0
    at_ten = factor_DM("outage on three Mondays")[::7, 600]
    assert at_ten[:3].max() < 0.5
    assert at_ten[3] == pytest.approx(10)


def test_growth() -> None:
    at_ten = factor_DM("growth 5 % a day")[:, 600]
    assert at_ten[8] / at_ten[1] == pytest.approx(np.exp(0.35), rel=1e-3)
    grown = factor_DM("cycle of 45 min, growth").ravel()
    assert grown[-45 * 32] / grown[0] == pytest.approx(5 ** (27 / 28), rel=0.01)


def test_the_rest_of_the_plain_kinds() -> None:
    """A peak at half past twelve, a half-day on Fridays, two shifts."""
    assert factor_DM("lunch peak")[5].argmax() == 750
    half = busy_DM("half-day on Fridays")
    assert half[4, 700]
    assert not half[4, 800]
    assert half[3, 800]
    shifts = busy_DM("two shifts")[6]
    assert np.flatnonzero(np.diff(shifts)).tolist() == [359, 599, 1079, 1259]


def test_surges_come_once() -> None:
    """What the surges add to opening hours is on few minutes, and at no minute on every day."""
    added = factor_DM("one-off surges") > 1.2 * factor_DM("opening hours")
    assert 0 < added.mean() < 0.1
    assert added.mean(axis=0).max() < 0.2


def test_local_days_count_from_the_first() -> None:
    clock = Clock(3, start=made.BEFORE_DST, timezone="Europe/Berlin")
    day = made.days_since_start(clock)
    assert day[0] == 0
    assert day[-1] == 3  # Berlin is ahead of UTC: the last hour is the next day there
    assert made.minute_of_day(clock)[0] == 60
