"""Where tests find the programs that they start."""

from pathlib import Path

import pytest

from tests.servers import programs
from tests.servers.programs import find_program, program

NAME = "headway-no-such-server"


def executable(folder: Path) -> str:
    folder.mkdir()
    path = folder / NAME
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return str(path)


def test_what_is_unpacked_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The path comes first, then the folder of unpacked packages."""
    monkeypatch.setattr(programs, "_UNPACKED", tmp_path / "unpacked")
    unpacked = executable(tmp_path / "unpacked")
    assert find_program(NAME) == unpacked
    installed = executable(tmp_path / "installed")
    monkeypatch.setenv("PATH", str(tmp_path / "installed"))
    assert find_program(NAME) == installed


def test_what_is_nowhere_is_skipped_with_a_hint() -> None:
    """The hint names the verb that brings it."""
    assert find_program(NAME) is None
    with pytest.raises(pytest.skip.Exception, match="make servers"):
        program(NAME)
