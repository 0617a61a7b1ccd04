"""The texts of queries and how questions are split."""

from hypothesis import given
from hypothesis import strategies as st

from scaler.history.queries import enclosed, packed, tagged


def test_a_comment_cannot_swallow_the_parenthesis() -> None:
    """The line feed ends it."""
    assert enclosed("up # now").splitlines()[-1] == ")"


@given(st.lists(st.text("xü", max_size=40), max_size=60), st.integers(1, 7), st.integers(100, 400))
def test_packing_loses_nothing_and_keeps_both_limits(queries: list[str], most: int, most_bytes: int) -> None:
    """Every query is in one group, in order; only a single query may be longer than the limit."""
    groups = list(packed(queries, most, most_bytes))
    assert [position for group in groups for position in group] == list(range(len(queries)))
    for group in groups:
        size = len(" or ".join(tagged(queries[i], "0") for i in group).encode())
        assert len(group) <= most
        assert size <= most_bytes or len(group) == 1
