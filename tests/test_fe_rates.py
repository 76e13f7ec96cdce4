# SPDX-License-Identifier: Apache-2.0
"""Rates at which displacements converge: a thick tube under pressure, beside Lamé's solution."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from rheograd.engine.fem.integrators import Static
from rheograd.engine.fem.solver import FESolver
from rheograd.engine.loads import Fixed, Pressure
from rheograd.engine.mesh.elements import element
from rheograd.engine.mesh.elevation import mapped
from rheograd.engine.mesh.generators import box
from rheograd.engine.mesh.volume_mesh import VolumeMesh, jacobians
from rheograd.engine.scene import Body, Scene
from rheograd.engine.simulate import simulate
from rheograd.materials.elastic import NeoHookean

INNER, OUTER = 1.0, 2.0
YOUNG, POISSON, PRESSURE = 1.0, 0.3, 1e-7
"""So small a pressure that the strain is linear to seven digits."""

CASES = [
    ("tri3", 8, False), ("quad4", 8, False), ("quad4", 8, True), ("tri6", 4, False),
    ("quad8", 4, False), ("quad9", 4, False), ("tet4", 8, False), ("hex8", 4, False),
    ("hex8", 4, True), ("tet10", 2, False), ("hex20", 2, False), ("hex27", 2, False),
]  # fmt: skip


def lame(x: np.ndarray) -> np.ndarray:
    """Displacements [m] of a tube in plane strain under a pressure within."""
    r = np.linalg.norm(x[..., :2], axis=-1, keepdims=True)
    shear = YOUNG / (2 * (1 + POISSON))
    scale = PRESSURE * INNER**2 / (OUTER**2 - INNER**2) / (2 * shear)
    outward = scale * ((1 - 2 * POISSON) * r + OUTER**2 / r)
    return np.concatenate([x[..., :2] / r * outward, 0 * r], -1)


def quarter(kind: str, n: int) -> VolumeMesh:
    """Of the tube, with mid-side nodes on its circles."""
    dim = element(kind).dim
    counts = (n, 2 * n, max(1, n // 2))[:dim]
    unit = box((1.0, 1.0, 0.5)[:dim], counts, element=kind, corner=(0.0,) * dim)

    def bent(place: Tensor) -> Tensor:
        r, angle = INNER + (OUTER - INNER) * place[:, 0], 0.5 * math.pi * place[:, 1]
        return torch.stack([r * angle.cos(), r * angle.sin(), place[:, 2]], 1)

    return mapped(unit, bent)


def error(kind: str, n: int, mean_dilatation: bool) -> float:
    """Of the displacements in L2, by their own norm."""
    mesh, own = quarter(kind, n), element(kind)
    boundaries = [Fixed("y-", "y"), Fixed("y+", "x"), Pressure("x-", PRESSURE)]
    if own.dim == 3:
        boundaries += [Fixed("z-", "z"), Fixed("z+", "z")]
    scene = Scene([Body(mesh, NeoHookean(YOUNG, POISSON), 1.0)], boundaries, (0.0, 0.0, 0.0))
    solver = FESolver(
        integrator=Static(1), mean_dilatation=mean_dilatation, tolerance=1e-10
    )  # fmt: skip
    trajectory = simulate(scene, solver)
    X, u = mesh.nodes.numpy(), (trajectory.x[-1] - trajectory.x[0]).numpy()
    cells, N = mesh.cells.numpy(), own.shape(own.mass.points)
    weight = jacobians(own, X[cells], own.mass.points) * own.mass.weights
    place, found = (np.einsum("qa,eai->eqi", N, values[cells]) for values in (X, u))
    exact = lame(place)
    off, whole = (float((weight[..., None] * d**2).sum()) for d in (found - exact, exact))
    return math.sqrt(off / whole)


@pytest.mark.parametrize(("kind", "n", "mean_dilatation"), CASES)
def test_displacements_converge_at_the_declared_rate(
    kind: str, n: int, mean_dilatation: bool
) -> None:
    """Order + 1 in L2, within 0.15; simplices may do better on a structured mesh."""
    coarse, fine = (error(kind, count, mean_dilatation) for count in (n, 2 * n))
    declared = element(kind).order + 1
    assert declared - 0.15 < math.log2(coarse / fine) < declared + 0.4
