"""Boosted trees on the features: for some targets, one tree per level and round; other targets are interpolated.

The cost of trees in onnxruntime is per row, so there is one row per window, not one per lead.

Axes: N windows, F features, K targets, M targets that have trees of their own, Q levels.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import xgboost
from numpy.typing import NDArray
from onnx import TensorProto, helper

from scaler.series import Floats
from training import graph
from training.features.extract import FEATURES, CoreInputs
from training.progress import Progress
from training.task import Task, step_leads

PEAKS_LEARNED = (1, 2, 5, 15, 30, 60, 120)
STEPS_LEARNED = (1, 5, 15, 60, 120)
ML_OPSET = 3


@dataclass(frozen=True, slots=True)
class Boosting:
    """Options of the boosting."""

    rounds: int = 200
    """at most; fewer if the held-out loss no longer falls"""
    patience: int = 15
    depth: int = 5
    learning_rate: float = 0.1
    rows: float = 0.7
    """share of the windows that a tree sees"""
    columns: float = 0.3
    """share of the features that a tree sees"""
    least_weight: float = 30.0
    """least number of windows in a leaf, about"""
    least_share: float = 0.1
    """of all windows: upper bound of that number, so that few windows can be learned from"""
    bins: int = 64
    threads: int = 1


class XgboostCore:
    """A learned map in scaled units, see `training.models.learned.Core`."""

    name = "xgboost"

    def __init__(self, task: Task, boosting: Boosting | None = None) -> None:
        self._boosting = boosting or Boosting()
        self._learned, self._between_KM = learned_targets(task)
        self._boosters: list[xgboost.Booster] = []
        self._levels: tuple[float, ...] = ()

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
        """Fit target by target. After an interrupt the trees so far are kept, and targets not reached copy others."""
        self._levels = levels
        self._boosters, losses, interrupted = [], [], False
        for place, k in enumerate(self._learned):
            watch = _RoundsCallback(progress, place, len(self._learned), self._boosting.rounds, interrupted)
            train, judge = _matrix(seen, target_NK[:, k]), _matrix(held_out, held_out_target_NK[:, k])
            booster = self._boosted(train, judge, seed + place, watch)
            interrupted = watch.interrupted
            losses.append(float(booster.attr("best_score") or "nan"))
            self._boosters.append(booster)
        trees = sum(booster.num_boosted_rounds() for booster in self._boosters) * len(levels)
        return {"held_out_loss": float(np.nanmean(losses)), "trees": float(trees), "interrupted": float(interrupted)}

    def predict(self, seen: CoreInputs) -> Floats:
        """Quantiles in scaled units. [N, K, Q]"""
        rows = xgboost.DMatrix(seen.features_NF)
        found = np.stack([booster.predict(rows).reshape(len(seen), -1) for booster in self._boosters], axis=1)
        return np.asarray(np.einsum("km,nmq->nkq", self._between_KM, found), np.float32)

    def to_onnx(self) -> bytes:
        """One ensemble for all targets that have trees, then the interpolation between them."""
        learned, levels = len(self._boosters), len(self._levels)
        trees = helper.make_node(
            "TreeEnsembleRegressor", [FEATURES], ["flat"], domain="ai.onnx.ml", **_ensemble(self._boosters, levels)
        )
        shape = helper.make_tensor("shape", TensorProto.INT64, [3], [-1, learned, levels])
        between = onnx.numpy_helper.from_array(self._between_KM, "between")
        nodes = [
            trees,
            helper.make_node("Reshape", ["flat", "shape"], ["learned"]),
            helper.make_node("MatMul", ["between", "learned"], ["scaled"]),
        ]
        features = self._boosters[0].num_features()
        inputs = [helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, ["N", features])]
        outputs = [helper.make_tensor_value_info("scaled", TensorProto.FLOAT, ["N", len(self._between_KM), levels])]
        made = helper.make_graph(nodes, "xgboost", inputs, outputs, [shape, between])
        opsets = [helper.make_opsetid("", graph.OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
        model = helper.make_model(made, opset_imports=opsets, ir_version=graph.IR_VERSION)
        return bytes(model.SerializeToString(deterministic=True))

    def _boosted(self, train: Any, judge: Any, seed: int, watch: "_RoundsCallback") -> xgboost.Booster:
        chosen = self._boosting
        settings = {
            "objective": "reg:quantileerror",
            "quantile_alpha": list(self._levels),
            "tree_method": "hist",
            "max_depth": chosen.depth,
            "eta": chosen.learning_rate,
            "subsample": chosen.rows,
            "colsample_bytree": chosen.columns,
            "min_child_weight": min(chosen.least_weight, chosen.least_share * train.num_row()),
            "max_bin": chosen.bins,
            "nthread": chosen.threads,
            "seed": seed,
        }
        stop = xgboost.callback.EarlyStopping(rounds=chosen.patience, save_best=True)
        return xgboost.train(
            settings,
            train,
            num_boost_round=chosen.rounds,
            evals=[(judge, "held_out")],
            callbacks=[stop, watch],
            verbose_eval=False,
        )


def learned_targets(task: Task) -> tuple[list[int], Floats]:
    """(positions in K that have trees of their own, weights [K, M] that interpolate all K between them).

    Between two window lengths, or two leads, interpolation is linear in their logarithm.
    """
    peaks = _chosen(task.peak_steps, PEAKS_LEARNED)
    leads = step_leads(task)
    steps = _chosen(leads, STEPS_LEARNED)
    first, second = _between(task.peak_steps, peaks), _between(leads, steps)
    between = np.zeros((len(first) + len(second), len(peaks) + len(steps)), np.float32)
    between[: len(first), : len(peaks)] = first
    between[len(first) :, len(peaks) :] = second
    return [*peaks, *(len(task.peak_steps) + place for place in steps)], between


def _chosen(marks: Sequence[int], wanted: Sequence[int]) -> list[int]:
    """Positions of the wanted marks; the last one is always included."""
    return [place for place, mark in enumerate(marks) if mark in wanted or place == len(marks) - 1]


def _between(marks: Sequence[int], chosen: Sequence[int]) -> NDArray[np.float64]:
    knots = np.log([marks[place] for place in chosen])
    return np.stack([np.interp(np.log(marks), knots, unit) for unit in np.eye(len(chosen))], axis=1)


def _matrix(seen: CoreInputs, target_N: Floats) -> Any:
    known = np.flatnonzero(~np.isnan(target_N))
    return xgboost.DMatrix(seen.features_NF[known], target_N[known])


class _RoundsCallback(xgboost.callback.TrainingCallback):
    """Reports the rounds; an interrupt ends this target, and limits the following ones to a single round."""

    def __init__(self, progress: Progress, place: int, places: int, rounds: int, interrupted: bool) -> None:
        super().__init__()
        self._progress = progress
        self._place, self._places, self._rounds = place, places, rounds
        self.interrupted = interrupted

    def after_iteration(self, model: xgboost.Booster, epoch: int, evals_log: object) -> bool:
        try:
            self._progress("xgboost: trees", (self._place + (epoch + 1) / self._rounds) / self._places)
        except KeyboardInterrupt:
            self.interrupted = True
        return self.interrupted


def _ensemble(boosters: Sequence[xgboost.Booster], levels: int) -> dict[str, Any]:
    """The attributes of TreeEnsembleRegressor for all trees of all boosters; targets are numbered m Q + q."""
    nodes: dict[str, list[Any]] = {name: [] for name in _NODE_ATTRIBUTES}
    leaves: dict[str, list[Any]] = {"treeids": [], "nodeids": [], "ids": [], "weights": []}
    base: list[float] = []
    number = 0
    for m, booster in enumerate(boosters):
        learner = json.loads(booster.save_raw("json"))["learner"]
        base += _base_scores(learner, levels)
        model = learner["gradient_booster"]["model"]
        for tree, level in zip(model["trees"], model["tree_info"], strict=True):
            _add_tree(nodes, leaves, tree, number, m * levels + level)
            number += 1
    return {
        **{f"nodes_{name}": values for name, values in nodes.items()},
        **{f"target_{name}": values for name, values in leaves.items()},
        "n_targets": len(boosters) * levels,
        "base_values": base,
    }


_NODE_ATTRIBUTES = ("treeids", "nodeids", "featureids", "modes", "values", "truenodeids", "falsenodeids")


def _base_scores(learner: Mapping[str, Any], levels: int) -> list[float]:
    scores = json.loads(learner["learner_model_param"]["base_score"])
    return [float(score) for score in (scores if isinstance(scores, list) else [scores] * levels)]


def _add_tree(
    nodes: dict[str, list[Any]], leaves: dict[str, list[Any]], tree: Mapping[str, Any], number: int, target: int
) -> None:
    """A node with a left child goes there if feature < value; a leaf has its value in place of the split."""
    for node, left in enumerate(tree["left_children"]):
        leaf = left == -1
        nodes["treeids"].append(number)
        nodes["nodeids"].append(node)
        nodes["featureids"].append(0 if leaf else tree["split_indices"][node])
        nodes["modes"].append("LEAF" if leaf else "BRANCH_LT")
        nodes["values"].append(0.0 if leaf else tree["split_conditions"][node])
        nodes["truenodeids"].append(0 if leaf else left)
        nodes["falsenodeids"].append(0 if leaf else tree["right_children"][node])
        if leaf:
            leaves["treeids"].append(number)
            leaves["nodeids"].append(node)
            leaves["ids"].append(target)
            leaves["weights"].append(tree["split_conditions"][node])
