# SPDX-License-Identifier: Apache-2.0
"""Many points in a scene of VTK, drawn by Warp: for machines where OpenGL has no GPU.

What `Splats` draws reaches the scene as a sheet over the whole panel whose fragments have the
colour and the depth of the points, so that these and all else hide one another as they should.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .camera import array_of
from .splats import Splats, Viewpoint, headlight, normals

_PLACE = "gl_Position = vec4(2.0 * tcoord - 1.0, 0.0, 1.0);\n"
_SHADE = """
    vec4 splat = texture(actortexture, tcoordVCVSOutput);
    if (splat.b == 0.0) discard;
    int code = int(splat.g);
    gl_FragDepth = splat.r;
    gl_FragData[0] = vec4(vec3(code >> 16, (code >> 8) & 255, code & 255) / 255.0, opacity);
"""
"""VTK leaves textures of three numbers as they are; those of one or two it would map to colours."""
_PLACES = ((0, 0), (1, 0), (1, 1), (0, 1))
_BLOCK = 256


class Splatter:
    """Points of one panel as lit spheres.

    Whenever the renderer draws, they are drawn with its camera and its lights, as the `actor`'s
    property reflects them; where nothing has changed since, the picture from before serves.

    Args:
        renderer: of VTK, to which `actor` is then added.
    """

    actor: Any
    """What VTK draws; its bounds are those of the points."""

    def __init__(self, renderer: Any) -> None:
        from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy
        from vtkmodules.vtkCommonCore import vtkPoints
        from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkImageData, vtkPolyData
        from vtkmodules.vtkRenderingCore import vtkActor, vtkPolyDataMapper, vtkTexture

        self._renderer, self.splats = renderer, Splats()
        self._drawn: list[Any] = []
        self._lit: list[Any] = []
        self._changes = 0
        # the box around the points, for VTK to know of: what the sheet is made of lies where the
        # places of its corners in the picture say, and the other four corners are in one place
        corners, places = np.zeros((8, 3), np.float32), np.zeros((8, 2), np.float32)
        places[:4] = _PLACES
        self._corners = vtkPoints()
        self._corners.SetData(numpy_to_vtk(corners, deep=True))
        self._box = vtk_to_numpy(self._corners.GetData())
        tcoords = numpy_to_vtk(places, deep=True)
        tcoords.SetName("place")
        cells = vtkCellArray()
        for first in (0, 4):
            cells.InsertNextCell(4, range(first, first + 4))
        self._sheet = vtkPolyData()
        self._sheet.SetPoints(self._corners)
        self._sheet.SetPolys(cells)
        self._sheet.GetPointData().SetTCoords(tcoords)
        self._image = vtkImageData()
        self._picture = np.zeros((0, 0, 3), np.float32)
        self._texture = vtkTexture()
        self._texture.SetInputData(self._image)
        self._texture.SetColorModeToDirectScalars()
        self._texture.InterpolateOff()
        self._texture.MipmapOff()
        mapper = vtkPolyDataMapper()
        mapper.SetInputData(self._sheet)
        self.actor = vtkActor()
        self.actor.SetMapper(mapper)
        self.actor.SetTexture(self._texture)
        self.actor.ForceOpaqueOn()
        self.actor.GetProperty().LightingOff()  # of the sheet
        self.actor.PickableOff()
        shaders = self.actor.GetShaderProperty()
        shaders.AddVertexShaderReplacement("//VTK::PositionVC::Impl", True, _PLACE, False)
        shaders.AddFragmentShaderReplacement("//VTK::TCoord::Impl", True, _SHADE, False)
        renderer.AddObserver("StartEvent", self._draw)

    def place(self, x: np.ndarray, radius: float) -> None:
        """Put the points at x (n, 3) [m], float32 or float64, with a radius [m]."""
        self.splats.place(x, radius)
        low, high = _bounds(np.asarray(x))
        self._box[:] = np.where(np.indices((2, 2, 2)).reshape(3, 8).T, high + radius, low - radius)
        self._corners.Modified()
        self._sheet.Modified()
        self._changes += 1

    def paint(self, colours: np.ndarray) -> None:
        """Give each point a colour (n, 3), uint8."""
        self.splats.paint(colours)
        self._changes += 1

    def paint_by(self, values: np.ndarray, table: np.ndarray, limits: tuple[float, float]) -> None:
        """Colour the points by values (n,), in a table (k, 3) uint8 over the range `limits`."""
        self.splats.paint_by(values, table, limits)
        self._changes += 1

    def _draw(self, *_: Any) -> None:
        """Have the picture follow points, camera and lights."""
        if not self.actor.GetVisibility():
            return
        viewpoint = viewpoint_of(self._renderer)
        lights = _lights_of(self._renderer, viewpoint.view)
        surface = self.actor.GetProperty()
        lit = [surface.GetMTime(), *map(tuple, (row for light in lights for row in light))]
        if lit != self._lit:
            self._lit = lit
            self.splats.light(*reflected(lights, surface))
        state = [
            self._changes, lit, viewpoint.view.tolist(), viewpoint.projection.tolist(),
            viewpoint.near, viewpoint.far, viewpoint.size,
        ]  # fmt: skip
        if state == self._drawn:
            return
        self._drawn = state
        if self._picture.shape[1::-1] != viewpoint.size:
            self._resize(*viewpoint.size)
        self.splats.draw(viewpoint, self._picture)
        self._image.GetPointData().GetScalars().Modified()
        self._image.Modified()
        self._texture.Modified()

    def _resize(self, wide: int, high: int) -> None:
        from vtkmodules.util.numpy_support import numpy_to_vtk

        self._picture = np.zeros((high, wide, 3), np.float32)
        self._image.SetDimensions(wide, high, 1)
        self._image.GetPointData().SetScalars(numpy_to_vtk(self._picture.reshape(-1, 3)))


def viewpoint_of(renderer: Any) -> Viewpoint:
    """That of a renderer's camera, for a picture of its size."""
    camera = renderer.GetActiveCamera()
    near, far = camera.GetClippingRange()
    projection = camera.GetProjectionTransformMatrix(renderer.GetTiledAspectRatio(), -1, 1)
    return Viewpoint(
        array_of(camera.GetModelViewTransformMatrix()), array_of(projection), near, far,
        tuple(renderer.GetSize()),
    )  # fmt: skip


def _lights_of(renderer: Any, view: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Direction toward each light in axes right, up and toward the eye, and its colour.

    A light at a place counts as one from far away in its direction.
    """
    lights, found = renderer.GetLights(), []
    lights.InitTraversal()
    while (light := lights.GetNextItem()) is not None:
        if not light.GetSwitch():
            continue
        toward = np.array(light.GetPosition()) - light.GetFocalPoint()
        if light.LightTypeIsHeadlight():
            toward = np.array([0.0, 0.0, 1.0])
        elif light.LightTypeIsSceneLight():
            toward = view[:3, :3] @ toward
        colour = light.GetIntensity() * np.array(light.GetDiffuseColor())
        found.append((toward / np.linalg.norm(toward), colour))
    return found


def reflected(
    lights: list[tuple[np.ndarray, np.ndarray]], surface: Any
) -> tuple[np.ndarray, np.ndarray]:
    """What a surface makes of its colour under lights, by the normal, as VTK's shaders do.

    Phong's model, seen along the line of sight: times a colour, and to be added [of 255].
    """
    if not lights:
        return headlight()
    n = normals()
    gain = np.full((len(n), 3), surface.GetAmbient())
    shine = np.zeros((len(n), 3))
    for toward, colour in lights:
        facing = n @ toward
        gain += surface.GetDiffuse() * np.maximum(facing, 0)[:, None] * colour
        mirrored = 2 * facing * n[:, 2] - toward[2]
        glint = np.where(facing > 0, np.maximum(mirrored, 1e-5) ** surface.GetSpecularPower(), 0)
        shine += 255 * surface.GetSpecular() * glint[:, None] * colour
    return gain, shine * surface.GetSpecularColor()


def _bounds(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest corner of the finite ones of x (n, 3)."""
    if not len(x):
        return np.zeros(3), np.zeros(3)
    even = len(x) // _BLOCK * _BLOCK
    rows, rest = x[:even].reshape(-1, 3 * _BLOCK), x[even:]  # long rows go faster
    low, high = (
        reduce(np.concatenate([reduce(rows, 0).reshape(-1, 3), rest]) if even else rest, 0)
        for reduce in (np.min, np.max)
    )
    if np.isfinite([low, high]).all():
        return low, high
    seen = x[np.isfinite(x).all(-1)]
    return (seen.min(0), seen.max(0)) if len(seen) else (np.zeros(3), np.zeros(3))
