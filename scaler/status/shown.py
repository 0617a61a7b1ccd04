"""All that paths of the HTTP port answer from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import time
from typing import TypeAlias

from starlette.requests import Request

from scaler.discovery import Discoveries
from scaler.registry import Registry
from scaler.status.exposition import Turn
from scaler.status.reads import NOTHING, Reads
from scaler.status.report import Explain
from scaler.status.sessions import Sessions
from scaler.status.shares import Turns
from scaler.status.writing import Writing
from scaler.telemetry.metrics import Telemetry

Missing: TypeAlias = Callable[[], Mapping[str, str]]
"""what the process lacks to be ready, name → sentence; a source or cache that is down is no part of it"""


@dataclass(frozen=True, slots=True)
class Shown:
    """One process: its triggers, what is known of them, and whose turn it is to ask."""

    registry: Registry
    telemetry: Telemetry
    missing: Missing
    explain: Explain
    now: Callable[[], float] = time
    discoveries: Discoveries | None = None
    reads: Reads = NOTHING
    turns: Turns = field(default_factory=Turns)
    sessions: Sessions | None = None
    """of browsers that have signed in; None where reading needs no token"""
    writing: Writing = field(default_factory=Writing)

    def turn_of(self, request: Request) -> Turn:
        """Waits until a piece of work for the client of this request may run."""
        client = client_of(request.scope)
        return lambda: self.turns.mine(client)


def client_of(scope: Mapping[str, object]) -> str:
    """Whose turn a request takes: its client's, or on a connection beyond the client's share one beside it. Empty where
    there is no client, as in tests."""
    client, state = scope.get("client"), scope.get("state")
    address = str(client[0]) if isinstance(client, tuple | list) and client else ""
    return f"{address} beyond its share" if isinstance(state, dict) and state.get("spare") else address
