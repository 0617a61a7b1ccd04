"""How long `helm template` takes for the chart, with its smallest and its largest values.

    python benchmarks/chart_render.py [--quick] [--json FILE]

Each figure is the time of one whole call of helm, as a user waits for it.
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.helm.rendering import VALUES, Cluster, render
from tests.servers.helm import MAJORS


def main() -> None:
    options = _parser().parse_args()
    summary: dict[str, float] = {}
    for major in MAJORS:
        for values in ("default", "everything"):
            seconds = [_seconds(major, values) for _ in range(5 if options.quick else 30)]
            summary[f"render_{values}_helm{major}_median_seconds"] = statistics.median(seconds)
            summary[f"render_{values}_helm{major}_max_seconds"] = max(seconds)
    for name, value in summary.items():
        print(f"{name:45} {value:.3f}")
    if options.json:
        options.json.write_text(json.dumps({"summary": summary}, indent=2) + "\n")


def _seconds(major: int, values: str) -> float:
    start = time.perf_counter()
    if error := render(major, Cluster(), "--values", VALUES[values]).error:
        raise SystemExit(error)
    return time.perf_counter() - start


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="5 calls instead of 30")
    parser.add_argument("--json", type=Path, help="write a flat summary of named figures to this file")
    return parser


if __name__ == "__main__":
    main()
