"""`python -m benchmarks.faults [--quick] [--only FAMILY] [--json FILE] [--write docs/faults.md]`"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from tests.servers.prometheus import prometheus

from . import prometheus_faults
from .suite import Run

FAMILIES: dict[str, Callable[[Run], None]] = {
    "prometheus": prometheus_faults.run_family,
}


def main(
    quick: Annotated[bool, typer.Option(help="a few faults of each family")] = False,
    only: Annotated[list[str] | None, typer.Option(help=f"one of {', '.join(FAMILIES)}; repeatable")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="write a flat summary of named figures")] = None,
    write: Annotated[Path | None, typer.Option(help="write the matrix as Markdown")] = None,
) -> None:
    """Inject faults and show what a bystander got."""
    with tempfile.TemporaryDirectory(prefix="headway-faults-", ignore_cleanup_errors=True) as folder:
        place = Path(folder)
        with prometheus(place / "prometheus") as metrics:
            run = Run(place, metrics, quick, say=typer.echo)
            for name in only or FAMILIES:
                begun = time.monotonic()
                FAMILIES[name](run)
                typer.echo(f"{name}: {time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    typer.run(main)
