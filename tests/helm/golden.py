"""The rendered chart as it was last looked at: `python -m tests.helm.golden` writes it anew (`make golden`)."""

from pathlib import Path

from tests.helm.rendering import HERE, VALUES, rendered

FOLDER = HERE / "golden"


def golden_file(values: str) -> Path:
    return FOLDER / f"{values}.yaml"


def write() -> None:
    """Renders every value set into its file, and removes files without a value set."""
    FOLDER.mkdir(exist_ok=True)
    for values in VALUES:
        result = rendered(values)
        if result.error:
            raise SystemExit(f"{values}: {result.error}")
        golden_file(values).write_text(result.text)
    for path in FOLDER.glob("*.yaml"):
        if path.stem not in VALUES:
            path.unlink()


if __name__ == "__main__":
    write()
