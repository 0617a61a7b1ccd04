"""What the record of a run says of its input."""

import hashlib
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from scaler import __version__
from training.data.clean import Cleaned
from training.errors import DataError
from training.evaluate.folds import Fold
from training.task import Task

PACKAGES = ("numpy", "pandas", "onnx", "onnxruntime", "onnxscript", "torch", "xgboost-cpu", "prophet", "scikit-learn")


def hashes(paths: Sequence[Path]) -> dict[Path, str]:
    """SHA-256 of each file. Raises DataError for one that cannot be read."""
    try:
        return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
    except OSError as error:
        raise DataError(f"{error.filename}: cannot be read: {error.strerror}") from None


def findings_of(cleaned: Sequence[Cleaned]) -> dict[str, list[dict[str, str]]]:
    """The findings of cleaning for the record: by series, in order of time."""
    return {one.name: [finding.record for finding in one.report] for one in cleaned if one.report}


def record_of(
    paths: Sequence[Path], data: Mapping[Path, str], timezone: str, threads: int, seed: int, task: Task, fold: Fold
) -> dict[str, object]:
    """The input of a run."""
    return {
        "data": {path.name: data[path] for path in paths},
        "step_seconds": task.grid.step_seconds,
        "seed": seed,
        "threads": threads,
        "timezone": timezone,
        "headway": __version__,
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
        "series": [f"{part.series.system}/{part.series.name}" for part in fold.test],
        "left_out": [str(one) for one in fold.left_out],
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
