"""Where the programs are that tests start."""

import os
import shutil
from pathlib import Path

import pytest

_UNPACKED = Path(__file__).parent.parent.parent / ".tools" / "bin"


def find_program(name: str) -> str | None:
    """The program on the path, in Debian's folders for servers, or where tools/test_servers.sh unpacks those that it
    may not install; None where there is none."""
    folders = (os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", str(_UNPACKED))
    return shutil.which(name, path=os.pathsep.join(folders))


def program(name: str) -> str:
    """The same; skips the test, saying how to get the program, where there is none."""
    found = find_program(name)
    if found is None:
        pytest.skip(f"needs {name}: `make servers` brings it")
    return found
