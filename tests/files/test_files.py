"""Files that are followed as they change, and files that appear when they are complete."""

import os
import ssl
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from scaler.errors import SettingsError
from scaler.files import LARGEST_BYTES, FollowedFiles, appearing, reason_of


def number_in(path: Path) -> FollowedFiles[int]:
    return FollowedFiles([path], lambda: int(path.read_text()))


def test_a_value_is_read_again_when_its_file_changes(tmp_path: Path) -> None:
    """Written anew, replaced by another file of the same size and age, or reached by a link that moved."""
    first, second, link = tmp_path / "1", tmp_path / "2", tmp_path / "link"
    first.write_text("1")
    second.write_text("2")
    os.utime(second, ns=(first.stat().st_atime_ns, first.stat().st_mtime_ns))
    link.symlink_to(first)
    followed = number_in(link)
    seen = [followed.current()]
    (tmp_path / "new").symlink_to(second)
    (tmp_path / "new").replace(link)
    seen.append(followed.current())
    second.write_text("33")
    seen.append(followed.current())
    assert seen == [1, 2, 33]


def test_a_file_that_did_not_change_is_read_once(tmp_path: Path) -> None:
    """Following is one stat."""
    path, reads = tmp_path / "1", []
    path.write_text("1")
    followed = FollowedFiles([path], lambda: reads.append(path.read_text()) or len(reads))
    assert [followed.current(), followed.current(), followed.current()] == [1, 1, 1]


@pytest.mark.parametrize("content", ["x", None, b"\xff"])
def test_a_file_that_is_wrong_leaves_the_last_good_value(tmp_path: Path, content: str | bytes | None) -> None:
    """The log shows it once, without what the file holds, and a good file after it is taken."""
    path = tmp_path / "number"
    path.write_text("1")
    followed = number_in(path)
    assert followed.current() == 1
    path.unlink()
    if content is not None:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    with capture_logs() as logged:
        assert [followed.current() for _ in range(3)] == [1, 1, 1]
    assert [(line["event"], line["files"]) for line in logged] == [("files_not_renewed", [str(path)])]
    path.write_text("22")
    with capture_logs() as logged:
        assert followed.current() == 22
    assert [line["event"] for line in logged] == ["files_renewed"]


def test_a_file_that_was_never_good_is_an_error(tmp_path: Path) -> None:
    """Every time, until it is good."""
    path = tmp_path / "number"
    followed = number_in(path)
    for _ in range(2):
        with pytest.raises(FileNotFoundError):
            followed.current()
    path.write_text("x")
    with pytest.raises(ValueError):
        followed.current()
    path.write_text("5")
    assert followed.current() == 5


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (FileNotFoundError(2, "No such file or directory", "s3cret"), "No such file or directory"),
        (UnicodeDecodeError("utf-8", b"s3cret", 0, 1, "s3cret"), "not UTF-8 text"),
        (ssl.SSLError(1, "s3cret"), "not PEM that belongs together (unreadable)"),
        (ValueError("s3cret"), "ValueError"),
        (SettingsError("our words"), "our words"),
    ],
)
def test_reasons_hold_nothing_of_the_file(error: Exception, reason: str) -> None:
    """A library's text may repeat what it read."""
    assert reason_of(error) == reason


def test_a_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    """With its folders; nothing is left of one that was not finished."""
    path = tmp_path / "a" / "b.json"
    with appearing(path) as draft:
        draft.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"

    def fail() -> None:
        with appearing(path) as draft:
            draft.write_text("half")
            raise ValueError

    with pytest.raises(ValueError):
        fail()
    assert path.read_text() == "whole"
    assert sorted(tmp_path.rglob("*")) == [path.parent, path]


def test_a_pipe_in_place_of_a_file_is_not_waited_for(tmp_path: Path) -> None:
    """Nobody writes to it: reading it would stop the event loop."""
    path = tmp_path / "number"
    path.write_text("1")
    followed = number_in(path)
    assert followed.current() == 1
    path.unlink()
    os.mkfifo(path)
    with capture_logs() as logged:
        assert followed.current() == 1
    assert [line["reason"] for line in logged] == ["it is a pipe or device, not a file"]


def test_a_file_without_end_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "number"
    path.write_text("1")
    followed = number_in(path)
    assert followed.current() == 1
    os.truncate(path, LARGEST_BYTES + 1)
    with capture_logs() as logged:
        assert followed.current() == 1
    assert [line["reason"] for line in logged] == ["it has more than 16 MiB"]
