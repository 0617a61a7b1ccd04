"""Changes of models by HTTP: what a form or a JSON object asks for, carried out. The paths POST /api/v1/models/…"""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from scaler.errors import BundleInvalid, Fault, HeadwayError, StoreUnavailable
from scaler.models import ModelRefused, UnknownModel, is_model, is_scope
from scaler.models.changing import Author, Promotion, ask_for_retraining, promote, retire, roll_back
from scaler.status.described import ApiPath
from scaler.status.models import index_of
from scaler.status.parameters import unknown
from scaler.status.replies import as_json, faulty
from scaler.status.requests import BODY_REFUSALS, JSON, RequestRefused, closing, object_of
from scaler.status.schemas import AT, record, text
from scaler.status.shown import Shown, client_of
from scaler.telemetry.redaction import excerpt, redacted
from scaler.trigger.values import Refused, duration

ACTIONS: Mapping[str, tuple[str, ...]] = {
    "promote": ("model", "scope", "probation", "reason", "seen"),
    "roll-back": ("scope", "reason", "seen"),
    "retire": ("model", "reason"),
    "retrain": ("scope", "reason"),
}
"""action → the fields that it takes"""
LONGEST_REASON = 500
LONGEST_PROBATION_SECONDS = 31 * 86_400.0
DEFAULT_PROBATION = "24h"

_FIELDS = {
    "model": text("NAME@VERSION"),
    "scope": text("NAMESPACE or NAMESPACE/NAME; without it, all triggers"),
    "probation": text(f"how long it is compared with what it replaces, as 24h; {DEFAULT_PROBATION} without it"),
    "reason": text("why; it is kept in the log", maxLength=LONGEST_REASON),
    "seen": text("the champion that you know, empty for none: where another one serves, nothing changes"),
}
_SUMMARIES = {
    "promote": "make a version the champion of a scope",
    "roll-back": "give a scope back to what its champion replaced",
    "retire": "take a version out of use",
    "retrain": "give the next `headway retrain` of a scope a reason to train",
}


def change_path(action: str) -> ApiPath:
    """What POST /api/v1/models/ACTION takes and answers."""
    title = action.title().replace("-", "")
    fields = {name: _FIELDS[name] for name in ACTIONS[action]}
    needed = record(title, fields, optional=tuple(name for name in fields if name != "model"))
    done = record("Done", {"at": AT, "by": text("who is in the log"), "done": text("what was done, as a sentence")})
    refusals = (
        *(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, *BODY_REFUSALS),
        *(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, HTTPStatus.SERVICE_UNAVAILABLE),
    )
    path = f"/api/v1/models/{action}"
    return ApiPath(path, _SUMMARIES[action], done, (), refusals, method="POST", body={JSON: needed})


@dataclass(frozen=True, slots=True)
class Change:
    """What somebody asks for. seen: the champion that they know, empty for none; None where they do not say."""

    action: str
    model: str = ""
    scope: str = ""
    probation: str = DEFAULT_PROBATION
    reason: str = ""
    seen: str | None = None

    @property
    def tool(self) -> str:
        """The command that does the same, without what it takes."""
        return "headway retrain --force" if self.action == "retrain" else f"headway models {self.action}"

    @property
    def command(self) -> str:
        """What does the same on the command line."""
        if self.action == "retrain":
            return shlex.join([*self.tool.split(), *self._flag("scope", self.scope)])
        named = [self.model] if self.action in ("promote", "retire") else []
        scope = self._flag("scope", self.scope) if self.action != "retire" else []
        probation = self.probation if self.action == "promote" and self.probation != DEFAULT_PROBATION else ""
        flags = [*scope, *self._flag("probation", probation), *self._flag("reason", self.reason)]
        return shlex.join([*self.tool.split(), *named, *flags])

    @property
    def probation_seconds(self) -> float:
        """Raises Refused."""
        return duration(0.0, LONGEST_PROBATION_SECONDS)(self.probation)

    def _flag(self, name: str, value: str) -> list[str]:
        return [f"--{name}", value] if value else []


def change_of(action: str, given: Mapping[str, Any]) -> Change:
    """What the fields ask for. Raises ChangeFaulty."""
    known = ACTIONS[action]
    faults = [
        Fault(excerpt(name), "", f"unknown field; known are {', '.join(known)}") for name in given if name not in known
    ][:5]
    texts = {name: value for name, value in given.items() if name in known and isinstance(value, str)}
    faults += [Fault(name, "", "must be a text") for name in known if name in given and name not in texts]
    faults += [
        Fault(name, "", "must not have control characters") for name, one in texts.items() if not one.isprintable()
    ]
    change = Change(action, **texts)
    if "model" in known and not is_model(change.model):
        faults.append(Fault("model", excerpt(change.model), "must be NAME@VERSION"))
    if not is_scope(change.scope):
        faults.append(
            Fault("scope", excerpt(change.scope), "must be NAMESPACE or NAMESPACE/NAME, or empty for all triggers")
        )
    if len(change.reason) > LONGEST_REASON:
        faults.append(Fault("reason", "", f"must have at most {LONGEST_REASON} characters"))
    try:
        change.probation_seconds  # noqa: B018
    except Refused:
        faults.append(
            Fault("probation", excerpt(change.probation), "must be a duration with its unit, at most 31 days, as 24h")
        )
    if faults:
        raise ChangeFaulty(faults)
    return change


class ChangeFaulty(Exception):
    """Fields that no change can be made of."""

    def __init__(self, faults: list[Fault], status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> None:
        super().__init__(str(faults[0]))
        self.faults = faults
        self.status = status


async def carried_out(shown: Shown, change: Change, by: str) -> str:
    """What was done, as a sentence. Raises ChangeFaulty."""
    author = Author(by, shown.now(), change.reason)
    try:
        index = index_of(shown.reads.models)
        if change.action == "promote":
            wanted = Promotion(change.model, change.scope, change.probation_seconds, seen=change.seen)
            return await promote(index, author, wanted, shown.reads.check_bundle)
        if change.action == "roll-back":
            return await roll_back(index, author, change.scope, change.seen)
        if change.action == "retire":
            return await retire(index, author, change.model)
        return await ask_for_retraining(index, author, change.scope)
    except (ModelRefused, BundleInvalid, StoreUnavailable) as error:
        raise ChangeFaulty([_fault(change, error)], _status(error)) from None


def _fault(change: Change, error: HeadwayError) -> Fault:
    rule = redacted(str(error))
    if isinstance(error, StoreUnavailable):
        return Fault("database", "", rule)
    return Fault("model", change.model, rule) if change.model else Fault("scope", change.scope, rule)


def _status(error: HeadwayError) -> HTTPStatus:
    if isinstance(error, StoreUnavailable):
        return HTTPStatus.SERVICE_UNAVAILABLE
    return HTTPStatus.NOT_FOUND if isinstance(error, UnknownModel) else HTTPStatus.CONFLICT


async def answer(shown: Shown, action: str, request: Request) -> Response:
    """Carries out what a JSON object asks for."""
    if faults := unknown(request.query_params, ()):
        return closing(faulty(faults))
    try:
        shown.writing.check_on(Change(action).tool)
        by = shown.writing.author(request, client_of(request.scope))
        change = change_of(action, await object_of(request))
        return as_json({"at": shown.now(), "by": by, "done": await carried_out(shown, change, by)})
    except RequestRefused as refused:
        return closing(faulty([refused.fault], refused.status))
    except ChangeFaulty as wrong:
        return faulty(wrong.faults, wrong.status)
