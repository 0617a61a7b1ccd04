"""`headway data pull`."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from scaler.commands import Exit, Usage
from scaler.commands.http_access import Access, read_access
from training.commands.shared import access_to, command_errors, fail, progress_bar, seconds_of

EXIT_TEXT = (
    "Exit status: 0 fine · 1 some series are not in the file (with --allow-missing: none is), or no place for it · 2 "
    "wrong flags or settings · 3 the scaler or Prometheus could not be reached · 130 interrupted, what arrived is kept."
)


def pull(
    settings: Any,
    out: Annotated[Path, typer.Option(metavar="FILE.parquet", help="Where the demand goes.")],
    query: Annotated[
        list[str] | None, typer.Option(metavar="NAME=PROMQL", help="A series and its query; repeatable.")
    ] = None,
    triggers: Annotated[
        Path | None, typer.Option(metavar="FILE.yaml", help="ScaledObjects whose triggers are pulled.")
    ] = None,
    scaler: Annotated[
        str, typer.Option(metavar="URL", help="HTTP address of a running scaler; pulls the demand of all its triggers.")
    ] = "",
    scaler_token_file: Annotated[
        Path | None,
        typer.Option(envvar="HEADWAY_TOKEN_FILE", metavar="FILE", help="The scaler's read token, where it has one."),
    ] = None,
    scaler_ca_cert: Annotated[
        Path | None, typer.Option(metavar="FILE", help="PEM of the CA to trust at a scaler with https://.")
    ] = None,
    scaler_client_cert: Annotated[
        Path | None, typer.Option(metavar="FILE", help="PEM certificate for a scaler with http-tls: mtls.")
    ] = None,
    scaler_client_key: Annotated[Path | None, typer.Option(metavar="FILE", help="Its PEM key.")] = None,
    since: Annotated[str, typer.Option(metavar="DURATION", help="How far back, as 14d or 36h.")] = "14d",
    step: Annotated[str, typer.Option(metavar="DURATION", help="Step between the values.")] = "60s",
    unit: Annotated[str, typer.Option(help="Unit of the values, kept in the file.")] = "",
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Exit with 0 where some series are left out, but one arrived.")
    ] = False,
) -> None:
    """Pull recorded demand from Prometheus into a file to train on.

    At least one of --query, --triggers and --scaler is required. A series is named namespace/name, like its trigger,
    so that a model fitted to it serves that trigger. Name the series of --query in the same way. To continue a pull
    that was interrupted, run the same command again.

    Access to Prometheus is configured as for headway serve: by these flags, their environment variables, or --config.
    """
    with command_errors("what arrived is kept: the same command goes on from there"):
        from scaler.telemetry.logs import configure_logs
        from training.data.pull import pull as fetch

        configure_logs("console", "error")
        step_seconds, seconds = seconds_of("--step", step), seconds_of("--since", since)
        if out.suffix != ".parquet":
            raise Usage(f"--out {str(out)!r}: must end in .parquet")
        files = (scaler_token_file, scaler_ca_cert, scaler_client_cert, scaler_client_key)
        at_scaler = read_access(*files, prefix="--scaler-")
        wanted, faulty = _wanted(settings, query or [], triggers, scaler, at_scaler)
        access = access_to(settings, wanted)
        until = time.time() // step_seconds * step_seconds
        with progress_bar() as (progress, _):
            pulled = fetch(
                triggers=wanted,
                since=until - seconds,
                until=until,
                target=out,
                step_seconds=step_seconds,
                server=settings.prometheus,
                unit=unit,
                access=access,
                progress=progress,
            )
    left_out = [*faulty, *pulled.refused]
    _print_pulled(pulled, left_out)
    if left_out and not (allow_missing and pulled.series):
        raise typer.Exit(Exit.FAULTS)


def _print_pulled(pulled: Any, left_out: list[Any]) -> None:
    """What is in the file and what is not."""
    for refused in left_out:
        typer.echo(f"left out: {refused}", err=True)
    for note in pulled.notes:
        typer.echo(f"note: {note}", err=True)
    if pulled.series:
        typer.echo(f"{len(pulled.series)} series in {pulled.path}")
    else:
        typer.echo(f"headway: no series arrived; {pulled.path} was not written", err=True)


def _wanted(
    settings: Any, queries: list[str], triggers: Path | None, scaler: str, at_scaler: Access
) -> tuple[list[Any], list[Any]]:
    """(what to pull, what cannot be pulled). Raises Usage; exits when the scaler cannot be reached."""
    from training.data.pull import watched
    from training.data.pull_targets import of_manifest, of_queries
    from training.errors import DataError

    if not (queries or triggers or scaler):
        raise Usage("nothing to pull: give --query NAME=PROMQL, --triggers FILE.yaml or --scaler URL")
    wanted = of_queries(queries)
    faulty: list[Any] = []
    if triggers:
        found, faulty = of_manifest(triggers, settings.prometheus)
        wanted += found
    if scaler:
        try:
            address = scaler if "://" in scaler else f"http://{scaler}"
            found, hidden = watched(address, settings.prometheus, headers=at_scaler.headers, trust=at_scaler.trust)
            wanted, faulty = [*wanted, *found], [*faulty, *hidden]
        except DataError as error:
            fail(str(error), Exit.UNREACHABLE)
    if not wanted:
        for refused in faulty:
            typer.echo(f"left out: {refused}", err=True)
        fail("nothing is left to pull" if faulty else "the scaler has no triggers yet", Exit.FAULTS)
    if not settings.prometheus and (without := [one.name for one in wanted if not one.server]):
        raise Usage(f"{without[0]}: no server is given; use --prometheus URL")
    return wanted, faulty
