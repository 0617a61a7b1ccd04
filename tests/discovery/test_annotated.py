"""A ScaledObject with annotations: the trigger that is watched for it, or its faults."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.discovery.annotated import KEY_OF, Annotated, PlacedFault, annotation, read_annotated
from scaler.manifest import ManifestError, dotted_path, read_manifest, read_object
from scaler.trigger import TRIGGER_KEYS, TriggerRules
from tests.servers.kubernetes import Json, scaled_object

DEMAND = "sum(rate(http_requests_total[2m]))"
PLAN = 'max(headway_planned_demand{namespace="shop", name="web"})'
RULES = TriggerRules(default_server="http://prometheus:9090")


def read(scaled: Json) -> Annotated | tuple[PlacedFault, ...] | None:
    return read_annotated(read_object(scaled), RULES)


def annotated(**annotations: str) -> dict[str, str]:
    return {"headway.dev/forecast": "true", **{f"headway.dev/{name}": text for name, text in annotations.items()}}


def prometheus(query: str = DEMAND, **metadata: str) -> Json:
    server = {"serverAddress": "http://prometheus:9090", "threshold": "100"}
    return {"type": "prometheus", "metadata": {**server, "query": query, **metadata}}


def with_triggers(*triggers: Json) -> Json:
    scaled = scaled_object()
    scaled["spec"]["triggers"] = list(triggers)
    return scaled


def faults(scaled: Json) -> dict[str, str]:
    """Field → rule."""
    found = read(scaled)
    assert isinstance(found, tuple), f"no faults: {found}"
    assert found
    return {placed.fault.field: placed.fault.rule for placed in found}


@pytest.mark.parametrize("query", [DEMAND, f"{PLAN} or {DEMAND}"], ids=["plain", "wrapped"])
def test_query_threshold_and_server_come_from_the_trigger(query: str) -> None:
    """Wrapped or not, the demand is the same: so is the key of all state, and wrapping loses no history."""
    found = read(with_triggers(prometheus(query)))
    assert isinstance(found, Annotated)
    assert (found.trigger.query, found.trigger.threshold) == (DEMAND, 100.0)
    assert found.trigger.server_address == "http://prometheus:9090"
    assert found.is_wrapped is (query != DEMAND)
    plain = read(with_triggers(prometheus()))
    assert isinstance(plain, Annotated)
    assert found.trigger.key == plain.trigger.key


def test_the_example_is_discovered_and_wrapped() -> None:
    """deploy/examples/discovery.yaml, which the README prints."""
    path = Path(__file__).parents[2] / "deploy" / "examples" / "discovery.yaml"
    (scaled,) = read_manifest(path.read_text()).objects
    found = read_annotated(scaled, TriggerRules(scaled.prometheus_triggers[0].metadata["serverAddress"]))
    assert isinstance(found, Annotated)
    assert found.is_wrapped
    assert found.trigger.query == 'sum(rate(http_requests_total{namespace="shop", app="cart"}[2m]))'
    assert (found.trigger.lead_time_seconds, found.trigger.timezone) == (180.0, "Europe/Berlin")


def test_further_keys_come_from_annotations() -> None:
    """`headway.dev/lead-time` is `leadTime`."""
    texts = {"lead-time": "3m", "policy": "aggressive", "quantile": "0.8", "timezone": "Europe/Berlin"}
    found = read(scaled_object(annotations=annotated(**texts)))
    assert isinstance(found, Annotated)
    trigger = found.trigger
    assert (trigger.lead_time_seconds, trigger.quantile, trigger.timezone) == (180.0, 0.8, "Europe/Berlin")
    assert trigger.policy == "aggressive"


def test_every_key_of_the_trigger_has_one_place() -> None:
    """An annotation, or KEDA's trigger: a new key needs one of them."""
    assert sorted(KEY_OF) == [
        *("headway.dev/history-window", "headway.dev/lead-time", "headway.dev/max-staleness", "headway.dev/mode"),
        *("headway.dev/model", "headway.dev/policy", "headway.dev/quantile", "headway.dev/query-step"),
        "headway.dev/timezone",
    ]
    assert all(annotation(key.name).islower() for key in TRIGGER_KEYS)


@pytest.mark.parametrize("annotations", [{}, {"headway.dev/forecast": "false"}, {"headway.dev/lead-time": "no"}])
def test_without_the_annotation_nothing_is_watched(annotations: dict[str, str]) -> None:
    assert read(scaled_object(annotations=annotations)) is None


ANNOTATION_FAULTS: list[tuple[str, str, str]] = [
    ("headway.dev/forecast", "yes", 'must be "true" or "false", in quotes'),
    ("headway.dev/lead-time", "3", "must be a duration from 1s to 2h (90s, 2m), as far as a forecast reaches"),
    ("headway.dev/leadtime", "3m", "is no annotation of Headway: did you mean headway.dev/lead-time?"),
    ("headway.dev/leadTime", "3m", "is no annotation of Headway: did you mean headway.dev/lead-time?"),
    ("headway.dev/colour", "blue", "is no annotation of Headway"),
    ("headway.dev/query", "up", "is taken from the `prometheus` trigger: write query there, and remove this"),
    ("headway.dev/server-address", "http://a", "is taken from the `prometheus` trigger: write serverAddress there, and "
     "remove this"),
    ("headway.dev/" + "x" * 100_000, "", "is no annotation of Headway"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value", "rule"), ANNOTATION_FAULTS, ids=[row[0][:40] for row in ANNOTATION_FAULTS])
def test_faults_of_annotations(name: str, value: str, rule: str) -> None:
    [(field, found)] = faults(scaled_object(annotations={**annotated(), name: value})).items()
    assert found == rule
    assert name.startswith(field.partition("…")[0])


def test_values_of_unknown_annotations_are_not_shown() -> None:
    """They may be secrets, as in metadata."""
    found = read(scaled_object(annotations=annotated(token="hunter2")))
    assert isinstance(found, tuple)
    assert "hunter2" not in str(found)


def test_many_unknown_annotations_are_not_all_spelled_out() -> None:
    found = read(scaled_object(annotations=annotated(**{f"x{number}": "" for number in range(1000)})))
    assert isinstance(found, tuple)
    assert len(found) <= 20


OTHER = PLAN.replace("web", "api")

CHOICES: list[tuple[str, list[Json], str]] = [
    # situation, triggers, the demand that is forecast, or words of the rule
    ("the only one", [{"type": "cpu", "metadata": {"value": "80"}}, prometheus("sum(a)")], "sum(a)"),
    ("the one that reads the plan", [prometheus("sum(a)"), prometheus(f"{PLAN} or sum(b)")], "sum(b)"),
    ("beside the plan of another", [prometheus(f"{OTHER} or sum(a)"), prometheus("sum(b)")], "sum(b)"),
    ("two, none reads the plan", [prometheus("sum(a)"), prometheus("sum(b)")], "!has 2 triggers of type `prometheus`"),
    ("two read the plan", [prometheus(f"{PLAN} or sum(a)"), prometheus(f"{PLAN} or sum(b)")], "!one trigger that"),
    ("only the plan of another", [prometheus(f"{OTHER} or sum(a)")], "!the plan of another object"),
    ("none", [{"type": "cpu", "metadata": {"value": "80"}}], "!must have a trigger of type `prometheus`"),
    ("no trigger at all", [], "!must have a trigger of type `prometheus`"),
]  # fmt: skip


@pytest.mark.parametrize(("triggers", "expected"), [row[1:] for row in CHOICES], ids=[row[0] for row in CHOICES])
def test_which_trigger_is_forecast(triggers: list[Json], expected: str) -> None:
    found = read(with_triggers(*triggers))
    if expected.startswith("!"):
        assert isinstance(found, tuple)
        assert expected[1:] in found[-1].fault.rule
        assert found[-1].path == ("spec", "triggers")
    else:
        assert isinstance(found, Annotated)
        assert found.trigger.query == expected


TRIGGER_FAULTS: list[tuple[str, Json, str, str]] = [
    ("another server", prometheus(serverAddress="http://elsewhere:9090"), "metadata.serverAddress", "not among the"),
    ("no threshold", prometheus(threshold=""), "metadata.threshold", "is required"),
    ("a token", prometheus(bearerToken="x"), "metadata.bearerToken", "configured by the operator"),
    ("a signature for AWS", prometheus(awsRegion="eu-west-1"), "metadata.awsRegion", "does not sign requests for AWS"),
    ("from the environment", prometheus(queryFromEnv="QUERY"), "metadata.queryFromEnv", "write query"),
    ("metricType", {**prometheus(), "metricType": "Value"}, "metricType", "must be AverageValue"),
    ("half a query", prometheus(PLAN), "metadata.query", "the demand itself after the plan"),
    ("a long query", prometheus("x" * 5000), "metadata.query", "at most 4096"),
    ("a long wrapped query", prometheus(f"{PLAN} or {'x' * 6000}"), "metadata.query", "at most 5120"),
    ("a credential in a parameter", prometheus(queryParameters="token=x"), "metadata.queryParameters", "credential"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("trigger", "field", "rule"), [row[1:] for row in TRIGGER_FAULTS], ids=[row[0] for row in TRIGGER_FAULTS]
)
def test_faults_of_the_trigger(trigger: Json, field: str, rule: str) -> None:
    """The rules are those of a trigger that KEDA sends; the field says where it stands."""
    found = faults(with_triggers(trigger))
    assert rule in found[f"spec.triggers[0].{field}"]


def test_credentials_of_keda_are_ignored() -> None:
    """The operator of Headway configures credentials by server; KEDA's are not read."""
    trigger = prometheus(authModes="bearer", customHeaders="X-Scope-OrgID=shop", unsafeSsl="true")
    found = read(with_triggers({**trigger, "authenticationRef": {"name": "prometheus"}}))
    assert isinstance(found, Annotated)
    assert set(found.metadata) == {"query", "threshold", "serverAddress"}


def test_all_faults_are_reported_at_once() -> None:
    scaled = scaled_object(annotations=annotated(mode="fast", colour="blue"), threshold="-1", query=PLAN)
    assert len(faults(scaled)) == 4


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["scaleTargetRef", "triggers", "fallback"]), JSON), JSON, JSON)
def test_any_object_is_read_or_refused(spec: dict[str, Any], trigger: Any, metadata: Any) -> None:
    """Whatever a tenant gets past the API server raises nothing but ManifestError, and every fault has a place."""
    scaled = scaled_object()
    scaled["spec"] = {"triggers": [trigger, {"type": "prometheus", "metadata": metadata}], **spec}
    try:
        found = read(scaled)
    except ManifestError:
        return
    for placed in found if isinstance(found, tuple) else ():
        assert dotted_path(placed.path)
        assert placed.fault.rule


@given(st.dictionaries(st.sampled_from(sorted(KEY_OF)), st.text()))
def test_any_annotation_is_taken_or_refused(annotations: dict[str, str]) -> None:
    found = read(scaled_object(annotations={"headway.dev/forecast": "true", **annotations}))
    if isinstance(found, tuple):
        assert {placed.fault.field for placed in found} <= set(annotations)
