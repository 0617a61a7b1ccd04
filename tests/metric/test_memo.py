"""What is remembered under a request's bytes."""

from scaler.metric.memo import Memo


def test_what_was_put_is_found() -> None:
    """Equal bytes find the value; other bytes find nothing."""
    memo = Memo[str]()
    memo.put(b"request", "key")
    assert (memo.get(b"request"), memo.get(b"requesu")) == ("key", None)


def test_it_never_grows_beyond_its_bound() -> None:
    """When full, the oldest eighth makes room; the newest stay."""
    memo = Memo[int](entries=80)
    for number in range(1000):
        memo.put(str(number).encode(), number)
        assert len(memo) <= 80
    assert memo.get(b"999") == 999
    assert memo.get(b"930") == 930
    assert memo.get(b"0") is None
