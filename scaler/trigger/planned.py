"""PromQL that reads the planned demand, as KEDA's own `prometheus` trigger does:

    max(headway_planned_demand{namespace="shop", name="web"}) or sum(rate(http_requests_total{app="web"}[2m]))

The half after `or` is the demand itself. This is no parser of PromQL: it knows strings, comments and brackets, which is
enough to find the `or` between the halves.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from scaler.telemetry.names import PLANNED_DEMAND
from scaler.trigger.promql import masked

_NAME = re.compile(rf"\b{PLANNED_DEMAND}\b")
_SELECTOR = re.compile(rf"{PLANNED_DEMAND}\b\s*(?:\{{(?P<labels>[^}}]*)\}})?")
_LABEL = re.compile(r"""(?<!\w)(\w+)\s{0,20}(=~|=)\s{0,20}["']([^"']*)["']""")
_PARTS = re.compile(r"(?P<open>[(\[{])|(?P<close>[)\]}])|(?<![\w:])(?P<join>or)(?![\w:])", re.IGNORECASE)
_MATCHING = re.compile(r"\s*(?:on|ignoring)\s*\([^()]*\)", re.IGNORECASE)
"""what may follow `or`: which labels it compares"""

MOST_BRACKETS = 10
"""around a whole query; each costs another look at it"""


@dataclass(frozen=True, slots=True)
class PlanSelector:
    """Which planned demand a query reads: its labels, and where the selector stands in the query."""

    labels: dict[str, tuple[str, str]]
    """label → operator (`=` or `=~`) and value. Scraped without honor_labels, the workload's namespace is
    `exported_namespace`; it counts as `namespace`"""
    start: int
    end: int

    def may_be_of(self, namespace: str, name: str) -> bool:
        """Whether no label says that it is the plan of another object. A pattern (`=~`) says nothing."""
        wanted = {"namespace": ("=", namespace), "name": ("=", name)}
        return all(self.labels.get(label, own) == own or self.labels[label][0] == "=~" for label, own in wanted.items())


def reads_plan(query: str) -> bool:
    """Whether the query reads the planned demand of any object."""
    return _NAME.search(query) is not None


def plan_selector(query: str) -> PlanSelector | None:
    """The first selector of the planned demand in the query; None where there is none."""
    found = _SELECTOR.search(query)
    if found is None:
        return None
    labels = {name: (operator, value) for name, operator, value in _LABEL.findall(found["labels"] or "")}
    if "exported_namespace" in labels:
        labels["namespace"] = labels["exported_namespace"]
    return PlanSelector(labels, found.start(), found.end())


def reactive_half(query: str) -> str:
    """The demand itself: what follows the first `or` after the plan. Raises ValueError with the rule it breaks."""
    bare = _without_brackets_around(query)
    join = next(_joins(bare), None)
    if join is not None and not reads_plan(bare[: join.start()]):
        raise ValueError(f"must read {PLANNED_DEMAND} before `or`, and the demand itself after it")
    half = "" if join is None else _without_matching(bare[join.end() :])
    if not half:
        raise ValueError(f"must have the demand itself after the plan: {shape('the query')}")
    if reads_plan(half):
        raise ValueError(f"must read {PLANNED_DEMAND} only before `or`: the demand itself follows it")
    return half


def wrapped(query: str, namespace: str, name: str) -> str:
    """The query with which KEDA reads the plan, and the demand itself where there is no plan."""
    labels = f'{{namespace="{namespace}", name="{name}"}}'
    return shape(query.strip(), labels)


def shape(demand: str, labels: str = "{…}") -> str:
    """How the two halves stand together."""
    return f"max({PLANNED_DEMAND}{labels}) or {demand}"


def _joins(query: str) -> Iterator[re.Match[str]]:
    """Every `or` outside of brackets, strings and comments."""
    depth = 0
    for part in _PARTS.finditer(masked(query)):
        if part["join"]:
            if depth == 0:
                yield part
        else:
            depth += 1 if part["open"] else -1


def _without_matching(half: str) -> str:
    matching = _MATCHING.match(half)
    return half[matching.end() if matching else 0 :].strip()


def _without_brackets_around(query: str) -> str:
    """The query without parentheses that enclose all of it."""
    bare = query.strip()
    for _ in range(MOST_BRACKETS):
        if not bare.startswith("(") or _closing(bare) != len(bare) - 1:
            break
        bare = bare[1:-1].strip()
    return bare


def _closing(query: str) -> int:
    """Where the bracket closes that the query begins with; -1 where it does not."""
    depth = 0
    for part in _PARTS.finditer(masked(query)):
        depth += 1 if part["open"] else -1 if part["close"] else 0
        if depth == 0:
            return part.start()
    return -1
