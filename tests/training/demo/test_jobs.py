"""The demand of the demo of a model's life."""

import numpy as np

from training.demo.jobs import JOB, JOB_MINUTES, USUAL, checkout_requests

DAY = 86_400.0


def minutes(changed_from: float, seed: int = 0) -> np.ndarray:
    return checkout_requests(0.0, 2 * DAY, changed_from, seed).values


def test_every_job_is_announced() -> None:
    """Demand triples for twelve minutes, after six in which it was half; the same seed gives the same demand."""
    demand = minutes(2 * DAY)
    is_job = demand > 0.75 * JOB * USUAL * 0.8
    (begins,) = np.nonzero(is_job[1:] & ~is_job[:-1])
    assert len(begins) > 30
    assert {int(is_job[begin + 1 : begin + 20].sum()) for begin in begins[:-1]} == {JOB_MINUTES}
    assert all(demand[begin - 4 : begin + 1].max() < 0.7 * USUAL for begin in begins)
    assert np.array_equal(demand, minutes(2 * DAY))
    assert not np.array_equal(demand, minutes(2 * DAY, seed=1))


def test_after_the_change_it_builds_up_by_the_hour() -> None:
    """From that minute on, and not a minute before."""
    usual, changed = minutes(2 * DAY), minutes(DAY)
    assert np.array_equal(changed[:1440], usual[:1440])
    hours = changed[1440:].reshape(24, 60)
    assert (hours[:, 55:].mean(axis=1) > 5 * hours[:, :5].mean(axis=1)).all()
