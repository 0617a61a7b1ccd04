"""The answer path: which answer counts when, without any I/O."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.decide import decide, moment_of
from scaler.errors import NotReady, SourceRefused, SourceUnavailable, TriggerInvalid
from scaler.plan import Rung
from scaler.registry import Registration, Registry
from scaler.series import Forecast, Observation, Outlook
from scaler.testing import flat_forecast
from scaler.trigger import TriggerRules

NOW = 1_700_000_100.0
"""a tick of a 15 s refresh"""
METADATA = {"query": "demand", "threshold": "10"}


def registry() -> Registry:
    return Registry(TriggerRules(default_server="http://p:9090"), 15.0)


def outlook(value: float, counts_from: float = NOW, forecast: Forecast | None = None, error: str = "") -> Outlook:
    return Outlook(counts_from, Observation(counts_from, value, value, value), forecast, error)


def registration(on: Registry, name: str = "web", **metadata: str) -> Registration:
    return on.register("shop", name, {**METADATA, **metadata}, NOW)


def test_without_outlook_the_answer_is_an_error():
    """Cold is never "inactive" and never 0."""
    on = registry()
    with pytest.raises(NotReady, match="shop/web"):
        on.answer(registration(on), NOW)


def test_the_sources_own_error_is_raised_until_something_arrives():
    """A trigger that never had an observation is refused with the reason, and answered once there is one."""
    on = registry()
    one = registration(on)
    on.fail(one.trigger.key, SourceRefused("parse error"))
    with pytest.raises(SourceRefused, match="parse error"):
        on.answer(one, NOW)
    on.receive(one.trigger.key, outlook(50), NOW)
    assert on.answer(one, NOW).plan.metric == 50


def test_raising_the_same_error_often_does_not_grow_it():
    """The remembered error is one object: its traceback must not get longer with every call."""
    on = registry()
    one = registration(on)
    on.fail(one.trigger.key, SourceRefused("parse error"))
    for _ in range(50):
        with pytest.raises(SourceRefused) as caught:
            on.answer(one, NOW)
    assert len(caught.traceback) < 5


def test_an_outlook_counts_from_its_moment():
    """Until then the one before is answered, so that every replica switches at the same time."""
    on = registry()
    one = registration(on)
    on.receive(one.trigger.key, outlook(50), NOW)
    on.receive(one.trigger.key, outlook(60, NOW + 16), NOW + 15)
    assert on.answer(one, NOW + 15.9).plan.metric == 50
    assert on.answer(one, NOW + 16).plan.metric == 60


def test_older_news_is_ignored():
    """A late message does not take an answer back."""
    on = registry()
    one = registration(on)
    on.receive(one.trigger.key, outlook(60, NOW + 15), NOW + 15)
    on.receive(one.trigger.key, outlook(50, NOW), NOW + 16)
    assert on.answer(one, NOW + 16).plan.metric == 60


def test_the_first_outlook_answers_at_once():
    """With nothing before it, an outlook is not waited for."""
    on = registry()
    one = registration(on)
    on.receive(one.trigger.key, outlook(60, NOW + 1), NOW)
    assert on.answer(one, NOW).plan.metric == 60


def test_a_first_forecast_that_is_waited_for_answers_at_once():
    """Until the first answer has been given there is none to switch from; a bare observation before it is not one."""
    on = registry()
    one = registration(on)
    one.forecast_coming = True
    on.receive(one.trigger.key, outlook(60, NOW + 1), NOW)
    on.receive(one.trigger.key, outlook(60, NOW + 2, flat_forecast(NOW, [80.0] * 30)), NOW + 1)
    assert on.answer(one, NOW + 1).plan.metric >= 80
    on.receive(one.trigger.key, outlook(200, NOW + 16), NOW + 15)
    assert on.answer(one, NOW + 15).plan.rung is Rung.BOTH


def test_plans_are_made_anew_when_refreshes_stay_away():
    """As time passes the window moves on, at ticks that all replicas share."""
    on = registry()
    one = registration(on, maxStaleness="30s")
    rising = flat_forecast(NOW, [100.0 + 10 * step for step in range(30)])
    on.receive(one.trigger.key, outlook(50, forecast=rising), NOW)
    first = on.answer(one, NOW + 20).plan
    later = on.answer(one, NOW + 610).plan
    assert first.at == NOW
    assert later.at == NOW + 600
    assert later.rung is Rung.FORECAST
    assert later.metric > first.metric


def test_nothing_usable_is_an_error_with_the_reason():
    """When the observation is old and there is no forecast, KEDA's own fallback is to act, at every call."""
    on = registry()
    one = registration(on, maxStaleness="30s")
    on.receive(one.trigger.key, outlook(50, error="connection refused"), NOW)
    for call in range(3):
        with pytest.raises(SourceUnavailable, match="connection refused"):
            on.answer(one, NOW + 100 + call)


def test_answers_are_made_once():
    """The same answer object is returned until it changes, with whatever a door has serialised."""
    on = registry()
    one = registration(on)
    on.receive(one.trigger.key, outlook(50), NOW)
    assert on.answer(one, NOW + 1) is on.answer(one, NOW + 14)


def test_a_new_trigger_is_announced_once():
    """The refresh hears of it at its first call, and not again."""
    seen = []
    on = Registry(TriggerRules(default_server="http://p:9090"), 15.0, on_new=seen.append)
    assert registration(on) is registration(on)
    assert len(seen) == 1


def test_equal_metadata_of_two_objects_are_two_triggers():
    """State is kept by namespace, name and metadata."""
    on = registry()
    assert registration(on, "web") is not registration(on, "api")
    assert registration(on, "web", threshold="20") is not registration(on, "web")


def test_a_faulty_trigger_leaves_no_trace():
    """What cannot be parsed is not watched."""
    on = registry()
    with pytest.raises(TriggerInvalid):
        registration(on, quantile="7")
    assert len(on) == 0


def test_silent_triggers_are_forgotten():
    """Only those without a call for that long."""
    on = registry()
    quiet, busy = registration(on, "quiet"), registration(on, "busy")
    busy.last_called = NOW + 100
    assert on.forget_silent(NOW + 120, 60) == [quiet]
    assert list(on) == [busy]


@pytest.mark.parametrize(
    ("age", "expected"),
    [(0.0, NOW), (1.0, NOW), (23.9, NOW), (24.0, NOW + 15), (30.0, NOW + 30), (3600.0, NOW + 3600)],
)
def test_moments_are_ticks(age: float, expected: float):
    """The outlook's own tick until a refresh and a half later, then the newest tick."""
    assert moment_of(outlook(1, NOW + 1.5), NOW + age, 15.0) == expected


def test_deciding_is_a_function_of_its_arguments():
    """Two replicas with the same outlook give the same plan for the same moment."""
    one = registration(registry())
    same = outlook(50, forecast=flat_forecast(NOW, [80.0] * 30))
    assert decide(one.trigger, same, NOW + 3, 15.0) == decide(one.trigger, same, NOW + 12, 15.0)


def test_what_was_known_before_the_clock_was_set_back_is_replaced():
    """An outlook from what is now the future keeps none of the present out."""
    on = registry()
    one = registration(on)
    on.receive(one.trigger.key, outlook(50), NOW)
    on.receive(one.trigger.key, outlook(60, NOW - 600), NOW - 600)
    assert on.answer(one, NOW - 600).plan.metric == 60


def test_a_wrong_clock_keeps_nothing_out():
    """An outlook that would count far in the future is not taken: later ones must not wait for it."""
    on = registry()
    one = registration(on)
    on.receive(one.trigger.key, outlook(50), NOW)
    on.receive(one.trigger.key, outlook(1, NOW + 86400), NOW + 1)
    on.receive(one.trigger.key, outlook(60, NOW + 16), NOW + 15)
    assert on.answer(one, NOW + 16).plan.metric == 60


@pytest.mark.parametrize("back", [5, 32, 40])
def test_a_clock_that_is_set_back_leaves_replicas_alike(back):
    """One that was called before is at the plan of one that is called for the first time."""
    called, other = registry(), registry()
    for on, first_call in ((called, 31), (other, None)):
        one = registration(on)
        on.receive(one.trigger.key, outlook(50), NOW)
        if first_call is not None:
            on.answer(one, NOW + first_call)
    answers = [on.answer(next(iter(on)), NOW + 31 - back).plan for on in (called, other)]
    assert answers[0] == answers[1]


NAMES = st.sampled_from(["a", "a-b", "a.b", "b", "b0"])


@given(
    watched=st.sets(st.tuples(NAMES, NAMES), max_size=20),
    forgotten=st.sets(st.tuples(NAMES, NAMES)),
    namespace=st.none() | NAMES,
    name=st.none() | NAMES,
    count=st.integers(1, 4),
)
def test_pages_are_all_that_is_asked_for_in_order(
    watched: set[tuple[str, str]],
    forgotten: set[tuple[str, str]],
    namespace: str | None,
    name: str | None,
    count: int,
):
    """Pages of any size, of all triggers or of one namespace or name, lead through each of them once."""
    on = Registry(TriggerRules(default_server="http://p:9090"), 15.0)
    for one in sorted(watched):
        on.register(*one, METADATA, NOW - (100 if one in forgotten else 0))
    on.forget_silent(NOW, 60)

    seen: list[Registration] = []
    while page := on.page(count, seen[-1].trigger.key if seen else "", namespace, name):
        assert len(page) <= count
        seen += page

    wanted = [one for one in on if namespace in (None, one.trigger.namespace) and name in (None, one.trigger.name)]
    assert seen == sorted(wanted, key=lambda one: one.trigger.key)
