"""Makes the general bundle that ships with the scaler: `make default-bundle TRACES=FOLDER`.

It is trained without each system in turn, to be judged on it; then on all of them, and this bundle ships. Its manifest
has the scores on systems left out, and on systems whose licence does not allow training.
"""

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from scaler.bundle import Bundle, Manifest, read_bundle
from training.data.load import Series, load
from training.data.windows import Past
from training.experiment.shipped import BundleModel
from training.export.bundle import bundle_of, export
from training.export.parity import checked
from training.export.reference import reference_cases
from training.models import Model, Training
from training.shipped.beside_naive import Ask, beside_naive, over_naive, ratios
from training.shipped.data import JUDGED_ONLY, SEED, SOURCES, STEP_SECONDS, training_windows
from training.shipped.scores import Score, scores, summary
from training.shipped.seasonal import ROOT
from training.shipped.seasonal import SHIPPED as SEASONAL
from training.task import Task, task_for

SHIPPED = ROOT / "scaler" / "bundle" / "shipped" / "general"
NAME, VERSION = "general", "1"
LARGEST_BYTES = 5_000_000
NETWORKS = 4
SHARES = (0.7, 0.3)
"""of the networks and of the seasonal model, by the losses on systems left out"""
SCORES = (
    "loss of the peak over that of the seasonal model, median over series of systems not seen; "
    "over seasonal-naive and over persistence: losses over theirs, geometric mean over systems not seen"
)


def core(task: Task, threads: int) -> Model:
    """The model before the fit."""
    from training.models.ensemble import Ensemble
    from training.models.learned import Learned
    from training.models.seasonal import SeasonalCore
    from training.models.torch_model.core import mlp
    from training.models.torch_model.fit import Fitting

    networks = mlp(Fitting(threads=threads), members=NETWORKS)
    return Learned(Ensemble((networks, SeasonalCore(task)), task, SHARES), task, threads)


def fitted(series: Sequence[Series], task: Task, threads: int) -> tuple[Model, Past]:
    """(the model, some of its training data)"""
    windows, held_out = training_windows(series, task)
    model = core(task, threads)
    model.fit(Training(task, tuple(series), windows, held_out, SEED))
    return model, held_out.past


@dataclass(frozen=True)
class Judged:
    """Systems judged by a model that has not seen them: next to the seasonal bundle, and next to naive models."""

    scores: tuple[Score, ...]
    over_naive: pd.DataFrame
    """a row per naive model and series, see `training.shipped.beside_naive.ratios`"""


def judged(series: Sequence[Series], task: Task, model: Ask) -> Judged:
    """These series, judged by a model."""
    seasonal = BundleModel(read_bundle(SEASONAL)).predict_quantiles
    return Judged(tuple(scores(series, task, model, seasonal)), ratios(beside_naive(series, task, model)))


def unseen(traces: Path, task: Task, threads: int, keep: Path | None = None) -> Iterator[Judged]:
    """Each system by a model that has not seen it; `keep`: a folder that gets those models as bundles."""
    for system in SOURCES:
        others = recorded(traces, [name for name in SOURCES if name != system])
        model, _ = fitted(others, task, threads)
        if keep is not None:
            manifest = task.manifest(without(system), VERSION, trained={"data": f"all of {NAME} but {system}"})
            export(bundle_of(model.to_onnx(), manifest, reference_cases(manifest)), keep / without(system))
        yield judged(recorded(traces, [system]), task, model.predict_quantiles)


def without(system: str) -> str:
    """The name of the bundle that has not seen a system."""
    return f"{NAME}-without-{system}"


def recorded(traces: Path, names: Iterable[str]) -> tuple[Series, ...]:
    """The series of these trace files. Raises DataError if one is missing or cannot be read."""
    return load([traces / f"{name}.csv.gz" for name in names]).series


def made(traces: Path, task: Task, threads: int, left_out: Iterable[Judged]) -> Bundle:
    """The bundle trained on all systems; `left_out`: systems judged by a model that was not trained on them."""
    model, past = fitted(recorded(traces, SOURCES), task, threads)
    graph = model.to_onnx()
    checked(model, graph, past.take(np.arange(0, len(past), max(1, len(past) // 100))))
    strangers = [judged(recorded(traces, [name]), task, model.predict_quantiles) for name in JUDGED_ONLY]
    every = [*left_out, *strangers]
    found = summary(score for one in every for score in one.scores)
    found |= over_naive(pd.concat([one.over_naive for one in every], ignore_index=True))
    manifest: Manifest = task.manifest(
        NAME,
        VERSION,
        trained={
            "method": "four small networks learn where the seasonal model is wrong; averaged with it, 7 to 3",
            "data": f"{', '.join(SOURCES)}; mixtures of these; synthetic demand",
            "code": f"training.shipped, seed {SEED}",
            "scores": SCORES,
        },
        scores=found,
        data_licence="; ".join(f"{name}: {source.terms}" for name, source in SOURCES.items()),
    )
    return bundle_of(graph, manifest, reference_cases(manifest))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m training.shipped.general", description=__doc__)
    parser.add_argument("traces", type=Path, help="folder of the recorded systems, a .csv.gz each")
    parser.add_argument("--threads", type=int, default=1, help="the result depends on it in the last bits")
    parser.add_argument("--keep", type=Path, help="folder for the bundles that have not seen one of the systems, each")
    options = parser.parse_args(arguments)
    task = task_for(STEP_SECONDS)
    left_out = list(unseen(options.traces, task, options.threads, options.keep))
    bundle = made(options.traces, task, options.threads, left_out)
    if len(bundle.graph) > LARGEST_BYTES:
        print(f"the graph has {len(bundle.graph)} bytes, at most {LARGEST_BYTES} may ship", file=sys.stderr)
        return 1
    export(bundle, SHIPPED)
    print("\n".join(f"{value:7.3f}  {name}" for name, value in bundle.manifest.scores.items()))
    print(f"wrote {SHIPPED.relative_to(ROOT)}: {len(bundle.graph) / 1e6:.1f} MB; steps of {STEP_SECONDS} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
