"""What `headway serve` does before it opens its ports."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from scaler.commands import serve as serve_module
from scaler.commands.serve import LOCK_NAME, held
from scaler.settings import Settings, SettingsInvalid
from tests.servers.process import running, wait_until

SERVE = (sys.executable, "-m", "scaler.cli", "serve", "--grpc-address", "127.0.0.1:0", "--http-address", "127.0.0.1:0")
HOLD = (
    "import sys, time; from pathlib import Path; from scaler.commands.serve import held\n"
    "with held(Path(sys.argv[1])):\n    print('held', flush=True); time.sleep(60)"
)


def test_a_folder_that_another_process_holds_is_refused(tmp_path: Path) -> None:
    """The fault names setting and folder; after kill -9 the folder is free, though its lock file stays."""
    log, folder = tmp_path / "log", tmp_path / "data"
    with running([sys.executable, "-c", HOLD, folder], log) as process:
        wait_until(lambda: "held" in log.read_text(), process, log)
        with pytest.raises(SettingsInvalid) as caught, held(folder):
            pass
        process.send_signal(signal.SIGKILL)
        process.wait()
    (fault,) = caught.value.faults
    assert (fault.field, fault.value) == ("data-dir", str(folder))
    assert (folder / LOCK_NAME).exists()
    with held(folder):
        pass


def test_a_folder_is_free_after_its_holder(tmp_path: Path) -> None:
    """Leaving gives it back, also within one process."""
    with held(tmp_path), pytest.raises(SettingsInvalid), held(tmp_path):
        pass
    with held(tmp_path):
        pass


def test_a_folder_that_cannot_be_made_is_left_to_the_store(tmp_path: Path) -> None:
    """A read-only container starts all the same."""
    (tmp_path / "file").touch()
    with held(tmp_path / "file" / "data"):
        pass


def test_a_folder_that_was_asked_for_must_be_writable(tmp_path: Path) -> None:
    """Else the operator would believe that it keeps history."""
    (tmp_path / "file").touch()
    with pytest.raises(SettingsInvalid, match=r"data-dir=.*cannot be written .Not a directory.: mount"):  # noqa: SIM117
        with held(tmp_path / "file" / "data", required=True):
            pass


def test_a_bug_is_the_last_line_of_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With its place, as one JSON object, and exit status 1."""

    def run(_: Settings) -> None:
        raise LookupError("a bug")

    monkeypatch.setattr(serve_module, "run", run)
    with pytest.raises(SystemExit) as ended:
        serve_module.serve(Settings(data_dir=tmp_path))
    assert ended.value.code == 1
    line = json.loads(capsys.readouterr().err.splitlines()[-1])
    assert (line["event"], line["error"]) == ("crashed", "LookupError: a bug")
    assert "in run" in line["exception"]


@pytest.mark.e2e
def test_a_second_process_on_one_folder_exits_2(tmp_path: Path) -> None:
    """The first one tells its settings, without secrets, and goes on; the second one tells the fault and ends."""
    log = tmp_path / "log"
    command = (*SERVE, "--data-dir", str(tmp_path / "data"), "--redis", "redis://:geheim@127.0.0.1:9/0")
    with running(command, log, cwd=tmp_path) as first:
        wait_until(lambda: '"listening"' in log.read_text(), first, log)
        second = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert second.returncode == 2
    assert "data-dir=" in second.stderr
    assert '"listening"' not in second.stderr
    told = json.loads(log.read_text().splitlines()[0])
    assert (told["event"], "refresh-interval" in told["settings"]) == ("settings", False)
    assert told["settings"]["redis"] == "redis://***@127.0.0.1:9/0"
    assert "geheim" not in log.read_text()
