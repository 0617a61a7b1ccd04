"""`headway models demo`."""

import asyncio
import time
from pathlib import Path
from typing import Annotated

import typer

from scaler.commands import Exit, Usage
from training.commands.shared import command_errors, progress_bar

EXIT_TEXT = (
    "Exit status: 0 as it should be · 1 the gate refused the model, its forecast did not step down, or it was not "
    "rolled back · 2 wrong flags."
)


def demo(
    speed: Annotated[
        float, typer.Option(min=60, max=1200, help="How many times faster than real time its clock runs, at most.")
    ] = 300,
    work: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Keep model, bundles and database here.")] = None,
) -> None:
    """Watch the life of a model: trained, judged, promoted, worse after a change, without a say, and rolled back.

    The demand is generated, the rest is real: training, gate, registry, and the scaler on a fast clock. Takes some
    minutes, and needs neither a cluster nor Prometheus.
    """
    with command_errors("nothing was changed outside of its folder"):
        from tempfile import TemporaryDirectory

        if work is not None and work.exists() and (not work.is_dir() or any(work.iterdir())):
            raise Usage(f"--work {work}: must be a folder that is new or empty")
        with TemporaryDirectory(prefix="headway-models-demo-") as temporary:
            went_well = _carried_out(speed, work or Path(temporary))
        if not went_well:
            raise typer.Exit(Exit.FAULTS)


def _carried_out(speed: float, folder: Path) -> bool:
    from scaler.app.service import loop_factory
    from scaler.commands.demo.command import forget_environment
    from scaler.telemetry.logs import configure_logs
    from training.demo.asking import NAMESPACE, WORKLOAD
    from training.demo.jobs import DAY_SECONDS
    from training.demo.making import judged, refused, trained, written
    from training.demo.serving import served
    from training.demo.stage import SCALING, staged

    forget_environment()
    configure_logs("console", "error")
    begin = time.time() // DAY_SECONDS * DAY_SECONDS
    stage = staged(begin, folder, speed)
    stage.bundles.mkdir(parents=True)
    data = written(stage.trace, begin, folder / "demand.csv")
    with progress_bar() as (progress, _):
        bundle = trained(data, folder / "trained", progress)
        verdict = judged(bundle, data, f"{NAMESPACE}/{WORKLOAD}", SCALING, progress)
    typer.echo("\n".join(verdict.lines))
    if not verdict.passed:
        refused(bundle, str(stage.bundles), stage.data_dir, verdict)
        return False
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(served(stage, bundle, verdict, typer.echo)).went_well
