"""Retrainings, as the index of models has them: one that runs, those that are asked for, and how the last ended."""

from collections.abc import Sequence
from dataclasses import dataclass

from scaler.models import Kind, ModelDecision, ModelIndex

LEASE = "retrain"
"""which one retraining at a time has"""
MOST_READ = 200
"""entries of the log"""
ENDS = (Kind.RETRAINED, Kind.RETRAINING_FAILED)


@dataclass(frozen=True, slots=True)
class Running:
    """A retraining under way. holder: its host and process. since: when it had a reason to train, None before that."""

    holder: str
    lease_until: float
    since: float | None
    why: str


@dataclass(frozen=True, slots=True)
class Retrainings:
    """asked: requests that no retraining has taken yet; ended: the newest first."""

    running: Running | None
    asked: Sequence[ModelDecision]
    ended: Sequence[ModelDecision]


async def retrainings(index: ModelIndex, now: float, most: int = 5) -> Retrainings:
    """The state of the last retrainings. Raises StoreUnavailable."""
    newest = await index.decisions(MOST_READ)
    lease = await index.lease(LEASE)
    ended = [one for one in newest if one.kind in ENDS][:most]
    scopes = dict.fromkeys(one.scope for one in newest if one.kind is Kind.RETRAINING_ASKED)
    asked = [found for scope in scopes if (found := request_of(newest, scope)) is not None]
    if lease is None or lease[1] <= now:
        return Retrainings(None, asked, ended)
    began = next((one for one in newest if one.kind in (*ENDS, Kind.RETRAINING_BEGAN)), None)
    if began is None or began.kind is not Kind.RETRAINING_BEGAN:
        return Retrainings(Running(*lease, None, ""), asked, ended)
    return Retrainings(Running(*lease, began.at, began.reason), asked, ended)


def request_of(newest: Sequence[ModelDecision], scope: str) -> ModelDecision | None:
    """The newest request for a retraining of this scope that none has taken since; entries the newest first."""
    taken_or_asked = (Kind.RETRAINING_BEGAN, Kind.RETRAINING_ASKED)
    found = next((one for one in newest if one.kind in taken_or_asked and one.scope == scope), None)
    return found if found is not None and found.kind is Kind.RETRAINING_ASKED else None
