# SPDX-License-Identifier: Apache-2.0
"""Cook's membrane: a tapered panel of a nearly incompressible solid, sheared at its end.

Plane strain at finite strain: corners (0, 0), (48, 44), (48, 60) and (0, 44) mm, clamped on the
left, 100 N per mm of thickness spread over the right; neo-Hookean, shear modulus 80.1938 MPa, bulk
modulus 400 942 MPa. The upper right corner rises by 6.9 mm: de Souza Neto, Peric, Dutko and Owen
1996, "Design of simple low order finite elements for large strain analysis of nearly incompressible
solids"; Elguedj, Bazilevs, Calo and Hughes 2008, "B-bar and F-bar projection methods for nearly
incompressible linear and non-linear elasticity and plasticity using higher-order NURBS elements".
With 4, 10, 20 and 30 F-bar elements an edge OpenGeoSys lists 6.141, 6.746, 6.859 and 6.891 mm (its
benchmark Cook's membrane under large deformation); elements that lock stay at a third of that.
"""

from __future__ import annotations

import torch
from torch import Tensor

from rheograd.engine.fem.integrators import Static
from rheograd.engine.fem.solver import FESolver
from rheograd.engine.loads import Fixed, Traction
from rheograd.engine.mesh.elevation import mapped
from rheograd.engine.mesh.generators import box
from rheograd.engine.mesh.probe import node_at
from rheograd.engine.scene import Body, Domain, Scene
from rheograd.engine.trajectory import Trajectory
from rheograd.materials.elastic import NeoHookean
from rheograd.materials.law import ConstitutiveLaw

WIDTH, LEFT, RISE, RIGHT = 0.048, 0.044, 0.044, 0.016
"""Of the panel: its width, the left edge, how far the right one starts above it, its length [m]."""
YOUNG, POISSON, TRACTION = 240.565e6, 0.4999, 6.25e6
PUBLISHED = 6.9e-3
"""Rise of the upper right corner [m], see above."""


def build(
    law: ConstitutiveLaw | None = None,
    *,
    n: int = 16,
    young: float = YOUNG,
    poisson: float = POISSON,
    traction: float = TRACTION,
) -> Scene:
    """The scene.

    Args:
        law: What the panel is made of; neo-Hookean if None.
        n: Elements along each edge.
        young: Young's modulus of the default law [Pa].
        poisson: Poisson's ratio of the default law.
        traction: Upward force per area at rest of the right edge [Pa].
    """

    def panel(place: Tensor) -> Tensor:
        across, up = place[:, 0], place[:, 1]
        y = RISE * across + up * (LEFT + (RIGHT - LEFT) * across)
        return torch.stack([WIDTH * across, y, torch.zeros_like(y)], 1)

    mesh = mapped(box((1.0, 1.0), (n, n), element="quad4", corner=(0.0, 0.0)), panel)
    body = Body(mesh, law or NeoHookean(young=young, poisson=poisson), 1e3, name="panel")
    boundaries = [Fixed("x-"), Traction("x+", (0.0, traction, 0.0))]
    domain = Domain((0.0, 0.0, -0.01), (0.06, 0.07, 0.01))
    return Scene([body], boundaries, (0.0, 0.0, 0.0), domain=domain, name="cook_membrane")


def solver(*, load_steps: int = 5, mean_dilatation: bool = True) -> FESolver:
    """Elements that do not lock; --elements quad8 --no-mean-dilatation is the other way.

    Args:
        load_steps: Equilibria on the way to the full load.
        mean_dilatation: Whether quad4 elements average their change of volume.
    """
    return FESolver(integrator=Static(load_steps), mean_dilatation=mean_dilatation)


def results(trajectory: Trajectory) -> dict[str, Tensor]:
    """What the load does.

    Returns:
        tip [m] (2,), displacement of the upper right corner; reaction [N] (2,), of a slice 1 m
        thick.
    """
    corner = node_at(trajectory, (WIDTH, RISE + RIGHT, 0.0))
    moved = trajectory.x[-1, corner] - trajectory.x[0, corner]
    return {"tip": moved[:2], "reaction": trajectory.fields["reaction"][-1].sum(0)[:2]}


def check(
    trajectory: Trajectory,
    *,
    young: float = YOUNG,
    poisson: float = POISSON,
    traction: float = TRACTION,
) -> None:
    """The clamp bears the load; of the published solid the corner rises as published, within 3 %.

    Raises:
        AssertionError: It does not.
    """
    found = results(trajectory)
    load, borne = traction * RIGHT, -float(found["reaction"][1])
    assert abs(borne - load) < 1e-5 * abs(load), (
        f"the clamp bears {borne:.6g} N of a load of {load:.6g} N"
    )
    rise = float(found["tip"][1])
    assert rise * traction > 0, f"the corner moved by {rise:.3g} m, against the load"
    published = (young, poisson, traction) == (YOUNG, POISSON, TRACTION)
    if not published or trajectory.metadata.get("laws", NeoHookean.name) != NeoHookean.name:
        return
    assert abs(rise / PUBLISHED - 1) < 0.03, (
        f"the corner rises by {1e3 * rise:.3f} mm; published: {1e3 * PUBLISHED:.1f} mm"
    )
