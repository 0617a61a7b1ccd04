"""ScaledObjects that ask for a forecast by annotation, watched through the Kubernetes API.

annotated.py  a ScaledObject → the trigger that is watched for it, or its faults. Pure
known.py      which objects are watched and which are refused; lists their triggers in the registry. No I/O
place.py      where the API server is, and with which files it is reached
api.py        pages of a list and events of a watch, over HTTP
watch.py      list, watch, resume, back off: for one namespace, or for all
service.py    all namespaces of the settings

Here is its public interface, free of the package's other imports.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from scaler.errors import Fault

EVERYWHERE = "*"
"""the scope of all namespaces"""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An object that asks for a forecast and cannot get one."""

    namespace: str
    name: str
    faults: tuple[Fault, ...]


@dataclass(frozen=True, slots=True)
class Scope:
    """How the watch of one namespace is doing. `error` is empty while it is up."""

    namespace: str
    """`*` for all"""
    is_up: bool
    error: str


class Discoveries(Protocol):
    """What discovery knows, for the HTTP port."""

    def scopes(self) -> Sequence[Scope]:
        """The watched namespaces."""
        ...

    def watched(self) -> int:
        """How many objects have a trigger that is watched."""
        ...

    def refusal(self, namespace: str, name: str) -> Refusal | None:
        """Why this object is refused; None where it is not."""
        ...

    def refused(self) -> int:
        """How many objects are refused."""
        ...

    def refusals(self, most: int) -> Sequence[Refusal]:
        """The first `most` refused objects by namespace and name."""
        ...
