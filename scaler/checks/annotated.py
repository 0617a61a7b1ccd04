"""Rules on annotations of Headway: the recommended way to connect in docs/keda.md."""

from collections.abc import Iterator

import yaml

from scaler.checks.finding import Context, Finding, Level
from scaler.discovery.annotated import ANNOTATIONS, FORECAST, PREFIX, Annotated, annotation_faults, read_annotated
from scaler.manifest import ScaledObject, TriggerEntry
from scaler.trigger.planned import wrapped
from scaler.trigger.values import shorten

_CONSEQUENCE = "the object is not forecast: KEDA reads the demand itself"
_HOW_KEDA_PROVES_ITSELF = ("authModes", "customHeaders")


def annotations(scaled: ScaledObject, context: Context) -> Iterator[Finding]:
    """Every fault for which discovery would refuse the object."""
    if scaled.kind != "ScaledObject":
        yield from _unused(scaled, "ScaledJobs are not discovered", "Remove it.")
        return
    found = read_annotated(scaled, context.trigger_rules)
    if found is None:
        yield from _without_forecast(scaled)
    elif not isinstance(found, Annotated):
        for placed in found:
            fix = _fix(placed.fault.rule, str(placed.path[-1]))
            yield Finding(Level.ERROR, "annotation", f"{placed.fault} ({_CONSEQUENCE}).", fix, placed.path)


def not_wrapped(scaled: ScaledObject, context: Context) -> Iterator[Finding]:
    found = read_annotated(scaled, context.trigger_rules)
    if isinstance(found, Annotated) and not found.is_wrapped:
        yield Finding(
            Level.ADVICE,
            "not-wrapped",
            "The query does not read the plan: Headway forecasts this object, and the forecast changes no replicas.",
            "Once `headway why` shows plans that you trust, write this query, and keep the rest:",
            (*found.entry.path, "metadata", "query"),
            wrapped_query(scaled, found.entry),
        )


def server_credentials(scaled: ScaledObject, context: Context) -> Iterator[Finding]:
    found = read_annotated(scaled, context.trigger_rules)
    if not isinstance(found, Annotated):
        return
    given = [key for key in _HOW_KEDA_PROVES_ITSELF if key in found.entry.given]
    given += ["authenticationRef"] if found.entry.fields.get("authenticationRef") else []
    if given:
        yield Finding(
            Level.ADVICE,
            "server-credentials",
            f"{' and '.join(given)}: how KEDA authenticates to the server. Headway reads no Secrets: it uses the "
            "credentials and the tenant that its own settings have for that server.",
            "Make sure that the settings have them (`servers:` in docs/settings.md).",
            found.entry.path,
        )


def wrapped_query(scaled: ScaledObject, entry: TriggerEntry) -> str:
    """The line of YAML by which KEDA reads the plan, and the demand itself where there is none."""
    query = wrapped(entry.given.get("query", ""), scaled.namespace, scaled.name)
    style = "|" if "\n" in query else None
    value = yaml.safe_dump(query, default_style=style, width=10**6, allow_unicode=True).removesuffix("...\n")
    return f"query: {value}".rstrip()


def _without_forecast(scaled: ScaledObject) -> Iterator[Finding]:
    faulty = list(annotation_faults(scaled.annotations))
    for placed in faulty:
        fix = _fix(placed.fault.rule, str(placed.path[-1]))
        yield Finding(Level.ERROR, "annotation", str(placed.fault), fix, placed.path)
    if FORECAST not in scaled.annotations:
        yield from _unused(scaled, f"without {FORECAST} it has no effect", f'Add {FORECAST}: "true", or remove it.')


def _unused(scaled: ScaledObject, why: str, fix: str) -> Iterator[Finding]:
    for name in sorted(str(name) for name in scaled.annotations if str(name).startswith(PREFIX)):
        text = f"{shorten(name)}: {why}."
        yield Finding(Level.WARNING, "annotation", text, fix, (*ANNOTATIONS, name))


def _fix(rule: str, key: str) -> str:
    _, _, near = rule.partition("did you mean ")
    if near:
        return f"Write `{near.removesuffix('?')}` instead of `{shorten(key)}`."
    if rule.startswith("is required"):
        return f"Add `{key}`."
    return "Remove it." if rule.startswith(("is no annotation", "is refused")) else "Write it as the rule says."
