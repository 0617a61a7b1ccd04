"""The architecture of the networks, independent of training and storage. Axes: see the package."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from scaler.series import Floats

WILDEST = 1e6
"""inputs are clipped at this many spreads from the centre"""
MEASURED_ROWS = 200_000
"""at most this many evenly spaced rows determine centre and spread of inputs"""


@dataclass(frozen=True, slots=True)
class Sizes:
    """F, P, C, K and Q."""

    features: int
    patches: int
    channels: int
    targets: int
    levels: int


@dataclass(frozen=True, slots=True)
class Architecture:
    """The architecture of a network."""

    reads: Literal["features", "lstm", "transformer"]
    """what reads the sequence: nothing, or one of two encoders"""
    width: int
    """D"""
    blocks: int
    """residual blocks before the quantiles"""
    layers: int = 0
    """of the encoder, at least 1"""
    heads: int = 4
    """of each attention: a divisor of the width"""
    patches_per_token: int = 1
    """neighbouring patches that an encoder reads as one; missing ones before the oldest count as average"""
    dropout: float = 0.0


class Standardised(nn.Module):
    """asinh((x - centre) / spread) along the last axis: about unit size, extreme values within a few units."""

    centre: Tensor
    spread: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(size))
        self.register_buffer("spread", torch.ones(size))

    def measure(self, inputs: Tensor) -> None:
        """Takes centre and spread from training data; the spread of a constant is 1."""
        rows = inputs.reshape(-1, inputs.shape[-1])
        rows = rows[:: max(1, len(rows) // MEASURED_ROWS)].double()
        low, centre, high = (torch.from_numpy(np.quantile(rows.numpy(), p, axis=0)) for p in (0.25, 0.5, 0.75))
        spread = (high - low) / 1.35
        spread = torch.where(spread > 0, spread, rows.std(dim=0, correction=0))
        self.centre.copy_(centre)
        self.spread.copy_(torch.where(spread > 0, spread, torch.ones_like(spread)).clamp(1e-30, 1e30))

    def forward(self, inputs: Tensor) -> Tensor:
        scaled = ((inputs - self.centre) / self.spread).clamp(-WILDEST, WILDEST)
        size = scaled.abs()
        return scaled.sign() * (size + (size * size + 1.0).sqrt()).log()  # in onnxruntime three times as fast as Asinh


class Residual(nn.Module):
    """x + two layers of the normalised x (He et al. 2016, normalisation first as in Xiong et al. 2020)."""

    def __init__(self, width: int, inner: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.widen = nn.Linear(width, inner)
        self.drop = nn.Dropout(dropout)
        self.narrow = nn.Linear(inner, width)

    def forward(self, inputs: Tensor) -> Tensor:
        change: Tensor = self.drop(self.narrow(functional.gelu(self.widen(self.norm(inputs)))))
        return inputs + change


class Attention(nn.Module):
    """x + attention of the querying tokens to all tokens (Vaswani et al. 2017)."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.read = nn.Linear(width, width)
        self.drop = nn.Dropout(dropout)

    def forward(self, tokens: Tensor, asking: int) -> Tensor:
        """The first `asking` tokens, changed. [N, tokens, D] → [N, asking, D]"""
        normed = self.norm(tokens)
        query, key, value = self.query(normed[:, :asking]), self.key(normed), self.value(normed)
        query, key, value = (one.unflatten(-1, (self.heads, -1)).transpose(1, 2) for one in (query, key, value))
        closeness = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
        seen = (closeness.softmax(dim=-1) @ value).transpose(1, 2).flatten(2)
        change: Tensor = self.drop(self.read(seen))
        return tokens[:, :asking] + change


class Patched(nn.Module):
    """Transformer over patches as tokens (Nie et al. 2023). The summary is one more token.

    In the last layer only the summary attends (Touvron et al. 2021), as the other outputs are not used.
    """

    def __init__(self, tokens: int, channels: int, built: Architecture) -> None:
        super().__init__()
        width = built.width
        self.embed = nn.Linear(channels, width)
        self.place = nn.Parameter(0.5 * torch.randn(tokens, width))  # as large as what is embedded
        self.attend = nn.ModuleList(Attention(width, built.heads, built.dropout) for _ in range(built.layers))
        self.think = nn.ModuleList(Residual(width, 2 * width, built.dropout) for _ in range(built.layers))
        self.asking = [tokens + 1] * (built.layers - 1) + [1]

    def forward(self, tokens_NPC: Tensor, summary_ND: Tensor) -> Tensor:
        state = torch.cat([summary_ND.unsqueeze(1), self.embed(tokens_NPC) + self.place], dim=1)
        for attend, think, asking in zip(self.attend, self.think, self.asking, strict=True):
            state = think(attend(state, asking))
        summary: Tensor = state[:, 0]
        return summary


class Recurrent(nn.Module):
    """LSTM over the patches (Hochreiter & Schmidhuber 1997) with the summary as initial state."""

    def __init__(self, channels: int, built: Architecture) -> None:
        super().__init__()
        self.layers = built.layers
        self.lstm = nn.LSTM(channels, built.width, built.layers, batch_first=True)

    def forward(self, tokens_NPC: Tensor, summary_ND: Tensor) -> Tensor:
        begun = torch.tanh(summary_ND).expand(self.layers, -1, -1).contiguous()
        _, (last, _) = self.lstm(tokens_NPC, (begun, torch.zeros_like(begun)))
        read: Tensor = last[-1]
        return summary_ND + read


class Sequence(nn.Module):
    """Standardised patches, some neighbours taken together as one token, read by an encoder."""

    def __init__(self, sizes: Sizes, built: Architecture) -> None:
        super().__init__()
        self.per_token = built.patches_per_token
        tokens = -(-sizes.patches // self.per_token)
        channels = self.per_token * sizes.channels
        self.missing = tokens * self.per_token - sizes.patches
        self.standardised = Standardised(sizes.channels)
        self.encoder = Patched(tokens, channels, built) if built.reads == "transformer" else Recurrent(channels, built)

    def forward(self, sequence_NPC: Tensor, summary_ND: Tensor) -> Tensor:
        patches = self.standardised(sequence_NPC)
        if self.missing:
            patches = functional.pad(patches, (0, 0, self.missing, 0))
        read: Tensor = self.encoder(patches.unflatten(1, (-1, self.per_token)).flatten(2), summary_ND)
        return read


class Quantiles(nn.Module):
    """[N, D] → [N, K, Q], ascending along Q: the middle level, and steps away from it that are never negative."""

    centre: Tensor
    spread: Tensor

    def __init__(self, width: int, targets: int, levels: int) -> None:
        super().__init__()
        self.middle = levels // 2
        self.sizes = (targets, levels)
        self.linear = nn.Linear(width, targets * levels)
        nn.init.zeros_(self.linear.weight)
        self.register_buffer("centre", torch.zeros(targets, 1))
        self.register_buffer("spread", torch.ones(targets, 1))

    @torch.no_grad()
    def begin_at(self, quantiles_KQ: Tensor) -> None:
        """Sets these constant outputs until it is fitted."""
        steps = quantiles_KQ.diff(dim=1)
        spread = steps.mean(dim=1, keepdim=True)
        self.centre.copy_(quantiles_KQ[:, self.middle, None])
        self.spread.copy_(torch.where(spread > 0, spread, torch.ones_like(spread)))
        steps = (steps / self.spread).clamp(1e-3, 20.0)
        start = torch.cat([torch.zeros(len(steps), 1), torch.where(steps > 1.0, steps - 1.0, steps.log())], dim=1)
        self.linear.bias.copy_(start.flatten())

    def forward(self, state_ND: Tensor) -> Tensor:
        raw = self.linear(state_ND).unflatten(1, self.sizes)
        steps = functional.elu(raw[..., 1:]) + 1.0  # as softplus: exponential below, linear above; a third of its time
        risen = functional.pad(steps.cumsum(-1), (1, 0))
        around = raw[..., :1] + (risen - risen[..., self.middle, None])
        quantiles: Tensor = self.centre + self.spread * around
        return quantiles


class Network(nn.Module):
    """features_NF, sequence_NPC → quantiles [N, K, Q], all in scaled units."""

    def __init__(self, sizes: Sizes, built: Architecture) -> None:
        super().__init__()
        self.features = Standardised(sizes.features)
        self.inlet = nn.Linear(sizes.features, built.width)
        self.sequence = Sequence(sizes, built) if built.reads != "features" else None
        self.blocks = nn.Sequential(*(Residual(built.width, built.width, built.dropout) for _ in range(built.blocks)))
        self.norm = nn.LayerNorm(built.width)
        self.quantiles = Quantiles(built.width, sizes.targets, sizes.levels)

    def begin_at(self, features_NF: Tensor, sequence_NPC: Tensor, quantiles_KQ: Tensor) -> None:
        """Takes the scales of its inputs from training data; outputs `quantiles_KQ` until it is fitted."""
        self.features.measure(features_NF)
        if self.sequence is not None:
            self.sequence.standardised.measure(sequence_NPC)
        self.quantiles.begin_at(quantiles_KQ)

    def forward(self, features: Tensor, sequence: Tensor) -> Tensor:
        state = self.inlet(self.features(features))
        if self.sequence is not None:
            state = self.sequence(sequence, state)
        answer: Tensor = self.quantiles(self.norm(self.blocks(state)))
        return answer


class Average(nn.Module):
    """The mean of several networks of equal sizes, level by level (Vincent 1912)."""

    def __init__(self, members: list[Network]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, features: Tensor, sequence: Tensor) -> Tensor:
        return torch.stack([member(features, sequence) for member in self.members]).mean(dim=0)


def constant_quantiles(target_NK: Floats, levels: tuple[float, ...]) -> Floats:
    """The quantiles of the known values of each target; 0 without any. [K, Q]"""
    answer = np.zeros((target_NK.shape[1], len(levels)), np.float32)
    for k, column in enumerate(target_NK.T):
        known = column[np.isfinite(column)]
        if len(known):
            answer[k] = np.quantile(known, levels)
    return answer
