# SPDX-License-Identifier: Apache-2.0
"""Shapes: volume, particles, surface and place; meshes that leak."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

from rheograd.engine.meshes import inside
from rheograd.engine.shapes import (
    Box,
    Capsule,
    Cylinder,
    Ellipsoid,
    MeshShape,
    Particles,
    Solid,
    Sphere,
    Surface,
)

PLACE = {"center": (1.0, -2.0, 0.5), "rotation": (0.3, -0.5, 0.8)}
SOLIDS = [
    Box((0.6, 0.4, 0.2), **PLACE),
    Sphere(0.3, **PLACE),
    Ellipsoid((0.3, 0.2, 0.4), **PLACE),
    Cylinder(0.2, 0.6, **PLACE),
    Capsule(0.2, 0.5, **PLACE),
]
every_solid = pytest.mark.parametrize("shape", SOLIDS, ids=lambda s: type(s).__name__)


def closed(surface: Surface) -> trimesh.Trimesh:
    mesh = trimesh.Trimesh(surface.vertices.numpy(), surface.triangles.numpy(), process=False)
    assert mesh.is_watertight and mesh.is_winding_consistent
    return mesh


@every_solid
def test_surface_is_closed_and_encloses_the_volume(shape: Solid) -> None:
    mesh = closed(shape.surface())
    assert mesh.volume == pytest.approx(shape.volume, rel=8e-3)
    assert mesh.center_mass == pytest.approx(shape.centroid.numpy(), abs=1e-9)
    assert torch.equal(shape.bounds, torch.tensor(mesh.bounds))


@every_solid
@pytest.mark.parametrize("pattern", ["lattice", "jittered"])
def test_particles_fill_the_volume(shape: Solid, pattern: str) -> None:
    spacing = 0.02
    points, volumes = shape.sample(spacing, pattern=pattern)  # type: ignore[arg-type]
    assert points.dtype == volumes.dtype == torch.float64
    assert float(volumes.sum()) == pytest.approx(shape.volume)
    assert len(points) * spacing**3 == pytest.approx(shape.volume, rel=0.05)
    assert bool(shape.contains(points).all())
    assert (points.mean(0) - shape.centroid).norm() < 1e-9 + (0.004 if pattern == "jittered" else 0)
    gaps = torch.cdist(points[:300], points).topk(2, largest=False).values[:, 1]
    if pattern == "lattice":
        assert gaps == pytest.approx(torch.full_like(gaps, spacing), abs=1e-9)


@every_solid
def test_mesh_of_a_primitive_is_that_primitive(shape: Solid, tmp_path: Path) -> None:
    closed(shape.surface()).export(tmp_path / "a.ply")
    mesh = MeshShape(tmp_path / "a.ply")
    assert mesh.volume == pytest.approx(shape.volume, rel=8e-3)
    assert mesh.centroid.numpy() == pytest.approx(shape.centroid.numpy(), abs=1e-6)
    points = shape.centroid + 0.7 * (torch.rand(2000, 3, dtype=torch.float64) - 0.5)
    assert float((mesh.contains(points) == shape.contains(points)).double().mean()) > 0.99


def test_box_divides_into_whole_cells() -> None:
    points, volumes = Box((0.5, 0.31, 0.1), center=(0.5, 0.5, 0.5)).sample(0.1)
    assert len(points) == 5 * 3 * 1
    assert volumes[0] == pytest.approx(0.1 * 0.31 / 3 * 0.1)
    assert points[:, 0].min() == pytest.approx(0.3) and points[:, 0].max() == pytest.approx(0.7)


def test_jitter_follows_its_seed() -> None:
    shape = Sphere(0.3)
    first, again, other = (shape.sample(0.1, pattern="jittered", seed=s).points for s in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first[:99], other[:99])


@every_solid
def test_rotation_as_matrix_and_quaternion(shape: Solid) -> None:
    x, y, z, w = shape.quaternion.tolist()
    turned = trimesh.transformations.quaternion_matrix([w, x, y, z])[:3, :3]
    assert shape.matrix.numpy() == pytest.approx(turned, abs=1e-12)
    assert Box((1, 1, 1)).quaternion.tolist() == [0, 0, 0, 1]


def test_axes_of_revolution_point_up() -> None:
    for shape, height in ((Cylinder(0.1, 1.0), 1.0), (Capsule(0.1, 1.0), 1.2)):
        size = shape.bounds[1] - shape.bounds[0]
        assert size.tolist() == pytest.approx([0.2, height, 0.2])


def test_given_particles() -> None:
    points, volumes = torch.rand(5, 3), torch.full((5,), 0.1)
    shape = Particles(points, volumes)
    sample = shape.sample(123.0)
    assert torch.equal(sample.points, points.double()) and shape.volume == pytest.approx(0.5)
    assert shape.centroid.numpy() == pytest.approx(points.double().mean(0).numpy())
    closed(shape.surface())
    with pytest.raises(ValueError, match=r"expected \(n, 3\) and \(n,\)"):
        Particles(points, volumes[:3])
    with pytest.raises(ValueError, match="not positive"):
        Particles(points, 0 * volumes)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Box((1, -1, 1)), r"size=\(1, -1, 1\), expected positive numbers"),
        (lambda: Box((1, 1)), "expected three numbers"),  # type: ignore[arg-type]
        (lambda: Sphere(math.nan), "expected positive numbers"),
        (lambda: Sphere(1.0, center=(0, 0, math.inf)), "expected finite numbers"),
        (lambda: Sphere(1.0).sample(0.0), "expected a positive number of metres"),
        (lambda: Sphere(1.0).sample(1e-5), "check the unit of length"),
        (lambda: Sphere(1.0).sample(0.1, pattern="x"), "'lattice' or"),  # type: ignore[arg-type]
        (lambda: MeshShape("none.obj"), "no mesh file none.obj"),
        (lambda: MeshShape("none.obj", scale=0.0), "scale=0.0, expected a positive"),
    ],
)
def test_shapes_that_are_refused(make: Callable[[], object], words: str) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=words):
        make()


def test_mesh_is_scaled_turned_and_moved(tmp_path: Path) -> None:
    trimesh.creation.box((10, 20, 30)).export(tmp_path / "a.stl")
    shape = MeshShape(tmp_path / "a.stl", 1e-3, center=(1, 2, 3), rotation=(0, 0, math.pi / 2))
    assert shape.volume == pytest.approx(6e-6)
    assert (shape.bounds[1] - shape.bounds[0]).tolist() == pytest.approx([0.02, 0.01, 0.03])
    points, _ = shape.sample(1e-3)
    assert len(points) == 6000
    assert points.mean(0).tolist() == pytest.approx([1, 2, 3])


def test_inside_is_exact_where_rays_meet_edges_and_corners() -> None:
    box = trimesh.creation.box((2, 2, 2)).subdivide().subdivide()
    axis = np.linspace(-1.5, 1.5, 13)
    points = np.stack(np.meshgrid(axis, axis, axis), -1).reshape(-1, 3)
    clear = np.abs(np.abs(points) - 1).min(1) > 1e-9
    found = inside(points, np.asarray(box.vertices), np.asarray(box.faces))
    assert np.array_equal(found[clear], (np.abs(points).max(1) < 1)[clear])


def test_inside_of_a_torus_and_of_a_shell() -> None:
    ring = trimesh.creation.torus(1.0, 0.3, major_sections=64, minor_sections=48)
    points = np.random.default_rng(0).uniform(-1.4, 1.4, (4000, 3))
    depth = np.hypot(np.hypot(points[:, 0], points[:, 1]) - 1, points[:, 2]) - 0.3
    sure = np.abs(depth) > 0.01
    found = inside(points, np.asarray(ring.vertices), np.asarray(ring.faces))
    assert np.array_equal(found[sure], depth[sure] < 0)
    inner = trimesh.creation.icosphere(3, 0.5)
    inner.invert()
    outer = trimesh.creation.icosphere(3, 1.0)
    vertices = np.concatenate([outer.vertices, inner.vertices])
    found = inside(
        points, vertices, np.concatenate([outer.faces, inner.faces + len(outer.vertices)])
    )
    radius = np.linalg.norm(points, axis=1)
    sure = (np.abs(radius - 1) > 0.02) & (np.abs(radius - 0.5) > 0.02)
    assert np.array_equal(found[sure], ((radius < 1) & (radius > 0.5))[sure])


def leaky(path: Path, drop: int = 3) -> Path:
    mesh = trimesh.creation.icosphere(3)
    mesh.faces = mesh.faces[drop:]
    mesh.export(path)
    return path


def test_leaky_mesh_names_the_remedy_and_can_be_mended(tmp_path: Path) -> None:
    path = leaky(tmp_path / "leaky.obj")
    with pytest.raises(ValueError, match=r"not watertight: 9 edges .*mend=True.*Blender"):
        MeshShape(path)
    whole = trimesh.creation.icosphere(3)
    assert MeshShape(path, mend=True).volume == pytest.approx(whole.volume, rel=1e-2)


def test_triangles_that_face_the_wrong_way(tmp_path: Path) -> None:
    mesh = trimesh.creation.icosphere(3)
    inverted = mesh.copy()
    inverted.invert()
    inverted.export(tmp_path / "inverted.ply")
    shape = MeshShape(tmp_path / "inverted.ply")
    assert shape.volume == pytest.approx(mesh.volume) and closed(shape.surface()).volume > 0
    mesh.faces[:1] = mesh.faces[:1, ::-1]
    mesh.export(tmp_path / "mixed.ply")
    with pytest.raises(ValueError, match=r"3 edges join triangles that face opposite ways"):
        MeshShape(tmp_path / "mixed.ply")
    assert MeshShape(tmp_path / "mixed.ply", mend=True).volume == pytest.approx(shape.volume)


def test_a_mesh_with_a_flap(tmp_path: Path) -> None:
    mesh = trimesh.creation.icosphere(2)
    a, b, _ = mesh.faces[0]
    vertices = np.concatenate([mesh.vertices, [[3, 3, 3]]])
    faces = np.concatenate([mesh.faces, [[a, b, len(mesh.vertices)]]])
    trimesh.Trimesh(vertices, faces, process=False).export(tmp_path / "flap.obj")
    with pytest.raises(ValueError, match="not watertight"):
        MeshShape(tmp_path / "flap.obj")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.obj", "garbage", "holds no triangle"),
        ("a.stl", "solid\nendsolid", "triangle|readable"),
        ("a.ply", "ply\nformat ascii 1.0\nelement vertex 9", "not a readable mesh"),
        ("a.docx", "text", "not a readable mesh"),
        ("a.obj", "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\nf 1 3 2\n", "encloses no volume"),
        ("a.obj", "v 0 0 nan\nv 1 0 0\nv 0 1 0\nf 1 2 3\n", "not finite|no triangle"),
    ],
)
def test_files_that_are_no_mesh(tmp_path: Path, name: str, content: str, words: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=words):
        MeshShape(tmp_path / name)


def test_measured_beam(reference_data: Callable[[str], Path]) -> None:
    shape = MeshShape(reference_data("beam/beam.stl"), scale=1e-3)
    assert shape.volume == pytest.approx(9e-5, rel=1e-3)
    assert len(shape.sample(5e-3).points) == 6 * 6 * 20
