"""Each row is one ScaledObject, changed in one place, and what `headway check` must say about it."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from scaler.checks import Context, Finding, inspect
from scaler.checks.metadata import SHIPPED_BUNDLES
from scaler.forecast.catalog import SHIPPED
from scaler.manifest import ScaledObject, read_manifest
from scaler.trigger import TriggerRules

ROOT = Path(__file__).parents[3]

GOOD: dict[str, Any] = {
    "apiVersion": "keda.sh/v1alpha1",
    "kind": "ScaledObject",
    "metadata": {"name": "web", "namespace": "shop"},
    "spec": {
        "scaleTargetRef": {"name": "web"},
        "minReplicaCount": 2,
        "maxReplicaCount": 20,
        "fallback": {"failureThreshold": 3, "replicas": 6, "behavior": "currentReplicasIfHigher"},
        "triggers": [
            {
                "type": "external",
                "metadata": {
                    "scalerAddress": "dns:///headway.keda:50051",
                    "query": "sum(rate(http_requests_total[1m]))",
                    "threshold": "50",
                },
            },
            {"type": "prometheus", "metadata": {"serverAddress": "http://p:9090", "query": "up", "threshold": "50"}},
            {"type": "cpu", "metricType": "Utilization", "metadata": {"value": "80"}},
        ],
    },
}


def check(change: Callable[[dict[str, Any]], object], keda: tuple[int, int, int] = (2, 20, 2)) -> list[Finding]:
    """Findings for the good object after `change` has changed it in place."""
    document = copy.deepcopy(GOOD)
    change(document)
    manifest = read_manifest(yaml.safe_dump(document))
    (scaled,) = manifest.objects
    return inspect(scaled, Context(keda_version=keda, tls_parameters=manifest.tls_parameters))


def scaled_object() -> ScaledObject:
    """The good object."""
    (scaled,) = read_manifest(yaml.safe_dump(GOOD)).objects
    return scaled


def spec(**fields: Any) -> Callable[[dict[str, Any]], object]:
    return lambda document: document["spec"].update(fields)


def trigger(**fields: Any) -> Callable[[dict[str, Any]], object]:
    return lambda document: document["spec"]["triggers"][0].update(fields)


def metadata(**fields: Any) -> Callable[[dict[str, Any]], object]:
    return lambda document: document["spec"]["triggers"][0]["metadata"].update(fields)


def without(*path: Any) -> Callable[[dict[str, Any]], object]:
    def remove(document: dict[str, Any]) -> None:
        here: Any = document["spec"]
        for step in path[:-1]:
            here = here[step]
        del here[path[-1]]

    return remove


def beside(*kinds: str) -> Callable[[dict[str, Any]], object]:
    """Our trigger beside triggers of these types alone."""

    def change(document: dict[str, Any]) -> None:
        ours, other, _ = document["spec"]["triggers"]
        document["spec"]["triggers"] = [ours, *({**other, "type": kind} for kind in kinds)]

    return change


def both(*changes: Callable[[dict[str, Any]], object]) -> Callable[[dict[str, Any]], object]:
    return lambda document: [change(document) for change in changes]


def reactive(**fields: Any) -> Callable[[dict[str, Any]], object]:
    return lambda document: document["spec"]["triggers"][1]["metadata"].update(fields)


def up(**fields: Any) -> Callable[[dict[str, Any]], object]:
    return spec(advanced={"horizontalPodAutoscalerConfig": {"behavior": {"scaleUp": fields}}})


def formula(text: str, behavior: str = "currentReplicasIfHigher") -> Callable[[dict[str, Any]], object]:
    def change(document: dict[str, Any]) -> None:
        document["spec"]["fallback"]["behavior"] = behavior
        document["spec"]["advanced"] = {"scalingModifiers": {"formula": text, "target": "1"}}
        document["spec"]["triggers"][0]["name"] = "ours"

    return change


def at_zero(kind: str, wait: object) -> Callable[[dict[str, Any]], object]:
    def change(document: dict[str, Any]) -> None:
        document["spec"].update(minReplicaCount=0, initialCooldownPeriod=wait)
        document["spec"]["triggers"][0]["type"] = kind

    return change


SITUATIONS: list[tuple[str, Callable[[dict[str, Any]], object], str]] = [
    # situation, change, "level rule" of everything found
    ("a good object", lambda _: None, ""),
    ("a misspelt key", metadata(treshold="50"), "error trigger-fault"),
    ("a quantile that is none", metadata(quantile="2"), "error trigger-fault"),
    ("two faults at once", metadata(quantile="2", leadTime="soon"), "error trigger-fault, error trigger-fault"),
    ("an unquoted number", metadata(threshold=50), "error unquoted-value"),
    ("an unquoted number of somebody else", lambda d: d["spec"]["triggers"][1]["metadata"].update(threshold=5),
     "error unquoted-value"),
    ("only a cron trigger", lambda d: d["spec"]["triggers"].pop(0), "warning no-trigger-of-ours"),
    ("address from the environment", metadata(scalerAddressFromEnv="A"), "error from-env"),
    ("query from the environment", metadata(queryParametersFromEnv="tenant=a"), "advice from-env"),
    ("shadow mode", metadata(mode="shadow"), "advice mode"),
    ("empty answers count as 0", metadata(ignoreNullValues="true"), "warning ignore-null-values"),
    ("a bundle that ships", metadata(model="seasonal@1"), ""),
    ("a bundle that the scaler may lack", metadata(model="nonsense"), "advice model"),
    ("a short lead time", metadata(leadTime="30s"), "warning lead-time"),
    ("no address", without("triggers", 0, "metadata", "scalerAddress"), "error scaler-address"),
    ("an address without port", metadata(scalerAddress="dns:///headway"), "error scaler-address"),
    ("a web address", metadata(scalerAddress="http://headway:50051"), "error scaler-address"),
    ("an IP address", metadata(scalerAddress="10.0.0.1:50051"), "warning scaler-address"),
    ("a ClusterIP Service", metadata(scalerAddress="headway.keda:50051"), "warning scaler-address"),
    ("a CA path in metadata", metadata(caCert="/certs/ca.pem"), "error tls-keys-in-metadata"),
    ("unsafeSsl without TLS", metadata(unsafeSsl="true"), "warning unsafe-ssl"),
    ("unsafeSsl with TLS", metadata(unsafeSsl="true", enableTLS="true"), "warning unsafe-ssl"),
    ("a ScaledJob", lambda d: d.update(kind="ScaledJob"), "warning scaled-job"),
    ("metricType Value", trigger(metricType="Value"), "error metric-type"),
    ("metricType AverageValue", trigger(metricType="AverageValue"), ""),
    ("a blank metricType", trigger(metricType=""), ""),
    ("no metricType at all", trigger(metricType=None), ""),
    ("no other trigger", beside(), "warning reactive-floor"),
    ("cron is not reactive", beside("cron"), "warning reactive-floor"),
    ("nor is another external scaler", beside("predictkube"), "warning reactive-floor"),
    ("cpu as the reactive trigger", beside("cpu"), ""),
    ("memory as the reactive trigger", beside("memory"), ""),
    ("a reactive trigger that needs KEDA", beside("prometheus"), "advice resource-floor"),
    ("several that need KEDA", beside("prometheus", "rabbitmq", "cron"), "advice resource-floor"),
    ("one of them needs no KEDA", beside("prometheus", "memory"), ""),
    ("no fallback", without("fallback"), "warning fallback"),
    ("static fallback", spec(fallback={"failureThreshold": 3, "replicas": 6}), "warning fallback"),
    ("fallback without threshold", spec(fallback={"replicas": 6, "behavior": "currentReplicas"}), "error fallback"),
    ("fallback below the minimum",
     spec(fallback={"failureThreshold": 3, "replicas": 1, "behavior": "currentReplicas"}), "advice fallback"),
    ("a formula without stand-in", formula("max(ours, p)"), "warning scaling-modifiers, advice scaling-modifiers"),
    ("a stand-in without its fallback", formula("max(ours ?? 0, p)"),
     "warning scaling-modifiers, advice scaling-modifiers"),
    ("a formula with stand-in", formula("max(ours ?? 0, p)", behavior="scalingModifiers"), "advice scaling-modifiers"),
    ("maximum below minimum", spec(maxReplicaCount=1), "error replica-bounds"),
    ("minimum zero", spec(minReplicaCount=0), "warning fallback-at-zero, warning minimum-zero"),
    ("minimum not written", without("minReplicaCount"), "warning fallback-at-zero, warning minimum-zero"),
    ("minimum zero, woken by a push", at_zero("external-push", 600), "warning fallback-at-zero"),
    ("the same without fallback", both(at_zero("external-push", 600), without("fallback")), ""),
    ("the same without another trigger", both(at_zero("external-push", 600), beside()), "warning reactive-floor"),
    ("minimum one, woken by a push", both(at_zero("external-push", 600), spec(minReplicaCount=1)), ""),
    ("minimum zero, woken by a push, without time at the start", both(at_zero("external-push", 0), without("fallback")),
     "warning minimum-zero"),
    ("minimum zero, woken by a poll", both(at_zero("external", 600), without("fallback")), "warning minimum-zero"),
    ("a key that KEDA does not know", spec(minReplicas=4), "warning unknown-key"),
    ("in the wrong place", spec(advanced={"behavior": {}}), "warning unknown-key"),
    ("in the behavior", up(stabilisationWindowSeconds=0), "warning unknown-key"),
    ("in a policy", up(policies=[{"type": "Pods", "value": 4, "periodSeconds": 15, "for": 9}]), "warning unknown-key"),
    ("in a trigger", trigger(metricTyp="Value"), "warning unknown-key"),
    ("a slip in KEDA's own trigger", reactive(activationTreshold="5"), "warning unknown-key"),
    ("a key of KEDA's own trigger that we do not read", reactive(awsRegion="eu", unsafeSsl="true"), ""),
    ("idle at zero", spec(idleReplicaCount=0), "warning idle-replicas"),
    ("idle at one", spec(idleReplicaCount=1), "error idle-replicas"),
    ("a short polling interval", spec(pollingInterval=5), "advice polling-interval"),
    ("the default polling interval", spec(pollingInterval=30), ""),
    ("cached metrics", trigger(useCachedMetrics=True), "warning cached-metrics"),
    ("a scale-up window", up(stabilizationWindowSeconds=120), "warning scale-up"),
    ("no scale-up window", up(stabilizationWindowSeconds=0), ""),
    ("no scale-up at all", up(selectPolicy="Disabled"), "error scale-up"),
    ("a slow policy", up(policies=[{"type": "Pods", "value": 1, "periodSeconds": 60}]), "advice scale-up"),
    ("a fast policy", up(policies=[{"type": "Percent", "value": 100, "periodSeconds": 15}]), ""),
    ("paused", lambda d: d["metadata"].update(annotations={"autoscaling.keda.sh/paused": "true"}), "warning paused"),
    ("a name for the metric", metadata(metricName="requests"), "advice retired-key"),
    ("the same in KEDA's own trigger", reactive(metricName="requests"), "advice retired-key"),
    ("a switch of KEDA 1", metadata(disableScaleToZero="false"), "advice retired-key"),
    ("a tenant as it was", reactive(cortexOrgID="team"), "advice retired-key"),
    ("a retired key with a slip", metadata(metricNames="requests"), "error trigger-fault"),
    ("blank values", metadata(timeout="", namespace=" ", enableTLS="", caCert="", leadTime=""), ""),
    ("the same in KEDA's own trigger", reactive(timeout="", ignoreNullValues=" ", customHeaders=""), ""),
    ("a boolean that KEDA refuses", metadata(enableTLS="True"), "error keda-fault"),
    ("the same in KEDA's own trigger", reactive(ignoreNullValues="False"), "error keda-fault"),
    ("an address without a scheme", reactive(serverAddress="prometheus:9090"), "error keda-fault"),
    ("an IP address without a scheme", reactive(serverAddress="127.0.0.1:9090"), "error keda-fault"),
    ("user and password in the address", reactive(serverAddress="http://user:pw@p:9090"), ""),
    ("a threshold that is no number", reactive(threshold="abc"), "error keda-fault"),
    ("a number that JSON does not know", reactive(threshold="+5", activationThreshold=".5"),
     "error keda-fault, error keda-fault"),
    ("parameters without a value", reactive(queryParameters="dedup"), "error keda-fault"),
    ("a blank query", reactive(query=" "), "error keda-fault"),
    ("no query", without("triggers", 1, "metadata", "query"), "error keda-fault"),
    ("no address of the server", without("triggers", 1, "metadata", "serverAddress"), "error keda-fault"),
    ("a threshold that KEDA rounds", metadata(threshold="0.0015"), "error trigger-fault"),
    ("the same in KEDA's own trigger", reactive(threshold="0.0015"), "warning rounded-threshold"),
    ("thousandths", reactive(threshold="0.015"), ""),
    ("a quoted minimum", spec(minReplicaCount="0"), "error field-type"),
    ("a quoted maximum", spec(maxReplicaCount="1"), "error field-type"),
    ("a broken maximum", spec(maxReplicaCount=2.5), "error field-type"),
    ("a maximum beyond 32 bits", spec(maxReplicaCount=2**31), "error field-type"),
    ("a quoted polling interval", spec(pollingInterval="5"), "error field-type"),
    ("a quoted cooldown", spec(cooldownPeriod="300"), "error field-type"),
    ("a quoted idle count", spec(idleReplicaCount="0"), "error field-type"),
    ("a quoted wait at zero", both(at_zero("external-push", "600"), without("fallback")), "error field-type"),
    ("a quoted window", up(stabilizationWindowSeconds="120"), "error field-type"),
    ("a quoted policy", up(policies=[{"type": "Pods", "value": "1", "periodSeconds": 60}]), "error field-type"),
    ("a policy that is none", up(policies=["fast"]), "error field-type"),
    ("a quoted tolerance", up(tolerance="0.05"), ""),
    ("a tolerance that is a float", up(tolerance=0.05), "error field-type"),
    ("a quoted boolean", trigger(useCachedMetrics="true"), "error field-type"),
    ("a number as name", lambda d: d["metadata"].update(name=5), "error field-type"),
    ("a boolean annotation", lambda d: d["metadata"].update(annotations={"a": True}), "error field-type"),
    ("an unquoted target of a formula", lambda d: d["spec"].update(advanced={"scalingModifiers": {"target": 1}}),
     "error field-type"),
    ("a fallback that is a list", spec(fallback=[1]), "error field-type"),
    ("nothing written", spec(cooldownPeriod=None, minReplicaCount=2), ""),
    ("a quoted template", spec(maxReplicaCount="{{ .Values.max }}"), "error template, error field-type"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "expected"), [row[1:] for row in SITUATIONS], ids=[row[0] for row in SITUATIONS])
def test_situation(change: Callable[[dict[str, Any]], object], expected: str) -> None:
    """Exactly the expected findings, and nothing else."""
    assert ", ".join(f"{finding.level} {finding.rule}" for finding in check(change)) == expected


OWN = '{namespace="shop", name="web"}'
DEMAND = "sum(rate(http_requests_total[1m]))"
PLAN = f"max(headway_planned_demand{OWN})"


def reads(query: str, reactive: bool = False, **fields: str) -> Callable[[dict[str, Any]], object]:
    """KEDA's own trigger alone, reading the plan; with `reactive` the other one stays beside it."""

    def change(document: dict[str, Any]) -> None:
        other = document["spec"]["triggers"][1]
        planned = {"type": "prometheus", "metadata": {**other["metadata"], "query": query, **fields}}
        document["spec"]["triggers"] = [planned, other] if reactive else [planned]

    return change


PLANNED: list[tuple[str, Callable[[dict[str, Any]], object], str]] = [
    # situation, change, "level: words" of everything found
    ("the plan or the demand", reads(f"{PLAN} or {DEMAND}"), ""),
    ("a maximum over time", reads(f"max(max_over_time(headway_planned_demand{OWN}[5m])) or {DEMAND}"), ""),
    ("blanks and single quotes", reads(f"max ( headway_planned_demand {OWN} )\nor\n{DEMAND}".replace('"', "'")), ""),
    ("no maximum", reads(f"headway_planned_demand{OWN} or {DEMAND}"), "error: not read as max"),
    ("a sum of the replicas", reads(f"sum(headway_planned_demand{OWN}) or {DEMAND}"), "error: not read as max"),
    ("a maximum by name", reads(f"{PLAN} by (name) or {DEMAND}"), "error: not read as max"),
    ("a maximum by name, in front", reads(f"max by (name) (headway_planned_demand{OWN}) or {DEMAND}"),
     "error: not read as max"),
    ("no stand-in", reads(PLAN), "warning: which KEDA reads as 0"),
    ("no stand-in, empty is an error", reads(PLAN, ignoreNullValues="false"), "warning: nothing scales up"),
    ("no stand-in, but a reactive trigger", reads(PLAN, reactive=True), ""),
    ("0 as stand-in", reads(f"{PLAN} or vector(0)"), "warning: 0 stands in"),
    ("the demand first", reads(f"{DEMAND} or {PLAN}"), "warning: after `or`"),
    ("no labels", reads(f"max(headway_planned_demand) or {DEMAND}"),
     'error: without namespace="shop", error: without name="web"'),
    ("no name", reads(f'max(headway_planned_demand{{namespace="shop"}}) or {DEMAND}'), 'error: without name="web"'),
    ("the name of another", reads(f'max(headway_planned_demand{{namespace="shop",name="api"}}) or {DEMAND}'),
     'warning: has name="api"'),
    ("scraped without honor_labels",
     reads(f'max(headway_planned_demand{{namespace="keda",exported_namespace="shop",name="web"}}) or {DEMAND}'), ""),
    ("a pattern", reads(f'max(headway_planned_demand{{namespace=~"shop|x",name="web"}}) or {DEMAND}'), ""),
]  # fmt: skip


@pytest.mark.parametrize(("change", "expected"), [row[1:] for row in PLANNED], ids=[row[0] for row in PLANNED])
def test_reading_the_plan(change: Callable[[dict[str, Any]], object], expected: str) -> None:
    """A `prometheus` trigger that reads the plan has exactly the expected findings."""
    found, wanted = check(change), [text.split(": ", 1) for text in expected.split(", ") if text]
    assert [finding.level for finding in found] == [level for level, _ in wanted]
    assert {finding.rule for finding in found} <= {"planned-demand"}
    for finding, (_, words) in zip(found, wanted, strict=True):
        assert words in finding.text


def asks(query: str = DEMAND, fields: dict[str, Any] | None = None, **annotations: Any) -> Callable[..., object]:
    """An annotated object with KEDA's own trigger alone."""

    def change(document: dict[str, Any]) -> None:
        written = {f"headway.dev/{name.replace('_', '-')}": value for name, value in annotations.items()}
        document["metadata"]["annotations"] = {"headway.dev/forecast": "true"} | written
        other = document["spec"]["triggers"][1]
        document["spec"]["triggers"] = [{**other, "metadata": {**other["metadata"], "query": query}, **(fields or {})}]

    return change


ANNOTATED: list[tuple[str, Callable[..., object], str]] = [
    # situation, change, "level rule: words" of everything found
    ("wrapped", asks(f"{PLAN} or {DEMAND}"), ""),
    ("with keys", asks(f"{PLAN} or {DEMAND}", lead_time="3m", policy="aggressive"), ""),
    ("not wrapped", asks(), "advice not-wrapped: changes no replicas"),
    ("switched off", asks(f"{PLAN} or {DEMAND}", forecast="false"), ""),
    ("a wrong value", asks(f"{PLAN} or {DEMAND}", lead_time="soon"), "error annotation: headway.dev/lead-time='soon'"),
    ("a slip", asks(f"{PLAN} or {DEMAND}", leadtime="3m"), "error annotation: did you mean headway.dev/lead-time?"),
    ("no string", asks(f"{PLAN} or {DEMAND}", forecast=True), "error annotation: in quotes; error field-type: string"),
    ("half a query", asks(PLAN), "error annotation: demand itself after; warning planned-demand: Nothing stands in"),
    ("keys without effect", asks(f"{PLAN} or {DEMAND}", forecast=None, lead_time="3m"),
     "warning annotation: without headway.dev/forecast it has no effect"),
    ("a slip without effect", asks(f"{PLAN} or {DEMAND}", forecast=None, leadtime="3m"),
     "error annotation: did you mean; warning annotation: no effect"),
    ("a ScaledJob", lambda d: (asks(f"{PLAN} or {DEMAND}")(d), d.update(kind="ScaledJob")),
     "warning annotation: not discovered; warning scaled-job: jobs"),
    ("KEDA's credentials", asks(f"{PLAN} or {DEMAND}", {"authenticationRef": {"name": "prometheus"}}),
     "advice server-credentials: its own settings"),
    ("a short lead time", asks(f"{PLAN} or {DEMAND}", lead_time="30s"), "warning lead-time: 30s hardly covers"),
    ("shadow mode", asks(f"{PLAN} or {DEMAND}", mode="shadow"), "advice mode: newest observation"),
    ("a bundle that the scaler may lack", asks(f"{PLAN} or {DEMAND}", model="nonsense"), "advice model: nonsense"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "expected"), [row[1:] for row in ANNOTATED], ids=[row[0] for row in ANNOTATED])
def test_annotated_objects(change: Callable[[dict[str, Any]], object], expected: str) -> None:
    """An annotated object has exactly the expected findings."""

    def changed(document: dict[str, Any]) -> None:
        change(document)
        annotations = document["metadata"]["annotations"]
        if annotations["headway.dev/forecast"] is None:
            del annotations["headway.dev/forecast"]

    found = sorted((f"{one.level} {one.rule}", one.text) for one in check(changed))
    wanted = sorted(tuple(text.split(": ", 1)) for text in expected.split("; ") if text)
    assert [name for name, _ in found] == [name for name, _ in wanted]
    for (_, text), (_, words) in zip(found, wanted, strict=True):
        assert words in text


@pytest.mark.parametrize("query", [DEMAND, 'sum(x{a="b: c # d"})', "sum(x) # all\n/ 2"])
def test_the_wrapped_query_can_be_copied(query: str) -> None:
    """What is printed is YAML, and what KEDA then reads is the plan or the demand."""
    [finding] = check(asks(query))
    copied = yaml.safe_load(finding.example)["query"]
    assert copied == f"{PLAN} or {query}"
    assert check(asks(copied)) == []


def test_an_object_without_headway_is_shown_the_query_to_write() -> None:
    [finding] = check(without("triggers", 0))
    assert finding.rule == "no-trigger-of-ours"
    assert yaml.safe_load(finding.example) == {"query": f"{PLAN} or up"}


def test_the_bundles_that_ship_are_known() -> None:
    """The names in the rule are the folders in the package."""
    assert sorted(path.name for path in SHIPPED.iterdir() if path.is_dir()) == list(SHIPPED_BUNDLES)


def test_what_works_while_headway_is_away() -> None:
    """Each finding says what still scales the workload, and in which outage."""
    alone, reactive = (check(beside(*kinds))[0] for kinds in ((), ("prometheus",)))
    assert "answers errors, or cannot be reached, nothing scales up" in alone.text
    assert "no replica of Headway can be reached, nothing scales up" in reactive.text
    assert "two or more replicas" in reactive.fix
    assert "cpu" in reactive.fix
    assert "headway_planned_demand" in reactive.fix


@pytest.mark.parametrize(
    ("fields", "fix"),
    [
        ({"treshold": "50"}, "Write `threshold` instead of `treshold`."),
        ({"lookAhead": "3m"}, "Write `leadTime` instead of `lookAhead`."),
        ({"colour": "blue"}, "Remove `colour`."),
        ({"bearerToken": "x"}, "Remove `bearerToken`."),
        ({"quantile": "2"}, "Write `quantile` as the rule says."),
    ],
)
def test_fix_of_a_trigger_fault(fields: dict[str, str], fix: str) -> None:
    """What to write is said, where the rule tells it."""
    (finding,) = check(metadata(**fields))
    assert finding.fix == fix


@pytest.mark.parametrize(
    ("key", "fix"),
    [
        ("minReplicas", "Write `minReplicaCount` instead of `minReplicas`."),
        ("colour", "Remove `colour`; known there: "),
    ],
)
def test_fix_of_an_unknown_key(key: str, fix: str) -> None:
    """What was probably meant, or all there is; and where."""
    (finding,) = check(spec(**{key: 4}))
    assert finding.fix.startswith(fix)
    assert finding.path == ("spec", key)


@pytest.mark.parametrize(
    ("threshold", "words"),
    [
        ("x", "'x' is no whole number: the API server refuses"),
        (None, "missing: the API server refuses"),
        (-1, "KEDA ignores"),
    ],
)
def test_who_minds_a_wrong_fallback(threshold: object, words: str) -> None:
    """What the schema of the ScaledObject forbids is never applied; what it allows, KEDA ignores."""
    values = {"failureThreshold": threshold, "replicas": 6, "behavior": "currentReplicasIfHigher"}
    (finding,) = check(spec(fallback=values))
    assert words in finding.text


@pytest.mark.parametrize(
    ("fields", "text", "fix"),
    [
        ({"minReplicaCount": "2"}, "minReplicaCount: '2' is no whole number: the API server refuses the file.",
         "Write minReplicaCount: 2, without quotes."),
        ({"cooldownPeriod": "long"}, "cooldownPeriod: 'long' is no whole number", "Write a whole number."),
        ({"scaleTargetRef": {"name": 5}}, "scaleTargetRef.name: 5 is no string", 'Write name: "5".'),
        ({"advanced": {"restoreToOriginalReplicaCount": "yes"}}, "restoreToOriginalReplicaCount: 'yes' is no boolean",
         "Write restoreToOriginalReplicaCount: true, without quotes."),
    ],
)  # fmt: skip
def test_a_value_of_another_type(fields: dict[str, Any], text: str, fix: str) -> None:
    """Field, value and rule; and what to write, where that is known."""
    (finding,) = check(spec(**fields))
    assert text in finding.text
    assert finding.fix == fix


def test_values_of_kedas_trigger_that_may_be_secret_are_not_shown() -> None:
    """Headers and parameters stay out; of an address, user and password do."""
    found = check(reactive(customHeaders="hunter2", queryParameters="hunter2", serverAddress="ftp://user:hunter2@p"))
    assert [finding.rule for finding in found] == ["keda-fault"] * 3
    assert "hunter2" not in repr(found)


def test_a_retired_key_still_works_in_an_old_keda() -> None:
    """KEDA reads `metricName` until 2.12; Headway never does."""
    rules = [finding.rule for finding in check(reactive(metricName="x"), (2, 11, 2))]
    assert "retired-key" not in rules
    assert "retired-key" in [finding.rule for finding in check(metadata(metricName="x"), (2, 11, 2))]


def test_a_merge_key_after_what_it_overrides() -> None:
    """Tools differ on which of the two counts."""
    text = (
        "kind: ScaledObject\nmetadata: {name: web}\nspec:\n  triggers:\n"
        "    - {type: prometheus, metadata: &a {serverAddress: 'http://p', query: up, threshold: '5'}}\n"
        "    - {type: external, metadata: {scalerAddress: 'dns:///headway.keda:1', threshold: '4', <<: *a}}\n"
    )
    (scaled,) = read_manifest(text).objects
    [finding] = [found for found in inspect(scaled, Context()) if found.rule == "merge-order"]
    assert (finding.level, scaled.line(finding.path), scaled.our_triggers[0].given["threshold"]) == ("warning", 6, "5")


def test_a_missing_key_is_to_be_added() -> None:
    """A required key that is absent is no key to be rewritten."""
    (finding,) = check(without("triggers", 0, "metadata", "threshold"))
    assert finding.fix == "Add `threshold`."


VERSIONS: list[tuple[str, Callable[[dict[str, Any]], object], tuple[int, int, int], str]] = [
    # situation, change, first KEDA that is new enough, level below it
    ("push", trigger(type="external-push"), (2, 18, 0), "error"),
    ("TLS", metadata(enableTLS="true"), (2, 20, 0), "error"),
    ("a fractional threshold", metadata(threshold="0.5"), (2, 17, 0), "error"),
    ("fallback.behavior", lambda _: None, (2, 17, 0), "error"),
    ("fallback from zero", spec(minReplicaCount=0), (2, 19, 0), "warning"),
    ("a single trigger", beside(), (2, 20, 0), "warning"),
    ("fractions of demand", without("fallback"), (2, 17, 0), "warning"),
]


@pytest.mark.parametrize(("change", "needed", "level"), [row[1:] for row in VERSIONS], ids=[row[0] for row in VERSIONS])
def test_version(change: Callable[[dict[str, Any]], object], needed: tuple[int, int, int], level: str) -> None:
    """What is used is pointed out below the KEDA that has it, and not from there on."""
    below = (needed[0], needed[1] - 1, 9)
    assert level in [finding.level for finding in check(change, below) if _says(finding, needed)]
    assert not [finding for finding in check(change, needed) if _says(finding, needed)]


def _says(finding: Finding, needed: tuple[int, int, int]) -> bool:
    return finding.rule == "keda-version" and f"older than {'.'.join(map(str, needed))}" in finding.text


def test_tls_by_trigger_authentication_needs_2_20() -> None:
    """TLS switched on by a TriggerAuthentication of the same file is seen."""
    authentication = {
        "kind": "TriggerAuthentication",
        "metadata": {"name": "headway"},
        "spec": {"secretTargetRef": [{"parameter": "caCert", "name": "s", "key": "ca"}]},
    }
    document = copy.deepcopy(GOOD)
    trigger(authenticationRef={"name": "headway"})(document)
    manifest = read_manifest(yaml.safe_dump_all([document, authentication]))
    found = inspect(manifest.objects[0], Context((2, 19, 0), tls_parameters=manifest.tls_parameters))
    assert "TLS settings" in " ".join(finding.text for finding in found if finding.rule == "keda-version")


def test_fix_of_a_server_that_is_not_allowed() -> None:
    """No way of writing it helps."""
    manifest = read_manifest(yaml.safe_dump(GOOD))
    rules = TriggerRules("http://prometheus", ("http://prometheus.{namespace}:9090",))
    document = copy.deepcopy(GOOD)
    metadata(serverAddress="http://elsewhere:9090")(document)
    (scaled,) = read_manifest(yaml.safe_dump(document)).objects
    found = inspect(scaled, Context((2, 20, 2), rules, manifest.tls_parameters))
    fixes = [one.fix for one in found if "operator of Headway" in one.text]
    assert fixes == [
        "Name an allowed server, remove `serverAddress`, or ask the operator to add it to allow-server-address."
    ]
