"""`headway models publish`."""

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer

from scaler.commands import Exit, Usage
from training.commands.shared import command_errors, fail, progress_bar

EXIT_TEXT = (
    "Exit status: 0 published · 1 the gate refused it, or the bundle or its place cannot be used · 2 wrong flags or "
    "settings · 3 the database could not be reached."
)


def publish(
    settings: Any,
    folder: Annotated[Path, typer.Argument(help="Folder that `headway train run` wrote.")],
    data: Annotated[
        list[Path] | None, typer.Option(help="Recorded demand that it is judged on; the newest of it is used.")
    ] = None,
    scope: Annotated[
        str, typer.Option(metavar="SCOPE", help="Whose champion it is compared with: NAMESPACE or NAMESPACE/NAME.")
    ] = "",
    timezone: Annotated[str, typer.Option(help="IANA zone of the days and weeks.")] = "UTC",
    force: Annotated[bool, typer.Option("--force", help="Publish without the gate; the log says so.")] = False,
    jobs: Annotated[int, typer.Option(min=1, help="Series replayed side by side.")] = 1,
) -> None:
    """Let the gate compare a bundle with the champion, and publish it as a version; `headway models promote` is next.

    It is put at NAME@VERSION below the setting `bundle`, then into the index. The same command may be repeated.
    """
    with command_errors("the same command may be repeated"):
        from scaler.errors import StoreUnavailable
        from scaler.models import is_scope

        if not settings.bundle:
            raise Usage("bundle: must be set: the folder or URL that the scaler reads, where versions are put")
        if not is_scope(scope):
            raise Usage(f"--scope {scope!r}: must be NAMESPACE or NAMESPACE/NAME")
        if not data and not force:
            raise Usage("--data: give recorded demand to judge it on, or --force to publish without the gate")
        try:
            with progress_bar() as (progress, _):
                text, is_published = asyncio.run(
                    _carried_out(settings, folder, tuple(data or ()), scope, timezone, force, jobs, progress)
                )
        except StoreUnavailable as error:
            fail(str(error), Exit.UNREACHABLE)
        typer.echo(text)
        if not is_published:
            raise typer.Exit(Exit.FAULTS)


async def _carried_out(
    settings: Any,
    folder: Path,
    data: tuple[Path, ...],
    scope: str,
    timezone: str,
    force: bool,
    jobs: int,
    progress: Any,
) -> tuple[str, bool]:
    """(what to print, whether it was published)."""
    from tempfile import TemporaryDirectory

    from scaler.store.model_index import open_model_index
    from training.lifecycle.gate import judge
    from training.lifecycle.measuring import Trial, measured
    from training.lifecycle.publishing import Release, folder_of, publish, refuse, serving

    url = settings.database.get_secret_value() if settings.database else None
    index = open_model_index(url, settings.data_dir, settings.installation)
    release = Release(folder, settings.bundle, scope, promotes=False)
    try:
        verdict = None
        if not force:
            _, version = await serving(index, scope)
            with TemporaryDirectory(prefix="headway-champion-") as temporary:
                champion = folder_of(version, settings.bundle, Path(temporary))
                trial = Trial(folder, champion, data, timezone, jobs=jobs)
                verdict = judge(await asyncio.to_thread(measured, trial, progress))
        lines = verdict.lines if verdict else []
        if verdict and not verdict.passed:
            await refuse(index, release, verdict)
            return "\n".join([*lines, f"refused: {verdict.measured.challenger}"]), False
        published = await publish(index, release, verdict, None)
        return "\n".join([*lines, f"published: {published.model} in {published.place}"]), True
    finally:
        await index.close()
