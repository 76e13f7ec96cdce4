# SPDX-License-Identifier: Apache-2.0
"""Shape functions in the reference configuration, differentiable in the positions of the nodes."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from ..mesh.elements import Element, side


class Rule(NamedTuple):
    """Shape functions of a kind at the points of one of its quadratures, on a device."""

    N: Tensor
    """Shape (q, a)."""
    slope: Tensor
    """By reference coordinates, shape (q, a, dim)."""
    weight: Tensor
    """In the reference volume, shape (q,)."""


_rules: dict[tuple[str, str, torch.dtype, torch.device], Rule] = {}


def rule(kind: Element, which: Literal["stiffness", "mass"], like: Tensor) -> Rule:
    """Of an element's quadrature, typed and placed as `like`; made once."""
    key = (kind.name, which, like.dtype, like.device)
    if key not in _rules:
        points, weights = kind.stiffness if which == "stiffness" else kind.mass
        tables = (kind.shape(points), kind.gradients(points), weights)
        _rules[key] = Rule(*(torch.tensor(t, dtype=like.dtype, device=like.device) for t in tables))
    return _rules[key]


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
    at = rule(kind, "stiffness", X)
    det, inverse = invert(torch.einsum("eai,qad->eqid", X[..., : kind.dim], at.slope))
    gradient = torch.einsum("qad,eqdi->eqai", at.slope, inverse)
    if kind.dim == 2:
        gradient = torch.nn.functional.pad(gradient, (0, 1))
    return Geometry(gradient, det * at.weight)


def volumes(kind: Element, X: Tensor) -> Tensor:
    """Volume that each point of the mass rule stands for [m³], shape (e, q); X as in `geometry`."""
    at = rule(kind, "mass", X)
    jacobian = torch.einsum("eai,qad->eqid", X[..., : kind.dim], at.slope)
    return determinant(jacobian) * at.weight


def mass_matrices(kind: Element, X: Tensor, density: Tensor) -> Tensor:
    """Consistent mass of each pair of an element's nodes [kg], shape (e, a, a).

    Args:
        kind: Of the elements.
        X: As in `geometry`.
        density: Of each element at rest [kg/m³], shape (e,).
    """
    N = rule(kind, "mass", X).N
    return torch.einsum("e,eq,qa,qb->eab", density, volumes(kind, X), N, N)


def nodal_masses(matrices: Tensor, nodes: Tensor, added: Tensor) -> Tensor:
    """Lumped mass of each node [kg], shape (n,).

    Args:
        matrices: Of elements [kg], shape (e, a, a).
        nodes: Theirs, shape (e, a).
        added: Of point masses [kg], shape (n,).
    """
    return added.index_add(0, nodes.reshape(-1), lumped_masses(matrices).reshape(-1))


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

    def rule(self, like: Tensor) -> Rule:
        """Of a side."""
        return rule(self.kind, "mass", like)

    def tangents(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Derivatives of position by the two local coordinates [m], shape (f, q, 3) each.

        On the edge of a plane body the second is the unit vector of depth.
        """
        along = torch.einsum("fbi,qbd->dfqi", x[self.nodes], self.rule(x).slope)
        if self.kind.dim == 2:
            return along[0], along[1]
        depth = torch.zeros_like(along[0])
        depth[..., 2] = 1.0
        return along[0], depth

    def normals(self, x: Tensor) -> Tensor:
        """Outward area that each point stands for [m²], shape (f, q, 3)."""
        first, second = self.tangents(x)
        return torch.linalg.cross(first, second) * self.rule(x).weight[:, None]


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
