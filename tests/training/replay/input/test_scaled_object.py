"""A ScaledObject as a replay takes it: which trigger, which target, and what KEDA and the HPA are set to."""

from dataclasses import replace
from pathlib import Path

import pytest

from scaler.commands import Usage
from scaler.plan.hpa import DEFAULT_DOWN, Behavior, Direction, Hpa, PolicyType, RatePolicy, Select
from training.replay.input.scaled_object import Scaling, read_scaling
from training.replay.simulation.scenario import Keda

OBJECT = """\
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {name: NAME, namespace: shop}
spec:
  scaleTargetRef: {name: web}
SPEC
  triggers:
"""
KEDAS = """\
    - type: prometheus
      metadata: {serverAddress: "http://prometheus:9090", query: "sum(rate(a[2m]))", threshold: "10"}
"""
OURS = """\
    - type: external
      metadata: {scalerAddress: "headway:50051", query: "sum(rate(a[2m]))", threshold: "12", timezone: Europe/Berlin}
"""
READER = """\
    - type: prometheus
      metadata: {serverAddress: "http://prometheus:9090", query: max(headway_planned_demand), threshold: "10"}
"""
CPU = """\
    - type: cpu
      metadata: {value: "80"}
"""
BEHAVIOR = """\
  advanced:
    horizontalPodAutoscalerConfig:
      behavior:
"""


def written(folder: Path, triggers: str = KEDAS, spec: str = "", name: str = "web") -> Path:
    path = folder / "web.yaml"
    path.write_text(OBJECT.replace("NAME", name).replace("SPEC\n", spec) + triggers)
    return path


def read(folder: Path, triggers: str = KEDAS, spec: str = "", threshold: float | None = None) -> Scaling:
    return read_scaling(written(folder, triggers, spec), "", threshold)


def refused(folder: Path, triggers: str = KEDAS, spec: str = "") -> str:
    with pytest.raises(Usage) as told:
        read(folder, triggers, spec)
    return str(told.value)


def test_a_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    """In our words, not in those of the decoder."""
    path = tmp_path / "web.yaml"
    path.write_bytes("kind: ScaledObject # größer".encode("latin-1"))
    with pytest.raises(Usage, match=r"web\.yaml': is not UTF-8 text$"):
        read_scaling(path, "", None)


def test_kedas_own_trigger_with_kedas_defaults(tmp_path: Path) -> None:
    """Query, server and threshold as written; down to zero, a hundred at most, every 30 s, and no `behavior`."""
    found = read(tmp_path)
    trigger = found.trigger
    assert (trigger.query, trigger.server_address, trigger.threshold) == (
        "sum(rate(a[2m]))",
        "http://prometheus:9090",
        10.0,
    )
    assert (found.name, found.hpa, found.keda) == ("shop/web", Hpa(1, 100), Keda(30.0, 300.0, 0.0))
    assert (found.scales_to_zero, found.silence_is_zero, found.by_value, found.notes) == (True, False, False, ())


def test_what_keda_is_reported(tmp_path: Path) -> None:
    """Replicas, polls, cooldown, activation, silence and the type of the metric."""
    spec = "  minReplicaCount: 2\n  maxReplicaCount: 40\n  pollingInterval: 15\n  cooldownPeriod: 60\n"
    more = KEDAS.replace('"10"', '"10", activationThreshold: "3", ignoreNullValues: "true"')
    found = read(tmp_path, f"{more}      metricType: Value\n", spec)
    assert (found.hpa, found.keda) == (Hpa(2, 40), Keda(15.0, 60.0, 3.0))
    assert (found.scales_to_zero, found.silence_is_zero, found.by_value) == (False, True, True)
    assert read(tmp_path, KEDAS, spec + "  idleReplicaCount: 0\n").scales_to_zero


def test_blank_values_are_absent(tmp_path: Path) -> None:
    """As KEDA reads them, in its own trigger and in ours; keys that KEDA once had are ignored."""
    blanks = 'activationThreshold: "", namespace: " ", timeout: "", ignoreNullValues: "", metricName: x'
    for trigger, threshold in ((KEDAS, '"10"'), (OURS, '"12"')):
        pasted = trigger.replace(threshold, f"{threshold}, {blanks}") + '      metricType: ""\n'
        (found, plain) = (read(tmp_path, one) for one in (pasted, trigger))
        assert replace(found, trigger=plain.trigger) == plain
        assert replace(found.trigger, key="") == replace(plain.trigger, key="")


@pytest.mark.parametrize(("text", "most"), [("1e2", 100), ("0o17", 15), ("1_0", 10)])
def test_numbers_as_kubernetes_reads_them(tmp_path: Path, text: str, most: int) -> None:
    """The same reading as that of kubectl."""
    assert read(tmp_path, KEDAS, f"  maxReplicaCount: {text}\n").hpa.max_replicas == most


def test_a_behavior(tmp_path: Path) -> None:
    """What is written counts, what is missing has Kubernetes's defaults, in both halves."""
    spec = (
        BEHAVIOR
        + """\
        scaleUp:
          stabilizationWindowSeconds: 30
          selectPolicy: Min
          tolerance: 50m
          policies: [{type: Pods, value: 5, periodSeconds: 60}, {type: Percent, value: 50, periodSeconds: 30}]
        scaleDown: {selectPolicy: Disabled, tolerance: 0.2}
"""
    )
    hpa = read(tmp_path, KEDAS, spec).hpa
    up = (RatePolicy(PolicyType.PODS, 5, 60.0), RatePolicy(PolicyType.PERCENT, 50, 30.0))
    down = Direction(DEFAULT_DOWN.stabilization_seconds, DEFAULT_DOWN.policies, Select.DISABLED)
    assert hpa.behavior == Behavior(Direction(30.0, up, Select.MIN), down)
    assert (hpa.tolerance_up, hpa.tolerance_down) == (0.05, 0.2)


def test_next_to_ours_kedas_trigger_is_what_scales_today(tmp_path: Path) -> None:
    """Its threshold counts, our time zone too; others are told."""
    found = read(tmp_path, OURS + KEDAS + CPU)
    assert (found.trigger.threshold, found.trigger.timezone) == (10.0, "Europe/Berlin")
    assert found.notes == ("its other triggers (cpu) are not replayed: the HPA follows the largest metric",)


def test_a_key_that_keda_does_not_know_is_reported(tmp_path: Path) -> None:
    """A slip of the pen would else be a default in silence. What it is called moves no cursor."""
    config = "  advanced:\n    horizontalPodAutoscalerConfig: {behaviour: {}}\n    behavior: {}\n"
    found = read(tmp_path, spec='  minReplicas: 4\n  "\\e[2J": 1\n' + config)
    assert found.hpa.min_replicas == 1
    assert found.notes == (
        "line 6: spec.minReplicas=4: is not replayed; KEDA does not know this key",
        "line 7: 'spec.\\x1b[2J'=1: is not replayed; KEDA does not know this key",
        "line 10: spec.advanced.behavior={}: is not replayed; KEDA does not know this key",
        "line 9: spec.advanced.horizontalPodAutoscalerConfig.behaviour={}: "
        "is not replayed; KEDA does not know this key",
    )


def test_a_slip_in_the_metadata_keeps_its_value(tmp_path: Path) -> None:
    """It is told by name; what was written may be a secret."""
    found = read(tmp_path, KEDAS.replace("metadata: {", 'metadata: {customHeader: "Authorization=sesame", '))
    (note,) = found.notes
    assert "spec.triggers[0].metadata.customHeader=" in note
    assert "sesame" not in note


def test_ours_alone(tmp_path: Path) -> None:
    """Without an address in it nobody's: whoever is asked instead is not put into it."""
    path = written(tmp_path, OURS)
    scaling = read_scaling(path, "", None)
    found = scaling.trigger
    assert (found.server_address, found.threshold, found.timezone) == ("", 12.0, "Europe/Berlin")
    assert scaling.scaler_address == "headway:50051"
    assert scaling.notes == (
        "its trigger is already Headway's: it is replaced by a reactive one with its query and threshold",
    )
    assert read(tmp_path, KEDAS).scaler_address == ""


def test_a_threshold_that_is_given_counts(tmp_path: Path) -> None:
    """Also where the trigger has none, or a faulty one."""
    assert read(tmp_path, threshold=7.0).trigger.threshold == 7.0
    assert read(tmp_path, KEDAS.replace('"10"', "soon"), threshold=7.0).trigger.threshold == 7.0


def test_one_of_several_objects(tmp_path: Path) -> None:
    """By its name, with or without namespace; else they are listed."""
    path = tmp_path / "two.yaml"
    texts = [(OBJECT + KEDAS).replace("NAME", name).replace("SPEC\n", "") for name in ("web", "api")]
    path.write_text("---\n".join(texts))
    assert read_scaling(path, "api", None).name == "shop/api"
    assert read_scaling(path, "shop/web", None).name == "shop/web"
    for name, told in (
        ("", "several ScaledObjects: give --series, one of shop/web, shop/api"),
        ("x", "--series 'x': must be one"),
    ):
        with pytest.raises(Usage, match=told.replace("?", r"\?")):
            read_scaling(path, name, None)


def test_of_a_query_that_reads_the_plan_the_demand_is_replayed(tmp_path: Path) -> None:
    """The half after `or`, and the time zone of the annotation; a reactive trigger beside it comes first."""
    wrapped = READER.replace("max(headway_planned_demand)", "'max(headway_planned_demand) or sum(rate(b[2m]))'")
    found = read(tmp_path, wrapped)
    assert (found.trigger.query, found.trigger.timezone) == ("sum(rate(b[2m]))", "UTC")
    assert any("the demand after `or` is replayed" in note for note in found.notes)
    path = written(tmp_path, wrapped)
    annotations = 'annotations: {headway.dev/forecast: "true", headway.dev/timezone: Europe/Berlin}'
    path.write_text(path.read_text().replace("namespace: shop}", f"namespace: shop, {annotations}}}"))
    assert read_scaling(path, "", None).trigger.timezone == "Europe/Berlin"
    assert read(tmp_path, wrapped + KEDAS).trigger.query == "sum(rate(a[2m]))"


@pytest.mark.parametrize(
    ("triggers", "told"),
    [
        (CPU, "line 6: spec.triggers=['cpu']: none of its triggers queries Prometheus"),
        (READER, "its trigger reads Headway's plan and no demand after `or`: give --query instead"),
        (KEDAS + KEDAS.replace("(a", "(b"), "2 triggers query Prometheus, a replay judges one: remove the others"),
        (KEDAS.replace('"10"', "soon"), "trigger 0: threshold='soon': must be a plain number"),
        (KEDAS.replace('query: "sum(rate(a[2m]))", ', ""), "trigger 0: query='': is required"),
        (
            KEDAS.replace('"sum(rate(a[2m]))"', "[a]"),
            "line 8: spec.triggers[0].metadata.query: must be a string, not a list",
        ),
        (KEDAS + "      metricType: Mean\n", "spec.triggers[0].metricType='Mean': must be one of AverageValue, Value"),
        ("    - prometheus\n", "line 7: spec.triggers[0]='prometheus': must be a mapping"),
    ],
)
def test_triggers_that_cannot_be_replayed(tmp_path: Path, triggers: str, told: str) -> None:
    """Each with why."""
    assert told in refused(tmp_path, triggers)


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("  minReplicaCount: two\n", "line 6: spec.minReplicaCount='two': must be a whole number from 0"),
        ("  minReplicaCount: 9\n  maxReplicaCount: 4\n", "maxReplicaCount=4: must not be below minReplicaCount, 9"),
        (f"  pollingInterval: 1{'0' * 400}\n", "000: must be a whole number from 1 to 2147483647"),
        ("  pollingInterval: 0\n", "spec.pollingInterval=0: must be a whole number from 1"),
        (BEHAVIOR + "        scaleUp: {policies: []}\n", "scaleUp.policies=[]: must be a list of at least one policy"),
        (BEHAVIOR + "        scaleUp: {tolerance: some}\n", "tolerance='some': must be a quantity as 0.05 or 50m"),
        (
            BEHAVIOR + "        scaleDown: {selectPolicy: Most}\n",
            "selectPolicy='Most': must be one of Max, Min, Disabled",
        ),
        (
            BEHAVIOR + "        scaleDown: {policies: [{type: Pods, value: 0, periodSeconds: 15}]}\n",
            "scaleDown.policies[0].value=0: must be a whole number from 1",
        ),
        (BEHAVIOR + "        scaleDown: {policies: [{type: Pods, value: 1}]}\n", "periodSeconds=None: must be a whole"),
        (BEHAVIOR + "        scaleDown: {policies: [often]}\n", "scaleDown.policies[0]='often': must be a mapping"),
        (BEHAVIOR + "        scaleUp: fast\n", "scaleUp='fast': must be a mapping"),
        (BEHAVIOR + "        scaleUp: {tolerance: 1e400}\n", "scaleUp.tolerance='1e400': must be a quantity"),
        (
            BEHAVIOR + "        scaleDown: {stabilisationWindowSeconds: 60}\n",
            "scaleDown.stabilisationWindowSeconds=60: Kubernetes knows only policies, selectPolicy, stabilization",
        ),
        (BEHAVIOR + "        scaleup: {}\n", "behavior.scaleup={}: Kubernetes knows only scaleDown, scaleUp"),
        (
            BEHAVIOR + "        scaleUp: {policies: [{type: Pods, value: 4, periodSeconds: 15, period: 15}]}\n",
            "scaleUp.policies[0].period=15: Kubernetes knows only periodSeconds, type, value",
        ),
        ("  advanced: [often]\n", "spec.advanced=['often']: must be a mapping"),
        ("  idleReplicaCount: '0'\n", "spec.idleReplicaCount='0': must be a whole number from 0"),
        ("  idleReplicaCount: 3\n", "spec.idleReplicaCount=3: KEDA has only 0"),
    ],
)
def test_settings_that_kubernetes_refuses(tmp_path: Path, spec: str, told: str) -> None:
    """Field, value and rule."""
    assert told in refused(tmp_path, KEDAS, spec)


def test_files_that_hold_no_object(tmp_path: Path) -> None:
    """Absent, no YAML, or something else."""
    path = tmp_path / "web.yaml"
    for text, told in (
        (None, "No such file"),
        ("a: [", "line 1, column 5: not valid YAML"),
        ("kind: Pod", "no ScaledObject"),
    ):
        if text is not None:
            path.write_text(text)
        with pytest.raises(Usage, match=f"--scaledobject .*: .*{told}"):
            read_scaling(path, "", None)
