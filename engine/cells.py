# SPDX-License-Identifier: Apache-2.0
"""The cells of a mesh: which nodes each joins, numbered as VTK numbers them.

Corners come first, then one node an edge, one a face and the one inside, as far as a kind has them.
The order of edges and faces is VTK's own: in hex20 and hex27 the edges of the lower face (nodes 8
to 11), those of the upper (12 to 15), then the upright ones (16 to 19); in hex27 the faces -x, +x,
-y, +y, -z and +z of the unit cube (20 to 25), then the centre (26). Files of other programs may
have another one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from .suggestion import did_you_mean


class Kind(NamedTuple):
    """What is known of a kind of cell."""

    vtk: int
    """Number of its type in VTK."""
    nodes: int
    """Number of nodes a of a cell."""


KINDS = {
    "tet4": Kind(10, 4),
    "tet10": Kind(24, 10),
    "hex8": Kind(12, 8),
    "hex20": Kind(25, 20),
    "hex27": Kind(29, 27),
    "tri3": Kind(5, 3),
    "tri6": Kind(22, 6),
    "quad4": Kind(9, 4),
    "quad8": Kind(23, 8),
    "quad9": Kind(28, 9),
}
"""The kinds of cells there are, by name."""


@dataclass(frozen=True, eq=False)
class Cells:
    """The e cells of a mesh, all of one kind."""

    kind: str
    """One of KINDS."""
    nodes: Tensor
    """Nodes of each cell in VTK's order, shape (e, a), int64."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(
                f"got cells of kind {self.kind!r}{did_you_mean(self.kind, KINDS)}, expected one of "
                f"{', '.join(KINDS)}"
            )
        shape, width = tuple(self.nodes.shape), KINDS[self.kind].nodes
        if len(shape) != 2 or shape[1] != width or shape[0] == 0:
            raise ValueError(
                f"the nodes of {self.kind} cells have shape {shape}, expected (cells, {width}) with"
                " at least one cell"
            )
        if self.nodes.dtype != torch.int64:
            raise ValueError(
                f"the nodes of cells are {self.nodes.dtype}, expected node numbers in torch.int64"
            )
        if int(self.nodes.min()) < 0:
            cell = int(torch.nonzero((self.nodes < 0).any(1))[0])
            raise ValueError(
                f"cell {cell} has node {int(self.nodes[cell].min())}, expected numbers from 0"
            )

    def __len__(self) -> int:
        return self.nodes.shape[0]

    def within(self, points: int) -> Cells:
        """Refuse nodes that there are not.

        Args:
            points: Number of nodes n of the mesh.

        Returns:
            The cells themselves.

        Raises:
            ValueError: If a cell has a node from n on.
        """
        if int(self.nodes.max()) >= points:
            cell = int(torch.nonzero((self.nodes >= points).any(1))[0])
            raise ValueError(
                f"cell {cell} has node {int(self.nodes[cell].max())}, expected at most "
                f"{points - 1}: there are {points} nodes, counted from 0"
            )
        return self

    def same(self, other: Cells | None) -> bool:
        """Whether others join the same nodes in the same way."""
        return (
            other is not None
            and self.kind == other.kind
            and torch.equal(self.nodes.cpu(), other.nodes.cpu())
        )

    def to(self, device: torch.device | str | None) -> Cells:
        """The same on another device."""
        return Cells(self.kind, self.nodes.to(device))
