"""Scripts and styles, read once: those of this package, and uPlot out of its own."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

STATIC = Path(__file__).parent / "static"
TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class StaticFile:
    content: bytes
    media_type: str


@cache
def static_files() -> Mapping[str, StaticFile]:
    """By name."""
    own = {path.name: path for path in sorted(STATIC.iterdir()) if path.suffix in TYPES}
    paths = own | {path.name: path for path in _uplot()}
    return {name: StaticFile(path.read_bytes(), TYPES[path.suffix]) for name, path in paths.items()}


@cache
def version() -> str:
    """A digest of all files: it is a part of their addresses, so browsers may keep them for ever."""
    every = (name.encode() + file.content for name, file in sorted(static_files().items()))
    return hashlib.sha256(b"".join(every)).hexdigest()[:12]


def _uplot() -> list[Path]:
    """Its script and its style. Without the style it draws in the wrong place."""
    found = find_spec("youplot")
    assert found is not None
    assert found.origin is not None
    vendor = Path(found.origin).parent / "vendor"
    return [vendor / "uplot.iife.min.js", vendor / "uplot.min.css"]
