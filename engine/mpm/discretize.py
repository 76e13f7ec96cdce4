# SPDX-License-Identifier: Apache-2.0
"""From scenes to the arrays of an MPM model, with the checks that users need before a run."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
import warp as wp
from torch import Tensor

from rheograd.kernels.dtypes import types
from rheograd.kernels.mpm.contacts import contacts
from rheograd.kernels.mpm.grid import grid
from rheograd.materials.arrays import as_warp, current_stream

from ..boundaries import FACES, Collider, Wall
from ..constant_fields import columns, wave_modulus
from ..law_groups import group_laws
from ..scene import Body, Scene, typed, vector
from .colliders import MODES, collider_table
from .model import FOREVER, Colliders, Grid, MPMModel, Walls

if TYPE_CHECKING:
    from .solver import MPMSolver

CFL_LIMIT = 1.0
"""Largest c dt / cell at which a run is started, less where damping shortens the step."""
DAMPED_SHARE = 0.8
"""Share of the limit by damping that an automatic step takes."""


def discretize(solver: MPMSolver, scenes: Sequence[Scene]) -> MPMModel:
    """See `Solver.discretize`."""
    _check_boundaries(scenes)
    _check_laws(scenes)
    like = torch.zeros((), dtype=solver.dtype, device=solver.device)
    frame = _grid(solver, scenes)
    pieces: list[_Piece] = []
    for world, scene in enumerate(scenes):
        pieces += _pieces(world, scene, solver)
    dt = _step(solver, scenes, pieces)
    steps = math.ceil(max(s.duration for s in scenes) / dt)
    counts = [len(piece.x) for piece in pieces]
    each = torch.tensor(counts)
    places = torch.tensor([[p.world, p.number] for p in pieces], dtype=torch.int32)
    world, body = places.repeat_interleave(each, 0).to(like.device).T.contiguous()
    density = [typed(p.body.density, like).expand(len(p.x)) for p in pieces]
    life = [_life(p.body, dt, len(p.x)) for p in pieces]
    laws, fields = [p.body.law for p in pieces], [p.fields for p in pieces]
    first = scenes[0]
    model = MPMModel(
        dt=dt,
        grid=frame,
        x0=torch.cat([p.x for p in pieces]).contiguous(),
        v0=torch.cat([initial_velocity(p.body, p.x) for p in pieces]),
        density=torch.cat(density),
        volume=torch.cat([p.volume for p in pieces]),
        gravity=torch.stack([vector(s.gravity, like) for s in scenes]),
        mass_offset=solver.mass_offset,
        world=world,
        body=body,
        life=torch.cat(life).to(like.device),
        walls=_walls(scenes, like),
        colliders=collider_table(scenes, steps, dt, like),
        groups=group_laws(laws, counts, like, fields),
        body_names=tuple(b.name for b in first.bodies),
        body_laws=tuple(b.law.name for b in first.bodies),
    )
    _check_penetration(model)
    return model


class _Piece(NamedTuple):
    """The particles of a body."""

    body: Body
    number: int
    """Of the body within its world."""
    world: int
    x: Tensor
    """[m], shape (n, 3)."""
    volume: Tensor
    """[m³], shape (n,)."""
    fields: Tensor | None
    """Constant fields of its law, shape (n, w)."""


def _pieces(world: int, scene: Scene, solver: MPMSolver) -> list[_Piece]:
    like = torch.zeros((), dtype=solver.dtype, device=solver.device)
    spacing = solver.cell / solver.particles_per_cell ** (1 / 3)
    found = []
    for number, body in enumerate(scene.bodies):
        x, volume = (a.to(like) for a in body.shape.sample(spacing))
        if not isinstance(body.stiffness, float) or body.stiffness != 1.0:
            raise ValueError(
                f"{body.name} has a factor on its stress, which only finite elements know: put "
                "it into the law's moduli, or take FESolver"
            )
        _check_particles(body, x, volume, scene, solver)
        found.append(_Piece(body, number, world, x, volume, columns(body, x)))
    return found


def _check_laws(scenes: Sequence[Scene]) -> None:
    for body in (b for scene in scenes for b in scene.bodies):
        if body.law.kinematics == "small" or body.law.dim == 2:
            what = "small strains" if body.law.kinematics == "small" else "bodies in plane strain"
            raise ValueError(
                f"{body.name} has the law {body.law.name!r}, which is for {what}, expected one of "
                "finite strain in space for MPMSolver: take FESolver, or another law"
            )


def _check_boundaries(scenes: Sequence[Scene]) -> None:
    for boundary in (b for scene in scenes for b in scene.boundaries):
        if not isinstance(boundary, Collider | Wall):
            raise ValueError(
                f"got the boundary {type(boundary).__name__}, which acts on the nodes of a mesh, "
                "expected Wall, Floor, Collider or Grip for MPMSolver: take FESolver, or hold and "
                "push particles by a Grip or a Collider"
            )


def _grid(solver: MPMSolver, scenes: Sequence[Scene]) -> Grid:
    domain = scenes[0].domain
    if any(s.domain != domain for s in scenes):
        raise ValueError("worlds of one model share their domain; got scenes with different ones")
    nodes = []
    for low, high in zip(domain.lower, domain.upper, strict=True):
        cells = round((high - low) / solver.cell)
        if abs(cells * solver.cell - (high - low)) > 1e-3 * solver.cell or cells < 1:
            raise ValueError(
                f"the domain's edge of {high - low:g} m is not a whole number of cells of"
                f" {solver.cell:g} m: choose a cell of {(high - low) / max(1, cells):g} m"
            )
        nodes.append(cells + 2 * solver.margin + 2)
    x, y, z = (low - solver.margin * solver.cell for low in domain.lower)
    return Grid((x, y, z), solver.cell, (nodes[0], nodes[1], nodes[2]), solver.margin)


def _step(solver: MPMSolver, scenes: Sequence[Scene], pieces: Sequence[_Piece]) -> float:
    """The step asked for, or the automatic one; refuses one beyond the limit of stability.

    An oscillator of frequency ω and damping ratio ζ allows explicit steps of
    2/ω (sqrt(1 + ζ²) − ζ); the fastest of the grid has 2/ω = cell / c.
    """
    limits = [step_limits(p.body, solver.cell, p.fields) for p in pieces]
    bodies = [p.body for p in pieces]
    shortest, culprit = min(zip(limits, bodies, strict=True), key=lambda pair: pair[0][1])
    acoustic, limit = shortest
    if solver.dt is None:
        free = solver.cfl * min(found for found, _ in limits)
        return min(free, DAMPED_SHARE * limit, *(s.duration for s in scenes))
    if solver.dt > limit:
        name = f"{culprit.name} ({culprit.law.name})"
        reason = f"sound in {name} travels {solver.cell / acoustic:.3g} m/s, more than"
        if limit < 0.9 * acoustic:
            reason = f"the damping of {name} carries momentum over more than"
        raise ValueError(
            f"the step dt = {solver.dt:g} s is over the CFL limit of {limit:.3g} s: {reason} one"
            f" cell of {solver.cell:g} m a step; take dt <= {0.5 * limit:.2g} or a larger cell"
        )
    return solver.dt


def step_limits(body: Body, cell: float, fields: Tensor | None = None) -> tuple[float, float]:
    """Longest explicit step without damping and with it [s], with these fields of its law."""
    density = float(torch.as_tensor(body.density).detach())
    modulus = max(wave_modulus(body, fields), 1e-12)
    acoustic = CFL_LIMIT * cell * math.sqrt(density / modulus)
    ratio = body.law.viscosity() / modulus / acoustic
    return acoustic, acoustic / (math.sqrt(1.0 + ratio * ratio) + ratio)


def initial_velocity(body: Body, x: Tensor) -> Tensor:
    """Of points x of a body: its centre's, and the spin about the middle of the points [m/s]."""
    arm = x - x.mean(0)
    spin = vector(body.spin, x).expand_as(arm)
    return vector(body.velocity, x) + torch.linalg.cross(spin, arm)


def _life(body: Body, dt: float, n: int) -> Tensor:
    start, stop = body.life
    if not stop > start:
        raise ValueError(f"the life of {body.name} ends at {stop} s, before it starts at {start} s")
    steps = [round(start / dt), FOREVER if math.isinf(stop) else round(stop / dt)]
    return torch.tensor(steps, dtype=torch.int32).expand(n, 2).contiguous()


def _walls(scenes: Sequence[Scene], like: Tensor) -> Walls:
    modes = torch.full((len(scenes), 6), MODES["contact"], dtype=torch.int32)
    rows = []
    for world, scene in enumerate(scenes):
        friction = [like.new_zeros(()) for _ in FACES]
        for wall in (b for b in scene.boundaries if isinstance(b, Wall)):
            face = FACES.index(wall.face)
            modes[world, face] = MODES[wall.mode]
            friction[face] = typed(wall.friction, like)
        rows.append(torch.stack(friction))
    return Walls(modes.to(like.device), torch.stack(rows))


def _check_particles(
    body: Body, x: Tensor, volume: Tensor, scene: Scene, solver: MPMSolver
) -> None:
    lower = x.new_tensor(scene.domain.lower)
    upper = x.new_tensor(scene.domain.upper)
    slack = 1e-4 * solver.cell
    outside = ((x < lower - slack) | (x > upper + slack)).any(1)
    if bool(outside.any()):
        where = x[outside.nonzero()[0, 0]].tolist()
        raise ValueError(
            f"{int(outside.sum())} of {len(x)} particles of {body.name} are outside the domain"
            f" {scene.domain.lower} to {scene.domain.upper}, one at"
            f" ({where[0]:.3g}, {where[1]:.3g}, {where[2]:.3g}): move the body or enlarge the"
            " domain"
        )
    cells = torch.floor((x - lower) / solver.cell).long()
    _, count = torch.unique(cells, dim=0, return_counts=True)
    filled = float(volume.detach().sum()) / solver.cell**3
    densest = int(count.max())
    if len(x) / filled < 4:
        warnings.warn(
            f"{body.name} has {len(x) / filled:.1f} particles a cell (densest {densest}); below 4"
            " a solid may crack numerically: take more particles_per_cell",
            stacklevel=5,
        )
    if densest > 64:
        warnings.warn(
            f"{body.name} has up to {densest} particles in one cell: slower without being more"
            " accurate; take fewer particles_per_cell or a smaller cell",
            stacklevel=5,
        )


def _check_penetration(model: MPMModel) -> None:
    colliders: Colliders = model.colliders
    if colliders.shape.shape[1] == 0:
        return
    t = types(wp.float64 if model.x0.dtype == torch.float64 else wp.float32)
    table = contacts(t.scalar).Colliders()
    solid = torch.where(colliders.mode == MODES["sticky"], 0, colliders.shape).contiguous()
    views = {
        "shape": (solid, wp.int32), "mode": (colliders.mode, wp.int32),
        "mesh": (colliders.mesh, wp.uint64), "size": (colliders.size, t.vec3),
        "friction": (colliders.friction.detach(), t.scalar),
        "position": (colliders.position.detach(), t.vec3),
        "rotation": (colliders.rotation.detach(), t.quat),
        "velocity": (colliders.velocity.detach(), t.vec3),
        "spin": (colliders.spin.detach(), t.vec3),
    }  # fmt: skip
    for name, (value, dtype) in views.items():
        setattr(table, name, as_warp(value, dtype))
    hit = torch.full((model.n,), -1, dtype=torch.int32, device=model.x0.device)
    x = model.x0.detach().contiguous()
    inputs = [as_warp(x, t.vec3), as_warp(model.world, wp.int32), table, as_warp(hit, wp.int32)]
    wp.launch(grid(t.scalar).penetration, model.n, inputs=inputs, device=inputs[0].device,
              stream=current_stream(hit.device))  # fmt: skip
    inside = hit >= 0
    if bool(inside.any()):
        p = int(inside.nonzero()[0, 0])
        raise ValueError(
            f"{int(inside.sum())} particles start inside a collider, among them"
            f" {model.describe(p)} in collider {int(hit[p])}: move the body or the collider apart"
        )
