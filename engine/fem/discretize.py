# SPDX-License-Identifier: Apache-2.0
"""From scenes to the arrays of a mesh, with the checks that users need before a run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..boundaries import Boundary, Collider, Wall
from ..constant_fields import columns, wave_modulus
from ..law_groups import group_laws
from ..loads import (
    COMPONENTS,
    BodyForce,
    Displacement,
    Load,
    PointForce,
    PointMass,
    Pressure,
    Region,
    Spring,
    Traction,
)
from ..mesh.elements import Element, element
from ..mesh.meshing import mesh_shape
from ..mesh.volume_mesh import VolumeMesh
from ..scene import Body, Scene, typed, vector
from ..suggestion import did_you_mean
from .contact import ContactSettings, contact, contact_rates, contains
from .forces import (
    DeadBodyForce,
    DeadTraction,
    FollowerPressure,
    Force,
    NodalForce,
    NodalSpring,
    merged,
)
from .geometry import facets, mass_matrices, nodal_masses, rule
from .integrators import CentralDifferences, Static
from .model import FEModel, Gripped, Prescribed
from .poses import Course, rotation_matrices
from .rigid import refuse_rigid_motion
from .stable_step import stable_step
from .weld import weld

if TYPE_CHECKING:
    from .solver import FESolver

STICKS_BELOW = 1e-3
"""Speed over a rough surface below which friction fades, in dynamics [m/s]."""

ACROSS = 8
"""Elements across the thinnest side of a shape's bounding box, where no size is given."""


@dataclass(frozen=True)
class Piece:
    """A body's mesh and where its nodes are in the model."""

    body: Body
    mesh: VolumeMesh
    numbers: Tensor
    """Number of each of its nodes in the model, shape (n,), int64."""
    world: int

    def fields(self, like: Tensor) -> Tensor | None:
        """Constant fields of its law at quadrature points, shape (p, w), typed as `like`."""
        N = rule(element(self.mesh.element), "stiffness", like).N
        cells = self.mesh.nodes.to(like)[self.mesh.cells.to(like.device)]
        points = torch.einsum("qa,eai->eqi", N, cells)
        return columns(self.body, points.flatten(0, 1), share=len(N))

    @cached_property
    def modulus(self) -> float:
        """Stiffest longitudinal modulus of its law at rest, with its fields [Pa]."""
        known = self.fields(self.mesh.nodes) if self.body.law.fields else None
        return wave_modulus(self.body, known)

    def nodes(self, on: Region) -> Tensor:
        """Nodes of a part, shape (k,), int64; numbered as in the model."""
        if isinstance(on, str):
            return self.numbers[self.mesh.nodes_of(on)]
        return self.numbers[self._inside(on)]

    def sides(self, on: Region) -> Tensor:
        """Sides of elements of a part, shape (f, b), int64; numbered as in the model."""
        if isinstance(on, str):
            return self.numbers[self.mesh.facets_of(on)]
        boundary = self.mesh.boundary()
        return self.numbers[boundary[self._inside(on)[boundary].all(1)]]

    def _inside(self, on: Any) -> Tensor:
        x = self.mesh.nodes.detach()
        if callable(on) and not hasattr(on, "contains"):
            return torch.as_tensor(on(x)).bool().cpu()
        return on.contains(x)

    def cells(self, on: Region | None) -> Tensor:
        """Elements of a part, shape (k,), int64; numbered as in its mesh."""
        if on is None:
            return torch.arange(len(self.mesh.cells))
        if isinstance(on, str) and on in self.mesh.regions:
            return self.mesh.cells_of(on)
        within = torch.zeros(len(self.mesh.nodes), dtype=torch.bool)
        within[self.mesh.nodes_of(on) if isinstance(on, str) else self._inside(on)] = True
        return within[self.mesh.cells].all(1).nonzero()[:, 0]

    def has(self, on: Region | None) -> bool:
        """Whether it has a group of that name; parts of space it may always have."""
        groups = (self.mesh.facets, self.mesh.points, self.mesh.regions)
        return not isinstance(on, str) or any(on in names for names in groups)


def discretize(solver: FESolver, scenes: Sequence[Scene]) -> FEModel:
    """See `Solver.discretize`."""
    like = torch.zeros((), dtype=solver.dtype, device=solver.device)
    pieces, kept = _pieces(solver, scenes)
    kept = kept.to(like.device)
    kind = _kind(solver, pieces)
    _check_laws(solver, pieces, kind)
    sizes = [len(p.mesh.nodes) for p in pieces]
    x0 = torch.cat([p.mesh.nodes for p in pieces]).to(like)[kept]
    nodes = torch.cat([p.numbers[p.mesh.cells] for p in pieces]).to(like.device)
    world = _spread([p.world for p in pieces], sizes, like)[kept]
    numbers = [number for scene in scenes for number in range(len(scene.bodies))]
    points = len(kind.stiffness.weights)
    elements = [len(p.mesh.cells) for p in pieces]
    density = _per_element([p.body.density for p in pieces], elements, like)
    fields = [p.fields(like) for p in pieces]
    laws = [p.body.law for p in pieces]
    groups = group_laws(laws, [e * points for e in elements], like, fields)
    dt = _step(solver, scenes, kind, x0, nodes, density, pieces, elements)
    prescribed, forces, added = _boundaries(
        solver, scenes, pieces, kind, dt, like, len(x0),
        _nodal_masses(kind, x0, nodes, density) if solver.integrator.explicit else None,
    )  # fmt: skip
    fixed = torch.zeros(len(x0), 3, dtype=torch.bool, device=like.device)
    if kind.dim == 2:
        fixed[:, 2] = True
    for piece in prescribed:
        fixed[piece.nodes] |= piece.axes
    static = isinstance(solver.integrator, Static)
    model = FEModel(
        dt=dt,
        kind=kind,
        x0=x0,
        v0=torch.cat([_velocity(p) for p in pieces]).to(like)[kept],
        nodes=nodes,
        density=density,
        stiffness=_per_element([p.body.stiffness for p in pieces], elements, like),
        gravity=torch.stack([vector(s.gravity, like) for s in scenes]),
        added_mass=added,
        world=world,
        body=_spread(numbers, sizes, like).int()[kept],
        groups=groups,
        fixed=fixed,
        prescribed=prescribed,
        forces=forces,
        mean_dilatation=solver.mean_dilatation,
        ramp=max(s.duration for s in scenes) if static else 0.0,
        body_names=tuple(b.name for b in scenes[0].bodies),
        scenes=_meshed(scenes, pieces),
    )
    if static:
        refuse_rigid_motion(model)
    return model


def _pieces(solver: FESolver, scenes: Sequence[Scene]) -> tuple[list[Piece], Tensor]:
    """Bodies with their meshes, and which of all their nodes are those of the model."""
    found: list[tuple[Body, VolumeMesh, int]] = []
    made: dict[int, VolumeMesh] = {}
    for world, scene in enumerate(scenes):
        for body in scene.bodies:
            if body.life != (0.0, math.inf):
                raise ValueError(
                    f"{body.name} has a life from {body.life[0]:g} to {body.life[1]:g} s, which "
                    "only the particle solver knows: leave it out or take MPMSolver"
                )
            mesh = made.get(id(body.shape))
            if mesh is None:
                mesh = made[id(body.shape)] = _mesh(solver, body)
            found.append((body, mesh, world))
    numbers, kept = weld([m.nodes for _, m, _ in found], [world for _, _, world in found])
    pieces = [Piece(b, m, n, w) for (b, m, w), n in zip(found, numbers, strict=True)]
    return pieces, kept


def _meshed(scenes: Sequence[Scene], pieces: Sequence[Piece]) -> tuple[Scene, ...]:
    """The scenes with meshes for shapes."""
    own = iter(pieces)
    return tuple(
        replace(scene, bodies=[replace(body, shape=next(own).mesh) for body in scene.bodies])
        for scene in scenes
    )


def _mesh(solver: FESolver, body: Body) -> VolumeMesh:
    if isinstance(body.shape, VolumeMesh):
        wanted = solver.elements or body.shape.element
        return mesh_shape(body.shape, wanted, solver.size or math.inf)
    lower, upper = body.shape.bounds
    size = solver.size or float((upper - lower).min()) / ACROSS
    return mesh_shape(body.shape, solver.elements or "hex8", size)


def _kind(solver: FESolver, pieces: Sequence[Piece]) -> Element:
    kinds = {p.mesh.element: p.body.name for p in pieces}
    if len(kinds) > 1:
        found = ", ".join(f"{name} of {kind}" for kind, name in kinds.items())
        raise ValueError(f"got bodies of different elements ({found}), expected one kind for all")
    kind = element(next(iter(kinds)))
    if solver.mean_dilatation and kind.name not in ("hex8", "quad4"):
        raise ValueError(
            f"mean dilatation is for hex8 and quad4; got {kind.name}: second-order elements do not "
            "lock, tet4 and tri3 have one point each: leave it out"
        )
    return kind


def _check_laws(solver: FESolver, pieces: Sequence[Piece], kind: Element) -> None:
    laws = {id(p.body.law): (p.body.law, p.body.name) for p in pieces}.values()
    if len({law.kinematics for law, _ in laws}) > 1:
        raise ValueError(
            "got laws of small and of finite strain in one scene, expected one kind for all"
        )
    for law, name in laws:
        if law.dim not in (None, kind.dim):
            where = {2: "the plane (plane strain)", 3: "space"}
            raise ValueError(
                f"{name} has the law {law.name!r}, which is for bodies in {where[law.dim]}, and a "
                f"mesh of {kind.name} in {where[kind.dim]}, expected both alike: mesh the body "
                "accordingly, or take a cell of the other kind"
            )
        if not law.smooth_at_rest and not isinstance(solver.integrator, CentralDifferences):
            raise ValueError(
                f"{name} has the law {law.name!r}, which has no derivative at rest, so implicit "
                "steps cannot be taken: train 'invariant-smooth' instead, or take explicit steps: "
                "FESolver(integrator=CentralDifferences())"
            )


def _per_element(values: Sequence[float | Tensor], elements: Sequence[int], like: Tensor) -> Tensor:
    """One number or one for each element of each piece, shape (e,); differentiable."""
    found = []
    for value, count in zip(values, elements, strict=True):
        own = typed(value, like)
        if own.ndim > 1 or (own.ndim == 1 and len(own) not in (1, count)):
            raise ValueError(
                f"got a value of shape {tuple(own.shape)} for a body of {count} elements, expected "
                f"one number or shape ({count},)"
            )
        found.append(own.expand(count))
    return torch.cat(found)


def _spread(values: Sequence[int], counts: Sequence[int], like: Tensor) -> Tensor:
    return torch.repeat_interleave(torch.tensor(values), torch.tensor(counts)).to(like.device)


def _velocity(piece: Piece) -> Tensor:
    x = piece.mesh.nodes
    arm = x - piece.mesh.centroid.to(x)
    spin = vector(piece.body.spin, x).expand_as(arm)
    return vector(piece.body.velocity, x) + torch.linalg.cross(spin, arm)


def _step(
    solver: FESolver, scenes: Sequence[Scene], kind: Element, x0: Tensor, nodes: Tensor,
    density: Tensor, pieces: Sequence[Piece], elements: Sequence[int],
) -> float:  # fmt: skip
    """The step asked for, or the automatic one; refuses one that is not stable."""
    integrator = solver.integrator
    duration = max(s.duration for s in scenes)
    if isinstance(integrator, Static):
        return duration / integrator.steps
    if not isinstance(integrator, CentralDifferences):
        return integrator.dt  # type: ignore[attr-defined]
    modulus = torch.tensor([p.modulus for p in pieces])
    viscosity = torch.tensor([p.body.law.viscosity() for p in pieces])
    counts = torch.tensor(elements)
    stiffness = _per_element([p.body.stiffness for p in pieces], elements, x0).detach()
    masses = _nodal_masses(kind, x0, nodes, density)
    rates = contact_rates(solver.contact_factor, pieces, scenes, kind, masses)
    limit = stable_step(
        kind, x0.detach()[nodes], density.detach(),
        torch.repeat_interleave(modulus, counts).to(x0) * stiffness,
        torch.repeat_interleave(viscosity, counts).to(x0) * stiffness, rates[nodes].amax(1),
    )  # fmt: skip
    if integrator.dt is None:
        return min(integrator.share * limit, duration)
    if integrator.dt > limit:
        raise ValueError(
            f"the step dt = {integrator.dt:g} s is over the limit of {limit:.3g} s at which "
            "explicit steps are stable, by the smallest element and the stiffness of contact; take "
            "a smaller one, larger elements or an implicit integrator"
        )
    return integrator.dt


def _nodal_masses(kind: Element, x0: Tensor, nodes: Tensor, density: Tensor) -> Tensor:
    """Lumped, without point masses and gradient [kg], shape (n,)."""
    matrices = mass_matrices(kind, x0.detach()[nodes], density.detach())
    return nodal_masses(matrices, nodes, x0.new_zeros(len(x0)))


def _boundaries(
    solver: FESolver,
    scenes: Sequence[Scene],
    pieces: Sequence[Piece],
    kind: Element,
    dt: float,
    like: Tensor,
    n: int,
    masses: Tensor | None,
) -> tuple[list[Prescribed], list[Force], Tensor]:
    prescribed: list[Prescribed] = []
    forces: list[Force] = []
    added = like.new_zeros(n)
    for world, scene in enumerate(scenes):
        own = [p for p in pieces if p.world == world]
        steps = math.ceil(scene.duration / dt) + 2
        speed = 0.0 if isinstance(solver.integrator, Static) else STICKS_BELOW
        settings = ContactSettings(steps, dt, solver.contact_factor, speed, masses)
        for boundary in scene.boundaries:
            if isinstance(boundary, Collider) and boundary.mode == "sticky":
                prescribed += _grip(boundary, own, steps, dt, like)
            elif isinstance(boundary, PointMass):
                for piece in _chosen(boundary, own):
                    where = _nodes(boundary, piece).to(like.device)
                    mass = typed(boundary.mass, like)
                    added = added.index_add(0, where, (mass / len(where)).expand(len(where)))
            elif isinstance(boundary, Displacement):
                axes = torch.tensor([c in boundary.components for c in COMPONENTS])
                for piece in _chosen(boundary, own):
                    where = _nodes(boundary, piece).to(like.device)
                    prescribed.append(Prescribed(where, axes.to(like.device), boundary.value))
            elif isinstance(boundary, BodyForce):
                forces += [_body_force(boundary, p, kind, like) for p in _chosen(boundary, own)]
            elif isinstance(boundary, Load):
                forces += [_force(boundary, p, kind, like) for p in _chosen(boundary, own)]
            elif isinstance(boundary, Collider | Wall):
                touching = [contact(boundary, scene, p, kind, settings, like) for p in own]
                forces += [force for force in touching if force is not None]
            else:
                raise ValueError(
                    f"FESolver does not know the boundary {type(boundary).__name__}: expected "
                    "Displacement, Fixed, Traction, Pressure, BodyForce, PointForce, Spring, "
                    "PointMass, Grip, Collider or Wall"
                )
    return prescribed, merged(forces), added


def _chosen(load: Boundary, pieces: Sequence[Piece]) -> list[Piece]:
    """The bodies that a load is for."""
    on, body = load.on, load.body  # type: ignore[attr-defined]
    names = [p.body.name for p in pieces]
    if body is not None and body not in names:
        raise ValueError(
            f"{type(load).__name__} is for body {body!r}{did_you_mean(body, names)}, expected one "
            f"of {', '.join(names)}"
        )
    found = [p for p in pieces if (body is None or p.body.name == body) and p.has(on)]
    if not found:
        first = pieces[0] if body is None else pieces[names.index(body)]
        first.mesh.nodes_of(on)  # raises, naming the groups there are
    return found


def _nodes(load: Load, piece: Piece) -> Tensor:
    found = piece.nodes(load.on)
    if not len(found):
        raise ValueError(
            f"{type(load).__name__} is on a part of space in which {piece.body.name} has no node: "
            "move or enlarge it, or name a group of the mesh"
        )
    return found


def _force(load: Load, piece: Piece, kind: Element, like: Tensor) -> Force:
    if isinstance(load, Traction | Pressure):
        sides = piece.sides(load.on)
        if not len(sides):
            raise ValueError(
                f"{type(load).__name__} is on a part of space in which {piece.body.name} has no "
                "whole side of an element: move or enlarge it, or name a group of the mesh"
            )
        own = facets(kind, sides.to(like.device))
        if isinstance(load, Pressure):
            return FollowerPressure(own, load.value)
        return DeadTraction(own, torch.zeros_like(own.nodes[:, 0]), (load.value,))
    where = _nodes(load, piece).to(like.device)
    if isinstance(load, PointForce):
        return NodalForce(where, load.value)
    assert isinstance(load, Spring)
    return NodalSpring(where, load.stiffness)


def _body_force(load: BodyForce, piece: Piece, kind: Element, like: Tensor) -> Force:
    cells = piece.mesh.cells[piece.cells(load.on)]
    if not len(cells):
        raise ValueError(
            f"BodyForce is on a part of space in which {piece.body.name} has no whole element: "
            "move or enlarge it, or name a region of the mesh"
        )
    N = rule(kind, "mass", like).N
    points = torch.einsum("qa,eai->eqi", N, piece.mesh.nodes.to(like)[cells.to(like.device)])
    return DeadBodyForce(kind, piece.numbers[cells].to(like.device), points, load.field)


def _grip(
    grip: Collider, pieces: Sequence[Piece], steps: int, dt: float, like: Tensor
) -> list[Prescribed]:
    """Nodes that are in a grip at rest move with it; HalfSpaces grip what is behind them."""
    found: list[Prescribed] = []
    everything = torch.ones(3, dtype=torch.bool, device=like.device)
    center = getattr(grip.shape, "centroid", torch.zeros(3)).to(like)
    position, turn, _, _ = grip.motion.poses(center, steps, dt)
    course = Course(position, rotation_matrices(turn), dt)
    for piece in pieces:
        inside = contains(grip.shape, piece.mesh.nodes.detach())
        if bool(inside.any()):
            where = piece.numbers[inside].to(like.device)
            found.append(Gripped(where, everything, None, course))
    return found
