# SPDX-License-Identifier: Apache-2.0
"""The surfaces of bodies as they move: what a camera sees of a simulation."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from .carrying import Carried
from .cells import Cells
from .mesh.elements import element
from .mesh.sides import boundary
from .mesh.volume_mesh import SPLITS
from .scene import Scene
from .shapes import Surface
from .trajectory import Trajectory

FINEST = 20_000
"""Triangles into which a surface is cut at most."""


class Spot(NamedTuple):
    """Points on triangles of a surface."""

    triangle: Tensor
    """Shape (k,), int64."""
    weights: Tensor
    """Of its corners, shape (k, 3)."""


@dataclass(frozen=True, eq=False)
class MovingSurface:
    """Triangles whose corners are carried by particles, or are nodes of a mesh."""

    carried: Carried
    """The m vertices."""
    triangles: Tensor
    """Corners, counter-clockwise from outside, shape (k, 3), int64."""
    body: Tensor
    """Of each vertex, shape (m,), int64."""

    @property
    def rest(self) -> Tensor:
        """Vertices at rest [m], shape (m, 3), float64."""
        return self.carried.rest

    def vertices(self, x: Tensor) -> Tensor:
        """Where they are [m], shape (..., m, 3), given particles (..., n, 3); differentiable."""
        return self.carried.at(x)

    def spots(self, where: Spot) -> Carried:
        """Points on the surface, carried by the same particles."""
        corners = self.triangles[where.triangle]
        share = where.weights.to(self.carried.weights)[..., None]
        weights = (share * self.carried.weights[corners]).flatten(1)
        carriers = self.carried.carriers[corners].flatten(1)
        rest = (share * self.carried.rest[corners]).sum(1)
        return Carried(rest, carriers, weights, self.carried.n)

    @classmethod
    def of_particles(cls, surfaces: Sequence[Surface], rest: Tensor, body: Tensor) -> MovingSurface:
        """Surfaces of bodies of particles, cut finely enough to bend with them.

        Args:
            surfaces: Of the bodies at rest [m].
            rest: Particles at rest [m], shape (n, 3).
            body: Of each particle, shape (n,).
        """
        from trimesh.remesh import subdivide_to_size

        points, faces, owners, carriers, weights = [], [], [], [], []
        count = 0
        for number, surface in enumerate(surfaces):
            own = torch.nonzero(body.cpu() == number).flatten()
            size = _edge(surface, rest[own])
            cut: Any = subdivide_to_size(
                surface.vertices.numpy(), surface.triangles.numpy(), size, max_iter=20
            )
            vertices, triangles = (torch.from_numpy(np.asarray(part)) for part in cut[:2])
            carried = Carried.by(vertices, rest[own].cpu())
            points.append(carried.rest)
            faces.append(triangles.long() + count)
            owners.append(torch.full((len(vertices),), number))
            carriers.append(own[carried.carriers])
            weights.append(carried.weights)
            count += len(vertices)
        width = max(w.shape[1] for w in weights)
        padded = [torch.nn.functional.pad(a, (0, width - a.shape[1])) for a in carriers]
        shares = [torch.nn.functional.pad(a, (0, width - a.shape[1])) for a in weights]
        carried = Carried(torch.cat(points), torch.cat(padded), torch.cat(shares), len(rest))
        return cls(carried, torch.cat(faces), torch.cat(owners))

    @classmethod
    def of_cells(cls, cells: Cells, rest: Tensor, body: Tensor) -> MovingSurface:
        """The boundary of a mesh, its nodes for vertices.

        Args:
            cells: Of the mesh; the plane itself where they are flat.
            rest: Nodes at rest [m], shape (n, 3).
            body: Of each node, shape (n,).
        """
        kind, nodes = element(cells.kind), cells.nodes.cpu().numpy()
        sides = nodes if kind.dim == 2 else boundary(kind, nodes)
        name = cells.kind if kind.dim == 2 else kind.facet
        split = SPLITS[name] if name in SPLITS else [(0, 1, 2)]
        triangles = torch.from_numpy(np.concatenate([sides[:, list(part)] for part in split]))
        used, faces = torch.unique(triangles.long(), return_inverse=True)
        one = torch.ones(len(used), 1, dtype=torch.float64)
        carried = Carried(rest.detach().cpu().double()[used], used[:, None], one, len(rest))
        return cls(carried, faces.reshape(-1, 3), body.cpu()[used].long())

    @classmethod
    def of_scene(cls, scene: Scene, model: Any) -> MovingSurface:
        """The surfaces of a scene's bodies, carried by what a solver made of them.

        Args:
            scene: One.
            model: What `solver.discretize(scene)` gave.
        """
        cells = getattr(model, "cells", None)
        if cells is not None:
            return cls.of_cells(cells, model.x0, model.body)
        shapes = [body.shape.surface() for body in scene.bodies]
        return cls.of_particles(shapes, model.x0.detach().cpu().double(), model.body)

    @classmethod
    def of(cls, trajectory: Trajectory) -> MovingSurface:
        """What a trajectory says of the surfaces of its bodies; the first frame is at rest.

        Raises:
            ValueError: It says nothing of them.
        """
        rest = trajectory.x[0]
        if trajectory.cells is not None:
            return cls.of_cells(trajectory.cells, rest, trajectory.body)
        told = json.loads(trajectory.metadata.get("surfaces", "[]"))
        if not told or not all(told):
            raise ValueError(
                "the trajectory does not say what its bodies look like: it holds points without a"
                " surface; run the scene again with rheograd run"
            )
        surfaces = [
            Surface(
                torch.tensor(s["vertices"], dtype=torch.float64),
                torch.tensor(s["faces"], dtype=torch.int64),
            )
            for s in told
        ]
        return cls.of_particles(surfaces, rest, trajectory.body)


def _edge(surface: Surface, particles: Tensor) -> float:
    """Length of edges such that triangles are about as far apart as particles [m]."""
    corners = surface.vertices[surface.triangles]
    along = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = 0.5 * float(along.norm(dim=1).sum())
    low, high = surface.vertices.amin(0), surface.vertices.amax(0)
    spacing = (float((high - low).prod()) / max(len(particles), 1)) ** (1 / 3)
    # cutting in two leaves pieces down to a quarter of the largest that is allowed
    return max(2.0 * spacing, (4.0 * area / FINEST) ** 0.5)
