"""The scores, by hand on a few numbers and against other libraries, on data with gaps and zeros."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import (
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_pinball_loss,
    r2_score,
    root_mean_squared_error,
)
from utilsforecast import losses

from training.data.windows import Truth
from training.evaluate import metrics

LEVELS = (0.1, 0.5, 0.9)


def noisy(seed: int = 0, windows: int = 40, steps: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """Truth [N, H] with gaps and zeros, and quantiles [N, H, Q] near it."""
    random = np.random.default_rng(seed)
    truth = random.gamma(2.0, 10.0, (windows, steps)).astype(np.float32)
    truth[random.random(truth.shape) < 0.1] = 0.0
    middle = truth * random.lognormal(0.0, 0.3, truth.shape)
    quantiles = np.stack([middle * 0.6, middle, middle * 1.5], axis=-1).astype(np.float32)
    truth[random.random(truth.shape) < 0.15] = np.nan
    return truth, quantiles


def known(truth: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as flat float64, without the gaps."""
    there = ~np.isnan(truth)
    return truth[there].astype(np.float64), values[there].astype(np.float64)


def test_pinball_by_hand():
    """A quantile that falls short costs its level, one that exceeds costs the rest."""
    truth = np.array([10.0, 10.0, np.nan, 0.0])
    quantiles = np.array([[8.0, 12.0], [10.0, 14.0], [1.0, 1.0], [0.0, 5.0]])
    assert metrics.pinball_loss(truth, quantiles, (0.25, 0.9)) == pytest.approx(
        [0.25 * 2 / 3, 0.1 * (2 + 4 + 5) / 3], rel=1e-12
    )


def test_pinball_as_scikit_learn():
    """Mean pinball loss is that of scikit-learn, at each level."""
    truth, quantiles = noisy()
    ours = metrics.pinball_loss(truth, quantiles, LEVELS)
    for i, level in enumerate(LEVELS):
        assert ours[i] == pytest.approx(mean_pinball_loss(*known(truth, quantiles[..., i]), alpha=level), rel=1e-6)


def test_wql_is_two_pinball_losses_over_the_demand():
    """WQL is twice the summed loss over the summed truth, averaged over levels."""
    truth, quantiles = noisy(1)
    parts = [mean_pinball_loss(*known(truth, quantiles[..., i]), alpha=level) for i, level in enumerate(LEVELS)]
    assert metrics.wql(truth, quantiles, LEVELS) == pytest.approx(2 * np.mean(parts) / np.nanmean(truth), rel=1e-6)


def test_wql_by_hand():
    """At the median WQL is the absolute error over the demand."""
    truth = np.array([4.0, 0.0, np.nan, 6.0])
    assert metrics.wql(truth, np.array([[5.0], [1.0], [9.0], [4.0]]), (0.5,)) == pytest.approx(0.4)


def test_peak_loss_is_of_the_running_maximum_relative_to_demand():
    """The peak of the first w steps is judged at each level, in mean demands."""
    truth = Truth(np.array([[1.0, 3.0, 2.0], [4.0, 2.0, 6.0]], np.float32))
    peaks_NWQ = np.array([[[1.0, 2.0], [2.0, 5.0]], [[4.0, 5.0], [5.0, 8.0]]])
    loss_WQ = metrics.peak_loss(truth.peaks((1, 3)), peaks_NWQ, (0.5, 0.9), mean_demand=2.0)
    expected = [[0.0, (0.1 + 0.1) / 2], [(0.5 + 0.5) / 2, (0.2 + 0.2) / 2]]
    assert loss_WQ == pytest.approx(np.array(expected) / 2.0)


def test_peak_loss_does_not_depend_on_the_unit():
    """Series of any size compare: a thousandfold unit gives the same relative loss."""
    truth, quantiles = noisy(2)
    peaks = np.maximum.accumulate(quantiles, axis=1)
    running = np.maximum.accumulate(truth, axis=1)
    small = metrics.peak_loss(running, peaks, LEVELS, 3.0)
    assert metrics.peak_loss(running * 1024, peaks * 1024, LEVELS, 3.0 * 1024) == pytest.approx(small, rel=1e-6)


def test_a_gap_before_a_peak_leaves_it_out():
    """A window with a gap says nothing of the peak beyond it, and does not count."""
    truth = Truth(np.array([[1.0, np.nan, 9.0], [1.0, 2.0, 3.0]], np.float32))
    peaks_NWQ = np.full((2, 2, 1), 3.0)
    assert metrics.peak_loss(truth.peaks((1, 3)), peaks_NWQ, (0.5,), 1.0)[:, 0] == pytest.approx([1.0, 0.0])


def test_point_scores_as_scikit_learn():
    """MAE, RMSE and R² are those of scikit-learn over the known truth; MAPE over what is not 0."""
    truth, quantiles = noisy(3)
    point = quantiles[..., 1]
    there, said = known(truth, point)
    assert metrics.mae(truth, point) == pytest.approx(mean_absolute_error(there, said), rel=1e-6)
    assert metrics.rmse(truth, point) == pytest.approx(root_mean_squared_error(there, said), rel=1e-6)
    assert metrics.r2(truth, point) == pytest.approx(r2_score(there, said), rel=1e-6)
    busy = there != 0
    expected = mean_absolute_percentage_error(there[busy], said[busy])
    assert metrics.mape(truth, point) == pytest.approx(expected, rel=1e-6)


def test_mase_and_smape_as_utilsforecast():
    """MASE (a lag of 7 steps) and sMAPE are those of utilsforecast on one window without gaps."""
    random = np.random.default_rng(4)
    history, truth, said = (random.gamma(2.0, 10.0, (1, n)) for n in (60, 12, 12))
    past = pd.DataFrame({"unique_id": "a", "ds": range(60), "y": history[0]})
    came = pd.DataFrame({"unique_id": "a", "ds": range(60, 72), "y": truth[0], "said": said[0]})
    theirs = losses.mase(came, ["said"], seasonality=7, train_df=past)["said"][0]
    assert metrics.mase(truth, said, metrics.naive_error(history, 7)) == pytest.approx(theirs, rel=1e-9)
    assert metrics.smape(truth, said) / 2 == pytest.approx(losses.smape(came, ["said"])["said"][0], rel=1e-9)


def test_mase_by_hand_leaves_out_still_histories():
    """Each window is scaled by its own history, gaps apart; one that never moves does not count."""
    history = np.array([[1.0, 2.0, np.nan, 5.0, 8.0], [3.0, 3.0, 3.0, 3.0, 3.0]])
    assert metrics.naive_error(history, 1) == pytest.approx([2.0, 0.0])
    truth, point = np.array([[4.0, np.nan], [9.0, 9.0]]), np.array([[5.0, 7.0], [1.0, 1.0]])
    assert metrics.mase(truth, point, metrics.naive_error(history, 1)) == pytest.approx(0.5)


def test_smape_of_nothing_foreseen_and_nothing_come_is_none():
    """Zero against zero is no error; zero against anything is the largest."""
    assert metrics.smape(np.array([0.0, 0.0]), np.array([0.0, 3.0])) == pytest.approx(1.0)


def test_coverage_over_all_and_per_lead():
    """Coverage counts truths at or below each quantile, over everything or per lead, gaps apart."""
    truth = np.array([[1.0, 5.0], [2.0, np.nan]])
    quantiles = np.array([[[0.5, 1.0], [5.0, 6.0]], [[3.0, 4.0], [9.0, 9.0]]])
    assert metrics.coverage(truth, quantiles) == pytest.approx([2 / 3, 1.0])
    assert metrics.coverage(truth, quantiles, 0) == pytest.approx(np.array([[0.5, 1.0], [1.0, 1.0]]))


def test_a_forecast_that_is_missing_shows():
    """A missing forecast where the truth is known spoils every score instead of going unnoticed."""
    truth, quantiles = noisy(5)
    quantiles[0, int(np.flatnonzero(~np.isnan(truth[0]))[0])] = np.nan
    point = quantiles[..., 1]
    scores = [metrics.wql(truth, quantiles, LEVELS), *metrics.coverage(truth, quantiles)]
    scores += [score(truth, point) for score in (metrics.mae, metrics.rmse, metrics.r2)]
    assert np.isnan(scores).all()


def test_a_forecast_where_nothing_is_known_does_not_matter():
    """What is said of a gap changes no score."""
    truth, quantiles = noisy(6)
    other = np.where(np.isnan(truth)[..., None], 1e6, quantiles)
    assert metrics.wql(truth, other, LEVELS) == metrics.wql(truth, quantiles, LEVELS)
    assert metrics.mape(truth, other[..., 1]) == metrics.mape(truth, quantiles[..., 1])


def test_without_any_truth_there_is_no_score():
    """All gaps give NaN, without a warning."""
    truth, quantiles = np.full((2, 3), np.nan), np.ones((2, 3, 3))
    assert np.isnan(metrics.pinball_loss(truth, quantiles, LEVELS)).all()
    assert np.isnan([metrics.mae(truth, quantiles[..., 1]), metrics.wql(truth, quantiles, LEVELS)]).all()


def test_the_median_lies_between_its_neighbours():
    """Without a level of 0.5 the median is interpolated; levels on one side of it are refused."""
    quantiles = np.array([[1.0, 5.0]])
    assert metrics.median_of(quantiles, (0.25, 0.5)) == pytest.approx([5.0])
    assert metrics.median_of(quantiles, (0.4, 0.8)) == pytest.approx([2.0])
    for levels in ((0.6, 0.9), (0.1, 0.2)):
        with pytest.raises(ValueError, match=r"enclose 0\.5"):
            metrics.median_of(quantiles, levels)


def test_daily_r2_tells_days_from_noise():
    """A repeated day explains all, noise next to nothing, and below a week nothing is said."""
    random, day = np.random.default_rng(7), np.sin(np.arange(96) / 96 * 2 * np.pi) + 2
    days = np.tile(day, 14)
    days[100:150] = np.nan
    assert metrics.daily_r2(days, 96) == pytest.approx(1.0)
    assert abs(metrics.daily_r2(random.normal(size=96 * 28), 96)) < 0.1
    assert np.isnan(metrics.daily_r2(days[: 6 * 96], 96))


def test_a_lag_beyond_the_history_is_refused():
    """MASE's lag must fit the history."""
    with pytest.raises(ValueError, match="lag of 5 steps"):
        metrics.naive_error(np.ones((1, 5)), 5)
