# SPDX-License-Identifier: Apache-2.0
"""An L-shaped bracket whose arm is pushed down: a body for laws of two scales.

Plane strain. The end of the arm sinks by a given way and is free along it; the upper end of the leg
is clamped. The inner corner concentrates strain, which grows without bound as the mesh is refined.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from rheograd.engine.fem.integrators import Static
from rheograd.engine.fem.solver import FESolver
from rheograd.engine.loads import Displacement, Fixed
from rheograd.engine.mesh.generators import box
from rheograd.engine.mesh.probe import imbalance
from rheograd.engine.mesh.volume_mesh import VolumeMesh
from rheograd.engine.scene import Body, Domain, Scene
from rheograd.engine.trajectory import Trajectory
from rheograd.materials.law import ConstitutiveLaw
from rheograd.materials.small_strain import Hyperbolic

SIDE = 0.1
"""Length of leg and arm [m]; both are half as wide."""

Kind = Literal["quad4", "quad8", "quad9"]


def build(
    law: ConstitutiveLaw | None = None,
    *,
    kind: Kind = "quad8",
    n: int = 2,
    sink: float = 1e-3,
) -> Scene:
    """The scene.

    Args:
        law: What the bracket is made of; an epoxy resin of small strains if None.
        kind: Of the elements.
        n: Elements across leg and arm.
        sink: How far the end of the arm goes down [m].
    """
    body = Body(bracket(kind, n), law or Hyperbolic.example(), 1.2e3, name="bracket")
    boundaries = [Fixed("top"), Displacement("end", (0.0, -sink, 0.0), "y")]
    domain = Domain((-0.01, -0.02, -0.01), (0.11, 0.11, 0.01))
    return Scene([body], boundaries, (0.0, 0.0, 0.0), domain=domain, name="bracket")


def bracket(kind: str, n: int) -> VolumeMesh:
    """Three squares of n by n elements, with the groups top and end."""
    from rheograd.engine.mesh.elevation import elevate

    whole = box((SIDE, SIDE), (2 * n, 2 * n), element="quad4", corner=(0.0, 0.0))
    centre = whole.nodes[whole.cells].mean(1)
    cells = whole.cells[~(centre[:, :2] > SIDE / 2).all(1)]
    used, local = torch.unique(cells, return_inverse=True)
    mesh = VolumeMesh("quad4", whole.nodes[used], local)
    sides, x = mesh.boundary(), mesh.nodes
    top = sides[(x[sides][..., 1] > SIDE * (1 - 1e-9)).all(1)]
    end = sides[(x[sides][..., 0] > SIDE * (1 - 1e-9)).all(1)]
    grouped = VolumeMesh("quad4", x, local, {"top": top, "end": end})
    return elevate(grouped, kind)


def solver(*, load_steps: int = 4) -> FESolver:
    """Load steps, small enough for cells to follow.

    Args:
        load_steps: Equilibria on the way to the full load.
    """
    return FESolver(integrator=Static(load_steps))


def results(trajectory: Trajectory) -> dict[str, Tensor]:
    """What the push does, of a slice 1 m thick.

    Returns:
        force [N], that pushes the end of the arm down; spread [m], how far its end moves along x on
        average.
    """
    X = trajectory.x[0]
    end = X[:, 0] > SIDE * (1 - 1e-6)
    force = -trajectory.fields["reaction"][-1][end, 1].sum()
    return {"force": force, "spread": (trajectory.x[-1] - X)[end, 0].mean()}


def check(trajectory: Trajectory, *, sink: float = 1e-3) -> None:
    """The clamp bears what pushes, in force and moment.

    Raises:
        AssertionError: It does not.
    """
    force = float(results(trajectory)["force"])
    assert force * sink >= 0, f"the end sinks by {sink:g} m against a force of {force:.4g} N"
    left, turn = imbalance(trajectory)
    assert left < 1e-6, f"{left:.3g} of all forces is left"
    assert turn < 1e-6, f"{turn:.3g} of all moments is left"
