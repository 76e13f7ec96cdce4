# SPDX-License-Identifier: Apache-2.0
"""The numbers that a cell comes down to: unknowns, strain operator, sparse matrix.

Of deformation gradients and stresses only those components are kept that the plane and the
kinematics leave: the symmetric ones for small strains, whose shears in B are twice the tensor's, so
that B of the fluctuations and the tangent by components give work. Stresses have one row more in
the plane, that along z.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from .cell import Cell, quadrature
from .dissection import Dissection, dissect
from .points import Pairs, Points


def components(dim: int, small: bool) -> Pairs:
    """Rows and columns (i, j) that deform: xx, yy, zz, and shears, once each for small strains."""
    straight = [(d, d) for d in range(dim)]
    shears = [(i, j) for i, j in product(range(dim), repeat=2) if (i < j if small else i != j)]
    return (*straight, *shears)


@dataclass(frozen=True, eq=False)
class Layout:
    """Of one cell on a device."""

    cell: Cell
    points: Points
    """Its quadrature, element by element."""
    B: Tensor
    """Components of the strain by an element's unknowns [1/m], shape (e, q, c, k)."""
    unknowns: Tensor
    """Of each element, shape (e, k), int64; those held have the number `size`."""
    size: int
    """Free unknowns."""

    @cached_property
    def sparse(self) -> Sparse:
        """Where the numbers of its stiffness matrix are."""
        return sparse(self.unknowns, self.size)

    @cached_property
    def dissection(self) -> Dissection:
        """In which order its unknowns are eliminated."""
        mesh = self.cell.mesh
        centres = mesh.nodes.detach()[mesh.cells].mean(1)[:, : self.cell.dim]
        return dissect(self.unknowns, self.size, centres)

    def displacement(self, w: Tensor) -> Tensor:
        """Fluctuations of all nodes [m], shape (..., n, 3), of free unknowns (..., size)."""
        period, dim = self.cell.periodicity, self.cell.dim
        padded = torch.cat([w, w.new_zeros(*w.shape[:-1], 1)], -1)
        own = padded[..., numbers(period.masters, period.pinned, dim, self.size)]
        return torch.nn.functional.pad(own, (0, 3 - dim))


def numbers(masters: Tensor, pinned: int, dim: int, size: int) -> Tensor:
    """Unknowns of nodes, shape (n, dim); those of the pinned one are `size`."""
    free = masters - (masters > pinned).long()
    own = free[:, None] * dim + torch.arange(dim, device=masters.device)
    return torch.where((masters == pinned)[:, None], size, own)


def layout(cell: Cell, like: Tensor) -> Layout:
    """Lay out a cell; `like` gives device and precision."""
    own = quadrature(cell.mesh)
    period, dim = cell.periodicity, cell.dim
    size = dim * int(period.masters.max())
    unknowns = numbers(period.masters, period.pinned, dim, size)[cell.mesh.cells].flatten(1)
    columns = components(dim, cell.small)
    rows = columns if dim == 3 else (*columns, (2, 2))
    weight = (own.weight / cell.volume).to(like)
    place = torch.arange(weight.numel(), device=like.device).view_as(weight)
    laws = tuple(
        (law.to(like.device), place[cell.mesh.regions[n]].flatten()) for n, law in cell.laws.items()
    )
    points = Points(weight.flatten(), laws, cell.small, columns, rows)
    B = strain_operator(own.gradient, columns, dim, cell.small).to(like)
    return Layout(cell, points, B, unknowns.to(like.device), size)


def strain_operator(gradient: Tensor, columns: Pairs, dim: int, small: bool) -> Tensor:
    """B of elements, shape (e, q, c, a dim), of gradients of shape functions (e, q, a, 3)."""
    e, q, a, _ = gradient.shape
    B = gradient.new_zeros(e, q, len(columns), a, dim)
    for c, (i, j) in enumerate(columns):
        B[:, :, c, :, i] += gradient[..., j]
        if small and i != j:
            B[:, :, c, :, j] += gradient[..., i]
    return B.flatten(3)


@dataclass(frozen=True, eq=False)
class Sparse:
    """Structure of a stiffness matrix, by columns."""

    indices: np.ndarray
    """Rows of its numbers, ascending in each column, shape (z,)."""
    starts: np.ndarray
    """Where each column starts, shape (size + 1,)."""
    slots: Tensor
    """Number of each pair of an element's unknowns, shape (e, k, k); z where one is held."""

    @property
    def count(self) -> int:
        """Numbers z of the matrix."""
        return len(self.indices)

    def matrix(self, values: Tensor) -> sp.csc_matrix:
        """Of numbers (z,), as scipy knows it."""
        size = len(self.starts) - 1
        parts = (values.detach().cpu().double().numpy(), self.indices, self.starts)
        return sp.csc_matrix(parts, shape=(size, size))


def sparse(unknowns: Tensor, size: int) -> Sparse:
    """Structure of the sum of dense matrices over elements' unknowns (e, k)."""
    one = size + 1
    keys = unknowns[:, None, :] * one + unknowns[:, :, None]  # column by column
    held = (unknowns == size)[:, None, :] | (unknowns == size)[:, :, None]
    keys = torch.where(held, one * one, keys)
    kept, slots = torch.unique(keys, return_inverse=True)
    if int(kept[-1]) != one * one:  # nothing is held
        kept = torch.cat([kept, kept.new_tensor([one * one])])
    kept = kept[:-1].cpu().numpy()
    column, row = kept // one, kept % one
    starts = np.searchsorted(column, np.arange(size + 1))
    return Sparse(row.astype(np.int32), starts.astype(np.int32), slots)
