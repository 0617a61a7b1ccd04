"""Versions of models, who serves whom, and what was decided: /api/v1/models and the paths below it."""

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from http import HTTPStatus
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import Response

from scaler.errors import Fault, StoreUnavailable
from scaler.models import Champion, Kind, ModelDecision, ModelIndex, ModelVersion, is_model, is_scope
from scaler.models.card import card_of, told
from scaler.models.retrainings import retrainings
from scaler.status.described import ApiPath, page_limit, query
from scaler.status.exposition import Turn
from scaler.status.parameters import DEFAULT_LIMIT, LARGEST_LIMIT, unknown, unprintable, whole_number
from scaler.status.reads import ReadModels
from scaler.status.records import Record
from scaler.status.replies import as_json, faulty, with_list
from scaler.status.schemas import AT, array, choice, mapping, moment, nullable, real, record, text, whole
from scaler.status.stored import unavailable
from scaler.telemetry.redaction import excerpt

T = TypeVar("T")

AT_A_TIME = 20
"""written before the event loop may answer KEDA: about half a millisecond's work"""
CARD_DECISIONS = 50
LARGEST_NUMBER = 999_999_999
"""of an entry of the log"""

LARGEST_PAGE = 1_000_000
UNAVAILABLE = (HTTPStatus.SERVICE_UNAVAILABLE,)
CHAMPION = record(
    "ChampionOfScope",
    {
        "scope": text("NAMESPACE, NAMESPACE/NAME, or empty for all triggers"),
        "model": text("NAME@VERSION"),
        "since": moment("when it was promoted"),
        "previous": nullable(text(), "what a roll-back leads to: a version, empty for no champion, null for nothing"),
        "probation_until": nullable(real(), "in seconds since the epoch; null where it is over, or there is none"),
    },
)
DECISION = record(
    "Decision",
    {
        "number": whole("its place in the log"),
        "at": moment("when it was decided"),
        "kind": choice(tuple(kind.value for kind in Kind)),
        "model": text("NAME@VERSION; empty for a retraining"),
        "by": text("who decided"),
        "reason": text(),
        "scope": text("NAMESPACE, NAMESPACE/NAME, or empty for all triggers"),
        "previous": nullable(text(), "what it replaced, or was compared with"),
        "figures": mapping(real()),
        "text": text("all but the figures as a sentence"),
    },
)
_VERSION = {
    "model": text("NAME@VERSION"),
    "name": text(),
    "version": text(),
    "place": text("where its bundle lies"),
    "published_at": moment("when it was published"),
    "retired_at": nullable(real(), "when it was taken out of use, in seconds since the epoch; null where it was not"),
    "figures": mapping(real(), "with which the gate let it in"),
    "champion_of": array(text(), "scopes"),
}
_RUNNING = record(
    "RunningRetraining",
    {
        "holder": text("its host and process"),
        "lease_until": moment("how long its lease runs, if it is not renewed"),
        "since": nullable(real(), "in seconds since the epoch; null while it looks for a reason to train"),
        "why": text("its reason to train"),
    },
)
ALL = ApiPath(
    "/api/v1/models",
    "versions of models, and which of them serves whom",
    record(
        "Models",
        {
            "at": AT,
            "count": whole("versions on all pages"),
            "page": whole(),
            "limit": whole(),
            "champions": array(CHAMPION),
            "versions": array(record("ModelVersion", _VERSION), "the newest first"),
        },
    ),
    (query("page", whole("from 1", minimum=1, maximum=LARGEST_PAGE, default=1)), page_limit("versions")),
    UNAVAILABLE,
)
ONE = ApiPath(
    "/api/v1/models/{model}",
    "the card of one version, its figures, and what was decided about it",
    record(
        "ModelCard",
        {
            **_VERSION,
            "at": AT,
            "manifest": {"type": "object", "description": "as in manifest.json of its bundle"},
            "notes": mapping(text(), "what else is known of its training"),
            "champions": array(CHAMPION, "where it is one"),
            "card": array(record("CardSection", {"title": text(), "rows": array(array(text()))})),
            "decisions": array(DECISION, "the newest 50 that concern it"),
        },
    ),
    (),
    (HTTPStatus.NOT_FOUND, *UNAVAILABLE),
)
LOG = ApiPath(
    "/api/v1/models/log",
    "what was decided about models, the newest first",
    record(
        "DecisionsPage",
        {
            "at": AT,
            "next": nullable(whole(), "the `before` of the following page; null on the last"),
            "decisions": array(DECISION),
        },
    ),
    (
        page_limit("decisions"),
        query("before", whole("the `next` of the page before", minimum=1, maximum=LARGEST_NUMBER)),
        query("scope", text("only of this scope; empty for that of all triggers")),
        query("model", text("only of this version")),
    ),
    UNAVAILABLE,
)
RETRAININGS = ApiPath(
    "/api/v1/models/retrainings",
    "which retraining runs, which are asked for, and how the last ones ended",
    record(
        "Retrainings",
        {
            "at": AT,
            "running": nullable(_RUNNING, "null where none runs"),
            "asked": array(DECISION, "requests that no retraining has taken yet"),
            "ended": array(DECISION, "the newest five"),
        },
    ),
    (),
    UNAVAILABLE,
)


@dataclass(frozen=True, slots=True)
class LogAsked:
    """The newest entries before `before`; of one scope, or of one version."""

    limit: int = DEFAULT_LIMIT
    before: int | None = None
    scope: str | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Lineup:
    """The versions of one page, the newest first, how many there are, and who serves whom."""

    versions: Sequence[ModelVersion]
    count: int
    champions: Mapping[str, Champion]


@dataclass(frozen=True, slots=True)
class Known:
    """One version, and what concerns it."""

    version: ModelVersion
    champions: Mapping[str, Champion]
    decisions: Sequence[ModelDecision]


class NoSuchModel(Exception):
    """No such version was published."""


def index_of(models: ReadModels | None) -> ModelIndex:
    """The index. Raises StoreUnavailable."""
    if models is None:
        raise StoreUnavailable("this process reads no database")
    return models()


async def lineup(index: ModelIndex, page: int, rows: int) -> Lineup:
    """The versions of one page, from 1. Raises StoreUnavailable."""
    versions, champions = await index.versions(), await index.champions()
    return Lineup(versions[(page - 1) * rows : page * rows], len(versions), champions)


async def known(index: ModelIndex, model: str) -> Known:
    """All about one version. Raises NoSuchModel, StoreUnavailable."""
    versions = await index.versions(model.partition("@")[0])
    found = next((one for one in versions if one.model == model), None)
    if found is None:
        raise NoSuchModel(model)
    return Known(found, await index.champions(), await index.decisions(CARD_DECISIONS, model=model))


def log_asked(given: Mapping[str, str], limit: int, faults: list[Fault]) -> LogAsked:
    """What the parameters ask for; what is wrong with them is added to `faults`."""
    faults += unprintable(given)
    scope, model = given.get("scope"), given.get("model")
    if scope is not None and not is_scope(scope):
        faults.append(Fault("scope", excerpt(scope), "must be NAMESPACE or NAMESPACE/NAME, or empty for all triggers"))
    if model is not None and not is_model(model):
        faults.append(Fault("model", excerpt(model), "must be NAME@VERSION"))
    limit = whole_number(given, "limit", limit, LARGEST_LIMIT, faults)
    before = whole_number(given, "before", LARGEST_NUMBER, LARGEST_NUMBER, faults) if "before" in given else None
    return LogAsked(limit, before, scope, model)


async def log_page(index: ModelIndex, asked: LogAsked) -> tuple[list[ModelDecision], int | None]:
    """(entries, the newest first; the `before` of the following page, None on the last). Raises StoreUnavailable."""
    found = await index.decisions(asked.limit + 1, asked.before, asked.scope, asked.model)
    shown = found[: asked.limit]
    return shown, shown[-1].number if len(found) > asked.limit else None


class ModelsRoute:
    """Answers from the index of models."""

    def __init__(self, now: Callable[[], float], models: ReadModels | None) -> None:
        self._now = now
        self._models = models

    async def all(self, request: Request, turn: Turn) -> Response:
        """The champions by scope, and a page of versions."""
        faults = unknown(request.query_params, ALL.names)
        page = whole_number(request.query_params, "page", 1, LARGEST_PAGE, faults)
        limit = whole_number(request.query_params, "limit", DEFAULT_LIMIT, LARGEST_LIMIT, faults)
        if faults:
            return faulty(faults)
        try:
            found = await lineup(index_of(self._models), page, limit)
        except StoreUnavailable as error:
            return unavailable(error)
        now = self._now()
        champions = [champion_record(one, now) for _, one in sorted(found.champions.items())]
        head = {"at": now, "count": found.count, "page": page, "limit": limit, "champions": champions}
        records = _in_turns(found.versions, lambda one: version_record(one, found.champions), turn)
        return with_list(head, "versions", records)

    async def one(self, request: Request) -> Response:
        """The card of one version."""
        model = request.path_params["model"]
        if faults := unknown(request.query_params, ()):
            return faulty(faults)
        try:
            found = await known(index_of(self._models), model)
        except NoSuchModel:
            return faulty([no_such_model(model)], HTTPStatus.NOT_FOUND)
        except StoreUnavailable as error:
            return unavailable(error)
        return as_json(known_record(found, self._now()))

    async def retrainings(self, request: Request) -> Response:
        """The state of the last retrainings."""
        if faults := unknown(request.query_params, ()):
            return faulty(faults)
        now = self._now()
        try:
            found = await retrainings(index_of(self._models), now)
        except StoreUnavailable as error:
            return unavailable(error)
        return as_json(
            {
                "at": now,
                "running": None if found.running is None else asdict(found.running),
                "asked": list(map(decision_record, found.asked)),
                "ended": list(map(decision_record, found.ended)),
            }
        )

    async def log(self, request: Request, turn: Turn) -> Response:
        """A page of what was decided; `next` is the `before` of the following page, null on the last."""
        faults = unknown(request.query_params, LOG.names)
        asked = log_asked(request.query_params, DEFAULT_LIMIT, faults)
        if faults:
            return faulty(faults)
        try:
            found, following = await log_page(index_of(self._models), asked)
        except StoreUnavailable as error:
            return unavailable(error)
        return with_list({"at": self._now(), "next": following}, "decisions", _in_turns(found, decision_record, turn))


def no_such_model(model: str) -> Fault:
    """What to say of a version that is not in the index."""
    return Fault("model", excerpt(model), "was never published: /api/v1/models lists the versions, as NAME@VERSION")


def champion_record(one: Champion, now: float) -> Record:
    """Who serves a scope. probation_until: null once it is over."""
    return {**asdict(one), "probation_until": one.probation_until if one.is_on_probation(now) else None}


def version_record(one: ModelVersion, champions: Mapping[str, Champion]) -> Record:
    """A version without its manifest."""
    return {
        "model": one.model,
        "name": one.name,
        "version": one.version,
        "place": one.place,
        "published_at": one.published_at,
        "retired_at": one.retired_at,
        "figures": dict(one.figures),
        "champion_of": sorted(scope for scope, champion in champions.items() if champion.model == one.model),
    }


def known_record(found: Known, now: float) -> Record:
    """A version with its card: sections of rows, as `headway models show` has them."""
    version, champions = found.version, found.champions
    return {
        **version_record(version, champions),
        "at": now,
        "manifest": dict(version.manifest),
        "notes": dict(version.notes),
        "champions": [champion_record(one, now) for one in champions.values() if one.model == version.model],
        "card": [asdict(section) for section in card_of(version, champions, (), now).sections],
        "decisions": [decision_record(one) for one in found.decisions],
    }


def decision_record(one: ModelDecision) -> Record:
    """One entry of the log, and what it says as a sentence; its figures are apart."""
    return {**asdict(one), "kind": one.kind.value, "text": told(replace(one, figures={}))}


async def _in_turns(found: Sequence[T], make: Callable[[T], Record], turn: Turn) -> AsyncIterator[str]:
    for position, one in enumerate(found):
        if position % AT_A_TIME == 0:
            await turn()
        yield json.dumps(make(one), ensure_ascii=False)
