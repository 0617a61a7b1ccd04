"""The rules for Prometheus: valid, tested one by one with promtool, documented, and about figures that exist."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import promql_parser as promql
import pytest
import yaml

from scaler.telemetry.events import EVENTS
from scaler.telemetry.figures import FIGURES
from tests.servers.programs import program
from tests.servers.victoria import victoria

ROOT = Path(__file__).parent.parent.parent
RULES = ROOT / "helm" / "headway" / "files" / "rules"
FILES = [RULES / "alerts.yaml", RULES / "recording.yaml"]
TESTS = sorted(Path(__file__).parent.glob("*.yaml"))
RUNBOOK = ROOT / "docs" / "runbook.md"
TELEMETRY = ROOT / "docs" / "telemetry.md"
HOME = "https://github.com/headway-dev/headway/blob/main/docs/runbook.md"

TARGET_LABELS = {"job", "instance", "namespace"}
"""what Prometheus adds to each series of a target"""

FIGURE_LABELS = {
    "up": frozenset[str](),
    "process_start_time_seconds": frozenset[str](),
    **{figure.name: frozenset(figure.labels) for figure in FIGURES},
}


def rules(kind: str) -> dict[str, dict[str, Any]]:
    """Rules by name; kind: alert or record."""
    groups = [group for file in FILES for group in yaml.safe_load(file.read_text())["groups"]]
    return {rule[kind]: rule for group in groups for rule in group["rules"] if kind in rule}


ALERTS, RECORDED = rules("alert"), rules("record")


def expressions() -> Iterator[tuple[str, dict[str, Any]]]:
    """(expression, test of it), of all promtool tests."""
    for path in TESTS:
        for case in yaml.safe_load(path.read_text())["tests"]:
            for one in case.get("promql_expr_test", ()):
                yield one["expr"], one


def promtool(*arguments: str | Path, cwd: Path | None = None) -> str:
    """Its complaints; empty when there are none."""
    command = [program("promtool"), *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)
    return "" if result.returncode == 0 else result.stdout + result.stderr


@pytest.mark.server
def test_prometheus_accepts_the_files():
    """Syntax, templates, and no rule twice."""
    assert promtool("check", "rules", "--lint=all", "--lint-fatal", *FILES) == ""


@cache
def evaluated(path: Path) -> tuple[set[str], str]:
    """The alerts that fire in this test of promtool, and what promtool prints when none of them is expected.

    One run, which takes up to a minute, for two tests: it prints what each expression gave that it should not have
    given, and the text of each alert.
    """
    document = yaml.safe_load(path.read_text())
    for case in document["tests"]:
        fires = [one for one in case.get("promql_expr_test", ()) if one.get("exp_samples") and "ALERTS" in one["expr"]]
        names = {re.findall(r'alertname="(\w+)"', one["expr"])[0]: one["eval_time"] for one in fires}
        case["alert_rule_test"] = [{"alertname": name, "eval_time": moment} for name, moment in names.items()]
    with TemporaryDirectory() as folder:
        for file in FILES:
            shutil.copy(file, folder)
        (Path(folder) / path.name).write_text(yaml.safe_dump(document))
        printed = promtool("test", "rules", path.name, cwd=Path(folder))
    return {one["alertname"] for case in document["tests"] for one in case["alert_rule_test"]}, printed


@pytest.mark.server
@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_rules_fire_where_they_should_and_nowhere_else(path: Path):
    """Prometheus's own evaluation over series that need the alert, that only resemble it, and just before it is due."""
    _, printed = evaluated(path)
    assert re.findall(r"^ *expr: .*", printed, re.MULTILINE) == []
    assert "alertname: " in printed


@pytest.mark.parametrize("name", ALERTS)
def test_every_alert_is_tested(name: str):
    """At least one moment at which it fires, and one at which it does not."""
    tests = [one for expr, one in expressions() if f'alertname="{name}"' in expr]
    assert any(one.get("exp_samples") for one in tests)
    assert any(not one.get("exp_samples") for one in tests)


@pytest.mark.parametrize("name", RECORDED)
def test_every_recording_rule_is_tested(name: str):
    """At least one value."""
    assert any(name in expr and one["exp_samples"] for expr, one in expressions())


@pytest.mark.parametrize("name", ALERTS)
def test_every_alert_is_described(name: str):
    """Severity, a time, text in sentences, and a section of the runbook that begins with what to do now."""
    rule = ALERTS[name]
    assert rule["labels"] in ({"severity": "critical"}, {"severity": "warning"})
    assert rule["for"]
    texts = rule["annotations"]
    assert set(texts) == {"summary", "description", "runbook_url"}
    assert not texts["summary"].endswith(".")
    assert texts["description"].endswith(".")
    assert texts["runbook_url"] == f"{HOME}#{name.lower()}"
    section = re.search(rf"^### {name}\n\n(.*?)(?=^##|\Z)", RUNBOOK.read_text(), re.MULTILINE | re.DOTALL)
    assert section, f"no section of {name} in the runbook"
    assert section[1].startswith("**")
    parts = re.findall(r"^\* \*\*(.+?)\*\*", section[1], re.MULTILINE)
    words = " ".join(parts)
    assert [part for part in ("Users feel", "Check", "Harmless when") if part not in words] == []
    assert "**do:**" in section[1] or "**Do:**" in section[1]


def test_the_runbook_has_no_section_of_an_alert_that_is_gone():
    """One section per alert, and no other."""
    assert re.findall(r"^### (\w+)$", RUNBOOK.read_text(), re.MULTILINE) == list(ALERTS)


@pytest.mark.parametrize("name", ALERTS)
def test_texts_use_labels_that_the_alert_has(name: str):
    """A label that is missing would leave a hole in the sentence."""
    used = set(re.findall(r"\$labels\.(\w+)", "".join(ALERTS[name]["annotations"].values())))
    fired = [sample["labels"] for expr, one in expressions() if f'alertname="{name}"' in expr
             for sample in one.get("exp_samples", ())]  # fmt: skip
    assert [labels for labels in fired if not used <= set(re.findall(r"(\w+)=", labels))] == []


@pytest.mark.server
@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_texts_expand_to_sentences(path: Path):
    """promtool prints the text of alerts that it was not to expect: nothing in it is left open."""
    fired, printed = evaluated(path)
    assert [name for name in fired if f'alertname="{name}"' not in printed] == []
    assert "summary=" in printed
    assert re.findall(r"error expanding|<no value>|%!|\{\{", printed) == []


@pytest.mark.parametrize("name", [*ALERTS, *RECORDED])
def test_rules_read_what_is_exported(name: str):
    """Every name is a figure of the table or a recording rule, every label one of its labels."""
    labels_of(promql.parse((ALERTS.get(name) or RECORDED[name])["expr"]))


def test_the_telemetry_page_shows_expressions_that_exist():
    """What to watch: each expression can be evaluated."""
    [section] = re.findall(r"^## What to watch\n(.*?)^## ", TELEMETRY.read_text(), re.MULTILINE | re.DOTALL)
    rows = re.findall(r"^\| [^|]+\? \| (.+?) \|", section, re.MULTILINE)
    shown = [expression for row in rows for expression in re.findall(r"`(.+?)`", row)]
    assert len(shown) > 15
    for expression in shown:
        labels_of(promql.parse(expression))


def test_the_runbook_names_figures_and_events_that_exist():
    """A renamed figure, rule or event takes the runbook along."""
    text = RUNBOOK.read_text()
    named = re.findall(r"`((?:\w+:)?headway_[\w:]+)", text)
    assert [name for name in named if name not in FIGURE_LABELS.keys() | RECORDED.keys()] == []
    events = re.findall(r"`(\w+)`", " ".join(re.findall(r"log events? (`\w+`(?: and `\w+`)?)", text)))
    assert len(events) > 8
    assert set(events) <= {event.name for event in EVENTS}


def test_the_runbook_names_the_background_tasks():
    """Those whose failure users may feel, by the names in the label `task`."""
    [section] = re.findall(
        r"^### HeadwayTaskFailing\n(.*?)^\* \*\*Check", RUNBOOK.read_text(), re.MULTILINE | re.DOTALL
    )
    named = set(re.findall(r"`(\w+)`", section))
    source = "".join(path.read_text() for path in (ROOT / "scaler" / "app").glob("*.py"))
    assert named <= set(re.findall(r'keep_running\(\s*"(\w+)"', source))


@pytest.mark.server
def test_victoria_metrics_evaluates_every_rule(tmp_path: Path):
    """vmalert sends it the same expressions."""
    failed = []
    with victoria(tmp_path) as address:
        for name, rule in (ALERTS | RECORDED).items():
            answer = httpx.get(f"{address}/api/v1/query", params={"query": rule["expr"]})
            if not answer.is_success:
                failed.append((name, answer.text))
    assert failed == []


def labels_of(expression: Any) -> set[str]:
    """The labels that the result can have. Fails for names and labels that do not exist."""
    match expression:
        case promql.VectorSelector():
            return labels_of_series(expression)
        case promql.MatrixSelector():
            return labels_of(expression.vector_selector)
        case promql.ParenExpr() | promql.SubqueryExpr() | promql.UnaryExpr():
            return labels_of(expression.expr)
        case promql.Call():
            return set().union(*(labels_of(argument) for argument in expression.args))
        case promql.AggregateExpr():
            grouped = set(expression.modifier.labels) if expression.modifier else set()
            assert grouped <= labels_of(expression.expr), expression.prettify()
            return grouped | ({expression.param.val} if str(expression.op) == "count_values" else set())
        case promql.BinaryExpr():
            sides = labels_of(expression.lhs), labels_of(expression.rhs)
            matching = expression.modifier.matching if expression.modifier else None
            assert set(matching.labels if matching else ()) <= (sides[0] & sides[1]), expression.prettify()
            return sides[0] | sides[1]
        case promql.NumberLiteral() | promql.StringLiteral():
            return set()
    raise AssertionError(f"unknown kind of expression: {type(expression)}")


def labels_of_series(selector: promql.VectorSelector) -> set[str]:
    if selector.name in RECORDED:
        return labels_of(promql.parse(RECORDED[selector.name]["expr"]))
    figure = re.sub(r"_(bucket|sum|count)$", "", selector.name)
    assert figure in FIGURE_LABELS, selector.name
    labels = FIGURE_LABELS[figure] | TARGET_LABELS | ({"le"} if selector.name.endswith("_bucket") else set())
    assert {matcher.name for matcher in selector.matchers.matchers} <= labels, selector.prettify()
    return set(labels)


@pytest.mark.parametrize("wrong", ["headway_nothing", "headway_plan_rung{nam='x'}", "max by (nam) (headway_plan_rung)"])
def test_names_that_are_wrong_are_found(wrong: str):
    """The check above can fail."""
    with pytest.raises(AssertionError):
        labels_of(promql.parse(wrong))
