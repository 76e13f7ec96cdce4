# SPDX-License-Identifier: Apache-2.0
"""The elements: reference nodes in VTK's order, shape functions, quadratures and facets.

Shape functions are the Lagrange basis of a space of monomials on the reference nodes, found by
inverting the Vandermonde matrix, so that an element is a list of nodes and a list of exponents.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

Exponents = tuple[tuple[int, ...], ...]


class Quadrature(NamedTuple):
    """A rule on the reference element."""

    points: np.ndarray
    """Reference coordinates [-], shape (q, dim)."""
    weights: np.ndarray
    """Shape (q,); their sum is the reference volume."""


@dataclass(frozen=True)
class Element:
    """One kind of element."""

    name: str
    dim: int
    order: int
    """Polynomial order: displacements converge with order + 1 in L2."""
    nodes: np.ndarray
    """Reference coordinates [-], shape (a, dim)."""
    exponents: Exponents
    """Of the monomials that span its space; as many as nodes."""
    stiffness: Quadrature
    """Full integration of internal forces."""
    mass: Quadrature
    """Exact for the mass matrix of an affine element."""
    facet: str
    """Kind of its sides, "" for an element that is only ever a side."""
    facets: tuple[tuple[int, ...], ...]
    """Nodes of each side, counter-clockwise from outside; in the plane along the boundary with the
    element on the left."""

    def shape(self, points: np.ndarray) -> np.ndarray:
        """Shape functions at reference points (q, dim), shape (q, a)."""
        return _monomials(self.exponents, points) @ self._basis

    def gradients(self, points: np.ndarray) -> np.ndarray:
        """Their derivatives by reference coordinates at points (q, dim), shape (q, a, dim)."""
        return np.einsum("qmd,ma->qad", _slopes(self.exponents, points), self._basis)

    @functools.cached_property
    def _basis(self) -> np.ndarray:
        return np.linalg.inv(_monomials(self.exponents, self.nodes))


def element(name: str) -> Element:
    """The element of a name.

    Raises:
        ValueError: There is none; names those there are.
    """
    if name not in SOLIDS:
        raise ValueError(f"got element {name!r}, expected one of {', '.join(SOLIDS)}")
    return _table()[name]


def side(of: Element) -> Element:
    """The element that the sides of another are."""
    return _table()[of.facet]


SOLIDS = (
    "tet4", "tet10", "hex8", "hex20", "hex27", "tri3", "tri6", "quad4", "quad8", "quad9",
)  # fmt: skip
"""Elements a body may be made of; those of the plane are in plane strain."""


def _monomials(exponents: Exponents, points: np.ndarray) -> np.ndarray:
    powers = np.asarray(exponents)
    return np.prod(points[:, None, :] ** powers[None], axis=2)


def _slopes(exponents: Exponents, points: np.ndarray) -> np.ndarray:
    powers = np.asarray(exponents)
    dim = points.shape[1]
    out = np.empty((len(points), len(powers), dim))
    for d in range(dim):
        lower = powers.copy()
        lower[:, d] = np.maximum(lower[:, d] - 1, 0)
        out[:, :, d] = powers[:, d] * np.prod(points[:, None, :] ** lower[None], axis=2)
    return out


def _tensor(dim: int, order: int) -> Exponents:
    return tuple(itertools.product(range(order + 1), repeat=dim))


def _complete(dim: int, order: int) -> Exponents:
    return tuple(e for e in _tensor(dim, order) if sum(e) <= order)


def _serendipity(dim: int) -> Exponents:
    """Superlinear degree at most 2 (Arnold and Awanou 2011, "The serendipity family")."""
    return tuple(e for e in _tensor(dim, 2) if sum(p for p in e if p > 1) <= 2)


def gauss(dim: int, points: int) -> Quadrature:
    """Product rule of Gauss and Legendre on [-1, 1]^dim."""
    x, w = np.polynomial.legendre.leggauss(points)
    grid = np.array(list(itertools.product(x, repeat=dim)))
    return Quadrature(grid, np.prod(list(itertools.product(w, repeat=dim)), axis=1))


def conical(dim: int, points: int) -> Quadrature:
    """Rule on the unit simplex, exact to degree 2 points - 1 (Stroud 1971, "Conical product")."""
    from scipy.special import roots_jacobi

    axes = []
    for d in range(dim):
        x, w = roots_jacobi(points, dim - 1 - d, 0.0)
        axes.append((0.5 * (x + 1), w / 2.0 ** (dim - d)))
    coordinates, weights = [], []
    for pick in itertools.product(range(points), repeat=dim):
        rest, at, weight = 1.0, [], 1.0
        for (x, w), i in zip(axes, pick, strict=True):
            at.append(rest * x[i])
            rest *= 1 - x[i]
            weight *= w[i]
        coordinates.append(at)
        weights.append(weight)
    return Quadrature(np.array(coordinates), np.array(weights))


def _symmetric(dim: int) -> Quadrature:
    """The rule of dim + 1 points on the unit simplex that is exact to degree 2 (Hammer 1956)."""
    a = (5 - 5**0.5) / 20 if dim == 3 else 1 / 6
    points = np.full((dim + 1, dim), a)
    for d in range(dim):
        points[d + 1, d] = 1 - dim * a
    return Quadrature(points, np.full(dim + 1, 1 / (dim + 1) / (6 if dim == 3 else 2)))


_CORNERS = {
    "line": [(-1,), (1,)],
    "tri": [(0, 0), (1, 0), (0, 1)],
    "quad": [(-1, -1), (1, -1), (1, 1), (-1, 1)],
    "tet": [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)],
    "hex": [(-1, -1, -1), (1, -1, -1), (1, 1, -1), (-1, 1, -1),
            (-1, -1, 1), (1, -1, 1), (1, 1, 1), (-1, 1, 1)],
}  # fmt: skip
_EDGES = {
    "line": [],
    "tri": [(0, 1), (1, 2), (2, 0)],
    "quad": [(0, 1), (1, 2), (2, 3), (3, 0)],
    "tet": [(0, 1), (1, 2), (2, 0), (0, 3), (1, 3), (2, 3)],
    "hex": [(0, 1), (1, 2), (2, 3), (3, 0), (4, 5), (5, 6), (6, 7), (7, 4),
            (0, 4), (1, 5), (2, 6), (3, 7)],
}  # fmt: skip
_SIDES = {
    "line": [],
    "tri": [(0, 1), (1, 2), (2, 0)],
    "quad": [(0, 1), (1, 2), (2, 3), (3, 0)],
    "tet": [(0, 2, 1), (0, 1, 3), (1, 2, 3), (0, 3, 2)],
    "hex": [(0, 4, 7, 3), (1, 2, 6, 5), (0, 1, 5, 4), (3, 7, 6, 2), (0, 3, 2, 1), (4, 5, 6, 7)],
}
_MIDDLES = {  # of the interior and, for a hexahedron, of its sides, in VTK's order
    "line3": [(0,)],
    "quad9": [(0, 0)],
    "hex27": [(-1, 0, 0), (1, 0, 0), (0, -1, 0), (0, 1, 0), (0, 0, -1), (0, 0, 1), (0, 0, 0)],
}


def _nodes(family: str, name: str, order: int) -> np.ndarray:
    corners = np.array(_CORNERS[family], float)
    edges = [corners[list(pair)].mean(0) for pair in _EDGES[family]] if order == 2 else []
    return np.array([*corners, *edges, *_MIDDLES.get(name, [])], float)


def _solid(
    name: str,
    family: str,
    exponents: Exponents,
    rules: tuple[Quadrature, Quadrature],
    facet: Element | None = None,
) -> Element:
    order = 1 if len(exponents) == len(_CORNERS[family]) else 2
    nodes = _nodes(family, name, order)
    sides = _sides(nodes, _SIDES[family], facet) if facet else ()
    dim = nodes.shape[1]
    return Element(name, dim, order, nodes, exponents, *rules, facet.name if facet else "", sides)


def _sides(
    nodes: np.ndarray, loops: Sequence[tuple[int, ...]], facet: Element
) -> tuple[tuple[int, ...], ...]:
    """The nodes of each side in the order of its own element, from its corners."""
    flat = _table_of_corners(facet)
    found = []
    for loop in loops:
        places = flat.shape(facet.nodes) @ nodes[list(loop)]
        gaps = np.abs(places[:, None] - nodes[None]).max(2)
        found.append(tuple(int(i) for i in gaps.argmin(1)))
    return tuple(found)


def _table_of_corners(facet: Element) -> Element:
    """The first-order element with the same corners."""
    family = facet.name.rstrip("0123456789")
    dim = facet.dim
    exponents = _complete(dim, 1) if family == "tri" else _tensor(dim, 1)
    return _solid(f"{family}1", family, exponents, (facet.stiffness, facet.mass))


def _twice(rule: Quadrature) -> tuple[Quadrature, Quadrature]:
    return rule, rule


@functools.cache
def _table() -> dict[str, Element]:
    simplex2, simplex3 = conical(2, 1), conical(3, 1)
    line2 = _solid("line2", "line", _tensor(1, 1), (gauss(1, 2), gauss(1, 2)))
    line3 = _solid("line3", "line", _tensor(1, 2), (gauss(1, 3), gauss(1, 3)))
    rule2, rule3 = _twice(gauss(2, 2)), _twice(gauss(2, 3))
    tri3 = _solid("tri3", "tri", _complete(2, 1), (simplex2, _symmetric(2)), line2)
    tri6 = _solid("tri6", "tri", _complete(2, 2), (_symmetric(2), conical(2, 3)), line3)
    quad4 = _solid("quad4", "quad", _tensor(2, 1), rule2, line2)
    quad8 = _solid("quad8", "quad", _serendipity(2), rule3, line3)
    quad9 = _solid("quad9", "quad", _tensor(2, 2), rule3, line3)
    solids = [
        _solid("tet4", "tet", _complete(3, 1), (simplex3, _symmetric(3)), tri3),
        _solid("tet10", "tet", _complete(3, 2), (_symmetric(3), conical(3, 3)), tri6),
        _solid("hex8", "hex", _tensor(3, 1), _twice(gauss(3, 2)), quad4),
        _solid("hex20", "hex", _serendipity(3), _twice(gauss(3, 3)), quad8),
        _solid("hex27", "hex", _tensor(3, 2), _twice(gauss(3, 3)), quad9),
    ]
    everything = [line2, line3, tri3, tri6, quad4, quad8, quad9, *solids]
    return {e.name: e for e in everything}
