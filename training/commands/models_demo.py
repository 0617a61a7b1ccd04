"""`headway models demo`."""

import asyncio
import time
from pathlib import Path
from typing import Annotated

import typer

from scaler.commands import Exit, Usage
from training.commands.shared import command_errors, progress_bar

EXIT_TEXT = "Exit status: 0 as it should be · 1 the gate refused the model, or it was not rolled back · 2 wrong flags."

DAYS_LEARNED, DAYS_SERVED = 14, 1.5
CHANGES_AFTER_SECONDS = 3600.0
THRESHOLD, LEAD_SECONDS = 10.0, 180.0


def demo(
    speed: Annotated[
        float, typer.Option(min=60, max=1200, help="How many times faster than real time its clock runs.")
    ] = 600,
    work: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Keep model, bundles and database here.")] = None,
) -> None:
    """Watch the life of a model: trained, judged by the gate, promoted, worse after a change, and rolled back.

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
    from training.demo.jobs import DAY_SECONDS, QUERY, checkout_requests
    from training.demo.making import judged, released, trained, written
    from training.demo.serving import NAMESPACE, WORKLOAD, Stage, served
    from training.lifecycle.replaying import Scaling

    forget_environment()
    configure_logs("console", "error")
    begin = time.time() // 60 * 60
    changed_from, end = begin + CHANGES_AFTER_SECONDS, begin + DAYS_SERVED * DAY_SECONDS
    trace = checkout_requests(begin - DAYS_LEARNED * DAY_SECONDS, end, changed_from)
    bundles, data_dir = folder / "bundles", folder / "data"
    bundles.mkdir(parents=True, exist_ok=True)
    data = written(trace, begin, folder / "demand.csv")
    with progress_bar() as (progress, _):
        bundle = trained(data, folder / "trained", progress)
        scaling = Scaling(THRESHOLD, LEAD_SECONDS, QUERY)
        verdict = judged(bundle, data, f"{NAMESPACE}/{WORKLOAD}", scaling, progress)
    typer.echo("\n".join(verdict.lines))
    done = released(bundle, str(bundles), data_dir, verdict)
    if done is None:
        return False
    metadata = {"query": QUERY, "threshold": f"{THRESHOLD:g}", "leadTime": f"{LEAD_SECONDS:g}s"}
    stage = Stage(metadata, trace, data_dir, str(bundles), begin, changed_from, end, speed)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(served(stage, done.model, typer.echo))
