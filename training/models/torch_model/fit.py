"""Training of a network: AdamW on the pinball loss; the best on held-out rows is kept. Axes: see the package."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.utils import deterministic

from training.progress import Progress

State: TypeAlias = Mapping[str, Tensor]
EVALUATED_ROWS = 2048
"""rows per batch for inference"""
FILLS = "fill_uninitialized_memory"
"""a setting of torch that its type stubs lack"""


@dataclass(frozen=True, slots=True)
class Fitting:
    """Options of the training."""

    epochs: int = 40
    """at most"""
    batch_rows: int = 512
    learning_rate: float = 2e-3
    """at its highest, after the warm-up"""
    warm_up: float = 0.05
    """share of all steps during which the rate rises"""
    weight_decay: float = 0.01
    patience_epochs: int = 6
    """epochs without a better held-out loss after which the fit ends"""
    largest_gradient: float = 1.0
    threads: int = 2
    """another number changes the order of sums, so it is part of what makes a fit repeatable"""


@dataclass(frozen=True, slots=True)
class Rows:
    """Inputs and targets; targets are NaN (or infinite) if unknown."""

    features_NF: Tensor
    sequence_NPC: Tensor
    target_NK: Tensor

    def __len__(self) -> int:
        return len(self.target_NK)

    def take(self, chosen: Tensor | slice) -> "Rows":
        return Rows(self.features_NF[chosen], self.sequence_NPC[chosen], self.target_NK[chosen])


@dataclass(frozen=True, slots=True)
class FitResult:
    """loss: on the held-out rows; constant_loss: of constant quantiles, on the same rows.

    epoch: of the best; 0 if none was better than those.
    """

    loss: float
    constant_loss: float
    epoch: int
    epochs: int
    interrupted: bool


def fit(
    network: nn.Module,
    rows: Rows,
    held_out: Rows,
    levels: Tensor,
    how: Fitting,
    seed: int,
    progress: Progress,
) -> FitResult:
    """Leaves the weights in `network` that were best on `held_out`.

    `network` must start with constant outputs, the first best. Any KeyboardInterrupt ends the fit early. Call it within
    `repeatable`.
    """
    best = _copied(network)
    best_loss = constant_loss = loss_of(network, held_out, levels)
    best_epoch = epoch = 0
    interrupted = False
    shuffle = torch.Generator().manual_seed(seed)
    try:
        progress("fit", 0.0)
        steps = _Steps(network, how, len(rows))
        for epoch in range(1, how.epochs + 1):
            _learn(network, rows, levels, steps, shuffle, progress)
            loss = loss_of(network, held_out, levels)
            if loss < best_loss:
                best, best_loss, best_epoch = _copied(network), loss, epoch
            if epoch - best_epoch >= how.patience_epochs:
                break
        progress("fit", 1.0)
    except KeyboardInterrupt:
        interrupted = True
    network.load_state_dict(best)
    network.eval()
    return FitResult(best_loss, constant_loss, best_epoch, epoch, interrupted)


class _Steps:
    """The optimiser and its schedule: a linear warm-up, then half a cosine down to zero (Loshchilov & Hutter 2017)."""

    def __init__(self, network: nn.Module, how: Fitting, rows: int) -> None:
        self.how = how
        self.per_epoch = -(-rows // how.batch_rows)
        self.total = how.epochs * self.per_epoch
        self.done = 0
        weights = [one for one in network.parameters() if one.ndim > 1]
        others = [one for one in network.parameters() if one.ndim <= 1]
        groups: list[dict[str, Any]] = [{"params": weights}, {"params": others, "weight_decay": 0.0}]
        self.parameters = weights + others
        self.optimiser = torch.optim.AdamW(groups, lr=how.learning_rate, weight_decay=how.weight_decay)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimiser, self._pace)

    def _pace(self, step: int) -> float:
        warm_up = max(1.0, self.how.warm_up * self.total)
        if step < warm_up:
            return (step + 1) / (warm_up + 1)
        return 0.5 + 0.5 * math.cos(math.pi * (step - warm_up) / max(1.0, self.total - warm_up))

    def take(self, loss: Tensor) -> None:
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.parameters, self.how.largest_gradient)
        self.optimiser.step()
        self.schedule.step()
        self.done += 1


def _learn(
    network: nn.Module, rows: Rows, levels: Tensor, steps: _Steps, shuffle: torch.Generator, progress: Progress
) -> None:
    """One epoch."""
    network.train()
    for chosen in torch.split(torch.randperm(len(rows), generator=shuffle), steps.how.batch_rows):
        batch = rows.take(chosen)
        total, known = pinball(network(batch.features_NF, batch.sequence_NPC), batch.target_NK, levels)
        steps.take(total / known.clamp(min=1.0))
        progress("fit", steps.done / steps.total)


def pinball(quantiles_NKQ: Tensor, target_NK: Tensor, levels: Tensor) -> tuple[Tensor, Tensor]:
    """(sum over known targets of the mean over levels, number of known targets): Koenker & Bassett 1978."""
    known = target_NK.isfinite()
    miss = torch.where(known, target_NK, 0.0).unsqueeze(-1) - quantiles_NKQ
    loss = torch.maximum(levels * miss, (levels - 1.0) * miss).mean(dim=-1)
    return (loss * known).sum(), known.sum().float()


def answers(network: nn.Module, features_NF: Tensor, sequence_NPC: Tensor) -> Iterator[Tensor]:
    """Outputs of the network, some thousand rows at a time."""
    network.eval()
    with torch.inference_mode():
        for first in range(0, len(features_NF), EVALUATED_ROWS):
            part = slice(first, first + EVALUATED_ROWS)
            yield network(features_NF[part], sequence_NPC[part])


def loss_of(network: nn.Module, rows: Rows, levels: Tensor) -> float:
    """Mean pinball loss over the known targets and the levels."""
    targets = torch.split(rows.target_NK, EVALUATED_ROWS)
    quantiles = answers(network, rows.features_NF, rows.sequence_NPC)
    losses = [pinball(quantiles, target, levels) for quantiles, target in zip(quantiles, targets, strict=True)]
    return sum(float(total) for total, _ in losses) / max(1.0, sum(float(known) for _, known in losses))


def _copied(network: nn.Module) -> State:
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


@contextmanager
def repeatable(seed: int, threads: int) -> Iterator[None]:
    """Within, equal work gives equal bits; afterwards the settings of torch are restored."""
    threads_before = torch.get_num_threads()
    strict_before = torch.are_deterministic_algorithms_enabled()
    filled_before = getattr(deterministic, FILLS)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(True)
        setattr(
            deterministic, FILLS, False
        )  # filling takes half the time of an LSTM, and no uninitialised memory is read here
        try:
            yield
        finally:
            torch.set_num_threads(threads_before)
            torch.use_deterministic_algorithms(strict_before)
            setattr(deterministic, FILLS, filled_before)
