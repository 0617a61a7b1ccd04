"""Telemetry of the watched triggers, as Prometheus reads it."""

import asyncio
import subprocess

import pytest
from prometheus_client.parser import text_string_to_metric_families

from scaler.anomalies import Seen
from scaler.registry import ListedBy, Registry
from scaler.savings import Account, Ran, Stretch
from scaler.scoring.uncertainty import Doubt
from scaler.series import Observation, Outlook
from scaler.status.exposition import CALLED_SECONDS, OF_ACCOUNT, exposition
from scaler.status.shares import Turns
from scaler.telemetry.metrics import Telemetry
from scaler.telemetry.process_figures import TRIGGERS_BY_RUNG
from scaler.telemetry.trigger_figures import TRIGGER_FIGURES
from scaler.trigger import TriggerRules
from tests.servers.programs import program
from tests.status.registry import NOW, filled_registry, forecast
from tests.status.scores import scored


async def at_once() -> None:
    """Every piece of work may run."""


async def text(registry: Registry) -> str:
    return b"".join([piece async for piece in exposition(Telemetry(), registry, NOW, at_once)]).decode()


async def figures(registry: Registry) -> dict[tuple[str, ...], float]:
    """(name, trigger's name or other labels …) → value."""
    families = text_string_to_metric_families(await text(registry))
    return {
        (sample.name, *(value for label, value in sample.labels.items() if label not in ("namespace", "trigger"))): (
            sample.value
        )
        for family in families
        for sample in family.samples
    }


async def test_planned_demand_is_what_keda_would_get():
    """The second way to connect reads the same number as the first."""
    registry = filled_registry()
    web = next(registration for registration in registry if registration.trigger.name == "web")
    assert (await figures(registry))["headway_planned_demand", "web"] == registry.answer(web, NOW).plan.metric


async def test_settings_of_a_trigger_that_charts_and_rules_need_are_exported():
    """Mode and policy as labels, the threshold as a value."""
    registry = Registry(TriggerRules("http://p"), 15.0)
    settings = {"query": "a", "threshold": "12.5", "mode": "shadow", "policy": "conservative"}
    registry.register("shop", "web", settings, NOW)
    found = await figures(registry)
    assert found["headway_trigger_info", "web", "shadow", "conservative"] == 1
    assert found["headway_threshold", "web"] == 12.5


async def test_every_trigger_figure_of_the_table_is_written():
    """What is documented is exported, and nothing else."""
    registry = filled_registry()
    key = registry.register("shop", "shadow", {"query": "a", "threshold": "1", "mode": "shadow"}, NOW).trigger.key
    registry.receive(key, Outlook(NOW, Observation(NOW - 5, 42.0, 42.0, 80.0), forecast()), NOW)
    first = next(iter(registry))
    first.scores, first.anomalies = scored, Seen
    first.doubt = lambda: Doubt(1.3, None, None, 100.0, False, False)
    registry.get(key).account = account()
    written = {name for name, *_ in await figures(registry)}
    assert {figure.name for figure in (*TRIGGER_FIGURES, TRIGGERS_BY_RUNG)} <= written


async def test_scores_are_exported_by_the_replica_that_has_them():
    """19 of 20 peaks held, at a third of the loss of the newest observation, and off by a tenth five minutes ahead."""
    registry = Registry(TriggerRules("http://p"), 15.0)
    registry.register("shop", "other", {"query": "a", "threshold": "1"}, NOW)
    registry.register("shop", "web", {"query": "a", "threshold": "1", "quantile": "0.95"}, NOW).scores = scored
    found = await figures(registry)
    assert found["headway_promised_coverage_ratio", "web"] == 0.95
    assert found["headway_promised_coverage_ratio", "other"] == 0.9
    assert found["headway_peak_coverage_ratio", "web"] == 0.95
    assert found["headway_scored_peaks", "web"] == 20
    assert found["headway_forecast_skill_ratio", "web"] == pytest.approx(2 / 3, rel=1e-5)
    assert found["headway_forecast_error_ratio", "web"] == pytest.approx(0.1)
    assert found["headway_forecast_bias_ratio", "web"] == pytest.approx(-0.75)
    assert found["headway_seasonality_ratio", "web"] == pytest.approx(0.75)
    assert ("headway_peak_coverage_ratio", "other") not in found


async def test_a_forecast_that_has_stepped_down_is_seen():
    """Another trigger's is in use."""
    registry = filled_registry()
    web = next(registration for registration in registry if registration.trigger.name == "web")
    seen = Observation(NOW - 5, 42.0, 42.0, 80.0)
    registry.receive(web.trigger.key, Outlook(NOW, seen, forecast(), "", {"lost_by": 2.0}), NOW)
    registry.register("shop", "other", {"query": "a", "threshold": "1"}, NOW)
    registry.receive(
        next(r for r in registry if r.trigger.name == "other").trigger.key, Outlook(NOW, seen, forecast()), NOW
    )
    found = await figures(registry)
    assert (found["headway_forecast_stepped_down", "web"], found["headway_plan_rung", "web"]) == (1, 1)
    assert (found["headway_forecast_stepped_down", "other"], found["headway_plan_rung", "other"]) == (0, 3)


def account() -> Account:
    """A minute at demand 25, where the plan had three ready replicas of ten, and the reactive trigger two."""
    made = Account(("shop", "web", "0f", "predictive"), lambda: "a0")
    made.add(Stretch(NOW - 60, 60.0, Ran(4, 3, changed=True), Ran(2, 2, changed=False)), 25.0, 10.0)
    return made


async def test_what_a_trigger_was_worth_is_counted_where_it_is_refreshed():
    """By side; a replica of Headway that does not refresh it has no line, so that the replicas can be added up."""
    registry = filled_registry()
    web = next(registration for registration in registry if registration.trigger.name == "web")
    web.account = account()
    found = {key: value for key, value in (await figures(registry)).items() if key[0] in WORTH}
    assert found == {
        ("headway_replica_seconds_total", "web", "plan"): 240,
        ("headway_replica_seconds_total", "web", "reactive"): 120,
        ("headway_short_seconds_total", "web", "plan"): 0,
        ("headway_short_seconds_total", "web", "reactive"): 60,
        ("headway_unserved_demand_seconds_total", "web", "plan"): 0,
        ("headway_unserved_demand_seconds_total", "web", "reactive"): 300,
        ("headway_counted_demand_seconds_total", "web"): 1500,
    }


WORTH = {figure.name for figure in TRIGGER_FIGURES if figure.called in OF_ACCOUNT}


@pytest.mark.parametrize("mode", ["predictive", "shadow"])
async def test_parts_of_a_plan_add_up_to_it(mode: str):
    """Each rule that acted has its part: here the need of the forecast, and the floor above it."""
    registry = Registry(TriggerRules("http://p"), 15.0)
    key = registry.register("shop", "web", {"query": "a", "threshold": "10", "mode": mode}, NOW).trigger.key
    registry.receive(key, Outlook(NOW, Observation(NOW - 5, 72.0, 72.0, 80.0), forecast()), NOW)
    found = await figures(registry)
    parts = {key[2]: value for key, value in found.items() if key[0] == "headway_plan_part"}
    assert parts["need"] == found["headway_needed_demand", "web"] == 60
    assert parts["floor"] == 12
    assert "shadow" not in parts
    exported = "headway_shadow_demand" if mode == "shadow" else "headway_planned_demand"
    assert sum(parts.values()) == pytest.approx(found[exported, "web"])


async def test_keda_does_not_read_a_plan_in_shadow_mode():
    """A wrapped query then returns its other half: what KEDA reads is absent, and the plan has another name."""
    registry = Registry(TriggerRules("http://p"), 15.0)
    key = registry.register("shop", "web", {"query": "a", "threshold": "10", "mode": "shadow"}, NOW).trigger.key
    registry.receive(key, Outlook(NOW, Observation(NOW - 5, 42.0, 42.0, 80.0), forecast()), NOW)
    found = await figures(registry)
    assert ("headway_planned_demand", "web") not in found
    assert found["headway_shadow_demand", "web"] == 60


async def test_what_is_unknown_is_absent():
    """Without forecast or observation there is no line, never a made-up 0."""
    found = await figures(filled_registry())
    assert ("headway_needed_demand", "new") not in found
    assert ("headway_planned_demand", "dead") not in found
    assert found["headway_plan_rung", "dead"] == 0
    assert found["headway_plan_rung", "new"] == 1
    assert found["headway_plan_rung", "web"] == 3
    assert found["headway_triggers", "nothing"] == 1


async def test_forecast_is_read_at_the_end_of_the_lead_time():
    """The exported levels are those of the step that covers now plus lead time."""
    registry = Registry(TriggerRules("http://p"), 15.0)
    key = registry.register("shop", "web", {"query": "a", "threshold": "1", "leadTime": "2m"}, NOW).trigger.key
    made = forecast(start=NOW)
    made.quantiles_HQ[1] = 99.0  # from 60 s to 120 s
    registry.receive(key, Outlook(NOW, None, made), NOW)
    found = await figures(registry)
    levels = {key[2]: value for key, value in found.items() if key[0] == "headway_forecast_demand"}
    assert levels == {"0.1": 99.0, "0.5": 99.0, "0.9": 99.0}


async def test_what_nobody_wants_any_more_is_not_exported():
    """Without a call for ten minutes, or unlisted: `max` must not count its plan. Listed ones do not age."""
    registry = Registry(TriggerRules("http://prometheus:9090"), 15.0)
    metadata = {"query": "sum(x)", "threshold": "10"}
    registry.register("shop", "called", metadata, NOW - CALLED_SECONDS)
    registry.register("shop", "silent", metadata, NOW - CALLED_SECONDS - 1)
    registry.register_listed(ListedBy.SETTINGS, "shop", "listed", metadata, NOW - 86400)
    gone = registry.register_listed(ListedBy.ANNOTATION, "shop", "gone", metadata, NOW - 1)
    registry.unlist(gone.trigger.key)
    exported = {name for figure, *labels in await figures(registry) for name in labels if figure == "headway_plan_rung"}
    assert exported == {"called", "listed"}


async def test_two_triggers_of_one_object_are_distinguished():
    """The hash label keeps their lines distinct."""
    registry = Registry(TriggerRules("http://p"), 15.0)
    for query in ("a", "b"):
        registry.register("shop", "web", {"query": query, "threshold": "1"}, NOW)
    lines = [line for line in (await text(registry)).splitlines() if line.startswith("headway_plan_rung{")]
    assert len(set(lines)) == 2


async def test_answers_are_not_held_up_by_a_scrape():
    """The event loop turns many times while thousands of triggers are written."""
    registry = Registry(TriggerRules("http://p"), 15.0)
    for number in range(2000):
        registry.register("shop", f"w{number}", {"query": "a", "threshold": "1"}, NOW)
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    turning = asyncio.create_task(turn())
    shared = Turns()
    async for _ in exposition(Telemetry(), registry, NOW, lambda: shared.mine("a")):
        pass
    turning.cancel()
    assert turns > 50


@pytest.mark.server
def test_promtool_has_nothing_to_say():
    """Prometheus's own linter accepts names, types and help of all that is exported."""
    written = asyncio.run(text(filled_registry())).encode()
    result = subprocess.run([program("promtool"), "check", "metrics"], input=written, capture_output=True, check=False)
    assert (result.returncode, result.stderr.decode()) == (0, "")
