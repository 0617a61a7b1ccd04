"""The time line of a trigger: what is the same in every window that is shown."""

import asyncio
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaler.past_plans import PastPlan, PastPlansAsked
from scaler.plan.counterfactual import HPA
from scaler.plan.hpa_estimate import estimate_replicas
from scaler.series import Floats
from scaler.status.reads import Reads
from scaler.status.replica_lines import STRETCH_SECONDS, followed_replicas
from scaler.status.timeline import FOLLOWED, TimelineRoute
from scaler.status.timeline_columns import MOST_POINTS, minutes
from scaler.trigger import Trigger
from tests.page.kept import Kept, past_plan
from tests.status.registry import NOW, filled_registry

DAYS = 3
FIRST = NOW - DAYS * 86400
LONGEST_SECONDS = (MOST_POINTS - 1) * 60
"""a window of MOST_POINTS minutes: the longest whose every point is one minute"""
DEMAND_M = np.random.default_rng(4).normal(60, 6, DAYS * 1440 + 1).astype(np.float32)
"""calm: an HPA is within its tolerance most of the time, and stays where it began"""


async def no_turn() -> None:
    return None


async def demand(trigger: Trigger, since: float, until: float) -> Floats:
    first = math.ceil((since - FIRST) / 60)
    place_M = first + np.arange(max(0, math.floor((until - FIRST) / 60) - first + 1))
    known_M = (place_M >= 0) & (place_M < len(DEMAND_M))
    return np.where(known_M, DEMAND_M[np.clip(place_M, 0, len(DEMAND_M) - 1)], np.nan).astype(np.float32)


PLANS: list[PastPlan] = [past_plan(7 * n, planned=60.0 + n % 9) for n in range(DAYS * 1440 // 7)]


async def line_of(since: float, until: float) -> Mapping[str, Any]:
    registry = filled_registry()
    one = registry.page(1, namespace="shop", name="web")[0]

    async def plans(asked: PastPlansAsked) -> list[PastPlan]:
        return await Kept(PLANS).past_plans(asked)

    return await TimelineRoute(registry, lambda: NOW, Reads(demand=demand, plans=plans)).lines(
        one, since, until, NOW, no_turn
    )


def by_minute(line: Mapping[str, Any], name: str) -> dict[float, int | None]:
    return {at: value for at, value in zip(line["times"], line[name], strict=True) if at <= NOW}


@pytest.fixture(scope="module")
def longest() -> Mapping[str, Any]:
    return asyncio.run(line_of(NOW - LONGEST_SECONDS, NOW))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, LONGEST_SECONDS - 6 * 3600), st.integers(60, 6 * 3600))
def test_a_minute_has_the_same_replicas_in_every_window(longest: Mapping[str, Any], ago: int, span: int) -> None:
    found = asyncio.run(line_of(NOW - ago - span, NOW - ago))
    for name in FOLLOWED:
        shown, expected = by_minute(found, name), by_minute(longest, name)
        assert len(shown) >= span // 60
        assert None not in shown.values()
        assert shown == {at: value for at, value in expected.items() if at in shown}


async def test_points_of_a_long_window_are_the_largest_of_some_minutes(longest: Mapping[str, Any]) -> None:
    found = await line_of(NOW - 2.5 * 86400, NOW)
    assert len(found["times"]) <= MOST_POINTS + 120  # and those of the forecast
    for name in FOLLOWED:
        shown, expected = by_minute(found, name), by_minute(longest, name)
        for at in list(shown)[-200:-1]:
            assert shown[at] == max(value or 0 for value in (expected[at - 60 * n] for n in range(3)))


async def test_a_warm_up_of_an_hour_leaves_at_most_the_tolerance_of_where_an_hpa_began() -> None:
    """Next to an HPA that has been followed from two days before."""
    time_M, began = minutes(FIRST, len(DEMAND_M)), None
    expected = []
    for at, value in zip(time_M.tolist(), DEMAND_M.tolist(), strict=True):
        began = estimate_replicas(began, value, 1.0, at, HPA)
        assert began is not None
        expected.append(began.replicas)
    found = await followed_replicas(time_M, DEMAND_M, 1.0, no_turn)
    settled = 2 * 1440
    assert len({int(at // STRETCH_SECONDS) for at in time_M[settled:]}) > 3
    for one, other in zip(found[settled:], expected[settled:], strict=True):
        assert one is not None
        assert abs(one - other) <= 0.1 * max(one, other) + 1
