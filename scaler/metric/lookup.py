"""Request bytes → the registration of their trigger."""

import weakref
from collections.abc import Callable

from google.protobuf.message import DecodeError

from scaler.errors import TriggerError
from scaler.metric.memo import Memo
from scaler.metric.wire import externalscaler_pb2 as wire
from scaler.registry import Registration, Registry
from scaler.trigger.sizes import MOST_REQUEST_BYTES


def scaled_object(request: bytes) -> wire.ScaledObjectRef:
    """The object in a request of IsActive, GetMetricSpec and both streams. Raises TriggerError for other bytes."""
    _check_size(request)
    try:
        return wire.ScaledObjectRef.FromString(request)
    except DecodeError as error:
        raise TriggerError("the request is not a ScaledObjectRef of externalscaler.proto") from error


def measured_object(request: bytes) -> wire.ScaledObjectRef:
    """The object in a request of GetMetrics. Raises TriggerError for other bytes.

    The metric's name is ignored: there is one value per trigger, and an HPA that still uses an old name gets it, too.
    """
    _check_size(request)
    try:
        return wire.GetMetricsRequest.FromString(request).scaledObjectRef
    except DecodeError as error:
        raise TriggerError("the request is not a GetMetricsRequest of externalscaler.proto") from error


def is_too_large(request: bytes) -> bool:
    """Whether the request is refused for its size alone, before anything reads it."""
    return len(request) > MOST_REQUEST_BYTES


def _check_size(request: bytes) -> None:
    if is_too_large(request):
        raise TriggerError(
            f"the request has {len(request)} bytes, at most {MOST_REQUEST_BYTES} are read: shorten the trigger's "
            "metadata"
        )


class Lookup:
    """Finds the registration of a request, by its bytes alone where they were seen before.

    A trigger that has expired is registered again.
    """

    def __init__(self, registry: Registry, reference: Callable[[bytes], wire.ScaledObjectRef]) -> None:
        self._registry = registry
        self._reference = reference
        self._seen = Memo[weakref.ref[Registration]]()
        """weak, so that a trigger which is no longer watched takes no memory"""

    def known(self, request: bytes, now: float) -> Registration | None:
        """The trigger, if these bytes were seen before and it is still watched; counts as a call for it."""
        seen = self._seen.get(request)
        registration = seen() if seen is not None else None
        if registration is None or registration.forgotten:
            return None
        registration.last_called = now
        return registration

    def register(self, request: bytes, now: float) -> Registration:
        """The trigger, registered where it is new. Raises TriggerInvalid with every fault, and QuotaReached."""
        ref = self._reference(request)
        registration = self._registry.register(ref.namespace, ref.name, ref.scalerMetadata, now)
        self._seen.put(request, weakref.ref(registration))
        return registration
