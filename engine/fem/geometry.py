# SPDX-License-Identifier: Apache-2.0
"""Shape functions in the reference configuration, differentiable in the positions of the nodes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..mesh.elements import Element, Quadrature, side


class Geometry(NamedTuple):
    """At the quadrature points of internal forces."""

    gradient: Tensor
    """Of each shape function by the rest position [1/m], shape (e, q, a, 3)."""
    weight: Tensor
    """Volume that a point stands for [m³], shape (e, q); per metre of depth in the plane."""


def geometry(kind: Element, X: Tensor) -> Geometry:
    """Gradients and weights of elements.

    Args:
        kind: Their kind.
        X: Rest positions of their nodes [m], shape (e, a, 3).
    """
    local = _tensor(kind.gradients(kind.stiffness.points), X)
    jacobian = torch.einsum("eai,qad->eqid", X[..., : kind.dim], local)
    det, inverse = invert(jacobian)
    gradient = torch.einsum("qad,eqdi->eqai", local, inverse)
    if kind.dim == 2:
        gradient = torch.nn.functional.pad(gradient, (0, 1))
    return Geometry(gradient, det * _tensor(kind.stiffness.weights, X))


def volumes(kind: Element, X: Tensor, rule: Quadrature) -> Tensor:
    """Volume that each point of a rule stands for [m³], shape (e, q); X as in `geometry`."""
    local = _tensor(kind.gradients(rule.points), X)
    jacobian = torch.einsum("eai,qad->eqid", X[..., : kind.dim], local)
    return determinant(jacobian) * _tensor(rule.weights, X)


def mass_matrices(kind: Element, X: Tensor, density: Tensor) -> Tensor:
    """Consistent mass of each pair of an element's nodes [kg], shape (e, a, a).

    Args:
        kind: Of the elements.
        X: As in `geometry`.
        density: Of each element at rest [kg/m³], shape (e,).
    """
    N = _tensor(kind.shape(kind.mass.points), X)
    return torch.einsum("e,eq,qa,qb->eab", density, volumes(kind, X, kind.mass), N, N)


def lumped_masses(matrices: Tensor) -> Tensor:
    """Mass of each node of an element [kg], shape (e, a), by scaling the diagonal.

    It is positive for every element (Hinton, Rock and Zienkiewicz 1976, "A note on mass lumping").
    """
    diagonal = matrices.diagonal(dim1=1, dim2=2)
    return diagonal * (matrices.sum((1, 2)) / diagonal.sum(1))[:, None]


class Facets(NamedTuple):
    """Sides of elements, with their own quadrature."""

    kind: Element
    """Of a side."""
    nodes: Tensor
    """Nodes of each, shape (f, b), int64."""

    @property
    def shape(self) -> np.ndarray:
        """Shape functions at the points, (q, b)."""
        return self.kind.at_mass[0]

    def tangents(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Derivatives of position by the two local coordinates [m], shape (f, q, 3) each.

        On the edge of a plane body the second is the unit vector of depth.
        """
        local = _tensor(self.kind.at_mass[1], x)
        along = torch.einsum("fbi,qbd->dfqi", x[self.nodes], local)
        if self.kind.dim == 2:
            return along[0], along[1]
        depth = torch.zeros_like(along[0])
        depth[..., 2] = 1.0
        return along[0], depth

    def normals(self, x: Tensor) -> Tensor:
        """Outward area that each point stands for [m²], shape (f, q, 3)."""
        weights = _tensor(self.kind.mass.weights, x)
        first, second = self.tangents(x)
        return torch.linalg.cross(first, second) * weights[:, None]


def facets(kind: Element, nodes: Tensor) -> Facets:
    """Sides of elements of a kind, by their nodes (f, b)."""
    return Facets(side(kind), nodes)


def determinant(A: Tensor) -> Tensor:
    """Of matrices (..., d, d), d = 2 or 3; shape (...)."""
    if A.shape[-1] == 2:
        return A[..., 0, 0] * A[..., 1, 1] - A[..., 0, 1] * A[..., 1, 0]
    return (A[..., 0, :] * torch.linalg.cross(A[..., 1, :], A[..., 2, :])).sum(-1)


def invert(A: Tensor) -> tuple[Tensor, Tensor]:
    """Determinant (...) and inverse (..., d, d) of matrices, d = 2 or 3, by cofactors."""
    det = determinant(A)
    if A.shape[-1] == 2:
        rows = [A[..., 1, 1], -A[..., 0, 1], -A[..., 1, 0], A[..., 0, 0]]
        adjugate = torch.stack(rows, -1).unflatten(-1, (2, 2))
    else:
        a, b, c = A.unbind(-2)
        cross = torch.linalg.cross
        adjugate = torch.stack([cross(b, c), cross(c, a), cross(a, b)], -1)
    return det, adjugate / det[..., None, None]


def _tensor(values: np.ndarray, like: Tensor) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values)).to(like)
