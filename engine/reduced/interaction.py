# SPDX-License-Identifier: Apache-2.0
"""Messages between neighbouring points: interaction networks on a table of neighbours.

Battaglia et al. 2016, "Interaction networks"; Sanchez-Gonzalez et al. 2020 (GNS) for the residual
updates. A point has k slots for neighbours, an empty one holds -1: nothing needs to be counted,
so no step waits for the host, and messages are summed in one order.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn


class Graph(NamedTuple):
    """Who hears whom."""

    index: Tensor
    """Neighbours of each point, any valid number in an empty slot, shape (n, k), int64."""
    weight: Tensor
    """Share of each in the mean over messages; 0 in an empty slot, shape (n, k, 1)."""

    @classmethod
    def of(cls, index: Tensor, distance: Tensor) -> Graph:
        """Means weighted by 1 / (1 + d).

        Args:
            index: Neighbours, -1 in an empty slot, shape (n, k).
            distance: To them over the radius of the neighbourhood, shape (n, k).
        """
        there = index >= 0
        weight = torch.where(there, 1.0 / (1.0 + distance), 0.0)
        total = weight.sum(1, keepdim=True)
        share = weight / torch.where(total > 0.0, total, 1.0)
        return cls(index.clamp(min=0), share[..., None])


class MLP(nn.Sequential):
    """One hidden layer; the output normalized or not."""

    def __init__(self, inputs: int, hidden: int, outputs: int, *, norm: bool = True) -> None:
        layers = [nn.Linear(inputs, hidden), nn.SiLU(), nn.Linear(hidden, outputs)]
        super().__init__(*layers, *([nn.LayerNorm(outputs)] if norm else []))


class Interaction(nn.Module):
    """Edges hear their two ends, points the weighted mean of their edges; both add what they heard.

    Args:
        width: Numbers a point and an edge hold.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.here, self.there = nn.Linear(width, width, bias=False), nn.Linear(width, width)
        self.edge = nn.Linear(width, width, bias=False)
        self.message = nn.Sequential(nn.SiLU(), nn.Linear(width, width), nn.LayerNorm(width))
        self.update = MLP(2 * width, width, width)

    def forward(self, points: Tensor, edges: Tensor, graph: Graph) -> tuple[Tensor, Tensor]:
        """Points (n, w) and edges (n, k, w) after one exchange.

        The first layer of the messages is applied to each point once instead of to each edge, which
        is the same and takes a third of the operations.
        """
        first = self.edge(edges) + self.here(points)[:, None] + self.there(points)[graph.index]
        messages = self.message(first)
        heard = (graph.weight * messages).sum(1)
        return points + self.update(torch.cat([points, heard], 1)), edges + messages
