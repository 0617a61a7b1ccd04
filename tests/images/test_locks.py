"""The locks of the images, and the bills of materials that are built from them."""

import json
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools.lock import BUILD_LOCK, IMAGES, LOCKS, ROOT, Locked, needed, read_lock, torch_version
from tools.sbom import IMAGE_PYTHON, MACHINES, write_sbom

PYTHONS = ("3.11.2", "3.11.14", "3.12.12", IMAGE_PYTHON)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def wanted(lock: str) -> list[Requirement]:
    """What pyproject.toml asks for in one lock."""
    extras = [PROJECT["optional-dependencies"][extra] for extra in LOCKS[lock]]
    return [Requirement(text) for text in sum(extras, PROJECT["dependencies"])]


def versions(locked: list[Locked]) -> dict[str, str]:
    found = {canonicalize_name(one.requirement.name): one.version for one in locked}
    assert len(found) == len(locked), "one package twice"
    return found


@pytest.mark.parametrize("lock", [*LOCKS, BUILD_LOCK])
def test_every_package_has_hashes_and_no_address(lock: str):
    """pip then accepts no other file; and a lock names no index, so that a mirror serves as well."""
    locked = read_lock(IMAGES / lock)
    assert [one.requirement.name for one in locked if not one.hashes] == []
    assert re.findall(r"\S*(?:://|--index|--extra|--find|@ )\S*", (IMAGES / lock).read_text()) == []


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_satisfies_pyproject(lock: str, python: str, machine: str):
    """Each requirement is locked to a version that it allows, on every Python and processor."""
    locked = versions(needed(read_lock(IMAGES / lock), python, machine))
    locked["torch"] = torch_version()
    unmet = [str(one) for one in wanted(lock) if not allows(one, locked.get(canonicalize_name(one.name)))]
    assert unmet == [], "run make lock"


def allows(requirement: Requirement, version: str | None) -> bool:
    return version is not None and requirement.specifier.contains(version)


def test_the_images_agree_on_versions():
    """A bundle that one image trains runs in the other: they have the same runtime packages."""
    training = versions(needed(read_lock(IMAGES / "training.lock"), IMAGE_PYTHON, "x86_64"))
    for lock in ("runtime.lock", "runtime-object-stores.lock"):
        runtime = versions(needed(read_lock(IMAGES / lock), IMAGE_PYTHON, "x86_64"))
        assert {name: training.get(name) for name in runtime} == runtime


def test_no_gpu_package_is_locked():
    """They are several GB, and training.Dockerfile installs the CPU build of torch."""
    names = [one.requirement.name for one in read_lock(IMAGES / "training.lock")]
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
        locked["torch", torch_version()] = set()
    assert listed == locked
    assert sbom["bomFormat"] == "CycloneDX"


def hashes(component: dict) -> set[str]:
    return {one["content"] for place in component["externalReferences"] for one in place.get("hashes", [])}
