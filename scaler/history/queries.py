"""PromQL texts and the splitting of questions into requests. Pure."""

import math
from collections.abc import Iterable, Iterator, Sequence

TAG = "__headway__"
"""the label that identifies the members of a joint request"""
MOST_QUERIES = 50
"""per request; 50 cost Prometheus about what one costs, and a failing request disturbs few"""
MOST_BYTES = 12_000
"""per request; VictoriaMetrics refuses queries above 16 kB by default"""


def enclosed(query: str) -> str:
    """`query` in parentheses; the line feed ends a comment that the query may end with."""
    return f"({query}\n)"


def tagged(query: str, tag: str) -> str:
    """`query` with the label TAG set to `tag` on all it returns."""
    return f'label_replace({enclosed(query)}, "{TAG}", "{tag}", "", "")'


def joined(tagged_queries: Iterable[str]) -> str:
    """One query returning what all of them return. Their tags keep them apart: `or` drops only equal label sets."""
    return " or ".join(tagged_queries)


def over_block(function: str, query: str, block_seconds: float, step_seconds: float) -> str:
    """`query` taken every step and summed up by `function` (as `avg_over_time`) over the block that ends at the moment.

    The range is a second short of the block, which leaves out the sample at the block's start: it belongs to the
    block before. (Prometheus 2 counts it, Prometheus 3 does not.)
    """
    return f"{function}({enclosed(query)}[{max(1, math.ceil(block_seconds) - 1)}s:{max(1, round(step_seconds))}s])"


_BYTES_AROUND = len(joined([tagged("", "00")] * 2)) - len(tagged("", "00"))


def packed(queries: Sequence[str], most_queries: int, most_bytes: int) -> Iterator[list[int]]:
    """Positions of `queries` in groups of at most `most_queries` that stay under `most_bytes` when joined."""
    group: list[int] = []
    size = 0
    for position, query in enumerate(queries):
        length = len(query.encode()) + _BYTES_AROUND
        if group and (len(group) >= most_queries or size + length > most_bytes):
            yield group
            group, size = [], 0
        group.append(position)
        size += length
    if group:
        yield group
