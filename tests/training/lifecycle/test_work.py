"""The work folder of a retraining: nothing in it that is of somebody else is ever removed."""

from pathlib import Path

import pytest

from training.lifecycle.work import FolderOfOthers, working_in

QUESTION = {"of": "a test"}


@pytest.mark.parametrize("what", ["notes.txt", "data/"])
def test_a_folder_of_something_else_is_left_as_it_is(tmp_path: Path, what: str) -> None:
    if what.endswith("/"):
        (tmp_path / what).mkdir()
    else:
        (tmp_path / what).write_text("precious")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(FolderOfOthers, match=what.rstrip("/")), working_in(tmp_path, QUESTION, 0.0, 1.0):
        pytest.fail("it begins to work")
    assert sorted(tmp_path.iterdir()) == before


def test_what_is_in_an_empty_file_system_stays(tmp_path: Path) -> None:
    """As at the root of a volume."""
    (tmp_path / "lost+found").mkdir()
    with working_in(tmp_path, QUESTION, 0.0, 1.0) as work:
        (tmp_path / "figures").mkdir()
        work.finish()
    assert {path.name for path in tmp_path.iterdir()} == {"lost+found", "lock"}


def test_an_own_folder_is_begun_anew_for_another_question(tmp_path: Path) -> None:
    """Also where its state cannot be read."""
    with working_in(tmp_path, QUESTION, 0.0, 10.0) as work:
        work.done("pulled", lambda: 3)
    with working_in(tmp_path, QUESTION, 1.0, 10.0) as work:
        assert work.resumes
    with working_in(tmp_path, {"of": "another"}, 1.0, 10.0) as work:
        assert not work.resumes
    (tmp_path / "state.json").write_text("{")
    with working_in(tmp_path, QUESTION, 2.0, 10.0) as work:
        assert not work.resumes
