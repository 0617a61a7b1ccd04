"""The slots of one server: who waits, for whom, and for how long."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.history.lanes import Lane, Shares, Turn, lane_slots
from scaler.history.slots import Slots

PROVEN, NEW, SUSPECT, RANGE = Lane.PROVEN, Lane.NEW, Lane.SUSPECT, Lane.RANGE


def filled(shares: Shares, *turns: Turn) -> Counter[Turn]:
    """Take slots by turns until nobody may take one."""
    taken: Counter[Turn] = Counter()
    while free := [turn for turn in turns if shares.may_take(turn)]:
        for turn in free:
            if shares.may_take(turn):
                shares.take(turn)
                taken[turn] += 1
    return taken


@pytest.mark.parametrize(
    ("lane", "most"), [(PROVEN, (8, 6)), (NEW, (6, 5)), (SUSPECT, (2, 1)), (RANGE, (4, 3))], ids=str
)
def test_shares_of_eight_slots(lane: Lane, most: tuple[int, int]) -> None:
    """As in the table at the top of lanes.py: of the lane, and of one namespace in it."""
    alone = filled(Shares(8), Turn(lane, "shop"))
    both = filled(Shares(8), Turn(lane, "shop"), Turn(lane, "search"))
    assert (both.total(), alone.total()) == most


@given(st.integers(1, 256), st.sets(st.sampled_from([NEW, SUSPECT, RANGE]), min_size=1))
def test_a_proven_query_always_finds_a_slot(slots: int, lanes: set[Lane]) -> None:
    """However many namespaces fill the other lanes; a server with one slot is the exception."""
    shares = Shares(slots)
    filled(shares, *(Turn(lane, f"team-{number}") for number in range(9) for lane in lanes))
    assert shares.may_take(Turn(PROVEN, "bystander")) == (slots > 1)


@given(st.integers(1, 256))
def test_every_lane_has_a_slot(slots: int) -> None:
    for lane in Lane:
        assert 1 <= lane_slots(slots)[lane] <= slots
        assert Shares(slots).may_take(Turn(lane, "shop"))


async def test_a_newcomer_of_another_namespace_is_next() -> None:
    """200 requests wait before it, and one slot becomes free."""
    slots, order = Slots(8), []

    async def one(turn: Turn) -> None:
        async with slots.taken(turn):
            order.append(turn.namespace)
            await asyncio.sleep(0.001)

    many = [asyncio.create_task(one(Turn(NEW, "shop"))) for _ in range(200)]
    await asyncio.sleep(0)
    bystander = asyncio.create_task(one(Turn(NEW, "bystander")))
    await asyncio.gather(*many, bystander)
    assert order.index("bystander") <= 5
    assert len(order) == 201


async def test_a_slot_does_not_come_after_the_deadline() -> None:
    """And one that waits no longer leaves no trace."""
    slots = Slots(1)
    turn = Turn(NEW, "shop")
    async with slots.taken(turn):
        until = asyncio.get_running_loop().time() + 0.01
        with pytest.raises(TimeoutError):
            await AsyncExitStack().enter_async_context(slots.taken(Turn(NEW, "late"), until=until))
        assert not slots.waiting()
    async with slots.taken(turn):
        assert not slots.waiting()


@given(st.lists(st.tuples(st.sampled_from(list(Lane)), st.sampled_from("ab"), st.booleans()), max_size=40))
def test_cancelled_requests_give_their_slots_back(requests: list[tuple[Lane, str, bool]]) -> None:
    """Whenever they are cancelled: while they wait, or while they have a slot."""

    async def run() -> None:
        slots = Slots(4)

        async def one(turn: Turn) -> None:
            async with slots.taken(turn):
                await asyncio.sleep(0)

        tasks = [asyncio.create_task(one(Turn(lane, name))) for lane, name, _ in requests]
        for task, (_, _, is_cancelled) in zip(tasks, requests, strict=True):
            if is_cancelled:
                await asyncio.sleep(0)
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert not slots.waiting()
        async with AsyncExitStack() as stack:
            for namespace in "abcd":
                await asyncio.wait_for(stack.enter_async_context(slots.taken(Turn(PROVEN, namespace))), 20)

    asyncio.run(run())


async def test_thousands_of_namespaces_cost_each_of_them_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full lane is passed by as a whole, whoever waits in it."""
    looks = Counter[str]()
    may_take = Shares.may_take

    def counted(shares: Shares, turn: Turn) -> bool:
        looks[turn.lane] += 1
        return may_take(shares, turn)

    monkeypatch.setattr(Shares, "may_take", counted)
    slots = Slots(8)

    async def one(turn: Turn) -> None:
        async with slots.taken(turn):
            await asyncio.sleep(0)

    turns = [Turn(lane, f"team-{number}") for number in range(1000) for lane in (NEW, PROVEN)]
    await asyncio.gather(*map(one, turns))
    assert looks.total() < 3 * len(turns)
