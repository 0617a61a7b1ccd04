"""No tenant can make another's observation stale, or stop its history."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.isolation.world import SEARCH, SHOP, Replica, bystander, figure, p99_milliseconds, replica, trigger
from tests.servers.front import HANGS, Asked, Front, Instead, front, slow, wait_for_requests
from tests.servers.prometheus import PrometheusServer

pytestmark = pytest.mark.alone

INTERVAL = 5.0
"""of the replicas in `world`"""
LATEST = 4 * INTERVAL
"""A step is seen in the next refresh; a slow machine may need more of them. Behind 200 slow queries it comes after
minutes."""


@pytest.fixture
def hanging(metrics: PrometheusServer) -> Iterator[Front]:
    """A server that takes every request and answers none."""
    with front(metrics.url) as state:
        state.rules.append(lambda _: HANGS)
        yield state


def wait_until(holds: Callable[[], bool], seconds: float = 30) -> None:
    """Return when it holds. Fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.1)


def wait_for_history(scaler: Replica, count: int, seconds: float) -> None:
    """Return when the history of `count` triggers is complete. Fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while (done := figure(scaler, 'headway_backfill_triggers{state="done"}')) < count:
        assert time.monotonic() < deadline, f"the history of {done:.0f} of {count} triggers is complete"
        time.sleep(0.5)


def stepping(at: float) -> str:
    """A demand of 1000, and of 10000 from `at` on."""
    return f"vector(1000 + 9000 * (time() >= bool {at:.0f}))"


@pytest.mark.parametrize("tenants", [[SHOP], [f"{SHOP}-{number}" for number in range(20)]], ids=["one", "twenty"])
def test_a_step_is_answered_in_time_while_200_slow_queries_run(
    tmp_path: Path, before_metrics: Front, tenants: list[str]
) -> None:
    """Of one other namespace, or of twenty."""
    before_metrics.rules.append(slow(9.0, "slow_"))
    with replica(tmp_path, before_metrics.url, "--first-answer-wait", "0s") as scaler:
        step_at = time.time() + 30
        wanted = bystander(query=stepping(step_at))
        scaler.until_value(wanted, 1000)
        quiet = scaler.poll(wanted, 5)
        scaler.register([trigger(tenants[n % len(tenants)], f"slow_{n} or vector({n})") for n in range(200)])
        wait_for_requests(before_metrics, "slow_", 6)
        busy = scaler.poll(wanted, step_at - time.time())
        assert {call.number for call in quiet + busy} <= {1000.0, 10_000.0}, "the last call may be later than the step"
        scaler.until_value(wanted, 10_000, seconds=LATEST)
        assert time.time() - step_at <= LATEST
        assert p99_milliseconds(busy) < 3000, f"quiet: {p99_milliseconds(quiet)} ms"


def test_history_of_others_arrives_while_40_triggers_hang(
    tmp_path: Path, metrics: PrometheusServer, hanging: Front
) -> None:
    """On a server of their own; and the observations of the others go on."""
    options = ("--first-answer-wait", "0s", "--allow-server-address", "*")
    with replica(tmp_path, metrics.url, *options) as scaler:
        scaler.register([trigger(SHOP, f"vector({n})", hanging.url) for n in range(40)])
        wait_for_requests(hanging, "vector", 10)
        others = [trigger(SEARCH, f"vector({n})") for n in range(10)]
        scaler.register(others)
        wait_for_history(scaler, len(others), seconds=90)
        for number, one in enumerate(others):
            scaler.until_value(one, number, seconds=LATEST)


def test_history_of_others_arrives_while_that_of_40_triggers_hangs_on_the_same_server(
    tmp_path: Path, before_metrics: Front
) -> None:
    """Other namespaces have workers and requests left."""

    def hang(asked: Asked) -> Instead | None:
        return HANGS if asked.path.endswith("query_range") and "hangs_" in asked.query else None

    before_metrics.rules.append(hang)
    with replica(tmp_path, before_metrics.url, "--first-answer-wait", "0s") as scaler:
        scaler.register([trigger(SHOP, f"hangs_{n} or vector({n})") for n in range(40)])
        wait_until(lambda: sum(hang(one) is HANGS for one in list(before_metrics.asked)) >= 3)
        others = [trigger(SEARCH, f"vector({n})") for n in range(10)]
        scaler.register(others)
        wait_for_history(scaler, len(others), seconds=90)
