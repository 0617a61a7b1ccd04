"""How many triggers the registry watches, and which make room for a new one."""

import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler import registry as registry_module
from scaler.errors import QuotaReached
from scaler.quotas import Limits
from scaler.registry import (
    IDLE_SECONDS,
    MOST_OF_ONE_OBJECT,
    NEW_SECONDS,
    TRIAL_SECONDS,
    TRIED_SECONDS,
    ListedBy,
    Registration,
    Registry,
)
from scaler.trigger import TriggerRules

NOW = 1_700_000_100.0
SILENCE = 3600.0


def registry(total: int = 1000, per_namespace: int = 500) -> Registry:
    return Registry(TriggerRules(default_server="http://p:9090"), 15.0, limits=Limits(total, per_namespace))


def call(on: Registry, namespace: str = "shop", name: str = "web", query: str = "up", now: float = NOW) -> Registration:
    return on.register(namespace, name, {"query": query, "threshold": "10"}, now)


def test_an_edit_makes_no_more_triggers_than_one_object_may_have() -> None:
    """A hundred edits leave the newest; the object's other triggers, which KEDA calls for, stay among them."""
    on = registry(per_namespace=MOST_OF_ONE_OBJECT)
    for number in range(100):
        other = call(on, query="other", now=NOW + number)
        call(on, query=f"edit_{number}", now=NOW + number)
    assert len(on) == MOST_OF_ONE_OBJECT
    assert other in list(on)
    assert {one.trigger.query for one in on} >= {"other", "edit_99", "edit_80"}
    assert len(on.forget_silent(NOW + 100, SILENCE)) == 101 - MOST_OF_ONE_OBJECT


def test_what_is_watched_stays_where_a_quota_is_reached() -> None:
    """New triggers of the full namespace are refused; its old ones and other namespaces go on."""
    on = registry(per_namespace=3)
    old = [call(on, name=f"web-{number}") for number in range(3)]
    with pytest.raises(QuotaReached, match="namespace shop has 3 of 3 triggers"):
        call(on, name="one-more")
    assert [call(on, name=f"web-{number}") for number in range(3)] == old
    call(on, "search")


def test_idle_triggers_of_the_same_namespace_make_room() -> None:
    """The least recently called ones, none of another namespace, and none that is listed."""
    on = registry(per_namespace=3)
    on.register_listed(ListedBy.SETTINGS, "shop", "listed", {"query": "up", "threshold": "10"}, NOW)
    call(on, "search", "idle-elsewhere")
    call(on, name="idle")
    later = NOW + IDLE_SECONDS + 1
    call(on, name="busy", now=later)
    call(on, name="new", now=later)
    assert {one.trigger.name for one in on} == {"listed", "idle-elsewhere", "busy", "new"}
    with pytest.raises(QuotaReached):
        call(on, name="one-more", now=later)


def test_refused_calls_do_not_look_at_all_triggers_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood of them must stay cheap."""
    on = registry(per_namespace=3)
    for number in range(3):
        call(on, name=f"web-{number}")
    looked: list[int] = []
    choose = registry_module._least_recently_called
    monkeypatch.setattr(registry_module, "_least_recently_called", lambda *args: looked.append(1) or choose(*args))
    for number in range(50):
        with pytest.raises(QuotaReached):
            call(on, name=f"more-{number}", now=NOW + number)
    assert len(looked) == 1
    on.forget_silent(NOW + 50, SILENCE)
    with pytest.raises(QuotaReached):
        call(on, name="more", now=NOW + 50)
    assert len(looked) == 2


def test_triggers_of_the_settings_are_watched_all_the_same() -> None:
    """They count, and discovered ones are refused like others."""
    on = registry(per_namespace=1)
    metadata = {"query": "up", "threshold": "10"}
    for name in ("a", "b"):
        on.register_listed(ListedBy.SETTINGS, "shop", name, metadata, NOW)
    with pytest.raises(QuotaReached, match="has 2 of 1"):
        on.register_listed(ListedBy.ANNOTATION, "shop", "c", metadata, NOW)


def test_a_namespace_that_replaces_all_the_time_waits() -> None:
    """What was dropped takes memory for a while."""
    on = registry(per_namespace=100)
    on.forget_silent(NOW, SILENCE)
    for number in range(200):
        call(on, query=f"edit_{number}")
    on.forget_silent(NOW + 100, SILENCE)
    with pytest.raises(QuotaReached, match="has registered 200 triggers within 600 s"):
        call(on, query="one_more")
    call(on, "search")
    on.forget_silent(NOW + NEW_SECONDS, SILENCE)
    call(on, query="one_more")


def test_a_trigger_that_was_hardly_called_for_is_forgotten_earlier() -> None:
    """Not one that KEDA has polled, and not one from before a restart."""
    on = registry()
    call(on, name="once")
    call(on, name="polled")
    call(on, name="polled", now=NOW + TRIED_SECONDS)
    call(on, name="restored").restored = True
    gone = on.forget_silent(NOW + TRIAL_SECONDS + 1, SILENCE)
    assert [one.trigger.name for one in gone] == ["once"]


def test_nothing_holds_a_forgotten_trigger() -> None:
    """Neither one that expired nor one that made room."""
    on = registry(per_namespace=MOST_OF_ONE_OBJECT)
    held = [weakref.ref(call(on, query=f"edit_{number}", now=NOW + number)) for number in range(60)]
    held.append(weakref.ref(call(on, "search", "silent")))
    on.forget_silent(NOW + 2 * SILENCE, SILENCE)
    assert [one for one in held if one() is not None] == []
    assert on.quota.of("shop") == 0


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xyz"), st.integers(0, 60), st.integers(0, 400))))
def test_the_quota_counts_what_is_watched(calls: list[tuple[str, str, int, int]]) -> None:
    """Whatever is registered, dropped, refused and forgotten, in whatever order."""
    on, now = registry(total=30, per_namespace=25), NOW
    for namespace, name, query, pause in calls:
        now += pause
        try:
            call(on, namespace, name, f"q{query}", now)
        except QuotaReached:
            assert not on.quota.has_room(namespace)
        if pause > 300:
            on.forget_silent(now, 350)
    assert len(on) == len(on.page(100)) <= 30
    for namespace in "ab":
        assert on.quota.of(namespace) == len(on.page(100, namespace=namespace)) <= 25
