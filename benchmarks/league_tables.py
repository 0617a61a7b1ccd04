"""The league's tables: many cells as medians with quartiles, by start-up time and resolution of the recording."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from league_cell import ALONE, DEFAULT, LOSSES, median_of

from training.replay.policies import registry

MINUTE = 60
WORSE = 1.02
"""more than this ratio of cost at equal service (or of unserved demand at equal cost) counts as worse"""


@dataclass(frozen=True)
class Cell:
    """One series under one start-up time. is_seen: its bundle has learned from it."""

    file: str
    series: str
    step_seconds: int
    start_up: int
    is_seen: bool
    figures: Mapping[str, float]


def groups(cells: Sequence[Cell]) -> dict[str, list[Cell]]:
    """The cells by the resolution of their recording."""
    fine = [cell for cell in cells if cell.step_seconds <= MINUTE]
    coarse = [cell for cell in cells if cell.step_seconds > MINUTE]
    named = {"one-minute": fine, "coarser (replayed as steps)": coarse}
    return {name: some for name, some in named.items() if some}


def tables(cells: Sequence[Cell]) -> str:
    """One table per start-up time and group, as Markdown."""
    parts = []
    for group, some in groups(cells).items():
        for start_up in sorted({cell.start_up for cell in some}):
            figures = [cell.figures for cell in some if cell.start_up == start_up]
            parts.append(f"### Start-up {start_up} s, {len(figures)} {group} series\n\n{_table(figures)}")
    return "\n\n".join(parts)


def _table(figures: Sequence[Mapping[str, float]]) -> str:
    rows = ["| where reactive leaves unserved | " + " | ".join(LOSSES) + " |", "| --- |" + " --- |" * len(LOSSES)]
    for name, words in (
        ("u", "u: unserved demand, over reactive's at equal cost"),
        ("hours", "replica-hours, over reactive's at equal service"),
        ("short_minutes", "short minutes, over reactive's at equal cost"),
        ("scale_events", "scale events, over reactive's at equal cost"),
        ("gap closed", "gap to perfect foresight, closed share"),
    ):
        rows.append(f"| {words} | " + " | ".join(_spread(figures, f"{name} at {loss}") for loss in LOSSES) + " |")
    better = [_share(figures, f"u at {loss}") for loss in LOSSES]
    rows.append("| series better / worse by more than 2 % | " + " | ".join(better) + " |")
    rows += [
        "",
        "| untuned policy | unserved at equal cost | replica-hours at equal service | events | better / worse "
        "| delay p99, s | of reactive, s |",
    ]
    rows += ["| --- | --- | --- | --- | --- | --- | --- |"]
    for name in (DEFAULT, ALONE, *registry.RIVALS):
        if f"{name}: hours at its service" in figures[0]:
            kinds = ("unserved at its cost", "hours at its service", "scale events")
            cells = [_spread(figures, f"{name}: {kind}") for kind in kinds]
            share = _share(figures, f"{name}: unserved at its cost")
            delays = [_spread(figures, f"{name}: delay p99{whose}") for whose in ("", " of reactive")]
            rows.append(f"| {name} | {' | '.join(cells)} | {share} | {' | '.join(delays)} |")
    pairs = _spread(figures, "past days: unserved at its cost, over the bundle's alone")
    rows += ["", f"Past days in the forecasts: unserved at equal cost {pairs} times that of the bundle alone, paired."]
    return "\n".join(rows)


def _spread(figures: Sequence[Mapping[str, float]], name: str) -> str:
    middle, low, high, known = median_of(figures, name)
    if not known:
        return "-"
    few = "" if known == len(figures) else f", {known} series"
    return f"{middle:.2f} ({low:.2f} to {high:.2f}{few})"


def _share(figures: Sequence[Mapping[str, float]], name: str) -> str:
    known = [one[name] for one in figures if math.isfinite(one[name])]
    better, worse = sum(value < 1 / WORSE for value in known), sum(value > WORSE for value in known)
    return f"{better} / {worse} of {len(known)}"


def summary(cells: Sequence[Cell]) -> dict[str, float]:
    """Named figures, flat."""
    found: dict[str, float] = {}
    for group, some in groups(cells).items():
        for start_up in sorted({cell.start_up for cell in some}):
            figures = [cell.figures for cell in some if cell.start_up == start_up]
            for name in figures[0]:
                key = f"{group.split()[0]} {start_up}s {name}".replace(" ", "_").replace("%", "pct").replace(":", "")
                found[key] = median_of(figures, name)[0]
    return {name: value for name, value in found.items() if math.isfinite(value)}
