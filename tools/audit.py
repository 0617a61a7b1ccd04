"""Known faults of all that the locks name.

    python -m tools.audit

asks the advisory data of the package index (by pip-audit) about each package and version, of every platform. Ends with
status 0 where all were checked and none has a fault; 1 where one has; 2 where one could not be checked, as without a
network: nothing passes unchecked.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.lock import BUILD_LOCK, DEV_LOCK, IMAGES, LOCKS, SUPPLY_CHAIN_LOCK, TORCH_LOCK, Locked, read_lock

ALL_LOCKS = (BUILD_LOCK, TORCH_LOCK, DEV_LOCK, SUPPLY_CHAIN_LOCK, *(IMAGES / name for name in LOCKS))
FAULTY, UNCHECKED = 1, 2

NAMED = 5
"""packages that a line names"""

NOT_ANSWERED = "pip-audit leaves it out of its answer"


@dataclass(frozen=True, slots=True)
class Findings:
    """faults: one line each. unchecked: `name version` → why."""

    faults: tuple[str, ...]
    unchecked: Mapping[str, str]

    @property
    def status(self) -> int:
        if self.faults:
            return FAULTY
        return UNCHECKED if self.unchecked else 0


def main() -> None:
    locked = [one for lock in ALL_LOCKS for one in read_lock(lock)]
    asked = batches(locked)
    found = [_audit(batch) for batch in asked]
    faults = tuple(dict.fromkeys(fault for one in found for fault in one.faults))
    unchecked = {package: why for one in found for package, why in one.unchecked.items()}
    for line in (*faults, *unchecked_lines(unchecked)):
        print(line)
    count = sum(len(batch) for batch in asked)
    print(f"{count} packages: {len(faults)} known vulnerabilities, {len(unchecked)} not checked")
    sys.exit(Findings(faults, unchecked).status)


def unchecked_lines(unchecked: Mapping[str, str]) -> list[str]:
    """One line per reason, with how many packages it kept from being checked, and some of them."""
    by_reason: dict[str, list[str]] = {}
    for package, why in unchecked.items():
        by_reason.setdefault(why, []).append(package)
    return [f"not checked: {_some(packages)}: {why}" for why, packages in by_reason.items()]


def _some(packages: Sequence[str]) -> str:
    more = len(packages) - NAMED
    named = ", ".join(packages[:NAMED]) + (f" and {more} more" if more > 0 else "")
    return f"{len(packages)} package{'' if len(packages) == 1 else 's'} ({named})"


def batches(locked: Iterable[Locked]) -> list[list[str]]:
    """Requirements `name==version --hash=…`, each once, such that no batch has one package in two versions."""
    made: list[dict[str, str]] = []
    for name, version, digest in dict.fromkeys((one.requirement.name, one.version, one.hashes[0]) for one in locked):
        requirement = f"{name}=={version} --hash=sha256:{digest}"
        if any(batch.get(name, "").startswith(f"{name}=={version} ") for batch in made):
            continue
        batch = next((batch for batch in made if name not in batch), None)
        if batch is None:
            made.append(batch := {})
        batch[name] = requirement
    return [list(batch.values()) for batch in made]


def findings(requirements: Sequence[str], answer: dict[str, Any]) -> Findings:
    """What pip-audit's answer (JSON) says of these requirements; one that it leaves out counts as unchecked."""
    known = {(one["name"], one.get("version", "")): one for one in answer["dependencies"]}
    checked = {(name, version) for name, version in known if "skip_reason" not in known[name, version]}
    faults = [
        f"{name} {version}: {fault['id']}, fixed in {', '.join(fault['fix_versions']) or 'no version'}"
        for (name, version), one in known.items()
        for fault in one.get("vulns", ())
    ]
    skipped = {one["name"]: _why(one) for one in answer["dependencies"] if "skip_reason" in one}
    return Findings(
        tuple(faults),
        {
            f"{name} {version}": skipped.get(name, NOT_ANSWERED)
            for name, version in map(_asked, requirements)
            if (name, version) not in checked
        },
    )


def _why(skipped: Mapping[str, str]) -> str:
    """Its reason without the package at its end, which would make each reason another one."""
    return skipped["skip_reason"].partition(f": {skipped['name']} ")[0]


def _asked(requirement: str) -> tuple[str, str]:
    name, _, version = requirement.split(" ")[0].partition("==")
    return name, version


def _audit(requirements: Sequence[str]) -> Findings:
    with tempfile.TemporaryDirectory() as folder:
        asked, answer = Path(folder, "requirements.txt"), Path(folder, "answer.json")
        asked.write_text("\n".join(requirements))
        options = ["--disable-pip", "--require-hashes", "--progress-spinner=off", "--format=json"]
        command = [sys.executable, "-m", "pip_audit", *options, f"--requirement={asked}", f"--output={answer}"]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        if answer.exists():
            return findings(requirements, json.loads(answer.read_text()))
    last = (ended.stderr.strip().splitlines() or [f"status {ended.returncode}"])[-1]
    why = f"pip-audit gave no answer: {last[:300]}"
    return Findings((), {" ".join(_asked(requirement)): why for requirement in requirements})


if __name__ == "__main__":
    main()
