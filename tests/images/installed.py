"""The runtime image without a container engine: its install steps, its user, its read-only tree, its environment."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers.process import running, wait_until
from tools.lock import IMAGES, ROOT

USER = 65532
SYSTEM_PYTHON = Path("/usr/bin/python3")
DOCKERFILE = IMAGES / "runtime.Dockerfile"
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "scaler")
"""what runtime.Dockerfile copies"""


@dataclass(frozen=True)
class Installed:
    """What the image holds in /opt/headway, and a folder for data, which is writable."""

    tree: Path
    data: Path
    tools: Path
    """pip and the build backend, which stay out of the image"""

    @property
    def python(self) -> Path:
        return self.tree / "bin" / "python3"

    @property
    def megabytes(self) -> float:
        files = [path.lstat().st_size for path in self.tree.rglob("*") if not path.is_dir() or path.is_symlink()]
        return sum(files) / 1e6

    def as_user(self, *command: str | Path) -> "subprocess.CompletedProcess[str]":
        """The ended command, as the user of the image, with an empty environment."""
        return _ended_as_user(*command)


@dataclass
class Running:
    """The scaler as a container would run it."""

    process: "subprocess.Popen[bytes]"
    log: Path
    grpc_address: str = ""
    http_address: str = ""

    def reads_addresses(self) -> bool:
        found = re.search(r'"grpc_address": "([^"]+)", "http_address": "([^"]+)"', self.log.read_text())
        if found:
            self.grpc_address, self.http_address = found.groups()
        return bool(found)


@contextmanager
def installed() -> Iterator[Installed]:
    """A fresh install by the steps of runtime.Dockerfile, then without write permissions; removed on leaving.

    pip takes the packages from where it is set up to; their hashes are those of the lock.
    """
    folder = Path(tempfile.mkdtemp(prefix="headway-image-"))  # not pytest's: others cannot enter that
    folder.chmod(0o755)
    made = Installed(folder / "headway", folder / "data", folder / "tools")
    try:
        _steps(folder, made)
        made.data.mkdir()
        if os.geteuid() == 0:
            os.chown(made.data, USER, USER)
        subprocess.run(["chmod", "-R", "a-w", made.tree], check=True)
        yield made
    finally:
        subprocess.run(["chmod", "-R", "u+w", folder], check=True)
        shutil.rmtree(folder)


def _steps(folder: Path, made: Installed) -> None:
    python, source = _interpreter(), folder / "source"
    for name in SOURCES:
        origin, copy = ROOT / name, source / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        if origin.is_dir():
            shutil.copytree(origin, copy, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(origin, copy)
    for step in (
        ("tools", made.tools),
        ("packages", made.tree, IMAGES / "runtime.lock"),
        ("project", made.tree, source),
        ("finish", made.tree),
    ):
        subprocess.run(
            [IMAGES / "install.sh", *step],
            env={**os.environ, "PYTHON": str(python), "TOOLS": str(made.tools)},
            check=True,
            capture_output=True,
        )


def _interpreter() -> Path:
    """This interpreter, or the system's where the image's user cannot start this one, as below /root."""
    for python in (Path(os.path.realpath(sys.executable)), SYSTEM_PYTHON):
        if _ended_as_user(python, "-c", "import sys, ensurepip; assert sys.version_info >= (3, 11)").returncode == 0:
            return python
    raise RuntimeError(f"no Python that user {USER} can start: install python3-venv (Python 3.11 or newer)")


def _ended_as_user(*command: str | Path) -> "subprocess.CompletedProcess[str]":
    as_user = ["setpriv", *privileges(), "env", "-i", *map(str, command)]
    return subprocess.run(as_user, capture_output=True, text=True, check=False)


def privileges() -> tuple[str, ...]:
    """Options of setpriv(1) for the image's user; none where this process is not root, which then is the user."""
    if os.geteuid() != 0:
        return ("--no-new-privs",)
    return (f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--no-new-privs")


@contextmanager
def serving(image: Installed, log: Path, *options: str) -> Iterator[Running]:
    """`headway serve` on free ports, listening; its environment is empty."""
    addresses = ("--grpc-address", "127.0.0.1:0", "--http-address", "127.0.0.1:0")
    command: list[str | Path] = [
        "env",
        "-i",
        image.tree / "bin" / "headway",
        "serve",
        *addresses,
        "--data-dir",
        image.data,
        *options,
    ]
    with running(command, log, cwd=image.data, privileges=privileges()) as process:
        scaler = Running(process, log)
        wait_until(scaler.reads_addresses, process, log)
        yield scaler


def health_check(port: str) -> Sequence[str]:
    """The HEALTHCHECK of runtime.Dockerfile for another port, without its interpreter."""
    found = re.search(r"^HEALTHCHECK .*\\\n\s+CMD \[(.*)\]$", DOCKERFILE.read_text(), re.MULTILINE)
    assert found, "runtime.Dockerfile has no HEALTHCHECK in exec form"
    _, *arguments = shlex.split(found[1].replace('", "', '" "'))
    return [argument.replace("8080", port) for argument in arguments]
