"""The folder of a trained model while a process runs: swapped, damaged in every file, and gone."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from random import Random

import scaler.bundle

from .suite import Fault, Run, one_by_one
from .world import hooked, replicas, triggers

FAMILY = "bundle"
SHIPPED = Path(scaler.bundle.__file__).parent / "shipped"
HOOK = """
import scaler.app.bundles
scaler.app.bundles.RELOAD_SECONDS = 1.0
"""
"""a process that looks for new bundles every second, not once a minute"""


def run_family(run: Run) -> None:
    """One scaler with a folder of its own, which is read all the time."""
    folder = run.place("bundles")
    place = folder / "bundle"
    shutil.copytree(SHIPPED / "general", place)
    options = ("--prometheus", run.prometheus.url, "--bundle", str(place))
    with replicas(folder, 1, *options, environment=hooked(folder, HOOK)) as group:
        wanted = triggers(run.prometheus.url)
        group.until_forecast(wanted)
        with group.watched(wanted) as watches:
            faults = _faults(place, run.random)
            one_by_one(run, FAMILY, faults[: 2 if run.quick else None], watches, 1, run.times(4, 2))


def _faults(place: Path, random: Random) -> list[Fault]:
    def fault(name: str, change: Callable[[Path], object]) -> Fault:
        return Fault(name, _changed(place, change), long_seconds=12, short_seconds=4)

    return [
        fault("swapped for another model", _swapped),
        fault("graph: bytes flipped", lambda at: _flip(at / "model.onnx", random)),
        fault("graph cut in half", lambda at: _cut(at / "model.onnx")),
        fault("graph of another bundle", lambda at: shutil.copy(SHIPPED / "seasonal" / "model.onnx", at)),
        fault("manifest: bytes flipped", lambda at: _flip(at / "manifest.json", random)),
        fault("manifest is no JSON", lambda at: (at / "manifest.json").write_text("{")),
        fault("reference: bytes flipped", lambda at: _flip(at / "reference.npz", random)),
        fault("files missing", lambda at: (at / "model.onnx").unlink()),
        fault("folder gone", shutil.rmtree),
    ]


def _changed(place: Path, change: Callable[[Path], object]) -> Callable[[], AbstractContextManager[None]]:
    @contextmanager
    def injected() -> Iterator[None]:
        change(place)
        try:
            yield
        finally:
            shutil.rmtree(place, ignore_errors=True)
            shutil.copytree(SHIPPED / "general", place)

    return injected


def _swapped(place: Path) -> None:
    """File by file, so that a reader can meet half of each."""
    for file in (SHIPPED / "seasonal").iterdir():
        shutil.copy(file, place)


def _flip(file: Path, random: Random) -> None:
    content = bytearray(file.read_bytes())
    for _ in range(20):
        content[random.randrange(len(content))] = random.randrange(256)
    file.write_bytes(content)


def _cut(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)
