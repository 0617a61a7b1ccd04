"""The gate: a pure function of figures."""

import json
import math
from dataclasses import asdict, replace

import pytest

from training.lifecycle.gate import BOUNDS, Measured, Replayed, SeriesFigures, Verdict, judge


def series(loss: float = 0.9, unserved: float = 0.8, note: str = "") -> SeriesFigures:
    """One series; the figures are ratios to those of the champion."""
    replays = () if note else (Replayed(0.01 * unserved, 100.0, 0.02), Replayed(0.01, 100.0, 0.02))
    return SeriesFigures(100, loss, 1.0, *replays, **({"note": note} if note else {}))


def figures(**found: SeriesFigures) -> Measured:
    return Measured("own@2", "own@1", found or {"web": series()}, 0.7, 1e-6, 100, 100, 1.0, 1.0)


def failed(measured: Measured) -> list[str]:
    verdict = judge(measured)
    assert verdict.passed == all(check.ok for check in verdict.checks)
    return [check.key for check in verdict.checks if not check.ok]


def test_a_better_model_passes() -> None:
    """It says by how much; every rule has its line with value, bound and whether it was kept."""
    verdict = judge(figures(web=series(), cart=series(0.8, 0.9)))
    assert verdict.passed
    assert verdict.reasons == (
        "peak loss, mean ratio: 0.849, at most 0.98, ok",
        "unserved at equal cost, median ratio: 0.85, at most 0.98, ok",
    )
    assert [check.key for check in verdict.checks] == [
        *("windows", "loss_ratio", "loss_over_naive", "worst_loss_ratio"),
        *("unserved_ratio", "mean_unserved_ratio", "worst_unserved_ratio"),
        *("seconds_ratio", "parity", "size_ratio"),
    ]


@pytest.mark.parametrize(
    ("measured", "keys"),
    [
        (figures(web=series(0.99)), ["loss_ratio"]),
        (figures(web=series(0.8, 0.99)), ["unserved_ratio"]),
        (figures(a=series(0.5), b=series(0.5), c=series(1.3)), ["worst_loss_ratio"]),
        (figures(a=series(0.5, 0.5), b=series(0.5, 0.5), c=series(0.5, 2.1)), ["worst_unserved_ratio"]),
        (figures(a=series(unserved=0.97), b=series(unserved=0.97), c=series(unserved=1.9)), ["mean_unserved_ratio"]),
        (replace(figures(), over_naive=1.1), ["loss_over_naive"]),
        (replace(figures(), over_naive=math.nan), ["loss_over_naive"]),
        (replace(figures(), parity=2e-3), ["parity"]),
        (replace(figures(), parity=math.nan), ["parity"]),
        (replace(figures(), size_bytes=900), ["size_ratio"]),
        (replace(figures(), seconds=3.1), ["seconds_ratio"]),
        (figures(web=replace(series(), windows=49)), ["windows"]),
    ],
)
def test_each_rule_refuses_alone(measured: Measured, keys: list[str]) -> None:
    """However good the rest is."""
    assert failed(measured) == keys


def test_what_cannot_be_measured_is_no_success() -> None:
    """No series, none that was replayed, one that gets no loss: the gate stays shut."""
    empty = Measured("own@2", "own@1", {}, 0.7, 1e-6, 100, 100, 1.0, 1.0)
    assert "loss_ratio" in failed(empty)
    assert failed(figures(web=series(note="one replica is always enough"))) == [
        *("unserved_ratio", "mean_unserved_ratio", "worst_unserved_ratio")
    ]
    assert failed(replace(figures(), incomparable="own@1 reads another grid")) == ["comparable"]


def test_as_good_as_nothing_is_no_gain() -> None:
    """A share of 0.00001 instead of 0.00005 unserved is no reason for another model; fewer replica-hours are."""
    tiny = replace(series(), replay=Replayed(1e-5, 100.0, 0.02), champion_replay=Replayed(5e-5, 100.0, 0.02))
    assert failed(figures(web=tiny)) == ["unserved_ratio"]
    cheaper = replace(tiny, replay=Replayed(1e-5, 90.0, 0.03))
    assert failed(figures(web=cheaper)) == []


def test_what_the_log_keeps() -> None:
    """Numbers alone, those of single series among them, and all of it as JSON that comes back as it was."""
    measured = figures(web=series(), cart=series(1.5, note="constant"))
    verdict = judge(measured)
    assert verdict.numbers["loss_ratio of cart"] == 1.5
    assert verdict.numbers["unserved_ratio of web"] == pytest.approx(0.8)
    assert all(math.isfinite(value) for value in verdict.numbers.values())
    assert Measured.from_json(json.loads(json.dumps(asdict(measured)))) == measured
    json.dumps(Verdict(measured, verdict.checks, BOUNDS).figures, allow_nan=False)


def test_a_challenger_that_starves_a_workload_does_not_drop_out() -> None:
    """It takes so few replica-hours that no reactive trigger can be compared: that is worse, and not unknown."""
    starved = replace(series(), replay=Replayed(0.5, 3.0, math.nan))
    good = {name: series(unserved=0.5) for name in "abc"}
    assert failed(figures(**good, web=starved)) == ["mean_unserved_ratio", "worst_unserved_ratio"]


def test_a_series_whose_champion_cannot_be_compared_says_nothing() -> None:
    unknown = replace(series(), champion_replay=Replayed(0.5, 3.0, math.nan))
    assert failed(figures(web=series(), cart=unknown)) == []
