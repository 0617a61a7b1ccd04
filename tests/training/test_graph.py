"""The building blocks of exported graphs say what numpy says."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest

from training import graph

RANDOM = np.random.default_rng(3)


def answer(make: Callable[[Any, Any], Any], given: np.ndarray) -> np.ndarray:
    """What onnxruntime makes of a float tensor."""
    with graph.building("block") as (builder, op):
        tensor = builder.input("given", ir.DataType.FLOAT, ("N", *given.shape[1:]))
        made = op.Identity(make(op, tensor))
        made.dtype = ir.DataType.FLOAT
        builder.add_output(made, "made")
        session = onnxruntime.InferenceSession(graph.serialised(builder, "test"))
    return np.asarray(session.run(None, {"given": given.astype(np.float32)})[0])


@pytest.mark.parametrize("size", [1, 2, 5, 16, 17, 79])
def test_quantiles_are_those_of_what_is_there(size: int) -> None:
    """Read at rank p (n + 1) of the sorted values, ties and gaps included; HUGE where there is nothing."""
    levels = (0.05, 0.5, 0.99)
    given = RANDOM.integers(0, 30, (50, 2, size)).astype(np.float32)
    given[RANDOM.random(given.shape) < 0.3] = np.nan
    given[0] = np.nan
    found = answer(lambda op, t: graph.quantiles(op, graph.masked(op, t), size, levels)[0], given)
    for values, said in zip(given.reshape(-1, size), found.reshape(-1, len(levels)), strict=True):
        known = np.sort(values[~np.isnan(values)])
        ranks = np.array(levels) * (len(known) + 1) - 1
        wanted = np.interp(ranks, np.arange(len(known)), known) if len(known) else np.full(len(levels), graph.HUGE)
        np.testing.assert_allclose(said, wanted, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("steps", [1, 2, 5, 7, 12, 60])
def test_a_trailing_mean_is_of_what_is_there(steps: int) -> None:
    """Whether the number of steps has factors or not; 0 where nothing is there."""
    given = RANDOM.normal(size=(3, 100)).astype(np.float32)
    given[:, 20:60] = np.nan
    found = answer(lambda op, t: graph.trailing_mean(op, graph.masked(op, t), steps).value, given)
    for place in range(100):
        window = given[:, max(0, place - steps + 1) : place + 1]
        known = ~np.isnan(window)
        wanted = np.where(known, window, 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
        np.testing.assert_allclose(found[:, place], wanted, atol=1e-5)


def test_asinh_is_asinh() -> None:
    """On both sides of 0, near it and far out."""
    sizes = np.concatenate([[0.0], np.logspace(-8, 17, 200)])
    given = np.stack([sizes, -sizes]).astype(np.float32)
    np.testing.assert_allclose(answer(graph.asinh, given), np.arcsinh(given), rtol=1e-6, atol=2e-7)
