# SPDX-License-Identifier: Apache-2.0
"""A block with a round cavity, inflated by a pressure that follows its wall.

A quarter of a slice, with planes of symmetry, held between two smooth plates: plane strain. With a
round outside it is a thick tube. Of an incompressible neo-Hookean one, with inner and outer radius
A and B at rest and a and b when inflated, the pressure in it is

    p = G (ln(la / lb) + (1 / lb² - 1 / la²) / 2),    la = a / A,  lb = b / B,  b² - B² = a² - A²

which is the integral of (σθ - σr) dr / r for principal stretches λ and 1/λ (Green and Zerna,
Theoretical Elasticity, 3.10). With a square outside its cavity widens less than that of the tube
within it and more than that of the tube about it.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from rheograd.engine.fem.integrators import Static
from rheograd.engine.fem.solver import FESolver
from rheograd.engine.loads import Fixed, Pressure
from rheograd.engine.mesh.elevation import mapped
from rheograd.engine.mesh.generators import box, plate_with_hole
from rheograd.engine.mesh.volume_mesh import VolumeMesh
from rheograd.engine.scene import Body, Domain, Scene
from rheograd.engine.trajectory import Trajectory
from rheograd.materials.elastic import NeoHookean
from rheograd.materials.law import ConstitutiveLaw

INNER, OUTER, THICKNESS = 0.1, 0.25, 0.05
"""Radius of the cavity, radius or half edge of the block, and length along the cavity [m]."""
WITHIN = 0.02
"""Of the closed form [-]."""

Outside = Literal["round", "square"]


def build(
    law: ConstitutiveLaw | None = None,
    *,
    outside: Outside = "round",
    n: int = 8,
    pressure: float = 2e5,
    young: float = 1e6,
    poisson: float = 0.499,
) -> Scene:
    """The scene.

    Args:
        law: What the block is made of; neo-Hookean if None.
        outside: round or square.
        n: Elements from the cavity outward.
        pressure: In the cavity in the end [Pa].
        young: Young's modulus of the default law [Pa].
        poisson: Poisson's ratio of the default law.
    """
    body = Body(
        mesh(outside, n), law or NeoHookean(young=young, poisson=poisson), 1e3, name="block"
    )
    boundaries = [
        Fixed("x-", "x"), Fixed("y-", "y"), Fixed("z-", "z"), Fixed("z+", "z"),
        Pressure("hole", pressure),
    ]  # fmt: skip
    domain = Domain((0.0, 0.0, 0.0), (0.4, 0.4, 0.1))
    return Scene([body], boundaries, (0.0, 0.0, 0.0), domain=domain, name="inflated_block")


def mesh(outside: Outside, n: int) -> VolumeMesh:
    """A quarter of the block, with finer cells at the cavity."""
    if outside == "square":
        return plate_with_hole(OUTER, INNER, (n, 2 * n, 2), element="hex8", thickness=THICKNESS)

    def bent(place: Tensor) -> Tensor:
        out, turn, up = place.unbind(1)
        r, angle = INNER * (OUTER / INNER) ** out, 0.5 * math.pi * turn
        return torch.stack([r * angle.cos(), r * angle.sin(), up], 1)

    unit = box((1.0, 1.0, THICKNESS), (n, 2 * n, 2), corner=(0.0, 0.0, 0.0))
    names = {"x-": "hole", "x+": "outside", "y-": "y-", "y+": "x-", "z-": "z-", "z+": "z+"}
    quarter = mapped(unit, bent)
    facets = {names[key]: sides for key, sides in quarter.facets.items()}
    return VolumeMesh("hex8", quarter.nodes, quarter.cells, facets)


def solver(*, load_steps: int = 10, mean_dilatation: bool = True) -> FESolver:
    """Elements that do not lock.

    Args:
        load_steps: Equilibria on the way to the full pressure.
        mean_dilatation: Whether hex8 elements average their change of volume.
    """
    return FESolver(integrator=Static(load_steps), mean_dilatation=mean_dilatation)


def stretches(trajectory: Trajectory) -> Tensor:
    """Radius of the cavity by that at rest, averaged over its nodes, shape (t,)."""
    rest = trajectory.x[0].detach()
    on = (rest[:, :2].norm(dim=1) - INNER).abs() < 1e-4 * INNER
    return trajectory.x[:, on, :2].norm(dim=2).mean(1) / INNER


def results(trajectory: Trajectory) -> dict[str, Tensor]:
    """How far the cavity widens.

    Returns:
        stretch [-], its radius by that at rest, under the full pressure; stretches of every frame.
    """
    found = stretches(trajectory)
    return {"stretch": found[-1], "stretches": found}


def tube_pressure(stretch: Tensor, outer: float, shear: float) -> Tensor:
    """Pressure [Pa] at an inner stretch; see above.

    Args:
        stretch: a / A.
        outer: B [m].
        shear: G [Pa].
    """
    la = stretch
    lb = (1 + (la**2 - 1) * (INNER / outer) ** 2).sqrt()
    return shear * ((la / lb).log() + 0.5 * (lb**-2 - la**-2))


def check(
    trajectory: Trajectory,
    *,
    outside: Outside = "round",
    pressure: float = 2e5,
    young: float = 1e6,
    poisson: float = 0.499,
) -> None:
    """The cavity widens, that of a tube as the closed form says, within 2 % of the pressure.

    Raises:
        AssertionError: It does not.
    """
    stretch = stretches(trajectory)
    assert float(stretch[-1] - 1) * pressure > 0, (
        f"its cavity has {float(stretch[-1]):.3f} times its radius, under {pressure:g} Pa"
    )
    if trajectory.metadata.get("laws", NeoHookean.name) != NeoHookean.name:
        return
    shear = young / (2 * (1 + poisson))
    acting = pressure * trajectory.time.clamp(max=1.0).to(stretch)
    low = tube_pressure(stretch, OUTER, shear)
    high = low if outside == "round" else tube_pressure(stretch, math.sqrt(2) * OUTER, shear)
    later = acting != 0
    least, most = ((p / acting)[later] for p in (low, high))
    assert bool((most > 1 - WITHIN).all()) and bool((least < 1 + WITHIN).all()), (
        f"it is as wide as the closed form says under {float(least[-1]):.3f} to "
        f"{float(most[-1]):.3f} times the pressure"
    )
