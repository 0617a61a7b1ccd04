"""The locks, and the bills of materials that are built from them."""

import json
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools.audit import ALL_LOCKS
from tools.lock import (
    BUILD_LOCK,
    BUILD_SOURCE,
    DEV_EXTRAS,
    DEV_LOCK,
    IMAGES,
    LOCKS,
    ROOT,
    SUPPLY_CHAIN_LOCK,
    SUPPLY_CHAIN_SOURCE,
    TORCH_LOCK,
    Locked,
    needed,
    read_lock,
    torch_version,
)
from tools.sbom import IMAGE_PYTHON, MACHINES, write_sbom

PYTHONS = ("3.11.2", "3.11.14", "3.12.12", IMAGE_PYTHON)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def of_project(extras: Sequence[str]) -> list[str]:
    """What pyproject.toml asks for with some extras."""
    return sum((PROJECT["optional-dependencies"][extra] for extra in extras), PROJECT["dependencies"])


def of_source(source: Path) -> list[str]:
    return [line for line in source.read_text().splitlines() if not line.startswith("#")]


WANTED = {
    **{IMAGES / name: of_project(extras) for name, extras in LOCKS.items()},
    DEV_LOCK: of_project(DEV_EXTRAS) + of_source(SUPPLY_CHAIN_SOURCE),
    SUPPLY_CHAIN_LOCK: of_source(SUPPLY_CHAIN_SOURCE),
    BUILD_LOCK: of_source(BUILD_SOURCE),
}
locks = pytest.mark.parametrize("lock", WANTED, ids=lambda path: path.stem)


def versions(locked: list[Locked]) -> dict[str, str]:
    found = {canonicalize_name(one.requirement.name): one.version for one in locked}
    assert len(found) == len(locked), "one package twice"
    return found


@pytest.mark.parametrize("lock", ALL_LOCKS, ids=lambda path: path.stem)
def test_every_package_has_hashes_and_no_address(lock: Path):
    """pip then accepts no other file; and a lock names no index, so that a mirror serves as well."""
    locked = read_lock(lock)
    assert locked != []
    assert [one.requirement.name for one in locked if not one.hashes] == []
    assert re.findall(r"\S*(?:://|--index|--extra|--find|@ )\S*", lock.read_text()) == []
    pinned = r"==(\d+!)?[^=<>!~,*]+"
    assert [one.text for one in locked if not re.fullmatch(pinned, str(one.requirement.specifier))] == []


def test_no_lock_is_forgotten():
    """Every lock of the repository is checked here and audited, and every one is made from a source."""
    found = {path for folder in (IMAGES, ROOT / "tools") for path in folder.glob("*.lock")}
    assert found == set(ALL_LOCKS) == {*WANTED, TORCH_LOCK}


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("python", PYTHONS)
@locks
def test_a_lock_satisfies_its_source(lock: Path, python: str, machine: str):
    """Each requirement is locked to a version that it allows, on every Python and processor."""
    locked = versions(needed(read_lock(lock), python, machine))
    locked["torch"] = torch_version()
    wanted = [one for one in map(Requirement, WANTED[lock]) if holds(one, python, machine)]
    unmet = [str(one) for one in wanted if not allows(one, locked.get(canonicalize_name(one.name)))]
    assert unmet == [], "run make lock"


def holds(requirement: Requirement, python: str, machine: str) -> bool:
    return bool(needed([Locked(requirement, "")], python, machine))


def allows(requirement: Requirement, version: str | None) -> bool:
    return version is not None and requirement.specifier.contains(version)


def test_the_images_agree_on_versions():
    """A bundle that one image trains runs in the other: they have the same runtime packages."""
    training = versions(needed(read_lock(IMAGES / "training.lock"), IMAGE_PYTHON, "x86_64"))
    for lock in ("runtime.lock", "runtime-object-stores.lock"):
        runtime = versions(needed(read_lock(IMAGES / lock), IMAGE_PYTHON, "x86_64"))
        assert {name: training.get(name) for name in runtime} == runtime


@pytest.mark.parametrize("python", PYTHONS)
def test_the_tests_run_the_versions_of_the_images(python: str):
    """What `make setup` installs has the same versions."""
    images, dev = (versions(needed(read_lock(lock), python, "x86_64")) for lock in (IMAGES / "training.lock", DEV_LOCK))
    shared = images.keys() & dev.keys()
    assert {name: dev[name] for name in shared} == {name: images[name] for name in shared}
    assert shared >= versions(needed(read_lock(IMAGES / "runtime.lock"), python, "x86_64")).keys()


def test_no_gpu_package_is_locked():
    """They are several GB, and the CPU build of torch has a lock of its own."""
    names = [one.requirement.name for lock in WANTED for one in read_lock(lock)]
    assert [name for name in names if re.match("torch|triton|cuda|nvidia", name)] == []


@pytest.mark.parametrize("lock", LOCKS)
def test_the_bill_of_materials_lists_what_the_image_installs(lock: str, tmp_path: Path):
    """Every package of the lock with version and hashes, and no package of another platform."""
    write_sbom(lock, tmp_path / "sbom.json")
    sbom = json.loads((tmp_path / "sbom.json").read_text())
    listed = {(part["name"], part["version"]): hashes(part) for part in sbom["components"]}
    locked = {
        (one.requirement.name, one.version): set(one.hashes)
        for machine in MACHINES
        for one in needed(read_lock(IMAGES / lock), IMAGE_PYTHON, machine)
    }
    if "training" in LOCKS[lock]:
        [torch] = read_lock(TORCH_LOCK)
        locked["torch", torch.version] = set(torch.hashes)
    assert listed == locked
    assert sbom["bomFormat"] == "CycloneDX"


def hashes(component: dict) -> set[str]:
    return {one["content"] for place in component["externalReferences"] for one in place.get("hashes", [])}
