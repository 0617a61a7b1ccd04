"""The general bundle as a member of an ensemble: there it says what it says by itself; another grid is refused."""

import numpy as np
import pytest

from scaler.bundle import read_bundle
from scaler.forecast.catalog import GENERAL
from training.data.synthetic import population
from training.errors import DataError
from training.evaluate.folds import by_time, training_of
from training.experiment.shipped import BundleModel
from training.export.parity import checked
from training.models import Training
from training.models.ensemble import Ensemble
from training.models.learned import Learned
from training.models.pretrained import PretrainedCore
from training.models.seasonal import SeasonalCore
from training.task import task_for

TASK = task_for(60)


@pytest.fixture(scope="module")
def training() -> Training:
    series = population(2, 4, 60, 5)
    return training_of(by_time(series, TASK, folds=1)[0], TASK, 40, 20)


def test_it_says_what_the_bundle_says(training: Training) -> None:
    """Cut out of the bundle and put between the features and the head of today, it answers as before."""
    past = training.held_out.past
    bundle = BundleModel(read_bundle(GENERAL)).predict_quantiles(past)
    mine = Learned(PretrainedCore(TASK), TASK).predict_quantiles(past)
    size = np.nanmax(bundle.peaks_NWQ)
    np.testing.assert_allclose(mine.quantiles_NHQ, bundle.quantiles_NHQ, atol=1e-5 * size)
    np.testing.assert_allclose(mine.peaks_NWQ, bundle.peaks_NWQ, atol=1e-5 * size)


def test_a_blend_with_it_is_one_graph(training: Training) -> None:
    """Weights are learned, and the exported graph says what the model says."""
    model = Learned(Ensemble((PretrainedCore(TASK), SeasonalCore(TASK)), TASK, name="blend"), TASK)
    figures = model.fit(training)
    assert figures["bucket_5_general"] + figures["bucket_5_seasonal"] == pytest.approx(1)
    assert figures["bucket_5_general"] > 0.5
    assert model.name == "blend"
    checked(model, model.to_onnx(), training.held_out.past.take(np.arange(5)))


def test_another_grid_is_refused() -> None:
    """The field, both values, and what to do instead."""
    rule = "bundle general was made for step_seconds = 60, here it is 300: .*; use the recipe ensemble"
    with pytest.raises(DataError, match=rule):
        PretrainedCore(task_for(300))
