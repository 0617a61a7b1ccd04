"""Every query of every page runs on a Prometheus that has the series which it names."""

import re
import time
from collections.abc import Iterator
from typing import Any

import promql_parser as promql
import pytest
import yaml

from tests.docs.pages import Block, of_language
from tests.servers.prometheus import PrometheusServer, Recorded, prometheus

pytestmark = pytest.mark.server
COOKBOOK = "docs/query-cookbook.md"
BESIDE = {"code": "200", "handler": "/cart"}
"""labels of which a query excludes values have another one"""


def queries(block: Block) -> list[str]:
    """One query over several lines, or one a line."""
    try:
        promql.parse(block.text)
    except ValueError:
        return block.text.splitlines()
    return [block.text.strip()]


PRINTED = [(str(block), query) for block in of_language("promql") for query in queries(block)]
RECORDED = {
    rule["record"]: rule["expr"]
    for block in of_language("yaml")
    if block.text.startswith("groups:")
    for group in yaml.safe_load(block.text)["groups"]
    for rule in group["rules"]
}


def selectors(expression: Any) -> Iterator[Any]:
    """Every vector selector below."""
    if isinstance(expression, promql.VectorSelector):
        yield expression
    for name in ("lhs", "rhs", "expr", "args", "vector_selector"):
        below = getattr(expression, name, None)
        for each in below if isinstance(below, list) else [below] if below is not None else []:
            yield from selectors(each)


def labels_of(selector: Any) -> dict[str, str]:
    """Labels that the selector matches."""
    labels = {}
    for matcher in selector.matchers.matchers:
        if matcher.op == promql.MatchOp.Equal:
            labels[matcher.name] = matcher.value
        elif matcher.op == promql.MatchOp.Re:
            labels[matcher.name] = re.sub(r"\.[*+]", "x", matcher.value)
        else:
            labels[matcher.name] = BESIDE[matcher.name]
    return labels


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrometheusServer]:
    """A Prometheus with each named series twice, growing by 10 a second as counters do, for 70 minutes."""
    now = time.time()
    moments = [now - 4200 + 15 * step for step in range(281)]
    wanted = {
        (selector.name, tuple(sorted(labels_of(selector).items())))
        for query in [query for _, query in PRINTED] + list(RECORDED.values())
        for selector in selectors(promql.parse(query))
    }
    series = [
        Recorded(name, [(moment, 10 * (moment - moments[0])) for moment in moments], {**dict(labels), "pod": pod})
        for name, labels in sorted(wanted)
        for pod in ("a", "b")
    ]
    with prometheus(tmp_path_factory.mktemp("prometheus"), series) as running:
        yield running


@pytest.mark.parametrize(("place", "query"), PRINTED, ids=lambda value: value[:60])
def test_query_runs(place: str, query: str, server: PrometheusServer) -> None:
    """It returns something; in the cookbook, exactly one number above 0, as KEDA needs it."""
    found = server.values(query)
    assert found, place
    if place.startswith(COOKBOOK):
        assert len(found) == 1
        assert found[0] > 0


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_query_runs(name: str, server: PrometheusServer) -> None:
    """The expression behind it, and the cookbook reads it back by its name."""
    assert len(server.values(RECORDED[name])) == 1
    assert any(name in query for _, query in PRINTED)


def test_rate_in_the_cookbook_is_what_the_series_say(server: PrometheusServer) -> None:
    """Two series that grow by 10 a second: the fixture is no tautology."""
    ingress = next(query for _, query in PRINTED if "nginx_ingress_controller_requests" in query)
    assert server.values(ingress) == pytest.approx([20], rel=0.05)


def test_idle_source_is_0_and_an_absent_one_unknown(server: PrometheusServer) -> None:
    """What the cookbook writes instead of `or vector(0)`."""
    query = next(query for _, query in PRINTED if "or 0 *" in query)
    idle = query.replace("http_requests_total", "absent_requests_total")
    assert server.values(idle) == [0]
    assert server.values(idle.replace("up{", "absent_up{")) == []
