# SPDX-License-Identifier: Apache-2.0
"""A body of jelly, plasticine, sand, snow or water dropped on a floor with friction."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

from rheograd.engine.boundaries import FACES, Floor, Vector, Wall
from rheograd.engine.fem.integrators import CentralDifferences
from rheograd.engine.fem.solver import FESolver
from rheograd.engine.mpm import MPMSolver
from rheograd.engine.reduced.variation import Choice, LogUniform, Table, Uniform
from rheograd.engine.scene import Body, Domain, Scene
from rheograd.engine.shapes import Box, Capsule, Cylinder, Ellipsoid, MeshShape, Shape, Sphere
from rheograd.engine.trajectory import Trajectory
from rheograd.materials.composition import ElastoPlastic
from rheograd.materials.elastic import Corotated, Hencky, NeoHookean, Volumetric
from rheograd.materials.flows import Snow
from rheograd.materials.law import ConstitutiveLaw
from rheograd.materials.plastic import DruckerPrager, FluidReset, VonMises

CELL = 1 / 32
DURATION = 0.6

Form = Literal["box", "sphere", "cylinder", "capsule", "ellipsoid"]
Material = Literal["jelly", "plasticine", "sand", "snow", "water"]


class Ordinary(NamedTuple):
    """What a material has unless told otherwise."""

    young: float
    """[Pa]; of water not asked for."""
    density: float
    """[kg/m³]"""


ORDINARY: dict[str, Ordinary] = {
    "jelly": Ordinary(5e4, 1e3),
    "plasticine": Ordinary(2e5, 1.5e3),
    "sand": Ordinary(2e5, 1.6e3),
    "snow": Ordinary(1.4e5, 400.0),
    "water": Ordinary(0.0, 1e3),
}


def build(
    law: ConstitutiveLaw | None = None,
    *,
    material: Material = "jelly",
    shape: Form = "box",
    mesh: str | None = None,
    scale: float = 1.0,
    size: float = 0.25,
    height: float = 0.2,
    turn: Vector = (0.0, 0.0, 0.35),
    velocity: Vector = (0.8, 0.0, 0.0),
    spin: Vector = (0.0, 0.0, 0.0),
    young: float | None = None,
    poisson: float = 0.3,
    yield_stress: float = 6e3,
    friction_angle: float = 35.0,
    bulk: float = 1e5,
    density: float | None = None,
    friction: float = 0.4,
    room: float = 1.0,
) -> Scene:
    """The scene.

    Args:
        law: What the body is made of; that of the material if None.
        material: jelly (neo-Hookean), plasticine (Hencky, von Mises), sand (Hencky,
            Drucker-Prager), snow (corotated, Stomakhin et al. 2013) or water.
        shape: box, sphere, cylinder, capsule or ellipsoid.
        mesh: A closed surface (obj, stl, ply, glb) in place of the shape.
        scale: Metres per unit of the mesh file, 0.001 for one in mm.
        size: Edge or diameter of the shape [m]; a mesh keeps its own.
        height: Of the body's lowest point over the floor [m].
        turn: Rotation vector of the body [rad].
        velocity: Initial velocity [m/s].
        spin: Initial angular velocity [rad/s].
        young: Young's modulus [Pa]: 5e4 of jelly, 2e5 of plasticine and sand, 1.4e5 of snow.
        poisson: Poisson's ratio of all but water.
        yield_stress: Of plasticine [Pa].
        friction_angle: Of sand, in triaxial compression [deg].
        bulk: Bulk modulus of water [Pa], far softer than in nature.
        density: Rest density [kg/m³]: 1000, 1500 of plasticine, 1600 of sand, 400 of snow.
        friction: Coulomb coefficient of the floor.
        room: Edge of the cube whose walls enclose all [m]; the body is over its middle.
    """
    solid = MeshShape(mesh, scale, (0.0, 0.0, 0.0), turn) if mesh else form(shape, size, turn)
    lowest = float(solid.bounds[0, 1])
    centre = (room / 2, height - lowest, room / 2)
    placed = MeshShape(mesh, scale, centre, turn) if mesh else form(shape, size, turn, centre)
    ordinary = ORDINARY[material]
    young = ordinary.young if young is None else young
    density = ordinary.density if density is None else density
    law = law or made_of(material, young, poisson, yield_stress, friction_angle, bulk)
    body = Body(placed, law, density, velocity, spin, name=shape if mesh is None else "mesh")
    walls = [Wall(face) for face in FACES if face != "y-"]
    domain = Domain((0.0, 0.0, 0.0), (room, room, room))
    return Scene(
        [body], [Floor(friction=friction), *walls], duration=DURATION, domain=domain, name="drop"
    )


def made_of(
    material: Material,
    young: float,
    poisson: float,
    yield_stress: float,
    friction_angle: float,
    bulk: float,
) -> ConstitutiveLaw:
    """The law of a material, of those numbers of build() that are its own."""
    if material == "plasticine":
        return ElastoPlastic(Hencky(young, poisson), VonMises(yield_stress))
    if material == "sand":
        return ElastoPlastic(Hencky(young, poisson), DruckerPrager(friction_angle))
    if material == "snow":
        return ElastoPlastic(Corotated(young, poisson), Snow())
    if material == "water":
        ratio = 0.3  # only the pressure λ J (J − 1) matters, and λ is the bulk modulus
        modulus = bulk * (1 + ratio) * (1 - 2 * ratio) / ratio
        return ElastoPlastic(Volumetric(modulus, ratio), FluidReset())
    return NeoHookean(young, poisson)


MATERIALS: Table = {
    "jelly": {"young": LogUniform(2e4, 1e5), "poisson": Uniform(0.2, 0.4)},
    "plasticine": {"young": LogUniform(1e5, 4e5), "yield_stress": LogUniform(3e3, 1.2e4)},
    "sand": {"friction_angle": Uniform(25.0, 45.0)},
    "snow": {"young": LogUniform(7e4, 2.8e5), "poisson": Uniform(0.1, 0.3)},
    "water": {"bulk": LogUniform(5e4, 2e5)},
}


def vary(*, material: Material = "jelly", mesh: str | None = None, room: float = 1.0) -> Table:
    """Ranges for `rheograd dataset`: sizes and heights grow with the room, speeds with its root.

    Grains and water come in larger bodies that turn less, for they fill a part of the room.
    """
    speed = math.sqrt(room)
    large = material in ("sand", "water")
    shapes = Choice(("box", "cylinder", "capsule"), unseen=("sphere", "ellipsoid"))
    size = Uniform(0.3 * room, 0.4 * room) if large else Uniform(0.24 * room, 0.36 * room)
    spin = (3.0 if large else 6.0) / speed
    return {
        "velocity": {
            "velocity": Uniform(
                (-1.5 * speed, -1.0 * speed, -1.5 * speed), (1.5 * speed, 1.0 * speed, 1.5 * speed)
            ),
            "spin": Uniform((-spin, -spin, -spin), (spin, spin, spin)),
            "height": Uniform(0.04 * room, 0.25 * room),
            "turn": Uniform((-1.5, -1.5, -1.5), (1.5, 1.5, 1.5)),
        },
        "shape": {} if mesh else {"shape": shapes, "size": size},
        "material": MATERIALS[material],
    }


def form(kind: str, size: float, turn: Vector, centre: Vector = (0.0, 0.0, 0.0)) -> Shape:
    """A primitive that fits into a cube of the size."""
    if kind == "sphere":
        return Sphere(size / 2, centre, turn)
    if kind == "cylinder":
        return Cylinder(size / 2, size, centre, turn)
    if kind == "capsule":
        return Capsule(size / 4, size / 2, centre, turn)
    if kind == "ellipsoid":
        return Ellipsoid((size / 2, 0.3 * size, 0.4 * size), centre, turn)
    return Box((size, size, size), centre, turn)


def solver() -> MPMSolver:
    """Coarse enough to run in seconds."""
    return MPMSolver(CELL)


def fe_solver() -> FESolver:
    """Explicit steps, for laws of every kind."""
    return FESolver(size=1 / 20, integrator=CentralDifferences(), contact=100.0)


def check(trajectory: Trajectory, *, material: Material = "jelly", room: float = 1.0) -> None:
    """It falls freely, meets the floor, and does not come back higher than it was.

    Sand and water do not keep their form: their centre sinks below 0.6 of its height in the
    body. What water has of speed along the floor may carry it up a wall.

    Raises:
        AssertionError: It does not.
    """
    x, time = trajectory.x.double(), trajectory.time
    beyond = max(-float(x.min()), float(x.max()) - room)
    flows = material in ("sand", "water")
    sunk = 0.0 if material == "jelly" and trajectory.cells is None else 0.1 * CELL
    sunk *= 2 if flows else 1  # contact of meshes is a penalty; a thin layer hardly has a grid
    assert beyond < sunk or beyond < 0.0, f"it left the box, by {beyond:.2g} m"
    centre = x[..., 1].mean(1)
    falling = (time <= 0.1) & (x[..., 1].amin(1) > 2 * CELL)
    v0 = 0.0 if trajectory.v is None else float(trajectory.v[0, :, 1].mean())
    free = centre[0] + v0 * time[falling] - 0.5 * 9.81 * time[falling] ** 2
    off = float((centre[falling] - free).abs().max()) if len(free) else 0.0
    assert off < 2e-3, f"in free fall its centre is {off:.2g} m from the parabola"
    reached = float(x[..., 1].amin())
    if float(time[-1]) > 0.4:
        assert reached < CELL, f"it never came closer to the floor than {reached:.3g} m"
    top = float(centre[time > 0].max())
    square = max(v0, 0.0) ** 2
    if material == "water" and trajectory.v is not None:
        square = float(trajectory.v[0].double().square().sum(-1).mean())
    limit = float(centre[0]) + square / (2 * 9.81)
    assert top < limit + 1e-4, f"its centre rose to {top:.4g} m from {limit:.4g} m: energy was made"
    touched = time[x[..., 1].amin(1) < CELL]
    if flows and len(touched) and float(time[-1] - touched[0]) > 0.3:
        whole, least = float(centre[0] - x[0, :, 1].amin()), float(centre.min())
        assert least < 0.6 * whole, f"it does not flow: its centre stays over {least:.3g} m"
