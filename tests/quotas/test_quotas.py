"""A namespace has its limit, and the last tenth of the total is for those that have few."""

import pytest

from scaler.errors import QuotaReached
from scaler.quotas import FEW, NO_LIMITS, Limits, Quota


def quota(total: int, per_namespace: int, **used: int) -> Quota:
    made = Quota("triggers", Limits(total, per_namespace), "Delete some")
    for namespace, count in used.items():
        for _ in range(count):
            made.take(namespace)
    return made


def test_a_namespace_stops_at_its_own_limit() -> None:
    """The error names quota, limit, use and remedy; other namespaces have room, and so has this one after a return."""
    full = quota(100, 3, shop=3)
    with pytest.raises(QuotaReached) as caught:
        full.check("shop")
    for part in ("max-triggers-per-namespace", "namespace shop has 3 of 3 triggers", "Delete some", "operator"):
        assert part in str(caught.value)
    full.check("search")
    full.give_back("shop")
    full.check("shop")


def test_the_last_tenth_is_for_namespaces_with_few() -> None:
    """Greedy namespaces stop at nine tenths; small ones go on until all is used."""
    crowded = quota(300, 200, shop=200, search=70)
    assert not crowded.has_room("search")
    with pytest.raises(QuotaReached, match=f"the last 30 are for namespaces with fewer than {FEW}"):
        crowded.check("search")
    for _ in range(FEW):
        crowded.check("new")
        crowded.take("new")
    assert not crowded.has_room("new")
    full = quota(300, 200, shop=200, search=100)
    with pytest.raises(QuotaReached, match=r"have 300 of 300 triggers\."):
        full.check("new")


def test_telemetry_shows_the_total_and_the_fullest_namespace() -> None:
    """Labels do not grow with the namespaces."""
    used = quota(100, 3, shop=3, search=1)
    for _ in range(2):
        with pytest.raises(QuotaReached):
            used.check("shop")
    assert used.used() == {("triggers",): 4, ("triggers-per-namespace",): 3}
    assert used.limit() == {("triggers",): 100, ("triggers-per-namespace",): 3}
    assert used.refused() == {("triggers",): 0, ("triggers-per-namespace",): 2}


def test_nothing_stays_of_a_namespace_that_has_nothing() -> None:
    """Names come from outside: a namespace is only remembered while it has something."""
    used = quota(10**6, 10**6)
    for number in range(1000):
        used.take(f"n{number}")
        used.give_back(f"n{number}")
        assert used.of(f"m{number}") == 0
    assert used.used() == {("triggers",): 0, ("triggers-per-namespace",): 0}
    assert not used._by_namespace


def test_without_limits_there_is_always_room() -> None:
    assert Quota("triggers", NO_LIMITS, "").has_room("shop")
