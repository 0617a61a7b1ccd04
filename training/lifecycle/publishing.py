"""A version goes to the place of the bundles, then into the index. Both steps may be repeated after a crash.

A folder NAME@VERSION without an entry in the index serves nobody, and the next try finds it and writes the entry.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scaler.bundle import Manifest, fetch, shown_url
from scaler.bundle.folder import MANIFEST, store_error_text
from scaler.forecast.onnx_forecaster import load_forecaster
from scaler.models import ALL, Champion, Kind, ModelDecision, ModelIndex, ModelVersion
from training.experiment.publish import PublishFailed, put
from training.lifecycle.gate import Verdict
from training.lifecycle.measuring import record_of_run

LONGEST_REASON = 1000


@dataclass(frozen=True, slots=True)
class Release:
    """What is to be published, and for whom. by: who decides. probation_seconds: 0 for none."""

    folder: Path
    destination: str
    """what the scaler's setting `bundle` names"""
    scope: str = ALL
    promotes: bool = True
    probation_seconds: float = 0.0
    by: str = "publish"
    triggers: tuple[str, ...] = ()
    """that it has learned from, or was to and could not"""
    at: float | None = None
    """when it is decided, in seconds since the epoch; None: now"""


@dataclass(frozen=True, slots=True)
class Released:
    """What was done. champion: None where it was not promoted."""

    model: str
    place: str
    is_new: bool
    champion: Champion | None = None


async def refuse(index: ModelIndex, release: Release, verdict: Verdict) -> None:
    """Record that the gate did not let the bundle in."""
    await index.refuse(_decision(Kind.REFUSED, verdict, release))


async def publish(index: ModelIndex, release: Release, verdict: Verdict | None, expected: str | None) -> Released:
    """Copy the bundle to destination/NAME@VERSION, add it to the index, and make it the champion of the scope.

    verdict: None where it is published without one. expected: the champion of the scope that the verdict is about,
    None for no champion. A step that was done before is left out. Raises BundleInvalid, PublishFailed, and what
    `ModelIndex.publish` and `promote` raise.
    """
    manifest = load_forecaster(release.folder).manifest
    place = placed(release.folder, release.destination, manifest)
    decision = _decision(Kind.PUBLISHED, verdict, release, manifest.model)
    is_new = await index.publish(_version(release, manifest, place, decision), decision)
    champion = None
    if release.promotes:
        promotion = _decision(Kind.PROMOTED, verdict, release, manifest.model)
        champion = await index.promote(release.scope, manifest.model, expected, promotion, release.probation_seconds)
    return Released(manifest.model, place, is_new, champion)


async def serving(index: ModelIndex, scope: str) -> tuple[Champion | None, ModelVersion | None]:
    """(the champion of the scope itself, the version that serves it now: of the scope, or of a wider one)."""
    champions = await index.champions()
    wider = (scope, scope.partition("/")[0], ALL)
    found = next((champions[one] for one in wider if one in champions), None)
    versions = {one.model: one for one in await index.versions()} if found else {}
    return champions.get(scope), versions.get(found.model) if found else None


def folder_of(version: ModelVersion | None, destination: str, cache: Path) -> Path | None:
    """A folder with the bundle of a version; None for the shipped one. Raises BundleInvalid."""
    return None if version is None else fetch(f"{destination.rstrip('/')}/{version.model}", cache)


def placed(folder: Path, destination: str, manifest: Manifest) -> str:
    """Where the version lies, whole. Raises PublishFailed, also where another graph lies there."""
    name = manifest.model
    there = _graph_at(destination, name)
    if there is None:
        return put(folder, destination, name)
    if there != manifest.graph_sha256:
        raise PublishFailed(
            f"{_place(destination, name)}: holds another graph: a version never changes; train again, or name it "
            "otherwise"
        )
    return _place(destination, name)


def _place(destination: str, name: str) -> str:
    return f"{shown_url(destination).rstrip('/')}/{name}"


def _graph_at(destination: str, name: str) -> str | None:
    """The checksum in the manifest that lies there; None where there is none, or half of one."""
    import fsspec

    try:
        store, path = fsspec.core.url_to_fs(destination)
        store.invalidate_cache()
        found = json.loads(store.cat_file(f"{path.rstrip('/')}/{name}/{MANIFEST}"))
        return str(found["graph_sha256"])
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
        return None
    except Exception as error:  # noqa: BLE001 - every file system of fsspec raises its own
        raise PublishFailed(f"{shown_url(destination)}: cannot be read: {store_error_text(error)}") from None


def _version(release: Release, manifest: Manifest, place: str, decision: ModelDecision) -> ModelVersion:
    return ModelVersion(
        name=manifest.name,
        version=manifest.version,
        place=place,
        manifest=json.loads(manifest.to_json()),
        published_at=decision.at,
        figures=decision.figures,
        notes=_notes(record_of_run(release.folder), release.triggers),
    )


def _notes(record: Mapping[str, Any], triggers: Sequence[str]) -> dict[str, str]:
    """What the card of a model says of its training."""
    found = {name: record.get(name, "") for name in ("recipe", "headway", "learned_until")}
    found["triggers"] = json.dumps(list(triggers)) if triggers else ""
    return {name: str(value) for name, value in found.items() if value != ""}


def _decision(kind: Kind, verdict: Verdict | None, release: Release, model: str = "") -> ModelDecision:
    reason = "published without the gate" if verdict is None else "; ".join(verdict.reasons)
    return ModelDecision(
        at=time.time() if release.at is None else release.at,
        kind=kind,
        model=model or (verdict.measured.challenger if verdict else ""),
        by=release.by,
        reason=reason[:LONGEST_REASON],
        scope=release.scope,
        previous=verdict.measured.champion if verdict else None,
        figures=verdict.numbers if verdict else {},
    )
