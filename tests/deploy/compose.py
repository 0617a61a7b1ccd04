"""The local stack's compose file, as `docker compose` reads it."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"


def read_compose(variables: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The file with `variables` in place of `${NAME:-default}`."""
    given = variables or {}
    text = (DEPLOY / "compose.yaml").read_text()
    return yaml.safe_load(re.sub(r"\$\{(\w+):-([^}]*)\}", lambda found: given.get(found[1], found[2]), text))
