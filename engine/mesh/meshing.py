# SPDX-License-Identifier: Apache-2.0
"""A mesh of any shape."""

from __future__ import annotations

import math

from torch import Tensor

from ..shapes import Box, Cylinder, Shape, Solid, Sphere
from .elements import element as element_of
from .elevation import elevate, mapped
from .generators import ball, box, cylinder
from .sides import family
from .tetrahedralize import tetrahedralize
from .volume_mesh import VolumeMesh


def mesh_shape(shape: Shape, element: str, size: float) -> VolumeMesh:
    """Cut a shape into elements.

    A Box is cut into whole cells, a Cylinder and, into hexahedra, a Sphere by formula, with the
    groups of `generators` in the shape's own axes; a VolumeMesh is itself, with mid-side nodes
    where they are wanted; every other shape is filled with tetrahedra.

    Args:
        shape: The body.
        element: Kind of the cells; one in space.
        size: Length of an edge that is aimed at [m].

    Raises:
        ValueError: The shape cannot be cut into such cells, or the size is not positive.
    """
    if isinstance(shape, VolumeMesh):
        return elevate(shape, element)
    if element_of(element).dim == 2:
        raise ValueError(
            f"got a {type(shape).__name__} to cut into {element} cells, expected tetrahedra or "
            "hexahedra: for plane strain make the body a VolumeMesh, such as "
            "engine.mesh.generators.box"
        )
    if not (math.isfinite(size) and size > 0):
        raise ValueError(f"got a size of {size}, expected a positive number of metres")

    def cells(length: float) -> int:
        return max(1, round(length / size))

    if isinstance(shape, Box):
        divisions = [cells(length) for length in shape.size]
        return _placed(shape, box(shape.size, divisions, element=element))
    if isinstance(shape, Cylinder):
        r = shape.radius
        divisions = [cells(0.5 * math.pi * r), cells(0.45 * r), cells(shape.height)]
        return _placed(shape, cylinder(r, shape.height, divisions, element=element))
    if family(element) == "tet":
        return elevate(tetrahedralize(shape.surface(), size), element)
    if isinstance(shape, Sphere):
        divisions = [max(2, cells(0.5 * math.pi * shape.radius)), cells(0.5 * shape.radius)]
        return _placed(shape, ball(shape.radius, divisions, element=element))
    raise ValueError(
        f"got a {type(shape).__name__} to cut into {element} cells, expected a Box, Cylinder or "
        'Sphere: take element="tet10", or mesh it elsewhere and use VolumeMesh.load(path)'
    )


def _placed(shape: Solid, mesh: VolumeMesh) -> VolumeMesh:
    def place(nodes: Tensor) -> Tensor:
        return nodes @ shape.matrix.T + shape.centroid

    return mapped(mesh, place)
