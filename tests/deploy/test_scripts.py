"""Scripts of the project find its folder, whatever the shell's own settings are."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted(
    str(path.relative_to(ROOT))
    for folder in ("tools", "deploy", ".ci")
    for path in (ROOT / folder).rglob("*")
    if path.is_file() and path.suffix in ("", ".sh") and 'dirname -- "$0"' in path.read_text(errors="ignore")
)


def test_all_scripts_are_found() -> None:
    assert {".ci/run", "deploy/kind/up.sh", "tools/helm.sh", "tools/test_servers.sh"} <= set(SCRIPTS)


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_search_path_of_cd_leads_nowhere_else(script: str, tmp_path: Path) -> None:
    """With CDPATH, a plain `cd tools/..` looks for `tools` elsewhere first."""
    (tmp_path / script).parent.mkdir(parents=True)
    (line,) = [line for line in (ROOT / script).read_text().splitlines() if 'dirname -- "$0"' in line]
    found = subprocess.run(
        ["/bin/bash", "-c", f"{line}\npwd", script],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={"CDPATH": str(tmp_path), "PATH": "/usr/bin:/bin"},
    )
    assert Path(found.stdout.strip()) == ROOT
