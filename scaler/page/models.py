"""The pages of models: who serves whom, all versions, what was decided; and the card of one version."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from starlette.requests import Request

from scaler.errors import Fault, StoreUnavailable
from scaler.models import NO_CHAMPION, Champion, Kind, ModelDecision, scope_name
from scaler.models.card import VERBS, Card, card_of, figure_words, told
from scaler.models.retrainings import retrainings
from scaler.page.asking import Refused, with_query
from scaler.page.model_forms import forms_of
from scaler.status.model_changes import DEFAULT_PROBATION, Change
from scaler.status.models import Known, NoSuchModel, index_of, known, lineup, log_asked, log_page, no_such_model
from scaler.status.parameters import unknown, whole_number
from scaler.status.shown import Shown

ROWS = 50
"""versions, and entries of the log, on a page"""
SIGNS: Mapping[Kind, str] = {
    Kind.PUBLISHED: "neutral",
    Kind.RETIRED: "neutral",
    Kind.RETRAINING_ASKED: "neutral",
    Kind.RETRAINING_BEGAN: "neutral",
    Kind.RETRAINED: "neutral",
    Kind.PROMOTED: "good",
    Kind.ASSIGNED: "good",
    Kind.REFUSED: "bad",
    Kind.ROLLED_BACK: "bad",
    Kind.RETRAINING_FAILED: "bad",
}


async def models_view(shown: Shown, request: Request) -> Mapping[str, Any]:
    """Champions, versions and the log; what the database does not give is said in its place."""
    query = request.query_params
    faults = unknown(query, ("page", "before", "scope", "model"))
    page = whole_number(query, "page", 1, 1_000_000, faults)
    asked = log_asked({name: value for name, value in query.items() if value}, ROWS, faults)
    if faults:
        raise Refused(faults)
    values: dict[str, Any] = {"unavailable": "", "count": 0}
    try:
        index = index_of(shown.reads.models)
        found = await lineup(index, page, ROWS)
        trained = await retrainings(index, shown.now())
        decisions, following = await log_page(index, asked)
    except StoreUnavailable as error:
        values["unavailable"] = str(error)
    else:
        now = shown.now()
        values |= {
            "champions": [_served(one, now) for _, one in sorted(found.champions.items())],
            "versions": [(one, _scopes(one.model, found.champions)) for one in found.versions],
            "count": found.count,
            "decisions": list(map(_entry, decisions)),
            "following": following,
            "found": trained,
            "retrain": Change("retrain").command,
        }
    return values | {
        **forms_of(shown, request),
        "page": page,
        "pages": max(1, math.ceil(values["count"] / ROWS)),
        "asked": asked,
        "link": lambda **changed: with_query(dict(query), **changed),
    }


async def retrainings_view(shown: Shown, request: Request) -> Mapping[str, Any]:
    """The part of the page of models that changes by itself."""
    if faults := unknown(request.query_params, ()):
        raise Refused(faults)
    try:
        return {"found": await retrainings(index_of(shown.reads.models), shown.now()), "unavailable": ""}
    except StoreUnavailable as error:
        return {"unavailable": str(error)}


async def model_view(shown: Shown, request: Request) -> Mapping[str, Any]:
    """The card of one version, its figures, whom it serves and what was decided about it."""
    model = request.path_params["model"]
    if faults := unknown(request.query_params, ()):
        raise Refused(faults)
    try:
        found = await known(index_of(shown.reads.models), model)
    except NoSuchModel:
        raise Refused([no_such_model(model)], HTTPStatus.NOT_FOUND) from None
    except StoreUnavailable as error:
        raise Refused([Fault("database", "", str(error))], HTTPStatus.SERVICE_UNAVAILABLE) from None
    now = shown.now()
    general, by_series = _figures(found)
    return {
        **forms_of(shown, request),
        "promote": Change("promote", model).command,
        "retire": Change("retire", model).command,
        "probation": DEFAULT_PROBATION,
        "known": found.version,
        "card": _card(found, now),
        "champions": [_served(one, now) for one in found.champions.values() if one.model == model],
        "figures": general,
        "by_series": by_series,
        "decisions": list(map(_entry, found.decisions)),
    }


def _card(found: Known, now: float) -> Card:
    """Without what the page shows in its own way."""
    card = card_of(found.version, found.champions, (), now)
    kept = (one for one in card.sections if not one.title.startswith("Figures"))
    rows = ((one, tuple(row for row in one.rows if row[0] != "champion of")) for one in kept)
    return replace(card, sections=tuple(replace(one, rows=own) for one, own in rows))


def _figures(found: Known) -> tuple[Sequence[tuple[str, float]], Sequence[tuple[str, float]]]:
    """(those of the whole, those of single series), in words."""
    rows = [(figure_words(key), value, " of " in key) for key, value in found.version.figures.items()]
    return [row[:2] for row in rows if not row[2]], [row[:2] for row in rows if row[2]]


def _scopes(model: str, champions: Mapping[str, Champion]) -> list[str]:
    return sorted(scope_name(scope) for scope, one in champions.items() if one.model == model)


def _served(one: Champion, now: float) -> Mapping[str, Any]:
    """previous: None where it cannot be rolled back."""
    return {
        "scope": one.scope,
        "name": scope_name(one.scope),
        "model": one.model,
        "since": one.since,
        "roll_back": Change("roll-back", scope=one.scope).command if one.previous is not None else "",
        "previous": "no champion" if one.previous == NO_CHAMPION else one.previous,
        "probation_until": one.probation_until if one.is_on_probation(now) else None,
    }


def _entry(one: ModelDecision) -> Mapping[str, Any]:
    return {
        "at": one.at,
        "verb": VERBS[one.kind],
        "sign": SIGNS[one.kind],
        "model": one.model,
        "is_version": one.kind is not Kind.REFUSED,
        "text": told(replace(one, figures={})),
        "by": one.by,
        "figures": [(figure_words(key), value) for key, value in one.figures.items()],
    }
