"""What the general model learns from."""

import numpy as np
import pytest

from tests.training.shipped.recorded import series
from training.data.load import Series
from training.data.windows import Windows
from training.evaluate.folds import Part, windows_of
from training.shipped import data
from training.shipped.data import mixtures, shortened, training_windows
from training.task import DAY_SECONDS, Task, task_for

TASK = task_for(900)


def windows(one: Series, task: Task = TASK) -> Windows:
    return windows_of([Part(one, one.start, one.end)], task, 20)


def test_a_mixture_is_as_long_as_its_shortest_part_and_of_no_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its mean says nothing of how large the parts were, and the same seed gives the same mixtures."""
    monkeypatch.setattr(data, "CROWDED", 0.0)
    parts = [series("small", 6, 1), series("large", 9, 1e6), series("long", 20, 50)]
    found = mixtures(parts, 5, seed=1)
    assert {len(one.values) for one in found} <= {6 * 96, 9 * 96}
    assert [float(one.values.mean()) for one in found] == pytest.approx([100.0] * 5)
    again = mixtures(parts, 5, seed=1)
    assert all(np.array_equal(one.values, other.values) for one, other in zip(found, again, strict=True))
    assert len({one.values.tobytes() for one in found}) == 5
    assert mixtures(parts, 1, seed=2)[0].values.tobytes() not in {one.values.tobytes() for one in found}


@pytest.mark.parametrize("seed", range(5))
def test_crowds_come_to_mixtures(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Then there is more of the demand for a while, and never less."""
    parts, found = [series("small", 6, 1), series("large", 9, 1e6)], []
    for share in (0.0, 1.0):
        monkeypatch.setattr(data, "CROWDED", share)
        found += [mixtures(parts, 1, seed)[0].values]
    more = found[1] / found[0]
    assert more.min() == pytest.approx(1, abs=1e-5)
    assert more.max() > 1.1


def test_a_gap_of_one_part_is_a_gap_of_the_mixture() -> None:
    """Nobody knows the sum where nobody knows one of them."""
    holey = series("holey")
    holey.values[100:110] = np.nan
    mixed = mixtures([holey, series("whole")], 1, seed=0)[0]
    assert np.isnan(mixed.values).sum() == 10


def test_a_shortened_history_begins_later_on_both_grids() -> None:
    """Newer values stay as they are, older ones are missing, whatever the resolution."""
    whole = windows(series("one")).past
    cut = shortened(whole, np.full(len(whole), 7200.0), TASK)
    assert np.array_equal(cut.history_NT[:, -8:], whole.history_NT[:, -8:], equal_nan=True)
    assert np.isnan(cut.history_NT[:, :-8]).all()
    assert np.array_equal(cut.long_history_NL2[:, -8:], whole.long_history_NL2[:, -8:], equal_nan=True)
    assert np.isnan(cut.long_history_NL2[:, :-8]).all()


def test_training_windows_are_of_all_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Recorded, mixed and synthetic ones to learn from, some of them shortened; held out is the end of the records."""
    for name, value in {"STEP_SECONDS": 900, "SYNTHETIC": 3, "MIXTURES": 2, "MIXTURE_WINDOWS": 10}.items():
        monkeypatch.setattr(data, name, value)
    monkeypatch.setattr(data, "SYNTHETIC_WINDOWS", 10)
    monkeypatch.setattr(data, "SHORTENED", 0.5)
    recorded = [series("a", 30), series("b", 30, 500)]
    learn, held = training_windows(recorded, TASK)
    systems = {name.split("/")[0] for name in learn.names}
    assert systems == {"clarknet_http_requests_1min", "mixed", "synthetic"}
    assert held.names == ("clarknet_http_requests_1min/a", "clarknet_http_requests_1min/b")
    border = recorded[0].end - data.HELD_OUT * (recorded[0].end - recorded[0].start)
    mine = [s for s, name in enumerate(learn.names) if not name.startswith("synthetic")]
    assert learn.cutoff_N[np.isin(learn.past.series_N, mine)].max() <= border <= held.cutoff_N.min()
    month = np.isfinite(learn.past.long_history_NL2[:, :, 0]).sum(axis=1) * 900
    assert 0.2 < (month < 7 * DAY_SECONDS).mean() < 0.9
