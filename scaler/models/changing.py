"""Changes of the index of models as people ask for them: on the command line, on the page, and by the API."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from scaler.models import (
    ChampionChanged,
    Kind,
    ModelDecision,
    ModelIndex,
    NothingToRollBack,
    scope_name,
    unknown,
)
from scaler.models.card import moment

CheckBundle: TypeAlias = Callable[[str], Awaitable[None]]
"""raises BundleInvalid where the scaler would refuse the version: it would go on with what serves now"""


async def unchecked(model: str) -> None:
    """For a bundle that nobody can look at here."""


@dataclass(frozen=True, slots=True)
class Author:
    """Who asks for a change, when, and why."""

    by: str
    at: float
    reason: str = ""

    def decides(self, kind: Kind, model: str, scope: str = "") -> ModelDecision:
        """The entry of the log."""
        return ModelDecision(self.at, kind, model, self.by, self.reason, scope)


@dataclass(frozen=True, slots=True)
class Promotion:
    """A version for a scope. probation_seconds: 0 for none. seen: the champion that the author knows, empty for none;
    None: whatever it is now."""

    model: str
    scope: str = ""
    probation_seconds: float = 0.0
    kind: Kind = Kind.PROMOTED
    seen: str | None = None


async def promote(index: ModelIndex, author: Author, wanted: Promotion, check: CheckBundle = unchecked) -> str:
    """Make a version the champion of a scope; what was done, as a sentence.

    Raises ModelRefused, BundleInvalid, StoreUnavailable.
    """
    model, scope, seconds = wanted.model, wanted.scope, wanted.probation_seconds
    present = (await index.champions()).get(scope)
    _check_seen(scope, wanted.seen, present.model if present else "")
    ends_probation = present is not None and seconds == 0 and present.is_on_probation(author.at)
    if present is not None and present.model == model and not ends_probation:
        return f"{model} is the champion of {scope_name(scope)} already"
    await _check_known(index, model)
    await check(model)
    expected = present.model if present else None
    champion = await index.promote(scope, model, expected, author.decides(wanted.kind, model, scope), seconds)
    until = f", on probation until {moment(champion.probation_until)}" if champion.probation_until else ""
    before = f" in place of {expected}" if expected and expected != model else ""
    return f"{model} is the champion of {scope_name(scope)}{before}{until}; scalers take it up within a minute"


async def roll_back(index: ModelIndex, author: Author, scope: str, seen: str | None = None) -> str:
    """Give a scope back to what its champion replaced; what was done, as a sentence. Raises as `promote`."""
    present = (await index.champions()).get(scope)
    _check_seen(scope, seen, present.model if present else "")
    if present is None:
        raise NothingToRollBack(f"{scope_name(scope)}: there is no champion")
    champion = await index.roll_back(present, author.decides(Kind.ROLLED_BACK, present.model, scope))
    now = f"{champion.model} is its champion again" if champion else "it has no champion any more"
    return f"{scope_name(scope)}: {present.model} is rolled back, {now}; scalers follow within a minute"


async def retire(index: ModelIndex, author: Author, model: str) -> str:
    """Take a version out of use; what was done, as a sentence. Raises as `promote`."""
    await index.retire(model, author.decides(Kind.RETIRED, model))
    return f"{model} is retired; its bundle stays where it is"


async def ask_for_retraining(index: ModelIndex, author: Author, scope: str) -> str:
    """Give the next `headway retrain` of the scope a reason to train; what was done, as a sentence."""
    await index.refuse(author.decides(Kind.RETRAINING_ASKED, "", scope))
    return f"{scope_name(scope)}: a retraining is asked for; the next headway retrain takes it as its reason"


def _check_seen(scope: str, seen: str | None, present: str) -> None:
    if seen is not None and seen != present:
        raise ChampionChanged(scope, seen or None, present or None)


async def _check_known(index: ModelIndex, model: str) -> None:
    known = [one.model for one in await index.versions()]
    if model not in known:
        raise unknown(model, known)
