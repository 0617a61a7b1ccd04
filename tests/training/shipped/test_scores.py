"""How the general model is judged."""

from dataclasses import replace

import numpy as np
import pytest

from tests.training.shipped.recorded import series
from training.data.windows import Past
from training.shipped.scores import HISTORIES, MINUTES, Score, scores, summary
from training.task import Prediction, task_for

TASK = replace(task_for(60), peak_steps=(2, 5, 15, 60))


def flat(size: float) -> object:
    """Says that nothing will ever be above `size` of the newest demand."""

    def ask(past: Past) -> Prediction:
        newest = past.history_NT[:, -1][:, None, None] * np.float32(size)
        levels, leads = len(TASK.levels), len(TASK.peak_steps)
        return Prediction(np.tile(newest, (1, TASK.horizon_steps, levels)), np.tile(newest, (1, leads, levels)))

    return ask


def test_a_model_scores_one_against_itself_and_more_when_it_is_worse() -> None:
    """For each series, amount of history and window length."""
    recorded = [replace(series("a", 60, system="shop"), step_seconds=60)]
    equal = list(scores(recorded, TASK, flat(1.1), flat(1.1)))
    assert [one.ratio for one in equal] == pytest.approx([1.0] * len(HISTORIES) * len(MINUTES))
    worse = list(scores(recorded, TASK, flat(9.0), flat(1.1)))
    assert min(one.ratio for one in worse) > 1.5
    assert {one.covered for one in worse} == {1.0}
    assert {one.system for one in worse} == {"shop"}


def test_the_summary_tells_the_median_and_the_worst() -> None:
    """Over all series of all systems, and each system by itself."""
    found = [
        Score(system, history, minutes, ratio, 0.9)
        for history in HISTORIES
        for minutes in MINUTES
        for system, ratio in (("a", 0.5), ("a", 0.7), ("b", 1.25))
    ]
    told = summary(found)
    assert told["weeks, 5 min: loss"] == 0.7
    assert told["3 hours, 60 min: worst loss"] == 1.25
    assert told["a day, 2 min: p90 coverage"] == 0.9
    assert (told["a: loss"], told["b: loss"]) == (0.6, 1.25)
