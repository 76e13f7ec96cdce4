# SPDX-License-Identifier: Apache-2.0
"""Pixels between NumPy and VTK: pictures to be drawn, and what was drawn."""

from __future__ import annotations

from typing import Any

import numpy as np


def image_of(pixels: np.ndarray) -> Any:
    """Pixels (height, width, c), uint8, their top row first, as an image of VTK."""
    from vtkmodules.vtkCommonDataModel import vtkImageData

    image = vtkImageData()
    fill(image, pixels)
    return image


def fill(image: Any, pixels: np.ndarray) -> None:
    """Put pixels (height, width, c), uint8, their top row first, into an image of VTK."""
    from vtkmodules.util.numpy_support import numpy_to_vtk

    high, wide, channels = pixels.shape
    image.SetDimensions(wide, high, 1)
    rows = np.ascontiguousarray(pixels[::-1]).reshape(-1, channels)
    image.GetPointData().SetScalars(numpy_to_vtk(rows, deep=True))
    image.Modified()


def drawn(window: Any) -> np.ndarray:
    """What a window has drawn last, (height, width, 3), uint8, its top row first."""
    from vtkmodules.util.numpy_support import vtk_to_numpy
    from vtkmodules.vtkCommonCore import vtkUnsignedCharArray

    width, height = window.GetSize()
    found = vtkUnsignedCharArray()
    window.GetPixelData(0, 0, width - 1, height - 1, 0, found, 0)
    return np.ascontiguousarray(vtk_to_numpy(found).reshape(height, width, 3)[::-1])
