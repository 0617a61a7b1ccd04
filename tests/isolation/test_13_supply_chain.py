"""13. Supply chain: what is installed is locked with hashes and bounded above, and what runs in CI is named by hash."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from tools.audit import NOT_ANSWERED, batches, findings, unchecked_lines
from tools.lock import BUILD_SOURCE, IMAGES, ROOT, SUPPLY_CHAIN_SOURCE, Locked

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yaml"))
SCRIPTS = sorted(
    path
    for pattern in (
        "Makefile",
        ".ci/run",
        "tools/*.sh",
        "deploy/**/*.sh",
        "deploy/images/*.Dockerfile",
        ".github/workflows/*",
    )
    for path in ROOT.glob(pattern)
)
DOWNLOADS = re.compile(
    r"\b(?:pip3?|uv|pipx|\$\(LOCKED\)|\$\(PROJECT\)|pip_into)\b.*\b(?:install|download|wheel|sync)\b"
)
OTHER_DOWNLOADS = re.compile(
    r"\b(?:curl|wget|npm|npx|pipx|uvx|git clone|go install|cargo install|helm plugin install)\s"
)


def requirements() -> list[str]:
    optional = PROJECT["project"]["optional-dependencies"].values()
    groups = [PROJECT["build-system"]["requires"], PROJECT["project"]["dependencies"], *optional]
    sources = [path.read_text().splitlines() for path in (BUILD_SOURCE, SUPPLY_CHAIN_SOURCE)]
    return [one for group in (*groups, *sources) for one in group if not one.startswith("#")]


def bounded(requirement: Requirement) -> bool:
    return any(one.operator in ("<", "<=", "==", "~=") for one in requirement.specifier)


def test_every_requirement_has_an_upper_bound():
    """A release with a number that nobody has seen is not installed: runtime, training, development, build."""
    assert len(requirements()) > 60
    assert [one for one in requirements() if not bounded(Requirement(one))] == []


def commands(path: Path) -> list[str]:
    """The lines of a script or Makefile, continued lines joined, without comments."""
    lines = path.read_text().replace("\\\n", " ").splitlines()
    return [line.strip() for line in lines if not line.lstrip().startswith("#")]


def unlocked(command: str) -> bool:
    """Does the command let pip take a file whose hash no lock names?"""
    if not re.search(r"\bpip\b[^|;&]*\s(?:install|download|wheel)\b", command):
        return False
    if "--no-index" in command:  # no file is fetched
        return "--no-build-isolation" not in command and "--editable" in command
    if re.search(r"\bpip\b[^|;&]*\swheel\b", command):  # of the project alone, with the build backend of the lock
        return not ("--no-deps" in command and "--no-build-isolation" in command)
    return "--require-hashes" not in command


def test_unlocked_installs_are_recognised():
    """Otherwise the tests below would prove nothing."""
    bad = ("pip install x==1", "python -m pip --quiet install -r a.lock", "pip wheel --no-deps .", "pip download x")
    good = ("pip install --require-hashes -r a.lock", "pip wheel --no-deps --no-build-isolation .", "echo pip")
    assert [unlocked(one) for one in bad] == [True] * len(bad)
    assert [unlocked(one) for one in good] == [False] * len(good)


@pytest.mark.parametrize("goal", ["setup", "run", "servers", "test", "chart", "lock", "sbom", "audit"])
def test_make_installs_only_what_is_locked(goal: str):
    """As make would run it in a fresh clone."""
    printed = subprocess.run(
        ["make", "--dry-run", "--always-make", goal], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    installs = [line for line in printed.splitlines() if re.search(r"\bpip\b", line)]
    assert [line for line in installs if unlocked(line)] == []
    assert (installs != []) == (goal in ("setup", "run", "test", "lock", "sbom", "audit"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_nothing_is_downloaded_without_a_checksum(script: Path):
    """pip checks hashes of a lock, apt the signature of the distribution; nothing else fetches."""
    lines = [line for line in commands(script) if "pip_into()" not in line and "$environment" not in line]
    text = [line.replace("pip_into", "pip install") for line in lines]
    text = [line for line in text if not re.match(r"(LOCKED|PROJECT) :=", line)]
    assert [line for line in text if unlocked(line)] == []
    assert [line for line in text if re.search(r"(^|[;&|(\s])(?:curl|wget|npx?|npm|uvx|pipx)\s|git clone", line)] == []
    assert [
        line for line in text if re.search(r"allow-unauth|--trusted-host|force-yes|AllowInsecure|\[trusted=", line)
    ] == []


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_every_action_is_named_by_its_commit(workflow: Path):
    """A tag can be moved by whoever takes over the action; the version stands beside it."""
    uses = re.findall(r"\buses:\s*(.*)$", workflow.read_text(), re.MULTILINE)
    assert uses
    assert [one for one in uses if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+(\.\d+)+", one)] == []


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_starts_with_few_rights(workflow: Path):
    """It may read the repository, and leaves no credentials in the checkout; a job asks for more itself."""
    parsed = yaml.safe_load(workflow.read_text())
    assert parsed["permissions"] == {"contents": "read"}
    checkouts = [
        step for job in parsed["jobs"].values() for step in job["steps"] if "actions/checkout" in step.get("uses", "")
    ]
    assert [step for step in checkouts if step.get("with", {}).get("persist-credentials") is not False] == []


@pytest.mark.parametrize("dockerfile", sorted(IMAGES.glob("*.Dockerfile")), ids=lambda path: path.stem)
def test_base_images_are_named_by_digest(dockerfile: Path):
    """The same files on every machine; and no frontend is fetched by a tag."""
    text = dockerfile.read_text()
    bases = re.findall(r"^ARG \w+_BASE=(\S+)$", text, re.MULTILINE)
    assert len(bases) == 2
    assert [one for one in bases if not re.fullmatch(r"[\w./-]+:[\w.-]+@sha256:[0-9a-f]{64}", one)] == []
    assert re.findall(r"^FROM (?!\$\{\w+_BASE\})(.*)$", text, re.MULTILINE) == []
    assert "# syntax=" not in text


def locked(name: str, version: str) -> Locked:
    return Locked(Requirement(f"{name}=={version}"), f"{name}=={version} --hash=sha256:{'0' * 64}")


def test_an_audit_asks_for_every_version_once():
    """Of several locks and platforms; one question has no package twice, which pip-audit refuses."""
    asked = batches([locked("a", "1"), locked("b", "1"), locked("a", "2"), locked("a", "1"), locked("c", "3")])
    names = [[requirement.split(" ")[0] for requirement in batch] for batch in asked]
    assert names == [["a==1", "b==1", "c==3"], ["a==2"]]


def test_a_package_that_was_not_checked_does_not_pass():
    """pip-audit itself ends well where the index answers nothing: it only skips."""
    asked = ["a==1 --hash=x", "b==1 --hash=x", "c==1 --hash=x"]
    fault = {"id": "PYSEC-1", "fix_versions": ["1.1"]}
    answer = {
        "dependencies": [{"name": "a", "version": "1", "vulns": [fault]}, {"name": "b", "skip_reason": "not found"}]
    }
    found = findings(asked, answer)
    assert found.faults == ("a 1: PYSEC-1, fixed in 1.1",)
    assert found.unchecked == {"b 1": "not found", "c 1": NOT_ANSWERED}
    assert (found.status, findings(asked[1:2], answer | {"dependencies": []}).status) == (1, 2)
    clean = {"dependencies": [{"name": "a", "version": "1", "vulns": []}]}
    assert findings(asked[:1], clean).status == 0


STAND_IN = """
import json, sys
from pathlib import Path
options = dict(one.split("=", 1) for one in sys.argv[1:] if "=" in one)
lines = Path(options["--requirement"]).read_text().splitlines()
packages = [line.split(" ")[0].split("==") for line in lines]
answer = MODE
if answer is None:
    sys.exit("requests.exceptions.ConnectionError: no name resolution")
Path(options["--output"]).write_text(json.dumps({"dependencies": [answer(*one) for one in packages]}))
"""
CLEAN = 'lambda name, version: {"name": name, "version": version, "vulns": []}'
FAULTY = """lambda name, version: {"name": name, "version": version,
    "vulns": [{"id": "PYSEC-7", "fix_versions": []}] if name == "idna" else []}"""
SKIPPED = 'lambda name, version: {"name": name, "skip_reason": f"not found: {name} ({version})"}'


@pytest.mark.parametrize(
    ("mode", "status", "said"),
    [
        (CLEAN, 0, "packages: 0 known vulnerabilities, 0 not checked"),
        (FAULTY, 1, "PYSEC-7, fixed in no version"),
        (SKIPPED, 2, " more): not found\n"),
        ("None", 2, "pip-audit gave no answer: requests.exceptions.ConnectionError"),
    ],
    ids=["clean", "faulty", "skipped", "unreachable"],
)
def test_make_audit_reports_what_it_could_not_check(mode: str, status: int, said: str, tmp_path: Path):
    """With a stand-in for pip-audit: no test asks a server outside."""
    (tmp_path / "pip_audit.py").write_text(STAND_IN.replace("MODE", mode))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path), str(ROOT)))}
    result = subprocess.run(
        [sys.executable, "-m", "tools.audit"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stderr) == (status, "")
    assert said in result.stdout
    assert result.stdout.count("not checked: ") <= 1


def test_packages_that_were_not_checked_share_a_line():
    """Where the index answers nothing, hundreds of them have one reason."""
    many = {f"p{number} 1": "not found" for number in range(250)}
    lines = unchecked_lines(many | {"q 1": "another reason"})
    assert lines == [
        "not checked: 250 packages (p0 1, p1 1, p2 1, p3 1, p4 1 and 245 more): not found",
        "not checked: 1 package (q 1): another reason",
    ]
