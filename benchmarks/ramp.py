"""A daily ramp of ten times within a minute, known for a week: is it foreseen to the minute?

    python benchmarks/ramp.py [--json FILE]

The p90 of the peak over the next five minutes, by the general bundle and with past days mixed in, over the truth: when
the ramp begins a minute later, and ten minutes before it begins.
"""

import json
import sys
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

sys.path.insert(0, str(Path(__file__).parents[1]))

from scaler.forecast.combination import SCORED_BEYOND_SECONDS
from scaler.forecast.onnx_forecaster import load_forecaster
from scaler.plan.demand import peak_quantile
from training.data.load import DAY_SECONDS, Series
from training.replay.simulation.demand import Demand, Observing
from training.replay.simulation.forecasts import Forecasts, Issues, forecasts_of
from training.replay.simulation.mixing import forecasts_with_past
from training.replay.simulation.scenario import Span

GENERAL = Path(__file__).parents[1] / "scaler/bundle/shipped/general"
MIDNIGHT = 1_767_571_200.0
DAYS, RAMP_MINUTE, LASTS_MINUTES = 9, 540, 480
LOW, HIGH, NOISE = 100.0, 1000.0, 0.03
LEAD_SECONDS = 120.0
WINDOW_SECONDS = 300.0
BEFORE_MINUTES = {"a minute before": 1, "ten minutes before": 10}


def ramps() -> Series:
    """Every day at 09:00 from 100 to 1000 within a minute, until 17:00."""
    minute = np.arange((DAYS - 1) * 1440 + RAMP_MINUTE + 60) % 1440
    demand = np.where((minute >= RAMP_MINUTE) & (minute < RAMP_MINUTE + LASTS_MINUTES), HIGH, LOW)
    noisy = demand * np.exp(NOISE * np.random.default_rng(1).standard_normal(len(demand)))
    return Series("made", "ramp", "req/s", MIDNIGHT, 60, noisy.astype(np.float32))


def main(json_file: Annotated[Path | None, typer.Option("--json", help="write the figures")] = None) -> None:
    """Print the ratios, and write them as a flat `summary`."""
    series, forecaster, observing = ramps(), load_forecaster(GENERAL), Observing()
    ramp = MIDNIGHT + (DAYS - 1) * DAY_SECONDS + 60 * RAMP_MINUTE
    issues = Issues(Span(ramp - 1800, ramp + 60), 60.0, 3600.0)
    demand = Demand(series)
    kinds = {
        "general": forecasts_of(demand, forecaster, observing, issues),
        "past days": forecasts_with_past(demand, forecaster, observing, issues, LEAD_SECONDS + SCORED_BEYOND_SECONDS),
    }
    summary = {
        f"{kind}, {when}": ratio(demand, observing, forecasts, ramp - 60 * minutes)
        for kind, forecasts in kinds.items()
        for when, minutes in BEFORE_MINUTES.items()
    }
    for name, value in summary.items():
        typer.echo(f"p90 of the peak in 5 min over the truth: {name}: {value:.2f}")
    if json_file is not None:
        json_file.write_text(json.dumps({"summary": summary}, indent=2) + "\n")


def ratio(demand: Demand, observing: Observing, forecasts: Forecasts, at: float) -> float:
    """The p90 of the peak that is observed in the window from `at`, over the peak that was."""
    forecast = forecasts.at(np.array([at]))[0]
    if forecast is None:
        raise typer.Exit(1)
    seen = demand.observed(np.arange(at + 15, at + WINDOW_SECONDS + 1, 15), observing)
    return peak_quantile(forecast, 0.9, at, at + WINDOW_SECONDS) / float(np.nanmax(seen))


if __name__ == "__main__":
    typer.run(main)
