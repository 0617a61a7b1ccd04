"""The demo of a model's life: what the gate refuses is not served, and a model that is worse loses its say."""

import asyncio
import re
import time
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from scaler.app.service import loop_factory
from scaler.cli import app
from scaler.models import Kind
from scaler.store.model_index import open_model_index
from tests.training.recording import write_values
from training.demo.jobs import DAY_SECONDS, checkout_requests
from training.demo.making import BY, MODEL, RECIPE, judged, refused, written
from training.demo.serving import served
from training.demo.stage import SCALING, staged
from training.experiment.train import Order, run

ANSWER = re.compile(r"demand is ([\d,]+), KEDA gets ([\d,]+)")


def midnight() -> float:
    return time.time() // DAY_SECONDS * DAY_SECONDS


@pytest.fixture(scope="module")
def poor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that has learned from noise: its p90 is far too high."""
    folder = tmp_path_factory.mktemp("poor")
    noise = np.random.default_rng(1).lognormal(4, 1.5, 3 * 1440)
    data = write_values(folder / "noise.csv", step_minutes=1, noise=noise)
    run(Order("naive", (data,), folder / "poor", 60, windows=50, name="poor"))
    return folder / "poor"


def decisions(data_dir: Path) -> list[tuple[Kind, str, str]]:
    """(what, by whom, why), the newest first."""

    async def work() -> list[tuple[Kind, str, str]]:
        index = open_model_index(None, data_dir)
        found = await index.decisions(10)
        await index.close()
        return [(one.kind, one.by, one.reason) for one in found]

    return asyncio.run(work())


def test_what_the_gate_refuses_is_not_promoted(poor: Path, tmp_path: Path) -> None:
    end = midnight()
    trace = checkout_requests(end - 10 * DAY_SECONDS, end, end, end)
    verdict = judged(poor, written(trace, end, tmp_path / "d.csv"), "shop/checkout", SCALING)
    assert not verdict.passed
    assert [line for line in verdict.lines if line.startswith("NO ")]
    refused(poor, str(tmp_path / "bundles"), tmp_path / "data", verdict)
    assert [(kind, by) for kind, by, _ in decisions(tmp_path / "data")] == [(Kind.REFUSED, BY)]


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    """What is kept there would be mixed with an earlier run."""
    (tmp_path / "mine").write_text("kept")
    result = CliRunner().invoke(app, ["models", "demo", "--work", str(tmp_path)])
    assert result.exit_code == 2
    assert "must be a folder that is new or empty" in str(result.exception) + result.output
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that has learned the jobs of the demo, from fewer windows than there."""
    folder = tmp_path_factory.mktemp("own")
    stage = staged(midnight(), folder, 300)
    data = written(stage.trace, stage.begin, folder / "demand.csv")
    run(Order(RECIPE, (data,), folder / "own", 60, windows=100, name=MODEL))
    return folder / "own"


@pytest.mark.e2e
def test_a_model_steps_down_is_rolled_back_and_the_forecast_returns(own: Path, tmp_path: Path) -> None:
    """In this order, within the demo; each is told, and commands show why."""
    stage = staged(midnight(), tmp_path, 300)
    stage.bundles.mkdir()
    told: list[str] = []
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        life = runner.run(served(stage, own, None, told.append))
    text = "\n".join(told)
    assert life.went_well, text
    events = [stage.promoted_from, life.serves_from, life.stepped_down_at, life.rolled_back_at, life.returned_at]
    moments = [moment for moment in events if moment is not None]
    assert len(moments) == len(events), text
    assert moments == sorted(moments)
    for in_order in (
        ["is promoted for shop", "demand changes:", "STEPPED DOWN", "ROLLED BACK", "RETURNED"],
        ["demand changes:", "demand changes again:", "RETURNED"],
    ):
        assert [text.index(one) for one in in_order] == sorted(text.index(one) for one in in_order)
    _shows_what_kedas_trigger_would(text)
    _commands_show_it(told)
    kinds = [(kind, reason) for kind, _, reason in decisions(stage.data_dir)]
    assert [kind for kind, _ in kinds] == [Kind.ROLLED_BACK, Kind.PROMOTED, Kind.PUBLISHED]
    assert "times that of its predecessor" in kinds[0][1]


def _shows_what_kedas_trigger_would(text: str) -> None:
    """Once the forecast has stepped down KEDA gets demand as it is; before, the model had it get far more."""
    before, _, after = text.partition("STEPPED DOWN")
    badly = answers(before.partition("demand changes:")[2].partition("demand changes again:")[0])
    assert sum(keda for _, keda in badly) > 2 * sum(demand for demand, _ in badly)
    without = after.partition("ROLLED BACK")[0]
    assert "rung observation_alone" in without
    assert min(keda / demand for demand, keda in answers(without)) < 1.1


def answers(text: str) -> list[tuple[float, float]]:
    """(demand, what KEDA gets) of each line that says so."""
    return [(float(demand.replace(",", "")), float(keda.replace(",", ""))) for demand, keda in ANSWER.findall(text)]


def _commands_show_it(told: list[str]) -> None:
    outputs = [text for text in told if text.startswith("\n$ headway")]
    (first, *last) = outputs
    assert first.startswith("\n$ headway why shop checkout")
    assert "has stepped down: over about two days its loss was" in " ".join(first.split())
    listed, logged, why, savings = last
    assert "$ headway models list" in listed
    assert "rolled back to no champion for shop" in " ".join(logged.split())
    assert "forecast of general@1" in why
    assert "replica hours" in savings
