"""The workflows of the public CI: valid, of named versions, with the least permissions."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").iterdir())
WRITES = {"packages", "id-token", "attestations"}
"""what a job may write: packages, and the identity with which it signs them"""

every_workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)


def jobs(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load(path.read_text())["jobs"].values())


def test_workflows_are_valid() -> None:
    """As the schema of GitHub's workflows says."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", *WORKFLOWS]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


@every_workflow
def test_actions_have_a_version(path: Path) -> None:
    """None follows a branch, and no checkout leaves a token behind."""
    for job in jobs(path):
        for step in job["steps"]:
            if used := step.get("uses"):
                assert re.fullmatch(r"[\w-]+/[\w./-]+@(v\d+(\.\d+){0,2}|[0-9a-f]{40})", used), used
                if used.startswith("actions/checkout@"):
                    assert step["with"]["persist-credentials"] is False


@every_workflow
def test_permissions_are_the_least(path: Path) -> None:
    """A workflow reads; a job that publishes writes packages and signs."""
    workflow = yaml.safe_load(path.read_text())
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 120
        writes = {name for name, level in job.get("permissions", {}).items() if level == "write"}
        assert writes <= WRITES


def scripts(path: Path) -> list[str]:
    return [step["run"] for job in jobs(path) for step in job["steps"] if "run" in step]


@every_workflow
def test_scripts_are_clean(path: Path) -> None:
    """Shellcheck finds nothing, and no expression of GitHub's is pasted into a script."""
    for script in scripts(path):
        assert "${{" not in script, script
        checked = subprocess.run(
            [Path(sys.executable).with_name("shellcheck"), "--shell=bash", "-"],
            input=script,
            capture_output=True,
            text=True,
            check=False,
        )
        assert checked.returncode == 0, checked.stdout


@every_workflow
def test_programs_of_the_project_exist(path: Path) -> None:
    """A script calls only verbs of the Makefile and files of the project."""
    verbs = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for script in scripts(path):
        assert set(re.findall(r"\bmake ([a-z-]+)", script)) <= verbs
        for program in re.findall(r"(?<![\w.])(?:tools|deploy)/[\w./-]+|\.ci/run", script):
            assert (ROOT / program).exists(), program
