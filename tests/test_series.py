"""What a forecast says of itself."""

from dataclasses import replace

import numpy as np

from scaler.recurrence import Recurrence
from scaler.series import Forecast

BUNDLE = Forecast(0.0, 60.0, (0.5,), np.ones((3, 1), np.float32), (), None, "general@1")


def test_a_bundles_own_forecast_names_the_bundle() -> None:
    assert BUNDLE.basis == "general@1"
    assert BUNDLE.past_share == 0


def test_shares_are_named_the_largest_first() -> None:
    mixed = replace(BUNDLE, past_shares=(0.25, 0.0, 0.04), days_alike=(3, 13))
    assert mixed.basis == "71 % general@1, 25 % past days"


def test_past_days_that_count_are_counted() -> None:
    mixed = replace(BUNDLE, past_shares=(0.8, 0.0, 0.0), days_alike=(12, 13))
    assert mixed.basis == "80 % past days, 20 % general@1 (as on 12 of 13 past days)"


def test_an_edge_that_recurs_is_said_where_past_days_count_most() -> None:
    edge = Recurrence(540, 541, 1, 19_784, 8.75, 19, 19)  # day 19,784 is 2 March 2024
    mixed = replace(BUNDLE, past_shares=(0.8, 0.0, 0.0), days_alike=(12, 13), recurrence=edge)
    assert mixed.basis == "80 % past days, 20 % general@1: every weekday at 09:00 since 2 March (19 of 19), × 9"
    assert replace(mixed, past_shares=(0.4, 0.0, 0.0)).basis == "60 % general@1, 40 % past days"


def test_days_that_nobody_has_counted_are_not_named() -> None:
    assert replace(BUNDLE, past_shares=(1.0, 0.0, 0.0)).basis == "100 % past days"
