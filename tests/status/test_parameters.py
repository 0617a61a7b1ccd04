"""What is wrong with the parameters of the HTTP port's paths."""

import pytest

from scaler.status.parameters import unprintable


@pytest.mark.parametrize("value", ["a\x00", "a\nb", "\x7f", "\ud800"])
def test_control_characters_are_refused_before_a_database_sees_them(value: str) -> None:
    """PostgreSQL refuses some of them, which looked like an outage of it."""
    (fault,) = unprintable({"namespace": "shop", "name": value})
    assert (fault.field, fault.rule) == ("name", "must not have control characters")


def test_names_and_cursors_pass() -> None:
    assert unprintable({"namespace": "shop", "name": "wéb-1", "after": "1.7e9/shop/web/0f"}) == []
