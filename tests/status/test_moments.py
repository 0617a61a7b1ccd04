"""A moment as people write it."""

from contextlib import suppress
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.status.moments import LATEST, moment_in

BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


NOW = at("2026-11-29T03:00:00+01:00")


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("02:31", "2026-11-29T02:31:00+01:00"),
        ("2:31:05", "2026-11-29T02:31:05+01:00"),
        ("03:00", "2026-11-29T03:00:00+01:00"),
        ("03:01", "2026-11-28T03:01:00+01:00"),  # it has not come yet today
        ("2h", "2026-11-29T01:00:00+01:00"),
        ("90m", "2026-11-29T01:30:00+01:00"),
        ("1d", "2026-11-28T03:00:00+01:00"),
        ("2026-11-28T02:31", "2026-11-28T02:31:00+01:00"),
        ("2026-11-28 02:31:07", "2026-11-28T02:31:07+01:00"),
        ("2026-11-28T02:31Z", "2026-11-28T02:31:00+00:00"),
        ("2026-07-01T12:00", "2026-07-01T12:00:00+02:00"),
        ("2026-11-28", "2026-11-28T00:00:00+01:00"),
        (f"{NOW:.0f}", "2026-11-29T03:00:00+01:00"),
    ],
)
def test_what_people_write(text: str, moment: str) -> None:
    assert moment_in(text, NOW, BERLIN) == at(moment)


def test_a_time_of_the_day_before_the_clocks_change() -> None:
    """Yesterday's, by the clock on the wall: 25 hours lie between two noons in October."""
    now = at("2026-10-25T11:00:00+01:00")
    assert moment_in("12:00", now, BERLIN) == at("2026-10-24T12:00:00+02:00")


@pytest.mark.parametrize(
    "text", ["", "soon", "24:00", "2:60", "-1h", "99999999999", "2026-13-01", "0001-01-01T00:00", "9999-12-31T23:59"]
)
def test_what_is_no_moment(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        moment_in(text, NOW, BERLIN)


@given(st.text(max_size=50))
def test_any_text_is_a_moment_or_a_value_error(text: str) -> None:
    with suppress(ValueError):
        assert -366 * 86400 <= moment_in(text, NOW, BERLIN) < LATEST
