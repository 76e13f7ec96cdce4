# SPDX-License-Identifier: Apache-2.0
"""A regular grid about the points of each world: where what is far apart hears of each other.

A graph neural operator takes what the points hold to the nodes, attention mixes the nodes, and
another operator takes it back. Both are means of a learned kernel κ(y - x, f) over the cell that a
point is in, weighted by trilinear hat functions: coordinates are relative and in cells, the mean
is continuous as points move, and a node without points holds zeros and is left out of attention.
Each world has a grid of its own.

Li et al. 2020, "Neural operator: graph kernel network"; Hao et al. 2023 (GNOT) for linear
attention and the mixture of experts gated by place.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from .interaction import MLP

SPARSE = 0.25
"""Points at a node, of which it counts for half."""


class Stencil(NamedTuple):
    """The eight nodes about each point."""

    node: Tensor
    """Their numbers, over all worlds, shape (n, 8), int64."""
    hat: Tensor
    """Trilinear weights, of sum 1, shape (n, 8, 1)."""
    offset: Tensor
    """From the node to the point in cells, shape (n, 8, 3)."""
    presence: Tensor
    """From 0 for a node without points to 1, shape (nodes, 1)."""
    share: Tensor
    """Weight of each point in the mean at its nodes, shape (n, 8, 1)."""
    worlds: int


def stencil(x: Tensor, world: Tensor, worlds: int, nodes: int) -> Stencil:
    """Lay the grids.

    Args:
        x: Positions, shape (n, 3).
        world: Of each point, shape (n,), int64.
        worlds: How many there are.
        nodes: Along each axis of each grid.

    Raises:
        ValueError: There is one node only.
    """
    if nodes < 2:
        raise ValueError(f"a grid needs two nodes along an axis; got {nodes}")
    each = world[:, None].expand(-1, 3)
    empty = x.new_zeros(worlds, 3)
    low = empty.scatter_reduce(0, each, x, "amin", include_self=False)
    high = empty.scatter_reduce(0, each, x, "amax", include_self=False)
    middle, half = 0.5 * (low + high), 0.5 * (high - low).amax(1, keepdim=True)
    cell = 2.0 * half.clamp(min=1e-12) / (nodes - 1)
    place = (x - middle[world]) / cell[world] + 0.5 * (nodes - 1)
    base = place.detach().floor().clamp(0, nodes - 2)
    end = torch.arange(2, dtype=x.dtype, device=x.device)
    corner = torch.cartesian_prod(end, end, end)
    at = base[:, None] + corner
    offset = place[:, None] - at
    hat = (1.0 - offset.abs()).clamp(min=0.0).prod(2, keepdim=True)
    i, j, k = at.long().unbind(2)
    node = ((world[:, None] * nodes + i) * nodes + j) * nodes + k
    total = hat.new_zeros(worlds * nodes**3, 1).index_add(0, node.reshape(-1), hat.reshape(-1, 1))
    presence = total / (total + SPARSE)
    share = hat / (total + SPARSE)[node]
    return Stencil(node, hat, offset, presence, share, worlds)


class LearnedKernel(nn.Module):
    """κ(offset, f): what f says at an offset. The part of f is computed once for each f."""

    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.place, self.value = nn.Linear(3, hidden), nn.Linear(inputs, hidden, bias=False)
        self.out = nn.Sequential(nn.SiLU(), nn.Linear(hidden, outputs))


class ToGrid(LearnedKernel):
    """From points to nodes."""

    def forward(self, points: Tensor, s: Stencil) -> Tensor:
        """Means over what is near each node, shape (nodes, outputs)."""
        said = s.share * self.out(self.place(s.offset) + self.value(points)[:, None])
        into = said.new_zeros(len(s.presence), said.shape[2])
        return into.index_add(0, s.node.reshape(-1), said.reshape(-1, said.shape[2]))


class FromGrid(LearnedKernel):
    """From nodes to points."""

    def forward(self, nodes: Tensor, s: Stencil) -> Tensor:
        """Means over the nodes about each point, shape (n, outputs)."""
        return (s.hat * self.out(self.place(s.offset) + self.value(nodes)[s.node])).sum(1)


class LinearAttention(nn.Module):
    """Attention whose cost grows with the number of tokens, not with its square.

    Keys and queries are positive by softmax over their features, as in GNOT.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width must be a multiple of the heads; got {width} and {heads}")
        self.heads = heads
        self.query, self.key = nn.Linear(width, width), nn.Linear(width, width)
        self.value, self.out = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, asking: Tensor, told: Tensor, weight: Tensor) -> Tensor:
        """What each token hears of its world, shape (worlds, t, w).

        Args:
            asking: Tokens, shape (worlds, t, w).
            told: Tokens, shape (worlds, t, w).
            weight: How much each of those counts, shape (worlds, t, 1).
        """
        q, k, v = (
            a.unflatten(2, (self.heads, -1)).transpose(1, 2)
            for a in (self.query(asking), self.key(told), self.value(told))
        )
        q, k = q.softmax(3), k.softmax(3) * weight[:, None]
        heard = q @ (k.transpose(2, 3) @ v)
        scale = (q * k.sum(2, keepdim=True)).sum(3, keepdim=True)
        return self.out((heard / scale.clamp(min=1e-6)).transpose(1, 2).flatten(2))


class Experts(nn.Module):
    """A feed-forward layer mixed of several, by place in the grid."""

    def __init__(self, width: int, hidden: int, experts: int) -> None:
        super().__init__()
        self.gate = nn.Linear(3, experts)
        self.layers = nn.ModuleList(MLP(width, hidden, width, norm=False) for _ in range(experts))

    def forward(self, tokens: Tensor, place: Tensor) -> Tensor:
        """Tokens (b, t, w) at places (t, 3)."""
        shares = self.gate(place).softmax(1)
        return sum(shares[:, k, None] * layer(tokens) for k, layer in enumerate(self.layers))  # type: ignore[return-value]


class AttentionBlock(nn.Module):
    """The nodes hear what came from the points, then one another."""

    def __init__(self, width: int, heads: int, experts: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(4))
        self.cross, self.own = LinearAttention(width, heads), LinearAttention(width, heads)
        self.first, self.second = (Experts(width, 2 * width, experts) for _ in range(2))

    def forward(self, nodes: Tensor, told: Tensor, weight: Tensor, place: Tensor) -> Tensor:
        """Tokens (worlds, t, w) after both, of which each counts by its weight (worlds, t, 1)."""
        nodes = nodes + self.cross(self.norms[0](nodes), told, weight)
        nodes = nodes + self.first(self.norms[1](nodes), place)
        own = self.norms[2](nodes)
        nodes = nodes + self.own(own, own, weight)
        return nodes + self.second(self.norms[3](nodes), place)


class LatentGrid(nn.Module):
    """Points to nodes, attention, and back.

    Args:
        width: Numbers a point holds.
        tokens: Numbers a node holds.
        nodes: Along each axis.
        blocks: Of attention.
        heads: Of attention.
        experts: In each feed-forward layer.
    """

    place: Tensor

    def __init__(
        self, width: int, tokens: int, nodes: int, blocks: int, heads: int, experts: int
    ) -> None:
        super().__init__()
        self.nodes = nodes
        self.to_grid = ToGrid(width, width // 2, tokens)
        self.blocks = nn.ModuleList(AttentionBlock(tokens, heads, experts) for _ in range(blocks))
        self.from_grid = FromGrid(tokens, width // 2, width)
        axis = torch.linspace(-1.0, 1.0, nodes)
        self.register_buffer("place", torch.cartesian_prod(axis, axis, axis), persistent=False)

    def forward(self, points: Tensor, x: Tensor, world: Tensor, worlds: int) -> Tensor:
        """What points (n, w) at x (n, 3) hear from their whole world, shape (n, w)."""
        s = stencil(x, world, worlds, self.nodes)
        told = self.to_grid(points, s).unflatten(0, (worlds, -1))
        weight = s.presence.unflatten(0, (worlds, -1))
        tokens = told
        for block in self.blocks:
            tokens = block(tokens, told, weight, self.place)
        return self.from_grid((tokens * weight).flatten(0, 1), s)
