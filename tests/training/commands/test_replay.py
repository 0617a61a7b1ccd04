"""`headway replay` as it is typed: sources, what comes out, and what is refused before any work is done."""

import csv
import json
import os
import re
import shutil
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from click.testing import Result
from typer.testing import CliRunner

from scaler.cli import app
from scaler.forecast.catalog import SEASONAL
from scaler.plan.hpa import Hpa
from tests.servers.prometheus import PrometheusServer, Recorded, prometheus
from tests.training.recording import write_values
from training.replay.input import case as intake
from training.replay.output.decisions import COLUMNS
from training.replay.policies import registry
from training.replay.simulation.scenario import Keda
from training.replay.simulation.start_up import Bimodal, Constant
from training.replay.verdict import candidates
from training.replay.verdict.judge import ReplayCase
from training.replay.verdict.score import Price
from training.replay.verdict.slo import Slo

DAY_MINUTES = 1440
OBJECT = """\
kind: ScaledObject
metadata: {name: web, namespace: shop}
spec:
  minReplicaCount: 2
  maxReplicaCount: 40
  pollingInterval: 15
  triggers:
    - type: prometheus
      metadata: {serverAddress: "SERVER", query: "QUERY", threshold: "150"}
"""


def asked(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["replay", *map(str, arguments)])


def demand(days: float) -> np.ndarray:
    """Minutes of two waves a day, sharp enough to be late for."""
    minute = np.arange(round(days * DAY_MINUTES))
    noise = np.random.default_rng(6).normal(0, 20, len(minute))
    return np.maximum(1000 * (1 + 0.8 * np.sin(4 * np.pi * minute / DAY_MINUTES) ** 5) + noise, 0)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two days and a bit of a service, and a counter."""
    values = demand(2.1)
    path = tmp_path_factory.mktemp("recorded") / "shop.csv"
    return write_values(path, step_minutes=1, web=values, counter=np.cumsum(values))


class _Stopped(Exception):
    pass


@pytest.fixture
def cases(monkeypatch: pytest.MonkeyPatch) -> list[ReplayCase]:
    """Of each replay the case; it ends there. The general bundle, which is slow to open, is the seasonal one."""
    found: list[ReplayCase] = []

    def judge(case: ReplayCase, *_: object) -> NoReturn:
        found.append(case)
        raise _Stopped

    monkeypatch.setattr("training.replay.verdict.judge.judge", judge)
    monkeypatch.setattr("training.replay.input.case.GENERAL", SEASONAL)
    return found


def quick(patch: pytest.MonkeyPatch) -> None:
    """Few policies, and hours instead of days."""
    patch.setattr(intake, "LEAST_DAYS", 0.1)
    patch.setattr(candidates, "REACTIVE_TARGETS", (1.0, 0.6))
    patch.setattr(candidates, "HEADWAY_FRONT", ((0.9, 1.0),))
    patch.setattr(registry, "RIVALS", {"same time last week": registry.RIVALS["same time last week"]})
    patch.setattr(candidates, "neighbours", lambda *_: [])


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Result, Path]]:
    """(what a replay printed, the folder of what it wrote)."""
    folder = tmp_path_factory.mktemp("replayed")
    recorded = write_values(folder / "shop.csv", step_minutes=1, web=demand(0.5))
    flags = ["--bundle", SEASONAL, "--no-cache", "--jobs", 1, "--days", 2, "--price", 0.05]
    flags += ["--forecast-interval", "300s"]
    wrote = ["--out", folder / "new" / "out", "--decisions", folder / "all.csv", "--json"]
    with pytest.MonkeyPatch.context() as patch:
        quick(patch)
        yield (
            asked("--data", recorded, "--threshold", 150, *flags, *wrote),
            folder,
        )


def test_a_replay_prints_json_and_nothing_else(replayed: tuple[Result, Path]) -> None:
    """On standard output; what is told beside it is in the JSON."""
    result, _ = replayed
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["verdict"] in ("enable", "enable with these settings", "do not enable")
    assert found["series"] == "web"
    assert any("0.5 days are replayed" in note for note in found["notes"])


def test_a_replay_writes_its_report_and_its_decisions(replayed: tuple[Result, Path]) -> None:
    """Into folders that it makes; nothing else is left there."""
    _, folder = replayed
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*")) == [
        "all.csv",
        "new",
        "new/out",
        "new/out/report.html",
        "shop.csv",
    ]
    assert "<html" in (folder / "new/out/report.html").read_text()


def test_the_file_of_decisions_has_every_policy(replayed: tuple[Result, Path]) -> None:
    """For each sync of the judged part."""
    result, folder = replayed
    with (folder / "all.csv").open(newline="") as file:
        policies = [row["policy"] for row in csv.DictReader(file)]
    judged = json.loads(result.stdout)["judged"]
    assert {"today", "headway", "oracle", "same time last week", "reactive at 60%"} <= set(policies)
    assert {policies.count(name) for name in policies[:: len(policies) // 8]} == {round(judged["days"] * 5760)}


def test_what_is_asked_for_arrives(recorded: Path, tmp_path: Path, cases: list[ReplayCase]) -> None:
    """Each flag in its place."""
    asked(
        "--data", recorded, "--series", "web", "--timezone", "Asia/Tokyo", "--days", 2,
        "--threshold", 100, "--capacity", 110, "--start-up", "bimodal:40s,4m,0.2", "--min", 0, "--max", 50,
        "--price", 0.1, "--replicas-per-node", 4, "--slo", "short minutes per week <= 5", "--max-queue-wait", "2s",
        "--forecast-interval", "15s", "--seed", 9, "--jobs", 3, "--cache", tmp_path / "cache",
    )  # fmt: skip
    (case,) = cases
    setting = case.setting
    assert (setting.threshold, setting.capacity, setting.start_up) == (100, 110, Bimodal(40, 240, 0.2))
    assert (setting.hpa, setting.scales_to_zero, setting.seed) == (Hpa(1, 50), True, 9)
    assert (setting.max_queue_wait_seconds, case.forecast_interval_seconds, case.jobs) == (2, 15, 3)
    assert (case.price, case.slo, case.cache) == (Price(0.1, 4), Slo(5), tmp_path / "cache")
    assert (case.demand.series.name, case.demand.series.timezone, case.span.days) == ("web", "Asia/Tokyo", 2)


def test_without_flags(
    recorded: Path, tmp_path: Path, cases: list[ReplayCase], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pods of 90 s, a forecast every 15 s, all cores, and the user's cache where that can be written to."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    plain = ["--data", recorded, "--series", "web", "--threshold", 100]
    kept = asked(*plain)
    (tmp_path / "cache").touch()
    lost = asked(*plain)
    asked(*plain, "--no-cache")
    assert f"forecasts are not kept in {tmp_path}/cache/headway/replay: {tmp_path}/cache is not a folder" in lost.stderr
    assert "not kept" not in kept.stderr
    assert [case.cache for case in cases] == [tmp_path / "cache/headway/replay", None, None]
    assert (cases[0].setting.start_up, cases[0].forecast_interval_seconds) == (Constant(90), 15)
    assert cases[0].jobs == len(os.sched_getaffinity(0))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrometheusServer]:
    """Two days and a half of demand until now, a gap of two hours in it, and a counter."""
    now = time.time() // 60 * 60
    values = demand(2.5)
    moments = now - 60 * np.arange(len(values) - 1, -1, -1)
    known = (moments < now - 36_000) | (moments > now - 28_800)
    series = [
        Recorded("demand", [*zip(moments[known].tolist(), values[known].tolist(), strict=True)]),
        Recorded("visits_total", [*zip(moments.tolist(), np.cumsum(values).tolist(), strict=True)]),
        Recorded("two", [(now, 1.0)], {"a": "1"}),
        Recorded("two", [(now, 2.0)], {"a": "2"}),
    ]
    with prometheus(tmp_path_factory.mktemp("prometheus"), series) as running:
        yield running


@pytest.mark.server
def test_demand_from_a_real_prometheus(server: PrometheusServer, cases: list[ReplayCase]) -> None:
    """A value a minute, under the name that is given; the gap (and the staleness after it) is excluded."""
    result = asked("--prometheus", server.url, "--query", "sum(demand)", "--threshold", 150, "--series", "shop/web")
    (case,) = cases
    series = case.demand.series
    assert (series.name, series.step_seconds, case.query) == ("shop/web", 60, "sum(demand)")
    assert len(series.values) == pytest.approx(2.5 * DAY_MINUTES, abs=2)
    (gap,) = case.excluded
    assert gap.end - gap.begin == pytest.approx(7200 - 300, abs=120), result.output
    assert any(note.startswith("1.9 h of the replayed days are not on record") for note in case.notes)


@pytest.mark.server
def test_a_scaled_object_is_replayed_as_it_stands(
    server: PrometheusServer, tmp_path: Path, cases: list[ReplayCase]
) -> None:
    """Query, threshold, replicas and polls are its own; flags win; the server is its own, or that of --prometheus."""
    path = tmp_path / "web.yaml"
    path.write_text(OBJECT.replace("SERVER", server.url).replace("QUERY", "sum(demand)"))
    asked("--scaledobject", path)
    asked("--scaledobject", path, "--threshold", 200, "--max", 30)
    path.write_text(path.read_text().replace(server.url, nobody()))
    asked("--scaledobject", path, "--prometheus", server.url)
    first, second, third = cases
    assert (first.query, first.setting.threshold, first.setting.hpa) == ("sum(demand)", 150, Hpa(2, 40))
    assert (first.setting.keda, first.setting.scales_to_zero) == (Keda(15.0), False)
    assert first.demand.series.name == "shop/web"
    assert (second.setting.threshold, second.setting.hpa) == (200, Hpa(2, 30))
    assert third.span.days == pytest.approx(first.span.days, abs=0.01)


@pytest.mark.server
def test_an_empty_answer_is_zero_only_where_the_trigger_says_so(
    server: PrometheusServer, tmp_path: Path, cases: list[ReplayCase]
) -> None:
    """KEDA's default would make a lost scrape look like no traffic."""
    path = tmp_path / "web.yaml"
    written = OBJECT.replace("SERVER", server.url).replace("QUERY", "sum(demand)")
    path.write_text(written.replace('"150"', '"150", ignoreNullValues: "true"'))
    asked("--scaledobject", path)
    (case,) = cases
    assert case.excluded == ()
    assert (case.demand.series.values == 0).sum() == pytest.approx(115, abs=2)
    assert any("1.9 h without an answer count as 0" in note for note in case.notes)


@pytest.mark.server
@pytest.mark.parametrize(
    ("query", "status", "told"),
    [
        ("sum(demand", 3, "parse error"),
        ("two", 3, "the query returned 2 series"),
        ("absent_metric", 3, "the query returned no demand (a finite value from 0 on) in the whole span"),
        ("visits_total", 2, "a raw counter; its query lacks rate()"),
        ("vector(7)", 2, "is constant: there is nothing to forecast"),
        ("demand / 2000", 2, "threshold=150: is not below the largest demand"),
    ],
)
def test_what_a_prometheus_gives_that_cannot_be_replayed(
    server: PrometheusServer, query: str, status: int, told: str
) -> None:
    """What it refuses in its own words, exit status 3; what it gives and is no demand, exit status 2."""
    result = asked("--prometheus", server.url, "--query", query, "--threshold", 150)
    assert (result.exit_code, told in result.stderr) == (status, True), result.output
    assert result.stdout == ""


def nobody() -> str:
    """An address where nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


FILE = ("--data", "shop.csv", "--series", "web")
USUAL = (*FILE, "--threshold", "150")
NOWHERE = ("--query", "up", "--threshold", "1", "--prometheus", "NOBODY")


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        ((), 2, "nothing to replay: give --data FILE, --query PROMQL (with --prometheus URL) or --scaledobject"),
        ((*USUAL, "--query", "up"), 2, "or --scaledobject FILE.yaml, not --data and --query"),
        ((*USUAL, "--prometheus", "http://x"), 2, "--data and --prometheus: use one of them"),
        (("--query", "up", "--threshold", "1"), 2, "--query: give --prometheus URL"),
        (NOWHERE, 3, "127.0.0.1"),
        ((*NOWHERE, "--timezone", "Mars"), 2, "--timezone 'Mars': must be an IANA name"),
        ((*NOWHERE, "--bundle", "empty"), 2, "--bundle 'empty': "),
        (("--scaledobject", "absent.yaml"), 2, "--scaledobject 'absent.yaml': No such file or directory"),
        (("--scaledobject", "serverless.yaml"), 2, "the trigger names no serverAddress: give --prometheus URL"),
        (("--data", "absent.csv", "--threshold", "1"), 2, "absent.csv: cannot be read: "),
        (("--data", ".", "--threshold", "1"), 2, "cannot be read: "),
        (("--data", "noise.csv", "--threshold", "1"), 2, "noise.csv: lacks the column series, timestamp, value"),
        (("--data", "shop.csv", "--series", "wob", "--threshold", "1"), 2, "did you mean 'web'?"),
        (("--data", "shop.csv", "--series", "counter", "--threshold", "1"), 2, "a raw counter"),
        (FILE, 2, "--threshold: is required"),
        ((*FILE, "--threshold", "0"), 2, "--threshold 0: must be at least 0.001"),
        ((*FILE, "--threshold", "-3"), 2, "--threshold -3: must be at least 0.001"),
        ((*FILE, "--threshold", "nan"), 2, "--threshold nan: must be at least 0.001"),
        ((*FILE, "--threshold", "9000"), 2, "one replica would always be enough"),
        ((*USUAL, "--capacity", "0"), 2, "--capacity 0: must be at least 0.001"),
        ((*USUAL, "--price", "0"), 2, "--price 0: must be above 0"),
        ((*USUAL, "--price", "inf"), 2, "--price inf: must be above 0"),
        ((*USUAL, "--start-up", "soon"), 2, "--start-up 'soon': 'soon' is not a positive duration"),
        ((*USUAL, "--start-up", "3h"), 2, "--start-up 10800 s: with two syncs"),
        ((*USUAL, "--slo", "fast"), 2, "--slo 'fast': must be as 'short minutes per week <= 5'"),
        ((*USUAL, "--timezone", "Mars"), 2, "--timezone 'Mars': must be an IANA name"),
        ((*USUAL, "--forecast-interval", "20s"), 2, "--forecast-interval '20s': must be a duration from 15s"),
        ((*USUAL, "--max-queue-wait", "2h"), 2, "--max-queue-wait '2h': must be a duration from 0s to 3600s"),
        ((*USUAL, "--max-queue-wait", "much"), 2, "--max-queue-wait 'much': must be a duration"),
        ((*USUAL, "--min", "9", "--max", "4"), 2, "--max 4: must not be below --min 9"),
        ((*USUAL, "--max", "4"), 2, "of the time demand needs more than the 4 allowed"),
        ((*USUAL, "--bundle", "empty"), 2, "--bundle 'empty': "),
        ((*USUAL, "--cache", "x", "--no-cache"), 2, "--cache and --no-cache contradict each other"),
        ((*USUAL, "--cache", "shop.csv"), 2, "--cache: shop.csv/forecasts.npz cannot be written: shop.csv is not a"),
        ((*USUAL, "--out", "shop.csv/x"), 2, "--out: shop.csv/x/report.html cannot be written: shop.csv is not a"),
        ((*USUAL, "--decisions", "empty"), 2, "--decisions: empty cannot be written: is a folder"),
        ((*USUAL, "--decisions", "shop.csv"), 2, "--decisions: shop.csv is also the file of --data"),
        (
            (*USUAL, "--out", "a", "--decisions", "a/report.html"),
            2,
            "--decisions: a/report.html is also the file of --out",
        ),
        ((*USUAL, "--out", "a", "--decisions", "a"), 2, "--decisions: a is the folder of --out"),
        ((*USUAL, "--config", "headway.yaml", "--decisions", "headway.yaml"), 2, "is also the file of --config"),
        ((*USUAL, "--decisions", "x" * 250), 2, "cannot be written: its name is longer than 220 bytes"),
        ((*USUAL, "--out", "x" * 300), 2, "cannot be written: file name too long"),
        ((*USUAL, "--replicas-per-node", "4"), 2, "--replicas-per-node 4: needs --price"),
        ((*USUAL, "--price", "1e308"), 2, "--price 1e+308: must be above 0 and at most 1e+09"),
        ((*USUAL, "--min", "200000"), 2, "--min 200000: must not be above the maximum number of replicas, 100000"),
        (("--query", "up", "--prometheus", "NOBODY"), 2, "--threshold: is required"),
        ((*NOWHERE, "--start-up", "3h"), 2, "--start-up 10800 s: with two syncs"),
        ((*NOWHERE, "--query", "avg(cpu)"), 2, "the query does not look like demand: the query uses avg()"),
    ],
)
def test_what_cannot_be_replayed_is_reported(
    recorded: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    cases: list[ReplayCase],
    arguments: Sequence[str],
    status: int,
    told: str,
) -> None:
    """One sentence on standard error, an exit status that tells who is wrong, nothing written."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(recorded, tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "noise.csv").write_text("a,b\n1,2\n")
    (tmp_path / "headway.yaml").write_text("refresh-interval: 15s\n")
    (tmp_path / "serverless.yaml").write_text(OBJECT.replace("prometheus\n", "external\n").replace("SERVER", ""))
    text = (tmp_path / "serverless.yaml").read_text()
    (tmp_path / "serverless.yaml").write_text(text.replace('serverAddress: ""', 'scalerAddress: "headway:1"'))
    before = set(tmp_path.rglob("*"))
    result = asked(*(nobody() if one == "NOBODY" else one for one in arguments))
    assert (result.exit_code, told in result.stderr) == (status, True), result.output
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == ""
    assert set(tmp_path.rglob("*")) == before
    assert cases == []


def test_help_names_every_flag_in_full_and_the_exit_status(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a terminal of 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")
    text = asked("--help").stdout
    assert "--prometheus-bearer-token-file" in text
    assert "--replicas-per-node" in text
    assert "Exit status: 0 fine, whatever the verdict" in " ".join(text.split())


def test_every_flag_and_column_is_documented() -> None:
    """Those of the servers are on the page of the settings."""
    page = (Path(__file__).parents[3] / "docs" / "replay.md").read_text()
    flags = set(re.findall(r"^  (--[a-z-]+)", asked("--help").stdout, re.MULTILINE))
    own = {flag for flag in flags if not flag.startswith("--prometheus-")} - {"--config", "--help"}
    assert len(own) > 20
    assert {flag for flag in own if f"`{flag}" not in page} == set()
    assert {column for column in COLUMNS if f"`{column}`" not in page} == set()


def test_the_users_cache_is_kept_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that was named is left alone."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    quick(monkeypatch)
    recorded = write_values(tmp_path / "shop.csv", step_minutes=1, web=demand(0.5))
    tidied: list[Path] = []
    monkeypatch.setattr("training.replay.simulation.forecasts.forget_oldest", tidied.append)
    flags = ["--bundle", SEASONAL, "--jobs", 1, "--forecast-interval", "300s", "--days", 2]
    for where in ([], ["--cache", tmp_path / "mine"], ["--no-cache"]):
        result = asked("--data", recorded, "--threshold", 150, *flags, *where)
        assert result.exit_code == 0, result.output
    assert tidied == [tmp_path / "headway/replay"]


def test_ctrl_c_leaves_nothing_behind(recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit status 130, a sentence, and no file."""

    def judge(*_: object) -> NoReturn:
        signal.raise_signal(signal.SIGINT)
        raise AssertionError

    monkeypatch.setattr("training.replay.verdict.judge.judge", judge)
    before = set(tmp_path.rglob("*"))
    wrote = ["--out", tmp_path / "out", "--decisions", tmp_path / "d.csv", "--cache", tmp_path / "cache"]
    result = asked("--data", recorded, "--series", "web", "--threshold", 150, *wrote)
    assert result.exit_code == 130, result.output
    assert "headway: interrupted; nothing is left half-written" in result.stderr
    assert set(tmp_path.rglob("*")) == before
