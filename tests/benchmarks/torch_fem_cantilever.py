# SPDX-License-Identifier: Apache-2.0
"""The cantilever of `fem.py` by torch-fem 0.14, in its own terms and with its own solvers.

Needs `pip install "rheograd[bench]"`.
"""
# pyright: reportMissingImports=false

from __future__ import annotations

import time

import torch
from measured import (
    LENGTH,
    POISSON,
    STEPS,
    TOLERANCE,
    TRACTION,
    YOUNG,
    Gradient,
    Solution,
    Stopwatch,
    load_norm,
)  # fmt: skip
from torch import Tensor
from torchfem import sparse
from torchfem.base import FEM
from torchfem.materials import Hyperelastic3D
from torchfem.mesh import cube_hexa
from torchfem.solid import Solid

WATCHED = (
    (Solid, "integrate_material", "assembly"), (FEM, "assemble_matrix", "assembly"),
    (FEM, "assemble_rhs", "assembly"), (sparse, "_multigrid", "set-up"),
    (sparse, "sparse_solve", "solve"),
)  # fmt: skip
torch.set_default_dtype(torch.float64)


def energy(F: Tensor, parameters: Tensor) -> Tensor:
    """Neo-Hookean, of one F; with a logdet assembly would take half as long again."""
    mu, lam = parameters
    (a, b, c), (d, e, f), (g, h, i) = F
    lnJ = torch.log(a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g))
    return 0.5 * mu * ((F * F).sum() - 3) - mu * lnJ + 0.5 * lam * lnJ * lnJ


def cantilever(n: int, young: Tensor) -> tuple[Solid, Tensor]:
    """The model, and the share of each node in the mean of the end face."""
    mu = young / (2 * (1 + POISSON))
    lam = young * POISSON / ((1 + POISSON) * (1 - 2 * POISSON))
    nodes, elements = cube_hexa(4 * n + 1, n + 1, n + 1, LENGTH, 1.0, 1.0)
    model = Solid(nodes, elements, Hyperelastic3D(energy, torch.stack([mu, lam])))
    model.constraints[nodes[:, 0] == 0.0] = True
    loads = model.integrate_surface_load(nodes[:, 0] == LENGTH, torch.tensor([0.0, 0.0, TRACTION]))
    model.forces = loads
    return model, loads[:, 2] / TRACTION


def run(n: int, model: Solid, young: Tensor) -> tuple[Tensor, Tensor]:
    """Displacements and internal forces under the full load, with its default linear solver."""
    u, f, *_ = model.solve(
        increments=torch.linspace(0.0, 1.0, STEPS + 1), rtol=0.0, atol=TOLERANCE * load_norm(n),
        differentiable_parameters=young,
    )  # fmt: skip
    return u, f


def warm() -> None:
    """Both linear solvers, once."""
    solve(2, Stopwatch())
    gradient(2)


def solve(n: int, clock: Stopwatch) -> Solution:
    """Without anything kept for gradients."""
    young = torch.tensor(YOUNG)
    with clock.watching(*WATCHED):
        with clock.section("model"):
            model, share = cantilever(n, young)
        u, f = run(n, model, young)
    free = (f - model.forces)[~model.constraints]
    method = sparse.resolve_method(model.n_dofs, None)
    mean = (share @ u).tolist()
    return Solution(mean, float(free.norm()) / load_norm(n), clock.calls["solve"], method)


def gradient(n: int) -> Gradient:
    """By the adjoint of each load step."""
    young = torch.tensor(YOUNG, requires_grad=True)
    began = time.process_time()
    model, share = cantilever(n, young)
    u, _ = run(n, model, young)
    mean = (share @ u)[2]
    solved = time.process_time()
    mean.backward()
    done = time.process_time()
    assert young.grad is not None
    return Gradient(float(young.grad), solved - began, done - solved)
