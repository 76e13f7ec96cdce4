# SPDX-License-Identifier: Apache-2.0
"""Tetrahedra inside any surface (Hu et al. 2020, "Fast tetrahedral meshing in the wild")."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from ..shapes import Surface
from .volume_mesh import VolumeMesh

LEFT_BEHIND = "__tracked_surface.stl"
"""What the mesher writes into the current folder, without an option not to."""
ENVELOPE = 0.015
"""How far the new surface may be from the given one, by the edge length aimed at [-]."""


def tetrahedralize(surface: Surface, size: float) -> VolumeMesh:
    """Fill a surface with tetrahedra.

    Triangles that cross, coincide or leave small gaps are mended: what they enclose together is
    filled. The surface is made anew within `ENVELOPE`. No two calls give the same mesh: save it to
    compute with it again.

    Args:
        surface: Closed but for small gaps.
        size: Edge length that is aimed at [m]; smaller ones appear where the surface needs them.

    Returns:
        A mesh of tet4 with the group of sides surface.

    Raises:
        ValueError: The size or a vertex is not a finite number, or nothing is enclosed.
    """
    from pytetwild.pytetwild import tetrahedralize as fill

    vertices = surface.vertices.detach().cpu().numpy().astype(np.float64)
    triangles = surface.triangles.cpu().numpy().astype(np.int32)
    if not (math.isfinite(size) and size > 0):
        raise ValueError(f"got a size of {size}, expected a positive number of metres")
    if not len(triangles) or not np.isfinite(vertices).all():
        raise ValueError(
            f"got a surface of {len(vertices)} vertices, not all finite, and {len(triangles)} "
            "triangles, expected a closed surface of finite numbers of metres"
        )
    middle = 0.5 * (vertices.min(0) + vertices.max(0))
    width = float(np.linalg.norm(np.ptp(vertices, axis=0)))
    left = Path.cwd() / LEFT_BEHIND
    was_there = left.exists()
    try:
        nodes, cells = fill(
            (vertices - middle) / width,
            triangles,
            edge_length_abs=min(size / width, 0.5),
            epsilon=ENVELOPE * min(size / width, 0.5),
            quiet=True,
            vtk_ordering=True,
        )
    except RuntimeError as error:
        raise ValueError(f"the surface cannot be filled with tetrahedra ({error})") from error
    finally:
        if not was_there:
            left.unlink(missing_ok=True)
    if not len(cells):
        raise ValueError(
            f"a surface of {len(triangles)} triangles encloses nothing to fill, expected a closed "
            "one: close it by MeshShape(..., mend=True), in Blender or in MeshLab"
        )
    used, cells = np.unique(cells, return_inverse=True)
    mesh = VolumeMesh(
        "tet4",
        torch.from_numpy(nodes[used] * width + middle),
        torch.from_numpy(cells.reshape(-1, 4).astype(np.int64)),
    )
    return replace(mesh, facets={"surface": mesh.boundary()})
