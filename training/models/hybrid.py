"""Prophet per series, and a core that learns Prophet's residuals over all series at once.

Prophet with level correction provides the expected demand and its usual error: middle and unit of the core's targets
(see training.models.learned) are Prophet's, not the seasonal model's. The columns include the forecasts of both,
Prophet's path, and its residuals over the last day. Cores that read the last day in patches, such as an LSTM, get the
residual of each patch as one more channel.

Residuals within the record that Prophet was fitted to are too small: a core that learned from them would trust Prophet
too much. So each training window gets the forecast of a Prophet that was fitted and calibrated on data before it
(expanding blocks, as in the cross-fitting of Chernozhukov et al., "Double/debiased machine learning", 2018, but only
forwards in time). A block is about as long as the horizon of the finished model. Training windows before the first
block are not used.

Axes: N windows, S series, B blocks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from training.data.windows import Past, Windows
from training.errors import ModelError
from training.features.extract import Extracted, Extractor, FeatureGraph, feature_graph, one_after_another
from training.models import Training
from training.models.earlier import before, borders
from training.models.empirical import Values
from training.models.hybrid_graph import addition, path_graph, prophet_first
from training.models.learned import Core, Learned
from training.models.prophet import Prophet
from training.models.prophet_fit import Choices
from training.progress import Progress, no_progress
from training.task import Prediction, Task

BLOCKS = (0.2, 0.4, 0.6, 0.8)
PROPHETS = 0.5
"""share of the progress before the core is fitted"""


class Hybrid:
    """Prophet and a core for its residuals, as one model. `failed`: why a series has no Prophet.

    For a series in `failed` the core uses the seasonal model instead. choices, jobs: see `Prophet`.
    shares: where blocks begin, as shares of each series' record before its held-out windows, which are the last block.
    """

    def __init__(
        self,
        core: Core,
        task: Task,
        choices: Choices | None = None,
        threads: int = 1,
        jobs: int = 1,
        shares: Sequence[float] = BLOCKS,
        name: str = "hybrid",
    ) -> None:
        self.name = name
        self.failed: dict[str, str] = {}
        self._core, self._task, self._threads, self._jobs = core, task, threads, jobs
        self._choices, self._shares = choices, (*shares, 1.0)
        self._features = _features_of(task)
        self._series: tuple[str, ...] = ()

    @property
    def series(self) -> tuple[str, ...]:
        """The series it was fitted to, in the order of `Windows.names`, those in `failed` among them."""
        return self._series

    def fit(self, training: Training, progress: Progress = no_progress) -> Mapping[str, float]:
        """Fit Prophet block by block and then to everything, and then the core.

        Returns the core's figures, how many series Prophet failed on, and how many windows the core learned from.
        Raises ModelError if the record is too short for Prophet. An interrupt before the fit of the core raises
        KeyboardInterrupt, as there is nothing to keep; after that the core keeps its best.
        """
        share = PROPHETS / (len(self._shares) + 1)
        blocks = self._blocks(training, _part(progress, 0.0, PROPHETS - share))
        final = self._prophet(training, _part(progress, PROPHETS - share, PROPHETS))
        self._learned = Learned(self._core, self._task, self._threads, self._extractor(final))
        self._series, self.failed = training.windows.names, final.failed
        figures = _learn(self._learned, training, self._shares, blocks, _part(progress, PROPHETS, 1.0))
        return {**figures, "failed": float(len(self.failed))}

    def predict_held_out(self, training: Training, progress: Progress = no_progress) -> Prediction:
        """Predictions for the held-out windows by a Prophet that has not seen them. Errors as in `fit`."""
        blocks = self._blocks(training, _part(progress, 0.0, PROPHETS))
        learned = Learned(self._core, self._task, self._threads, _extractor_of(blocks[-1]))
        _learn(learned, training, self._shares, blocks, _part(progress, PROPHETS, 1.0))
        return learned.predict_quantiles(training.held_out.past)

    def predict_quantiles(self, past: Past) -> Prediction:
        """See `Model`."""
        return self._learned.predict_quantiles(past)

    @property
    def subjects(self) -> tuple[str, ...]:
        """See `training.evaluate.importance.Explained`."""
        return self._learned.subjects

    def extract(self, past: Past) -> Extracted:
        """See `training.evaluate.importance.Explained`."""
        return self._learned.extract(past)

    def predict_extracted(self, seen: Extracted) -> Prediction:
        """See `training.evaluate.importance.Explained`."""
        return self._learned.predict_extracted(seen)

    def to_onnx(self) -> bytes:
        """See `Model`."""
        return self._learned.to_onnx()

    def _blocks(self, training: Training, progress: Progress) -> list["Extractor | ModelError"]:
        """The features of each block; the last block is that of the held-out windows."""
        share = 1 / len(self._shares)
        return [
            self._until(training, border_S, _part(progress, b * share, (b + 1) * share))
            for b, border_S in enumerate(borders(training, self._shares))
        ]

    def _until(self, training: Training, border_S: Values, progress: Progress) -> Extractor | ModelError:
        """The features with a Prophet that has seen nothing from the borders on, or the error of its fit."""
        try:
            return self._extractor(self._prophet(before(training, border_S), progress))
        except ModelError as error:
            return error

    def _prophet(self, training: Training, progress: Progress) -> Prophet:
        interrupted = False

        def watched(doing: str, share: float) -> None:
            nonlocal interrupted
            try:
                progress(doing, share)
            except KeyboardInterrupt:
                interrupted = True
                raise

        prophet = Prophet(self._choices, jobs=self._jobs)
        prophet.fit(training, watched)
        if interrupted:
            raise KeyboardInterrupt
        return prophet

    def _extractor(self, prophet: Prophet) -> Extractor:
        features = self._features
        watched = prophet_first(features.graph, prophet.to_onnx(), path_graph(self._task, prophet.components))
        return Extractor(self._task, self._threads, replace(features, graph=watched))


@lru_cache(maxsize=4)
def _features_of(task: Task) -> FeatureGraph:
    """Cached: it takes two seconds."""
    return feature_graph(task, addition(task))


def block_of(windows: Windows, borders_BS: Values) -> NDArray[np.int64]:
    """The block that each window is cut in; -1 before the first. [N]"""
    return np.asarray((windows.cutoff_N >= borders_BS[:, windows.series_N]).sum(axis=0) - 1, np.int64)


def _learn(
    learned: Learned,
    training: Training,
    shares: Sequence[float],
    blocks: Sequence[Extractor | ModelError],
    progress: Progress,
) -> Mapping[str, float]:
    """Fit the core to the windows in blocks."""
    rows, seen = _extracted(training.windows, block_of(training.windows, borders(training, shares)), blocks)
    held = _extractor_of(blocks[-1])(training.held_out.past)
    figures = learned.learn(replace(training, windows=training.windows.take(rows)), seen, held, progress)
    return {**figures, "windows": float(len(rows))}


def _extracted(
    windows: Windows, block_N: NDArray[np.int64], blocks: Sequence[Extractor | ModelError]
) -> tuple[NDArray[np.int64], Extracted]:
    """(rows, features) of the windows in blocks that have a Prophet. Raises ModelError if there are none."""
    rows = [np.flatnonzero((block_N == b) & isinstance(block, Extractor)) for b, block in enumerate(blocks)]
    some = [b for b, mine in enumerate(rows) if len(mine)]
    if not some:
        _extractor_of(blocks[-1])
        names = ", ".join(map(repr, windows.names[:3]))
        raise ModelError(f"series {names}: too short: no window has the two days before it that Prophet needs")
    seen = one_after_another([_extractor_of(blocks[b])(windows.past.take(rows[b])) for b in some])
    return np.concatenate(rows), seen


def _extractor_of(block: Extractor | ModelError) -> Extractor:
    if isinstance(block, ModelError):
        raise block
    return block


def _part(progress: Progress, start: float, end: float) -> Progress:
    return lambda doing, share: progress(doing, start + (end - start) * share)
