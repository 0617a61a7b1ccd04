"""Helm 3 and Helm 4, as tests call them."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

MAJORS = (3, 4)
_TOOLS = Path(__file__).parent.parent.parent / ".tools"


def run_helm(major: int, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """What one call of that Helm prints and returns, without the caller's own Helm settings."""
    environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": "/nonexistent"}
    return subprocess.run(
        [_helm(major), *map(str, arguments)], capture_output=True, text=True, check=False, env=environment, timeout=60
    )


def _helm(major: int) -> str:
    """Where tools/helm.sh puts that Helm; skips the test where there is none."""
    found = shutil.which("helm", path=_TOOLS / f"helm{major}")
    if found is None:
        pytest.skip(f"needs Helm {major}: `make servers` brings it")
    return found
