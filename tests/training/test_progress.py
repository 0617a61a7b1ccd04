"""What long work writes into a log."""

from training.progress import LINE_SECONDS, in_lines


def test_a_log_gets_a_line_now_and_then() -> None:
    lines, now = [], [0.0]
    progress = in_lines(lines.append, lambda: now[0])
    for second, share in ((1, 0.0), (LINE_SECONDS, 0.2), (LINE_SECONDS + 1, 0.3), (2 * LINE_SECONDS, 0.5)):
        now[0] = second
        progress("replaying", share)
    assert lines == ["replaying: 20 %", "replaying: 50 %"]


def test_what_is_soon_over_writes_nothing() -> None:
    lines: list[str] = []
    progress = in_lines(lines.append, lambda: 0.0)
    progress("reading", 0.0)
    progress("reading", 1.0)
    assert lines == []
