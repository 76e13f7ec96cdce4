# SPDX-License-Identifier: Apache-2.0
"""A soft body dropped on a floor with friction."""

from __future__ import annotations

from typing import Literal

from rheograd.engine.boundaries import FACES, Floor, Vector, Wall
from rheograd.engine.fem.integrators import CentralDifferences
from rheograd.engine.fem.solver import FESolver
from rheograd.engine.mpm import MPMSolver
from rheograd.engine.scene import Body, Scene
from rheograd.engine.shapes import Box, Capsule, Cylinder, MeshShape, Shape, Sphere
from rheograd.engine.trajectory import Trajectory
from rheograd.materials.elastic import NeoHookean
from rheograd.materials.law import ConstitutiveLaw

CELL = 1 / 32
DURATION = 0.6

Form = Literal["box", "sphere", "cylinder", "capsule"]


def build(
    law: ConstitutiveLaw | None = None,
    *,
    shape: Form = "box",
    mesh: str | None = None,
    scale: float = 1.0,
    size: float = 0.25,
    height: float = 0.2,
    turn: Vector = (0.0, 0.0, 0.35),
    velocity: Vector = (0.8, 0.0, 0.0),
    spin: Vector = (0.0, 0.0, 0.0),
    young: float = 5e4,
    poisson: float = 0.3,
    density: float = 1e3,
    friction: float = 0.4,
) -> Scene:
    """The scene.

    Args:
        law: What the body is made of; neo-Hookean if None.
        shape: box, sphere, cylinder or capsule.
        mesh: A closed surface (obj, stl, ply, glb) in place of the shape.
        scale: Metres per unit of the mesh file, 0.001 for one in mm.
        size: Edge or diameter of the shape [m]; a mesh keeps its own.
        height: Of the body's lowest point over the floor [m].
        turn: Rotation vector of the body [rad].
        velocity: Initial velocity [m/s].
        spin: Initial angular velocity [rad/s].
        young: Young's modulus of the default law [Pa].
        poisson: Poisson's ratio of the default law.
        density: Rest density [kg/m³].
        friction: Coulomb coefficient of the floor.
    """
    solid = MeshShape(mesh, scale, (0.0, 0.0, 0.0), turn) if mesh else form(shape, size, turn)
    lowest = float(solid.bounds[0, 1])
    centre = (0.5, height - lowest, 0.5)
    placed = MeshShape(mesh, scale, centre, turn) if mesh else form(shape, size, turn, centre)
    law = law or NeoHookean(young=young, poisson=poisson)
    body = Body(placed, law, density, velocity, spin, name=shape if mesh is None else "mesh")
    walls = [Wall(face) for face in FACES if face != "y-"]
    return Scene([body], [Floor(friction=friction), *walls], duration=DURATION, name="drop")


def form(kind: str, size: float, turn: Vector, centre: Vector = (0.0, 0.0, 0.0)) -> Shape:
    """A primitive that fits into a cube of the size."""
    if kind == "sphere":
        return Sphere(size / 2, centre, turn)
    if kind == "cylinder":
        return Cylinder(size / 2, size, centre, turn)
    if kind == "capsule":
        return Capsule(size / 4, size / 2, centre, turn)
    return Box((size, size, size), centre, turn)


def solver() -> MPMSolver:
    """Coarse enough to run in seconds."""
    return MPMSolver(CELL)


def fe_solver() -> FESolver:
    """Explicit steps, for laws of every kind."""
    return FESolver(size=1 / 20, integrator=CentralDifferences(), contact=100.0)


def check(trajectory: Trajectory) -> None:
    """It falls freely, meets the floor, and does not come back higher than it was.

    Raises:
        AssertionError: It does not.
    """
    x, time = trajectory.x.double(), trajectory.time
    beyond = max(-float(x.min()), float(x.max()) - 1.0)
    sunk = 0.0 if trajectory.cells is None else 0.1 * CELL  # contact of meshes is a penalty
    assert beyond < sunk or beyond < 0.0, f"it left the box, by {beyond:.2g} m"
    centre = x[..., 1].mean(1)
    falling = (time <= 0.1) & (x[..., 1].amin(1) > 2 * CELL)
    v0 = 0.0 if trajectory.v is None else float(trajectory.v[0, :, 1].mean())
    free = centre[0] + v0 * time[falling] - 0.5 * 9.81 * time[falling] ** 2
    off = float((centre[falling] - free).abs().max())
    assert off < 2e-3, f"in free fall its centre is {off:.2g} m from the parabola"
    reached = float(x[..., 1].amin())
    if float(time[-1]) > 0.4:
        assert reached < CELL, f"it never came closer to the floor than {reached:.3g} m"
    top = float(centre[time > 0].max())
    limit = float(centre[0]) + max(v0, 0.0) ** 2 / (2 * 9.81)
    assert top < limit + 1e-4, f"its centre rose to {top:.4g} m from {limit:.4g} m: energy was made"
