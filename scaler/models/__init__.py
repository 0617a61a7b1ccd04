"""The registry of models: which versions exist, which of them serves whom, and what was decided. Values only; the index
in SQL is `scaler/store/stored_models.py`.

A version is immutable: its bundle lies at BUNDLE-URL/NAME@VERSION and never changes. A champion is the version that
serves the triggers of a scope whose `model` is `auto`.
"""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from scaler.errors import HeadwayError

ALL = ""
"""the scope of every trigger"""
NO_CHAMPION = ""
"""the predecessor of the first champion of a scope: what serves where the scope has none"""
PROBATION_SECONDS = 86_400.0
"""how long a new champion is compared with its predecessor, where nothing else is said"""

_MODEL = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}@[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_SCOPE_PART = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")


class Kind(StrEnum):
    """What was decided."""

    PUBLISHED = "published"
    REFUSED = "refused"
    PROMOTED = "promoted"
    ASSIGNED = "assigned"
    ROLLED_BACK = "rolled_back"
    RETIRED = "retired"
    RETRAINING_ASKED = "retraining_asked"
    """somebody wants one; its `model` is empty, as those of the following"""
    RETRAINING_BEGAN = "retraining_began"
    """it had a reason to train"""
    RETRAINED = "retrained"
    """a retraining came to its end, whatever it found"""
    RETRAINING_FAILED = "retraining_failed"


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A published version. place: where its bundle lies, without credentials. manifest: as in `manifest.json`."""

    name: str
    version: str
    place: str
    manifest: Mapping[str, Any]
    published_at: float
    """seconds since the epoch, as every moment here"""
    retired_at: float | None = None
    figures: Mapping[str, float] = field(default_factory=dict)
    """by which it was let in"""
    notes: Mapping[str, str] = field(default_factory=dict)
    """what else its card says: recipe, data, code"""

    @property
    def model(self) -> str:
        """`name@version`"""
        return f"{self.name}@{self.version}"

    @property
    def graph(self) -> str:
        """SHA-256 of its graph: two versions with the same one compute the same."""
        return str(self.manifest.get("graph_sha256", ""))


@dataclass(frozen=True, slots=True)
class Champion:
    """What serves the triggers of a scope: ALL, `NAMESPACE` or `NAMESPACE/NAME`. The narrowest scope wins."""

    scope: str
    model: str
    since: float
    previous: str | None = None
    """what it replaced, to which it can be rolled back: a version, NO_CHAMPION, or None where there is nothing"""
    probation_until: float | None = None

    def is_on_probation(self, now: float) -> bool:
        """Whether it is still compared with its predecessor."""
        return self.previous is not None and self.probation_until is not None and now < self.probation_until


@dataclass(frozen=True, slots=True)
class Lineup:
    """Who is to serve, as the index had it at a moment. named: versions that triggers name themselves."""

    champions: Mapping[str, Champion] = field(default_factory=dict)
    named: frozenset[str] = frozenset()
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Serving:
    """What serves the triggers of a scope. fault: why that is not the champion; empty where it is."""

    champion: Champion
    model: str
    fault: str = ""


@dataclass(frozen=True, slots=True)
class ModelDecision:
    """One entry of the log. by: who decided. number: its place in the log, given by the index."""

    at: float
    kind: Kind
    model: str
    by: str
    reason: str = ""
    scope: str = ALL
    previous: str | None = None
    figures: Mapping[str, float] = field(default_factory=dict)
    number: int = 0


class ModelRefused(HeadwayError):
    """A change that breaks a rule of the registry; nothing has changed. The text names the model and the rule."""


class UnknownModel(ModelRefused):
    """No such version was published."""


class VersionTaken(ModelRefused):
    """Another graph was published under this version."""


class ModelRetired(ModelRefused):
    """The version was taken out of use."""


class ChampionChanged(ModelRefused):
    """Somebody else changed the champion meanwhile. found: what serves the scope now."""

    def __init__(self, scope: str, expected: str | None, found: str | None) -> None:
        self.found = found
        was, now = expected or "no champion", found or "no champion"
        if was == now:
            super().__init__(f"{scope_name(scope)}: {now} was promoted again meanwhile")
        else:
            super().__init__(f"{scope_name(scope)}: the champion was to be {was}, and is {now}: somebody changed it")


class NothingToRollBack(ModelRefused):
    """The scope has no champion, or one that replaced none."""


class StillServes(ModelRefused):
    """The version serves a scope, or may have to again."""


class ModelIndex(Protocol):
    """The index of one installation. Every method raises StoreUnavailable when the database does not answer in time.

    A change is one transaction with its entry in the log: after a crash both are there, or neither.
    """

    async def publish(self, version: ModelVersion, decision: ModelDecision) -> bool:
        """Add a version; False where it is there already, with the same graph. Raises VersionTaken."""
        ...

    async def refuse(self, decision: ModelDecision) -> None:
        """Record that a version was not let in, or that a retraining was asked for, began or ended."""
        ...

    async def versions(self, name: str | None = None) -> list[ModelVersion]:
        """All versions, or those of one name; the newest first."""
        ...

    async def champions(self) -> dict[str, Champion]:
        """By scope."""
        ...

    async def promote(
        self, scope: str, model: str, expected: str | None, decision: ModelDecision, probation_seconds: float
    ) -> Champion:
        """Make `model` the champion of `scope`, where `expected` is it now (None: no champion).

        probation_seconds: 0 for none. Where `model` is the champion already, nothing changes. Raises UnknownModel,
        ModelRetired, ChampionChanged.
        """
        ...

    async def roll_back(self, seen: Champion, decision: ModelDecision) -> Champion | None:
        """Give the scope of a champion back to what it replaced; None where that is no champion.

        seen: as the author of the decision knows it. A later promotion, of the same model too, is not touched.
        The decision is recorded with the models that this concerned. Raises ChampionChanged, NothingToRollBack,
        ModelRetired.
        """
        ...

    async def retire(self, model: str, decision: ModelDecision) -> None:
        """Take a version out of use. Raises UnknownModel, StillServes."""
        ...

    async def decisions(
        self, limit: int, before: int | None = None, scope: str | None = None, model: str | None = None
    ) -> list[ModelDecision]:
        """The newest entries of the log, before the entry `before`; of one scope or one
        model (also where it was replaced), where given."""
        ...

    async def lock(self, name: str, holder: str, seconds: float, now: float) -> bool:
        """Whether `holder` has the lease `name` for the next `seconds`: it was free, its own, or has run out."""
        ...

    async def lease(self, name: str) -> tuple[str, float] | None:
        """Who has the lease `name`, and until when; None where it is free."""
        ...

    async def unlock(self, name: str, holder: str) -> None:
        """Give the lease back, where `holder` has it."""
        ...

    async def close(self) -> None: ...


def is_model(text: str) -> bool:
    """Whether the text is NAME@VERSION."""
    return _MODEL.fullmatch(text) is not None


def is_scope(text: str) -> bool:
    """Whether the text is a scope: empty, NAMESPACE or NAMESPACE/NAME."""
    parts = text.split("/")
    return text == ALL or (len(parts) <= 2 and all(_SCOPE_PART.fullmatch(part) for part in parts))


def scopes_of(namespace: str, name: str) -> tuple[str, str, str]:
    """The scopes of a trigger, the narrowest first."""
    return f"{namespace}/{name}", namespace, ALL


def scope_name(scope: str) -> str:
    """The scope as people read it."""
    return scope or "all triggers"


def unknown(model: str, known: Sequence[str]) -> UnknownModel:
    """What to say of a version that is not among the known ones: those that may have been meant."""
    near = difflib.get_close_matches(model, known, 3, 0.4)
    meant = f"did you mean {' or '.join(near)}?" if near else "`headway models list` shows those that were"
    return UnknownModel(f"{model!r} was never published: {meant}")
