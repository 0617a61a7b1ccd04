"""The tensors of the contract, against what a graph declares."""

import pytest

from scaler.bundle import Found, Sizes
from scaler.bundle.signature import INPUTS, OUTPUTS, differences, expected, shape_of

SIZES = Sizes(T=8, L=4, H=3, Q=2, W=0)
AGREEING = [
    Found("history", "float32", ["N", 8]),
    Found("long_history", "float32", ["batch", 4, 2]),
    Found("local_time", "int64", [None]),
]


def told(found: list[Found]) -> list[str]:
    inputs, _ = expected(SIZES, per_series=False)
    return differences("input", inputs, found, SIZES)


def test_agreeing_tensors_give_no_differences() -> None:
    """The free axis may have any name or none."""
    assert told(AGREEING) == []


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (Found("history", "float64", ["N", 8]), "input history: type is float64, must be float32"),
        (Found("history", "float32", ["N", 9]), "input history: shape is [N, 9], must be [N, 8]"),
        (Found("history", "float32", [1, 8]), "input history: shape is [1, 8], must be [N, 8]"),
        (Found("history", "float32", ["N"]), "input history: has 1 axes, must have 2 [N, 8]"),
    ],
)
def test_each_difference_is_a_sentence(wrong: Found, sentence: str) -> None:
    """A wrong type, size, fixed batch or rank is told with what was found and what must be."""
    assert told([wrong, *AGREEING[1:]]) == [sentence]


def test_missing_and_foreign_tensors_are_told() -> None:
    """A tensor under another name is one missing and one not in the contract."""
    renamed = [Found("past", "float32", ["N", 8]), *AGREEING[1:]]
    assert told(renamed) == ["input past: not in the contract", "input history: missing"]


def test_optional_tensors_follow_the_manifest() -> None:
    """`series` and `peaks` are expected exactly where the manifest has such lists."""
    assert expected(SIZES, per_series=True)[0] == INPUTS
    assert expected(SIZES._replace(W=2), per_series=False)[1] == OUTPUTS
    assert [t.name for t in expected(SIZES, per_series=False)[1]] == ["quantiles"]


def test_shapes_come_from_the_sizes() -> None:
    """Letters are replaced by sizes, numbers stay."""
    assert shape_of(INPUTS[1], SIZES, 5) == (5, 4, 2)
