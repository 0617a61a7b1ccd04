"""ScaledObjects that are inspected in a process of their own."""

import subprocess
import sys

import pytest

from scaler.manifest import ManifestError
from scaler.page.trying import EXAMPLE
from scaler.status import inspecting
from scaler.trigger import Trigger, TriggerRules

RULES = TriggerRules("http://prometheus:9090")
LOADED = (
    "import sys; from scaler.status.inspecting import main; print(*{'numpy', 'starlette', 'grpc'} & set(sys.modules))"
)


async def test_the_process_finds_what_this_one_finds() -> None:
    objects, skipped = await inspecting.inspected_apart(EXAMPLE + "---\nkind: Service\nmetadata: {name: x}\n", RULES)
    assert (objects, skipped) == inspecting.inspected(EXAMPLE + "---\nkind: Service\nmetadata: {name: x}\n", RULES)
    assert skipped == ["Service"]
    assert isinstance(objects[0].triggers[0].read, Trigger)


async def test_a_text_that_cannot_be_read_says_where() -> None:
    with pytest.raises(ManifestError, match="line 2"):
        await inspecting.inspected_apart("kind: ScaledObject\nspec: ]\n", RULES)


async def test_a_process_that_does_not_end_or_start_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspecting, "SECONDS", 0.001)
    with pytest.raises(ManifestError, match=r"takes more than 0\.001 s"):
        await inspecting.inspected_apart(EXAMPLE, RULES)
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(inspecting.CannotInspect, match="could not be read now"):
        await inspecting.inspected_apart(EXAMPLE, RULES)


def test_the_process_loads_no_server() -> None:
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
