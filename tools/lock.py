"""The locks: all that the images and `make setup` install, for every platform, with the hashes of its files.

    python -m tools.lock [--upgrade]

writes them from pyproject.toml. Versions that a lock already names stay while they satisfy pyproject.toml; --upgrade
takes the newest ones. torch.lock is written by hand: the index that has torch's CPU build is not the one of the others.
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
    "runtime.lock": ("tracing",),
    "runtime-object-stores.lock": ("object-stores", "tracing"),
    "training.lock": ("object-stores", "tracing", "training"),
}
"""the extras of pyproject.toml in each lock of an image"""
TOOLS = ROOT / "tools"
DEV_LOCK, DEV_EXTRAS = TOOLS / "dev.lock", ("training", "tracing", "dev")
"""what `make setup` installs"""
SUPPLY_CHAIN_LOCK, SUPPLY_CHAIN_SOURCE = TOOLS / "supply-chain.lock", TOOLS / "supply-chain.in"
"""what reads the locks; dev.lock has it, too"""
BUILD_LOCK, BUILD_SOURCE = IMAGES / "build.lock", IMAGES / "build.in"
"""pip and the build backend"""
TORCH_LOCK = IMAGES / "torch.lock"
PROJECT = ROOT / "pyproject.toml"

HEADER = "# Written by `make lock` from pyproject.toml. Do not edit.\n"
TORCH_HEADER = "# Without torch, whose CPU build is in deploy/images/torch.lock.\n"
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
    """The version of torch that the training image and `make setup` install."""
    [torch] = read_lock(TORCH_LOCK)
    return torch.version


def main() -> None:
    upgrade = sys.argv[1:]
    _write(BUILD_LOCK, [BUILD_SOURCE], upgrade, [])
    for name, extras in LOCKS.items():
        _write(IMAGES / name, [PROJECT], [*upgrade, *_extras(extras)], [])
    of_images = _pins(IMAGES / "training.lock") + _pins(BUILD_LOCK)
    _write(DEV_LOCK, [PROJECT, SUPPLY_CHAIN_SOURCE], [*upgrade, *_extras(DEV_EXTRAS)], of_images)
    _write(SUPPLY_CHAIN_LOCK, [SUPPLY_CHAIN_SOURCE], upgrade, _pins(DEV_LOCK))


def _extras(names: Sequence[str]) -> list[str]:
    return [f"--extra={name}" for name in names]


def _pins(lock: Path) -> list[str]:
    return [str(locked.requirement) for locked in read_lock(lock)]


def _write(lock: Path, sources: Sequence[Path], options: Sequence[str], constraints: Sequence[str]) -> None:
    compile_lock = ("uv", "pip", "compile", "--quiet")
    universal = ("--universal", "--python-version", "3.11", "--generate-hashes")
    plain = ("--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links")
    command = [sys.executable, "-m", *compile_lock, *universal, *plain, *options, "-c", "-"]
    subprocess.run(
        [*command, *map(str, sources), "-o", str(lock)],
        cwd=ROOT,
        input="\n".join((f"torch=={torch_version()}", *constraints)),
        text=True,
        check=True,
    )
    packages = [locked.text for locked in read_lock(lock)]
    kept = [text for text in packages if not OF_TORCH.match(text)]
    lock.write_text(HEADER + (TORCH_HEADER if len(kept) < len(packages) else "") + "".join(kept))


if __name__ == "__main__":
    main()
