"""What discovery does with objects: lists, replaces, drops and refuses, and says each once."""

import math
from typing import Any

import pytest
import structlog

from scaler.discovery import known as known_module
from scaler.discovery.annotated import read_annotated
from scaler.discovery.known import KnownObjects
from scaler.manifest import ScaledObject
from scaler.quotas import NO_LIMITS, Limits
from scaler.registry import Registration, Registry
from scaler.telemetry.metrics import Telemetry
from scaler.trigger import TriggerRules
from tests.servers.kubernetes import scaled_object

NOW = 1_000_000.0
SILENCE = 3600.0


class Process:
    def __init__(self, *in_settings: tuple[str, str], limits: Limits = NO_LIMITS) -> None:
        rules = TriggerRules(allowed_servers=("http://prometheus:9090",))
        self.registry = Registry(rules, 15.0, limits=limits)
        self.telemetry = Telemetry()
        self.known = KnownObjects(self.registry, self.telemetry, in_settings)

    def see(self, name: str = "web", scope: str = "shop", **fields: Any) -> None:
        self.known.see(scope, scaled_object(name, **fields), NOW)

    def listed(self) -> list[Registration]:
        return [one for one in self.registry if one.listed_by is not None]

    def figure(self, name: str) -> float | None:
        return self.telemetry.registry.get_sample_value(f"headway_{name}")


def test_a_listed_trigger_outlives_silence_and_is_dropped_at_once_when_unlisted() -> None:
    """While the object exists its trigger never expires; once it is gone, the next refresh forgets the trigger."""
    it = Process()
    it.see()
    assert it.registry.forget_silent(NOW + 100 * SILENCE, SILENCE) == []
    it.known.gone("shop", "web")
    assert [one.trigger.name for one in it.registry.forget_silent(NOW + 1, SILENCE)] == ["web"]


def test_an_unlisted_trigger_is_dropped_also_while_nothing_falls_silent() -> None:
    """After a time in which nobody could call, silence proves nothing; KEDA never called for this one."""
    it = Process()
    it.see()
    called = it.registry.register(
        "shop", "called", {"query": "sum(a)", "threshold": "1", "serverAddress": "http://prometheus:9090"}, NOW
    )
    assert it.registry.forget_silent(NOW + 1, math.inf) == []
    it.known.gone("shop", "web")
    assert [one.trigger.name for one in it.registry.forget_silent(NOW + 100 * SILENCE, math.inf)] == ["web"]
    assert list(it.registry) == [called]


def test_an_object_beyond_a_quota_is_refused_until_there_is_room() -> None:
    """It says which quota, once; the others stay. A list that finds room watches it."""
    it = Process(limits=Limits(100, 2))
    for name in ("a", "b", "c"):
        it.see(name)
    assert [one.trigger.name for one in it.listed()] == ["a", "b"]
    refusal = it.known.refusal("shop", "c")
    assert refusal is not None
    assert "max-triggers-per-namespace" in str(refusal.faults[0])
    assert [it.known.lacked_room(scope) for scope in ("*", "shop", "shop")] == [False, True, False]
    it.see("a", threshold="7")
    assert [one.trigger.threshold for one in it.listed()] == [100, 7], "an edit needs no more room"
    it.known.gone("shop", "b")
    it.see("c")
    assert [one.trigger.name for one in it.listed()] == ["a", "c"]
    assert it.known.refusal("shop", "c") is None


def test_a_trigger_that_keda_calls_for_too_outlives_its_object() -> None:
    """KEDA's calls count for themselves."""
    it = Process()
    it.see()
    [registration] = it.listed()
    it.registry.register("shop", "web", registration.metadata, NOW + 100)
    it.known.gone("shop", "web")
    assert it.registry.forget_silent(NOW + SILENCE / 2, SILENCE) == []
    assert len(it.registry.forget_silent(NOW + 100 + SILENCE + 1, SILENCE)) == 1


def test_a_changed_object_replaces_its_trigger() -> None:
    it = Process()
    it.see()
    it.see(threshold="50")
    assert [one.trigger.threshold for one in it.listed()] == [50.0]
    assert len(it.registry.forget_silent(NOW, SILENCE)) == 1
    assert it.figure("discovered_objects") == 1.0


def test_wrapping_the_query_changes_nothing() -> None:
    """History and forecasts go on."""
    it = Process()
    it.see()
    [before] = it.listed()
    it.see(query='max(headway_planned_demand{namespace="shop", name="web"}) or sum(rate(http_requests_total[2m]))')
    assert it.listed() == [before]
    assert it.registry.forget_silent(NOW, SILENCE) == []


def test_a_status_that_changes_is_no_news() -> None:
    """KEDA writes the status of an object again and again: nothing is logged or registered anew."""
    it = Process()
    it.see()
    with structlog.testing.capture_logs() as logs:
        it.known.see("shop", {**scaled_object(), "status": {"lastActiveTime": "2026-01-01T00:00:00Z"}}, NOW)
    assert logs == []


@pytest.mark.parametrize(
    "change",
    [{"annotations": {}}, {"annotations": {"headway.dev/forecast": "false"}}, {"deleted": True}],
    ids=["annotation removed", "annotation false", "in deletion"],
)
def test_an_object_that_asks_no_longer_is_dropped(change: dict[str, Any]) -> None:
    it = Process()
    it.see()
    scaled = scaled_object(annotations=change.get("annotations"))
    if change.get("deleted"):
        scaled["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert it.known.see("shop", scaled, NOW) is None
    assert it.listed() == []
    assert (it.figure("discovered_objects"), it.known.refusals()) == (0.0, [])


def test_a_paused_object_stays_watched() -> None:
    """Its history goes on, so that it is forecast well from the moment at which it is resumed."""
    it = Process()
    it.see(annotations={"headway.dev/forecast": "true", "autoscaling.keda.sh/paused": "true"})
    assert len(it.listed()) == 1


def test_faults_are_logged_once_and_drop_the_trigger() -> None:
    """A plan for a query that the object no longer has would be wrong: KEDA reads the half after `or` meanwhile."""
    it = Process()
    it.see()
    with structlog.testing.capture_logs() as logs:
        for _ in range(3):
            it.see(serverAddress="http://elsewhere:9090")
    assert it.listed() == []
    [entry] = logs
    assert (entry["event"], entry["log_level"], entry["name"]) == ("discovery_refused", "warning", "web")
    assert "not among the servers" in entry["faults"][0]
    refusal = it.known.refusal("shop", "web")
    assert refusal is not None
    assert [fault.field for fault in refusal.faults] == ["spec.triggers[0].metadata.serverAddress"]
    assert (it.figure("discovery_refused_objects"), it.figure("discovered_objects")) == (1.0, 0.0)
    it.see()
    assert len(it.listed()) == 1
    assert it.known.refusal("shop", "web") is None


def test_an_object_that_the_settings_list_is_refused() -> None:
    """Two triggers of one object would be mixed by `max`."""
    it = Process(("shop", "web"))
    it.see()
    [refusal] = it.known.refusals()
    assert "settings list" in refusal.faults[0].rule


def test_a_list_drops_only_what_is_missing_in_its_own_scope() -> None:
    it = Process()
    it.see("web")
    it.see("api")
    it.see("blog", scope="blog", namespace="blog")
    it.known.keep_only("shop", {("shop", "api")})
    assert {one.trigger.name for one in it.listed()} == {"api", "blog"}


def test_there_are_not_more_objects_than_one_process_can_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    """One too many is refused, and taken when there is room and it is seen again; known ones may still change."""
    monkeypatch.setattr(known_module, "MOST_WATCHED", 2)
    it = Process()
    for name in ("a", "b", "c"):
        it.see(name)
    assert [refusal.name for refusal in it.known.refusals()] == ["c"]
    it.see("a", threshold="7")
    assert it.figure("discovered_objects") == 2.0
    it.known.gone("shop", "b")
    it.see("c")
    assert {one.trigger.name for one in it.listed()} == {"a", "c"}


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"metadata": None},
        {"metadata": {"name": "web"}},
        {"metadata": {"name": 1, "namespace": "shop"}},
        {"metadata": {"name": "web", "namespace": "shop", "annotations": [1]}},
    ],
)
def test_what_is_no_object_is_passed_over(value: dict[str, Any]) -> None:
    assert Process().known.see("shop", value, NOW) is None


def test_a_fault_of_ours_in_one_object_disturbs_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused with a pointer to the log, and the next object is read as usual."""
    it = Process()

    def broken(scaled: ScaledObject, rules: TriggerRules) -> Any:
        if scaled.name == "web":
            raise ZeroDivisionError
        return read_annotated(scaled, rules)

    monkeypatch.setattr(known_module, "read_annotated", broken)
    with structlog.testing.capture_logs() as logs:
        it.see("web")
        it.see("api")
    assert [one.trigger.name for one in it.listed()] == ["api"]
    assert [entry["event"] for entry in logs] == ["discovery_failed", "discovery_refused", "discovered"]


def test_an_object_nested_deeply_is_refused() -> None:
    it = Process()
    nested: Any = {}
    for _ in range(5000):
        nested = {"a": nested}
    with structlog.testing.capture_logs():
        it.known.see("shop", {**scaled_object(), "spec": {"advanced": nested}}, NOW)
    assert [refusal.name for refusal in it.known.refusals()] == ["web"]


def test_a_spec_of_a_wrong_kind_is_a_fault() -> None:
    it = Process()
    it.known.see("shop", {**scaled_object(), "spec": {"triggers": {}}}, NOW)
    it.known.see("shop", {**scaled_object("api"), "spec": {"triggers": [{"metadata": {"query": ["a"]}}]}}, NOW)
    assert [refusal.faults[0].rule for refusal in it.known.refusals()] == [
        "spec.triggers[0].metadata.query: must be a string, not a list",
        "spec.triggers={}: must be a list",
    ]


@pytest.mark.parametrize("place", ["triggers", "advanced"])
def test_an_object_of_many_values_is_refused_unread(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading it would hold up the answers to everybody."""
    it = Process()
    read: list[object] = []
    monkeypatch.setattr(known_module, "read_object", read.append)
    scaled = scaled_object("web")
    many = [{"type": "cron", "metadata": {"end": "0 * * * *"}}] * (known_module.MOST_VALUES // 3)
    scaled["spec"][place] = many if place == "triggers" else {"policies": many}
    it.known.see("shop", scaled, NOW)
    refusal = it.known.refusal("shop", "web")
    assert refusal is not None
    assert "more than 2000 values" in str(refusal.faults[0])
    assert read == []


@pytest.mark.parametrize(("value", "size"), [("x", 1), ([], 1), ({"a": ["b", {"c": 1}], "d": None}, 6)])
def test_values_are_counted_at_every_depth(value: object, size: int) -> None:
    assert known_module.has_at_most(size, value)
    assert not known_module.has_at_most(size - 1, value)
