"""The table of decisions in decisions.yaml, row by row."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from scaler.plan.rules import plan
from scaler.series import REMEMBERED, Forecast, Observation, Outlook
from scaler.trigger import TriggerRules, parse_trigger

NOW = 1_700_000_000.0
REFRESH_SECONDS = 15.0
ROWS: list[dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("decisions.yaml").read_text(encoding="utf-8"))
TRIGGER_KEYS = (
    "leadTime",
    "quantile",
    "policy",
    "mode",
    "threshold",
    "activationThreshold",
    "maxStaleness",
    "queryStep",
)


def observation_of(row: dict[str, Any]) -> Observation | None:
    if "observed" not in row:
        return None
    value = float(row["observed"])
    return Observation(
        NOW - row.get("seconds_ago", 10), value, row.get("recent_peak", value), row.get("history_peak", 1000.0)
    )


def held(curve: list[float], steps: int) -> np.ndarray:
    """The quantile per step: the last value of `curve` stays until the end."""
    return np.array([*curve, *[curve[-1]] * steps][:steps], np.float32)


def forecast_of(row: dict[str, Any]) -> Forecast | None:
    row_forecast = row.get("forecast")
    if row_forecast is None:
        return None
    steps, levels = row_forecast.get("minutes", 120), (0.5, 0.9, 0.99)
    p50 = row_forecast.get("p50", [value / 2 for value in row_forecast["p90"]])
    curves = [p50, row_forecast["p90"], *([row_forecast["p99"]] if "p99" in row_forecast else [])]
    return Forecast(
        NOW - row_forecast.get("issued_ago", 15),
        60.0,
        levels[: len(curves)],
        np.stack([held(curve, steps) for curve in curves], axis=1),
        (),
        None,
        "test@1",
        (row_forecast.get("past_share", 0.0),),
        data_step_seconds=row_forecast.get("data_step", 0.0),
    )


@pytest.mark.parametrize("row", ROWS, ids=[row["situation"] for row in ROWS])
def test_decision(row: dict[str, Any]) -> None:
    """The plan is the number, and has the reasons, that the row expects."""
    metadata = {"query": "demand", "threshold": "10"} | {key: str(row[key]) for key in TRIGGER_KEYS if key in row}
    trigger = parse_trigger("shop", "web", metadata, TriggerRules(default_server="http://prometheus:9090"))
    remembered = {name: row[name] for name in REMEMBERED if name in row}
    outlook = Outlook(NOW - 5, observation_of(row), forecast_of(row), remembered=remembered)
    made = plan(trigger, outlook, NOW, REFRESH_SECONDS)
    expect = row["expect"]
    assert made.metric == (None if expect["metric"] is None else pytest.approx(expect["metric"], rel=1e-6))
    assert [reason.rule for reason in made.reasons] == expect["because"]
    assert made.rung == expect.get("rung", made.rung)
    assert made.active == expect.get("active", made.active)
    planned = expect.get("planned", expect["metric"])
    assert made.planned == (None if planned is None else pytest.approx(planned, rel=1e-6))
