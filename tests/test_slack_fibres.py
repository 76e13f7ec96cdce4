# SPDX-License-Identifier: Apache-2.0
"""Equilibria of bodies whose fibres are taut on one side and slack on the other.

The tangent of the fibres jumps where they go slack, so Newton's method crosses a kink; it does so
as it does the yield of metals, and these tests hold it to few iterations.
"""

from __future__ import annotations

import pytest
import torch
from finite_elements import NOTHING
from material_states import relative
from torch import Tensor

from rheograd.engine.fem import FESolver, Static
from rheograd.engine.loads import Fixed, Traction
from rheograd.engine.mesh.generators import box
from rheograd.engine.mesh.volume_mesh import VolumeMesh
from rheograd.engine.scene import Body, Scene
from rheograd.engine.simulate import simulate
from rheograd.materials.elastic import NeoHookean
from rheograd.materials.fibres import FibreReinforced

YOUNG, LONG, WIDE = 3e4, 12.0, 0.5


def bent(
    k1: float, traction: tuple[float, float, float], steps: int, mesh: VolumeMesh, most: int
) -> Tensor:
    """Displacements at last of a beam along its fibres, by `most` iterations of a whole step."""
    law = FibreReinforced(NeoHookean(YOUNG, 0.0), k1, 3.0)
    body = Body(mesh, law, 1e3, fields={"fibre": torch.tensor([1.0, 0.0, 0.0])})
    solver = FESolver(integrator=Static(steps), iterations=most, cuts=0)
    scene = Scene([body], [Fixed("x-"), Traction("x+", traction)], gravity=NOTHING)
    out = simulate(scene, solver)
    return out.x[-1] - mesh.nodes


@pytest.mark.parametrize("k1", [1e3, 2e4, 2e5])
def test_a_bent_beam_is_that_of_two_moduli(k1: float) -> None:
    """4 Eₜ E / (√Eₜ + √E)² bends, Eₜ = E + 4 k₁ (Timoshenko 1955, "Strength of Materials").

    With Timoshenko's deflection by shear, 5/6 of the cross-section bearing it.
    """
    mesh, q = box((LONG, WIDE, 1.0), (12, 1, 4), element="hex20"), -0.02
    moved = bent(k1, (0.0, 0.0, q), 1, mesh, 8)
    taut, P = YOUNG + 4 * k1, q * WIDE
    both = 4 * taut * YOUNG / (taut**0.5 + YOUNG**0.5) ** 2
    expected = P * LONG**3 / (3 * both * WIDE / 12) + P * LONG / (5 / 6 * YOUNG / 2 * WIDE)
    assert float(moved[:, 2].min()) == pytest.approx(expected, rel=4e-3)


@pytest.mark.parametrize("traction", [(0.0, 0.0, -300.0), (-2e3, 0.0, 0.0), (400.0, 0.0, 60.0)])
@pytest.mark.parametrize("k1", [2e4, 3e6])
def test_far_from_rest_one_step_finds_what_many_find(
    k1: float, traction: tuple[float, float, float]
) -> None:
    mesh = box((4.0, 1.0, 1.0), (8, 2, 2))
    moved = bent(k1, traction, 1, mesh, 20)
    slowly = bent(k1, traction, 5, mesh, 20)
    assert relative(moved, slowly) < 1e-6
    assert float(moved.abs().max()) > 3e-3
