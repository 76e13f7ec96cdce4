# SPDX-License-Identifier: Apache-2.0
"""From places in the scene to the picture, by the camera of a panel."""

from __future__ import annotations

from typing import Any

import numpy as np


def array_of(matrix: Any) -> np.ndarray:
    """A vtkMatrix4x4 as an array, shape (4, 4)."""
    return np.array([[matrix.GetElement(i, j) for j in range(4)] for i in range(4)])


def clip_matrix(renderer: Any) -> np.ndarray:
    """From the world to OpenGL's clip coordinates, by a renderer's camera, shape (4, 4)."""
    camera, aspect = renderer.GetActiveCamera(), renderer.GetTiledAspectRatio()
    return array_of(camera.GetCompositeProjectionTransformMatrix(aspect, -1, 1))


def projected(renderer: Any, x: np.ndarray) -> np.ndarray:
    """Pixels of a panel (k, 2), from its lower left, of x (k, 3) [m]; NaN behind the camera."""
    at = np.c_[x, np.ones(len(x))] @ clip_matrix(renderer).T
    ahead = at[:, 3:] > 0
    flat = at[:, :2] / np.where(ahead, at[:, 3:], 1.0)
    return np.where(ahead, (flat + 1) / 2 * renderer.GetSize(), np.nan)
