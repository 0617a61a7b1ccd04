"""Whatever JSON a server answers, a trigger gets its demand or an error in words; nothing else is raised."""

import asyncio
import itertools
import json
import math
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from scaler.errors import DependencyError
from scaler.history import answers, observe_all
from scaler.history.connection import Limits
from scaler.history.prometheus import PrometheusSource
from scaler.history.queries import TAG
from scaler.series import Blocks, Samples
from scaler.trigger import Trigger

AT = 1_700_000_000.0
TRIGGERS = [Trigger("shop", name, f"sum({name})", 10.0, "http://prometheus:9090", key=name) for name in "abc"]

plain = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([0, -1, 1e308, 10**400, AT, "", "1", "-5", "NaN", "+Inf", "x", "0", "vector", "matrix"]),
)
sample = st.tuples(st.sampled_from([AT, AT + 60, AT + 60.5, "x", None]), plain).map(list)
anything = st.recursive(plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner))
labels = st.dictionaries(st.sampled_from([TAG, "app"]), st.sampled_from(["0", "1", "a"]) | anything, max_size=2)
series = st.fixed_dictionaries(
    {},
    optional={
        "metric": labels | anything,
        "value": sample | anything,
        "values": st.lists(sample, max_size=3) | anything,
        "histogram": anything,
    },
)
data = st.fixed_dictionaries(
    {},
    optional={
        "resultType": st.sampled_from(["vector", "matrix", "scalar", "string"]) | anything,
        "result": st.lists(series, max_size=3) | sample | anything,
    },
)
documents = st.fixed_dictionaries(
    {"status": st.just("success"), "data": data | anything},
    optional={"warnings": anything, "infos": anything, "isPartial": anything},
)


TWICE = [{"metric": {"app": [label]}, "values": [[AT, "1"], [AT + 60, "2"]]} for label in "ab"]


@given(documents)
@example({"status": "success", "data": {"resultType": "matrix", "result": TWICE}})
@settings(max_examples=300, deadline=None)
def test_every_answer_is_demand_or_an_error_in_words(document: dict[str, Any]) -> None:
    """For one trigger and several that share a request, for samples and blocks; no fault of ours is logged."""
    with capture_logs() as logged:
        found = asyncio.run(_ask_everything(json.dumps(document)))
    for answer in found:
        assert isinstance(answer, DependencyError | Samples | Blocks) or (math.isfinite(answer) and answer >= 0)
    assert [line for line in logged if line["event"] == "source_failed"] == []


MOST_SECONDS = 5.0
"""of the processor, for an answer of the largest size that is read; it takes a twentieth of a second"""
LONG: list[Any] = [
    *(one * (900_000 // len(one.encode())) for one in ["token", "a+", " ", "9", "é"]),
    [[]] * 200_000,
    [{"metric": {}}] * 50_000,
    {str(n): "x" for n in range(50_000)},
]
PLACES = ["resultType", "result", "label", "name", "sample", "value", "values", "warnings", "error", "key"]


def with_long(place: str, value: Any) -> dict[str, Any]:
    """A successful or failed answer with something very long at one place."""
    text = value if isinstance(value, str) else "x"
    item: dict[str, Any] = {"metric": {"app": "a"}, "value": [AT, "1"], "values": [[AT, "1"]]}
    item |= {"label": {"metric": {"app": value}}, "name": {"metric": {text: "a"}}}.get(place, {})
    item |= {"sample": {"value": [AT, value], "values": [[AT, value]]}, "value": {"value": value}}.get(place, {})
    item |= {"values": {"values": value}}.get(place, {})
    document: dict[str, Any] = {"status": "success", "data": {"resultType": "vector", "result": [item]}}
    if place in ("resultType", "result"):
        document["data"][place] = value
    elif place == "warnings":
        document["warnings"] = [value, text]
    elif place == "error":
        document = {"status": "error", "error": value, "errorType": value}
    elif place == "key":
        document[text] = value
    return document


@pytest.mark.parametrize("place", PLACES)
def test_long_answers_take_time_in_proportion_to_their_size(place: str) -> None:
    """Whatever is long about it: what it says is cut before anything looks at it, and the error stays short."""
    for value, status in itertools.product(LONG, (200, 422)):
        body = json.dumps(with_long(place, value)).encode()
        began = time.process_time()
        said = [_error(read, status, body) for read in (answers.elements, answers.series)]
        assert time.process_time() - began < MOST_SECONDS, (status, str(value)[:100])
        assert max(map(len, said)) < 1000, (status, str(value)[:100])


def _error(read: Callable[[answers.ServerAnswer], object], status: int, body: bytes) -> str:
    try:
        read(answers.decode("http://prometheus:9090", status, body))
    except DependencyError as error:
        return str(error)
    return ""


async def _ask_everything(body: str) -> list[Any]:
    transport = httpx.MockTransport(lambda request: httpx.Response(200, content=body))
    source = PrometheusSource(limits=Limits(attempts=1, failures_to_open=10**9), transport=transport)
    try:
        asked = (source.samples(TRIGGERS[0], AT, AT + 600, 60), source.blocks(TRIGGERS[0], AT - 7200, AT, 900))
        history = await asyncio.gather(*asked, return_exceptions=True)
        return [*await observe_all(source, TRIGGERS, AT), *await observe_all(source, TRIGGERS[:1], AT), *history]
    finally:
        await source.close()
