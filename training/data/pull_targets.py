"""`headway data pull`: what is wanted, from which servers, and whether they answer at all."""

import asyncio
import re
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from scaler.checks import Context
from scaler.checks.metadata import as_keda_reads, parsed
from scaler.commands import Usage
from scaler.errors import HeadwayError, SourceUnavailable
from scaler.history import MetricSource
from scaler.history.connection import Limits
from scaler.history.credentials import ServerAccess
from scaler.history.sources import source_for
from scaler.manifest import ManifestError, ScaledObject, TriggerEntry, read_manifest
from scaler.trigger import Trigger, TriggerRules
from training.data.load import Refused
from training.data.pull import Wanted

NAME = re.compile(r"[\w.:-]+(/[\w.:-]+)*")
ALWAYS = "vector(0)"
"""a query that every Prometheus-compatible server answers"""


def of_queries(given: Iterable[str]) -> list[Wanted]:
    """NAME=PROMQL → what is wanted. Raises Usage."""
    found = []
    for one in given:
        name, _, query = one.partition("=")
        if not NAME.fullmatch(name.strip()) or not query.strip():
            raise Usage(f"--query {one!r}: must be NAME=PROMQL, the name as shop/web")
        found.append(Wanted(name.strip(), query.strip()))
    return found


def of_manifest(path: Path, default_server: str) -> tuple[list[Wanted], list[Refused]]:
    """The triggers of all ScaledObjects in a file that ask Prometheus, ours and KEDA's own; and why others cannot.

    Several triggers of one ScaledObject are named with their hash, as in the scaler. Raises Usage.
    """
    try:
        manifest = read_manifest(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise Usage(f"--triggers {str(path)!r}: is not UTF-8 text") from None
    except (OSError, ManifestError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise Usage(f"--triggers {str(path)!r}: {reason}") from None
    context = Context(trigger_rules=TriggerRules(default_server, ("*",)))
    ours: list[Trigger] = []
    keda: list[Trigger] = []
    refused = []
    for scaled in manifest.objects:
        for entry in scaled.triggers:
            found = _trigger(scaled, entry, context)
            if isinstance(found, Trigger):
                (ours if entry.ours else keda).append(found)
            elif found:
                refused.append(Refused(path.name, f"{scaled.namespace}/{scaled.name}", found))
    if not ours and not keda and not refused:
        raise Usage(f"--triggers {str(path)!r}: no trigger in it asks Prometheus")
    return _named([*ours, *_not_asked_by(ours, keda)]), refused


def _not_asked_by(ours: Sequence[Trigger], keda: Sequence[Trigger]) -> list[Trigger]:
    """KEDA's own triggers without those that are the reactive floor next to one of ours: these ask the same."""
    asked = {(one.namespace, one.name, one.query) for one in ours}
    return [one for one in keda if (one.namespace, one.name, one.query) not in asked]


def _named(triggers: Sequence[Trigger]) -> list[Wanted]:
    names = [f"{one.namespace}/{one.name}" for one in triggers]
    several = {name for name, count in Counter(names).items() if count > 1}
    return [
        _asked(one, f"{name}/{one.short_key}" if name in several else name)
        for name, one in zip(names, triggers, strict=True)
    ]


def _asked(trigger: Trigger, name: str) -> Wanted:
    return Wanted(
        name,
        trigger.query,
        trigger.server_address,
        trigger.ignore_null_values,
        trigger.tenant,
        trigger.query_parameters,
    )


def _trigger(scaled: ScaledObject, entry: TriggerEntry, context: Context) -> Trigger | str:
    """The trigger as it is read, or why it cannot be; empty where it queries no server."""
    if entry.ours:
        found = parsed(scaled, entry, context)
    elif entry.kind == "prometheus" and (demand := entry.demand):
        found = as_keda_reads(scaled, demand)
    else:
        return ""
    return found if isinstance(found, Trigger) else f"trigger {entry.index}: {'; '.join(map(str, found))}"


def unreachable(wanted: Sequence[Wanted], server: str, access: Sequence[ServerAccess]) -> str:
    """Why no server at all can be reached; empty where one can, or where none is needed."""
    servers = sorted({one.server or server for one in wanted})
    errors = asyncio.run(_connection_errors(servers, access))
    return "; ".join(errors) if all(errors) else ""


async def _connection_errors(servers: Sequence[str], access: Sequence[ServerAccess]) -> list[str]:
    source = source_for(access, Limits(attempts=1))
    try:
        return list(await asyncio.gather(*(_connection_error(source, server) for server in servers)))
    finally:
        await source.close()


async def _connection_error(source: MetricSource, server: str) -> str:
    now = time.time() // 60 * 60
    try:
        await source.samples(Trigger("", "", ALWAYS, 1.0, server, key=server), now, now, 60)
    except SourceUnavailable as error:
        return str(error)
    except (HeadwayError, ValueError):
        return ""  # it answers, if only to refuse; errors are reported for each series
    return ""
