"""The demo of a model's life: what the gate refuses is not served, and a model that is worse is rolled back."""

import asyncio
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
from training.demo.jobs import QUERY, checkout_requests
from training.demo.making import BY, SCOPE, judged, released, written
from training.demo.serving import Stage, served
from training.experiment.train import Order, run
from training.lifecycle.publishing import Release, publish
from training.lifecycle.replaying import Scaling

DAY = 86_400.0
METADATA = {"query": QUERY, "threshold": "10", "leadTime": "3m"}


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
    begin = time.time() // 60 * 60
    data = written(checkout_requests(begin, begin + 10 * DAY, begin + 10 * DAY), begin + 10 * DAY, tmp_path / "d.csv")
    verdict = judged(poor, data, "shop/checkout", Scaling(10.0, 180.0, QUERY))
    assert not verdict.passed
    assert [line for line in verdict.lines if line.startswith("NO ")]
    assert released(poor, str(tmp_path / "bundles"), tmp_path / "data", verdict) is None
    assert [(kind, by) for kind, by, _ in decisions(tmp_path / "data")] == [(Kind.REFUSED, BY)]


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    """What is kept there would be mixed with an earlier run."""
    (tmp_path / "mine").write_text("kept")
    result = CliRunner().invoke(app, ["models", "demo", "--work", str(tmp_path)])
    assert result.exit_code == 2
    assert "must be a folder that is new or empty" in str(result.exception) + result.output
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.e2e
def test_a_model_that_is_worse_is_rolled_back(poor: Path, tmp_path: Path) -> None:
    """Within the day, with the reason in the log of decisions; commands show the general model in its place."""
    bundles, data_dir = tmp_path / "bundles", tmp_path / "data"
    bundles.mkdir()

    async def promoted() -> str:
        index = open_model_index(None, data_dir)
        release = Release(poor, str(bundles), SCOPE, probation_seconds=DAY, by=BY)
        done = await publish(index, release, None, None)
        await index.close()
        return done.model

    model = asyncio.run(promoted())
    begin = time.time() // 60 * 60
    end = begin + DAY
    trace = checkout_requests(begin - 3 * DAY, end, begin + 3600)
    stage = Stage(METADATA, trace, data_dir, str(bundles), begin, begin + 3600, end, 900)
    told: list[str] = []
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        assert runner.run(served(stage, model, told.append)), told
    (newest, *_) = decisions(data_dir)
    assert newest[0] is Kind.ROLLED_BACK
    assert "times that of its predecessor" in newest[2]
    text = "\n".join(told)
    assert f"forecasts of {model}, rung forecast_and_observation" in text
    assert text.index("demand changes") < text.index("forecasts of general@1")
    for shown in (
        "$ headway models list",
        "rolled back to no champion for shop",
        "forecast of general@1",
        "replica hours",
    ):
        assert shown in text
