"""The three cores. Axes: see the package."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from scaler.series import Floats
from training.errors import ModelError
from training.features.extract import CoreInputs
from training.models.torch_model import export
from training.models.torch_model.fit import FitResult, Fitting, Rows, answers, fit, loss_of, repeatable
from training.models.torch_model.network import Architecture, Average, Network, Sizes, constant_quantiles
from training.progress import Progress


@dataclass(frozen=True, slots=True)
class NetworkRecipe:
    """All that determines a core besides data and seed."""

    name: str
    built: Architecture
    fitting: Fitting
    members: int = 1
    """number of networks, fitted one by one from consecutive seeds; their quantiles are averaged"""


def mlp(fitting: Fitting | None = None, members: int = 1) -> "TorchCore":
    """Reads the features alone: 10,000 windows in less than a tenth of a second."""
    built = Architecture("features", width=128, blocks=2, dropout=0.3)
    return TorchCore(NetworkRecipe("mlp", built, fitting or Fitting(), members))


def lstm(fitting: Fitting | None = None, members: int = 1) -> "TorchCore":
    """Reads the last day patch by patch; the features are the initial state."""
    built = Architecture("lstm", width=64, blocks=1, layers=1, patches_per_token=2, dropout=0.1)
    return TorchCore(NetworkRecipe("lstm", built, fitting or Fitting(), members))


def transformer(fitting: Fitting | None = None, members: int = 1) -> "TorchCore":
    """Reads all patches of the last day at once; the features are one more token."""
    built = Architecture("transformer", width=64, blocks=1, layers=2, patches_per_token=4, dropout=0.1)
    return TorchCore(NetworkRecipe("transformer", built, fitting or Fitting(), members))


class TorchCore:
    """A learned map in scaled units, see `training.models.learned.Core`."""

    def __init__(self, recipe: NetworkRecipe) -> None:
        self.name = recipe.name
        self.recipe = recipe
        self._sizes: Sizes | None = None
        self._network: nn.Module | None = None

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
        """Fit; NaN in the targets is ignored. An interrupted fit keeps the best so far and returns.

        Returns the pinball loss on the held-out rows next to that of constant quantiles, and figures of the fit.
        Raises ModelError if no target is known, or arrays do not match, and KeyboardInterrupt if interrupted before any
        epoch was better than constant quantiles: there is nothing to keep.
        """
        rows, judged = _rows("training", seen, target_NK), _rows("held-out", held_out, held_out_target_NK)
        if not levels or list(levels) != sorted(set(levels)):
            raise ModelError(f"quantile levels {levels}: must ascend")
        sizes = _sizes(rows, len(levels))
        wanted = torch.tensor(levels, dtype=torch.float32)
        constant = torch.from_numpy(constant_quantiles(target_NK, levels))
        networks: list[Network] = []
        fits: list[FitResult] = []
        with repeatable(seed, self.recipe.fitting.threads):
            for member in range(self.recipe.members):
                torch.manual_seed(seed + member)
                network = Network(sizes, self.recipe.built)
                network.begin_at(rows.features_NF, rows.sequence_NPC, constant)
                fits.append(
                    fit(
                        network,
                        rows,
                        judged,
                        wanted,
                        self.recipe.fitting,
                        seed + member,
                        _part(progress, member, self.recipe.members),
                    )
                )
                if not networks and fits[-1].interrupted and not fits[-1].epoch:
                    raise KeyboardInterrupt
                if not networks or not fits[-1].interrupted:
                    networks.append(network)
                if fits[-1].interrupted:
                    break
            self._sizes, self._network = sizes, _joined(networks)
            loss = loss_of(self._network, judged, wanted)
        return _figures(loss, fits, len(networks), self._network)

    def predict(self, seen: CoreInputs) -> Floats:
        """Quantiles in scaled units, ascending along Q. [N, K, Q]"""
        network, sizes = self._fitted()
        features, sequence = _tensors(seen)
        if not len(features):
            return np.empty((0, sizes.targets, sizes.levels), np.float32)
        quantiles: Floats = torch.cat(list(answers(network, features, sequence))).numpy()
        return quantiles

    def to_onnx(self) -> bytes:
        """The graph features [N, F], sequence [N, P, C] → scaled [N, K, Q]; the same bytes for the same weights."""
        return export.to_onnx(*self._fitted())

    def _fitted(self) -> tuple[nn.Module, Sizes]:
        if self._network is None or self._sizes is None:
            raise ModelError(f"{self.name}: must be fitted before it predicts")
        return self._network, self._sizes


def _joined(networks: list[Network]) -> nn.Module:
    return networks[0] if len(networks) == 1 else Average(networks)


def _part(progress: Progress, member: int, members: int) -> Progress:
    """Progress of one of several fits."""
    return lambda doing, share: progress(doing, (member + share) / members)


def _figures(loss: float, fits: list[FitResult], members: int, network: nn.Module) -> dict[str, float]:
    return {
        "held_out_loss": loss,
        "constant_loss": fits[0].constant_loss,
        "best_epoch": float(np.mean([one.epoch for one in fits[:members]])),
        "epochs": float(sum(one.epochs for one in fits)),
        "members": float(members),
        "weights": float(sum(one.numel() for one in network.parameters())),
        "interrupted": float(fits[-1].interrupted),
    }


def _rows(which: str, seen: CoreInputs, target_NK: Floats) -> Rows:
    rows = Rows(*_tensors(seen), _tensor(target_NK))
    lengths = {len(rows.features_NF), len(rows.sequence_NPC), len(rows.target_NK)}
    if len(lengths) > 1:
        raise ModelError(f"{which} rows: features, sequence and targets must have equal lengths; they are {lengths}")
    for name, inputs in (("features", rows.features_NF), ("sequence", rows.sequence_NPC)):
        if not bool(inputs.isfinite().all()):
            raise ModelError(f"{which} rows: {name} must be finite")
    if not bool(rows.target_NK.isfinite().any()):
        raise ModelError(f"{which} rows: no target is known")
    return rows


def _sizes(rows: Rows, levels: int) -> Sizes:
    _, patches, channels = rows.sequence_NPC.shape
    return Sizes(rows.features_NF.shape[1], patches, channels, rows.target_NK.shape[1], levels)


def _tensors(seen: CoreInputs) -> tuple[Tensor, Tensor]:
    return _tensor(seen.features_NF), _tensor(seen.sequence_NPC)


def _tensor(array: Floats) -> Tensor:
    return torch.from_numpy(np.require(array, np.float32, ["C", "W"]))
