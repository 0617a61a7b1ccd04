"""Bills of materials (CycloneDX) of the images, from their locks.

    python -m tools.sbom FOLDER

One file per lock: its packages on the Python of the images, with the hashes of all their files. The same locks give the
same files. What the base image holds is not in them.
"""

import subprocess
import sys
from pathlib import Path

from tools.lock import IMAGES, LOCKS, TORCH_LOCK, needed, read_lock

IMAGE_PYTHON = "3.13.5"
MACHINES = ("x86_64", "aarch64")


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name in LOCKS:
        write_sbom(name, folder / f"{Path(name).stem}.cdx.json")


def write_sbom(lock: str, file: Path) -> None:
    """Write the bill of materials of one lock (`runtime.lock`)."""
    locked = read_lock(IMAGES / lock)
    texts = dict.fromkeys(one.text for machine in MACHINES for one in needed(locked, IMAGE_PYTHON, machine))
    if "training" in LOCKS[lock]:
        texts.update((torch.text, None) for torch in read_lock(TORCH_LOCK))
    command = [sys.executable, "-m", "cyclonedx_py", "requirements", "--output-reproducible", "--of", "JSON"]
    subprocess.run([*command, "-o", str(file), "-"], input="".join(texts), text=True, check=True)


if __name__ == "__main__":
    main()
