"""Which triggers of a manifest are pulled, and what their series are called."""

from pathlib import Path

import pytest

from scaler.commands import Usage
from training.data.pull_targets import of_manifest

OBJECT = """\
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {{name: web, namespace: shop}}
spec:
  scaleTargetRef: {{name: web}}
  triggers:
    - type: external
      metadata: {{scalerAddress: "headway:50051", query: up, threshold: "1"}}
    - type: prometheus
      metadata: {{serverAddress: "http://prometheus:9090", query: {query}, threshold: "1"}}
"""


def test_the_reactive_floor_is_not_a_series_of_its_own(tmp_path: Path) -> None:
    """It asks what our trigger asks: the series has the name by which the bundle will know its trigger."""
    file = tmp_path / "web.yaml"
    file.write_text(OBJECT.format(query="up"))
    wanted, refused = of_manifest(file, "http://prometheus:9090")
    assert ([one.name for one in wanted], refused) == (["shop/web"], [])


def test_another_query_is_another_series(tmp_path: Path) -> None:
    """Both are told apart by their hash."""
    file = tmp_path / "web.yaml"
    file.write_text(OBJECT.format(query="down"))
    wanted, _ = of_manifest(file, "http://prometheus:9090")
    assert {one.query for one in wanted} == {"up", "down"}
    assert all(one.name.startswith("shop/web/") for one in wanted)


def test_a_pasted_trigger_is_pulled_as_it_is(tmp_path: Path) -> None:
    """Blank values are absent and retired keys ignored, in both triggers; an empty answer is 0 in KEDA's alone."""
    blanks = 'timeout: "", namespace: " ", ignoreNullValues: "", metricName: x'
    file = tmp_path / "web.yaml"
    file.write_text(OBJECT.format(query="down").replace('"1"', f'"1", {blanks}'))
    wanted, refused = of_manifest(file, "http://prometheus:9090")
    assert ([(one.query, one.ignore_null_values) for one in wanted], refused) == ([("up", False), ("down", True)], [])


def test_a_template_is_to_be_rendered_first(tmp_path: Path) -> None:
    """A raw Helm template is no YAML; what to do is said."""
    file = tmp_path / "web.yaml"
    file.write_text("kind: ScaledObject\nmetadata: {name: {{ .Release.Name }}}\n")
    with pytest.raises(Usage, match="looks like a Helm template: render it first"):
        of_manifest(file, "")
