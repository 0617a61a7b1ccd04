"""The service level that must hold."""

from dataclasses import replace

import numpy as np
import pytest

from tests.training.replay.made import scores
from training.replay.verdict.score import Scores
from training.replay.verdict.slo import Slo, slo


def short(minutes_D: list[float], recorded_D: list[float] | None = None) -> Scores:
    """A run that was short for so long on each day."""
    found = scores("some", [9.0] * len(minutes_D), [1.0] * len(minutes_D))
    recorded = np.array(recorded_D or [1.0] * len(minutes_D))
    days = replace(found.by_day, short_minutes_D=np.array(minutes_D), recorded_D=recorded)
    return replace(found, days=recorded.sum(), short_minutes=sum(minutes_D), by_day=days)


@pytest.mark.parametrize("text", ["short minutes per week <= 5", "short minutes per week ≤ 5.0"])
def test_an_slo_is_read(text: str) -> None:
    assert slo(text) == Slo(5.0)


@pytest.mark.parametrize(
    "text",
    [
        *("", "short minutes <= 5", "short minutes per week < 5", "short minutes per week <= x"),
        *("short minutes per week <= ٣", "short minutes per week <= 10080", f"short minutes per week <= 1{'0' * 400}"),
    ],
)
def test_another_slo_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be as 'short minutes per week <= 5', a plain number from 0, below the "):
        slo(text)


def test_equal_days_need_no_room() -> None:
    """However many there are, whatever is missing of them: the week's rate decides, on record."""
    for found in (
        short([1.0] * 7),
        short([1.0] * 3),
        short([1.0, 0.0, 1.0, 1.0], [1.0, 0.0, 1.0, 1.0]),
        short([0.25, 1.0, 1.0, 0.5], [0.25, 1.0, 1.0, 0.5]),
    ):
        assert found.short_minutes_per_week == 7.0
        assert Slo(7.0).is_likely(found)
        assert not Slo(6.9).is_likely(found)


def test_one_bad_day_may_come_three_times() -> None:
    """Drawn seven times from seven days it comes three times or more in 8 % of the draws, twice or more in 26 %."""
    found = short([0.0] * 6 + [4.0])
    assert Slo(4.0).holds(found)
    assert not Slo(7.9).is_likely(found)
    assert Slo(8.0).is_likely(found)


@pytest.mark.parametrize(
    ("allowed", "told"),
    [
        (8.0, "likely to hold the SLO on other days, judging by those searched"),
        (7.9, "held the SLO on the days searched, but too narrowly to be likely on others"),
        (4.0, "held the SLO on the days searched, but too narrowly to be likely on others"),
        (3.9, "fewest short minutes on the days searched; nothing tried held the SLO there"),
    ],
)
def test_what_a_search_found_is_reported(allowed: float, told: str) -> None:
    assert Slo(allowed).about_search(short([0.0] * 6 + [4.0])) == told
