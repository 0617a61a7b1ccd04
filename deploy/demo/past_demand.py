"""Writes the requests that a pattern would have caused, as OpenMetrics for `promtool tsdb create-blocks-from`:

    python past_demand.py FILE NAMESPACE APP...

With them, the first forecast does not have to wait for history. The pattern is that of the variables in patterns.py;
PAST_DAYS is how far back it goes. An existing file stays as it is, so a restart adds nothing.
"""

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from patterns import demand_of, positive

STEP = 15
"""seconds between samples"""


def openmetrics(
    demand: Callable[[float], float], start: int, end: int, namespace: str, apps: Iterable[str]
) -> Iterator[str]:
    """Lines with one counter of requests per app, from `start` to before `end` (seconds since the epoch)."""
    for app in apps:
        total = 0.0
        for moment in range(start, end, STEP):
            total += demand(moment) * STEP
            yield f'http_requests_total{{namespace="{namespace}",app="{app}"}} {total:.1f} {moment}\n'
    yield "# EOF\n"


def main() -> None:
    file, namespace, *apps = sys.argv[1:]
    path = Path(file)
    if path.exists():
        return
    end = int(time.time())
    start = (end - int(positive(os.environ, "PAST_DAYS", 14) * 86_400)) // STEP * STEP
    path.write_text("".join(openmetrics(demand_of(os.environ), start, end, namespace, apps)))


if __name__ == "__main__":
    main()
