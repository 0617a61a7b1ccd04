"""The chart's README: every example is one that works."""

import re
from pathlib import Path

import pytest
import yaml

from scaler.trigger import TriggerRules, parse_trigger
from tests.docs.pages import of_language
from tests.helm.rendering import CHART, Cluster, objects, render
from tests.helm.schemas import faults
from tests.servers.helm import MAJORS

README = (CHART / "README.md").read_text()
EXAMPLES = [block.text for block in of_language("yaml") if block.page == "helm/headway/README.md"]
TRIGGERS = [text for text in EXAMPLES if "triggers:" in text]
VALUES = [text for text in EXAMPLES if text not in TRIGGERS]


@pytest.mark.parametrize("text", VALUES)
def test_values_of_the_readme_render(text: str, tmp_path: Path) -> None:
    """To manifests that the API server takes."""
    (tmp_path / "values.yaml").write_text(text)
    result = render(MAJORS[-1], Cluster(), "--values", tmp_path / "values.yaml")
    assert result.error == ""
    assert [fault for manifest in objects(result.text) for fault in faults(manifest, "1.33")] == []


@pytest.mark.parametrize("text", TRIGGERS)
def test_triggers_of_the_readme_are_accepted(text: str) -> None:
    """By the parser that KEDA's calls go through."""
    for trigger in yaml.safe_load(text)["triggers"]:
        parse_trigger("shop", "web", trigger["metadata"], TriggerRules(default_server="http://prometheus:9090"))


def test_flags_of_the_readme_render() -> None:
    """All that follows --set."""
    flags = re.findall(r"--set ([^\s`]+)", README)
    assert len(flags) >= 2
    for flag in flags:
        assert render(MAJORS[-1], Cluster(), "--set", flag).error == "", flag
