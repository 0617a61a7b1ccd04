"""The base install forecasts: a whole scaler process without anything of the training side."""

import time
from pathlib import Path

import pytest

from scaler.commands.check.keda_client import KedaClient, OurTrigger
from tests.e2e.scaler_process import scaler_running
from tests.servers.prometheus import Recorded, prometheus

pytestmark = [pytest.mark.server, pytest.mark.e2e]

HIDE = """
import sys
HIDDEN = ("torch", "pandas", "xgboost", "prophet", "onnx", "onnxscript", "pyarrow", "sklearn", "training")
class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in HIDDEN:
            raise ModuleNotFoundError(f"hidden for this test: {name}", name=name)
sys.meta_path.insert(0, Hide())
print("hidden", file=sys.stderr, flush=True)
"""


def test_serves_forecasts_without_the_training_packages(tmp_path: Path) -> None:
    """With torch, pandas, xgboost, prophet and onnx absent, answers come from a forecast all the same."""
    (tmp_path / "sitecustomize.py").write_text(HIDE)
    begin = time.time() // 60 * 60 - 6 * 3600
    saw_tooth = [(begin + i * 60, 100.0 + i % 60) for i in range(7 * 60)]
    with prometheus(tmp_path / "prometheus", [Recorded("demand", saw_tooth)]) as server:
        options = ("--prometheus", server.url)
        hidden = {"PYTHONPATH": str(tmp_path)}
        with scaler_running(tmp_path, *options, environment=hidden) as scaler, KedaClient(scaler.grpc_address) as keda:
            assert "hidden" in scaler.log.read_text()
            trigger = OurTrigger(0, "shop", "web", {"query": "demand", "threshold": "10", "leadTime": "1h"})
            deadline = time.monotonic() + 30
            # the saw-tooth's top comes within any hour; an answer near it, whatever is observed, is a forecast's
            while (value := keda.metrics(trigger, "headway", "poll").number or 0.0) < 155:
                assert time.monotonic() < deadline, value
                time.sleep(0.2)
