"""The rendered chart as it was last looked at: `python -m tests.helm.golden` writes it anew (`make golden`)."""

import re
from pathlib import Path

from tests.helm.rendering import HERE, VALUES, rendered

FOLDER = HERE / "golden"


def golden_file(values: str) -> Path:
    return FOLDER / f"{values}.yaml"


def without_files(text: str) -> str:
    """The rendered text without rules and dashboards: they are files of their own."""
    documents = text.split("\n---\n")
    return "\n---\n".join(_without_file(document) for document in documents)


def _without_file(document: str) -> str:
    if "kind: PrometheusRule" in document:
        return re.sub(r"\nspec:\n.*", "\nspec: # the groups of files/rules", document, flags=re.DOTALL)
    if "grafana_dashboard:" in document:
        return re.sub(r"\ndata:\n.*", "\ndata: # a file of files/dashboards", document, flags=re.DOTALL)
    return document


def write() -> None:
    """Renders every value set into its file, and removes files without a value set."""
    FOLDER.mkdir(exist_ok=True)
    for values in VALUES:
        result = rendered(values)
        if result.error:
            raise SystemExit(f"{values}: {result.error}")
        golden_file(values).write_text(without_files(result.text))
    for path in FOLDER.glob("*.yaml"):
        if path.stem not in VALUES:
            path.unlink()


if __name__ == "__main__":
    write()
