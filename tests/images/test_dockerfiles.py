"""The Dockerfiles as far as they can be checked without a container engine; test_install.py runs their steps."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tools.lock import IMAGES, ROOT

DOCKERFILES = sorted(IMAGES.glob("*.Dockerfile"))
each = pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.stem)


def instructions(dockerfile: Path) -> list[tuple[str, str]]:
    """Keyword and argument of every instruction, lines joined."""
    lines = [line for line in dockerfile.read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [(keyword, rest.strip()) for keyword, rest in re.findall(r"^([A-Z]+)\s+(.*)$", joined, re.MULTILINE)]


def final_stage(dockerfile: Path) -> list[tuple[str, str]]:
    every = instructions(dockerfile)
    last = max(number for number, (keyword, _) in enumerate(every) if keyword == "FROM")
    return every[last:]


def test_both_images_have_a_dockerfile():
    assert [path.stem for path in DOCKERFILES] == ["runtime", "training"]


@each
def test_hadolint_finds_nothing(dockerfile: Path):
    hadolint = Path(sys.executable).with_name("hadolint")
    result = subprocess.run([hadolint, dockerfile], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout + result.stderr) == (0, "")


def test_shellcheck_finds_nothing():
    shellcheck = Path(sys.executable).with_name("shellcheck")
    result = subprocess.run([shellcheck, IMAGES / "install.sh"], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout + result.stderr) == (0, "")


@each
def test_the_final_stage_runs_nothing_and_is_not_root(dockerfile: Path):
    """Nothing can be executed there at build time (there is no shell), and nothing runs as root."""
    stage = final_stage(dockerfile)
    assert "RUN" not in dict(stage)
    assert dict(stage)["USER"] == "65532:65532"
    assert dict(stage)["ENTRYPOINT"] == '["headway"]'
    assert dict(stage)["STOPSIGNAL"] == "SIGTERM"
    assert "HEALTHCHECK" in dict(stage)
    for keyword in ("CMD", "ENTRYPOINT"):
        assert dict(stage)[keyword].startswith("[")


@each
def test_the_final_stage_is_labelled(dockerfile: Path):
    (labels,) = [rest for keyword, rest in final_stage(dockerfile) if keyword == "LABEL"]
    names = set(re.findall(r"org\.opencontainers\.image\.([a-z.]+)=", labels))
    assert names >= {"title", "description", "source", "licenses", "version", "revision", "created", "base.name"}


@each
def test_what_is_copied_exists_and_is_sent(dockerfile: Path):
    """.dockerignore keeps everything out but what the Dockerfiles copy."""
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in ignored
    sent = [line.removeprefix("!") for line in ignored if line.startswith("!")]
    copies = [rest.split() for keyword, rest in instructions(dockerfile) if keyword == "COPY" and "--from" not in rest]
    for source in [source for (*sources, _) in copies for source in sources]:
        path = source.replace("${LOCK}", "runtime-object-stores.lock")
        assert (ROOT / path).exists(), path
        assert any(path == one or path.startswith(f"{one}/") for one in sent), path


def test_both_images_stand_on_the_same_base():
    """The same interpreter and C library: a bundle that one trains runs in the other."""
    bases = [re.findall(r"^ARG (\w+_BASE=\S+)$", path.read_text(), re.MULTILINE) for path in DOCKERFILES]
    assert bases[0] == bases[1] != []
