"""Which queries are suspects, and when they are asked again."""

import pytest

from scaler.history import pace
from scaler.history.lanes import Lane
from scaler.history.pace import FIRST_PAUSE, LONGEST_PAUSE, MOST_RELAPSES, Paces

FAST, SLOW = 0.01, 9.0


def known(**seconds: float) -> Paces:
    """A server that has answered one query of the bystander, and each of these queries of the shop."""
    paces = Paces()
    paces.note_answer("bystander", ["up"], FAST)
    for query, took in seconds.items():
        paces.note_answer("shop", [query], took)
    return paces


def test_lanes() -> None:
    """A request is in the lane of its worst query; what is known of a query is known of one namespace alone."""
    paces = known(fast=FAST, slow=SLOW)
    assert paces.lane("shop", ["fast"]) is Lane.PROVEN
    assert paces.lane("shop", ["slow"]) is Lane.SUSPECT
    assert paces.lane("shop", ["fast", "unknown"]) is Lane.NEW
    assert paces.lane("shop", ["fast", "unknown", "slow"]) is Lane.SUSPECT
    assert paces.lane("bystander", ["slow"]) is Lane.NEW


def test_a_suspect_has_to_be_fast_more_often_after_each_relapse() -> None:
    """A query that is slow now and then is a suspect most of the time."""
    paces = known()
    for relapse in range(MOST_RELAPSES + 2):
        paces.note_answer("shop", ["moody"], SLOW)
        answers = 0
        while paces.lane("shop", ["moody"]) is Lane.SUSPECT:
            paces.note_answer("shop", ["moody"], FAST)
            answers += 1
        assert answers == 2 ** min(relapse, MOST_RELAPSES - 1)


def test_pauses_grow_without_an_answer_and_end_with_one() -> None:
    paces = known()
    pauses = []
    for _ in range(6):
        paces.note_silence("shop", ["hangs"], now=100.0)
        pauses.append(paces.pause("shop", "hangs", now=100.0))
    assert pauses == [FIRST_PAUSE, 10.0, 20.0, 40.0, LONGEST_PAUSE, LONGEST_PAUSE]
    assert paces.pause("shop", "hangs", now=100.0 + LONGEST_PAUSE) == 0
    paces.note_answer("shop", ["hangs"], FAST)
    assert paces.pause("shop", "hangs", now=100.0) == 0
    assert paces.pause("bystander", "hangs", now=100.0) == 0


def test_who_was_slow_once_goes_before_who_always_is() -> None:
    """A neighbour that stuttered does not wait for 200 suspects."""
    paces = known(once=SLOW)
    for _ in range(10):
        paces.note_answer("shop", ["always"], SLOW)
        paces.note_silence("shop", ["hangs"], now=0.0)
    assert [paces.rank("shop", [query]) for query in ("once", "unknown", "always", "hangs")] == [0, 0, 3, 3]
    paces.note_answer("shop", ["always"], FAST)
    assert paces.rank("shop", ["always"]) == 0


def test_short_requests_go_before_long_ones() -> None:
    """200 queries that are just not slow delay nobody's short one by their number."""
    paces = known(short=FAST, long=1.9)
    assert paces.lane("shop", ["long"]) is Lane.PROVEN
    assert [paces.rank("shop", [query]) for query in ("short", "long", "unknown")] == [0, 1, 0]
    assert paces.rank("shop", ["short", "long"]) == 1


def test_what_is_slow_but_answered_does_not_pause() -> None:
    assert known(slow=SLOW).pause("shop", "slow", now=0.0) == 0


def test_a_server_that_is_slow_to_all_makes_no_suspects() -> None:
    """Then a namespace's queries are as slow as the fastest namespace's."""
    paces = Paces()
    for _ in range(30):
        paces.note_answer("bystander", ["up"], 3.0)
    paces.note_answer("shop", ["heavy"], 8.0)
    assert paces.lane("shop", ["heavy"]) is Lane.PROVEN


def test_many_slow_queries_do_not_make_slowness_usual() -> None:
    paces = known()
    for number in range(200):
        paces.note_answer(f"team-{number % 5}", [f"slow-{number}"], SLOW)
    assert paces.lane("team-4", ["slow-199"]) is Lane.SUSPECT


@pytest.mark.parametrize("is_answered", [True, False])
def test_a_slow_request_of_several_makes_them_new(is_answered: bool) -> None:
    """One of them is at fault; asked alone, they show which."""
    paces = known(a=FAST, b=FAST)
    if is_answered:
        paces.note_answer("shop", ["a", "b"], SLOW)
    else:
        paces.note_silence("shop", ["a", "b"], now=0.0)
    assert [paces.lane("shop", [query]) for query in ("a", "b")] == [Lane.NEW, Lane.NEW]


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """By namespace, so that many queries of one make nobody else's queries new."""
    monkeypatch.setattr(pace, "MOST_QUERIES", 100)
    paces = known()
    for number in range(300):
        paces.note_answer("shop", [f"q{number}"], FAST)
        paces.note_silence("shop", [f"s{number}"], now=0.0)
    assert paces.lane("bystander", ["up"]) is Lane.PROVEN
    assert len(paces._namespaces["shop"].queries) <= 100
