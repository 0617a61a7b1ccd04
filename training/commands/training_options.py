"""What `train run` and `train compare` share: options, checks of them, and lines about the data."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from scaler.commands import Usage
from training.commands.shared import seconds_of

MOST_FINDINGS = 10
"""series whose findings a command prints; the record of the run has all"""

Data = Annotated[list[Path], typer.Option("--data", help="A file of recorded demand; several may be given.")]
Step = Annotated[str | None, typer.Option(help="Grid of the model, as 60s or 5m. Default: the step of most series.")]
Seed = Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Equal seeds give equal models.")]
Threads = Annotated[int, typer.Option(min=1, help="Threads of a fit, and series fitted at a time.")]
Zone = Annotated[str, typer.Option(help="IANA zone of the recorded systems, for days and weeks.")]
Country = Annotated[
    str,
    typer.Option(help="Public holidays that Prophet learns: ISO code of a country, or a part of it, as DE or DE-BY."),
]
TrainingWindows = Annotated[
    int | None, typer.Option(min=10, help="Windows of each series to learn from; at most 60,000 in all.")
]


def require_recipes(recipes: Any) -> None:
    from training.recipes import RECIPES

    if not recipes:
        raise Usage("--recipes: must name at least one")
    for recipe in recipes:
        if recipe not in RECIPES:
            raise Usage(f"recipe {recipe!r}: must be one of {', '.join(RECIPES)}")


def step_of(text: str | None) -> int | None:
    return None if text is None else seconds_of("--step", text)


def print_findings(cleaned: Iterable[Any], where: str) -> None:
    """A line for each series with findings of cleaning: counts by kind and the first finding; a total at the end."""
    found = [one for one in cleaned if one.report]
    for one in found[:MOST_FINDINGS]:
        kinds = Counter(finding.kind for finding in one.report)
        counts = ", ".join(f"{kind} {count} times" if count > 1 else kind for kind, count in kinds.items())
        first = f"{counts}; the first: " if len(one.report) > 1 else ""
        typer.echo(f"found: {one.series.system}: series {one.series.name!r}: {first}{one.report[0]}", err=True)
    if len(found) > MOST_FINDINGS:
        typer.echo(f"found: something in {len(found) - MOST_FINDINGS} more series; {where}", err=True)


def count_unjudged(comparison: Any, refused: Iterable[Any]) -> int:
    """How many series have no score."""
    others = {f"{one.system}/{one.name}" for one in refused} - set(comparison.scores["series"])
    return len(others) + len(comparison.left_out)
