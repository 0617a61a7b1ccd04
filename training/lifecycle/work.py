"""The work folder of a retraining: what is done already, so that a run that was killed goes on where it stopped."""

import fcntl
import json
import os
import shutil
import socket
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from scaler.errors import CommandError
from scaler.files import appearing

STATE, LOCK, FIGURES = "state.json", "lock", "figures"
NOT_OURS = (LOCK, "lost+found")
"""what may be in an empty folder, and stays"""


class FolderTaken(CommandError):
    """Another process works in this folder."""


class FolderOfOthers(CommandError):
    """There is something in this folder that no retraining has put there."""


@dataclass
class State:
    """One retraining under way. asked: what it is about; another question begins anew."""

    asked: dict[str, Any]
    holder: str
    began: float
    until: float
    """end of the history that is pulled"""
    stages: dict[str, Any] = field(default_factory=dict)
    """what each stage that is over has found"""
    left_out: dict[str, str] = field(default_factory=dict)
    """triggers that the model does not learn from, and why"""


class Work:
    """A folder that this process alone works in."""

    def __init__(self, folder: Path, state: State) -> None:
        self.folder = folder
        self.state = state

    @property
    def resumes(self) -> bool:
        """Whether something was done by an earlier process."""
        return bool(self.state.stages)

    def done(self, stage: str, work: Callable[[], Any]) -> Any:
        """What `work` finds, which is JSON; a stage that is over is not done again."""
        if stage not in self.state.stages:
            self.state.stages[stage] = work()
            self.save()
        return self.state.stages[stage]

    def save(self) -> None:
        with appearing(self.folder / STATE) as draft:
            draft.write_text(json.dumps(asdict(self.state), indent=1))

    def remember(self, name: str, work: Callable[[], Any]) -> Any:
        """As `done`, with a file of its own for each name: many processes may work side by side."""
        return remembered(self.folder / FIGURES, name, work)

    def finish(self) -> None:
        """Nothing is left to go on with. The state goes last: whoever is killed before leaves a folder of ours."""
        for path in sorted(self.folder.iterdir(), key=lambda path: path.name == STATE):
            if path.name in NOT_OURS:
                continue
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def remembered(folder: Path, name: str, work: Callable[[], Any]) -> Any:
    """What the file of this name holds, else what `work` finds, which is written there."""
    path = folder / f"{name.replace('%', '%25').replace('/', '%2F')}.json"
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        found = work()
    folder.mkdir(parents=True, exist_ok=True)
    with appearing(path) as draft:
        draft.write_text(json.dumps(found))
    return found


@contextmanager
def working_in(folder: Path, asked: dict[str, Any], now: float, oldest_seconds: float) -> Iterator[Work]:
    """The work in this folder: what an earlier process has left of the same question, unless it is too old.

    Raises FolderTaken while another process works here, and FolderOfOthers where there are files of something else. The
    kernel frees the folder when a process dies.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if others := _of_others(folder):
        raise FolderOfOthers(f"{folder}: holds {others}, which is not of a retraining; name an empty folder")
    with (folder / LOCK).open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FolderTaken(f"{folder}: another process retrains in this folder") from None
        left = _left(folder)
        work = Work(folder, left or State(asked, _holder(), now, now))
        if left is None or left.asked != asked or not 0 <= now - left.began < oldest_seconds:
            # the lease of a dead process is taken over with its name
            work.finish()
            work.state = State(asked, left.holder if left else _holder(), now, now)
            work.save()
        yield work


def _of_others(folder: Path) -> str:
    """A file or folder here, where no retraining has left its state; empty where there is none."""
    if (folder / STATE).exists():
        return ""
    names = (path.name for path in folder.iterdir())
    return next((name for name in names if name not in NOT_OURS and not name.endswith(STATE)), "")


def _left(folder: Path) -> State | None:
    try:
        return State(**json.loads((folder / STATE).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _holder() -> str:
    return f"{socket.gethostname()} (process {os.getpid()}, {uuid.uuid4().hex[:6]})"
