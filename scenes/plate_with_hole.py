# SPDX-License-Identifier: Apache-2.0
"""A plate with a round hole, pulled: the stress at the hole is three times that far away.

A quarter with planes of symmetry, plane strain, small strain. In an infinite plate the stress along
the pull is 3 σ at the sides of the hole and -σ where the pull meets it (Kirsch 1898); in a strip of
width w with a hole of diameter d the peak is

    σ w / (w - d) (3 - 3.13 d/w + 3.66 (d/w)² - 1.53 (d/w)³)

(Howland 1930, "On the stresses in the neighbourhood of a circular hole in a strip under tension",
as fitted in Peterson's Stress Concentration Factors, 4.1), whatever the elastic constants.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from rheograd.engine.fem.integrators import Static
from rheograd.engine.fem.solver import FESolver
from rheograd.engine.loads import Fixed, Traction
from rheograd.engine.mesh.generators import plate_with_hole
from rheograd.engine.mesh.probe import node_at, side_mean
from rheograd.engine.scene import Body, Domain, Scene
from rheograd.engine.trajectory import Trajectory
from rheograd.materials.elastic import NeoHookean
from rheograd.materials.law import ConstitutiveLaw

RADIUS = 0.1
"""Of the hole [m]."""
GRADING = 2.5
"""Of the cells from the hole outward."""
WITHIN = {"quad4": 0.04, "tri3": 0.08}
"""Of Howland's peak [-], by the element; others 2 %."""

Kind = Literal["quad4", "quad8", "quad9", "tri3", "tri6"]


def build(
    law: ConstitutiveLaw | None = None,
    *,
    kind: Kind = "quad8",
    n: int = 16,
    width: float = 1.0,
    young: float = 1e9,
    poisson: float = 0.3,
    traction: float = 1e5,
) -> Scene:
    """The scene.

    Args:
        law: What the plate is made of; neo-Hookean if None.
        kind: Of the elements.
        n: Elements from the hole to the edge, and around a quarter of it.
        width: Of the whole plate [m]; it is twice as long.
        young: Young's modulus of the default law [Pa].
        poisson: Poisson's ratio of the default law.
        traction: Pull along x [Pa], small beside Young's modulus.
    """
    mesh = plate_with_hole(
        width / 2, RADIUS, (n, n + n % 2), element=kind, length=width, grading=GRADING
    )
    body = Body(mesh, law or NeoHookean(young=young, poisson=poisson), 1e3, name="plate")
    boundaries = [Fixed("x-", "x"), Fixed("y-", "y"), Traction("x+", (traction, 0.0, 0.0))]
    domain = Domain((0.0, 0.0, -0.05 * width), (1.05 * width, 0.55 * width, 0.05 * width))
    return Scene([body], boundaries, (0.0, 0.0, 0.0), domain=domain, name="plate_with_hole")


def solver() -> FESolver:
    """One step: the problem is all but linear."""
    return FESolver(integrator=Static(1))


def results(trajectory: Trajectory, *, traction: float = 1e5) -> dict[str, Tensor]:
    """What the pull does.

    Returns:
        extension [m], mean way of the pulled edge; and where stresses are recorded, by the
        traction: peak [-], along the pull at the side of the hole; crown [-], across it where the
        pull meets the hole.
    """
    far = trajectory.x[0, :, 0].detach().max()
    found = {"extension": side_mean(trajectory, lambda X: X[:, 0] > (1 - 1e-6) * far)[-1, 0]}
    if "nodal_stress" in trajectory.fields:
        stress = trajectory.fields["nodal_stress"][-1]
        side, crown = (node_at(trajectory, place) for place in ((0, RADIUS, 0), (RADIUS, 0, 0)))
        found |= {"peak": stress[side, 0, 0] / traction, "crown": stress[crown, 1, 1] / traction}
    return found


def howland(width: float) -> float:
    """Peak by the traction, see above."""
    share = 2 * RADIUS / width
    return (3 - 3.13 * share + 3.66 * share**2 - 1.53 * share**3) / (1 - share)


def check(
    trajectory: Trajectory,
    *,
    kind: Kind = "quad8",
    width: float = 1.0,
    traction: float = 1e5,
) -> None:
    """The peak is that of Howland, within `WITHIN`; the stress where the pull meets the hole is -σ.

    Raises:
        AssertionError: It is not.
    """
    found = results(trajectory, traction=traction)
    peak, crown = float(found["peak"]), float(found["crown"])
    expected = howland(width)
    assert abs(peak / expected - 1) < WITHIN.get(kind, 0.02), (
        f"the stress peaks at {peak:.3f} times the traction; Howland: {expected:.3f}"
    )
    assert -2.0 < crown < -0.9, (
        f"across the pull the hole has {crown:.3f} times the traction; Kirsch: -1"
    )
    borne = -float(trajectory.fields["reaction"][-1, :, 0].sum()) / (0.5 * width * traction)
    assert abs(borne - 1) < 1e-5, f"the plane of symmetry bears {borne:.6f} times the pull"
