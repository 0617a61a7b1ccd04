"""Permutation importance: what a model relies on costs it much when it is exchanged, and nothing else does."""

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest

from tests.training.evaluate.forecasts import TASK, forecast, windows
from training.data.windows import Past, Truth, Windows
from training.evaluate.importance import MOST_WINDOWS, demand_loss, importance
from training.features.extract import SEASONAL_SUBJECT, SEQUENCE_SUBJECT, CoreInputs, Extracted, Extractor
from training.models.naive import Naive
from training.task import Prediction

TRUTH = 1.0 + np.arange(40, dtype=np.float32) % 7


@dataclass
class Reader:
    """Knows the truth from one of its inputs: a column's subject, the sequence, or the seasonal model."""

    relies_on: str
    subjects: tuple[str, ...] = ("slopes", "calendar", "calendar", SEASONAL_SUBJECT)

    def extract(self, past: Past) -> Extracted:
        known = TRUTH[: len(past)]
        columns = np.zeros((len(known), 4), np.float32)
        columns[:, [name == self.relies_on for name in self.subjects]] = known[:, None]
        seen = CoreInputs(columns, known[:, None, None], known[:, None, None])
        nothing = np.zeros((len(known), 1), np.float32)
        return Extracted(seen, nothing, nothing, np.ones(len(known), np.bool_), nothing[:, 0])

    def predict_extracted(self, seen: Extracted) -> Prediction:
        by_input = {SEQUENCE_SUBJECT: seen.seen.sequence_NPC, SEASONAL_SUBJECT: seen.seen.seasonal_NKQ}
        read = by_input.get(self.relies_on, seen.seen.features_NF[:, 1:3])
        assert read is not None
        point = 1.2 * read.reshape(len(read), -1).mean(axis=1)
        return Prediction(*(np.tile(point[:, None, None], (1, size, len(TASK.levels))) for size in (6, 3)))


def known_windows() -> Windows:
    some = windows(systems=1, of_each=1, count=40)
    return replace(some, truth=Truth(np.tile(TRUTH[: len(some), None], (1, 6))))


@pytest.mark.parametrize("relies_on", ["calendar", SEQUENCE_SUBJECT, SEASONAL_SUBJECT])
def test_what_a_model_relies_on_is_first(relies_on: str) -> None:
    """The loss at least doubles without it; the others can be exchanged for nothing."""
    found = importance(Reader(relies_on), known_windows(), TASK)
    assert set(found) == {"slopes", "calendar", SEASONAL_SUBJECT, SEQUENCE_SUBJECT}
    assert next(iter(found)) == relies_on
    assert found.pop(relies_on) > 1
    assert set(found.values()) == {0.0}


def test_models_without_features_have_no_importance() -> None:
    assert importance(Naive(), known_windows(), TASK) == {}


def test_the_windows_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many windows, some spread over all are extracted."""
    some, sizes = known_windows(), []
    monkeypatch.setattr("training.evaluate.importance.MOST_WINDOWS", 16)

    class Counting(Reader):
        def extract(self, past: Past) -> Extracted:
            sizes.append(len(past))
            return super().extract(past)

    importance(Counting("calendar"), some, TASK)
    assert len(some) == 40 < MOST_WINDOWS
    assert sizes == [14]


def test_every_column_has_a_subject() -> None:
    """As many as columns, none empty, and no more than a reader can take in."""
    extract = Extractor(TASK)
    assert len(extract.subjects) == len(extract.names)
    assert all(extract.subjects)
    assert 5 <= len(set(extract.subjects)) <= 12


def test_the_loss_of_demand_is_the_same_in_all_units() -> None:
    """A series of a thousand times the size counts the same; an unknown truth or answer does not count."""
    held_out = windows(systems=2, of_each=1)
    said = forecast(held_out, 0.2)
    loss = demand_loss(TASK, held_out, said)
    factor_N = np.where(held_out.series_N == 0, 1000, 1)[:, None]
    larger = replace(held_out, truth=Truth((factor_N * held_out.truth.demand_NH).astype(np.float32)))
    resized = Prediction(factor_N[:, :, None] * said.quantiles_NHQ, factor_N[:, :, None] * said.peaks_NWQ)
    assert demand_loss(TASK, larger, resized) == pytest.approx(loss, rel=1e-5)
    assert demand_loss(TASK, held_out, forecast(held_out, 0.4)) > 1.5 * loss
    rest = np.arange(1, len(held_out))
    fewer = Prediction(said.quantiles_NHQ[rest], said.peaks_NWQ[rest])
    wanted = demand_loss(TASK, held_out.take(rest), fewer)
    said.quantiles_NHQ[0], said.peaks_NWQ[0] = np.nan, np.nan
    assert demand_loss(TASK, held_out, said) == pytest.approx(wanted)
    said.quantiles_NHQ[:], said.peaks_NWQ[:] = np.nan, np.nan
    assert math.isnan(demand_loss(TASK, held_out, said))
