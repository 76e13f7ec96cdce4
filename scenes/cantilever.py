# SPDX-License-Identifier: Apache-2.0
"""A bar held at one end and pulled down at the other, in statics.

Its defaults are a benchmark: 4 x 1 x 1 m, compressible neo-Hookean, E = 10 kPa, ν = 0.3, a dead
traction of 100 Pa on the end face in five equal steps. Three independent codes (scikit-fem,
torch-fem, jax-fem) agree on its displacements to nine digits; tests hold this one to them.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from rheograd.engine.fem.integrators import Static
from rheograd.engine.fem.solver import FESolver
from rheograd.engine.loads import Fixed, Traction
from rheograd.engine.mesh.probe import node_at, side_mean
from rheograd.engine.mesh.volume_mesh import VolumeMesh
from rheograd.engine.scene import Body, Scene
from rheograd.engine.shapes import Box, Shape
from rheograd.engine.trajectory import Trajectory
from rheograd.materials.elastic import NeoHookean
from rheograd.materials.law import ConstitutiveLaw

LENGTH, WIDTH = 4.0, 1.0


def build(
    law: ConstitutiveLaw | None = None,
    *,
    mesh: Path | None = None,
    scale: float = 1.0,
    held: str = "x-",
    loaded: str = "x+",
    young: float = 1e4,
    poisson: float = 0.3,
    traction: tuple[float, float, float] = (0.0, 0.0, -100.0),
) -> Scene:
    """The scene.

    Args:
        law: What the bar is made of; neo-Hookean if None.
        mesh: A volume mesh (msh, vtu, inp, ...) in place of the bar.
        scale: Metres per unit of the mesh file, 0.001 for one in mm.
        held: Group of sides or nodes of the mesh that is held.
        loaded: Group of sides that is pulled.
        young: Young's modulus of the default law [Pa].
        poisson: Poisson's ratio of the default law.
        traction: Force per area at rest [Pa].
    """
    bar: Shape = Box((LENGTH, WIDTH, WIDTH), (LENGTH / 2, WIDTH / 2, WIDTH / 2))
    if mesh is not None:
        bar = VolumeMesh.load(mesh, scale=scale)
    body = Body(bar, law or NeoHookean(young=young, poisson=poisson), 1e3, name="bar")
    boundaries = [Fixed(held), Traction(loaded, traction)]
    return Scene([body], boundaries, gravity=(0.0, 0.0, 0.0), name="cantilever")


def solver(*, n: int = 6, load_steps: int = 5) -> FESolver:
    """Elements across the bar, and equal load steps.

    Args:
        n: Elements across the bar.
        load_steps: Equilibria on the way to the full load.

    Raises:
        ValueError: There is not one element.
    """
    if n < 1:
        raise ValueError(f"got n = {n} elements across the bar, expected 1 or more")
    return FESolver(size=WIDTH / n, integrator=Static(load_steps))


def results(trajectory: Trajectory) -> dict[str, Tensor]:
    """Displacements under the full load and the force that the support bears.

    Returns:
        end_face_mean [m] (3,), averaged over the face that was at the largest x; corner [m] (3,),
        of its node at the lowest y and z; reaction [N] (3,).
    """
    x = trajectory.x[0].detach()
    far = float(x[:, 0].max())
    y, z = (float(x[x[:, 0] > far - 1e-6 * LENGTH][:, i].min()) for i in (1, 2))
    corner = node_at(trajectory, (far, y, z))
    mean = side_mean(trajectory, lambda X: X[:, 0] > far - 1e-6 * far)[-1]
    reaction = trajectory.fields["reaction"][-1].sum(0)
    return {
        "end_face_mean": mean,
        "corner": trajectory.x[-1, corner] - trajectory.x[0, corner],
        "reaction": reaction,
    }


def check(
    trajectory: Trajectory,
    *,
    young: float = 1e4,
    poisson: float = 0.3,
    traction: tuple[float, float, float] = (0.0, 0.0, -100.0),
) -> None:
    """The support bears the load, and the bar bends no further down than linear theory says.

    Raises:
        AssertionError: It does not.
    """
    found = results(trajectory)
    load = WIDTH**2 * torch.tensor(traction).to(found["reaction"])
    if not bool(load.any()):
        return
    off = float((found["reaction"] + load).norm() / load.norm())
    assert off < 1e-5, f"the support bears a load that is {100 * off:.2g} % off"
    down = -float(load[2])
    if down <= 0.0:
        return
    shear = 5 / 6 * young / (2 * (1 + poisson))
    linear = down * LENGTH**3 / (3 * young / 12) + down * LENGTH / shear
    drop = -float(found["end_face_mean"][2])
    assert 0.7 * linear < drop < linear, f"its end sank {drop:.3f} m, by linear theory {linear:.3f}"
