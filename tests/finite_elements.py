# SPDX-License-Identifier: Apache-2.0
"""Small meshes, laws and measures for the tests of finite elements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from rheograd.engine.fem.geometry import determinant, facets
from rheograd.engine.mesh.elements import element
from rheograd.engine.mesh.elevation import elevate
from rheograd.engine.mesh.generators import box
from rheograd.engine.mesh.sides import corners, family
from rheograd.engine.mesh.volume_mesh import VolumeMesh
from rheograd.materials.law import ConstitutiveLaw, Elasticity, Response
from rheograd.materials.learned.invariant import InvariantSmoothElasticity

NOTHING = (0.0, 0.0, 0.0)


class Fung(Elasticity):
    """Tissue that stiffens exponentially, in torch."""

    name: ClassVar[str] = "fung"
    symmetric = True

    def __init__(self, mu: float = 1e4, lam: float = 4e4, b: float = 2.0) -> None:
        super().__init__()
        self.mu = nn.Parameter(torch.tensor(mu, dtype=torch.float64))
        self.lam = nn.Parameter(torch.tensor(lam, dtype=torch.float64))
        self.b = nn.Parameter(torch.tensor(b, dtype=torch.float64))

    def stress(self, F_elastic: Tensor, internal: Tensor) -> Tensor:
        mu, lam, b = (p.to(F_elastic) for p in (self.mu, self.lam, self.b))
        B = F_elastic @ F_elastic.mT
        I1 = B.diagonal(dim1=1, dim2=2).sum(1)[:, None, None]
        J = determinant(F_elastic)[:, None, None]
        eye = torch.eye(3).to(F_elastic)
        return mu * (torch.exp(b * (I1 - 3)) * B - eye) + lam * J.log() * eye

    @classmethod
    def example(cls) -> Self:
        return cls()


class Hooke(ConstitutiveLaw):
    """Linear elasticity of small strains."""

    name: ClassVar[str] = "hooke"
    kinematics: ClassVar[str] = "small"
    symmetric = True

    def __init__(self, young: float = 1e4, poisson: float = 0.3) -> None:
        super().__init__()
        self.young = nn.Parameter(torch.tensor(young, dtype=torch.float64))
        self.poisson = nn.Parameter(torch.tensor(poisson, dtype=torch.float64))

    def stress(self, F_elastic: Tensor, internal: Tensor) -> Tensor:
        E, nu = self.young.to(F_elastic), self.poisson.to(F_elastic)
        mu, lam = E / (2 * (1 + nu)), E * nu / ((1 + nu) * (1 - 2 * nu))
        eye = torch.eye(3).to(F_elastic)
        strain = 0.5 * (F_elastic + F_elastic.mT) - eye
        return 2 * mu * strain + lam * strain.diagonal(dim1=1, dim2=2).sum(1)[:, None, None] * eye

    def update(self, F_trial: Tensor, internal: Tensor, dt: float) -> Response:
        return Response(self.stress(F_trial, internal), F_trial, internal)

    @classmethod
    def example(cls) -> Self:
        return cls()


def network(scale: float = 1e4) -> InvariantSmoothElasticity:
    """A learned law with weights off the structure that it starts with, in float64."""
    law = InvariantSmoothElasticity(scale, widths=(24,), seed=1).double()
    with torch.no_grad():
        for weight in law.parameters():
            weight += 0.05 * torch.randn_like(weight)
    return law


def block(
    name: str,
    divisions: Sequence[int] = (3, 3, 1),
    size: Sequence[float] = (1.0, 1.0, 0.5),
    distort: float = 0.0,
) -> VolumeMesh:
    """A cuboid from the origin, in the plane a rectangle.

    Corners of cells within it are moved by random shares of a cell where that is asked for; sides
    of cells stay straight.
    """
    dim = element(name).dim
    if not distort:
        return box(size[:dim], divisions[:dim], element=name, corner=NOTHING[:dim])
    linear = f"{family(name)}{corners(name)}"
    mesh = box(size[:dim], divisions[:dim], element=linear, corner=NOTHING[:dim])
    cell = torch.tensor([s / d for s, d in zip(size[:dim], divisions[:dim], strict=True)])
    moved = mesh.nodes.clone()
    within = torch.ones(len(moved), dtype=torch.bool)
    within[mesh.boundary().reshape(-1)] = False
    rows = within.nonzero()[:, 0]
    moved[rows, :dim] += distort * cell * (2 * torch.rand(len(rows), dim, dtype=torch.float64) - 1)
    return elevate(replace(mesh, nodes=moved), name)


def at(mesh: VolumeMesh, *place: float) -> int:
    """The node at a place."""
    wanted = torch.tensor([*place, *NOTHING[len(place) :]], dtype=torch.float64)
    gap = (mesh.nodes.detach() - wanted).norm(dim=1)
    assert float(gap.min()) < 1e-9
    return int(gap.argmin())


def mean_over(mesh: VolumeMesh, sides: str, u: Tensor) -> Tensor:
    """Mean of nodal values over a group of sides by area at rest, shape (3,)."""
    group = facets(mesh.kind, mesh.facets_of(sides))
    N = group.rule(u).N
    weight = group.normals(mesh.nodes).norm(dim=2)
    return torch.einsum("fq,qb,fbi->i", weight, N, u[group.nodes]) / weight.sum()
