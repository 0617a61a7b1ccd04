"""Owners of a queue take turns."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from scaler.history.fair_queue import FairQueue


def anybody(_: str) -> bool:
    return True


def test_one_item_waits_for_one_of_each_other_owner() -> None:
    """Not for all 200 that were there before it."""
    queue: FairQueue[str, int] = FairQueue()
    for number in range(200):
        queue.put("shop", number)
    queue.put("bystander", 1000)
    assert [queue.take(anybody) for _ in range(3)] == [("shop", 0), ("bystander", 1000), ("shop", 1)]


def test_who_may_not_start_is_passed_over_and_keeps_its_place() -> None:
    queue: FairQueue[str, int] = FairQueue()
    for owner in ("shop", "search"):
        queue.put(owner, 1)
    assert queue.take(lambda owner: owner == "search") == ("search", 1)
    assert queue.take(lambda owner: owner == "search") is None
    assert queue.take(anybody) == ("shop", 1)


def test_a_lower_rank_goes_first() -> None:
    queue: FairQueue[str, str] = FairQueue()
    queue.put("shop", "again", rank=1)
    queue.put("shop", "new", rank=0)
    queue.put("search", "new", rank=0)
    assert [queue.take(anybody) for _ in range(3)] == [("shop", "new"), ("search", "new"), ("shop", "again")]


def test_leaving() -> None:
    """An item that was taken or has left is not there a second time."""
    queue: FairQueue[str, int] = FairQueue()
    first, second = queue.put("shop", 1), queue.put("shop", 2)
    queue.remove(first)
    queue.remove(first)
    assert (len(queue), queue.waiting()) == (1, {"shop": 1})
    assert queue.take(anybody) == ("shop", 2)
    queue.remove(second)
    assert queue.take(anybody) is None
    assert not queue.waiting()


@given(st.lists(st.sampled_from("abcd"), max_size=60))
def test_turns_are_fair_whatever_the_order_of_arrival(arrivals: list[str]) -> None:
    """Between two items of an owner, nobody else gets two; all come out, each owner's own in order."""
    queue: FairQueue[str, int] = FairQueue()
    for number, owner in enumerate(arrivals):
        queue.put(owner, number)
    out = [taken for _ in arrivals if (taken := queue.take(anybody)) is not None]
    assert sorted(number for _, number in out) == list(range(len(arrivals)))
    assert len(queue) == 0
    for owner in set(arrivals):
        own = [place for place, (who, _) in enumerate(out) if who == owner]
        assert [out[place][1] for place in own] == [n for n, who in enumerate(arrivals) if who == owner]
        for before, after in itertools.pairwise(own):
            between = [who for who, _ in out[before + 1 : after]]
            assert len(between) == len(set(between))
