# SPDX-License-Identifier: Apache-2.0
"""A small volume mesh of every element, for the tests of meshes and of their files."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from rheograd.engine.mesh.elements import SOLIDS, element, side
from rheograd.engine.mesh.generators import box
from rheograd.engine.mesh.volume_mesh import VolumeMesh

every_element = pytest.mark.parametrize("name", SOLIDS)


def bar(name: str = "hex8") -> VolumeMesh:
    """Two by one (by a half) metres, with groups of every sort."""
    dim = element(name).dim
    mesh = box((2.0, 1.0, 0.5)[:dim], (3, 2, 2)[:dim], element=name, corner=(0.0,) * dim)
    points = {"tip": torch.tensor([4, 1]), "all": torch.arange(len(mesh.nodes))}
    regions = {"first": torch.arange(2), "some": torch.arange(1, 5)}
    return replace(mesh, points=points, regions=regions)


def areas(mesh: VolumeMesh, sides: torch.Tensor) -> np.ndarray:
    """Sum of the outward normals of sides times their area, shape (3,)."""
    flat = side(mesh.kind)
    at = mesh.nodes.numpy()[sides.numpy()]
    tangents = np.einsum("qad,fai->fqdi", flat.gradients(flat.mass.points), at)
    other = tangents[:, :, 1] if flat.dim == 2 else np.array([0.0, 0.0, 1.0])
    return np.einsum("q,fqi->i", flat.mass.weights, np.cross(tangents[:, :, 0], other))
