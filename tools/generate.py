"""Write every generated file, or list the stale ones: `python -m tools.generate [GROUP] [--check]`."""

import argparse
import importlib
import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path

GROUPS = {
    "proto": "tools.wire",
    "docs": "tools.reference",
    "client": "tools.client",
    "chart": "tools.chart",
    "dashboards": "deploy.grafana",
}
"""verb → module whose `PAGES` maps each generated path to the function that returns its content"""
ROOT = Path(__file__).parent.parent


def main() -> int:
    options = _parser().parse_args()
    stale = 0
    for path, content in pages(options.group):
        target = ROOT / path
        if target.exists() and target.read_text() == content():
            continue
        stale += 1
        print(f"{'stale' if options.check else 'wrote'}: {path}")
        if not options.check:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(content())
    if stale and options.check:
        print("run: python -m tools.generate")
    return 1 if stale and options.check else 0


def pages(group: str | None = None) -> Iterator[tuple[str, Callable[[], str]]]:
    """Each generated path of one group (of all, without one) with the function that returns its content."""
    for name, module in GROUPS.items():
        if group in (None, name) and importlib.util.find_spec(module):
            yield from importlib.import_module(module).PAGES.items()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools.generate", description=__doc__)
    parser.add_argument("group", nargs="?", choices=list(GROUPS), help="only these files; everything when left out")
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a file is stale")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
