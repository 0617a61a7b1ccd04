"""Request bytes → the watched trigger they ask about."""

from collections.abc import Callable

from google.protobuf.message import DecodeError

from scaler.decide import Desk, Watched
from scaler.errors import TriggerError
from scaler.metric.memo import Memo
from scaler.metric.wire import externalscaler_pb2 as wire


def scaled_object(request: bytes) -> wire.ScaledObjectRef:
    """The object that IsActive, GetMetricSpec and both streams speak of. Raises TriggerError for other bytes."""
    try:
        return wire.ScaledObjectRef.FromString(request)
    except DecodeError as error:
        raise TriggerError("the request is not a ScaledObjectRef of externalscaler.proto") from error


def measured_object(request: bytes) -> wire.ScaledObjectRef:
    """The object that GetMetrics speaks of. Raises TriggerError for other bytes.

    The metric's name is not looked at: there is one value per trigger, and an HPA that still asks for a name of
    yesterday is better served with it than held.
    """
    try:
        return wire.GetMetricsRequest.FromString(request).scaledObjectRef
    except DecodeError as error:
        raise TriggerError("the request is not a GetMetricsRequest of externalscaler.proto") from error


class Lookup:
    """Finds the watched trigger of a request, by its bytes alone where they were seen before.

    What the desk has forgotten is registered anew.
    """

    def __init__(self, desk: Desk, reference: Callable[[bytes], wire.ScaledObjectRef]) -> None:
        self._desk = desk
        self._reference = reference
        self._seen = Memo[Watched]()

    def known(self, request: bytes, now: float) -> Watched | None:
        """The trigger, if these bytes were seen before and it is still watched; counts as a call for it."""
        watched = self._seen.get(request)
        if watched is None or watched.forgotten:
            return None
        watched.last_called = now
        return watched

    def watch(self, request: bytes, now: float) -> Watched:
        """The trigger, registered where it is new. Raises TriggerInvalid with every fault."""
        ref = self._reference(request)
        watched = self._desk.watch(ref.namespace, ref.name, ref.scalerMetadata, now)
        self._seen.put(request, watched)
        return watched
