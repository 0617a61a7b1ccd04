"""What the parts of a refresh that prove a forecast cost: scores, corrections, savings, past plans, anomalies.

    python benchmarks/refresh_parts.py [--quick] [--json FILE]

Seconds of processor time for 10,000 triggers, by the calls that do it, in the real refresh of benchmarks/refresh.py.
Scores and anomalies are looked at once a minute, so the mean is over ticks of two minutes, every 15 s as in service.
"""

import asyncio
import json
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from refresh import Loaded
from rich.console import Console
from rich.table import Table

from scaler.plan import memory
from scaler.refresh.accounts import Accounts
from scaler.refresh.anomalies import Anomalies
from scaler.refresh.doubting import Doubts
from scaler.refresh.past_plans import PlanNotes
from scaler.refresh.scoring import Scoring

OF = 10_000
METHODS = {
    "scores": (Scoring, "score"),
    "anomalies": (Anomalies, "watch"),
    "doubts": (Doubts, "note"),
    "savings": (Accounts, "count"),
    "past_plans": (PlanNotes, "note"),
}
MEMORIES = {"level_shift": "correction", "calibration": "correction", "lost_by": "skill"}
"""what the planner remembers, by name, and the part that it belongs to"""
EVERY_SECONDS = 15.0

spent: defaultdict[str, float] = defaultdict(float)


def timed(call: Callable[..., Any], part: str) -> Callable[..., Any]:
    """The same call; its processor time in this thread is added to the part."""

    def measured(*args: Any, **kwargs: Any) -> Any:
        began = time.thread_time()
        try:
            return call(*args, **kwargs)
        finally:
            spent[part] += time.thread_time() - began

    return measured


def time_the_parts() -> None:
    """From now on."""
    for part, (owner, name) in METHODS.items():
        setattr(owner, name, timed(getattr(owner, name), part))
    for kind in memory.REMEMBERED:
        if kind.name in MEMORIES:
            object.__setattr__(kind, "observe", timed(kind.observe, MEMORIES[kind.name]))  # it is frozen


async def measure(count: int, rounds: int) -> dict[str, float]:
    """Means by part, and `all`: the processor time of the whole refresh."""
    loaded = Loaded(count)
    await loaded.fill()
    await loaded.tick()
    found: list[dict[str, float]] = []
    for _ in range(rounds):
        await asyncio.sleep(EVERY_SECONDS - time.time() % EVERY_SECONDS)
        spent.clear()
        began = time.process_time()
        await loaded.tick()
        found.append({"all": time.process_time() - began, **spent})
    parts = dict.fromkeys(part for one in found for part in one)
    return {part: statistics.mean(one.get(part, 0.0) for one in found) * OF / count for part in parts}


def main(
    quick: Annotated[bool, typer.Option(help="1,000 triggers: some two minutes")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="write a flat summary of named figures")] = None,
) -> None:
    """Measure, print the table, and write the summary."""
    time_the_parts()
    means = asyncio.run(measure(1_000 if quick else OF, rounds=8))
    table = Table("part", f"s of processor time for {OF:,} triggers", "share of the refresh")
    for part, seconds in means.items():
        table.add_row(part, f"{seconds:.2f}", f"{seconds / means['all']:.1%}")
    Console().print(table)
    proof = means["scores"] + means["correction"]
    summary = {f"{part}_cpu_s": seconds for part, seconds in means.items()} | {
        "scores_and_correction_cpu_s": proof,
        "scores_and_correction_share": proof / means["all"],
    }
    if json_file is not None:
        json_file.write_text(json.dumps({"summary": summary}, indent=2) + "\n")


if __name__ == "__main__":
    typer.run(main)
