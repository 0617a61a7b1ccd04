"""Which queries may share a request: trust is earned by two answers, lost by one, and bounded in memory."""

import pytest

from scaler.history.apart import APART_SECONDS, MOST_APART, Apart, digest
from scaler.history.known import FIRST_PAUSE, MOST_UNLIKE, UNUSED_SECONDS, KnownQueries

AT = 1_700_000_000.0


def known(*queries: str, apart: Apart | None = None, where: str = "http://prometheus:9090") -> KnownQueries:
    """A server whose triggers ask these."""
    made = KnownQueries((where,), Apart() if apart is None else apart)
    for query in queries:
        made.meet(query, AT)
    return made


def test_a_new_query_may_be_tried_and_is_not_trusted() -> None:
    """One that could be read in two ways may not."""
    queries = known("up", "up # now")
    assert queries.may_be_tried("up", AT)
    assert not queries.is_trusted("up")
    assert not queries.may_be_tried("up # now", AT)
    queries.trust("up", AT)
    assert queries.is_trusted("up")
    assert not queries.may_be_tried("up", AT)


def test_trust_is_lost_for_a_while_that_grows() -> None:
    """A query that disturbs its neighbours again and again does so less and less often."""
    queries = known("up")
    at, pauses = AT, []
    for _ in range(6):
        queries.trust("up", at)
        queries.distrust("up", at)
        assert not queries.is_trusted("up")
        pause = next(pause for pause in range(10, 10_000, 10) if queries.may_be_tried("up", at + pause))
        pauses.append(pause)
        at += pause
    assert pauses == [30, 120, 480, 1920, 3600, 3600]
    queries.trust("up", at)
    queries.distrust("up", at + 4000)
    assert queries.may_be_tried("up", at + 4000 + FIRST_PAUSE)


def test_unlike_a_few_times_is_apart_for_good() -> None:
    """Also in a new process that loads what was stored; at another server it is another query."""
    apart = Apart()
    queries = known("up", apart=apart)
    at = AT
    for _ in range(MOST_UNLIKE):
        assert not apart.unsaved()
        queries.unlike("up", at)
        at += 7200
    assert not queries.may_be_tried("up", at)
    stored = apart.unsaved()
    apart.saved(stored)
    assert not apart.unsaved()
    again = Apart()
    again.load(stored)
    assert not known("up", apart=again).may_be_tried("up", AT)
    assert known("up", apart=again, where="http://other:9090").may_be_tried("up", AT)
    assert "up" not in str(stored)


def test_what_was_alike_once_begins_again() -> None:
    """Two answers differ where a sample arrives in between: three times in a row is no chance."""
    apart = Apart()
    queries = known("up", apart=apart)
    for _ in range(5):
        for _ in range(MOST_UNLIKE - 1):
            queries.unlike("up", AT)
        queries.trust("up", AT)
    assert not len(apart)


def test_what_nobody_asks_is_forgotten() -> None:
    """The memory of a trigger that went is given back, and its trust with it."""
    queries = known("up", "down")
    queries.trust("up", AT)
    queries.meet("down", AT + UNUSED_SECONDS)
    queries.sweep(AT + UNUSED_SECONDS)
    assert len(queries) == 1
    assert not queries.is_trusted("up")
    queries.unlike("up", AT)  # a round that was under way
    queries.trust("up", AT)
    assert len(queries) == 1


@pytest.mark.parametrize("later", [APART_SECONDS, -APART_SECONDS])
def test_apart_ends_after_a_week(later: float) -> None:
    """A proxy that dropped labels may be gone by then; a moment in the far future counts as old, too."""
    apart = Apart()
    apart.add(digest("up"), AT)
    assert apart.holds(digest("up"), AT + 0.9 * later)
    assert not apart.holds(digest("up"), AT + later)


def test_what_is_apart_is_bounded() -> None:
    """The oldest go first, whether they were stored or not."""
    apart = Apart()
    apart.load({f"stored-{n}": AT - n for n in range(10)})
    for number in range(MOST_APART):
        apart.add(f"new-{number}", AT + number)
    assert len(apart) == MOST_APART
    assert len(apart.unsaved()) == MOST_APART
    apart.load({f"older-{n}": AT - n for n in range(MOST_APART)})
    assert len(apart) == MOST_APART
    assert apart.holds("new-0", AT)
