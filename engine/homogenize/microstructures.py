# SPDX-License-Identifier: Apache-2.0
"""Meshes of periodic cells by formula; each has the regions "matrix" and "fibre"."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ..mesh.elements import element as kind_of
from ..mesh.elevation import elevate
from ..mesh.generators import box, rounded
from ..mesh.sides import corners
from ..mesh.volume_mesh import VolumeMesh

TRIES = 20_000
"""Places that are tried for inclusions at random."""


def round_inclusion(
    share: float,
    divisions: tuple[int, int, int],
    *,
    element: str = "quad8",
    side: float = 1.0,
) -> VolumeMesh:
    """A square or cube about the origin with a round fibre or ball amid it, which the mesh follows.

    Sides of elements are straight, so that the fibre is a polygon.

    Args:
        share: Of the round in the area or volume [-].
        divisions: Elements along an edge of the block in the middle of the round, shells from that
            to the round, and from the round to the sides of the cell.
        element: quad4, quad8, quad9, hex8, hex20 or hex27.
        side: Of the cell [m].

    Raises:
        ValueError: The round does not fit, or the element is no quadrilateral or hexahedron.
    """
    dim, first = _hexahedral(element)
    radius = (share / np.pi) ** 0.5 if dim == 2 else (0.75 * share / np.pi) ** (1 / 3)
    if not 0 < radius < 0.49:
        raise ValueError(
            f"got a share of {share:g}, expected one above 0 and below "
            f"{np.pi * 0.49**2 if dim == 2 else 4 / 3 * np.pi * 0.49**3:.3f}, where the round "
            "touches the sides of the cell"
        )
    across, shells, around = divisions
    inner, cells = rounded(dim, across, shells)
    block = box((2.0,) * dim, (across,) * dim, element=first)
    rim = np.unique(block.boundary().numpy())
    square = 0.5 * np.tan(0.25 * np.pi * block.nodes.numpy()[rim, :dim])
    round_ = square / np.linalg.norm(square, axis=1, keepdims=True)
    blend = np.linspace(0, 1, around + 1)[1:, None, None]
    outer = (1 - blend) * radius * round_ + blend * square
    last = np.arange(len(inner) - len(rim), len(inner))
    number = last + np.arange(around + 1)[:, None] * len(rim)
    layer = _outermost(cells, last)
    at = number[:, np.searchsorted(last, layer)]
    low, high = at[:-1].reshape(-1, layer.shape[1]), at[1:].reshape(-1, layer.shape[1])
    if dim == 2:
        more = np.stack([low[:, 0], high[:, 0], high[:, 1], low[:, 1]], 1)
    else:
        more = np.concatenate([low, high], 1)
    nodes = np.zeros((len(inner) + outer.shape[0] * outer.shape[1], 3))
    nodes[: len(inner), :dim] = radius * inner
    nodes[len(inner) :, :dim] = outer.reshape(-1, dim)
    together = torch.from_numpy(np.concatenate([cells, more]).astype(np.int64))
    count = len(cells)
    regions = {"matrix": torch.arange(count, len(together)), "fibre": torch.arange(count)}
    mesh = VolumeMesh(first, torch.from_numpy(side * nodes), together, {}, {}, regions)
    return elevate(mesh, element)


def voxels(
    inside: Callable[[Tensor], Tensor],
    divisions: int,
    *,
    element: str = "hex8",
    side: float = 1.0,
) -> VolumeMesh:
    """A square or cube of equal elements, each of the phase in which its centre is.

    Args:
        inside: Whether places in the unit cell about the origin, shape (n, 3), are in the fibre.
        divisions: Elements along a side.
        element: Of the plane or of space.
        side: Of the cell [m].

    Raises:
        ValueError: All or no elements are in the fibre.
    """
    dim = kind_of(element).dim
    mesh = box((side,) * dim, (divisions,) * dim, element=element)
    fibre = inside(mesh.nodes[mesh.cells[:, : corners(element)]].mean(1) / side)
    if bool(fibre.all()) or not bool(fibre.any()):
        raise ValueError(
            f"got {int(fibre.sum())} of {len(fibre)} elements in the fibre, expected some: take "
            "more divisions or larger inclusions"
        )
    regions = {"matrix": (~fibre).nonzero()[:, 0], "fibre": fibre.nonzero()[:, 0]}
    return replace(mesh, regions=regions)


def random_balls(
    count: int, radius: float, *, dim: int = 3, seed: int = 0
) -> Callable[[Tensor], Tensor]:
    """Discs or balls at random in the unit cell about the origin, continued periodically.

    They keep a tenth of their radius apart.

    Args:
        count: How many.
        radius: Theirs, by the side of the cell.
        dim: 2 or 3.
        seed: Of their places.

    Returns:
        What `voxels` asks for.

    Raises:
        ValueError: So many do not fit, as far as was tried.
    """
    random = np.random.default_rng(seed)
    centres: list[np.ndarray] = []
    for _ in range(TRIES):
        if len(centres) == count:
            break
        place = random.random(dim) - 0.5
        gaps = [np.linalg.norm((place - c + 0.5) % 1.0 - 0.5) for c in centres]
        if all(gap > 2.1 * radius for gap in gaps):
            centres.append(place)
    if len(centres) < count:
        raise ValueError(
            f"only {len(centres)} of {count} inclusions of radius {radius:g} found a place in the "
            "unit cell: take fewer or smaller ones"
        )
    at = torch.tensor(np.array(centres))

    def inside(x: Tensor) -> Tensor:
        gap = (x[:, None, :dim].double() - at + 0.5) % 1.0 - 0.5
        return (gap.norm(dim=2) < radius).any(1)

    return inside


def repeated(mesh: VolumeMesh, counts: tuple[int, ...], side: float = 1.0) -> VolumeMesh:
    """Cells side by side, welded; regions are those of all of them.

    Args:
        mesh: Of one cell.
        counts: How many along each axis.
        side: Of one cell [m].
    """
    from ..fem.weld import weld

    places = [(*c, 0.0)[:3] if len(c) == 2 else c for c in itertools.product(*map(range, counts))]
    copies = [mesh.nodes + side * torch.tensor(place, dtype=torch.float64) for place in places]
    numbers, kept = weld(copies, [0] * len(copies))
    nodes = torch.cat(copies)[kept]
    cells = torch.cat([number[mesh.cells] for number in numbers])
    e = len(mesh.cells)
    regions = {
        name: torch.cat([which + e * k for k in range(len(copies))])
        for name, which in mesh.regions.items()
    }
    return VolumeMesh(mesh.element, nodes, cells, {}, {}, regions)


def parts(mesh: VolumeMesh) -> dict[str, VolumeMesh]:
    """A mesh of each region; as bodies of one scene they are welded again."""
    out = {}
    for name, which in mesh.regions.items():
        used, local = torch.unique(mesh.cells[which], return_inverse=True)
        out[name] = VolumeMesh(mesh.element, mesh.nodes[used], local)
    return out


def _hexahedral(element: str) -> tuple[int, str]:
    dim = kind_of(element).dim
    if not element.startswith(("quad", "hex")):
        raise ValueError(f"got {element}, expected quadrilaterals or hexahedra")
    return dim, "quad4" if dim == 2 else "hex8"


def _outermost(cells: np.ndarray, last: np.ndarray) -> np.ndarray:
    """The sides of cells that have every node in the outermost layer."""
    kind = kind_of("quad4" if cells.shape[1] == 4 else "hex8")
    sides = cells[:, np.array(kind.facets)].reshape(-1, len(kind.facets[0]))
    return sides[np.isin(sides, last).all(1)]
