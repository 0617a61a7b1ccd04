"""Whatever metadata says, and however large it is: a trigger or its faults, in a time that is bounded."""

import time

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from scaler.errors import HeadwayError, QuotaReached, TriggerInvalid
from scaler.metric.lookup import Lookup, is_too_large, scaled_object
from scaler.metric.wire import externalscaler_pb2 as wire
from scaler.quotas import Limits
from scaler.registry import MOST_OF_ONE_OBJECT, Registry
from scaler.trigger import TRIGGER_KEYS, TriggerRules, parse_trigger
from scaler.trigger.schema import relevant
from scaler.trigger.sizes import MOST_CHARACTERS, MOST_KEYS, MOST_REQUEST_BYTES

pytestmark = pytest.mark.alone

RULES = TriggerRules("http://prometheus:9090", ("*",))
LONGEST_SECONDS = 2.0
"""of the processor, for the largest metadata that is read; it takes some milliseconds"""
LONGEST_MESSAGE = 8000

known = st.sampled_from([key.name for key in TRIGGER_KEYS])
spelled = st.builds(lambda name, end: name + end, known, st.sampled_from(["", "FromEnv", "x"]))
pieces = st.sampled_from(
    [
        *"aZ09.+-mh:/@?#%[](){}\"'`\\\n\r\t \x00\x7f\u2028é𝔘=,;*|~_٣İſ\ud800",
        *("http://", "//", "xn--", "or", "headway_planned_demand", "token", "0x", "1e", "9.", "FromEnv"),
    ]
)
long = st.builds(lambda piece, times: piece * times, pieces, st.sampled_from([1, 17, 100, 4096, 16_384, 200_000]))
texts = long | st.builds(lambda a, b, c: a + b + c, long, st.text(max_size=40), long) | st.text(max_size=60)
some = st.dictionaries(spelled | texts, texts, max_size=10)
many = st.builds(
    lambda key, text, count: {f"{key}{number}": text for number in range(count)},
    pieces, pieces, st.sampled_from([60, 65, 5000, 70_000]),
)  # fmt: skip
least = {"query": "up", "threshold": "10"}


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(texts, texts, some | many, st.booleans())
@example("shop", "web", {"query": "(" * 16_384, "threshold": "9" * 16_384}, False)
@example("shop", "web", {"serverAddress": "http://" + "a." * 8000}, True)
@example("shop", "web", {"queryParameters": "a=b," * 4000}, True)
@example("shop", "web", {"a" * 128: "x"} | {f"activationThreshol{n}": "1" for n in range(61)}, True)
def test_any_metadata_gives_a_trigger_or_faults(
    namespace: str, name: str, metadata: dict[str, str], complete: bool
) -> None:
    """Nothing else is raised; a message is bounded; what is kept is bounded."""
    began, message, made = time.process_time(), "", None
    if complete:
        namespace, name, metadata = "shop", "web", least | metadata
    try:
        made = parse_trigger(namespace, name, metadata, RULES)
    except TriggerInvalid as error:
        message = str(error)
    assert len(message) < LONGEST_MESSAGE
    if made is not None:
        kept = relevant(metadata)
        assert len(kept) <= MOST_KEYS
        assert sum(map(len, [*kept, *kept.values()])) <= MOST_CHARACTERS
        assert parse_trigger(namespace, name, kept, RULES) == made
    assert time.process_time() - began < LONGEST_SECONDS


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=300) | st.builds(lambda data, times: data * times, st.binary(max_size=20), st.just(5000)))
def test_any_request_is_an_object_or_an_error(request: bytes) -> None:
    """Bytes that are no message, and messages of any content."""
    on = Registry(RULES, 15.0, limits=Limits(10, 5))
    began, message = time.process_time(), ""
    try:
        Lookup(on, scaled_object).register(request, 1.0)
    except HeadwayError as error:
        message = str(error)
    assert len(message) < LONGEST_MESSAGE
    assert time.process_time() - began < LONGEST_SECONDS


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["web", "api"]), st.integers(0, 99)), max_size=300))
def test_no_sequence_of_requests_makes_more_than_the_quota(calls: list[tuple[str, int]]) -> None:
    """However a tenant edits: one object has a bounded number of triggers, and so has the namespace."""
    on = Registry(RULES, 15.0, limits=Limits(100, MOST_OF_ONE_OBJECT + 10))
    lookup = Lookup(on, scaled_object)
    for moment, (name, number) in enumerate(calls):
        metadata = least | {"query": f"vector({number})"}
        request = wire.ScaledObjectRef(namespace="shop", name=name, scalerMetadata=metadata).SerializeToString()
        assert not is_too_large(request)
        try:
            found = lookup.known(request, moment) or lookup.register(request, moment)
        except QuotaReached:
            continue
        assert on.get(found.trigger.key) is found
        assert len(on.page(1000, namespace="shop", name=name)) <= MOST_OF_ONE_OBJECT
        assert len(on) <= MOST_OF_ONE_OBJECT + 10


def test_the_largest_metadata_fits_into_a_request() -> None:
    """What is read can be sent: no limit is out of reach behind another."""
    metadata = {**least, "query": "x" * 16_000, "model": "y" * (MOST_CHARACTERS - 16_100)}
    request = wire.ScaledObjectRef(namespace="n" * 63, name="w" * 253, scalerMetadata=metadata)
    assert MOST_CHARACTERS < request.ByteSize() < MOST_REQUEST_BYTES
