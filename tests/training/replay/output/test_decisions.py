"""Every decision as CSV: whoever reads it can compute the scores again."""

import csv
import gzip
import itertools
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from scaler.bundle import read_bundle
from scaler.forecast.catalog import SEASONAL
from scaler.forecast.onnx_forecaster import open_later
from training.data.load import Series
from training.replay.output.decisions import COLUMNS, write_decisions
from training.replay.policies.headway import trigger_of
from training.replay.simulation.demand import Demand
from training.replay.simulation.forecasts import Forecasts, Issues, forecasts_of
from training.replay.simulation.policy import Metric, PolicyAnswer, ReplayPolicy
from training.replay.simulation.scenario import Scenario, Setting, Span
from training.replay.simulation.start_up import Lognormal
from training.replay.verdict.candidates import (
    Entry,
    HeadwayEntry,
    OracleEntry,
    Ran,
    ReactiveEntry,
    RivalEntry,
    run_all,
)
from training.replay.verdict.score import Price

START = 1_767_571_200.0
SETTING = Setting(threshold=10.0, capacity=12.0, start_up=Lognormal(80.0, 0.5), seed=3)
SPAN = Span(START + 3 * 3600, START + 6 * 3600)


def scenario() -> Scenario:
    """Three hours with bursts, and half an hour of which nothing is known."""
    random = np.random.default_rng(8)
    values = random.gamma(3, 40, 420)
    values[260:290] = np.nan
    return Scenario(Demand(Series("shop", "web", "req/s", START, 60, values.astype(np.float32))), SETTING, SPAN)


ENTRIES: tuple[Entry, ...] = (
    ReactiveEntry(10.0, "today"),
    HeadwayEntry(trigger_of(SETTING, "q", "UTC"), "headway"),
    OracleEntry(),
    RivalEntry("same time last week"),
)


@pytest.fixture(scope="module")
def forecasts() -> Forecasts:
    one = scenario()
    forecaster = open_later(read_bundle(SEASONAL), "seasonal")
    return forecasts_of(one.demand, forecaster, SETTING.observing, Issues(SPAN, 300.0, 3600.0))


@pytest.fixture(scope="module")
def file(forecasts: Forecasts, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("decisions") / "decisions.csv"
    write_decisions(scenario(), ENTRIES, forecasts, path)
    return path


@pytest.fixture(scope="module")
def told(forecasts: Forecasts, file: Path) -> tuple[pd.DataFrame, dict[str, Ran]]:
    """(the CSV, what was scored), by policy."""
    ran = run_all(scenario(), forecasts, ENTRIES, Price())
    return pd.read_csv(file), {one.entry.name: one for one in ran}


def test_scores_follow_from_the_file(told: tuple[pd.DataFrame, dict[str, Ran]]) -> None:
    """Unserved share, replica-hours and short minutes of each policy, by nothing but arithmetic on its columns."""
    frame, ran = told
    assert frame["policy"].unique().tolist() == [entry.name for entry in ENTRIES]
    for name, rows in frame[frame["demand"].notna()].groupby("policy"):
        scores = ran[str(name)].scores
        beyond = (rows["demand"] - rows["capacity"]).clip(lower=0)
        assert beyond.sum() / rows["demand"].sum() == pytest.approx(scores.unserved_share, rel=1e-6)
        assert rows["replicas_asked"].sum() * 15 / 3600 == pytest.approx(scores.replica_hours)
        assert (beyond > 1e-6 * rows["demand"]).sum() / 4 == scores.short_minutes
    assert ran["today"].scores.short_minutes > 0


def test_the_program_in_the_page_finds_the_scores(
    told: tuple[pd.DataFrame, dict[str, Ran]], file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it is printed in docs/replay.md."""
    page = (Path(__file__).parents[4] / "docs" / "replay.md").read_text()
    (program,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    monkeypatch.chdir(file.parent)
    shown: list[pd.DataFrame] = []
    exec(program, {"print": shown.append})
    for name, ran in told[1].items():
        row, scores = shown[0].loc[name], ran.scores
        assert row.tolist() == pytest.approx([scores.replica_hours, scores.unserved_share, scores.short_minutes])


def test_every_sync_of_every_policy_has_a_row(told: tuple[pd.DataFrame, dict[str, Ran]], file: Path) -> None:
    """In order, 15 s apart, with the same demand for all; what is not on record is empty."""
    frame, _ = told
    one = scenario()
    moments = pd.to_datetime(frame["time"]).to_numpy().reshape(len(ENTRIES), -1)
    assert (moments == moments[0]).all()
    assert (np.diff(moments[0]) == np.timedelta64(15, "s")).all()
    assert frame["time"][0] == "2026-01-05T03:00:07.500Z"
    np.testing.assert_allclose(frame["demand"].to_numpy()[: len(one)], one.demand_K, rtol=1e-9)
    np.testing.assert_allclose(frame["observed"].to_numpy()[: len(one)], one.seen_K, rtol=1e-9)
    assert ",nan," not in file.read_text()
    assert frame["demand"].isna().sum() == len(ENTRIES) * np.isnan(one.demand_K).sum() == len(ENTRIES) * 119


def test_what_a_policy_saw_and_why_it_said_so(told: tuple[pd.DataFrame, dict[str, Ran]]) -> None:
    """Headway's reasons are those of its plans; the reactive trigger answers what it sees, or an error."""
    frame, ran = told
    ours = frame[frame["policy"] == "headway"]
    assert ours["reasons"].str.contains("need: ").mean() > 0.5
    assert (ours["target"].astype(float) == 10).all()
    np.testing.assert_allclose(ours["metric"].astype(float), ran["headway"].run.metric_K, rtol=1e-9)
    today = frame[frame["policy"] == "today"]
    known = today["observed"].notna()
    assert (today["metric"].astype(float) == today["observed"])[known].all()
    assert today["metric"][~known].isna().all()
    assert set(today["reasons"][~known]) == {"the server has no value"}
    np.testing.assert_array_equal(today["replicas_ready"], ran["today"].run.ready_K)


class TwoMetrics:
    """An entry and its policy: a metric, one that fails, and two reasons."""

    name = "two"

    def made(self, *_: object) -> ReplayPolicy:
        return self

    def answer(self, k: int, replicas: int) -> PolicyAnswer:
        return PolicyAnswer((Metric(40.0 + k, 10.0), Metric(None, 2.5)), True, ("so", "and, so"))


def test_several_metrics_share_a_cell(forecasts: Forecasts, tmp_path: Path) -> None:
    """In the order of their targets, an error as nothing between the marks."""
    path = tmp_path / "two.csv"
    write_decisions(scenario(), [TwoMetrics()], forecasts, path)
    with path.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert (rows[0]["metric"], rows[1]["metric"], rows[0]["target"]) == ("40;", "41;", "10;2.5")
    assert rows[0]["reasons"] == "so | and, so"
    assert tuple(rows[0]) == COLUMNS
    assert len(rows) == len(scenario())


def test_the_same_replay_gives_the_same_bytes(
    forecasts: Forecasts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Packed, too, and at another time; and unpacked it is what is written plainly."""
    moments = itertools.count(1e9, 100.0)
    monkeypatch.setattr("gzip.time.time", lambda: next(moments))
    plain, packed, again = (tmp_path / name for name in ("a.csv", "b.csv.gz", "c.csv.gz"))
    for path in (plain, packed, again):
        write_decisions(scenario(), ENTRIES[:1], forecasts, path)
    assert packed.read_bytes() == again.read_bytes()
    assert gzip.decompress(packed.read_bytes()) == plain.read_bytes()
    other = Scenario(scenario().demand, replace(SETTING, seed=4), SPAN)
    write_decisions(other, ENTRIES[:1], forecasts, again)
    assert gzip.decompress(again.read_bytes()) != plain.read_bytes()


def test_nothing_is_left_of_a_file_that_was_interrupted(forecasts: Forecasts, tmp_path: Path) -> None:
    """Ctrl-C while decisions are written: what was there before is there still, and nothing else."""

    def interrupt(doing: str, share: float) -> None:
        raise KeyboardInterrupt

    path = tmp_path / "all.csv"
    path.write_text("before")
    with pytest.raises(KeyboardInterrupt):
        write_decisions(scenario(), ENTRIES, forecasts, path, interrupt)
    assert [one.name for one in tmp_path.iterdir()] == ["all.csv"]
    assert path.read_text() == "before"
