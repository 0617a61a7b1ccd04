"""What a trigger that is tried would have asked for, on the demand of one that is watched."""

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from scaler.past_plans import PastPlan, PastPlansAsked
from scaler.series import Floats
from scaler.status.preview import preview
from scaler.status.reads import Reads
from scaler.status.timeline import TimelineRoute
from scaler.trigger import Mode, Trigger
from tests.page.kept import past_plan
from tests.status.registry import NOW, filled_registry


async def turn() -> None:
    await asyncio.sleep(0)


async def demand(trigger: Trigger, since: float, until: float) -> Floats:
    """100, and 300 in the newest minute."""
    minute_M = np.arange(np.ceil(since / 60), np.floor(until / 60) + 1)
    return np.where(minute_M == np.floor(NOW / 60), 300, 100).astype(np.float32)


def made(threshold: float, **changed: object) -> tuple[TimelineRoute, Trigger]:
    registry = filled_registry()
    watched = registry.page(1, namespace="shop", name="web")[0]

    async def plans(asked: PastPlansAsked) -> list[PastPlan]:
        """200, planned anew every half hour of the last five hours."""
        found = [past_plan(30.0 * n + 1, watched.trigger.short_key, planned=200.0) for n in range(11)]
        return [one for one in found if asked.since <= one.at <= asked.until][: asked.limit]

    route = TimelineRoute(registry, lambda: NOW, Reads(demand=demand, plans=plans))
    return route, replace(watched.trigger, threshold=threshold, **changed)  # type: ignore[arg-type]


@pytest.mark.parametrize(("threshold", "plan", "reactive"), [(10.0, 20, 10), (50.0, 4, 2)])
async def test_replicas_follow_with_the_threshold_that_is_tried(threshold: float, plan: int, reactive: int) -> None:
    route, tried = made(threshold)
    watched = filled_registry().page(1, namespace="shop", name="web")[0]
    found = await preview(route, watched, tried, NOW, turn)
    assert (found["most_replicas"], found["most_reactive_replicas"]) == (plan, int(300 / threshold))
    assert found["known_minutes"] == 302  # since the oldest plan
    assert found["replica_hours"] == pytest.approx(302 * plan / 60)
    assert found["reactive_replica_hours"] == pytest.approx((301 * reactive + 300 / threshold) / 60)
    assert found["differs"] == []
    assert max(found["observed"]) == 300
    assert len(found["observed"]) == len(found["planned"]) == 145


async def test_what_plans_do_not_reflect_is_named() -> None:
    route, tried = made(10.0, lead_time_seconds=600.0, mode=Mode.SHADOW)
    watched = filled_registry().page(1, namespace="shop", name="web")[0]
    assert (await preview(route, watched, tried, NOW, turn))["differs"] == ["leadTime", "mode"]
