import pytest

from scaler.words.numbers import figure, rounded


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (59.999996, "60"),
        (47.51020336151123, "47.51"),
        (0.10000000149, "0.1"),
        (0.00123456, "0.00123"),
        (123456.789, "123456.79"),
        (1234567.8, "1234568"),
    ],
)
def test_figures_are_short_and_plain(value: float, text: str) -> None:
    """Neither float32's noise nor powers of ten, and small demands are not 0."""
    assert figure(value) == text


def test_numbers_of_a_record_lose_only_their_noise() -> None:
    """Seven digits stay, moments keep their milliseconds, and all else is as it was."""
    record = {"need": 47.51020336151123, "at": 810452455.0454748, "of": [0.0012345678912, 0.0, None, True, "x", 7]}
    assert rounded(record) == {"need": 47.5102, "at": 810452455.045, "of": [0.001234568, 0.0, None, True, "x", 7]}
