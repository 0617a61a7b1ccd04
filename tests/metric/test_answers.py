"""The three calls of KEDA's cycle, through a real server."""

import asyncio
from collections.abc import Mapping

import grpc
import pytest

from scaler.errors import AmbiguousDemand, NoDemand, SourceRefused, SourceUnavailable
from scaler.metric.replies import value_reply
from scaler.metric.wire import externalscaler_pb2 as wire
from tests.metric.port import METADATA, observed, refusal, registered, scaled_object, served


async def test_one_cycle_tells_spec_value_and_activity() -> None:
    """A watched trigger with demand gets one spec, one value rounded up in the old field, and is active."""
    async with served() as it:
        ref = scaled_object(threshold="2.5")
        await registered(it, ref)
        it.observe(42.5)

        spec = await it.stub.GetMetricSpec(ref)
        value = await it.metrics(ref)
        active = await it.stub.IsActive(ref)

    assert list(spec.metricSpecs) == [wire.MetricSpec(metricName="headway", targetSize=3, targetSizeFloat=2.5)]
    assert len(value.metricValues) == 1
    assert (value.metricValues[0].metricName, value.metricValues[0].metricValue) == ("headway", 43)
    assert value.metricValues[0].metricValueFloat == pytest.approx(42.5)
    assert active.result


async def test_zero_is_zero_in_both_fields_and_inactive() -> None:
    """No demand is a plain zero and "inactive", not an error."""
    async with served() as it:
        ref = scaled_object()
        await registered(it, ref)
        it.observe(0)
        value = (await it.metrics(ref)).metricValues[0]
        active = await it.stub.IsActive(ref)

    assert (value.metricValue, value.metricValueFloat, active.result) == (0, 0.0, False)


async def test_spec_needs_nothing_but_metadata() -> None:
    """GetMetricSpec answers for a trigger that is not watched, and does not register it."""
    async with served() as it:
        spec = await it.stub.GetMetricSpec(scaled_object(threshold="0.001"))
        registration = len(it.registry)

    assert (spec.metricSpecs[0].targetSize, spec.metricSpecs[0].targetSizeFloat, registration) == (1, 0.001, 0)


async def test_the_value_reports_faults_and_the_spec_does_not() -> None:
    """A faulty trigger with a readable threshold gets its spec; GetMetrics and IsActive list every fault."""
    async with served() as it:
        ref = scaled_object(quantile="2", leedTime="3m")
        spec = await it.stub.GetMetricSpec(ref)
        value = await refusal(it.metrics(ref))
        active = await refusal(it.stub.IsActive(ref))

    assert spec.metricSpecs[0].targetSizeFloat == 10
    assert value.code() == active.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "2 faults" in value.details()
    assert "quantile" in value.details()
    assert "leedTime" in value.details()
    assert value.details() == active.details()


@pytest.mark.parametrize("threshold", [None, "", "many", "-1", "0", "0.0004", "NaN", "inf"])
async def test_an_unusable_threshold_gets_a_placeholder_target(threshold: str | None) -> None:
    """The spec answers, or the object's healthy triggers would fail as well; the value names the fault."""
    metadata = {**METADATA, "threshold": threshold} if threshold is not None else without(METADATA, "threshold")
    async with served() as it:
        ref = scaled_object(metadata=metadata)
        spec = (await it.stub.GetMetricSpec(ref)).metricSpecs[0]
        value = await refusal(it.metrics(ref))
        active = await refusal(it.stub.IsActive(ref))

    assert (spec.metricName, spec.targetSize, spec.targetSizeFloat) == ("headway", 1, 1.0)
    assert value.code() == active.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "threshold" in value.details()


@pytest.mark.parametrize(
    "metadata",
    [{"scalerAddress": "headway:50051"}, {"threshold": "10"}, {**METADATA, "serverAddress": "ftp://x"}],
    ids=["empty", "no query", "refused server"],
)
async def test_every_kind_of_faulty_trigger_gets_a_spec(metadata: dict[str, str]) -> None:
    """Whatever is wrong with the metadata, one spec with a positive target is sent."""
    async with served() as it:
        ref = scaled_object(metadata=metadata)
        specs = (await it.stub.GetMetricSpec(ref)).metricSpecs
        error = await refusal(it.metrics(ref))

    assert [spec.targetSizeFloat > 0 for spec in specs] == [True]
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_a_cold_trigger_is_an_error_never_inactive() -> None:
    """Before the first observation both questions fail, so that KEDA does not scale a fresh object to zero."""
    async with served() as it:
        value = await refusal(it.metrics(scaled_object()))
        active = await refusal(it.stub.IsActive(scaled_object()))

    assert value.code() == active.code() == grpc.StatusCode.UNAVAILABLE
    assert "waiting for the first observation" in active.details()


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (SourceUnavailable("no route"), grpc.StatusCode.UNAVAILABLE),
        (NoDemand("nothing found"), grpc.StatusCode.UNAVAILABLE),
        (SourceRefused("parse error"), grpc.StatusCode.FAILED_PRECONDITION),
        (AmbiguousDemand("3 series"), grpc.StatusCode.FAILED_PRECONDITION),
    ],
)
async def test_the_source_speaks_for_itself(error: Exception, status: grpc.StatusCode) -> None:
    """What went wrong at the source reaches the user in its own words, with the status of its kind."""
    async with served() as it:
        ref = scaled_object()
        registration = await registered(it, ref)
        it.registry.fail(registration, error)  # type: ignore[arg-type]
        refused = await refusal(it.metrics(ref))

    assert (refused.code(), refused.details()) == (status, str(error))


async def test_an_old_metric_name_still_gets_the_value() -> None:
    """An HPA that asks for a name of yesterday is served: one trigger has one value."""
    async with served() as it:
        ref = scaled_object()
        await registered(it, ref)
        it.observe(7)
        value = await it.metrics(ref, name="s0-prometheus")

    assert [metric.metricValueFloat for metric in value.metricValues] == [7]


async def test_two_triggers_of_one_object_are_apart() -> None:
    """Triggers differ by their metadata, not by the name of the object."""
    async with served() as it:
        first, second = scaled_object(), scaled_object(query="sum(queue_length)")
        one, two = await registered(it, first), await registered(it, second)
        it.registry.receive(one, observed(it.clock.moment, 5), it.clock.moment)
        it.registry.receive(two, observed(it.clock.moment, 9), it.clock.moment)
        values = [(await it.metrics(ref)).metricValues[0].metricValueFloat for ref in (first, second)]

    assert values == [5, 9]


async def test_key_order_makes_no_second_trigger() -> None:
    """The same metadata in another order is the same trigger."""
    async with served() as it:
        await registered(it, scaled_object())
        it.observe(5)
        turned = scaled_object(metadata=dict(reversed(METADATA.items())))
        value = (await it.metrics(turned)).metricValues[0].metricValueFloat
        registration = len(it.registry)

    assert (value, registration) == (5, 1)


async def test_a_forgotten_trigger_is_registered_anew_by_the_next_call() -> None:
    """Silence expires a trigger; the very same request brings it back, cold."""
    async with served() as it:
        ref = scaled_object()
        await registered(it, ref)
        it.observe(5)
        await it.metrics(ref)
        it.clock.moment += 1000
        forgotten = it.registry.forget_silent(it.clock.moment, 900)
        error = await refusal(it.metrics(ref))

        assert [registration.trigger.name for registration in forgotten] == ["shop"]
        assert error.code() == grpc.StatusCode.UNAVAILABLE
        assert len(it.registry) == 1


async def test_every_kind_of_call_keeps_a_trigger_alive() -> None:
    """The time since the last call counts from the newest GetMetrics or IsActive."""
    async with served() as it:
        ref = scaled_object()
        await registered(it, ref)
        it.observe(5)
        it.clock.moment += 140
        await it.stub.IsActive(ref)
        assert it.registry.forget_silent(it.clock.moment, 130) == []
        it.clock.moment += 140
        await it.metrics(ref)
        assert it.registry.forget_silent(it.clock.moment, 130) == []


async def test_the_value_moves_with_the_plan() -> None:
    """A reply is remembered for its answer alone: the next outlook is answered at once."""
    async with served() as it:
        ref = scaled_object()
        await registered(it, ref)
        answers = []
        for demand in (5, 8):
            it.observe(demand)
            answers.append((await it.metrics(ref)).metricValues[0].metricValueFloat)
            it.clock.moment += 15

    assert answers == [5, 8]


async def test_many_calls_at_once_are_all_answered() -> None:
    """A burst, as at an operator's start, gets every trigger its own value."""
    async with served() as it:
        refs = [scaled_object(f"shop-{number}") for number in range(200)]
        await asyncio.gather(*(refusal(it.metrics(ref)) for ref in refs))
        for number, ref in enumerate(refs):
            key = next(w.trigger.key for w in it.registry if w.trigger.name == ref.name)
            it.registry.receive(key, observed(it.clock.moment, number), it.clock.moment)
        replies = await asyncio.gather(*(it.metrics(ref) for ref in refs))

    assert [reply.metricValues[0].metricValueFloat for reply in replies] == list(range(200))


async def test_calls_for_the_metric_are_counted_by_trigger() -> None:
    """Their pace shows whether an HPA reads the trigger; IsActive, which it does not read, is left out."""
    async with served() as it:
        refs = [scaled_object(), scaled_object("other")]
        for ref in refs:
            await registered(it, ref)
        it.observe(5)
        await it.metrics(refs[0])
        await it.stub.IsActive(refs[0])
        counts = {one.trigger.name: one.metric_calls for one in it.registry}

    assert counts == {"shop": 2, "other": 1}


async def test_calls_are_counted_by_how_they_ended() -> None:
    """Telemetry reads plain counts by RPC and status."""
    async with served() as it:
        ref = scaled_object()
        await registered(it, ref)
        it.observe(5)
        await it.metrics(ref)
        await it.stub.GetMetricSpec(ref)
        await refusal(it.metrics(scaled_object(quantile="2")))
        counts = dict(it.servicer.calls)

    assert counts == {
        ("GetMetrics", "UNAVAILABLE"): 1,
        ("GetMetrics", "OK"): 1,
        ("GetMetricSpec", "OK"): 1,
        ("GetMetrics", "INVALID_ARGUMENT"): 1,
    }


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), -1.0, 9.3e15])
def test_no_absurd_value_leaves(value: float | None) -> None:
    """What KEDA would misread is refused here, whatever the plan is."""
    with pytest.raises(ValueError, match="a plan has a metric of"):
        value_reply(value)


def without(metadata: Mapping[str, str], key: str) -> dict[str, str]:
    return {name: value for name, value in metadata.items() if name != key}
