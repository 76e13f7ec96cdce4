# SPDX-License-Identifier: Apache-2.0
"""Second-order meshes from those of first order, and meshes with their nodes moved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from .elements import element
from .sides import corners, family, same_rows
from .volume_mesh import VolumeMesh


def elevate(mesh: VolumeMesh, kind: str) -> VolumeMesh:
    """The mesh with nodes in the middle of its edges, and where the kind has them sides and cells.

    Corners keep their numbers and groups their names; groups of nodes are those of corners.
    Positions stay differentiable. Curved boundaries stay polygons: move the new nodes by `mapped`.

    Args:
        mesh: Of first order, or of the kind already.
        kind: tet10, hex20, hex27, tri6, quad8 or quad9.

    Raises:
        ValueError: The kind has other corners than the cells or the mesh is of second order.
    """
    target, count = element(kind), corners(mesh.element)
    if kind == mesh.element:
        return mesh
    if family(kind) != family(mesh.element) or mesh.kind.order == 2:
        raise ValueError(
            f"got a mesh of {mesh.element} cells to make one of {kind}, expected "
            f"{'a kind' if mesh.kind.order == 2 else 'cells'} of first order with the same "
            "corners: mesh again with the kind that is wanted"
        )
    shapes = mesh.kind.shape(target.nodes[count:])
    width = max(int((row > 1e-9).sum()) for row in shapes)
    cells = mesh.cells.numpy()
    keys = np.full((len(cells), len(shapes), width), -1)
    for m, row in enumerate(shapes):
        about = np.flatnonzero(row > 1e-9)
        keys[:, m, : len(about)] = np.sort(cells[:, about], 1)
    flat = keys.reshape(-1, width)
    _, first, number = np.unique(same_rows(flat), return_index=True, return_inverse=True)
    pick = torch.from_numpy(flat[first])
    given = (pick >= 0).to(mesh.nodes)[..., None].to(mesh.nodes.device)
    middles = (mesh.nodes[pick.clamp(min=0)] * given).sum(1) / given.sum(1)
    grown = np.concatenate([cells, len(mesh.nodes) + number.reshape(len(cells), -1)], 1)
    sides = {name: rows[:, : corners(mesh.kind.facet)] for name, rows in mesh.facets.items()}
    return VolumeMesh(
        kind,
        torch.cat([mesh.nodes, middles]),
        torch.from_numpy(grown),
        sides,
        mesh.points,
        mesh.regions,
    )


def mapped(mesh: VolumeMesh, function: Callable[[Tensor], Tensor]) -> VolumeMesh:
    """The mesh with its nodes moved; groups stay.

    Args:
        mesh: The mesh.
        function: From positions [m] to positions [m], shape (n, 3) each.

    Raises:
        ValueError: A cell is inverted or flat afterwards, or positions are not finite.
    """
    return replace(mesh, nodes=function(mesh.nodes))
