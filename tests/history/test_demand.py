"""What counts as the demand that a query returned."""

import numpy as np
import pytest

from scaler.errors import SourceRefused
from scaler.history.answers import Element, demand
from scaler.trigger import Trigger

TRIGGER = Trigger("shop", "web", "up", 10.0, "http://prometheus:9090", key="a")


@pytest.mark.parametrize("value", [1e300, 3.5e38, 1.7976931348623157e308])
def test_a_number_that_history_cannot_keep_is_refused_with_its_limit(value: float) -> None:
    """As float32 it would be infinite: the observation would be lost without a reason."""
    with pytest.raises(SourceRefused, match=r"demand must be at most 3\.4e\+38"):
        demand([Element({}, value)], TRIGGER, 0.0)


@pytest.mark.parametrize("value", [0.0, 9.2e15, 1e30, 3.4e38])
def test_every_number_that_history_can_keep_is_demand(value: float) -> None:
    found = demand([Element({}, value)], TRIGGER, 0.0)
    assert found == value
    assert np.isfinite(np.float32(found))
