"""`python -m benchmarks.faults [--quick] [--only FAMILY] [--json FILE] [--write FILE]`"""

import json
import os
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from tests.servers.process import running
from tests.servers.prometheus import prometheus

from . import bundles, clocks, disks, keda, kills, leaders, neighbours, postgres_faults, prometheus_faults, redis_faults
from .demand import FRESH_SECONDS, TICK_SECONDS
from .kills import ROOT
from .record import METRONOME, Row
from .report import page, targets, totals
from .suite import Run

FAMILIES: dict[str, Callable[[Run], None]] = {
    "prometheus": prometheus_faults.run_family,
    "redis": redis_faults.run_family,
    "postgres": postgres_faults.run_family,
    "replicas": leaders.run_family,
    "clocks": clocks.run_family,
    "disk": disks.run_family,
    "kills": kills.run_family,
    "bundle": bundles.run_family,
    "keda": keda.run_family,
    "neighbours": neighbours.run_family,
}

LANES = (("redis", "bundle"), ("postgres", "keda"), ("kills", "replicas", "disk"), ("neighbours", "clocks"))
"""run side by side, because most of the time is waiting"""
ALONE = ("prometheus",)
"""so many callers that they would slow the others down"""

HALVED = """
import dataclasses
import scaler.registry as registry
whole = registry.decide
def halved(*given):
    made = whole(*given)
    return made if made.metric is None else dataclasses.replace(made, metric=made.metric / 2)
registry.decide = halved
"""


def main(
    quick: Annotated[bool, typer.Option(help="a few faults of each family")] = False,
    only: Annotated[list[str] | None, typer.Option(help=f"one of {', '.join(FAMILIES)}; repeatable")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="write a flat summary of named figures")] = None,
    write: Annotated[Path | None, typer.Option(help="write the matrix as Markdown")] = None,
    earlier: Annotated[
        list[Path] | None, typer.Option(help="--json of a run whose families are kept; without --only, nothing else")
    ] = None,
    halved: Annotated[bool, typer.Option(help="halve every answer: shows that the matrix would notice")] = False,
) -> None:
    """Inject faults and show what a bystander got. Ends with status 1 where a target was missed."""
    begun = time.monotonic()
    wanted = only or ([] if earlier else list(FAMILIES))
    if unknown := set(wanted) - set(FAMILIES):
        raise typer.BadParameter(f"--only {', '.join(unknown)}: known are {', '.join(FAMILIES)}")
    with tempfile.TemporaryDirectory(prefix="headway-faults-", ignore_cleanup_errors=True) as folder:
        place = Path(folder)
        if halved:
            _halve(place)
        with METRONOME, prometheus(place / "prometheus") as metrics:
            run = Run(place, metrics, quick, json_file, say=typer.echo)
            for name in ALONE:
                _family(run, name, wanted)
            _side_by_side(run, wanted)
    for file in earlier or ():
        _keep(run, json.loads(file.read_text()))
    figures = totals(run.rows, time.monotonic() - begun)
    for one in targets(figures, quick):
        typer.echo(f"{one.name}: {one.figure} ({one.wanted}){'' if one.met else ' MISSED'}")
    if write is not None:
        fresh = FRESH_SECONDS + TICK_SECONDS
        write.write_text(page(_in_order(run), run.left_out, datetime.now(UTC).date(), fresh, bool(earlier)))
    _write_json(run, figures)
    raise typer.Exit(0 if all(one.met for one in targets(figures)[1:]) and not run.broken else 1)


def _write_json(run: Run, figures: Mapping[str, float]) -> None:
    if run.json_file is not None:
        rows = [vars(row) for row in _in_order(run)]
        found = {"summary": figures, "rows": rows, "left_out": run.left_out, "broken": run.broken}
        run.json_file.write_text(json.dumps(found, indent=2) + "\n")


def _family(run: Run, name: str, wanted: Sequence[str]) -> None:
    if name not in wanted:
        return
    begun = time.monotonic()
    try:
        FAMILIES[name](run)
    except Exception:  # noqa: BLE001  the other families go on, and the page states it
        run.broken.append(name)
        run.left_out.append(f"a part of the family {name}: the run itself failed there")
        typer.echo(traceback.format_exc(), err=True)
    typer.echo(f"{name}: {time.monotonic() - begun:.0f} s")
    _write_json(run, totals(run.rows, time.monotonic() - begun))


def _side_by_side(run: Run, wanted: Sequence[str]) -> None:
    """Each lane in a process of its own, so that the callers of one do not delay those of another."""
    lanes = [names for lane in LANES if (names := [name for name in lane if name in wanted])]
    if len(lanes) < 2:
        for name in (name for names in lanes for name in names):
            _family(run, name, wanted)
        return
    with ExitStack() as stack:
        started = []
        for number, names in enumerate(lanes):
            file = run.folder / f"lane-{number}.json"
            chosen = [option for name in names for option in ("--only", name)]
            command = [sys.executable, "-m", "benchmarks.faults", *chosen, "--json", str(file)]
            quick = ["--quick"] if run.quick else []
            log = run.folder / f"lane-{number}.log"
            started.append((names, file, log, stack.enter_context(running([*command, *quick], log, ROOT))))
        for names, file, log, process in started:
            process.wait()
            run.say(log.read_text(errors="replace"))
            _take_over(run, names, file)


def _take_over(run: Run, names: Sequence[str], file: Path) -> None:
    """The rows of a lane; a lane without a result is stated."""
    if not file.exists():
        run.broken += names
        run.left_out.append(f"the families {', '.join(names)}: the run itself failed there")
        return
    _keep(run, json.loads(file.read_text()))


def _keep(run: Run, found: dict[str, Any]) -> None:
    """The rows of families that this run does not have."""
    own = {row.family for row in run.rows}
    rows = [Row(**{**row, "errors": Counter(row["errors"])}) for row in found["rows"]]
    run.rows += [row for row in rows if row.family not in own]
    run.left_out += found["left_out"]
    run.broken += found["broken"]


def _in_order(run: Run) -> list[Row]:
    order = list(dict.fromkeys(["Prometheus", "Redis", "PostgreSQL", *(row.family for row in run.rows)]))
    return sorted(run.rows, key=lambda row: order.index(row.family))


def _halve(place: Path) -> None:
    """Let every scaler process answer half of what it would."""
    (place / "sitecustomize.py").write_text(HALVED)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(place), os.environ.get("PYTHONPATH"))))


if __name__ == "__main__":
    typer.run(main)
