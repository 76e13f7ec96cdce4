# SPDX-License-Identifier: Apache-2.0
"""Elements: bases, quadratures, sides and node order."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import pyvista as pv
from vtkmodules.vtkCommonCore import mutable

from rheograd.engine.mesh.elements import SOLIDS, Element, element, side
from rheograd.engine.mesh.sides import corners, family

every_element = pytest.mark.parametrize("name", SOLIDS)
VTK = {
    "tet4": 10, "tet10": 24, "hex8": 12, "hex20": 25, "hex27": 29,
    "tri3": 5, "tri6": 22, "quad4": 9, "quad8": 23, "quad9": 28,
}  # fmt: skip


def simplex(kind: Element) -> bool:
    return family(kind.name) in ("tet", "tri")


def inner_points(kind: Element, count: int = 20) -> np.ndarray:
    random = np.random.default_rng(0)
    if simplex(kind):
        return random.dirichlet(np.ones(kind.dim + 1), count)[:, : kind.dim]
    return random.uniform(-1, 1, (count, kind.dim))


def monomial_integral(kind: Element, powers: tuple[int, ...]) -> float:
    if simplex(kind):
        return math.prod(map(math.factorial, powers)) / math.factorial(sum(powers) + kind.dim)
    return math.prod(2 / (p + 1) if p % 2 == 0 else 0.0 for p in powers)


def distorted(kind: Element) -> np.ndarray:
    """Nodes of a cell sheared and bent a little, corners not in a plane."""
    x = np.zeros((len(kind.nodes), 3))
    x[:, : kind.dim] = kind.nodes
    x = x @ np.array([[1.0, 0.1, 0.0], [0.2, 0.9, 0.0], [0.0, 0.0, 1.1]])
    bend = 0.05 * np.sin(2 * x[:, [1, 2, 0]] + 0.3)
    return x + bend * np.array([1.0, 1.0, kind.dim == 3])


@every_element
def test_shape_functions_are_one_at_their_node(name: str) -> None:
    kind = element(name)
    assert kind.shape(kind.nodes) == pytest.approx(np.eye(len(kind.nodes)), abs=1e-13)


@every_element
def test_shape_functions_add_up_to_one(name: str) -> None:
    kind = element(name)
    points = inner_points(kind)
    assert kind.shape(points).sum(1) == pytest.approx(np.ones(len(points)), abs=1e-13)
    assert kind.gradients(points).sum(1) == pytest.approx(np.zeros((len(points), kind.dim)))


@every_element
def test_gradients_are_differences(name: str) -> None:
    kind = element(name)
    points, h = inner_points(kind), 1e-6
    for d in range(kind.dim):
        step = h * np.eye(kind.dim)[d]
        slope = (kind.shape(points + step) - kind.shape(points - step)) / (2 * h)
        assert kind.gradients(points)[:, :, d] == pytest.approx(slope, abs=1e-8)


@every_element
def test_polynomials_of_the_order_are_reproduced(name: str) -> None:
    kind = element(name)
    points = inner_points(kind)
    for powers in itertools.product(range(kind.order + 1), repeat=kind.dim):
        if sum(powers) > kind.order:
            continue
        nodal = np.prod(kind.nodes**powers, axis=1)
        exact = np.prod(points**powers, axis=1)
        assert kind.shape(points) @ nodal == pytest.approx(exact, abs=1e-13)


@every_element
def test_quadrature_is_exact_to_the_declared_degree(name: str) -> None:
    """The mass rule integrates products of shape functions, the stiffness rule their gradients'."""
    kind = element(name)
    for rule, degree in ((kind.mass, 2 * kind.order), (kind.stiffness, 2 * (kind.order - 1))):
        assert rule.weights.min() > 0
        for powers in itertools.product(range(degree + 1), repeat=kind.dim):
            if sum(powers) > degree and simplex(kind):
                continue
            value = rule.weights @ np.prod(rule.points**powers, axis=1)
            assert value == pytest.approx(monomial_integral(kind, powers), abs=1e-14)


@every_element
def test_mass_matrix_is_positive(name: str) -> None:
    kind = element(name)
    shape = kind.shape(kind.mass.points)
    assert np.linalg.eigvalsh(np.einsum("q,qa,qb->ab", kind.mass.weights, shape, shape)).min() > 0


def normals(kind: Element, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Integrals over each side of the normal, and of position times normal."""
    flat = side(kind)
    totals, moments = [], []
    for loop in kind.facets:
        at, slope = x[list(loop)], flat.gradients(flat.mass.points)
        tangents = np.einsum("qad,ai->qdi", slope, at)
        if flat.dim == 2:
            normal = np.cross(tangents[:, 0], tangents[:, 1])
        else:
            normal = np.cross(tangents[:, 0], [0.0, 0.0, 1.0])
        place = flat.shape(flat.mass.points) @ at
        totals.append(flat.mass.weights @ normal)
        moments.append(flat.mass.weights @ (normal * place).sum(1))
    return np.array(totals), np.array(moments)


@every_element
def test_sides_face_outward_and_close(name: str) -> None:
    """Gauss' theorem on a distorted cell: ∫n = 0 and ∫x·n = dim times the volume."""
    kind = element(name)
    x = distorted(kind)
    total, moment = normals(kind, x)
    assert total.sum(0) == pytest.approx(np.zeros(3), abs=1e-12)
    frames = np.einsum("qad,ai->qdi", kind.gradients(kind.mass.points), x[:, : kind.dim])
    volume = kind.mass.weights @ np.linalg.det(frames)
    assert volume > 0
    assert moment.sum() == pytest.approx(kind.dim * volume, rel=1e-12)
    middle = x.mean(0)
    for loop, normal in zip(kind.facets, total, strict=True):
        assert (x[list(loop)].mean(0) - middle) @ normal > 0


@every_element
def test_areas_of_the_reference_cell(name: str) -> None:
    kind = element(name)
    x = np.zeros((len(kind.nodes), 3))
    x[:, : kind.dim] = kind.nodes
    areas = np.linalg.norm(normals(kind, x)[0], axis=1)
    exact = {
        "hex": [4.0] * 6, "quad": [2.0] * 4, "tri": [1.0, 2**0.5, 1.0],
        "tet": [0.5, 0.5, 3**0.5 / 2, 0.5],
    }  # fmt: skip
    assert areas == pytest.approx(exact[family(name)])


@every_element
def test_sides_hold_the_nodes_on_them(name: str) -> None:
    kind = element(name)
    for loop in kind.facets:
        assert len(set(loop)) == len(side(kind).nodes)
        first = list(loop[: corners(kind.facet)])
        assert max(first) < corners(name)
        flat = element(f"{family(kind.facet)}{len(first)}") if kind.dim == 3 else None
        if flat:
            straight = flat.shape(side(kind).nodes) @ kind.nodes[first]
            assert kind.nodes[list(loop)] == pytest.approx(straight)


@every_element
def test_nodes_are_in_the_order_of_vtk(name: str) -> None:
    """VTK finds the same place in a bent cell from the same local coordinates."""
    kind = element(name)
    x = distorted(kind)
    grid = pv.UnstructuredGrid({VTK[name]: np.arange(len(x))[None]}, x)
    cell: Any = grid.GetCell(0)
    for point in inner_points(kind, 5):
        local = point if simplex(kind) else 0.5 * (point + 1)
        place, weights = [0.0, 0.0, 0.0], [0.0] * len(x)
        cell.EvaluateLocation(mutable(0), [*local, 0.0][:3], place, weights)
        assert weights == pytest.approx(kind.shape(point[None])[0], abs=1e-12)
        assert place == pytest.approx(kind.shape(point[None])[0] @ x, abs=1e-12)


def test_unknown_element_is_refused() -> None:
    with pytest.raises(ValueError, match=r"got element 'hex9', expected one of tet4, tet10"):
        element("hex9")
