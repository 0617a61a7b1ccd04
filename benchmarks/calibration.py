"""Whether the promised quantile is kept: promised against realised coverage, with the plan's correction and without.

    python benchmarks/calibration.py [--traces FOLDER] [--files NAME ...] [--series N] [--days N] [--bundles FOLDER]
                                     [--quick] [--json FILE] [--plot FILE]

Recorded series are gone through at the pace of the scaler: an observation every 15 s, a forecast every minute with past
days mixed in, and once a minute the window that the default trigger's plan looks at. It is kept where demand observed
in it is at most the quantile of the peak. "without" is the quantile as it is forecast, "with" the one after
the rules `coverage` and `calibration` (scaler/plan/). All windows of known demand count, those of little demand too.

worst week: the lowest coverage of a p90 over any seven days of a series. After a shift: demand of each series doubles
from the middle of the span on; the hours from then until the p90 of all series together holds 85 % over three hours.
Seconds: what both rules remember, updated for 10,000 triggers, the cost of one refresh. Files with a step above five
minutes are left out. --quick: one series of each one-minute file, four days.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from league import KEPT_AHEAD_SECONDS, bundle_folder, traces_here
from league_cell import in_fine_units, setting_of, span_of
from rpc_latency import machine

from scaler.forecast.combination import SCORED_BEYOND_SECONDS
from scaler.forecast.onnx_forecaster import load_forecaster
from scaler.plan.calibration import CALIBRATION, calibration
from scaler.plan.coverage import COVERAGE, coverage
from scaler.plan.fallback import Situation, situation_of
from scaler.plan.hpa import SYNC_SECONDS
from scaler.plan.rule import News, Remembered
from scaler.plan.windows import FIRST_SEEN_SECONDS, LAST_SEEN_SECONDS
from scaler.series import Observation, Outlook
from scaler.trigger import Trigger
from training.data.load import Series, load, system_of
from training.replay.policies.headway import TickForecasts, lead_seconds, tick_forecasts_of, trigger_of
from training.replay.simulation.demand import Demand
from training.replay.simulation.forecasts import Issues
from training.replay.simulation.mixing import forecasts_with_past
from training.replay.simulation.scenario import Scenario

Marks = NDArray[np.bool_]

LEVELS = (0.8, 0.9, 0.95)
START_UP_SECONDS = 120.0
EVERY_SECONDS = 60.0
LONGEST_STEP_SECONDS = 300
WEEK_MINUTES, RECOVERED_MINUTES = 7 * 1440, 180
RECOVERED = 0.85
TRIGGERS = 10_000
REMEMBERED: tuple[Remembered[Any], ...] = (COVERAGE, CALIBRATION)
CORRECTED, PLAIN = "with", "without"


@dataclass(frozen=True)
class Kept:
    """Of one series and one level: which windows held. [N], a window a minute."""

    begins_N: NDArray[np.float64]
    plain_N: Marks
    corrected_N: Marks


@dataclass(frozen=True)
class Judged:
    """One series: level → its windows, and those of the p90 when demand doubles at `shifts_at`."""

    file: str
    series: str
    kept: Mapping[float, Kept]
    shifted: Kept
    shifts_at: float

    def coverage(self, level: float, which: str) -> float:
        return float(np.mean(marks(self.kept[level], which)))


def main(arguments: Sequence[str] | None = None) -> int:
    options = parsed(arguments)
    chosen = list(chosen_series(options))
    judged = [one for one in Parallel(n_jobs=options.jobs)(delayed(judge)(*each, options) for each in chosen) if one]
    found = summary(judged)
    console = Console(width=120, highlight=False)
    console.print(table(judged))
    for name, value in found.items():
        console.print(f"{name}: {value:.3g}", markup=False)
    if options.json:
        options.json.write_text(json.dumps({"summary": found, "machine": machine()}, indent=2) + "\n")
    if options.plot:
        plot(judged, options.plot)
    return 0


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--traces", type=Path, help="folder of recorded systems, a .csv.gz each")
    parser.add_argument("--files", nargs="*", default=[], help="names of some of them, without .csv.gz")
    parser.add_argument("--series", type=int, default=3, help="most series of each file")
    parser.add_argument("--days", type=float, default=14.0, help="the last days of each record")
    parser.add_argument("--bundles", type=Path, help="folder of bundles, each trained without one of the systems")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path, help="SVG to write")
    options = parser.parse_args(arguments)
    options.traces = options.traces or traces_here()
    if options.traces is None or not any(options.traces.glob("*.csv.gz")):
        parser.error(f"--traces {options.traces or ''}: must be a folder of recorded systems, a .csv.gz each")
    if options.quick:
        options.series, options.days = 1, 4.0
    return options


def chosen_series(options: argparse.Namespace) -> Iterator[tuple[str, Series]]:
    """(file, series)"""
    longest = EVERY_SECONDS if options.quick else LONGEST_STEP_SECONDS
    for path in sorted(options.traces.glob("*.csv.gz")):
        if options.files and system_of(path) not in options.files:
            continue
        fine = [one for one in load([path]).series if one.step_seconds <= longest]
        yield from ((system_of(path), in_fine_units(one)) for one in fine[: options.series])


def judge(file: str, series: Series, options: argparse.Namespace) -> Judged | None:
    """None where the record is shorter than two days."""
    span = span_of(series, options.days)
    if span.days < 1:
        return None
    setting = setting_of(series, START_UP_SECONDS)
    default = trigger_of(setting, "demand", series.timezone)
    bundle = bundle_folder(file, options.bundles)
    recorded = Scenario(Demand(series), setting, span)
    ticks = ticks_of(recorded, bundle)
    kept = {level: windows_kept(recorded, ticks, replace(default, quantile=level)) for level in LEVELS}
    shifts_at = (span.begin + span.end) / 2
    doubled = replace(series, values=np.where(series.times >= shifts_at, 2 * series.values, series.values))
    shifted = Scenario(Demand(doubled), setting, span)
    return Judged(file, series.name, kept, windows_kept(shifted, ticks_of(shifted, bundle), default), shifts_at)


def ticks_of(scenario: Scenario, bundle: Path) -> TickForecasts:
    """What the refresh would have published, every 15 s."""
    issues = Issues(scenario.span, EVERY_SECONDS, KEPT_AHEAD_SECONDS)
    scored_seconds = lead_seconds(scenario.setting) + SCORED_BEYOND_SECONDS
    demand, observing = scenario.demand, scenario.setting.observing
    return tick_forecasts_of(
        scenario, forecasts_with_past(demand, load_forecaster(bundle), observing, issues, scored_seconds)
    )


def windows_kept(scenario: Scenario, ticks: TickForecasts, trigger: Trigger) -> Kept:
    """Whether demand stayed within the quantile of its peak, in the window of each minute whose demand is known."""
    seen_K = scenario.demand.observed(scenario.refresh_K, scenario.setting.observing)
    states: dict[str, Any] = {kind.name: kind.start for kind in REMEMBERED}
    rows: list[tuple[float, bool, bool]] = []
    for k, now in enumerate(scenario.refresh_K.tolist()):
        observation, forecast = ticks.observations[k], ticks.forecasts[k]
        news = News(trigger, now, observation, forecast, None, SYNC_SECONDS)
        states = {kind.name: kind.observe(states[kind.name], news) for kind in REMEMBERED}
        if now % EVERY_SECONDS:
            continue
        concluded = {kind.name: kind.conclude(states[kind.name]) for kind in REMEMBERED}
        known = {name: value for name, value in concluded.items() if value is not None}
        situation = situation_of(trigger, Outlook(now, observation, forecast, "", known), now, SYNC_SECONDS)
        last = k + round((situation.window_end + LAST_SEEN_SECONDS - now) / SYNC_SECONDS)
        peak = largest(seen_K[k + math.ceil(FIRST_SEEN_SECONDS / SYNC_SECONDS) : last + 1])
        if situation.need is not None and last < len(seen_K) and peak == peak:
            rows.append((now, peak <= situation.need, peak <= corrected(situation, situation.need)))
    begins, plain, after = zip(*rows, strict=True) if rows else ((), (), ())
    return Kept(np.array(begins), np.array(plain, np.bool_), np.array(after, np.bool_))


def largest(seen: NDArray[np.float64]) -> float:
    """NaN where most of it is unknown."""
    known = seen[~np.isnan(seen)]
    return float(np.float32(known.max())) if len(known) > len(seen) / 2 else math.nan


def corrected(situation: Situation, value: float) -> float:
    """The quantile after the rules that correct it."""
    for rule in (coverage, calibration):
        change = rule(situation, value)
        value = value if change is None else change[0]
    return value


def marks(kept: Kept, which: str) -> Marks:
    return kept.corrected_N if which == CORRECTED else kept.plain_N


def worst_week(judged: Sequence[Judged], which: str) -> float:
    """The lowest coverage of a p90 over any seven days of one series; NaN where no record is as long."""
    found = [
        float(np.min(np.convolve(marks(one.kept[0.9], which), np.ones(WEEK_MINUTES), "valid"))) / WEEK_MINUTES
        for one in judged
        if len(one.kept[0.9].begins_N) >= WEEK_MINUTES
    ]
    return min(found, default=math.nan)


def hours_to_recover(judged: Sequence[Judged], which: str) -> float:
    """From the shift until a p90 of all series together holds 85 % over three hours; infinite if it never does."""
    held, count = np.zeros(0), np.zeros(0)
    for one in judged:
        minute_N = np.floor((one.shifted.begins_N - one.shifts_at) / 60).astype(np.int64)
        is_after = minute_N >= 0
        longest = max(len(count), int(minute_N.max(initial=-1)) + 1)
        held, count = (np.pad(part, (0, longest - len(part))) for part in (held, count))
        np.add.at(held, minute_N[is_after], marks(one.shifted, which)[is_after])
        np.add.at(count, minute_N[is_after], 1)
    window = np.ones(RECOVERED_MINUTES)
    share = np.convolve(held, window, "valid") / np.maximum(np.convolve(count, window, "valid"), 1)
    reached = np.flatnonzero(share >= RECOVERED)
    return float(reached[0]) / 60 if len(reached) else math.inf


def seconds_per_refresh() -> float:
    """What both rules take to remember, for 10,000 triggers: half of them of a bundle, half of past days."""
    from tests.plan.test_coverage import TRIGGER, forecast

    news = [
        [
            News(TRIGGER, at, Observation(at, 90.0, 90.0, 130.0), forecast(at, past_share=share), None, SYNC_SECONDS)
            for share in (0.0, 1.0)
        ]
        for at in np.arange(1.7e9, 1.7e9 + 1800, SYNC_SECONDS).tolist()
    ]
    states = [[kind.start for kind in REMEMBERED] for _ in (0, 1)]
    begin = time.perf_counter()
    for both in news:
        for which, one in enumerate(both):
            states[which] = [kind.observe(state, one) for kind, state in zip(REMEMBERED, states[which], strict=True)]
    return (time.perf_counter() - begin) / (2 * len(news)) * TRIGGERS


def summary(judged: Sequence[Judged]) -> dict[str, float]:
    """Named figures, flat. The mean is over all series, each counted once."""
    found: dict[str, float] = {}
    for which, end in ((CORRECTED, ""), (PLAIN, "_without")):
        for level in LEVELS:
            found[f"coverage_at_{100 * level:.0f}{end}"] = _mean(judged, level, which)
        found[f"worst_7d_coverage_at_90{end}"] = worst_week(judged, which)
        found[f"hours_to_recover_after_shift{end}"] = hours_to_recover(judged, which)
    return found | {"seconds_per_10000": seconds_per_refresh(), "series": float(len(judged))}


def _mean(judged: Sequence[Judged], level: float, which: str) -> float:
    return float(np.mean([one.coverage(level, which) for one in judged]))


def by_file(judged: Sequence[Judged]) -> dict[str, list[Judged]]:
    found: dict[str, list[Judged]] = {}
    for one in judged:
        found.setdefault(one.file, []).append(one)
    return found


def table(judged: Sequence[Judged]) -> Table:
    """A row per file: coverage in % with the correction, and without in brackets."""
    shown = Table("file", "series", *(f"p{100 * level:.0f}" for level in LEVELS), "worst week of a p90")
    for name, some in [*by_file(judged).items(), ("all", list(judged))]:
        cells = [_both(*(_mean(some, level, which) for which in (CORRECTED, PLAIN))) for level in LEVELS]
        shown.add_row(name, str(len(some)), *cells, _both(*(worst_week(some, which) for which in (CORRECTED, PLAIN))))
    return shown


def _both(after: float, plain: float) -> str:
    return f"{100 * after:.1f} ({100 * plain:.1f})"


def plot(judged: Sequence[Judged], path: Path) -> None:
    """Promised against realised coverage, a line per file: on the left as forecast, on the right as corrected."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "calibration"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(9, 4.2), sharey=True)
    promised = [100 * level for level in LEVELS]
    for axis, which in zip(axes, (PLAIN, CORRECTED), strict=True):
        axis.plot([75, 100], [75, 100], color="grey", linestyle=":", label="as promised")
        for some in by_file(judged).values():
            axis.plot(promised, [100 * _mean(some, one, which) for one in LEVELS], color="#0072B2", alpha=0.4)
        axis.plot(promised, [100 * _mean(judged, one, which) for one in LEVELS], "o-", color="#D55E00", label="mean")
        axis.set(title=f"{which} correction", xlabel="promised, %", xticks=promised)
    axes[0].set_ylabel("realised, %")
    axes[0].legend()
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    sys.exit(main())
