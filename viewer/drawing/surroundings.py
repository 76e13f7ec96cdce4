# SPDX-License-Identifier: Apache-2.0
"""What stands around the particles: the box of the domain, its floor, and colliders."""

from __future__ import annotations

import itertools
import math
import warnings
from typing import Any

import numpy as np

OUTLINE_COLOUR = "#9aa5b1"
COLLIDER_COLOUR = "#b9c0c8"
_FLOOR = np.array([243, 244, 246], float)
_LINE = 0.945
_PIXELS = 256
_DARKEST = 0.42
_FADE = 0.9
_BELOW = 2e-3
_GRIP, _PLANE = 0.4, 0.75
_FROM_BELOW = 0.22
"""Opacity of the floor while the camera is beneath it."""


class Outline:
    """Edges of a box; faces turned to the camera leave theirs out, so that none crosses the view.

    Args:
        renderer: where it is drawn.
        box: lowest and highest corner [m], (2, 3).
        width: of the lines, in screen pixels.
    """

    def __init__(self, renderer: Any, box: np.ndarray, width: float) -> None:
        import pyvista
        from vtkmodules.vtkRenderingCore import vtkActor, vtkPolyDataMapper

        self._renderer, self._faces = renderer, []
        self._shown = True
        for axis, side in itertools.product(range(3), range(2)):
            corners = np.repeat(box[side][None], 5, 0)
            corners[:, axis - 1] = box[[0, 1, 1, 0, 0], axis - 1]
            corners[:, axis - 2] = box[[0, 0, 1, 1, 0], axis - 2]
            mapper, actor = vtkPolyDataMapper(), vtkActor()
            mapper.SetInputData(pyvista.lines_from_points(corners))
            actor.SetMapper(mapper)
            actor.GetProperty().SetColor(*pyvista.Color(OUTLINE_COLOUR).float_rgb)
            actor.GetProperty().SetLineWidth(width)
            actor.GetProperty().LightingOff()
            actor.PickableOff()
            renderer.AddActor(actor)
            self._faces.append((axis, side, float(box[side, axis]), actor))
        renderer.AddObserver("StartEvent", self._turn)

    def _turn(self, *_: Any) -> None:
        """Hide the faces that the camera sees from outside."""
        position = self._renderer.GetActiveCamera().GetPosition()
        for axis, side, place, actor in self._faces:
            outside = position[axis] > place if side else position[axis] < place
            actor.SetVisibility(self._shown and not outside)

    def SetVisibility(self, shown: bool) -> None:
        """Show it, or do not."""
        self._shown = shown


class Floor:
    """The bottom of the domain, with the soft shadow of the particles under light from above.

    From beneath it is translucent, so that it hides nothing.
    """

    def __init__(self, box: np.ndarray, upward: np.ndarray) -> None:
        import pyvista

        low, high = box
        up = int(np.abs(upward).argmax())
        self._sense = float(upward[up])
        ground = float(low[up] if self._sense > 0 else high[up])
        self.axes = tuple(axis for axis in range(3) if axis != up)
        self._low, self._size = low[list(self.axes)], (high - low)[list(self.axes)]
        self._up, self._ground = up, ground
        counts = np.maximum(np.round(_PIXELS * self._size / self._size.max()), 8).astype(int)
        self._counts = (int(counts[0]), int(counts[1]))
        self._blur = max(1, round(0.018 * _PIXELS))
        self._base = _grid_lines(self._counts, self._size)
        corners = np.zeros((4, 3))
        corners[:, up] = ground - self._sense * _BELOW * self._size.max()
        for axis, across in zip(self.axes, ((0, 1, 1, 0), (0, 0, 1, 1)), strict=True):
            corners[:, axis] = np.where(across, high[axis], low[axis])
        self.mesh = pyvista.PolyData(corners, faces=[4, 0, 1, 2, 3])
        self.mesh.active_texture_coordinates = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], float)
        self.texture = pyvista.Texture(self._picture(np.empty((0, 3)), 0.0))

    def put_up(self, plotter: Any) -> Any:
        """Draw it in the current panel of a plotter; returns its actor."""
        actor = plotter.add_mesh(
            self.mesh, texture=self.texture, lighting=False, reset_camera=False
        )
        renderer = plotter.renderer

        def turn(*_: Any) -> None:
            eye = renderer.GetActiveCamera().GetPosition()[self._up]
            below = self._sense * (eye - self._ground) < 0
            actor.GetProperty().SetOpacity(_FROM_BELOW if below else 1.0)

        renderer.AddObserver("StartEvent", turn)
        return actor

    def shade(self, positions: np.ndarray, radius: float) -> None:
        """Cast the shadow of particles at `positions` (n, 3) [m]."""
        from vtkmodules.util.numpy_support import vtk_to_numpy

        picture = self._picture(positions, radius)
        image = self.texture.GetInput()
        held = vtk_to_numpy(image.GetPointData().GetScalars())
        held[:] = picture[::-1].reshape(held.shape)
        image.GetPointData().GetScalars().Modified()
        image.Modified()
        self.texture.Modified()

    def _picture(self, positions: np.ndarray, radius: float) -> np.ndarray:
        """Colours (rows, columns, 3), uint8, seen from above."""
        across, along = self._counts
        if not len(positions):
            return self._base.astype(np.uint8)
        unit = (positions[:, list(self.axes)] - self._low) / self._size
        index = np.floor(unit * self._counts).astype(int)
        inside = ((index >= 0) & (index < self._counts)).all(-1)
        flat = index[inside, 1] * across + index[inside, 0]
        height = self._sense * (positions[inside, self._up] - self._ground)
        above = height / (_FADE * self._size.max())
        weight = 1 / (1 + np.maximum(above, 0)) ** 3
        hits = np.bincount(flat, weight, across * along).reshape(along, across).astype(np.float32)
        pixel = self._size.max() / _PIXELS
        covered = hits * math.pi * (radius / pixel) ** 2
        reach = max(1, round(radius / pixel))
        covered = _blurred(covered, reach)
        dark = 1 - _DARKEST * _blurred(1 - np.exp(-0.7 * covered), self._blur)
        return (self._base * dark[::-1, :, None]).astype(np.uint8)


def _grid_lines(counts: tuple[int, int], size: np.ndarray) -> np.ndarray:
    """A pale floor (rows, columns, 3) with a line at every tenth of its longer side."""
    across, along = counts
    step = size.max() / 10
    dark = np.ones((along, across))
    for axis, count in enumerate(counts):
        place = (np.arange(count) + 0.5) / count * size[axis]
        on_line = np.floor(place / step) != np.floor((place - size[axis] / count) / step)
        on_line[0] = False
        shade = np.where(on_line, _LINE, 1.0)
        dark *= shade[None, :] if axis == 0 else shade[::-1, None]
    return _FLOOR * dark[..., None]


def _blurred(picture: np.ndarray, reach: int) -> np.ndarray:
    """Two running means along both axes: close to a Gaussian of that many pixels."""
    from scipy.ndimage import uniform_filter

    for _ in range(2):
        picture = uniform_filter(picture, 2 * reach + 1, mode="constant")
    return picture


def collider(described: dict[str, Any], box: np.ndarray) -> Any:
    """Surface of a collider of the metadata, or None with a warning where it cannot be drawn."""
    import pyvista

    try:
        kind = described["kind"]
        if kind == "sphere":
            return pyvista.Sphere(
                radius=described["radius"], center=described["centre"],
                theta_resolution=48, phi_resolution=48,
            )  # fmt: skip
        if kind == "box":
            half = np.array(described["size"], float) / 2
            centre = np.array(described["centre"], float)
            return pyvista.Box(np.stack([centre - half, centre + half], -1).ravel().tolist())
        if kind == "capsule":
            ends = np.array([described["start"], described["end"]], float)
            length = float(np.linalg.norm(ends[1] - ends[0]))
            axis = (ends[1] - ends[0]) / (length or 1.0)
            return pyvista.Capsule(
                center=ends.mean(0), direction=axis, radius=described["radius"],
                cylinder_length=length, resolution=48,
            )  # fmt: skip
        if kind == "mesh":
            faces = np.array(described["faces"], int)
            padded = np.concatenate([np.full((len(faces), 1), 3), faces], 1)
            return pyvista.PolyData(np.array(described["vertices"], float), padded.ravel())
        if kind == "plane":
            return _plane(np.array(described["point"], float), described["normal"], box)
    except (KeyError, TypeError, ValueError):
        pass
    warnings.warn(
        f"a collider is left out of the picture: got {str(described)[:80]}, expected the kind "
        "plane, sphere, box, capsule or mesh with its measures",
        stacklevel=2,
    )
    return None


def opacity(described: dict[str, Any], surface: Any, x: np.ndarray) -> float:
    """Of a collider with a surface, among particles x (n, 3) [m]: a grip shows what it holds."""
    if holds(surface, x):
        return _GRIP
    return _PLANE if described["kind"] == "plane" else 1.0


def holds(surface: Any, x: np.ndarray) -> bool:
    """Whether a collider is a grip: particles x (n, 3) lie within its bounds."""
    low, high = np.reshape(surface.bounds, (3, 2)).T
    margin = 0.05 * (high - low)
    return bool(((x > low + margin) & (x < high - margin)).all(-1).any())


def _plane(point: np.ndarray, normal: Any, box: np.ndarray) -> Any:
    """The part of a plane inside a box."""
    import pyvista

    outward = np.array(normal, float)
    outward /= np.linalg.norm(outward)
    middle, size = box.mean(0), float(np.linalg.norm(box[1] - box[0]))
    centre = middle - outward * ((middle - point) @ outward)
    whole = pyvista.Plane(
        center=centre, direction=outward, i_size=3 * size, j_size=3 * size,
        i_resolution=1, j_resolution=1,
    )  # fmt: skip
    for axis, side in itertools.product(range(3), range(2)):
        away = np.zeros(3)
        away[axis] = 1.0 if side else -1.0
        whole = whole.clip(normal=away, origin=box[side], invert=True)
    return whole


def pose(described: dict[str, Any], frame: int) -> np.ndarray:
    """Where a collider that moves stands at a frame, as a matrix (4, 4) from its place at first."""
    matrix = np.eye(4)
    path, turn = described.get("path"), described.get("turn")
    if turn:
        x, y, z, w = turn[min(frame, len(turn) - 1)]
        skew = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
        centre = np.array(described.get("centre", (0.0, 0.0, 0.0)), float)
        matrix[:3, :3] = np.eye(3) + 2 * w * skew + 2 * skew @ skew
        matrix[:3, 3] = centre - matrix[:3, :3] @ centre
    if path:
        matrix[:3, 3] += path[min(frame, len(path) - 1)]
    return matrix
