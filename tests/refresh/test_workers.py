"""The backfill: whose history is fetched while others hang, fail, or have much to fetch."""

import asyncio
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.errors import SourceUnavailable
from scaler.refresh.tracked import Phase
from scaler.refresh.workers import SERVERS, Owner, Workers
from scaler.series import Samples
from scaler.trigger import Trigger
from tests.refresh.test_refresh import World, replica, steady

HANGING = "http://hanging:9090"


def filled(workers: Workers, *owners: Owner) -> Counter[Owner]:
    """Start by turns until nobody may start."""
    busy: Counter[Owner] = Counter()
    while free := [owner for owner in owners if workers.may_start(owner)]:
        for owner in free:
            if workers.may_start(owner):
                workers.start(owner)
                busy[owner] += 1
    return busy


def test_shares_of_eight_workers() -> None:
    """As in the table at the top of workers.py."""
    one, other = Owner("a", "shop"), Owner("a", "search")
    assert filled(Workers(8), one) == {one: 6}
    assert filled(Workers(8), one, other).total() == 8
    assert filled(Workers(8), *(Owner(f"server-{n}", name) for n in range(20) for name in "ab")).total() == 8 * SERVERS


def test_who_got_no_answer_has_one_worker_until_it_gets_one() -> None:
    """Others on that server keep their share."""
    workers, silent, other = Workers(8), Owner("a", "shop"), Owner("a", "search")
    workers.start(silent)
    workers.end(silent, answered=False)
    assert filled(workers, silent, other) == {silent: 1, other: 6}
    workers.end(silent, answered=True)
    assert filled(workers, silent) == {silent: 2}


@given(st.integers(1, 64), st.integers(1, SERVERS - 1))
def test_hanging_servers_leave_workers_to_another(per_server: int, hanging: int) -> None:
    workers = Workers(per_server)
    filled(workers, *(Owner(f"hangs-{n}", f"team-{k}") for n in range(hanging) for k in range(70)))
    assert workers.may_start(Owner("sound", "bystander"))


def hang_and_count(world: World) -> Counter[str]:
    """The history at HANGING never comes. By server, how many requests for history are under way."""
    samples, under_way = world.source.samples, Counter()

    async def held(trigger: Trigger, start: float, end: float, step: float) -> Samples:
        under_way[trigger.server_address] += 1
        try:
            if trigger.server_address == HANGING:
                await asyncio.Event().wait()
            return await samples(trigger, start, end, step)
        finally:
            under_way[trigger.server_address] -= 1

    world.source.samples = held  # type: ignore[method-assign]
    return under_way


async def test_hanging_triggers_do_not_stop_the_history_of_others() -> None:
    """40 of them, registered first."""
    async with replica(steady, lambda *_: None) as world:
        under_way = hang_and_count(world)
        for number in range(40):
            world.call(f"hangs-{number}", serverAddress=HANGING)
        await world.pass_time(5)
        assert under_way[HANGING] == 6
        sound = world.call("sound")
        await world.pass_time(5)
        tracked = world.refresh.tracking.get(sound.trigger.key)
        assert {Phase.FINE, Phase.COARSE} <= tracked.done


async def test_thousands_of_waiting_namespaces_cost_each_of_them_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server without a free worker is passed by as a whole, whoever waits for it."""
    looks = Counter[str]()
    may_start = Workers.may_start

    def counted(workers: Workers, owner: Owner) -> bool:
        looks[owner.server] += 1
        return may_start(workers, owner)

    monkeypatch.setattr(Workers, "may_start", counted)
    async with replica(steady, lambda *_: None) as world:
        hang_and_count(world)
        for number in range(400):
            metadata = {"query": "demand", "threshold": "10", "serverAddress": HANGING}
            world.registry.register(f"team-{number}", "web", metadata, world.clock.now())
        await world.pass_time(5)
        assert world.refresh.backfill.waiting() > 700
    assert looks[HANGING] <= 3 * 800


async def test_failed_history_waits_behind_new_history() -> None:
    """However many retries are due when a worker is free again."""
    order: list[str] = []
    go_on = asyncio.Event()
    go_on.set()

    async with replica(steady, lambda *_: None, backfill_concurrency=1) as world:
        samples = world.source.samples

        async def failing(trigger: Trigger, start: float, end: float, step: float) -> Samples:
            order.append(trigger.name)
            await go_on.wait()
            if trigger.name.startswith("fails"):
                raise SourceUnavailable("away")
            return await samples(trigger, start, end, step)

        world.source.samples = failing  # type: ignore[method-assign]
        for number in range(20):
            world.call(f"fails-{number}")
        await world.pass_time(10)
        go_on.clear()
        order.clear()
        await world.pass_time(15)
        assert len(order) == 1
        world.call("new")
        await world.pass_time(2)
        go_on.set()
        await world.pass_time(2)
        assert order[1] == "new"
        assert len(set(order)) == 21
