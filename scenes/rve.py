# SPDX-License-Identifier: Apache-2.0
"""Cells of a microstructure side by side, resolved in full: fibres in a resin, squeezed and drawn.

Plane strain, small strain. The sides of the block stay straight and are free along themselves.
Since a cell is its own mirror image along x and y, each one deforms as in an endless medium, and
the block bears the stress that one periodic cell does (rheograd rve; docs/two_scales.md).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from rheograd.engine.fem.integrators import Static
from rheograd.engine.fem.solver import FESolver
from rheograd.engine.homogenize.microstructures import parts, repeated, round_inclusion
from rheograd.engine.loads import Displacement, Fixed
from rheograd.engine.mesh.probe import imbalance
from rheograd.engine.mesh.volume_mesh import VolumeMesh
from rheograd.engine.scene import Body, Domain, Scene
from rheograd.engine.trajectory import Trajectory
from rheograd.materials.law import ConstitutiveLaw
from rheograd.scenes.cells import published

SIDE = 1e-3
"""Of a cell [m]."""

Kind = Literal["quad4", "quad8", "quad9"]


def build(
    law: ConstitutiveLaw | None = None,
    *,
    kind: Kind = "quad8",
    across: int = 3,
    share: float = 0.3,
    strain_x: float = 0.02,
    strain_y: float = -0.01,
) -> Scene:
    """The scene.

    Args:
        law: Of the resin; if None that of Eivazi et al. 2025, "EquiNO", whose shear saturates. The
            fibres are of glass.
        kind: Of the elements.
        across: Cells along each side.
        share: Of the fibres in the volume [-].
        strain_x: Mean strain along x.
        strain_y: Mean strain along y.

    Raises:
        ValueError: There are no cells.
    """
    if across < 1:
        raise ValueError(f"across = {across}: expected at least 1 cell along each side")
    laws = published()
    if law is not None:
        laws["matrix"] = law
    meshes = parts(block(kind, across, share))
    bodies = [Body(meshes[name], laws[name], 1.2e3, name=name) for name in laws]
    far = across * SIDE
    near = 1e-6 * far
    boundaries = [
        Fixed(lambda X: X[:, 0] < near, "x", body="matrix"),
        Fixed(lambda X: X[:, 1] < near, "y", body="matrix"),
        Displacement(
            lambda X: X[:, 0] > far - near, (strain_x * far, 0.0, 0.0), "x", body="matrix"
        ),
        Displacement(
            lambda X: X[:, 1] > far - near, (0.0, strain_y * far, 0.0), "y", body="matrix"
        ),
    ]
    room = 0.1 * far
    domain = Domain((-room, -room, -room), (far + room, far + room, room))
    return Scene(bodies, boundaries, (0.0, 0.0, 0.0), domain=domain, name="rve")


def block(kind: str, across: int, share: float) -> VolumeMesh:
    """Cells from the origin on, with the regions matrix and fibre."""
    cell = round_inclusion(share, (4, 2, 3), element=kind, side=SIDE)
    whole = repeated(cell, (across, across), SIDE)
    nodes = whole.nodes - whole.nodes.amin(0)
    return VolumeMesh(whole.element, nodes, whole.cells, {}, {}, whole.regions)


def solver(*, load_steps: int = 2) -> FESolver:
    """Load steps.

    Args:
        load_steps: Equilibria on the way to the full load.
    """
    return FESolver(integrator=Static(load_steps))


def results(trajectory: Trajectory) -> dict[str, Tensor]:
    """What the block bears.

    Returns:
        stress_xx, stress_yy [Pa], means over the block: those of the forces on its sides.
    """
    X = trajectory.x[0]
    far = X[:, :2].amax(0)
    forces = trajectory.fields["reaction"][-1]
    found = {}
    for axis, name in enumerate(("stress_xx", "stress_yy")):
        side = X[:, axis] > (1 - 1e-6) * far[axis]
        found[name] = forces[side, axis].sum() / far[1 - axis]
    return found


def check(trajectory: Trajectory, *, strain_x: float = 0.02, strain_y: float = -0.01) -> None:
    """Opposite sides bear alike, no side bears along itself, and strain takes work.

    Raises:
        AssertionError: They do not.
    """
    left, turn = imbalance(trajectory)
    assert left < 1e-6, f"{left:.3g} of all forces is left"
    assert turn < 1e-6, f"{turn:.3g} of all moments is left"
    found = results(trajectory)
    strains = torch.tensor([strain_x, strain_y], dtype=torch.float64)
    stresses = torch.stack([found["stress_xx"], found["stress_yy"]]).double()
    work = float((strains * stresses).sum())
    assert work > 0 or not bool(strains.any()), f"the strain gives work of {-work:.3g} J/m³"
