"""What the runtime image needs: its size, its idle memory, and how soon it is ready.

    python benchmarks/install.py [--quick] [--json FILE]

Installs the locked packages by the steps of the Dockerfile, then starts the scaler as the user of the image, on a tree
that it cannot write to, with an empty environment and without triggers. Needs tests/ and the packages' index.
"""

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import httpx
import psutil
import typer

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.images.installed import Installed, installed, serving

NOBODY = "http://127.0.0.1:9"
IDLE_SECONDS = 5.0
"""after which the memory is read: caches are full, and freed memory is back with the system"""


def main(
    quick: Annotated[bool, typer.Option("--quick", help="start it three times, not ten")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="write a flat summary of named figures")] = None,
) -> None:
    with installed() as image:
        starts = [_start(image) for _ in range(3 if quick else 10)]
        seconds, cpu_seconds = zip(*starts, strict=True)
        resident, own = _idle_megabytes(image)
        summary = {
            "installed_mb": image.megabytes,
            "packages": float(len(list(image.tree.rglob("*.dist-info")))),
            "start_to_ready_s": statistics.median(seconds),
            "start_to_ready_s_worst": max(seconds),
            "start_cpu_s": statistics.median(cpu_seconds),
            "idle_rss_mb": resident,
            "idle_own_mb": own,
        }
    for name, value in summary.items():
        print(f"{name:>24} {value:.2f}")
    if json_file is not None:
        json_file.write_text(json.dumps({"summary": summary}, indent=2) + "\n")


def _start(image: Installed) -> tuple[float, float]:
    """Seconds from exec to the first 200 of /readyz; and seconds of its processors, the same on a busy machine."""
    began = time.monotonic()
    with _ready(image) as pid:
        taken = time.monotonic() - began
        spent = psutil.Process(pid).cpu_times()
        return taken, spent.user + spent.system


def _idle_megabytes(image: Installed) -> tuple[float, float]:
    """(resident, without the pages of files: of these Linux maps more or fewer, depending on how they were written)"""
    with _ready(image) as pid:
        time.sleep(IDLE_SECONDS)
        used = psutil.Process(pid).memory_info()
        return used.rss / 2**20, (used.rss - used.shared) / 2**20


@contextmanager
def _ready(image: Installed) -> Iterator[int]:
    """The id of a process that is ready."""
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(image, Path(folder, "log"), "--prometheus", NOBODY) as scaler,
        httpx.Client(base_url=f"http://{scaler.http_address}") as client,
    ):
        while client.get("/readyz").status_code != 200:
            time.sleep(0.01)
        yield scaler.process.pid


if __name__ == "__main__":
    typer.run(main)
