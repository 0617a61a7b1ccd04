"""Replicas that stop and go on: SIGSTOP for longer than their leases last, kill -9, and SIGTERM."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

from tests.servers.redis import redis_server

from .suite import Fault, Run, one_by_one
from .world import Group, Replica, replicas, triggers

FAMILY = "replicas"
REPLICAS = 3


def _paused(
    chosen: Callable[[], list[Replica]], in_endpoints: bool = False
) -> Callable[[], AbstractContextManager[None]]:
    @contextmanager
    def injected() -> Iterator[None]:
        stopped = chosen()
        for one in stopped:
            one.pause(in_endpoints)
        try:
            yield
        finally:
            for one in stopped:
                one.resume()

    return injected


def _killed(
    chosen: Callable[[], list[Replica]], how: Callable[[Replica], object]
) -> Callable[[], AbstractContextManager[None]]:
    @contextmanager
    def injected() -> Iterator[None]:
        gone = chosen()
        for one in gone:
            one.reachable = False
            how(one)
        yield
        for one in gone:
            one.restart()

    return injected


def faults(group: Group, run: Run) -> list[Fault]:
    def leader() -> list[Replica]:
        return [max(group.replicas, key=_leases)]

    def anyone() -> list[Replica]:
        return [run.random.choice(group.replicas)]

    def all_but_one() -> list[Replica]:
        return run.random.sample(group.replicas, REPLICAS - 1)

    out = "out of the endpoints, as its probes fail"
    return [
        Fault("leader stopped and continued", _paused(leader), out, 25, 12),
        Fault("all but one stopped and continued", _paused(all_but_one), out, 25, 12),
        Fault("leader stopped for 2 s, still called", _paused(leader, True), "calls to it wait", 2, 2),
        Fault("leader killed and started again", _killed(leader, Replica.kill), out, 15, 5),
        Fault("any replica terminated and started again", _killed(anyone, lambda one: one.process.terminate()), out, 5),
        Fault("all but one killed and started again", _killed(all_but_one, Replica.kill), out, 15, 5),
    ]


def _leases(replica: Replica) -> float:
    """How many triggers this replica refreshes; replicas that do not answer have none."""
    return replica.metric("headway_leases")


def run_family(run: Run) -> None:
    """Three replicas that share one Redis."""
    with ExitStack() as stack:
        server = stack.enter_context(redis_server())
        options = ("--prometheus", run.prometheus.url, "--redis", server.url)
        group = stack.enter_context(replicas(run.place("replicas"), REPLICAS, *options))
        wanted = triggers(run.prometheus.url)
        group.until_forecast(wanted)
        watches = stack.enter_context(group.watched(wanted))
        chosen = faults(group, run)[: 1 if run.quick else None]
        one_by_one(run, FAMILY, chosen, watches, REPLICAS, run.times(4, 2))
        time.sleep(1)
