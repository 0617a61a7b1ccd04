"""The matrix as Markdown, and as a flat summary of named figures."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from .record import Row

WANTED_FAULTS = 500

HEAD = """# Faults

<!-- Written by `make faults` (benchmarks/faults): run it again instead of editing. -->

What a bystander gets while faults are injected into real servers and processes. Measured on {day}
{runs}with `make faults` on two cores, which several families of faults and other work kept busy:
waits are upper bounds. How long a bystander waits beside hostile neighbours alone is measured by
`benchmarks/faults/bystander.py`.

A bystander is a workload that did nothing wrong. It is called as KEDA calls: GetMetricSpec, GetMetrics and IsActive,
from each replica in turn, up to five times a second. Its demand is a staircase that is known at every moment: from 1000
to 2200 and back in about two minutes. It has two triggers: a reactive one answers its observation, the other a plan.
Both have `maxStaleness: 15s`, and the replicas refresh every 5 s.

The **reactive need** is the least that a reactive trigger can have read: the lowest demand of the last {fresh:.1f} s.
This is how long an observation counts here: `maxStaleness`, and one and a half refresh intervals, because plans are
judged at ticks of the refresh. An answer below it would take replicas away that a reactive trigger would have kept.

{summary}

{left_out}## The matrix

* **times**: how often the fault was injected. In most rows the first injection lasts longer than an observation is
  fresh, or than a lease; the others last seconds.
* **errors**: failed calls by gRPC status. `UNREACHABLE` is not one of gRPC: no connection, or no answer within 10 s.
* **without**: the longest time without a good answer, in seconds: of the trigger with a plan / of the reactive one. A
  good answer is a number that is not below the reactive need. The reactive trigger has none when its source is down for
  longer than `maxStaleness`; it then gets `UNAVAILABLE`, and KEDA's `fallback` acts.
* **wait**: the longest wait for one call. Calls were given up after 10 s; KEDA would wait longer.
* **below**: answers below the reactive need while an observation is fresh, and the worst of them.
* **forecast alone**: the worst answer below the reactive need from a forecast whose source was down.
* **zeros**: answers of 0, and "inactive", while there was demand.
* **rows lost**: acknowledged rows of the store that were missing afterwards, of those that were compared.
* **recovery**: from the end of a fault to the first answer after which all were good.
"""

TAIL = """## What it does not show

* A server that answers a wrong number in the right form is believed, as a reactive trigger would believe it.
* KEDA and the HPA are models of their source code. Headway, Prometheus, Redis and PostgreSQL are real.
* Without `redis-signing-key-file`, who can write to Redis and knows the layout of records can set plausible demand.
* `kill -9` ends processes, not machines: what a power cut leaves of a disk is up to the disk.
"""

COLUMNS = (
    "fault", "times", "answers", "errors", "without, s", "wait, s", "below", "forecast alone", "zeros", "rows lost",
    "recovery, s",
)  # fmt: skip


@dataclass(frozen=True)
class Target:
    """One figure of the whole run, and what it should be."""

    name: str
    figure: str
    wanted: str
    met: bool


def totals(rows: Sequence[Row], seconds: float) -> dict[str, float]:
    """Named figures of the whole run."""
    return {
        "injected": sum(row.injected for row in rows),
        "kinds": len(rows),
        "answers": sum(row.answers for row in rows),
        "errors": sum(sum(row.errors.values()) for row in rows),
        "below_need": sum(row.below_need for row in rows),
        "worst_below_share": max((row.worst_below for row in rows), default=0.0),
        "forecast_alone_below_share": max((row.forecast_below for row in rows), default=0.0),
        "made_up_zeros": sum(row.made_up_zeros + row.inactive for row in rows),
        "checked_rows": sum(row.checked_rows for row in rows),
        "lost_rows": sum(row.lost_rows for row in rows),
        "longest_wait_seconds": max((row.longest_wait_seconds for row in rows), default=0.0),
        "longest_without_answer_seconds": max((row.longest_without_seconds for row in rows), default=0.0),
        "measuring_late_seconds": max((row.measuring_late_seconds for row in rows), default=0.0),
        "longest_recovery_seconds": max((row.recovery_seconds for row in rows), default=0.0),
        "run_seconds": seconds,
    }


def targets(figures: dict[str, float], quick: bool = False) -> list[Target]:
    """What the run was to show. quick: few faults are meant."""
    wanted = 1 if quick else WANTED_FAULTS
    zero = {
        "answers below the reactive need while an observation is fresh": "below_need",
        "made-up zeros": "made_up_zeros",
        "acknowledged rows lost": "lost_rows",
    }
    return [
        Target("faults injected", f"{figures['injected']:.0f}", f"at least {wanted}", figures["injected"] >= wanted),
        *(Target(text, f"{figures[name]:.0f}", "0", figures[name] == 0) for text, name in zero.items()),
    ]


def page(rows: Sequence[Row], left_out: Sequence[str], day: date, fresh: float, merged: bool = False) -> str:
    """The whole page. `merged`: the families come from several runs of this day."""
    figures = totals(rows, 0)
    parts = [
        HEAD.format(
            runs="in several runs " if merged else "",
            day=day.isoformat(),
            fresh=fresh,
            summary="\n".join(_summary(figures)),
            left_out=_left_out(left_out),
        )
    ]
    families = dict.fromkeys(row.family for row in rows)
    parts += ["\n".join(_family(name, [row for row in rows if row.family == name])) for name in families]
    parts.append(TAIL)
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _left_out(left_out: Sequence[str]) -> str:
    """Beside the figures, which say nothing about it."""
    if not left_out:
        return ""
    return (
        "\n".join(
            ["**Left out of this run**, and of the figures:", "", *(f"* {one}" for one in dict.fromkeys(left_out))]
        )
        + "\n\n"
    )


def _summary(figures: dict[str, float]) -> Iterator[str]:
    yield "| figure | target | result |"
    yield "| --- | --- | --- |"
    for one in targets(figures):
        yield f"| {one.name} | {one.wanted} | {one.figure if one.met else f'**{one.figure}** (missed)'} |"
    yield f"| answers that were compared | | {figures['answers']:.0f} |"
    yield f"| rows that were compared | | {figures['checked_rows']:.0f} |"
    yield f"| longest wait for one call | | {figures['longest_wait_seconds']:.1f} s |"
    yield f"| longest delay of the measuring process itself | | {figures['measuring_late_seconds']:.1f} s |"
    yield f"| longest recovery | | {figures['longest_recovery_seconds']:.1f} s |"


def _family(family: str, rows: Sequence[Row]) -> Iterator[str]:
    yield f"### {family}"
    yield ""
    yield "| " + " | ".join(COLUMNS) + " |"
    yield "|" + " --- |" * len(COLUMNS)
    for row in rows:
        yield "| " + " | ".join(_cells(row)) + " |"
    notes = [f"* {row.fault}: {row.note}." for row in rows if row.note]
    wrong = [f"* {row.fault}: {text}." for row in rows for text in row.examples]
    if notes:
        yield from ("", *notes)
    if wrong:
        yield from ("", "What was wrong with some answers:", "", *wrong)


def _cells(row: Row) -> Iterator[str]:
    yield row.fault
    yield str(row.injected or "")
    yield str(row.answers or "")
    yield _errors(row.errors)
    called = bool(row.answers or row.errors)
    yield f"{row.longest_without_seconds:.1f} / {row.longest_without_reactive_seconds:.1f}" if called else ""
    yield f"{row.longest_wait_seconds:.2f}" if called else ""
    yield f"**{row.below_need}, {row.worst_below:.0%}**" if row.below_need else "0"
    yield f"{row.forecast_below:.0%}" if row.forecast_below else ""
    zeros = row.made_up_zeros + row.inactive
    yield f"**{zeros}**" if zeros else "0"
    yield (f"**{row.lost_rows}**" if row.lost_rows else "0") + f" of {row.checked_rows}" if row.checked_rows else ""
    yield f"{row.recovery_seconds:.1f}" if called else ""


def _errors(errors: Counter[str]) -> str:
    """By status, over all three calls."""
    by_status: Counter[str] = Counter()
    for name, count in errors.items():
        by_status[name.rpartition(" ")[2]] += count
    return ", ".join(f"{name} {count}" for name, count in by_status.most_common())
