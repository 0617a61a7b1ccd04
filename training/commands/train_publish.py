"""`headway train publish`."""

from pathlib import Path
from typing import Annotated

import typer

from scaler.commands import Exit
from training.commands.shared import command_errors, fail

EXIT_TEXT = (
    "Exit status: 0 published; with --or-keep also where the bundle lost · 1 the bundle is faulty or lost, or the "
    "destination cannot be written: nothing has changed there · 2 wrong flags."
)


def publish(
    folder: Annotated[Path, typer.Argument(help="Folder that `headway train run` wrote.")],
    destination: Annotated[
        str,
        typer.Argument(
            help="What the scaler's setting `bundle` names: a folder, or an fsspec URL such as s3://models/headway. "
            "The bundle becomes a subfolder of it, with the bundle's name."
        ),
    ],
    force: Annotated[bool, typer.Option("--force", help="Publish a bundle that lost its comparison, too.")] = False,
    or_keep: Annotated[
        bool,
        typer.Option("--or-keep", help="For schedules: a bundle that lost is not an error; what is published stays."),
    ] = False,
) -> None:
    """Put a trained bundle where a scaler reads its bundles; a running scaler uses it within a minute.

    A bundle is refused when it does not match its specification, and when a naive model or the general bundle had a
    smaller loss in its own run.
    """
    with command_errors("nothing was published"):
        from training.experiment.publish import Loses, PublishFailed
        from training.experiment.publish import publish as carry_out

        try:
            published = carry_out(folder, destination, force)
        except Loses as refusal:
            if not or_keep:
                fail(f"not published: {refusal}", Exit.FAULTS)
            typer.echo(f"not published: {refusal}")
            return
        except PublishFailed as failure:
            fail(str(failure), Exit.FAULTS)
        typer.echo(f"bundle {published.manifest.model} in {published.place}")
