"""The commands: each opens the index that the scaler's settings name, does one thing, and prints what came of it."""

import asyncio
import getpass
import socket
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from scaler.commands import Exit, Usage
from scaler.errors import BundleInvalid, StoreUnavailable
from scaler.models import (
    NO_CHAMPION,
    Champion,
    Kind,
    ModelIndex,
    ModelRefused,
    ModelVersion,
    changing,
    is_model,
    is_scope,
    scope_name,
    unknown,
)
from scaler.models.card import card_of, moment, serves, told
from scaler.models.changing import Author, Promotion
from scaler.settings import Settings
from scaler.telemetry.redaction import redacted

MOST_DECISIONS = 1000
"""of one call"""
CARD_DECISIONS = 50
LONGEST_PROBATION_SECONDS = 31 * 86_400.0
_PROBATION = "must be a duration with its unit, at most 31 days, as 24h"

Work = Callable[[ModelIndex], Awaitable[None]]


def run(settings: Settings, work: Work) -> Exit:
    """Do `work` with the index; FAULTS for what the index refuses, UNREACHABLE for a database that does not answer."""
    errors = Console(stderr=True, highlight=False, soft_wrap=True)
    index = _opened(settings)

    async def opened() -> None:
        try:
            await work(index)
        finally:
            await index.close()

    try:
        asyncio.run(opened())
    except (ModelRefused, BundleInvalid) as refusal:
        errors.print(f"headway: {refusal}", markup=False)
        return Exit.FAULTS
    except StoreUnavailable as error:
        errors.print(f"headway: {redacted(str(error))}", markup=False)
        return Exit.UNREACHABLE
    return Exit.FINE


def list_models(settings: Settings, name: str, as_json: bool) -> Exit:
    """All versions, with what they serve; or those of one name."""

    async def work(index: ModelIndex) -> None:
        versions, champions = await index.versions(name or None), await index.champions()
        if as_json:
            print_json({"versions": list(map(asdict, versions)), "champions": list(map(asdict, champions.values()))})
        else:
            _print_versions(versions, champions)

    return run(settings, work)


def show(settings: Settings, model: str, as_json: bool, as_markdown: bool) -> Exit:
    """The card of one version."""
    _check_model(model)

    async def work(index: ModelIndex) -> None:
        version = await _version(index, model)
        champions, decisions = await index.champions(), await index.decisions(CARD_DECISIONS, model=model)
        if as_json:
            mine = [asdict(one) for one in champions.values() if one.model == model]
            print_json({**asdict(version), "champion_of": mine, "decisions": list(map(asdict, decisions))})
            return
        card = card_of(version, champions, decisions, time.time())
        console = Console(highlight=False)
        if as_markdown:
            print(card.markdown(), end="")
            return
        console.print(f"[bold]{escape(card.model)}[/]")
        for section in card.sections:
            table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), title_justify="left")
            table.add_column(no_wrap=True)
            table.add_column(overflow="fold")
            for row in section.rows:
                table.add_row(f"  {escape(row[0])}", escape(row[1]))
            console.print(f"\n[bold]{section.title}[/]")
            console.print(table)

    return run(settings, work)


def promote(settings: Settings, model: str, scope: str, probation_seconds: float, reason: str, kind: Kind) -> Exit:
    """Make a version the champion of a scope."""
    _check_model(model)
    _check_scope(scope)

    async def check(model: str) -> None:
        _check_bundle(settings, model)

    async def work(index: ModelIndex) -> None:
        wanted = Promotion(model, scope, probation_seconds, kind)
        _say(await changing.promote(index, _author(reason), wanted, check))

    return run(settings, work)


def roll_back(settings: Settings, scope: str, reason: str) -> Exit:
    """Give a scope back to what its champion replaced."""
    _check_scope(scope)

    async def work(index: ModelIndex) -> None:
        _say(await changing.roll_back(index, _author(reason), scope))

    return run(settings, work)


def retire(settings: Settings, model: str, reason: str) -> Exit:
    """Take a version out of use."""
    _check_model(model)

    async def work(index: ModelIndex) -> None:
        _say(await changing.retire(index, _author(reason), model))

    return run(settings, work)


def log(settings: Settings, limit: int, scope: str | None, model: str | None, as_json: bool) -> Exit:
    """The newest decisions."""
    if not 1 <= limit <= MOST_DECISIONS:
        raise Usage(f"--limit={limit}: must be a whole number from 1 to {MOST_DECISIONS}")
    if scope is not None:
        _check_scope(scope)
    if model is not None:
        _check_model(model)

    async def work(index: ModelIndex) -> None:
        found = await index.decisions(limit, scope=scope, model=model)
        if as_json:
            print_json({"decisions": list(map(asdict, found))})
            return
        if not found:
            _say("nothing has been decided yet")
        for one in found:
            Console(highlight=False).print(f"{moment(one.at)}  {escape(told(one))}", soft_wrap=True)

    return run(settings, work)


def print_json(found: Any) -> None:
    Console(highlight=False).print_json(data=found)


def _opened(settings: Settings) -> ModelIndex:
    from scaler.store.model_index import open_model_index
    from scaler.store.sql_store import SQLITE_NAME

    url = settings.database.get_secret_value() if settings.database else None
    file = settings.data_dir / SQLITE_NAME
    if url is None and not file.is_file():
        missing = f"holds no {SQLITE_NAME}; give --database or --data-dir as the scaler has it"
        raise Usage(f"data-dir={str(settings.data_dir)!r}: {missing}")
    return open_model_index(url, settings.data_dir, settings.installation)


def _print_versions(versions: list[ModelVersion], champions: dict[str, Champion]) -> None:
    console = Console(highlight=False)
    if not versions:
        _say("no version has been published yet")
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    for head in ("model", "published", "champion of", ""):
        table.add_column(head, overflow="fold")
    for one in versions:
        scopes = ", ".join(serves(one.model, champions, time.time()))
        table.add_row(escape(one.model), moment(one.published_at), escape(scopes), "retired" if one.retired_at else "")
    console.print(table)
    known = {one.model for one in versions}
    for champion in champions.values():
        if champion.previous and champion.previous != NO_CHAMPION and champion.model in known:
            scope = scope_name(champion.scope)
            console.print(f"{escape(scope)}: can be rolled back to {escape(champion.previous)}", soft_wrap=True)


async def _version(index: ModelIndex, model: str) -> ModelVersion:
    versions = await index.versions()
    found = next((one for one in versions if one.model == model), None)
    if found is None:
        raise unknown(model, [one.model for one in versions])
    return found


def _check_bundle(settings: Settings, model: str) -> None:
    """Raises BundleInvalid where the scaler would refuse the version: it would go on with what serves now."""
    if not settings.bundle:
        _say("bundle is not set here: whether the version can be read is not checked")
        return
    from scaler.bundle import fetch, read_bundle

    with tempfile.TemporaryDirectory(prefix="headway-bundle-") as folder:
        read_bundle(fetch(settings.bundle, Path(folder), model))


def _check_model(model: str) -> None:
    if not is_model(model):
        raise Usage(f"MODEL={model!r}: must be NAME@VERSION, as `headway models list` shows them")


def _check_scope(scope: str) -> None:
    if not is_scope(scope):
        raise Usage(f"scope {scope!r}: must be NAMESPACE or NAMESPACE/NAME; without it, all triggers are meant")


def _author(reason: str) -> Author:
    return Author(_who(), time.time(), reason)


def _who() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in a container
        user = "somebody"
    return f"{user}@{socket.gethostname()}"


def _say(text: str) -> None:
    Console(highlight=False).print(escape(text), soft_wrap=True)


def seconds_of(probation: str) -> float:
    """The seconds of --probation. Raises Usage."""
    from scaler.trigger.values import Refused, duration

    try:
        return duration(0.0, LONGEST_PROBATION_SECONDS)(probation)
    except Refused as refused:
        raise Usage(f"--probation={probation!r}: {str(refused) or _PROBATION}") from None
