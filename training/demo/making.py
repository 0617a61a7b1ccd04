"""A model of the workload's own: trained, judged by the gate beside the general one, published and promoted."""

import asyncio
from pathlib import Path

import numpy as np
import pandas as pd

from scaler.history.traces import Trace
from scaler.store.model_index import open_model_index
from training.experiment.train import Order, run
from training.lifecycle.gate import Verdict, judge
from training.lifecycle.measuring import Trial, measured
from training.lifecycle.publishing import Release, publish, refuse
from training.lifecycle.replaying import Scaling
from training.progress import Progress, no_progress

RECIPE, MODEL, SCOPE = "xgboost", "checkout", "shop"
PROBATION_SECONDS = 86_400.0
BY = "demo"


def written(trace: Trace, until: float, path: Path) -> Path:
    """A file of recorded demand with the part of the trace before `until`."""
    count = round((until - trace.start) / trace.step_seconds)
    times_S = pd.to_datetime(trace.start + np.arange(count) * trace.step_seconds, unit="s", utc=True)
    frame = pd.DataFrame({"series": trace.name, "timestamp": times_S, "value": trace.values[:count]})
    frame.to_csv(path, index=False)
    return path


def trained(data: Path, folder: Path, progress: Progress = no_progress) -> Path:
    """The folder of a bundle that has learned from `data`."""
    run(Order(RECIPE, (data,), folder, step_seconds=60, name=MODEL), progress)
    return folder


def judged(bundle: Path, data: Path, name: str, scaling: Scaling, progress: Progress = no_progress) -> Verdict:
    """What the gate says of it, beside the general bundle, on demand that it has not learned from."""
    trial = Trial(bundle, None, (data,), scalings={name: scaling}, replay_days=1.0)
    return judge(measured(trial, progress))


def refused(bundle: Path, bundles: str, data_dir: Path, verdict: Verdict) -> None:
    """Record that the gate refuses it."""

    async def work() -> None:
        index = open_model_index(None, data_dir)
        try:
            await refuse(index, Release(bundle, bundles, SCOPE, by=BY), verdict)
        finally:
            await index.close()

    asyncio.run(work())


async def released(
    bundle: Path, bundles: str, data_dir: Path, verdict: Verdict | None, at: float, promotes: bool
) -> str:
    """Publish it and, where that is wanted, make it the champion of the namespace, on probation for a day from `at`.

    Its NAME@VERSION.
    """
    index = open_model_index(None, data_dir)
    release = Release(bundle, bundles, SCOPE, promotes, PROBATION_SECONDS, BY, at=at)
    try:
        return (await publish(index, release, verdict, None)).model
    finally:
        await index.close()
