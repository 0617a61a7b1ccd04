"""The locks of the images: every package of every platform, with the hashes of its files.

    python -m tools.lock [--upgrade]

writes them from pyproject.toml. Versions that a lock already names stay while they satisfy pyproject.toml; --upgrade
takes the newest ones.
"""

import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
IMAGES = ROOT / "deploy" / "images"
LOCKS: dict[str, tuple[str, ...]] = {
    "runtime.lock": (),
    "runtime-object-stores.lock": ("object-stores",),
    "training.lock": ("object-stores", "training"),
}
"""the extras of pyproject.toml in each"""
BUILD_LOCK = "build.lock"

HEADER = "# Written by `make lock` from pyproject.toml. Do not edit.\n"
TORCH_HEADER = "# Without torch: training.Dockerfile installs its CPU build.\n"
OF_TORCH = re.compile(r"(torch|triton|cuda-[\w-]+|nvidia-[\w-]+)==")
"""torch, and what only its GPU build needs"""


@dataclass(frozen=True, slots=True)
class Locked:
    """One package of a lock. `requirement` pins its version; its marker says where it is needed."""

    requirement: Requirement
    text: str
    """with its hashes, as pip reads it"""

    @property
    def version(self) -> str:
        return next(iter(self.requirement.specifier)).version

    @property
    def hashes(self) -> list[str]:
        return re.findall(r"--hash=sha256:([0-9a-f]{64})\b", self.text)


def read_lock(lock: Path) -> list[Locked]:
    """The packages of a lock file."""
    texts = re.split(r"^(?=[^\s#])", lock.read_text(), flags=re.MULTILINE)[1:]
    return [Locked(Requirement(re.split(r"\\?\s+--hash", text, maxsplit=1)[0]), text) for text in texts]


def needed(locked: Sequence[Locked], python: str, machine: str) -> list[Locked]:
    """What the lock installs on Linux, with one Python ("3.13.5") on one kind of processor ("aarch64")."""
    environment = {
        "python_version": python.rpartition(".")[0],
        "python_full_version": python,
        "sys_platform": "linux",
        "platform_system": "Linux",
        "os_name": "posix",
        "platform_machine": machine,
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }
    return [one for one in locked if one.requirement.marker is None or one.requirement.marker.evaluate(environment)]


def torch_version() -> str:
    """The version of torch that the training image installs."""
    found = re.search(r"^ARG TORCH_VERSION=(\S+)$", (IMAGES / "training.Dockerfile").read_text(), re.MULTILINE)
    if found is None:
        raise SystemExit("training.Dockerfile: has no line ARG TORCH_VERSION=…")
    return found[1]


def main() -> None:
    upgrade = sys.argv[1:]
    for name, extras in LOCKS.items():
        _write(IMAGES / name, "pyproject.toml", [*upgrade, *(f"--extra={extra}" for extra in extras)])
    _write(IMAGES / BUILD_LOCK, "deploy/images/build.in", upgrade)


def _write(lock: Path, source: str, options: Sequence[str]) -> None:
    universal = ("--universal", "--python-version", "3.11", "--generate-hashes")
    plain = ("--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links")
    subprocess.run(
        [
            sys.executable,
            "-m",
            "uv",
            "pip",
            "compile",
            "--quiet",
            *universal,
            *plain,
            *options,
            "-c",
            "-",
            source,
            "-o",
            str(lock),
        ],
        cwd=ROOT,
        input=f"torch=={torch_version()}\n",
        text=True,
        check=True,
    )
    packages = [locked.text for locked in read_lock(lock)]
    kept = [text for text in packages if not OF_TORCH.match(text)]
    lock.write_text(HEADER + (TORCH_HEADER if len(kept) < len(packages) else "") + "".join(kept))


if __name__ == "__main__":
    main()
