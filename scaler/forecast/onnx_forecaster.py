"""Runs a bundle's graph in onnxruntime, and refuses a bundle whose graph differs from its manifest.

Axes: N series, T fine past steps, L coarse past blocks, H future steps, W window lengths, Q levels.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from threading import TIMEOUT_MAX, Timer
from time import monotonic
from typing import Protocol

import numpy as np
import onnxruntime
import structlog
from numpy.typing import NDArray

from scaler.bundle import Bundle, Found, Manifest, read_bundle
from scaler.bundle.folder import Arrays
from scaler.bundle.signature import (
    HISTORY,
    LOCAL_TIME,
    LONG_HISTORY,
    OUTPUTS,
    PEAKS,
    QUANTILES,
    SERIES,
    differences,
    expected,
    shape_of,
)
from scaler.errors import BundleInvalid
from scaler.series import Floats, Forecast, Grid, HistoryBatch
from scaler.telemetry.redaction import excerpt
from scaler.trigger import LARGEST_DEMAND

RELATIVE_TOLERANCE = 1e-3
"""by how much a reference output may differ from the stored one, relative to the largest output of its case"""
CHUNK = 64
"""series per run: a larger run needs more memory (0.45 MB per series for the seasonal graph) and is no faster"""

LONGEST_RUN_SECONDS = 30.0
"""of one run of a graph, and of the replay of a bundle's reference; usual are 0.1 s. A graph may have loops"""

RESTING_SECONDS = 600.0
"""how long a bundle is not run after a run had to be ended: each would keep the forecasts of all waiting"""

REPLAYED_AT_ONCE = 2
"""reference cases per run: the session keeps the memory of its largest run"""

TOO_LONG = f"model.onnx ran for {LONGEST_RUN_SECONDS:.0f} s and was ended"

log = structlog.get_logger(__name__)

_DTYPES = {"tensor(float)": "float32", "tensor(int64)": "int64", "tensor(double)": "float64"}


class Session(Protocol):
    """The part of onnxruntime.InferenceSession in use here."""

    def get_outputs(self) -> Sequence[onnxruntime.NodeArg]: ...

    def run(
        self, names: Sequence[str], inputs: Mapping[str, NDArray[np.generic]], options: onnxruntime.RunOptions
    ) -> Sequence[NDArray[np.generic]]: ...


class _LateSession:
    """A session that is opened when it is first used."""

    def __init__(self, opened: Callable[[], Session]) -> None:
        self._open = opened

    @cached_property
    def _session(self) -> Session:
        return self._open()

    def get_outputs(self) -> Sequence[onnxruntime.NodeArg]:
        return self._session.get_outputs()

    def run(
        self, names: Sequence[str], inputs: Mapping[str, NDArray[np.generic]], options: onnxruntime.RunOptions
    ) -> Sequence[NDArray[np.generic]]:
        return self._session.run(names, inputs, options)


class OnnxForecaster:
    """A loaded bundle: `Forecaster` for everything that its manifest serves. Thread-safe.

    fallback: a forecaster on the same grid. It answers for series without a usable forecast, and for all series when
    the graph fails.
    """

    def __init__(
        self,
        manifest: Manifest,
        session: Session,
        chunk: int = CHUNK,
        fallback: "OnnxForecaster | None" = None,
    ) -> None:
        self.manifest = manifest
        self.grid = Grid(manifest.step_seconds, manifest.steps, manifest.coarse_seconds, manifest.coarse_steps)
        self.model = manifest.model
        self.needed_seconds = float(manifest.minimum_history_steps * manifest.step_seconds)
        self._session = session
        self._chunk = chunk
        self._fallback = fallback if fallback is not None and fallback.grid == self.grid else None
        self._positions = {name: i for i, name in enumerate(manifest.series)}
        self._rests_until = 0.0

    def serves(self, trigger_key: str) -> bool:
        """Whether the bundle can forecast the trigger `namespace/name/hash`."""
        return not self._positions or _series_of(trigger_key) in self._positions

    def forecast(self, batch: HistoryBatch) -> list[Forecast | None]:
        """See `Forecaster`. Each forecast owns its arrays and names its bundle.

        Raises BundleInvalid when the graph fails and there is no fallback.
        """
        if self._fallback is None:
            return self._own(batch)
        try:
            forecasts = self._own(batch)
        except BundleInvalid as error:
            log.error("bundle_failed", bundle=self.model, error=str(error), serving=self._fallback.model)
            return self._fallback.forecast(batch)
        missing = [i for i, forecast in enumerate(forecasts) if forecast is None]
        try:
            others = self._fallback.forecast(batch.take(missing)) if missing else []
        except BundleInvalid as error:
            log.error("bundle_failed", bundle=self._fallback.model, error=str(error), serving="")
            return forecasts
        for i, forecast in zip(missing, others, strict=True):
            forecasts[i] = forecast
        return forecasts

    def _own(self, batch: HistoryBatch) -> list[Forecast | None]:
        if monotonic() < self._rests_until:
            raise BundleInvalid(self.model, (f"{TOO_LONG}; it rests for {RESTING_SECONDS / 60:.0f} minutes",))
        forecasts: list[Forecast | None] = []
        for start in range(0, len(batch.keys), self._chunk):
            rows = slice(start, start + self._chunk)
            keys = batch.keys[rows]
            inputs: dict[str, NDArray[np.generic]] = {
                HISTORY.name: batch.history_NT[rows],
                LONG_HISTORY.name: batch.long_history_NL2[rows],
                LOCAL_TIME.name: batch.local_time_N[rows],
            }
            if self._positions:
                inputs[SERIES.name] = np.array([self._positions.get(_series_of(key), 0) for key in keys], np.int64)
            forecasts += self._read(self._run(inputs, len(keys)), keys, batch.end)
        return forecasts

    def _run(self, inputs: Mapping[str, NDArray[np.generic]], series: int) -> Arrays:
        """The outputs. Raises BundleInvalid where they are not of this many series, or take too long."""
        try:
            outputs = run(self._session, inputs, self.model, LONGEST_RUN_SECONDS)
        except _TooLong:
            self._rests_until = monotonic() + RESTING_SECONDS
            raise
        for tensor in OUTPUTS:
            shape = shape_of(tensor, self.manifest.sizes, series)
            if tensor.name in outputs and outputs[tensor.name].shape != shape:
                answered = f"model.onnx answered {tensor.name}{list(outputs[tensor.name].shape)}, must be {list(shape)}"
                raise BundleInvalid(self.model, (answered,))
        return outputs

    def _read(self, outputs: Arrays, keys: Sequence[str], end: float) -> Iterator[Forecast | None]:
        quantiles = np.asarray(outputs[QUANTILES.name], np.float32)
        peaks = np.asarray(outputs[PEAKS.name], np.float32) if PEAKS.name in outputs else None
        sound = _sound(quantiles) if peaks is None else _sound(quantiles) & _sound(peaks)
        for i, key in enumerate(keys):
            if not (sound[i] and self.serves(key)):
                yield None
                continue
            yield Forecast(
                start=end,
                step_seconds=self.manifest.step_seconds,
                levels=self.manifest.levels,
                quantiles_HQ=quantiles[i].copy(),
                peak_steps=self.manifest.peak_steps,
                peaks_WQ=None if peaks is None else peaks[i].copy(),
                model=self.model,
            )


def load_forecaster(
    folder: Path, threads: int = 1, chunk: int = CHUNK, fallback: OnnxForecaster | None = None
) -> OnnxForecaster:
    """The forecaster of the bundle in `folder`. Raises BundleInvalid with every difference from the contract.

    threads: how many cores one run uses. otherwise: see `OnnxForecaster`.
    """
    return open_bundle(read_bundle(folder), str(folder), threads, chunk, fallback)


def open_bundle(
    bundle: Bundle, name: str, threads: int = 1, chunk: int = CHUNK, fallback: OnnxForecaster | None = None
) -> OnnxForecaster:
    """As `load_forecaster`, for a bundle already read; `name` is what a refusal calls it."""
    return OnnxForecaster(bundle.manifest, _checked_session(bundle, name, threads), chunk, fallback)


def open_later(bundle: Bundle, name: str, threads: int = 1) -> OnnxForecaster:
    """As `open_bundle`, but the graph is opened and checked when the first forecast is wanted of it."""
    return OnnxForecaster(bundle.manifest, _LateSession(lambda: _checked_session(bundle, name, threads)))


def _checked_session(bundle: Bundle, name: str, threads: int) -> onnxruntime.InferenceSession:
    session = open_graph(bundle.graph, name, threads)
    problems = _declared_differences(session, bundle.manifest) or _replayed_differences(session, bundle, name)
    if problems:
        raise BundleInvalid(name, tuple(problems))
    return session


def open_graph(graph: bytes, name: str, threads: int = 1) -> onnxruntime.InferenceSession:
    """A session on the CPU. Raises BundleInvalid when the bytes are no graph that onnxruntime takes."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    # Planning memory for every shape of input takes twice the memory of a run, and makes none faster.
    options.enable_mem_pattern = False
    # Threads that spin while they wait for work would take the core from the event loop that answers KEDA.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no common base but this
        raise BundleInvalid(name, (f"model.onnx cannot be loaded: {excerpt(str(error))}",)) from error


class _TooLong(BundleInvalid):
    """A run that had to be ended."""


def run(session: Session, inputs: Mapping[str, NDArray[np.generic]], name: str, seconds: float = TIMEOUT_MAX) -> Arrays:
    """All outputs by name. Raises BundleInvalid when the graph fails, or takes longer than `seconds`."""
    names = [output.name for output in session.get_outputs()]
    options = onnxruntime.RunOptions()
    options.log_severity_level = 4
    ending = Timer(max(seconds, 0.0), setattr, (options, "terminate", True))
    ending.daemon = True
    ending.start()
    try:
        return dict(zip(names, session.run(names, dict(inputs), options), strict=True))
    except Exception as error:  # as above
        if options.terminate:
            raise _TooLong(name, (TOO_LONG,)) from None
        raise BundleInvalid(name, (f"model.onnx failed while running: {excerpt(str(error))}",)) from error
    finally:
        ending.cancel()


def _series_of(trigger_key: str) -> str:
    """namespace/name/hash → namespace/name."""
    return trigger_key.rsplit("/", 1)[0]


def _sound(values_NXQ: Floats) -> NDArray[np.bool_]:
    """Which series have ascending quantiles throughout, none negative and none larger than any demand."""
    lowest = values_NXQ[:, :, 0].min(axis=1)
    ascending = (values_NXQ[:, :, 1:] >= values_NXQ[:, :, :-1]).all(axis=(1, 2))
    sound: NDArray[np.bool_] = (lowest >= 0) & ascending & (values_NXQ[:, :, -1] <= LARGEST_DEMAND).all(axis=1)
    return sound


def _declared_differences(session: onnxruntime.InferenceSession, manifest: Manifest) -> list[str]:
    inputs, outputs = expected(manifest.sizes, bool(manifest.series))
    return [
        *differences("input", inputs, _found(session.get_inputs()), manifest.sizes),
        *differences("output", outputs, _found(session.get_outputs()), manifest.sizes),
    ]


def _found(tensors: Sequence[onnxruntime.NodeArg]) -> list[Found]:
    return [Found(tensor.name, _DTYPES.get(tensor.type, tensor.type), tensor.shape) for tensor in tensors]


def _replayed_differences(session: onnxruntime.InferenceSession, bundle: Bundle, name: str) -> list[str]:
    """How what the graph answers differs from the stored answers, a sentence per output."""
    inputs, outputs = expected(bundle.manifest.sizes, bool(bundle.manifest.series))
    cases, ends = len(bundle.reference[inputs[0].name]), monotonic() + LONGEST_RUN_SECONDS
    parts = [
        run(
            session,
            {t.name: bundle.reference[t.name][i : i + REPLAYED_AT_ONCE] for t in inputs},
            name,
            ends - monotonic(),
        )
        for i in range(0, cases, REPLAYED_AT_ONCE)
    ]
    found = {t.name: np.concatenate([part[t.name] for part in parts]) for t in outputs}
    problems = (reference_difference(t.name, bundle.reference[t.name], found[t.name]) for t in outputs)
    return [sentence for sentence in problems if sentence]


def reference_difference(name: str, stored: NDArray[np.generic], found: NDArray[np.generic]) -> str:
    """How an output [N, …] differs from the stored one, in a sentence; empty when it agrees. NaN equals NaN."""
    if stored.shape != found.shape:
        return f"reference {name}: the graph answers {list(found.shape)}, stored are {list(stored.shape)}"
    wanted = np.asarray(stored, np.float64).reshape(len(stored), -1)
    got = np.asarray(found, np.float64).reshape(len(found), -1)
    largest = np.abs(np.where(np.isfinite(wanted), wanted, 0.0)).max(axis=1, keepdims=True)
    agree = (np.abs(got - wanted) <= RELATIVE_TOLERANCE * largest) | (np.isnan(got) & np.isnan(wanted))
    if agree.all():
        return ""
    case, place = np.argwhere(~agree)[0]
    where = list(map(int, np.unravel_index(place, stored.shape[1:])))
    count = int((~agree).any(axis=1).sum())
    return (
        f"reference {name}: {count} of {len(stored)} cases differ; first case {case} at {where}: "
        f"the graph answers {got[case, place]:.6g}, stored is {wanted[case, place]:.6g}"
    )
