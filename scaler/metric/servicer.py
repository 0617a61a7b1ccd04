"""KEDA's five RPCs, each answered from this process's memory: read the request, decide, reply.

Requests and replies are bytes here. Nine of ten calls parse nothing and make nothing: what the request means is in a
`Memo`, and the reply was made when its answer began to count.
"""

import contextlib
import secrets
import traceback
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractContextManager
from time import perf_counter_ns
from typing import TypeAlias

import grpc
import structlog

from scaler.clock import Clock
from scaler.errors import DependencyError, HeadwayError, TriggerInvalid
from scaler.metric.first_answer import FirstAnswers
from scaler.metric.lookup import Lookup, is_too_large, measured_object, scaled_object
from scaler.metric.memo import Memo
from scaler.metric.replies import ACTIVE, INACTIVE, PLACEHOLDER_TARGET, spec_reply, value_reply
from scaler.metric.streams import Streams, Wake
from scaler.metric.timing import Timing
from scaler.registry import Answer, Registration, Registry
from scaler.trigger import parse_trigger
from scaler.turns import Turns

Context: TypeAlias = "grpc.aio.ServicerContext[bytes, bytes]"

log = structlog.get_logger(__name__)

_DETAIL_BYTES = 2000
"""of an error's text: it travels percent-encoded in a header, and clients refuse headers beyond 8 KiB"""


class Servicer:
    """The five RPCs over one registry. `first_answers` decides which calls wait for a trigger's first answer."""

    def __init__(self, registry: Registry, clock: Clock, streams: Streams, first_answers: FirstAnswers) -> None:
        self.streams = streams
        self.first_answers = first_answers
        self.timing = Timing()
        self._spec_times = self.timing.of("GetMetricSpec", "OK")
        self._value_times = self.timing.of("GetMetrics", "OK")
        self._active_times = self.timing.of("IsActive", "OK")
        self._streams_ended: Counter[tuple[str, str]] = Counter()
        self._registry = registry
        self._now = clock.now
        self._specs = Memo[bytes]()
        self._objects = Lookup(registry, scaled_object)
        self._measured = Lookup(registry, measured_object)
        self._newcomers = Turns()
        """of requests that were not seen before: a known one costs some microseconds, a new one about 0.3 ms"""

    @property
    def calls(self) -> Mapping[tuple[str, str], int]:
        """How many calls ended how, by (RPC, status name)."""
        return {**self.timing.counts(), **self._streams_ended}

    async def GetMetricSpec(self, request: bytes, context: Context) -> bytes:
        """The one metric and its target, from the metadata alone: also while cold, draining, or for a faulty trigger.

        Only bytes that are no request are refused. KEDA drops every metric of a ScaledObject, those of healthy triggers
        too, when one spec fails. GetMetrics and IsActive report the faults.
        """
        started = perf_counter_ns()
        try:
            if self._specs.get(request) is None:
                await self._newcomers.turn()
            reply = self._spec(request)
        except Exception as error:  # noqa: BLE001 - whatever fails, the caller gets a status
            return self._refuse("GetMetricSpec", started, error, context)
        self._spec_times.note(started)
        return reply

    async def GetMetrics(self, request: bytes, context: Context) -> bytes:
        """The planned metric: exactly one value, under our one name, whatever name the request has."""
        started = perf_counter_ns()
        try:
            now = self._now()
            registration = self._measured.known(request, now)
            if registration is None:
                await self._newcomers.turn()
                registration = self._measured.register(request, now)
            registration.metric_calls += 1
            if not registration.first_answer.is_set():
                await self.first_answers.wait(registration)
                now = self._now()
            answer = self._registry.answer(registration, now)
            reply = answer.wire or _made(answer)
        except Exception as error:  # noqa: BLE001
            return self._refuse("GetMetrics", started, error, context)
        self._value_times.note(started)
        return reply

    async def IsActive(self, request: bytes, context: Context) -> bytes:
        """Whether demand is expected in the lead window; an error, never "inactive", while nothing is known."""
        started = perf_counter_ns()
        try:
            now = self._now()
            registration = self._objects.known(request, now)
            if registration is None:
                await self._newcomers.turn()
                registration = self._objects.register(request, now)
            if not registration.first_answer.is_set():
                await self.first_answers.wait(registration)
                now = self._now()
            reply = ACTIVE if self._registry.answer(registration, now).plan.active else INACTIVE
        except Exception as error:  # noqa: BLE001
            return self._refuse("IsActive", started, error, context)
        self._active_times.note(started)
        return reply

    async def StreamIsActive(self, request: bytes, context: Context) -> None:
        """Activity now and at each change; silent while nothing is known."""
        is_known = self._objects.known(request, self._now()) is not None
        await self._stream("StreamIsActive", is_known, lambda: self._activities(request), context)

    async def StreamMetricSpec(self, request: bytes, context: Context) -> None:
        """The spec, once: it never changes for the same metadata. The stream stays open: KEDA would open it again."""
        is_known = self._specs.get(request) is not None
        await self._stream("StreamMetricSpec", is_known, lambda: self._metric_specs(request), context)

    def _activities(self, request: bytes) -> AsyncGenerator[bytes, None]:
        trigger = self._object(request).trigger

        def follow(wake: Wake) -> AbstractContextManager[None]:
            return self._registry.follow(trigger.key, wake)

        return self.streams.messages(trigger.namespace, lambda: self._activity(request), follow)

    def _metric_specs(self, request: bytes) -> AsyncGenerator[bytes, None]:
        return self.streams.messages(scaled_object(request).namespace, lambda: self._spec(request))

    def _spec(self, request: bytes) -> bytes:
        if is_too_large(request):
            return spec_reply(PLACEHOLDER_TARGET)
        reply = self._specs.get(request)
        if reply is None:
            reply = spec_reply(self._threshold(request))
            self._specs.put(request, reply)
        return reply

    def _threshold(self, request: bytes) -> float:
        ref = scaled_object(request)
        try:
            return parse_trigger(ref.namespace, ref.name, ref.scalerMetadata, self._registry.rules).threshold
        except TriggerInvalid as invalid:
            return invalid.threshold or PLACEHOLDER_TARGET

    def _object(self, request: bytes) -> Registration:
        now = self._now()
        return self._objects.known(request, now) or self._objects.register(request, now)

    def _activity(self, request: bytes) -> bytes | None:
        registration = self._object(request)
        try:
            return ACTIVE if self._registry.answer(registration, self._now()).plan.active else INACTIVE
        except DependencyError:
            return None

    async def _stream(
        self, rpc: str, is_known: bool, open_one: Callable[[], AsyncGenerator[bytes, None]], context: Context
    ) -> None:
        try:
            if not is_known:
                await self._newcomers.turn()
            async with contextlib.aclosing(open_one()) as sending:
                async for message in sending:
                    await context.write(message)
        except Exception as error:  # noqa: BLE001
            self._streams_ended[rpc, _end_with(error, rpc, context)] += 1
        else:
            self._streams_ended[rpc, "OK"] += 1

    def _refuse(self, rpc: str, started: int, error: Exception, context: Context) -> bytes:
        """What to return instead of a reply, which gRPC does not send then."""
        self.timing.of(rpc, _end_with(error, rpc, context)).note(started)
        return b""


def _end_with(error: Exception, rpc: str, context: Context) -> str:
    """Set the status of the call; returns its name.

    `context.abort` would raise an exception that leads back to the call: all frames and the request would stay until
    the next full collection of garbage, which is rare (scheduling.py).
    """
    status, text = _refusal(rpc, error)
    context.set_code(grpc.StatusCode[status])
    context.set_details(text)
    return status


def _refusal(rpc: str, error: Exception) -> tuple[str, str]:
    """The name of the gRPC status and the text that a caller gets."""
    if isinstance(error, HeadwayError):
        return error.status, _shortened(str(error))
    return "INTERNAL", _logged(rpc, error)


def _made(answer: Answer) -> bytes:
    answer.wire = value_reply(answer.plan.metric)
    return answer.wire


def _logged(rpc: str, error: Exception) -> str:
    """The text a caller gets for an error of ours; the log gets the place, but no values: metadata may be in them."""
    request_id = secrets.token_hex(6)
    frames = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)]
    log.error("call_failed", rpc=rpc, request_id=request_id, error=type(error).__name__, frames=frames)
    return f"internal error, see the log of the scaler at request_id {request_id}"


def _shortened(text: str) -> str:
    encoded = text.encode()
    if len(encoded) <= _DETAIL_BYTES:
        return text
    return encoded[:_DETAIL_BYTES].decode(errors="ignore") + " …"
