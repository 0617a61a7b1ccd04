"""Nothing leaves the cluster, also by what others' packages do unasked."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize("module", ["scaler.forecast.onnx_forecaster", "training.export.quantize"])
def test_onnxruntime_sends_nothing(module, tmp_path):
    """It keeps no device id and no queue of events, whoever of ours loads it first.

    The environment is nearly empty, because on a CI server it keeps silent by itself.
    """
    program = f"import {module}\nfrom scaler.forecast.catalog import SEASONAL\n"
    program += "from scaler.forecast.onnx_forecaster import load_forecaster\nload_forecaster(SEASONAL)"
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.rglob("*onnxruntime*"))
