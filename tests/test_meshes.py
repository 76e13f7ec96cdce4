# SPDX-License-Identifier: Apache-2.0
"""Volume meshes: what is refused, groups, boundaries, generators, files and tetrahedra."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import trimesh
from volume_meshes import areas, bar, every_element

from rheograd.engine.mesh.elements import SOLIDS, element
from rheograd.engine.mesh.elevation import elevate, mapped
from rheograd.engine.mesh.generators import ball, box, cylinder, plate_with_hole
from rheograd.engine.mesh.meshing import mesh_shape
from rheograd.engine.mesh.sides import family
from rheograd.engine.mesh.tetrahedralize import tetrahedralize
from rheograd.engine.mesh.volume_mesh import VolumeMesh, jacobians, worst_jacobians
from rheograd.engine.shapes import Box, Capsule, Cylinder, Ellipsoid, MeshShape, Sphere, Surface

SOLID = [name for name in SOLIDS if element(name).dim == 3]
PLACE: Any = {"center": (1.0, -2.0, 0.5), "rotation": (0.3, -0.5, 0.8)}


@every_element
def test_box(name: str) -> None:
    mesh = bar(name)
    flat = mesh.dim == 2
    assert mesh.volume == pytest.approx(2.0 if flat else 1.0)
    assert mesh.centroid.tolist() == pytest.approx([1, 0.5, 0 if flat else 0.25])
    assert mesh.bounds[1].tolist() == pytest.approx([2, 1, 0 if flat else 0.5])
    depth = 1.0 if flat else 0.5
    faces = {"x": depth, "y": 2 * depth, "z": 2.0}
    for d, axis in enumerate("xyz"[: mesh.dim]):
        for sign, text in ((-1, "-"), (1, "+")):
            sides = mesh.facets_of(axis + text)
            expected = np.zeros(3)
            expected[d] = sign * faces[axis]
            assert areas(mesh, sides) == pytest.approx(expected, abs=1e-12)
            level = 0.0 if sign < 0 else (2.0, 1.0, 0.5)[d]
            assert mesh.nodes[mesh.nodes_of(axis + text), d].numpy() == pytest.approx(level)
    assert len(mesh.boundary()) == sum(map(len, mesh.facets.values()))


def test_box_is_numbered_as_the_reference_says() -> None:
    n = 2
    mesh = box((4.0, 1.0, 1.0), (4 * n, n, n), corner=(0.0, 0.0, 0.0))
    for i, j, k in ((0, 0, 0), (3, 1, 2), (8, 2, 2)):
        node = (i * (n + 1) + j) * (n + 1) + k
        assert (mesh.nodes[node] * n).tolist() == [i, j, k]
    corner = [(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0)]
    expected = [(i * (n + 1) + j) * (n + 1) + k for top in (0, 1) for i, j, k in
                [(a, b, c + top) for a, b, c in corner]]  # fmt: skip
    assert mesh.cells[0].tolist() == expected
    tets = box((4.0, 1.0, 1.0), (4 * n, n, n), element="tet4")
    split = [0, 1, 2, 6, 0, 2, 3, 6, 0, 3, 7, 6, 0, 7, 4, 6, 0, 4, 5, 6, 0, 5, 1, 6]
    assert tets.cells[:6].reshape(-1).tolist() == [expected[k] for k in split]


def test_box_is_centred_unless_told() -> None:
    assert box((2.0, 1.0, 1.0), (1, 1, 1)).centroid.tolist() == pytest.approx([0, 0, 0], abs=1e-15)
    moved = box((2.0, 1.0), (1, 1), element="tri3", center=(5.0, 6.0))
    assert moved.centroid.tolist() == pytest.approx([5, 6, 0])


@every_element
def test_surface_is_closed_and_encloses_the_volume(name: str) -> None:
    mesh = bar(name)
    vertices, triangles = mesh.surface()
    skin = trimesh.Trimesh(vertices.numpy(), triangles.numpy(), process=False)
    if mesh.dim == 2:
        assert skin.area == pytest.approx(2.0) and (skin.face_normals[:, 2] > 0).all()
    else:
        assert skin.is_watertight and skin.volume == pytest.approx(1.0)


@pytest.mark.parametrize("name", SOLID)
def test_particles_fill_it(name: str) -> None:
    mesh = mapped(bar(name), lambda x: x + 0.1 * torch.sin(2 * x[:, [1, 2, 0]]))
    points, volumes = mesh.sample(0.05)
    assert float(volumes.sum()) == pytest.approx(mesh.volume)
    assert len(points) * 0.05**3 == pytest.approx(mesh.volume, rel=0.05)
    assert bool(mesh.contains(points).all())
    with pytest.raises(ValueError, match="no plane strain"):
        bar("quad4").sample(0.1)


def test_groups_by_name() -> None:
    mesh = bar()
    assert mesh.nodes_of("tip").tolist() == [1, 4]
    assert mesh.nodes_of("first").tolist() == mesh.cells[:2].unique().tolist()
    assert mesh.cells_of("some").tolist() == [1, 2, 3, 4]
    assert torch.equal(mesh.facets_of("all"), mesh.boundary())
    with pytest.raises(ValueError, match=r"got group of sides 'x_-', .* x\+, .*mean x-\?"):
        mesh.facets_of("x_-")
    with pytest.raises(ValueError, match=r"got group 'tipp', .*\(did you mean tip\?\)"):
        mesh.nodes_of("tipp")
    with pytest.raises(ValueError, match="got region 'x-', expected one of the mesh: first, some"):
        mesh.cells_of("x-")
    with pytest.raises(ValueError, match="got group of sides 'tip'"):
        mesh.facets_of("tip")
    with pytest.raises(ValueError, match="expected one of the mesh: none"):
        ball(1.0, (1, 1)).cells_of("core")


def test_sides_are_put_in_order_whatever_comes() -> None:
    mesh = bar("tet10")
    corners = mesh.facets["x+"][:, [2, 0, 1]]
    again = replace(mesh, facets={"x+": corners})
    assert torch.equal(again.facets["x+"], mesh.facets["x+"])


def test_nodes_may_carry_a_gradient() -> None:
    stretch = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    mesh = elevate(mapped(bar(), lambda x: stretch * x), "hex20")
    assert mesh.volume == pytest.approx(8.0)
    mesh.nodes.sum().backward()
    assert stretch.grad is not None
    assert stretch.grad.item() == pytest.approx(mesh.nodes.detach().sum().item() / 2)


def test_jacobians_integrate_the_volume() -> None:
    mesh = mapped(bar("hex27"), lambda x: x + 0.1 * torch.sin(2 * x[:, [1, 2, 0]]))
    kind, at = mesh.kind, mesh.nodes[mesh.cells].numpy()
    each = jacobians(kind, at, kind.mass.points) @ kind.mass.weights
    assert each.sum() == pytest.approx(mesh.volume)
    assert areas(mesh, mesh.boundary()) == pytest.approx(np.zeros(3), abs=1e-12)


def cube(**changes: object) -> VolumeMesh:
    return replace(box((1.0, 1.0, 1.0), (1, 1, 1)), **changes)  # type: ignore[arg-type]


def moved(node: int, place: tuple[float, float, float]) -> torch.Tensor:
    nodes = bar().nodes.clone()
    nodes[node] = torch.tensor(place, dtype=torch.float64)
    return nodes


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: cube(element="hex9"), "got element 'hex9', expected one of"),
        (lambda: cube(nodes=torch.zeros(8, 2)), r"nodes of shape \(8, 2\), expected \(n, 3\)"),
        (lambda: cube(nodes=torch.zeros(0, 3)), r"nodes of shape \(0, 3\)"),
        (lambda: cube(cells=torch.zeros(0, 8).long()), r"hex8 cells of shape \(0, 8\).*e > 0"),
        (lambda: cube(element="tet4"), r"tet4 cells of shape \(1, 8\), expected \(e, 4\)"),
        (lambda: cube(cells=torch.arange(1, 9)[None]), "cells with numbers from 1 to 8, exp"),
        (lambda: cube(cells=torch.rand(1, 8)), "expected whole numbers"),
        (lambda: replace(bar(), nodes=moved(7, (0, math.nan, 0))), "finite.* node 7,"),
        (lambda: replace(bar(), nodes=moved(0, (9, 0, 0))), r"1 of 12 hex8 .* cell 0 at .*remesh"),
        (lambda: mapped(bar(), lambda x: -x), "12 of 12 hex8 cells that are inverted.*as VTK does"),
        (lambda: mapped(bar("tri3"), lambda x: x + 1), "tri3 nodes with z up to 1 m.*mesh_shape"),
        (lambda: cube(nodes=torch.cat([cube().nodes, cube().nodes])), "8 nodes that belong"),
        (lambda: cube(points={"a": torch.tensor([8])}), "points 'a' with numbers from 8 to 8"),
        (lambda: cube(points={"a": torch.tensor([[1]])}), r"points 'a' of shape \(1, 1\)"),
        (lambda: cube(regions={"a": torch.tensor([-1])}), "regions 'a' with numbers from -1"),
        (lambda: cube(facets={"a": torch.tensor([[0, 1, 2]])}), r"\(1, 3\), expected \(f, 4\)"),
        (lambda: cube(facets={"a": torch.tensor([[0, 1, 2, 4]])}), r"no side .*\[0, 1, 2, 4"),
        (lambda: replace(bar(), cells=bar().cells[[*range(12), 0, 0]]).boundary(), "three or more"),
        (lambda: box((1, 1), (1, 1)), "expected 3 numbers each"),
        (lambda: box((1, 1, 0), (1, 1, 1)), "expected positive numbers"),
        (lambda: box((1, 1, 1), (1, 1, 0)), "expected 3 whole numbers from 1"),
        (lambda: box((1, 1, 1), (1, 1.5, 1)), "whole numbers"),  # type: ignore[list-item]
        (lambda: box((1, 1, 1), (1, 1, 1), center=(0, 0, 0), corner=(0, 0, 0)), "expected one of"),
        (lambda: box((1, 1, 1), (1, 1, 1), corner=(0, 0)), "expected 3 numbers"),
        (lambda: cylinder(1, 1, (1, 1, 1), element="quad4"), "expected tetrahedra or hexahedra"),
        (lambda: ball(1, (1, 1), element="tet4"), "use mesh_shape"),
        (lambda: plate_with_hole(1, 2, (1, 2)), "expected a smaller"),
        (lambda: plate_with_hole(2, 1, (1, 3)), "expected an even second"),
        (lambda: elevate(bar("hex20"), "hex27"), "expected a kind of first order"),
        (lambda: elevate(bar("hex8"), "tet10"), "the same corners: mesh again"),
        (lambda: mesh_shape(Sphere(1.0), "tri3", 0.1), "make the body a VolumeMesh"),
        (lambda: mesh_shape(Ellipsoid((1, 2, 3)), "hex8", 0.1), 'take element="tet10"'),
        (lambda: mesh_shape(Box((1, 1, 1)), "hex8", 0.0), "expected a positive number"),
        (lambda: mesh_shape(bar(), "tet4", 0.1), "mesh again"),
    ],
)  # fmt: skip
def test_meshes_that_are_refused(make: Callable[[], object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.parametrize("name", SOLID)
def test_cylinder(name: str) -> None:
    mesh = cylinder(0.3, 1.0, (3, 2, 4), element=name)
    exact, second = 0.09 * math.pi, mesh.kind.order == 2
    assert mesh.volume == pytest.approx(exact, rel=1e-3 if second else 0.05)
    assert areas(mesh, mesh.facets["y+"]) == pytest.approx([0, mesh.volume, 0])
    assert areas(mesh, mesh.facets["y-"]) == pytest.approx([0, -mesh.volume, 0])
    at = mesh.nodes[mesh.nodes_of("side")]
    assert at[:, [0, 2]].norm(dim=1).numpy() == pytest.approx(0.3)
    assert len(mesh.boundary()) == sum(map(len, mesh.facets.values()))
    assert worst_jacobians(name, mesh.nodes.numpy(), mesh.cells.numpy()).min() > 1e-3


@pytest.mark.parametrize("name", ["hex8", "hex20", "hex27"])
def test_ball(name: str) -> None:
    mesh = ball(0.3, (4, 2), element=name)
    exact = 4 / 3 * math.pi * 0.3**3
    assert mesh.volume == pytest.approx(exact, rel=2e-3 if mesh.kind.order == 2 else 0.08)
    assert mesh.nodes[mesh.nodes_of("surface")].norm(dim=1).numpy() == pytest.approx(0.3)
    assert len(mesh.facets["surface"]) == 6 * 16


@every_element
def test_plate_with_a_hole(name: str) -> None:
    mesh = plate_with_hole(1.0, 0.25, (3, 4, 1)[: element(name).dim], element=name, thickness=0.2)
    depth = 0.2 if mesh.dim == 3 else 1.0
    exact = (1 - math.pi * 0.25**2 / 4) * depth
    assert mesh.volume == pytest.approx(exact, rel=1e-5 if mesh.kind.order == 2 else 2e-3)
    assert areas(mesh, mesh.facets["x+"]) == pytest.approx([depth, 0, 0], abs=1e-12)
    assert areas(mesh, mesh.facets["y-"]) == pytest.approx([0, -0.75 * depth, 0], abs=1e-12)
    at = mesh.nodes[mesh.nodes_of("hole")]
    assert at[:, :2].norm(dim=1).numpy() == pytest.approx(0.25)
    assert len(mesh.boundary()) == sum(map(len, mesh.facets.values()))


@pytest.mark.parametrize("name", [n for n in SOLIDS if element(n).order == 2])
def test_elevated_box_is_the_box_of_second_order(name: str) -> None:
    first = next(n for n in SOLIDS if family(n) == family(name))
    mesh, whole = elevate(bar(first), name), bar(name)
    assert mesh.volume == pytest.approx(whole.volume) and len(mesh.nodes) == len(whole.nodes)
    assert torch.allclose(mesh.nodes[mesh.cells], whole.nodes[whole.cells])
    assert torch.allclose(mesh.nodes[mesh.facets["y+"]], whole.nodes[whole.facets["y+"]])
    assert mesh.regions.keys() == {"first", "some"} and mesh.points["tip"].tolist() == [4, 1]
    assert elevate(whole, name) is whole


@pytest.mark.parametrize(
    "shape",
    [Box((0.6, 0.4, 0.2), **PLACE), Cylinder(0.2, 0.6, **PLACE), Sphere(0.3, **PLACE)],
    ids=lambda s: type(s).__name__,
)
def test_shapes_in_hexahedra(shape: Box | Cylinder | Sphere) -> None:
    mesh = mesh_shape(shape, "hex20", 0.1)
    assert mesh.volume == pytest.approx(shape.volume, rel=5e-3)
    assert torch.allclose(mesh.centroid, shape.centroid)
    assert bool(shape.contains(shape.centroid + 0.999 * (mesh.nodes - shape.centroid)).all())


def test_boxes_are_cut_into_whole_cells() -> None:
    mesh = mesh_shape(Box((0.6, 0.4, 0.2), **PLACE), "hex8", 0.11)
    assert len(mesh.cells) == 5 * 4 * 2
    up = areas(mesh, mesh.facets["y+"])
    assert up == pytest.approx(0.12 * Box((1, 1, 1), **PLACE).matrix[:, 1].numpy())


def surface_of(mesh: trimesh.Trimesh) -> Surface:
    return Surface(torch.tensor(mesh.vertices), torch.tensor(mesh.faces, dtype=torch.int64))


def dirty() -> dict[str, tuple[Any, float]]:
    """Surfaces as they come, and the volume that they mean."""
    one = trimesh.creation.icosphere(2, 0.3)
    two = one.copy()
    two.apply_translation((0.3, 0, 0))
    whole, cap = one.volume, math.pi * 0.15**2 * (3 * 0.3 - 0.15) / 3
    doubled = np.concatenate([one.faces, one.faces[:40]])
    flipped = np.concatenate([one.faces[:5, ::-1], one.faces[5:]])
    ring = trimesh.creation.torus(0.3, 0.1, major_sections=24, minor_sections=12)
    return {
        "clean": (one, whole),
        "torus": (ring, ring.volume),
        "crossing": (trimesh.util.concatenate([one, two]), 2 * (whole - cap)),
        "doubled": (trimesh.Trimesh(one.vertices, doubled, process=False), whole),
        "holes": (trimesh.Trimesh(one.vertices, one.faces[2:], process=False), whole),
        "flipped": (trimesh.Trimesh(one.vertices, flipped, process=False), whole),
    }


@pytest.mark.parametrize("case", list(dirty()))
def test_dirty_surfaces_are_filled(case: str, capfd: pytest.CaptureFixture[str]) -> None:
    surface, volume = dirty()[case]
    mesh = tetrahedralize(surface_of(surface), 0.15)
    assert mesh.volume == pytest.approx(volume, rel=0.04)
    assert len(mesh.facets["surface"]) == len(mesh.boundary()) > 100
    assert areas(mesh, mesh.boundary()) == pytest.approx(np.zeros(3), abs=1e-12)
    assert capfd.readouterr() == ("", "")


def test_filling_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    mesh_shape(Sphere(0.5), "tet4", 0.4)
    assert not list(tmp_path.iterdir())


def test_any_shape_in_tetrahedra(tmp_path: Path) -> None:
    trimesh.creation.box((60, 40, 20)).export(tmp_path / "a.stl")
    shape = MeshShape(tmp_path / "a.stl", 1e-3, **PLACE)
    mesh = mesh_shape(shape, "tet10", 0.03)
    assert mesh.element == "tet10" and mesh.volume == pytest.approx(shape.volume, rel=1e-3)
    assert torch.allclose(mesh.centroid, shape.centroid, atol=1e-4)
    coarse, fine = (len(mesh_shape(Capsule(0.1, 0.2), "tet4", s).cells) for s in (0.1, 0.025))
    assert fine > 3 * coarse


@pytest.mark.parametrize(
    ("surface", "size", "words"),
    [
        (surface_of(trimesh.creation.icosphere(1)), math.nan, "a size of nan, expected a positive"),
        (Surface(torch.full((3, 3), math.nan), torch.tensor([[0, 1, 2]])), 0.1, "not all finite"),
        (Surface(torch.eye(3), torch.tensor([[0, 1, 2]])), 0.1, "encloses nothing.*mend=True"),
    ],
)
def test_surfaces_that_cannot_be_filled(surface: Surface, size: float, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        tetrahedralize(surface, size)
