"""What is measured at an opening: since when the replicas are ready, and what is unserved."""

import numpy as np
import pytest

from scaler.commands.demo.opening import AHEAD_SECONDS, JUDGED_SECONDS, Opening, Preparation, watched
from scaler.commands.demo.simulated import Deployment
from scaler.history.traces import Trace
from scaler.plan.hpa import Hpa

AT = 36_000.0
DEMAND = Trace("x", "", 0.0, 60.0, np.repeat(np.array([10.0, 100.0], np.float32), 600))


def pods(ready_at: float) -> Deployment:
    """One that is ready, nine more from a moment on; each carries 10."""
    return Deployment(Hpa(), 10.0, 90.0, [0.0] + [ready_at] * 9)


def opening(ours: float, reactive: float) -> Opening:
    return Opening.of(AT, DEMAND, pods(ours), pods(reactive))


def test_the_hpa_leaves_its_replicas_alone() -> None:
    """A tenth more than the target is tolerated: 100 of demand at 10 a pod need 10 pods, and 9.09 do."""
    assert (opening(0, 0).factor, opening(0, 0).replicas) == (10.0, 10)
    smaller = Opening.of(AT, DEMAND, Deployment(Hpa(), 9.5, 90.0), pods(0))
    assert smaller.replicas == 10


def test_who_is_ready_before_leaves_nothing_unserved() -> None:
    """Ready since a minute before; the other 5 minutes after, with 90 % of the demand of these unserved."""
    one = opening(AT - 60, AT + 300)
    for end in np.arange(AT - 600 + 15, AT + JUDGED_SECONDS + 15, 15):
        one.sync(100.0 if end > AT else 10.0, float(end) - 15, float(end))
    assert (one.ours.ready_at, one.reactive.ready_at) == (AT - 60, AT + 300)
    assert one.ours.unserved_share == 0
    assert one.reactive.unserved_share == pytest.approx(0.9 * 300 / JUDGED_SECONDS)


def test_nothing_is_judged_before_it_opens_nor_long_after() -> None:
    """What is short then says nothing about the opening."""
    one = opening(AT + 9999, AT + 9999)
    one.sync(500.0, AT - 15, AT)
    assert one.ours.unserved_share is None
    one.sync(500.0, AT + JUDGED_SECONDS, AT + JUDGED_SECONDS + 15)
    assert one.ours.unserved_share is None


def test_replicas_that_go_again_were_not_ready() -> None:
    """The moment counts from which they stay."""
    deployment = pods(0)
    one = Opening(AT, 10.0, 10, Preparation(deployment), Preparation(pods(0)))
    one.sync(10.0, AT - 615, AT - 600)
    del deployment.ready_at[5:]
    one.sync(10.0, AT - 600, AT - 585)
    deployment.ready_at += [AT - 60] * 5
    one.sync(10.0, AT - 75, AT - 60)
    assert one.ours.ready_at == AT - 60
    assert one.reactive.ready_at == AT - 600


def test_an_opening_is_watched_from_an_hour_before_until_the_next() -> None:
    """The latest counts."""
    moments = [AT, AT + 86_400]
    ahead = AT - AHEAD_SECONDS
    assert [watched(moments, now) for now in (ahead - 1, ahead, AT + 5000)] == [None, AT, AT]
    assert watched(moments, ahead + 86_400) == AT + 86_400
