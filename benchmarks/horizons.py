"""How good the forecast by the hour is, a day and a week ahead: next to seasonal naive and a public library.

    python benchmarks/horizons.py FILE … [--quick] [--json FILE] [--series N] [--windows N]

Each recording is brought to means by the hour. The last weeks of a series are forecast from the four weeks before, at
origins that lie nine days and seven hours apart. Next to `headway forecast` stand:

    sf-SeasonalNaive  the same hour a week before, with the library's intervals
    sf-MSTL           trend by AutoETS, seasons of a day and a week as they were

loss: pinball loss over p10, p50, p90 and p95, relative to mean demand; median over windows. ratio: to that of
sf-SeasonalNaive, the geometric mean over series of the ratio of medians. MAE: of the median, relative to mean demand.
p90: share of hours at or below. The constants of the forecast by the hour were tried on recordings of this kind, which
flatters it.
"""

import argparse
import json
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))

from rpc_latency import machine

from scaler.forecast.hourly import DAY, LEVELS, PAST_HOURS, WEEK, hourly_forecast
from scaler.history.traces import Trace, read_traces

Doubles: TypeAlias = NDArray[np.float64]
Model: TypeAlias = Callable[[Doubles, int], Doubles]
"""past [P] without gaps, number of its newest hour → quantiles [WEEK, Q]"""

HOUR = 3600
STRIDE = 9 * DAY + 7
AHEADS = {"24 h": DAY, "7 d": WEEK}
INTERVALS = (80, 90)
"""of the library, in percent: p10 and p90, p5 and p95"""


@dataclass(frozen=True, slots=True)
class Window:
    """One series at one origin."""

    series: str
    newest: int
    past_P: Doubles
    came_A: Doubles


def by_the_hour(trace: Trace) -> tuple[int, Doubles]:
    """(number of the first hour, means of full hours, NaN where less than half is known)."""
    per = round(HOUR / trace.step_seconds)
    skipped = round(-trace.start % HOUR / trace.step_seconds)
    values = np.asarray(trace.values[skipped:], np.float64)
    hours = values[: len(values) // per * per].reshape(-1, per)
    known = np.isfinite(hours)
    mean = np.where(known, hours, 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    first = round((trace.start + skipped * trace.step_seconds) // HOUR)
    return first, np.where(2 * known.sum(axis=1) >= per, mean, np.nan)


def windows_of(files: Sequence[Path], series: int, windows: int) -> Iterator[Window]:
    """The newest ones of the first series of each file that are long enough and known."""
    for file in files:
        found = 0
        for name, trace in read_traces(file).items():
            first, hours = by_the_hour(trace)
            made = list(_windows(f"{file.name.split('.')[0]}: {name}", first, hours))[:windows]
            found += bool(made)
            yield from made
            if found == series:
                break


def _windows(name: str, first: int, hours: Doubles) -> Iterator[Window]:
    for origin in range(len(hours) - WEEK, PAST_HOURS - 1, -STRIDE):
        past, came = hours[origin - PAST_HOURS : origin], hours[origin : origin + WEEK]
        if np.isfinite(past).mean() > 0.9 and np.isfinite(came).mean() > 0.9 and np.nanmean(came) > 0:
            yield Window(name, first + origin - 1, past, came)


def ours(past_P: Doubles, newest: int) -> Doubles:
    """What `headway forecast` shows."""
    return hourly_forecast(past_P.astype(np.float32), newest, WEEK).quantiles_AQ.astype(np.float64)


def library(make: Callable[[], Any]) -> Model:
    """A model of statsforecast, fitted anew; gaps are filled linearly."""

    def forecast(past_P: Doubles, newest: int) -> Doubles:
        known = np.isfinite(past_P)
        places = np.arange(len(past_P))
        filled = np.interp(places, places[known], past_P[known])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made: Mapping[str, Doubles] = make().forecast(y=filled, h=WEEK, level=list(INTERVALS))
        columns = [made["lo-80"], made["mean"], made["hi-80"], made["hi-90"]]
        return np.maximum(np.maximum.accumulate(np.stack(columns, axis=1), axis=1), 0)

    return forecast


def models(quick: bool) -> dict[str, Model]:
    from statsforecast.models import MSTL, AutoETS, SeasonalNaive

    found: dict[str, Model] = {
        "headway": ours,
        "sf-SeasonalNaive": library(lambda: SeasonalNaive(season_length=WEEK)),
    }
    if not quick:
        found["sf-MSTL"] = library(lambda: MSTL([DAY, WEEK], trend_forecaster=AutoETS(model="ZZN")))
    return found


def scored(window: Window, quantiles_AQ: Doubles) -> dict[str, dict[str, float]]:
    """Loss, MAE and share within p90, of the first day and of the week."""
    levels = np.array(LEVELS)
    found = {}
    for name, hours in AHEADS.items():
        came, made = window.came_A[:hours, None], quantiles_AQ[:hours]
        off, size = came - made, float(np.nanmean(window.came_A)) + 1e-9
        loss = float(np.nanmean(np.maximum(levels * off, (levels - 1) * off))) / size
        within = float(np.nanmean(np.where(np.isnan(came[:, 0]), np.nan, came[:, 0] <= made[:, 2])))
        found[name] = {"loss": loss, "mae": float(np.nanmean(np.abs(off[:, 1]))) / size, "p90": within}
    return found


def run(windows: Sequence[Window], chosen: Mapping[str, Model]) -> list[dict[str, Any]]:
    """One row for each model and look ahead."""
    every: dict[str, list[dict[str, dict[str, float]]]] = {}
    seconds: dict[str, float] = {}
    for name, model in chosen.items():
        begin = time.process_time()
        every[name] = [scored(one, model(one.past_P, one.newest)) for one in windows]
        seconds[name] = (time.process_time() - begin) / len(windows)
    return [_row(name, ahead, every, windows, seconds) for ahead in AHEADS for name in chosen]


def _row(name: str, ahead: str, every: Any, windows: Sequence[Window], seconds: Mapping[str, float]) -> dict[str, Any]:
    def of(model: str, figure: str) -> Doubles:
        return np.array([one[ahead][figure] for one in every[model]])

    series = np.array([one.series for one in windows])
    own, naive = of(name, "loss"), of("sf-SeasonalNaive", "loss")
    ratios = [np.median(own[series == one]) / np.median(naive[series == one]) for one in np.unique(series)]
    return {
        "ahead": ahead,
        "model": name,
        "loss": float(np.median(own)),
        "ratio": float(np.exp(np.mean(np.log(np.maximum(ratios, 1e-6))))),
        "better": float(np.mean(np.array(ratios) < 1)),
        "mae": float(np.median(of(name, "mae"))),
        "p90": float(of(name, "p90").mean()),
        "seconds": seconds[name],
    }


def main() -> None:
    """Print the table; --json writes it, too."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path, help="recordings: series, timestamp, value, unit")
    parser.add_argument("--series", type=int, default=4, help="of each file")
    parser.add_argument("--windows", type=int, default=2, help="of each series")
    parser.add_argument("--quick", action="store_true", help="one window of one series of each file, without MSTL")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    series, windows = (1, 1) if chosen.quick else (chosen.series, chosen.windows)
    found = list(windows_of(chosen.files, series, windows))
    if not found:
        parser.error("none of these series is longer than five weeks")
    result = run(found, models(chosen.quick))
    names = sorted({one.series for one in found})
    if chosen.json:
        facts = {"machine": machine(), "windows": len(found), "series": names, "rows": result}
        chosen.json.write_text(json.dumps(facts, indent=2) + "\n")
    console = Console(highlight=False)
    console.print(f"{len(found)} windows of {len(names)} series")
    table = Table("ahead", "model", "loss", "ratio", "better on", "MAE", "within p90", "s each")
    for row in result:
        figures = (f"{row['loss']:.4f}", f"{row['ratio']:.2f}", f"{row['better']:.0%}", f"{row['mae']:.3f}")
        table.add_row(row["ahead"], row["model"], *figures, f"{row['p90']:.1%}", f"{row['seconds']:.2f}")
    console.print(table)


if __name__ == "__main__":
    main()
