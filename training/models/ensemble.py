"""Several cores, averaged quantile by quantile, with weights per lead bucket that are learned on held-out windows.

Averaging quantiles (Vincent, 1912) keeps the shape of the distributions; averaging distributions would widen it.

Axes: N windows, K targets, Q levels, M members.
"""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import compose, helper

from scaler.series import Floats
from training import graph
from training.features.extract import FEATURES, SEASONAL, SEQUENCE, CoreInputs
from training.models.learned import Core
from training.progress import Progress
from training.task import Task, step_leads

BUCKETS = (2, 5, 15, 60)
"""a lead bucket ends at each of these steps, and there is one beyond"""
PARTS = 10
"""weights are multiples of a tenth"""


class Ensemble:
    """Several members as one core, see `training.models.learned.Core`.

    shares: the members' weights; None: learned on the held-out windows. These are of series that the members
    know: a model for unknown series needs shares chosen on unknown series.

    After an interrupt it consists of the members fitted so far, the current one with its best so far; the others have
    weight 0.
    """

    def __init__(
        self, members: Sequence[Core], task: Task, shares: Sequence[float] | None = None, name: str = "ensemble"
    ) -> None:
        self.name = name
        self._members = tuple(members)
        self._shares = shares
        self._fitted = self._members
        self._bucket_K = buckets(task)
        self._weight_KM = np.full((len(self._bucket_K), len(members)), 1 / len(members), np.float32)

    def fit(
        self,
        seen: CoreInputs,
        target_NK: Floats,
        held_out: CoreInputs,
        held_out_target_NK: Floats,
        levels: tuple[float, ...],
        seed: int,
        progress: Progress,
    ) -> Mapping[str, float]:
        """Fit every member, then the weights; figures are prefixed with the member's name.

        Raises KeyboardInterrupt if interrupted before any member has learned anything.
        """
        figures: dict[str, float] = {}
        fitted: list[Core] = []
        for place, member in enumerate(self._members):
            watched = _MemberProgress(progress, place, len(self._members))
            try:
                found = member.fit(seen, target_NK, held_out, held_out_target_NK, levels, seed, watched)
            except KeyboardInterrupt:
                if not (fitted and watched.interrupted):
                    raise
            else:
                fitted.append(member)
                figures |= {f"{member.name}_{name}": value for name, value in found.items()}
            if watched.interrupted:
                break
        self._fitted = tuple(fitted)
        self._weight_KM = np.empty((len(self._bucket_K), len(fitted)), np.float32)
        answers = [member.predict(held_out) for member in fitted]
        for bucket in np.unique(self._bucket_K):
            inside = self._bucket_K == bucket
            quantiles, came = [a[:, inside] for a in answers], held_out_target_NK[:, inside]
            best, loss = self._weights(quantiles, came, levels)
            self._weight_KM[inside] = best
            figures[f"bucket_{bucket}_loss"] = loss
            weights = dict(zip((member.name for member in fitted), best, strict=True))
            figures |= {f"bucket_{bucket}_{member.name}": weights.get(member.name, 0.0) for member in self._members}
        return {**figures, "interrupted": float(watched.interrupted)}

    def _weights(
        self, answers: Sequence[Floats], target_NK: Floats, levels: tuple[float, ...]
    ) -> tuple[tuple[float, ...], float]:
        """(weights of the fitted members, their loss)"""
        if self._shares is None:
            return best_weights(answers, target_NK, levels)
        given = self._shares[: len(answers)]
        weights = tuple(share / sum(given) for share in given)
        return weights, _loss(np.tensordot(np.asarray(weights, np.float32), answers, 1), target_NK, levels)

    def predict(self, seen: CoreInputs) -> Floats:
        """The weighted mean of the members' quantiles. [N, K, Q]"""
        found = np.stack([member.predict(seen) for member in self._fitted])
        return np.asarray(np.einsum("km,mnkq->nkq", self._weight_KM, found), np.float32)

    def to_onnx(self) -> bytes:
        """All members side by side over the same inputs, then their weighted sum."""
        parts = [onnx.load_from_string(member.to_onnx()) for member in self._fitted]
        parts = [compose.add_prefix(part, f"{m}/") for m, part in enumerate(parts)]
        nodes: list[Any] = []
        initializers: list[Any] = []
        opsets, inputs = {"": graph.OPSET}, {}
        for m, part in enumerate(parts):
            for value in part.graph.input:
                name = value.name.removeprefix(f"{m}/")
                inputs[name] = value
                nodes.append(helper.make_node("Identity", [name], [value.name]))
            nodes += part.graph.node
            initializers += part.graph.initializer
            opsets |= {opset.domain: opset.version for opset in part.opset_import if opset.domain}
            weight = self._weight_KM[None, :, m, None]
            initializers.append(onnx.numpy_helper.from_array(weight, f"weight_{m}"))
            nodes.append(helper.make_node("Mul", [f"{m}/scaled", f"weight_{m}"], [f"weighted_{m}"]))
        nodes.append(helper.make_node("Sum", [f"weighted_{m}" for m in range(len(parts))], ["scaled"]))
        made = helper.make_graph(
            nodes,
            "ensemble",
            [_renamed(inputs[name], name) for name in (FEATURES, SEQUENCE, SEASONAL) if name in inputs],
            [_renamed(parts[0].graph.output[0], "scaled")],
            initializers,
        )
        opset_imports = [helper.make_opsetid(domain, number) for domain, number in sorted(opsets.items())]
        model = helper.make_model(made, opset_imports=opset_imports, ir_version=graph.IR_VERSION)
        return bytes(model.SerializeToString(deterministic=True))


class _MemberProgress:
    """Progress of one member, which records whether it was interrupted."""

    def __init__(self, progress: Progress, place: int, members: int) -> None:
        self._progress, self._place, self._members = progress, place, members
        self.interrupted = False

    def __call__(self, doing: str, share: float) -> None:
        try:
            self._progress(doing, (self._place + share) / self._members)
        except KeyboardInterrupt:
            self.interrupted = True
            raise


def buckets(task: Task) -> NDArray[np.int64]:
    """The lead bucket of each target, named by the last step in it (0: beyond all). [K]"""
    leads = np.array([*task.peak_steps, *step_leads(task)])
    ends = np.array([*BUCKETS, 0])
    return ends[np.searchsorted(BUCKETS, leads)]


def best_weights(
    answers: Sequence[Floats], target_NK: Floats, levels: tuple[float, ...]
) -> tuple[tuple[float, ...], float]:
    """(weights of the members with the smallest pinball loss, that loss)."""
    losses = {
        weights: _loss(np.tensordot(np.asarray(weights, np.float32), answers, 1), target_NK, levels)
        for weights in simplex(len(answers))
    }
    best = min(losses, key=lambda weights: losses[weights])
    return best, losses[best]


def simplex(members: int) -> list[tuple[float, ...]]:
    """All weights in tenths that add up to 1."""
    found = [parts for parts in product(range(PARTS + 1), repeat=members) if sum(parts) == PARTS]
    return [tuple(part / PARTS for part in parts) for parts in found]


def _loss(quantile_NKQ: Floats, target_NK: Floats, levels: tuple[float, ...]) -> float:
    """Mean pinball loss over the known values."""
    error = target_NK[:, :, None] - quantile_NKQ
    level = np.asarray(levels)
    return float(np.nanmean(np.maximum(level * error, (level - 1) * error)))


def _renamed(value: onnx.ValueInfoProto, name: str) -> onnx.ValueInfoProto:
    copy = onnx.ValueInfoProto()
    copy.CopyFrom(value)
    copy.name = name
    return copy
