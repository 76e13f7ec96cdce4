# SPDX-License-Identifier: Apache-2.0
"""The cantilever of `fem.py` by rheograd, and many small ones at once."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import NamedTuple

import torch
from measured import POISSON, STEPS, TOLERANCE, YOUNG, Gradient, Solution, Stopwatch, load_norm
from torch import Tensor

from rheograd.engine.fem import linear, multigrid
from rheograd.engine.fem.advance import Advance
from rheograd.engine.fem.assembler import Assembler
from rheograd.engine.fem.integrators import Static
from rheograd.engine.fem.model import FEModel
from rheograd.engine.fem.solver import FESolver
from rheograd.engine.simulate import simulate
from rheograd.engine.solver import Checkpoint
from rheograd.engine.trajectory import Trajectory
from rheograd.materials.elastic import NeoHookean
from rheograd.scenes import cantilever

BY_LOADS = 16.0
"""FESolver measures a residual by the largest of loads and reactions; the reactions of the clamped
face are this many times the loads at most, in the norm of nodal forces."""
WATCHED = (
    (FESolver, "discretize", "model"), (Advance, "__init__", "model"),
    (Assembler, "balance", "assembly"), (Assembler, "matrix", "assembly"),
    (linear.LinearSolver, "factor", "set-up"), (multigrid, "hierarchy", "set-up"),
    (linear.Banded, "solve", "solve"), (linear.Direct, "solve", "solve"),
    (linear.Multigrid, "solve", "solve"),
    (FESolver, "fields", "output"), (FESolver, "cell_fields", "output"),
)  # fmt: skip


def solver(n: int) -> FESolver:
    """That of the scene, to the residual that all sides meet."""
    return replace(cantilever.solver(n=n), tolerance=TOLERANCE / BY_LOADS)


def warm() -> None:
    """Load or compile the kernels of all methods."""
    for method in ("cholesky", "amg"):
        fe, scene = replace(solver(4), linear=method), cantilever.build()
        mean = end_face(simulate(scene, fe, adjoint=Checkpoint()))
        mean[2].backward()


def end_face(trajectory: Trajectory) -> Tensor:
    """Mean displacement of the end face [m]."""
    return cantilever.results(trajectory)["end_face_mean"]


def solve(n: int, clock: Stopwatch) -> Solution:
    """As a user would: one call, displacements, stresses and energies of six frames."""
    fe, scene = solver(n), cantilever.build()
    with clock.watching(*WATCHED):
        model = fe.discretize(scene)
        trajectory = simulate(scene, fe, model=model)
    advance = fe.advance(model)
    return Solution(
        end_face(trajectory).tolist(),
        residual(fe, model, trajectory) / load_norm(n),
        advance.iterations,
        advance.newton.linear.method,
    )


def residual(fe: FESolver, model: FEModel, trajectory: Trajectory) -> float:
    """Norm of the forces on free nodes at the end [N]."""
    end = float(trajectory.time[-1])
    values = model.load_values(model.moment(end - model.dt, end))
    found = fe.advance(model).assembler.balance(trajectory.x[-1], values, (0.0, 1.0), False)
    return float(found.residual.masked_fill(model.fixed, 0.0).norm())


def gradient(n: int) -> Gradient:
    """By the adjoint of each load step."""
    fe, law = solver(n), NeoHookean(YOUNG, POISSON)
    began = time.process_time()
    mean = end_face(simulate(cantilever.build(law), fe, adjoint=Checkpoint()))
    solved = time.process_time()
    mean[2].backward()
    done = time.process_time()
    assert law.young.grad is not None
    return Gradient(float(law.young.grad), solved - began, done - solved)


class Batch(NamedTuple):
    """Some small cantilevers of different stiffness."""

    u: Tensor
    """Displacements under the full load [m], shape (count, nodes, 3)."""
    slopes: Tensor
    """Derivative of the sum of u by each Young's modulus [m/Pa], shape (count,)."""
    forward: float
    """Solution, CPU [s]."""
    both: float
    """Solution with what the gradient needs, and gradient, CPU [s]."""


def batch(n: int, count: int, together: bool) -> Batch:
    """Solve and differentiate, all in one model or one after another."""
    young = torch.linspace(5e3, 2e4, count, dtype=torch.float64).tolist()

    def run(laws: list[NeoHookean], adjoint: Checkpoint | None) -> Tensor:
        integrator = Static(STEPS)
        fe = replace(solver(n), integrator=integrator, tolerance=1e-12)
        model = fe.discretize([cantilever.build(law) for law in laws])
        steps = integrator.steps
        out = fe.rollout(model, fe.start(model), steps, observe=[steps], adjoint=adjoint)
        return (out.x[0] - model.x0).view(len(laws), -1, 3)

    def groups() -> list[list[NeoHookean]]:
        laws = [NeoHookean(E, POISSON) for E in young]
        return [laws] if together else [[law] for law in laws]

    began = time.process_time()
    u = torch.cat([run(laws, None) for laws in groups()])
    solved = time.process_time()
    parts = groups()
    for laws in parts:
        run(laws, Checkpoint()).sum().backward()
    done = time.process_time()
    slopes = [law.young.grad for laws in parts for law in laws]
    return Batch(u, torch.stack(slopes), solved - began, done - solved)  # type: ignore[arg-type]
