"""No tenant's text can touch another's number, whatever it is and however the server reads it."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from scaler.errors import TriggerInvalid
from scaler.history import observe_all
from scaler.history.connection import Limits
from scaler.history.prometheus import PrometheusSource
from scaler.history.queries import TAG
from scaler.trigger import Trigger, TriggerRules, parse_trigger
from tests.isolation.world import BYSTANDER, SHOP, bystander, replica, trigger
from tests.servers.front import Front
from tests.servers.prometheus import PrometheusServer
from tests.servers.victoria import victoria

pytestmark = pytest.mark.server

NOW = 1_700_000_000.0
VICTIM = "sum(vector(1000))"


def _answers(tag: int) -> str:
    return f'label_replace((vector(0)), "{TAG}", "{tag}", "", "")'


FORGED = f'), "{TAG}", "9", "", "") or {" or ".join(map(_answers, range(6)))} or label_replace((vector(7)'
"""closes the brackets around a query, answers for its neighbours, and opens others for the rest"""

ESCAPES = [
    "vector(1) #\r" + FORGED,
    'vector(1) # "\r' + FORGED,
    r"x\(\( or vector(1)" + FORGED + r" or y\)\)",
    r"x\x28\x28 or vector(1)" + FORGED,
    r"vector(1)\)" + FORGED,
    r"\( " + FORGED,
    "vector(1)" + FORGED,
    "vector(1) # (((((\n" + FORGED,
    "vector(1) #\u2028" + FORGED,
    "vector(1) #\x0b" + FORGED,
    r"vector(1) + count({a=`\`}" + FORGED + r"{b=`\`})",
    'vector(1) + count({a="\n"}) # "' + FORGED,
    "vector(1) offset 5m" + FORGED,
    "WITH (x = vector(1)) x" + FORGED,
    "vector(1) or",
    "vector(1) or vector(0",
    "vector(1) #",
    "vector(1) # `",
    "vector(1), vector(0)",
    "vector(1) @ 0",
    f'label_replace(vector(0), "{TAG}", "1", "", "")',
    f'label_replace(vector(0), "{TAG}", "1", "", "") or label_replace(vector(0), "{TAG}", "0", "", "")',
    f'label_replace(vector(0), "{TAG}", "\\u0031", "", "")',
    f'{{{TAG}="1"}} or vector(0)',
    'count_values("__headway__", vector(1))',
    "vector(1) == on() group_right() vector(1)",
    "vector(NaN)",
    "vector(1) unless vector(1)",
]

parts = st.sampled_from(
    [
        *("vector(1)", "(", ")", "[", "]", "{", "}", '"', "'", "`", "\\", "\\\\", "#", "\n", "\r", "\t", "\u2028", " "),
        *("or", "and", "unless", "offset 5m", "@ 0", "sum", "[5m:1m]", "WITH (a = 1)", "$__interval", "\\u0022", ","),
        *(f'"{TAG}"', '"1"', '""', "label_replace((vector(0)", "vector(0)", "# \"", "\n)", "\\x29"),
        FORGED,
    ]
)  # fmt: skip
hostile = st.lists(parts, max_size=12).map("".join).filter(str.strip)


@pytest.fixture(scope="module")
def victoria_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with victoria(tmp_path_factory.mktemp("victoria")) as address:
        yield address


def of(namespace: str, number: int, query: str, server: str) -> Trigger:
    """A trigger that never went through the checks of its metadata."""
    return Trigger(namespace, f"web-{number}", query, 10.0, server, key=f"{namespace}/{number}/{query}")


async def observed(triggers: Sequence[Trigger], rounds: int = 3) -> list[list[object]]:
    """What a new process sees of them in each round: asked alone, tried together, joined."""
    source = PrometheusSource(limits=Limits(failures_to_open=10**9, attempts=1, observe_seconds=60, round_seconds=120))
    try:
        return [await observe_all(source, triggers, NOW + 60 * number) for number in range(rounds)]
    finally:
        await source.close()


def among(texts: Sequence[str], server: str, namespace: str = SHOP) -> list[Trigger]:
    """The victim in the middle of the hostile texts, and a second one as the first of all."""
    before, after = texts[: len(texts) // 2], texts[len(texts) // 2 :]
    attackers = [of(namespace, n, text, server) for n, text in enumerate((*before, *after))]
    victims = [of(BYSTANDER, n, f"{VICTIM} + {n}", server) for n in range(3)]
    return [victims[0], *attackers[: len(before)], victims[1], *attackers[len(before) :], victims[2]]


def victims_of(triggers: Sequence[Trigger], seen: Sequence[object]) -> list[object]:
    return [value for one, value in zip(triggers, seen, strict=True) if one.namespace == BYSTANDER]


@pytest.mark.parametrize("text", ESCAPES)
async def test_a_victim_is_seen_as_it_is_next_to_every_escape(metrics: PrometheusServer, text: str) -> None:
    """Each text alone, before and after the victim."""
    triggers = among([text, text], metrics.url)
    for seen in await observed(triggers):
        assert victims_of(triggers, seen) == [1000.0, 1001.0, 1002.0]


@pytest.mark.parametrize("text", ESCAPES)
async def test_the_same_holds_for_victoria_metrics(victoria_address: str, text: str) -> None:
    """Its grammar knows escaped names, templates and other comments."""
    triggers = among([text, text], victoria_address)
    for seen in await observed(triggers):
        assert victims_of(triggers, seen) == [1000.0, 1001.0, 1002.0]


@given(st.lists(hostile, min_size=1, max_size=8))
@example(ESCAPES)
@example(ESCAPES[:2])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_no_text_changes_the_number_of_another_namespace(metrics: PrometheusServer, texts: list[str]) -> None:
    """Made of everything that opens, closes, quotes, escapes and comments."""
    triggers = among(texts, metrics.url)
    for seen in await observed(triggers):
        assert victims_of(triggers, seen) == [1000.0, 1001.0, 1002.0]


@given(st.lists(hostile, min_size=1, max_size=8))
@example(ESCAPES)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_nor_of_its_own_namespace(metrics: PrometheusServer, texts: list[str]) -> None:
    """What is answered alone is one expression: in brackets it stays one."""
    triggers = among(texts, metrics.url, namespace=BYSTANDER)
    wanted = {f"{VICTIM} + {n}": 1000.0 + n for n in range(3)}
    for seen in await observed(triggers):
        found = {one.query: value for one, value in zip(triggers, seen, strict=True) if one.query in wanted}
        assert found == wanted


async def test_a_request_holds_queries_of_one_namespace(metrics: PrometheusServer, before_metrics: Front) -> None:
    """Also of those that are trusted; there, several still share one."""
    triggers = [of(f"team-{n % 3}", n, f"vector({n})", before_metrics.url) for n in range(12)]
    source = PrometheusSource()
    try:
        for at in range(3):
            before_metrics.asked.clear()
            assert await observe_all(source, triggers, NOW + at) == [float(n) for n in range(12)]
        texts = sorted(one.query for one in before_metrics.asked)
    finally:
        await source.close()
    assert [{n % 3 for n in range(12) if f"vector({n})" in text} for text in texts] == [{0}, {1}, {2}]


@pytest.mark.parametrize("character", ["\r", "\x0b", "\x0c", "\x85", "\u2028", "\\"])
def test_what_servers_read_differently_is_refused(character: str) -> None:
    """By name: the field, its value, and what to write instead."""
    with pytest.raises(TriggerInvalid, match=r"query=.*must not contain a"):
        parse_trigger(
            SHOP,
            "web",
            {"query": f"vector(1) {character} + vector(1)", "threshold": "10"},
            TriggerRules(default_server="http://prometheus:9090"),
        )


def test_the_process_answers_the_bystander_as_it_is(tmp_path: Path, metrics: PrometheusServer) -> None:
    """Over gRPC, next to texts that once answered for it: after a restart, all were asked in one request."""
    victim = bystander(query=VICTIM)
    attackers = [trigger(SHOP, text) for text in ESCAPES[:2]]
    answers = []
    for _ in range(2):
        with replica(tmp_path, metrics.url) as scaler:
            scaler.register(attackers)
            scaler.until(victim, lambda call: call.number is not None)
            answers += scaler.poll(victim, seconds=12)
    assert {call.number for call in answers} == {1000.0}
