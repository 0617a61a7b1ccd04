"""Every decision of every policy at every sync of the HPA on the judged days, as CSV.

It suffices to recompute the scores with another simulator, or by hand: a sync's unserved demand is the excess of
`demand` over `capacity` times 15 s; its replica-hours are `replicas_asked` / 240.

The file appears when it is complete. The same replay gives the same bytes.
"""

import csv
import gzip
import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import numpy as np

from scaler.files import appearing
from training.progress import Progress, no_progress
from training.replay.policies.registry import PolicyInputs
from training.replay.simulation.demand import Moments
from training.replay.simulation.forecasts import Forecasts
from training.replay.simulation.loop import replay
from training.replay.simulation.policy import PolicyAnswer, ReplayPolicy
from training.replay.simulation.scenario import Scenario
from training.replay.verdict.candidates import Entry

COLUMNS = (
    "series", "time", "policy", "demand", "observed", "metric", "target",
    "replicas_asked", "replicas_ready", "capacity", "reasons",
)  # fmt: skip
DIGITS = 10


class _Recorder:
    """Records the answers of a policy."""

    def __init__(self, policy: ReplayPolicy) -> None:
        self.name = policy.name
        self.answers: list[PolicyAnswer] = []
        self._policy = policy

    def answer(self, k: int, replicas: int) -> PolicyAnswer:
        """The policy's answer; if a tick is asked again, the last answer counts."""
        answer = self._policy.answer(k, replicas)
        del self.answers[k:]
        self.answers.append(answer)
        return answer


def write_decisions(
    scenario: Scenario, entries: Iterable[Entry], forecasts: Forecasts, path: Path, progress: Progress = no_progress
) -> None:
    """Write the CSV to `path`, compressed if its name ends in `.gz`. Policies run one after the other.

    Columns: `time` of the sync (ISO 8601, UTC); mean `demand` until the next sync (empty if not recorded: such a sync
    does not count); `observed`, the value of a metric server; `metric` and `target` of the policy (joined by `;` if
    there are several, empty for an error); replicas ordered at the sync; ready replicas and their mean `capacity` until
    the next sync; and the reasons, joined by ` | `.
    """
    every = list(entries)
    inputs = PolicyInputs(scenario, forecasts)
    shared = list(zip(_times(scenario), _texts(scenario.demand_K), _texts(scenario.seen_K), strict=True))
    with _opened(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for done, entry in enumerate(every, 1):
            policy = _Recorder(entry.made(inputs))
            writer.writerows(_rows(scenario, policy, entry.name, shared))
            progress("writing decisions", done / len(every))


def _rows(
    scenario: Scenario, policy: _Recorder, name: str, shared: Iterable[tuple[str, str, str]]
) -> Iterator[tuple[object, ...]]:
    run = replay(scenario, policy)
    series = scenario.demand.series.name
    did = zip(policy.answers, run.replicas_K.tolist(), run.ready_K.tolist(), _texts(run.capacity_K), strict=True)
    for (moment, demand, observed), (answer, asked, ready, capacity) in zip(shared, did, strict=True):
        yield (
            series, moment, name, demand, observed,
            ";".join("" if one.value is None else _text(one.value) for one in answer.metrics),
            ";".join(_text(one.target) for one in answer.metrics),
            asked, ready, capacity, " | ".join(map(str, answer.reasons)),
        )  # fmt: skip


def _times(scenario: Scenario) -> list[str]:
    moments = np.rint(scenario.sync_K * 1000).astype("datetime64[ms]")
    return [f"{text}Z" for text in np.datetime_as_string(moments, unit="ms").tolist()]


def _texts(values: Moments) -> list[str]:
    return [_text(value) for value in values.tolist()]


def _text(value: float) -> str:
    """Empty if unknown."""
    return f"{value:.{DIGITS}g}" if value == value else ""


@contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    """The file to write, compressed if its name ends in `.gz`."""
    with appearing(path) as draft, draft.open("wb") as raw:
        if not path.name.endswith(".gz"):
            with io.TextIOWrapper(raw, encoding="utf-8", newline="") as plain:
                yield plain
            return
        packed = gzip.GzipFile(filename="", mode="wb", fileobj=raw, compresslevel=6, mtime=0)
        with packed, io.TextIOWrapper(packed, encoding="utf-8", newline="") as text:
            yield text
