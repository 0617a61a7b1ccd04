"""ScaledObjects of a text, inspected in a process of their own: reading a large one takes a second, and KEDA's calls
would wait for the interpreter meanwhile.

That process is this module; it imports neither the server nor numpy, so that it starts in a fifth of a second.
"""

import asyncio
import os
import pickle
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scaler.checks import Context, inspect
from scaler.checks.metadata import as_keda_reads, parsed
from scaler.discovery.annotated import Annotated, read_annotated
from scaler.errors import Fault
from scaler.manifest import ManifestError, ScaledObject, TriggerEntry, dotted_path, read_manifest
from scaler.trigger import Trigger, TriggerRules

MOST_OBJECTS = 20
MOST_FINDINGS = 200
"""of one object, that are listed"""
MOST_TRIGGERS = 50
"""the same"""
SECONDS = 30.0
"""that the process may take"""
NICENESS = 10
"""of the process, above that of KEDA's calls"""


class CannotInspect(Exception):
    """Not the fault of the text."""


@dataclass(frozen=True, slots=True)
class Tried:
    """A trigger as Headway reads it, or its faults. kind: its type, as KEDA names it."""

    index: int
    kind: str
    read: Trigger | tuple[Fault, ...]


@dataclass(frozen=True, slots=True)
class Inspected:
    """One object. findings: errors first, as the API shows them."""

    kind: str
    namespace: str
    name: str
    findings: Sequence[Mapping[str, Any]]
    triggers: Sequence[Tried]


async def inspected_apart(manifest: str, rules: TriggerRules) -> tuple[list[Inspected], list[str]]:
    """The objects of the text, and the kinds of its other documents. Raises ManifestError, CannotInspect."""
    try:
        async with asyncio.timeout(SECONDS):
            done = await _done(pickle.dumps((manifest, rules)))
    except TimeoutError:
        raise ManifestError(f"takes more than {SECONDS:g} s to read") from None
    except OSError:
        done = b""
    if not done:
        raise CannotInspect("could not be read now: the process that reads it has ended, or cannot be started")
    found = pickle.loads(done)
    if isinstance(found, str):
        raise ManifestError(found)
    return found  # type: ignore[no-any-return]


async def _done(given: bytes) -> bytes:
    """What the process answers; empty where it fails. It ends with this call, also where that is cancelled."""
    code = f"from {__name__} import main; main()"
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdin=pipe, stdout=pipe)
    try:
        answer, _ = await process.communicate(given)
    finally:
        if process.returncode is None:
            process.kill()
    return answer if process.returncode == 0 else b""


def inspected(manifest: str, rules: TriggerRules) -> tuple[list[Inspected], list[str]]:
    """The same, in this process."""
    read = read_manifest(manifest)
    context = Context(trigger_rules=rules, tls_parameters=read.tls_parameters)
    if len(read.objects) > MOST_OBJECTS:
        raise ManifestError(f"has {len(read.objects)} ScaledObjects; at most {MOST_OBJECTS} are checked at once")
    return [_object(one, context) for one in read.objects], sorted(set(read.skipped))


def _object(scaled: ScaledObject, context: Context) -> Inspected:
    findings = [
        {
            "level": finding.level.value,
            "rule": finding.rule,
            "line": scaled.line(finding.path) or None,
            "field": dotted_path(finding.path),
            "text": finding.text,
            "fix": finding.fix,
            "example": finding.example,
        }
        for finding in inspect(scaled, context)[:MOST_FINDINGS]
    ]
    triggers = _triggers(scaled, context)[:MOST_TRIGGERS]
    return Inspected(scaled.kind, scaled.namespace, scaled.name, findings, triggers)


def _triggers(scaled: ScaledObject, context: Context) -> list[Tried]:
    found = [_tried(entry, parsed(scaled, entry, context)) for entry in scaled.our_triggers]
    annotated = read_annotated(scaled, context.trigger_rules)
    if isinstance(annotated, Annotated):
        return [*found, _tried(annotated.entry, annotated.trigger)]
    others = [entry for entry in scaled.triggers if entry.kind == "prometheus" and not entry.reads_plan]
    return [*found, *(_tried(entry, as_keda_reads(scaled, entry)) for entry in others)]


def _tried(entry: TriggerEntry, read: Trigger | tuple[Fault, ...]) -> Tried:
    return Tried(entry.index, entry.kind, read)


def main() -> None:
    """Answer what comes by standard input: what is found, or the text of an error."""
    os.nice(NICENESS)
    manifest, rules = pickle.load(sys.stdin.buffer)
    try:
        found: object = inspected(manifest, rules)
    except ManifestError as error:
        found = str(error)
    sys.stdout.buffer.write(pickle.dumps(found))
