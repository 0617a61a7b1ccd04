"""The base install: the scaler runs where nothing of the training side is installed."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent

HIDDEN = ("torch", "pandas", "xgboost", "prophet", "onnx", "onnxscript", "sklearn", "training")

HIDE = f"""
import sys

class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {HIDDEN!r}:
            raise ModuleNotFoundError(f"hidden for this test: {{name}}", name=name)

sys.meta_path.insert(0, Hide())
sys.path.insert(0, {str(ROOT)!r})
"""


def run_hidden(program: str) -> subprocess.CompletedProcess[str]:
    """The program in an interpreter that cannot import what the base install does not have."""
    return subprocess.run(
        [sys.executable, "-c", HIDE + program], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )


def test_hiding_works():
    """Otherwise the tests below would prove nothing."""
    result = run_hidden("import torch")
    assert "hidden for this test: torch" in result.stderr


@pytest.mark.parametrize(
    "module", ["scaler.cli", "scaler.app.service", "scaler.app.backends", "scaler.forecast.onnx_forecaster"]
)
def test_modules_import_without_the_training_side(module):
    """What `headway serve` is made of needs none of the hidden packages."""
    result = run_hidden(f"import {module}")
    assert result.returncode == 0, result.stderr


def test_command_line_answers_without_the_training_side():
    """`headway --help` lists its commands."""
    result = run_hidden("sys.argv = ['headway', '--help']\nfrom scaler.cli import main\nmain()")
    assert result.returncode == 0, result.stderr
    assert "serve" in result.stdout


def test_serving_loads_nothing_heavy_at_import():
    """Importing the command line does not import what only a running scaler or a user of files needs."""
    program = (
        "import scaler.cli\nprint([n for n in ('onnxruntime', 'sqlalchemy', 'redis', 'starlette') if n in sys.modules])"
    )
    result = run_hidden(program)
    assert result.stdout.strip() == "[]", result.stdout + result.stderr
