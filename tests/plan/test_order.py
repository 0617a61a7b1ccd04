"""One order for a rise that past days know, and the answer afterwards."""

from collections.abc import Iterator

import numpy as np
import pytest

from scaler.plan.memory import Memory, observe
from scaler.plan.order import ANSWERED, LATELY_SECONDS, Answered
from scaler.plan.rule import News
from scaler.plan.rules import plan
from scaler.series import Forecast, Observation, Outlook
from scaler.trigger import Trigger

NOW = 1_700_000_000.0
REFRESH = 15.0
TRIGGER = Trigger("shop", "web", "demand", 10.0, server_address="http://prometheus", lead_time_seconds=120.0)


def news(answered: float | None, at: float = NOW, refresh_seconds: float = REFRESH) -> News:
    return News(TRIGGER, at, None, None, answered, refresh_seconds)


def demand(minute: float) -> float:
    """100, and from minute 20 on it rises to 1000 within ten minutes."""
    return 100 + 900 * min(max((minute - 20) / 10, 0.0), 1.0)


def forecast(at: float) -> Forecast:
    """Exact, as past days have it."""
    minute = (at - NOW) / 60
    p90_H = np.array([demand(minute + ahead) for ahead in range(1, 61)], np.float32)
    return Forecast(at, 60.0, (0.5, 0.9), np.stack([0.99 * p90_H, p90_H], axis=1), (), None, "test@1", (1.0,))


def answers(minutes: int) -> Iterator[float]:
    """What KEDA reads at each refresh, where the HPA follows the answers."""
    memory, answered = Memory(), None
    for second in np.arange(0, 60 * minutes, REFRESH).tolist():
        at, value = NOW + second, demand(second / 60)
        seen, expected = Observation(at, value, value, 1000.0), forecast(at)
        memory = observe(memory, News(TRIGGER, at, seen, expected, answered, REFRESH))
        made = plan(TRIGGER, Outlook(at, seen, expected, remembered=memory.conclusions), at, REFRESH)
        answered = made.planned
        assert answered is not None
        yield answered


def test_the_answer_does_not_fall_while_demand_rises() -> None:
    """By no more than the reserve at its end: an HPA without a stabilisation window removes nothing either."""
    given = np.array(list(answers(35)))
    assert given.max() >= 1000
    assert (np.diff(given) >= -0.03 * given[:-1]).all()


def test_a_rise_of_ten_minutes_takes_few_orders() -> None:
    given = np.array(list(answers(35)))
    assert 1 <= (np.diff(given) > 0.03 * given[:-1]).sum() <= 3


def test_the_largest_answer_of_the_last_minute_is_remembered() -> None:
    state = None
    for at, answered, expected in ((0, 100.0, 100.0), (15, 300.0, 300.0), (60, 200.0, 300.0), (80, 200.0, 200.0)):
        state = ANSWERED.observe(state, news(answered, NOW + at))
        assert ANSWERED.conclude(state) == expected


def test_an_error_changes_nothing() -> None:
    assert ANSWERED.observe(None, news(None)) is None
    assert ANSWERED.observe(Answered(NOW, 5.0), news(None, NOW + 600)) == Answered(NOW, 5.0)


@pytest.mark.parametrize(("refresh_seconds", "is_kept"), [(15.0, False), (60.0, True)])
def test_an_answer_outlives_two_refreshes(refresh_seconds: float, is_kept: bool) -> None:
    later = NOW + LATELY_SECONDS + 40
    state = ANSWERED.observe(Answered(NOW, 300.0), news(200.0, later, refresh_seconds))
    assert ANSWERED.conclude(state) == (300.0 if is_kept else 200.0)
