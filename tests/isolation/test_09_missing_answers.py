"""A missing answer is never 0: only a complete, empty vector is, and only where the trigger says so."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from scaler.errors import DependencyError
from scaler.history import observe_all
from scaler.history.connection import Limits
from scaler.history.prometheus import PrometheusSource
from scaler.history.queries import TAG
from scaler.trigger import Trigger
from tests.isolation.world import BYSTANDER, bystander, replica, trigger
from tests.servers.front import Asked, Front, Instead
from tests.servers.prometheus import PrometheusServer

pytestmark = pytest.mark.server

NOW = 1_700_006_400.0
PATIENT = Limits(failures_to_open=10**9, observe_seconds=60, round_seconds=120)
"""on a busy machine, too, an answer comes in time"""
Change = Callable[[dict[str, Any]], dict[str, Any]]


def of(number: int, server: str, query: str = "") -> Trigger:
    """A trigger that reads nothing as 0."""
    text = query or f"vector({1000 + number})"
    return Trigger(BYSTANDER, f"web-{number}", text, 10.0, server, ignore_null_values=True, key=str(number))


def changed(front: Front, change: Change, only_joined: bool = True) -> Callable[[Asked], Instead | None]:
    """A rule: the upstream's answer to a query, changed."""

    def rule(asked: Asked) -> Instead | None:
        if only_joined and TAG not in asked.query:
            return None
        found = httpx.post(front.upstream + asked.path, data=dict(asked.parameters), trust_env=False).json()
        return Instead(json.dumps(change(found)).encode())

    return rule


def _each_label(change: Callable[[dict[str, str]], dict[str, str]]) -> Change:
    def all_of(document: dict[str, Any]) -> dict[str, Any]:
        for one in document["data"]["result"]:
            one["metric"] = change(one["metric"])
        return document

    return all_of


def _result(kind: str, result: object) -> Change:
    return lambda document: {**document, "data": {"resultType": kind, "result": result}}


def _first_without_tag(document: dict[str, Any]) -> dict[str, Any]:
    document["data"]["result"][0]["metric"].pop(TAG, None)
    return document


def _only_the_first(document: dict[str, Any]) -> dict[str, Any]:
    del document["data"]["result"][1:]
    return document


LOSSES: dict[str, Change] = {
    "labels dropped by a proxy": _each_label(lambda labels: {k: v for k, v in labels.items() if k != TAG}),
    "all labels dropped": _each_label(lambda _: {}),
    "an unknown tag": _each_label(lambda labels: {**labels, TAG: "777"}),
    "a tag with a blank": _each_label(lambda labels: {**labels, TAG: labels.get(TAG, "") + " "}),
    "one element without a tag": _first_without_tag,
    "a scalar": _result("scalar", [NOW, "5"]),
    "a string": _result("string", [NOW, "5"]),
    "a matrix": _result("matrix", []),
    "an unknown kind": _result("table", []),
    "no kind": _result("", []),
    "an empty vector": _result("vector", []),
    "null for an empty vector": _result("vector", None),
    "a truncated vector": _only_the_first,
    "no data": lambda document: {**document, "data": None},
    "no result": lambda document: {**document, "data": {"resultType": "vector"}},
    "an object for a result": _result("vector", {}),
    "a partial answer": lambda document: {**document, "warnings": ["a store did not answer"]},
}


@pytest.mark.parametrize("change", LOSSES.values(), ids=LOSSES)
async def test_an_answer_to_several_that_lost_a_part(
    metrics: PrometheusServer, before_metrics: Front, change: Change
) -> None:
    """From the start, and when it begins to happen to trusted queries: each gets its own number or an error."""
    triggers = [of(number, before_metrics.url) for number in range(12)]
    numbers = [1000.0 + number for number in range(12)]
    for from_round in (0, 2):
        source = PrometheusSource(limits=PATIENT)
        for at in range(5):
            before_metrics.rules[:] = [changed(before_metrics, change)] if at >= from_round else []
            answers = await observe_all(source, triggers, NOW + 15 * at)
            assert not wrong(answers, numbers), (from_round, at, answers)
            if change is not LOSSES["a partial answer"]:  # an outage of a store is not multiplied
                assert answers == numbers
        await source.close()


def wrong(answers: Sequence[object], numbers: Sequence[float]) -> list[object]:
    """The answers that are neither the right number nor an error."""
    pairs = zip(answers, numbers, strict=True)
    return [answer for answer, number in pairs if answer != number and not isinstance(answer, DependencyError)]


KINDS: dict[str, Change] = {
    name: LOSSES[name]
    for name in (
        *("a string", "a matrix", "an unknown kind", "no kind", "no data", "no result", "an object for a result"),
        "a partial answer",
    )
}


@pytest.mark.parametrize("change", KINDS.values(), ids=KINDS)
async def test_an_answer_to_one_query_that_is_no_empty_vector(
    metrics: PrometheusServer, before_metrics: Front, change: Change
) -> None:
    """An error, not nothing; for observations and for history."""
    before_metrics.rules[:] = [changed(before_metrics, change, only_joined=False)]
    source = PrometheusSource(limits=Limits(attempts=1))
    (answer,) = await observe_all(source, [of(0, before_metrics.url)], NOW)
    assert isinstance(answer, DependencyError)
    if change is not KINDS["a matrix"]:
        for asked in (source.samples, source.blocks):
            with pytest.raises(DependencyError):
                await asked(of(0, before_metrics.url), NOW - 3600, NOW, 900.0)
    await source.close()


async def test_an_empty_vector_is_0_where_the_trigger_says_so(metrics: PrometheusServer, before_metrics: Front) -> None:
    """That of the query alone; for others it stays unknown. It takes no further requests once it is known."""
    triggers = [of(number, before_metrics.url, f"vector({number}) > 5") for number in range(12)]
    source = PrometheusSource(limits=PATIENT)
    for at in range(3):
        before_metrics.asked.clear()
        answers = await observe_all(source, triggers, NOW + 15 * at)
        assert answers == [*[0.0] * 6, *map(float, range(6, 12))]
    assert len(before_metrics.asked) == 1
    await source.close()


@pytest.mark.parametrize("kind", ["nan", "+Inf", "-Inf"])
async def test_what_is_no_number_is_not_nothing(metrics: PrometheusServer, kind: str) -> None:
    """Alone and together."""
    triggers = [of(number, metrics.url, f"vector({kind}) + {number}") for number in range(6)]
    source = PrometheusSource(limits=PATIENT)
    for at in range(3):
        answers = await observe_all(source, triggers, NOW + 15 * at)
        assert all(isinstance(answer, DependencyError) for answer in answers)
    await source.close()


RANGES: dict[str, Change] = {
    "labels dropped by a proxy": LOSSES["labels dropped by a proxy"],
    "an unknown tag": LOSSES["an unknown tag"],
    "one series without a tag": _first_without_tag,
    "one series of two": _only_the_first,
}


@pytest.mark.parametrize("change", RANGES.values(), ids=RANGES)
async def test_blocks_that_lost_a_part_are_read_in_another_way(
    metrics: PrometheusServer, before_metrics: Front, change: Change
) -> None:
    """Mean and maximum come in one answer: without both, the plain query is asked."""
    before_metrics.rules[:] = [changed(before_metrics, change)]
    source = PrometheusSource(limits=PATIENT)
    blocks = await source.blocks(of(0, before_metrics.url), NOW - 7200, NOW, 900)
    assert blocks.mean.tolist() == [1000.0] * 8
    assert blocks.max.tolist() == [1000.0] * 8
    await source.close()


@pytest.mark.parametrize("moment", [0.0, NOW + 7200, 1e15, float("inf"), float("nan")])
async def test_samples_of_another_time_are_no_history(
    metrics: PrometheusServer, before_metrics: Front, moment: float
) -> None:
    """They would be zeros from then on, in any amount of memory."""

    def moved(document: dict[str, Any]) -> dict[str, Any]:
        document["data"]["result"][0]["values"].append([moment, "5"])
        return document

    before_metrics.rules[:] = [changed(before_metrics, moved, only_joined=False)]
    source = PrometheusSource(limits=Limits(attempts=1))
    for asked in (source.samples, source.blocks):
        with pytest.raises(DependencyError, match="another time"):
            await asked(of(0, before_metrics.url), NOW - 3600, NOW, 900.0)
    await source.close()


def test_the_process_never_answers_0_behind_a_proxy_that_drops_labels(
    tmp_path: Path, metrics: PrometheusServer, before_metrics: Front
) -> None:
    """Over gRPC, while it begins and ends; twelve neighbours share the bystander's namespace."""
    victim = bystander(query="sum(vector(1000))", ignoreNullValues="true")
    neighbours = [trigger(BYSTANDER, f"vector({n})", ignoreNullValues="true") for n in range(12)]
    drops = changed(before_metrics, LOSSES["labels dropped by a proxy"])
    with replica(tmp_path, before_metrics.url) as scaler:
        scaler.register(neighbours)
        scaler.until_value(victim, 1000)
        answers = scaler.poll(victim, seconds=12)
        before_metrics.rules[:] = [drops]
        answers += scaler.poll(victim, seconds=12)
        before_metrics.rules.clear()
        answers += scaler.poll(victim, seconds=6)
    assert any(TAG in asked.query and "1000" in asked.query for asked in before_metrics.asked)
    assert {call.number for call in answers} == {1000.0}
