"""Queries that read the planned demand: the half after `or`, and for whom the plan is read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.trigger.planned import plan_selector, reactive_half, reads_plan, wrapped

PLAN = 'max(headway_planned_demand{namespace="shop", name="web"})'

HALVES: list[tuple[str, str, str]] = [
    # situation, query, the half after `or`
    ("plain", f"{PLAN} or sum(x)", "sum(x)"),
    ("over several lines", f"{PLAN}\n  or\n  sum(x)\n", "sum(x)"),
    ("in capitals", f"{PLAN} OR sum(x)", "sum(x)"),
    ("a second `or`", f"{PLAN} or sum(x) or vector(0)", "sum(x) or vector(0)"),
    ("with labels to match", f"{PLAN} or on() sum(x)", "sum(x)"),
    ("with labels to ignore", f"{PLAN} or ignoring (name, namespace) sum(x)", "sum(x)"),
    ("`or` in brackets of the half", f"{PLAN} or (sum(x) or vector(0))", "(sum(x) or vector(0))"),
    ("`or` in brackets of the plan", f"max({PLAN} or vector(0)) or sum(x)", "sum(x)"),
    ("`or` in a string", f'{PLAN.replace("web", "a or b")} or sum(x{{a="or"}})', 'sum(x{a="or"})'),
    ("brackets in a string", f"{PLAN.replace('web', '((')} or sum(x)", "sum(x)"),
    ("a quote in a string", f'{PLAN} or sum(x{{a="\\" or "}})', 'sum(x{a="\\" or "})'),
    ("in backticks", f"{PLAN} or sum(x{{a=`or \\`}})", "sum(x{a=`or \\`})"),
    ("`or` in a comment", f"{PLAN} # this or that (\n or sum(x)", "sum(x)"),
    ("`or` in a name", f"{PLAN} or sum(error:or:x) / sum(or_x)", "sum(error:or:x) / sum(or_x)"),
    ("arithmetic on the plan", f"{PLAN} * 1.1 or sum(x)", "sum(x)"),
    ("brackets around all", f"(({PLAN} or sum(x)))", "sum(x)"),
    ("brackets around each", f"({PLAN}) or (sum(x))", "(sum(x))"),
]  # fmt: skip


@pytest.mark.parametrize(("query", "half"), [row[1:] for row in HALVES], ids=[row[0] for row in HALVES])
def test_the_half_after_or(query: str, half: str) -> None:
    assert reactive_half(query) == half


FAULTS: list[tuple[str, str, str]] = [
    ("no half", PLAN, "must have the demand itself after the plan"),
    ("an empty half", f"{PLAN} or ", "must have the demand itself after the plan"),
    ("only labels", f"{PLAN} or on()", "must have the demand itself after the plan"),
    ("inside a function", f"clamp_max({PLAN} or sum(x), 9)", "must have the demand itself after the plan"),
    ("the demand first", f"sum(x) or {PLAN}", "before `or`"),
    ("the plan on both sides", f"{PLAN} or sum(x) + {PLAN}", "only before `or`"),
    ("`or` only in a comment", f"{PLAN} # or sum(x)", "must have the demand itself after the plan"),
    ("brackets that do not close", f"max(({PLAN} or sum(x)", "must have the demand itself after the plan"),
]  # fmt: skip


@pytest.mark.parametrize(("query", "rule"), [row[1:] for row in FAULTS], ids=[row[0] for row in FAULTS])
def test_a_query_without_two_halves(query: str, rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        reactive_half(query)


QUERIES = st.lists(
    st.sampled_from(
        ["sum", "(", ")", "x", "or", " ", "\n", '"or"', "{a='(or'}", "# or (\n", "[2m]", "rate", " / ", "by", "`or`"]
    )
).map("".join)


@given(QUERIES)
def test_what_was_wrapped_is_found_again(query: str) -> None:
    """For any demand, also one that is no PromQL: wrapping and halving are inverse."""
    if query.strip() and not query.lower().lstrip().startswith(("on", "ignoring")):
        assert reactive_half(wrapped(query, "shop", "web")) == query.strip()


@given(st.text(alphabet="()[]{}\"'`#\\or \nheadway_planned_demand", max_size=200))
def test_any_text_has_halves_or_a_rule(query: str) -> None:
    """Nothing but ValueError is raised, and a half never reads the plan."""
    try:
        half = reactive_half(query)
    except ValueError:
        return
    assert half
    assert not reads_plan(half)


def test_a_long_query_takes_no_long() -> None:
    """Tenants write queries: time must not explode with brackets, strings or joins."""
    for text in ("(" * 5000, '"\\' * 5000, "or " * 5000, "headway_planned_demand{" * 300, "#" * 5000):
        with pytest.raises(ValueError, match="must"):
            reactive_half(text)


@pytest.mark.parametrize(
    ("labels", "own"),
    [
        ('{namespace="shop", name="web"}', True),
        ('{namespace="shop",name="api"}', False),
        ('{namespace="blog", name="web"}', False),
        ('{name="web"}', True),
        ("", True),
        ('{namespace=~"shop|blog", name="web"}', True),
        ('{namespace="keda", exported_namespace="shop", name="web"}', True),
    ],
)
def test_whose_plan_is_read(labels: str, own: bool) -> None:
    """Labels may say that it is another object's; patterns and missing labels do not."""
    selector = plan_selector(f"max(headway_planned_demand{labels}) or x")
    assert selector is not None
    assert selector.may_be_of("shop", "web") is own
