"""The service level that must hold."""

import pytest

from training.replay.slo import Slo, slo


@pytest.mark.parametrize("text", ["short minutes per week <= 5", "short minutes per week ≤ 5.0"])
def test_an_slo_is_read(text: str) -> None:
    assert slo(text) == Slo(5.0)


@pytest.mark.parametrize(
    "text", ["", "short minutes <= 5", "short minutes per week < 5", "short minutes per week <= x"]
)
def test_another_slo_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be as 'short minutes per week <= 5'"):
        slo(text)
