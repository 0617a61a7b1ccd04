"""What the general model learns from: recorded systems whose terms allow it, mixtures of them, and synthetic demand.

Few systems are recorded by the minute under permissive terms. Mixtures of recorded series (after TSMixup of Ansari et
al., "Chronos", 2024) and synthetic ones cover more kinds of series; shortened histories cover new deployments. Axes: N
windows, T past steps, L coarse past blocks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from training.data.load import Series
from training.data.synthetic import Clock, crowd, population
from training.data.windows import Past, Windows
from training.evaluate.cases import together
from training.evaluate.folds import Part, windows_of
from training.models.empirical import Values
from training.task import DAY_SECONDS, Task


@dataclass(frozen=True, slots=True)
class RecordedSystem:
    """A recorded system. windows: of each of its series. terms: why a model may be trained on it and given away."""

    terms: str
    windows: int


SOURCES: Mapping[str, RecordedSystem] = {
    "smd_machines_1min": RecordedSystem("MIT (Server Machine Dataset, OmniAnomaly and InterFusion repositories)", 600),
    "clarknet_http_requests_1min": RecordedSystem("Internet Traffic Archive: unrestricted as to use", 2500),
    "worldcup98_requests_1min": RecordedSystem(
        "MIT (worldcup98-dataset), logs (C) 1997-1999 Hewlett-Packard, free to redistribute with their notice, "
        "which calls its software and documentation non-commercial",
        2500,
    ),
    "burstgpt_tokens_1min": RecordedSystem("CC BY 4.0 (BurstGPT, HPMLL)", 2500),
}
"""by the name of the trace file"""
JUDGED_ONLY = ("anotransfer_kpi_1min", "twitter_anomalydetection_1min")
"""trace files whose licence does not allow training"""
STEP_SECONDS = 60
WARM_UP = 0.04
"""share of a record before its first window"""
HELD_OUT = 0.15
"""the last share of each record, for early stopping"""
SYNTHETIC, SYNTHETIC_DAYS, SYNTHETIC_WINDOWS = 160, 28, 120
MIXTURES, MIXTURE_WINDOWS = 60, 200
CROWDED = 0.5
"""share of the mixtures with crowds"""
SHORTENED = 0.2
"""share of the training windows whose history is cut"""
SHORTEST_SECONDS, LONGEST_SECONDS = 3600, 7 * DAY_SECONDS
SEED = 7


def training_windows(series: Sequence[Series], task: Task, seed: int = SEED) -> tuple[Windows, Windows]:
    """(training, held-out windows) of these recorded series, with mixtures and synthetic demand to learn from."""
    learn, held = [], []
    for one in series:
        source = SOURCES[one.system]
        begin, border = one.start + WARM_UP * (one.end - one.start), one.end - HELD_OUT * (one.end - one.start)
        learn.append(windows_of([Part(one, begin, border)], task, source.windows))
        held.append(windows_of([Part(one, border, one.end)], task, max(1, round(source.windows * HELD_OUT))))
    learn += [
        _windows_throughout(one, task, SYNTHETIC_WINDOWS)
        for one in population(SYNTHETIC, SYNTHETIC_DAYS, STEP_SECONDS, seed)
    ]
    learn += [
        _windows_throughout(one, task, MIXTURE_WINDOWS) for one in mixtures(_recorded_before(series), MIXTURES, seed)
    ]
    return _sometimes_shortened(_together(learn), task, seed), _together(held)


def mixtures(series: Sequence[Series], count: int, seed: int) -> tuple[Series, ...]:
    """Sums of two or three series, each at its own size, share and offset of whole days; gaps of any are gaps.

    As long as the shortest of its parts. Those of one system may be mixed. Half of them have crowds.
    """
    random = np.random.default_rng([seed, 1997])
    return tuple(_mixture(series, number, random) for number in range(count))


def _mixture(series: Sequence[Series], number: int, random: np.random.Generator) -> Series:
    chosen = [
        series[i] for i in random.choice(len(series), min(len(series), int(random.integers(2, 4))), replace=False)
    ]
    day = DAY_SECONDS // chosen[0].step_seconds
    length = min(len(one.values) for one in chosen)
    share = random.dirichlet(np.ones(len(chosen)))
    mixed = np.zeros(length, np.float64)
    for one, part in zip(chosen, share, strict=True):
        first = int(random.integers(0, (len(one.values) - length) // day + 1)) * day
        piece = one.values[first : first + length].astype(np.float64)
        mixed += part * piece / max(float(np.nanmean(piece)), 1e-12)
    first_part: Series = chosen[0]
    if random.random() < CROWDED:
        clock = Clock(length / day, first_part.step_seconds, first_part.start)
        mixed = crowd(random)(mixed, clock, random)
    return replace(first_part, system="mixed", name=f"mixture-{number:03d}", values=(100 * mixed).astype(np.float32))


def shortened(past: Past, seconds_N: Values, task: Task) -> Past:
    """The same windows as if the record had begun this many seconds before each."""
    grid = task.grid
    age_T = grid.step_seconds * np.arange(grid.steps, 0, -1)
    age_L = grid.coarse_seconds * np.arange(grid.coarse_steps, 0, -1)
    kept = seconds_N[:, None]
    missing = np.float32(np.nan)
    return replace(
        past,
        history_NT=np.where(age_T <= kept, past.history_NT, missing),
        long_history_NL2=np.where((age_L <= kept)[:, :, None], past.long_history_NL2, missing),
    )


def _sometimes_shortened(windows: Windows, task: Task, seed: int) -> Windows:
    random = np.random.default_rng([seed, 2003])
    kept = np.exp(random.uniform(np.log(SHORTEST_SECONDS), np.log(LONGEST_SECONDS), len(windows)))
    kept[random.random(len(windows)) >= SHORTENED] = np.inf
    return replace(windows, past=shortened(windows.past, kept, task))


def _recorded_before(series: Sequence[Series]) -> list[Series]:
    """Each series up to its held-out part."""
    return [replace(one, values=one.values[: int(len(one.values) * (1 - HELD_OUT))]) for one in series]


def _windows_throughout(series: Series, task: Task, windows: int) -> Windows:
    return windows_of([Part(series, series.start + WARM_UP * (series.end - series.start), series.end)], task, windows)


def _together(parts: Sequence[Windows]) -> Windows:
    return together([(part, {}) for part in parts])[0]
