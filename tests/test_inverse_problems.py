# SPDX-License-Identifier: Apache-2.0
"""A stiffness field and a shape found through equilibrium, and the descent that finds them."""

from __future__ import annotations

import math

import pytest
import torch
from benchmarks.inverse_problems import (
    FACTOR,
    STATIONS,
    THICK,
    bent,
    inclusion,
    shape,
    theory,
)
from finite_elements import NOTHING

from rheograd.engine.boundaries import Floor
from rheograd.engine.errors import SimulationError
from rheograd.engine.fem.integrators import Static
from rheograd.engine.fem.solver import FESolver
from rheograd.engine.fit.descent import descend
from rheograd.engine.fit.field import fit_stiffness, variation
from rheograd.engine.loads import Fixed, Traction
from rheograd.engine.mesh.generators import box
from rheograd.engine.mpm import MPMSolver
from rheograd.engine.scene import Body, Scene
from rheograd.engine.shapes import Box
from rheograd.engine.simulate import simulate
from rheograd.engine.solver import Checkpoint
from rheograd.materials.elastic import NeoHookean


def test_descent_finds_the_minimum_of_rosenbrocks_function() -> None:
    found = descend(
        lambda x: (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2,
        torch.tensor([-1.2, 1.0]), tolerance=1e-14,
    )  # fmt: skip
    assert torch.allclose(found.values, torch.ones(2).double(), atol=1e-5)
    assert all(b <= a for a, b in zip(found.losses, found.losses[1:], strict=False))


def test_descent_steps_back_from_where_a_simulation_fails() -> None:
    def loss(x: torch.Tensor) -> torch.Tensor:
        if float(x.detach()) > 2.0:
            raise SimulationError("too far")
        return (x - 1.9).square().sum()

    found = descend(loss, torch.zeros(1))
    assert float(found.values) == pytest.approx(1.9, abs=1e-4)
    with pytest.raises(SimulationError, match="too far"):
        descend(loss, torch.full((1,), 3.0))


def test_variation_counts_jumps_by_the_length_of_sides() -> None:
    """A jump over one line of sides of a grid, and its invariance to a constant."""
    mesh = box((2.0, 1.0), (4, 2), element="quad4")
    penalty = variation(mesh)
    assert float(penalty(torch.full((8,), 3.0))) == 0.0
    left = mesh.nodes[mesh.cells].mean(1)[:, 0] < 0
    jump = torch.where(left, 0.0, 10.0).double()
    assert float(penalty(jump)) == pytest.approx(2 * ((100 + 0.05**2) ** 0.5 - 0.05), rel=1e-12)
    cube = variation(box((1.0, 1.0, 1.0), (2, 1, 1), element="tet4"))
    assert float(cube(torch.ones(12))) == 0.0


def test_gradient_by_the_stiffness_of_elements() -> None:
    """Against central differences, of positions and reactions."""
    mesh = box((1.0, 1.0), (3, 2), element="quad4", corner=(0.0, 0.0))
    solver = FESolver(integrator=Static(1), tolerance=1e-12)

    def pulled(theta: torch.Tensor) -> torch.Tensor:
        body = Body(mesh, NeoHookean(1e4, 0.3), 1e3, stiffness=theta.exp())
        scene = Scene([body], [Fixed("x-"), Traction("x+", (800.0, 300.0, 0.0))])
        motion = simulate(scene, solver, adjoint=Checkpoint())
        return (
            motion.x[-1, :, :2].square().sum() + 1e-4 * motion.fields["reaction"][-1, :3, 1].sum()
        )

    theta = torch.linspace(-0.5, 0.5, 6, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(pulled(theta), theta)
    way = torch.randn(6, dtype=torch.float64)
    with torch.no_grad():
        slope = (pulled(theta + 1e-4 * way) - pulled(theta - 1e-4 * way)) / 2e-4
    assert float(gradient @ way) == pytest.approx(float(slope), rel=1e-6)


@pytest.mark.slow
def test_an_inclusion_is_found_from_noisy_displacements() -> None:
    done = inclusion(12)
    inside = done.true > 1.0
    stiffness = done.found.stiffness
    assert done.found.residual <= 1.0
    assert float(stiffness[inside].mean()) == pytest.approx(FACTOR, rel=0.1)
    assert float(stiffness[~inside].mean()) == pytest.approx(1.0, rel=0.03)
    assert float((stiffness / done.true).log().square().mean().sqrt()) < 0.08


def test_the_gradient_by_heights_is_that_of_differences() -> None:
    def drop(heights: torch.Tensor) -> torch.Tensor:
        return bent(heights, 1)[1][:, 1].sum()

    heights = (THICK * torch.linspace(1.1, 0.7, 5, dtype=torch.float64)).requires_grad_()
    (gradient,) = torch.autograd.grad(drop(heights), heights)
    way = 0.01 * torch.randn(5, dtype=torch.float64)
    slope = float((drop(heights + 1e-3 * way) - drop(heights - 1e-3 * way)).detach()) / 2e-3
    assert float(gradient @ way) == pytest.approx(slope, rel=1e-6)


@pytest.mark.slow
def test_a_cantilever_takes_the_shape_that_bends_to_a_parabola() -> None:
    found = shape(n=3)
    assert found.losses[-1] < 1e-5 * found.losses[0]
    off = found.values / theory(STATIONS) - 1.0
    assert float(off.abs().max()) < 0.015


class TestErrors:
    """Each refusal is one sentence."""

    def test_stiffness_must_be_positive(self) -> None:
        with pytest.raises(ValueError, match="must be positive"):
            Body(Box((1.0, 1.0, 1.0)), NeoHookean(1e4, 0.3), 1e3, stiffness=torch.zeros(3))

    def test_as_many_as_elements(self) -> None:
        mesh = box((1.0, 1.0), (2, 2), element="quad4")
        body = Body(mesh, NeoHookean(1e4, 0.3), 1e3, stiffness=torch.ones(3))
        with pytest.raises(ValueError, match="4 elements, expected one number or shape"):
            FESolver().discretize(Scene([body], [Fixed("x-")]))

    def test_particles_have_none(self) -> None:
        body = Body(Box((0.2, 0.2, 0.2), (0.5, 0.5, 0.5)), NeoHookean(1e4, 0.3), 1e3, stiffness=2.0)
        with pytest.raises(ValueError, match="only finite elements know"):
            MPMSolver(0.1).discretize(Scene([body], [Floor()]))

    def test_a_field_needs_a_mesh_and_a_noise(self) -> None:
        shape = Box((1.0, 1.0, 1.0))
        solid = Scene([Body(shape, NeoHookean(1e4, 0.3), 1e3)])
        with pytest.raises(ValueError, match="one body on a VolumeMesh"):
            fit_stiffness(solid, FESolver(size=1.0), lambda motion: motion.x, 1e-3)
        plate = Scene([Body(box((1.0, 1.0), (1, 1), element="quad4"), NeoHookean(1e4, 0.3), 1e3)])
        with pytest.raises(ValueError, match="positive standard deviation"):
            fit_stiffness(plate, FESolver(), lambda motion: motion.x, 0.0)


def test_variation_weighs_sides_by_their_own_size() -> None:
    """Cells of 3 x 1: a jump across the long sides counts thrice that across the short ones."""
    penalty = variation(box((6.0, 2.0), (2, 2), element="quad4"))
    mesh = box((6.0, 2.0), (2, 2), element="quad4")
    centre = mesh.nodes[mesh.cells].mean(1)
    jump = math.sqrt(100 + 0.05**2) - 0.05
    # two sides of 1 m (across x) and two of 3 m (across y), 2 m on average
    for axis, expected in ((0, 2 * 0.5 * jump), (1, 2 * 1.5 * jump)):
        theta = torch.where(centre[:, axis] < 0, 0.0, 10.0).double()
        assert float(penalty(theta)) == pytest.approx(expected, rel=1e-12)
    solid = box((6.0, 2.0, 1.0), (2, 2, 1))
    centre = solid.nodes[solid.cells].mean(1)
    for axis, expected in ((0, 2 * 0.5 * jump), (1, 2 * 1.5 * jump)):
        theta = torch.where(centre[:, axis] < 0, 0.0, 10.0).double()
        assert float(variation(solid)(theta)) == pytest.approx(expected, rel=1e-12)


def test_the_residual_of_a_field_is_its_root_mean_square() -> None:
    """By the noise; one weight and no iteration leave theta at 0."""
    mesh = box((1.0, 1.0), (2, 2), element="quad4", corner=(0.0, 0.0))
    body = Body(mesh, NeoHookean(1e4, 0.3), 1e3)
    scene = Scene([body], [Fixed("x-"), Traction("x+", (300.0, 0.0, 0.0))], gravity=NOTHING)
    off = torch.tensor([1e-3, -7e-3, 2e-3], dtype=torch.float64)
    told: list[float] = []
    found = fit_stiffness(
        scene, FESolver(integrator=Static(1)), lambda m: off + 0.0 * m.x[-1, :3, 0], 1e-3,
        weights=1, iterations=1, tell=lambda w, left: told.append(left),
    )  # fmt: skip
    assert found.residual == pytest.approx(math.sqrt((1 + 49 + 4) / 3), rel=1e-9)
    assert told == [found.residual]
