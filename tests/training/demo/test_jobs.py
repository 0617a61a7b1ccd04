"""The demand of the demo of a model's life."""

import numpy as np

from training.demo.jobs import DIP, HALF_MINUTES, JOB, JOB_MINUTES, USUAL, checkout_requests

DAY = 86_400.0


def minutes(halves_from: float, batches_from: float = 9 * DAY, seed: int = 0) -> np.ndarray:
    return checkout_requests(0.0, 2 * DAY, halves_from, batches_from, seed).values


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


def test_then_it_halves_every_two_hours() -> None:
    """From that minute on, and not a minute before; the first half is as low as an announcement."""
    usual, changed = minutes(2 * DAY), minutes(DAY)
    assert np.array_equal(changed[:1440], usual[:1440])
    means = changed[1440 : 1440 + 4 * HALF_MINUTES].reshape(4, HALF_MINUTES).mean(axis=1)
    assert np.allclose(means / USUAL, [DIP, DIP / 2, DIP / 4, DIP / 8], rtol=0.25)


def test_then_it_builds_up_by_the_hour() -> None:
    usual, changed = minutes(0.5 * DAY), minutes(0.5 * DAY, DAY)
    assert np.array_equal(changed[:1440], usual[:1440])
    hours = changed[1440:].reshape(24, 60)
    assert (hours[:, 55:].mean(axis=1) > 5 * hours[:, :5].mean(axis=1)).all()
