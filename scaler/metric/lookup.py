"""Request bytes → the registration of their trigger."""

from collections.abc import Callable

from google.protobuf.message import DecodeError

from scaler.errors import TriggerError
from scaler.metric.memo import Memo
from scaler.metric.wire import externalscaler_pb2 as wire
from scaler.registry import Registration, Registry


def scaled_object(request: bytes) -> wire.ScaledObjectRef:
    """The object in a request of IsActive, GetMetricSpec and both streams. Raises TriggerError for other bytes."""
    try:
        return wire.ScaledObjectRef.FromString(request)
    except DecodeError as error:
        raise TriggerError("the request is not a ScaledObjectRef of externalscaler.proto") from error


def measured_object(request: bytes) -> wire.ScaledObjectRef:
    """The object in a request of GetMetrics. Raises TriggerError for other bytes.

    The metric's name is ignored: there is one value per trigger, and an HPA that still uses an old name gets it, too.
    """
    try:
        return wire.GetMetricsRequest.FromString(request).scaledObjectRef
    except DecodeError as error:
        raise TriggerError("the request is not a GetMetricsRequest of externalscaler.proto") from error


class Lookup:
    """Finds the registration of a request, by its bytes alone where they were seen before.

    A trigger that has expired is registered again.
    """

    def __init__(self, registry: Registry, reference: Callable[[bytes], wire.ScaledObjectRef]) -> None:
        self._registry = registry
        self._reference = reference
        self._seen = Memo[Registration]()

    def known(self, request: bytes, now: float) -> Registration | None:
        """The trigger, if these bytes were seen before and it is still watched; counts as a call for it."""
        registration = self._seen.get(request)
        if registration is None or registration.forgotten:
            return None
        registration.last_called = now
        return registration

    def register(self, request: bytes, now: float) -> Registration:
        """The trigger, registered where it is new. Raises TriggerInvalid with every fault."""
        ref = self._reference(request)
        registration = self._registry.register(ref.namespace, ref.name, ref.scalerMetadata, now)
        self._seen.put(request, registration)
        return registration
