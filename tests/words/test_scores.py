"""What somebody has to do about forecasts of peaks."""

import pytest

from scaler.words.scores import FEWEST_PEAKS, judgement

GOOD, SMALL, WORSE, FEW = "There is nothing to do", "too small too often", "worse than no forecast", "too few to judge"


@pytest.mark.parametrize(
    ("held", "over_newest", "peaks", "said"),
    [
        (0.91, 0.42, 5000, {GOOD}),
        (0.76, 1.09, 5000, {GOOD}),
        (0.74, 0.42, 5000, {SMALL}),
        (0.91, 1.11, 5000, {WORSE}),
        (0.74, 1.11, 5000, {SMALL, WORSE}),
        (0.91, None, FEWEST_PEAKS, {GOOD}),
        (0.10, 3.00, FEWEST_PEAKS - 1, {FEW}),
    ],
)
def test_a_judgement(held: float, over_newest: float | None, peaks: float, said: set[str]) -> None:
    text = judgement(0.9, held, over_newest, peaks)
    assert {words for words in (GOOD, SMALL, WORSE, FEW) if words in text} == said


def test_its_figures() -> None:
    told = judgement(0.9, 0.9137, 0.416, 5000)
    assert told.startswith("91 % of the peaks were within their forecast, 90 % are promised")
    assert "the loss is 0.42 times that of the newest observation" in told
