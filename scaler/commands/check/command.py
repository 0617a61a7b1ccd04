"""`headway check`: a ScaledObject before it is applied, and a running scaler as KEDA sees it."""

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from scaler.checks import Context, inspect
from scaler.checks.finding import ANY_SERVER
from scaler.checks.kedas_own import is_web_address
from scaler.checks.metadata import as_keda_reads, parsed
from scaler.commands import Exit, Usage
from scaler.commands.check.keda_client import ScalerTls
from scaler.commands.check.probes import Asked, ask_queries, call_scaler
from scaler.commands.check.report import Report, as_json, exit_of, print_report
from scaler.errors import Fault, HeadwayError
from scaler.history.credentials import ServerAccess
from scaler.manifest import Manifest, ManifestError, ScaledObject, TriggerEntry, read_manifest
from scaler.telemetry.logs import configure_logs
from scaler.telemetry.redaction import redacted
from scaler.trigger import Trigger, TriggerRules
from scaler.trigger.server_address import PATTERN_RULE, chosen_by_tenants, is_pattern

NO_ADDRESS = "the trigger names no serverAddress"
SCALERS_DEFAULT = "the trigger names no serverAddress, and only the scaler knows its default"
NEEDS_CREDENTIALS = "KEDA takes credentials for it from the cluster"
NEEDS_HEADERS = "KEDA sends customHeaders with it"


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """What was asked for on the command line."""

    file: str
    prometheus: str = ""
    """asked where a trigger names no serverAddress"""
    prometheus_for_all: bool = False
    """… and instead of every serverAddress"""
    access: tuple[ServerAccess, ...] = ()
    """credentials and method by server"""
    scaler: str = ""
    keda_version: str = ""
    namespace: str = "default"
    allow_server_address: tuple[str, ...] = ()
    offline: bool = False
    as_json: bool = False
    tls: ScalerTls = ScalerTls()  # noqa: RUF009  frozen

    @property
    def server_for_all(self) -> str:
        """Asked whatever a trigger says; empty where each trigger is asked at its own."""
        return self.prometheus if self.prometheus_for_all else ""


def check(options: CheckOptions) -> Exit:
    """Print what is found in the file, and say how bad it is. Raises Usage where nothing could be checked."""
    from rich.console import Console

    configure_logs("console", "error")
    if options.offline and options.scaler:
        raise Usage(f"--scaler={options.scaler!r}: cannot be called with --offline, which sends no request")
    try:
        manifest = _read(options)
    except ManifestError as error:
        print(f"headway: {named(options.file)}: {error}", file=sys.stderr)
        return Exit.FAULTS
    context = _context(options, manifest)
    console = Console(highlight=False, soft_wrap=False)
    with nullcontext() if options.as_json else console.status("checking"):
        reports = [_report(scaled, context, options) for scaled in manifest.objects]
    if options.as_json:
        console.print_json(data=as_json(reports, options.file, options.keda_version), ensure_ascii=True)
        return exit_of(reports)
    for report in reports:
        print_report(report, console)
    if manifest.skipped:
        console.print(f"[dim]not looked at: {', '.join(sorted(set(manifest.skipped)))}[/]")
    return exit_of(reports)


def named(file: str) -> str:
    """The file as a message names it."""
    return "standard input" if file == "-" else file


def parse_version(text: str) -> tuple[int, int, int]:
    """`2.20.1`, `v2.20` → numbers. Raises Usage."""
    found = re.fullmatch(r"v?(\d+)\.(\d+)(?:\.(\d+))?", text.strip())
    if found is None:
        raise Usage(f"--keda-version={text!r}: must be a version as 2.20.1")
    major, minor, patch = found.groups()
    return int(major), int(minor), int(patch or 0)


def read_tls(on: bool, ca_cert: Path | None, client_cert: Path | None, client_key: Path | None) -> ScalerTls:
    """The contents of the files. Raises Usage where one is missing or half a pair is given."""
    if (client_cert is None) != (client_key is None):
        raise Usage("--client-cert and --client-key go together")
    contents = [path.read_bytes() if path else None for path in (ca_cert, client_cert, client_key)]
    return ScalerTls(on, *contents)


def read_patterns(patterns: Sequence[str]) -> tuple[str, ...]:
    """The patterns of --allow-server-address. Raises Usage where one is none, or the scaler would refuse it."""
    for pattern in patterns:
        rule = chosen_by_tenants(pattern) if is_pattern(pattern) else PATTERN_RULE
        if rule:
            raise Usage(f"--allow-server-address={pattern!r}: {rule}")
    return tuple(patterns)


def _read(options: CheckOptions) -> Manifest:
    try:
        text = sys.stdin.read() if options.file == "-" else Path(options.file).read_text(encoding="utf-8")
        manifest = read_manifest(text, options.namespace)
    except OSError as error:
        raise Usage(f"{named(options.file)}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise Usage(f"{named(options.file)}: not UTF-8 text (byte {error.start})") from error
    if not manifest.objects:
        found = f" (found: {', '.join(sorted(set(manifest.skipped)))})" if manifest.skipped else ""
        raise Usage(f"{named(options.file)}: no ScaledObject in it{found}")
    return manifest


def _context(options: CheckOptions, manifest: Manifest) -> Context:
    rules = TriggerRules(
        default_server=options.prometheus or ANY_SERVER.default_server,
        allowed_servers=options.allow_server_address or ANY_SERVER.allowed_servers,
    )
    return Context(parse_version(options.keda_version), rules, manifest.tls_parameters)


def _report(scaled: ScaledObject, context: Context, options: CheckOptions) -> Report:
    report = Report(scaled, inspect(scaled, context))
    if not options.offline:
        report.asked = _ask(scaled, context, options)
        if options.scaler:
            report.calls = list(call_scaler(scaled, options.scaler, options.tls))
    return report


def _ask(scaled: ScaledObject, context: Context, options: CheckOptions) -> list[Asked]:
    """The queries of our triggers and of KEDA's `prometheus` ones, tried where they can be."""
    found = [(entry, _read_trigger(scaled, entry, context, options)) for entry in _queried(scaled)]
    why_not = [_why_not(entry, one, options) for entry, one in found]
    known = [
        (entry.index, one)
        for (entry, one), why in zip(found, why_not, strict=True)
        if isinstance(one, Trigger) and not why
    ]
    untried = [
        Asked(entry.index, "", entry.given.get("query", ""), error=why + _fix(scaled), tried=False)
        for (entry, _), why in zip(found, why_not, strict=True)
        if why
    ]
    return sorted([*_try(scaled, known, options), *untried], key=lambda asked: asked.trigger)


def _queried(scaled: ScaledObject) -> Iterator[TriggerEntry]:
    """The triggers with a query; one that reads the plan also with the demand alone, which counts in an outage."""
    for entry in scaled.triggers:
        if entry.ours or entry.kind == "prometheus":
            yield entry
        if entry.reads_plan and entry.demand is not None:
            yield entry.demand


def _read_trigger(
    scaled: ScaledObject, entry: TriggerEntry, context: Context, options: CheckOptions
) -> Trigger | tuple[Fault, ...]:
    return parsed(scaled, entry, context) if entry.ours else as_keda_reads(scaled, entry, options.server_for_all)


def _why_not(entry: TriggerEntry, read: Trigger | tuple[Fault, ...], options: CheckOptions) -> str:
    """Why a query cannot be tried where the trigger says; empty where it can."""
    if not isinstance(read, Trigger):
        return "; ".join(map(str, read))
    if options.server_for_all:
        return ""
    if entry.kind == "prometheus" and not _has_access(read.server_address, options):
        if "authenticationRef" in entry.fields or {"authModes", "awsRegion"} & entry.given.keys():
            return NEEDS_CREDENTIALS
        if "customHeaders" in entry.given:
            return NEEDS_HEADERS
    if "serverAddress" in entry.given:
        return ""
    if not entry.ours:
        return NO_ADDRESS
    return "" if options.prometheus else SCALERS_DEFAULT


def _has_access(address: str, options: CheckOptions) -> bool:
    """Whether the settings name this server, with the credentials and headers that it needs."""
    return any(access.pattern != "*" and access.matches(address) for access in options.access)


def _fix(scaled: ScaledObject) -> str:
    """What to give, with the address that another trigger of the file has."""
    for entry in scaled.prometheus_triggers:
        address = entry.given.get("serverAddress", "")
        if is_web_address(address):
            return f": give --prometheus {redacted(address)}, as trigger {entry.index} has, to try the query"
    return ": give --prometheus URL to try the query"


def _try(scaled: ScaledObject, triggers: list[tuple[int, Trigger]], options: CheckOptions) -> list[Asked]:
    if not triggers:
        return []
    from scaler.history.connection import Limits
    from scaler.history.sources import source_for

    source = source_for(options.access, Limits(attempts=1))
    try:
        return ask_queries(scaled, triggers, source, options.server_for_all)
    except HeadwayError as error:
        raise Usage(str(error)) from error
