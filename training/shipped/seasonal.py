"""Makes the seasonal bundle that ships with the scaler, and the tiny golden one of the tests.

python -m training.shipped.seasonal            write both
python -m training.shipped.seasonal --check    exit with 1 and print the differences if one is not up to date
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from scaler.bundle import Bundle, Manifest
from training.export.bundle import bundle_of, export, stale
from training.export.reference import reference_cases
from training.seasonal import SeasonalModel, build

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "scaler" / "bundle" / "shipped" / "seasonal"
GOLDEN = ROOT / "tests" / "bundle" / "golden"

TINY = SeasonalModel(
    steps=120,
    coarse_seconds=3600,
    coarse_steps=72,
    horizon_steps=12,
    levels=(0.1, 0.5, 0.9),
    peak_steps=(1, 2, 5, 10),
    minimum_history_steps=20,
    anchors=(1, 2, 5, 10),
    level_steps=(1, 2, 5),
    origin_stride=5,
    recent_steps=60,
    restless_steps=10,
    strength_lags=(1, 3),
)


def seasonal_bundle(model: SeasonalModel, name: str, version: str) -> Bundle:
    """The seasonal model as a bundle, its reference cases answered and checked."""
    manifest = Manifest(
        name=name,
        version=version,
        step_seconds=model.step_seconds,
        steps=model.steps,
        horizon_steps=model.horizon_steps,
        coarse_seconds=model.coarse_seconds,
        coarse_steps=model.coarse_steps,
        levels=model.levels,
        peak_steps=model.peak_steps,
        minimum_history_steps=model.minimum_history_steps,
        graph_sha256="0" * 64,
        trained={"method": "seasonal quantiles; no learned parameters", "data": "none", "code": "training.seasonal"},
        data_licence="none: no data went into it",
    )
    return bundle_of(build(model), manifest, reference_cases(manifest))


def shipped() -> Bundle:
    return seasonal_bundle(SeasonalModel(), "seasonal", "1")


def golden() -> Bundle:
    return seasonal_bundle(TINY, "golden", "1")


MADE = ((SHIPPED, shipped), (GOLDEN, golden))


def differences() -> list[str]:
    """What is not up to date, a sentence each."""
    return [found for folder, make in MADE for found in stale(make(), folder)]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m training.shipped.seasonal")
    parser.add_argument("--check", action="store_true", help="compare only")
    if parser.parse_args(arguments).check:
        found = differences()
        print("\n".join(found) or "bundles are up to date")
        return 1 if found else 0
    for folder, make in MADE:
        export(make(), folder)
        print(f"wrote {folder.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
