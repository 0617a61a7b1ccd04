"""Models of one's own as autoscalers: Headway's default trigger on the forecasts of several bundles.

    python benchmarks/league_models.py --traces FOLDER [--files NAME ...] [--recipes NAME ...] [--learned DAYS]
                                       [--days DAYS] [--cut DAYS ...] [--bundles FOLDER] [--quick] [--json FILE]

A series ends `--cut` days before its record does, and has only the `--learned` days before the replayed ones as its
history. On these days each recipe is trained, on all series of a file together, as the CronJob of the chart does it.
Then the last `--days` are replayed: a forecast and a plan every 15 s, the capacity of a replica is mean demand / 20.
Every bundle is replayed alone, and with past days mixed in as the scaler does it. The general bundle is the first.

u: unserved demand over that of a reactive trigger at the same replica-hours, from a front over 41 targets. Hours: over
those of perfect foresight. Events: over those of that reactive trigger. Over all: the geometric mean over the series of
a system, then over the systems. "kept": whether `headway train publish` would publish the bundle, which is refused
where it lost to a naive model or to the general bundle on the newest tenth of its own data.

--bundles: a folder of bundles general-without-SYSTEM (python -m training.shipped.general TRACES --keep FOLDER). A file
that has one is judged with it, and it is the general bundle inside a blend. --quick: one series of each file, one day,
and a forecast every five minutes; its figures are a rough check only.
"""

import argparse
import hashlib
import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from league import bundle_folder, league_forecasts
from league_cell import at_cost, front_named, in_fine_units, points_of, setting_of, span_of
from rpc_latency import machine

from scaler.forecast.onnx_forecaster import OnnxForecaster, load_forecaster
from scaler.plan.hpa import SYNC_SECONDS
from training.data.load import DAY_SECONDS, Series, load, system_of
from training.experiment.publish import losses, record_in
from training.experiment.train import Order, run
from training.recipes import RECIPES
from training.replay.policies.headway import trigger_of
from training.replay.simulation.demand import Demand
from training.replay.simulation.scenario import Scenario
from training.replay.verdict import candidates
from training.replay.verdict.candidates import Entry, HeadwayEntry, OracleEntry, run_all
from training.replay.verdict.pareto import LEAST_UNSERVED
from training.replay.verdict.score import Price

GENERAL = "general"
PAST = ", past days"
FIGURES = ("u", "unserved", "hours", "events")


@dataclass(frozen=True)
class Row:
    """One bundle on one series. unserved: share of demand. kept: whether the bundle would be published."""

    system: str
    series: str
    cut: float
    policy: str
    u: float
    unserved: float
    hours: float
    events: float
    past_share: float
    kept: bool


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    rows = []
    for path in options.paths:
        for cut in options.cut:
            for row in judged(path, cut, options):
                rows.append(row)
                print(f"{row.series} -{cut:g} d  {row.policy}: u {row.u:.3f}", file=sys.stderr, flush=True)
            if options.json and rows:
                _write(options, rows)
    if not rows:
        print("error: no series by the minute was chosen: see --files and --names", file=sys.stderr)
        return 2
    print(machine(), tables(rows), sep="\n\n")
    return 0


def _write(options: argparse.Namespace, rows: Sequence[Row]) -> None:
    content = {"machine": machine(), "summary": summary(rows), "rows": [asdict(row) for row in rows]}
    options.json.write_text(json.dumps(content, indent=2) + "\n")


def judged(path: Path, cut: float, options: argparse.Namespace) -> Iterator[Row]:
    """Every bundle on every chosen series of a file."""
    recorded = [
        shortened(in_fine_units(one), cut, options.learned + options.days)
        for one in load([path]).series
        if one.step_seconds == 60
    ]
    general = bundle_folder(system_of(path), options.bundles)
    folders = {GENERAL: general}
    for recipe in options.recipes:
        folders[recipe] = trained(recipe, recorded, general, options)
    kept = {name: name == GENERAL or not losses(record_in(folder)) for name, folder in folders.items()}
    forecasters = {name: load_forecaster(folder) for name, folder in folders.items()}
    chosen = [one for one in recorded if any(part in one.name for part in options.names or [""])]
    for series in chosen[: options.series]:
        for policy, figures in replayed(series, forecasters, options).items():
            yield Row(series.system, series.name, cut, policy, **figures, kept=kept[policy.removesuffix(PAST)])


def shortened(series: Series, cut: float, days: float) -> Series:
    """Of the record, the last `days` before the last `cut` days; as much of them as there is."""
    per_day = DAY_SECONDS // series.step_seconds
    end = len(series.values) - round(cut * per_day)
    begin = max(0, end - round(days * per_day))
    return replace(
        series, values=series.values[begin:end], start=series.start + begin * series.step_seconds, timezone="UTC"
    )


def trained(recipe: str, recorded: Sequence[Series], general: Path, options: argparse.Namespace) -> Path:
    """The folder of the recipe's bundle, trained on what lies before the replayed days; kept between runs."""
    before = [replace(one, values=one.values[: _border(one, options.days)]) for one in recorded]
    digest = hashlib.sha256((general / "manifest.json").read_bytes() + recipe.encode())
    for one in before:
        digest.update(one.values.tobytes())
    folder = options.cache / "bundles" / digest.hexdigest()[:16]
    if not (folder / recipe).is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        data = folder / f"{recorded[0].system}.csv"
        pd.concat([_rows(one) for one in before]).to_csv(data, index=False)
        run(Order(recipe, (data,), folder / recipe, threads=options.jobs, general=general))
    return Path(folder / recipe)


def _border(series: Series, days: float) -> int:
    """Index of the first value that is replayed."""
    return int((span_of(series, days).begin - series.start) // series.step_seconds)


def _rows(series: Series) -> pd.DataFrame:
    moments = pd.to_datetime(series.times, unit="s", utc=True)
    return pd.DataFrame({"series": series.name, "timestamp": moments, "value": series.values})


def replayed(
    series: Series, forecasters: Mapping[str, OnnxForecaster], options: argparse.Namespace
) -> dict[str, dict[str, float]]:
    """Figures of a row by policy: every bundle alone and with past days."""
    setting, span = setting_of(series, options.start_up), span_of(series, options.days)
    scenario, trigger = Scenario(Demand(series), setting, span), trigger_of(setting, "demand", series.timezone)
    points: dict[str, dict[str, float]] = {}
    shares: dict[str, float] = {}
    for name, forecaster in forecasters.items():
        both = league_forecasts(series, span, setting, forecaster, options)
        for policy, forecasts in ((name, both.alone), (name + PAST, both.mixed)):
            points |= points_of(run_all(scenario, forecasts, [HeadwayEntry(trigger, policy)], Price()))
            share_IE = forecasts.past_shares_IE
            shares[policy] = 0.0 if share_IE is None else float(share_IE.sum(axis=1).mean())
    rivals: list[Entry] = [OracleEntry(), *candidates.reactive_front(setting)]
    rivals_points = points_of(run_all(scenario, both.alone, rivals, Price(), options.jobs))
    return {name: _figures(points[name], rivals_points) | {"past_share": shares[name]} for name in shares}


def _figures(point: Mapping[str, float], rivals: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    cost = point["replica_hours"]
    reactive = front_named(rivals, "reactive at ").unserved_at(cost)
    return {
        "u": max(point["unserved_share"], LEAST_UNSERVED) / reactive,
        "unserved": point["unserved_share"],
        "hours": cost / rivals["oracle"]["replica_hours"],
        "events": point["scale_events"] / at_cost(rivals, "reactive at ", "scale_events", cost),
    }


def tables(rows: Sequence[Row]) -> str:
    """Markdown: u by series, then the means of all figures."""
    policies = list(dict.fromkeys(row.policy for row in rows))
    lines = [f"| series | days before the end | {' | '.join(policies)} |", "| --- |" + " --- |" * (len(policies) + 1)]
    for (series, cut), some in _by_series(rows).items():
        shown = (f"{some[name].u:.3f}{'' if some[name].kept else ' (refused)'}" for name in policies)
        lines.append(f"| {series} | {cut:g} | {' | '.join(shown)} |")
    lines += ["", "| policy | u | over general with past days | unserved | hours | events | past days' share |"]
    lines.append("| --- |" + " --- |" * 6)
    base = [row for row in rows if row.policy == GENERAL + PAST]
    for name in policies:
        mine = [row for row in rows if row.policy == name]
        means = [mean_of(mine, figure) for figure in FIGURES]
        share = math.fsum(row.past_share for row in mine) / len(mine)
        lines.append(
            f"| {name} | {means[0]:.3f} | {ratio(mine, base):.2f} | {100 * means[1]:.3f} % | {means[2]:.3f} "
            f"| {means[3]:.2f} | {share:.2f} |"
        )
    return "\n".join(lines)


def summary(rows: Sequence[Row]) -> dict[str, float]:
    """POLICY_FIGURE, and POLICY_over_general_with_past_days for u."""
    base = [row for row in rows if row.policy == GENERAL + PAST]
    found: dict[str, float] = {}
    for name in dict.fromkeys(row.policy for row in rows):
        mine, key = [row for row in rows if row.policy == name], name.replace(", ", "_").replace(" ", "_")
        found |= {f"{key}_{figure}": mean_of(mine, figure) for figure in FIGURES}
        found[f"{key}_over_general_with_past_days"] = ratio(mine, base)
    return {**found, "series": len(_by_series(rows))}


def ratio(mine: Sequence[Row], base: Sequence[Row]) -> float:
    """The paired ratio of u."""
    of_base = {(row.series, row.cut): row.u for row in base}
    return mean_of([replace(row, u=row.u / of_base[row.series, row.cut]) for row in mine], "u")


def mean_of(rows: Sequence[Row], figure: str) -> float:
    """Geometric, over the series of a system and then over the systems; what is unknown is left out."""
    systems: dict[str, list[float]] = {}
    for row in rows:
        value = getattr(row, figure)
        if math.isfinite(value):
            systems.setdefault(row.system, []).append(math.log(max(value, LEAST_UNSERVED)))
    return float(np.exp(np.mean([np.mean(one) for one in systems.values()])))


def _by_series(rows: Sequence[Row]) -> dict[tuple[str, float], dict[str, Row]]:
    found: dict[tuple[str, float], dict[str, Row]] = {}
    for row in rows:
        found.setdefault((row.series, row.cut), {})[row.policy] = row
    return found


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--traces", type=Path, required=True, help="folder of recorded systems, a .csv.gz each")
    parser.add_argument("--files", nargs="*", default=[], help="names of some of them, without .csv.gz")
    parser.add_argument("--names", nargs="*", default=[], help="only series whose name contains one of these")
    parser.add_argument("--series", type=_count, help="most series of each file")
    parser.add_argument(
        "--recipes",
        nargs="*",
        metavar="NAME",
        choices=tuple(RECIPES),
        default=["blend", "prophet", "lstm", "hybrid-lstm"],
    )
    parser.add_argument("--learned", type=_above_0, default=7, help="days of history")
    parser.add_argument("--days", type=_above_0, default=3, help="replayed days")
    parser.add_argument(
        "--cut", type=_not_negative, nargs="+", default=[0.0], help="days left out at the end of each record"
    )
    parser.add_argument("--start-up", type=_not_negative, default=120, help="seconds")
    parser.add_argument("--every", type=_above_0, default=float(SYNC_SECONDS), help="seconds between two forecasts")
    parser.add_argument("--bundles", type=Path, help="folder of bundles, each trained without one of the systems")
    parser.add_argument("--cache", type=Path, default=Path("build/league"), help="folder of bundles and forecasts")
    parser.add_argument("--jobs", type=_count, default=1)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    options = parser.parse_args(arguments)
    options.paths = _paths(parser, options)
    if options.quick:
        options.series, options.days, options.every = 1, 1.0, 300.0
    return options


def _paths(parser: argparse.ArgumentParser, options: argparse.Namespace) -> list[Path]:
    """The chosen recorded systems."""
    by_system = {system_of(path): path for path in sorted(options.traces.glob("*.csv.gz"))}
    if not by_system:
        parser.error(f"--traces {options.traces}: must be a folder of recorded systems, a .csv.gz each")
    if unknown := [name for name in options.files if name not in by_system]:
        parser.error(f"--files {' '.join(unknown)}: must be of {', '.join(by_system)}")
    if options.bundles and not options.bundles.is_dir():
        parser.error(f"--bundles {options.bundles}: must be a folder")
    return [path for name, path in by_system.items() if not options.files or name in options.files]


def _above_0(text: str) -> float:
    return _number(text, lambda value: value > 0, "above 0")


def _not_negative(text: str) -> float:
    return _number(text, lambda value: value >= 0, "0 or more")


def _count(text: str) -> int:
    return int(_number(text, lambda value: value >= 1 and value.is_integer(), "a whole number from 1"))


def _number(text: str, is_right: Callable[[float], bool], rule: str) -> float:
    with suppress(ValueError):
        value = float(text)
        if math.isfinite(value) and is_right(value):
            return value
    raise argparse.ArgumentTypeError(f"{text!r}: must be {rule}")


if __name__ == "__main__":
    sys.exit(main())
