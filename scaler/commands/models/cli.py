"""The command line of `headway models`."""

from typing import Annotated

import typer

from scaler.commands.plain_help import PlainHelp
from scaler.commands.server_flags import with_index_flags
from scaler.settings import Settings

EXIT_TEXT = (
    "Exit status: 0 fine · 1 the index refuses it: an unknown or retired model, a champion that somebody else changed, "
    "nothing to roll back to, a bundle that cannot be read · 2 wrong flags or settings, or no database there · "
    "3 the database could not be reached."
)
Model = Annotated[str, typer.Argument(metavar="MODEL", help="NAME@VERSION.")]
Scope = Annotated[
    str, typer.Option(metavar="SCOPE", help="NAMESPACE or NAMESPACE/NAME; all triggers without it.", show_default=False)
]
Reason = Annotated[str, typer.Option(metavar="TEXT", help="Why; it is kept in the log.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print as JSON.")]

app = typer.Typer(
    no_args_is_help=True,
    help="Which versions of models exist, which of them serves whom, and what was decided. Reads and changes the "
    "database of the scaler, by the same settings: in its pod, no flag is needed.",
)


@app.command("list", cls=PlainHelp, epilog=EXIT_TEXT)
@with_index_flags
def list_models(
    settings: Settings,
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="Only versions of this name.", show_default=False)] = "",
    as_json: AsJson = False,
) -> None:
    """List the published versions, the newest first, and the scopes that each serves.

    --json keys: versions[name, version, place, manifest, published_at, retired_at, figures, notes],
    champions[scope, model, since, previous, probation_until].
    """
    from scaler.commands.models import command

    raise typer.Exit(command.list_models(settings, name, as_json))


@app.command(cls=PlainHelp, epilog=EXIT_TEXT)
@with_index_flags
def show(
    settings: Settings,
    model: Model,
    as_json: AsJson = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print as a page in Markdown.")] = False,
) -> None:
    """Show the card of a version: what it is, how and on what it was trained, its scores, and what was decided.

    --json keys: those of `list`, champion_of[scope, model, since, previous, probation_until], decisions[at, kind,
    model, by, reason, scope, previous, figures, number].
    """
    from scaler.commands.models import command

    raise typer.Exit(command.show(settings, model, as_json, markdown))


@app.command(cls=PlainHelp, epilog=EXIT_TEXT)
@with_index_flags
def promote(
    settings: Settings,
    model: Model,
    scope: Scope = "",
    probation: Annotated[
        str, typer.Option(metavar="DURATION", help="How long it is compared with what it replaces; 0s: not at all.")
    ] = "24h",
    reason: Reason = "",
) -> None:
    """Make a version the champion: it serves the triggers of the scope whose model is auto.

    Scalers take it up within a minute, without a restart. During its probation, what it replaces forecasts the same
    triggers in the shadow; where the new version falls behind, the scaler rolls it back by itself.
    """
    from scaler.commands.models import command
    from scaler.models import Kind

    seconds = command.seconds_of(probation)
    raise typer.Exit(command.promote(settings, model, scope, seconds, reason, Kind.PROMOTED))


@app.command(cls=PlainHelp, epilog=EXIT_TEXT)
@with_index_flags
def assign(
    settings: Settings,
    model: Model,
    scope: Annotated[str, typer.Argument(metavar="SCOPE", help="NAMESPACE or NAMESPACE/NAME.")],
    reason: Reason = "",
) -> None:
    """Make a version the champion of a namespace or of one ScaledObject, without probation: it stays until somebody
    changes it."""
    from scaler.commands.models import command
    from scaler.models import Kind

    raise typer.Exit(command.promote(settings, model, scope, 0.0, reason, Kind.ASSIGNED))


@app.command("roll-back", cls=PlainHelp, epilog=EXIT_TEXT)
@with_index_flags
def roll_back(settings: Settings, scope: Scope = "", reason: Reason = "") -> None:
    """Give a scope back to the version that its champion replaced; where there was none, to no champion."""
    from scaler.commands.models import command

    raise typer.Exit(command.roll_back(settings, scope, reason))


@app.command(cls=PlainHelp, epilog=EXIT_TEXT)
@with_index_flags
def retire(settings: Settings, model: Model, reason: Reason = "") -> None:
    """Take a version out of use. Its bundle stays; it cannot become a champion again. What serves is not retired."""
    from scaler.commands.models import command

    raise typer.Exit(command.retire(settings, model, reason))


@app.command("log", cls=PlainHelp, epilog=EXIT_TEXT)
@with_index_flags
def show_log(
    settings: Settings,
    limit: Annotated[int, typer.Option(help="How many of the newest decisions: 1 to 1000.")] = 30,
    scope: Annotated[str | None, typer.Option(metavar="SCOPE", help="Only of this scope.", show_default=False)] = None,
    model: Annotated[str | None, typer.Option(metavar="MODEL", help="Only of this version.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show what was decided, by whom and with which figures, the newest first; refusals as well.

    --json keys: decisions[at, kind, model, by, reason, scope, previous, figures, number].
    """
    from scaler.commands.models import command

    raise typer.Exit(command.log(settings, limit, scope, model, as_json))
