"""Which annotated objects are watched, and which are refused. It lists their triggers in the registry. No I/O.

The API server's word counts: what it does not mention stays as it is, so an outage changes nothing.
"""

import heapq
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import structlog

from scaler.discovery import Refusal
from scaler.discovery.annotated import ANNOTATIONS, FORECAST, Annotated, asks_for_forecast, read_annotated
from scaler.errors import Fault, QuotaReached
from scaler.manifest import ManifestError, read_object
from scaler.registry import ListedBy, Registry
from scaler.telemetry.metrics import Telemetry

log = structlog.get_logger(__name__)

MOST_WATCHED = 10_000
"""objects; what one process refreshes in time, see docs/performance.md"""

MOST_VALUES = 2000
"""mappings, lists and values in an object's `spec`: reading them all takes about ten milliseconds"""

ObjectName: TypeAlias = tuple[str, str]
"""namespace and name"""

_IN_SETTINGS = "must not be set on an object that Headway's settings list under `triggers`: remove one of the two"
_TOO_LARGE = f"has more than {MOST_VALUES} values, the most that are read of one object: split it into several"
_TOO_MANY = f"is one object too many: {MOST_WATCHED} are watched already"


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of one annotated object: the key of its trigger, or its faults."""

    scope: str
    key: str = ""
    faults: tuple[Fault, ...] = ()


class KnownObjects:
    """The annotated objects of all scopes."""

    def __init__(self, registry: Registry, telemetry: Telemetry, in_settings: Collection[ObjectName]) -> None:
        self._registry = registry
        self._in_settings = frozenset(in_settings)
        self._known: dict[ObjectName, _Known] = {}
        self._watched = 0
        self._lacking_room: set[str] = set()
        """scopes with objects that were refused because there are too many"""
        telemetry.follow("discovered_objects", lambda: {(): float(self._watched)})
        telemetry.follow("discovery_refused", lambda: {(): float(self.refused)})

    @property
    def watched(self) -> int:
        """How many objects have a trigger that is watched."""
        return self._watched

    def refusal(self, namespace: str, name: str) -> Refusal | None:
        """Why this object is refused; None where it is not."""
        known = self._known.get((namespace, name))
        return Refusal(namespace, name, known.faults) if known is not None and known.faults else None

    @property
    def refused(self) -> int:
        """How many objects are refused."""
        return len(self._known) - self._watched

    def refusals(self, most: int = MOST_WATCHED) -> list[Refusal]:
        """The first `most` refused objects by namespace and name."""
        names = heapq.nsmallest(most, (name for name, known in self._known.items() if known.faults))
        return [Refusal(*name, self._known[name].faults) for name in names]

    def see(self, scope: str, value: Mapping[str, Any], now: float) -> ObjectName | None:
        """Take an object as the API server sends it; returns its name where it asks for a forecast."""
        name = _name_of(value)
        if name is None:
            return None
        found = self._read(name, value)
        if found is None:
            self.gone(*name)
            return None
        self._take(scope, name, found, now)
        return name

    def gone(self, namespace: str, name: str) -> None:
        """The object was deleted, or no longer asks for a forecast: its trigger is unlisted."""
        known = self._known.pop((namespace, name), None)
        if known is not None:
            self._unlist(known)
            log.info("discovered_gone", namespace=namespace, name=name)

    def keep_only(self, scope: str, names: Collection[ObjectName]) -> None:
        """A complete list of the scope has arrived: what is not in it is gone."""
        for name in [one for one, known in self._known.items() if known.scope == scope and one not in names]:
            self.gone(*name)

    def _read(self, name: ObjectName, value: Mapping[str, Any]) -> Annotated | tuple[Fault, ...] | None:
        header = value["metadata"]
        if not asks_for_forecast(header.get(ANNOTATIONS[1]) or {}) or header.get("deletionTimestamp"):
            return None  # an object in deletion: KEDA is about to leave the workload alone
        if not has_at_most(MOST_VALUES, value.get("spec")):
            return (Fault("spec", "", _TOO_LARGE),)
        try:
            found = read_annotated(read_object(value), self._registry.rules)
        except ManifestError as error:
            return (Fault("spec", "", str(error)),)
        except Exception:  # a fault of ours in one object must not keep the others from being seen
            log.exception("discovery_failed", namespace=name[0], name=name[1])
            return (Fault("spec", "", "cannot be read, by a fault of Headway: see the scaler's log"),)
        if isinstance(found, tuple):
            return tuple(placed.fault for placed in found)
        if found is not None and name in self._in_settings:
            return (Fault(FORECAST, "true", _IN_SETTINGS),)
        return found

    def _take(self, scope: str, name: ObjectName, found: Annotated | tuple[Fault, ...], now: float) -> None:
        known = self._known.get(name)
        if isinstance(found, Annotated) and not (known and known.key == found.trigger.key):
            if known is not None and known.key:
                self._registry.unlist(known.key)  # its successor may need its room
            found = self._admit(scope, name, found, now, is_new=not (known and known.key))
        new = _Known(scope, faults=found) if isinstance(found, tuple) else _Known(scope, found.trigger.key)
        if new == known:
            return
        if isinstance(found, Annotated):
            self._watched += 1
        self._known[name] = new
        if known is not None:
            self._unlist(known, unless=new.key)
        _log_change(name, found)

    def _admit(
        self, scope: str, name: ObjectName, found: Annotated, now: float, is_new: bool
    ) -> Annotated | tuple[Fault, ...]:
        """The same, with its trigger watched; or the fault that there are too many."""
        if is_new and self._watched >= MOST_WATCHED:
            self._lacking_room.add(scope)
            return (Fault(FORECAST, "true", _TOO_MANY),)
        try:
            self._registry.register_listed(ListedBy.ANNOTATION, *name, found.metadata, now)
        except QuotaReached as error:
            self._lacking_room.add(scope)
            return (Fault(FORECAST, "true", f"cannot be watched now: {error}"),)
        return found

    def lacked_room(self, scope: str) -> bool:
        """Whether objects of the scope were refused since the last call because there are too many: only a new list
        tries them again."""
        lacking = scope in self._lacking_room
        self._lacking_room.discard(scope)
        return lacking

    def _unlist(self, known: _Known, unless: str = "") -> None:
        if known.key:
            self._watched -= 1
            if known.key != unless:
                self._registry.unlist(known.key)


def _log_change(name: ObjectName, found: Annotated | tuple[Fault, ...]) -> None:
    namespace, own = name
    if isinstance(found, Annotated):
        log.info("discovered", namespace=namespace, name=own, trigger=found.trigger.short_key, wrapped=found.is_wrapped)
    else:
        log.warning("discovery_refused", namespace=namespace, name=own, faults=list(map(str, found)))


def _name_of(value: Mapping[str, Any]) -> ObjectName | None:
    """Namespace and name of an object; None where it is no object, or its annotations are no mapping."""
    header = value.get("metadata")
    if not isinstance(header, Mapping) or not isinstance(header.get(ANNOTATIONS[1]) or {}, Mapping):
        return None
    namespace, name = header.get("namespace"), header.get("name")
    return (namespace, name) if isinstance(namespace, str) and isinstance(name, str) else None


def has_at_most(most: int, value: Any) -> bool:
    """Whether there are no more than `most` mappings, lists and values in `value`, itself included."""
    left, waiting = most, [value]
    while waiting:
        one = waiting.pop()
        parts = one.values() if isinstance(one, Mapping) else one if isinstance(one, list) else ()
        left -= 1
        if left < len(waiting) + len(parts):
            return False
        waiting += parts
    return True
