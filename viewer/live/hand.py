# SPDX-License-Identifier: Apache-2.0
"""The mouse as a hand in a live run: it takes hold of a body and pulls it by a spring."""

from __future__ import annotations

from typing import Any

import numpy as np

from rheograd.engine.live import LiveRun

from ..drawing.flat import Polygon, disc, draw, drawing
from ..source import numpy_of
from ..view import View

_SPRING = (214, 96, 20)
_PALE = (255, 255, 255)
_NEAR = 1.25
_NODE = 0.75
"""Of the distance of nodes, how far beside one a mesh is still touched."""


class Hand:
    """Of one panel; places are in screen pixels of the window, from its lower left.

    Args:
        renderer: of the panel.
        run: whose bodies are pulled.
        view: of the run.
    """

    def __init__(self, renderer: Any, run: LiveRun, view: View) -> None:
        self._renderer, self._run = renderer, run
        mesh = view.sources[0].cells is not None
        self._radius = _NODE * run.stepper.model.spacing if mesh else _NEAR * view.radii[0]
        self._box = None if mesh else view.domains[0]
        self._names = run.stepper.model.body_names
        self._drawing = drawing(renderer)
        self._plane = (np.zeros(3), np.zeros(3))

    @property
    def holds(self) -> bool:
        """Whether it holds something."""
        return self._run.spring is not None

    def take(self, x: float, y: float) -> str:
        """Take hold of what is seen at a place; its name, empty where there is no body."""
        origin, along = self._ray(x, y)
        positions = numpy_of(self._run.state.x).astype(float) - origin
        ahead = positions @ along
        beside = np.square(positions).sum(1) - ahead**2
        hit = (beside < self._radius**2) & (ahead > 0)
        if not hit.any() or self._run.failure:
            return ""
        point = int(np.where(hit, ahead + beside / self._radius, np.inf).argmin())
        self._run.grab(point)
        place = positions[point] + origin
        camera = self._renderer.GetActiveCamera()
        self._plane = (place, np.array(camera.GetDirectionOfProjection()))
        return self._names[int(self._run.stepper.model.body[point])]

    def move(self, x: float, y: float) -> None:
        """Pull towards a place, in the plane through what is held that faces the camera."""
        origin, along = self._ray(x, y)
        place, facing = self._plane
        target = origin + along * ((place - origin) @ facing) / (along @ facing)
        if self._box is not None:  # particles cannot leave it
            target = np.clip(target, *self._box)
        self._run.drag(target.tolist())

    def let_go(self) -> None:
        """Let go of what is held."""
        self._run.release()

    def show(self) -> None:
        """Draw the spring, if any."""
        spring = self._run.spring
        self._drawing.actor.SetVisibility(spring is not None)
        if spring is None:
            return
        ends = np.array([self._pixel(spring.where(self._run.state.x)), self._pixel(spring.target)])
        draw(self._drawing, _line(*ends))

    def _ray(self, x: float, y: float) -> tuple[np.ndarray, np.ndarray]:
        """Where the line of sight through a place begins [m], and its direction."""
        ends = []
        for depth in (0.0, 1.0):
            self._renderer.SetDisplayPoint(x, y, depth)
            self._renderer.DisplayToWorld()
            point = np.array(self._renderer.GetWorldPoint())
            ends.append(point[:3] / point[3])
        along = ends[1] - ends[0]
        return ends[0], along / np.linalg.norm(along)

    def _pixel(self, place: Any) -> np.ndarray:
        """Where a place [m] is in the panel."""
        self._renderer.SetWorldPoint(*place, 1.0)
        self._renderer.WorldToDisplay()
        return np.array(self._renderer.GetDisplayPoint()[:2]) - self._renderer.GetOrigin()


def _line(start: np.ndarray, end: np.ndarray) -> list[Polygon]:
    """A line with a ring where it holds and a dot where it pulls."""
    along = end - start
    length = float(np.linalg.norm(along))
    across = np.array([-along[1], along[0]]) / max(length, 1e-9)
    shapes: list[Polygon] = []
    for width, colour in ((2.2, _PALE), (1.2, _SPRING)):
        side = width * across
        shapes.append((np.array([start - side, end - side, end + side, start + side]), colour))
    (a, b), (c, d) = start.tolist(), end.tolist()
    for radius, colour in ((6.5, _PALE), (5.5, _SPRING), (3.0, _PALE)):
        shapes.append((disc(a, b, radius), colour))
    for radius, colour in ((5.5, _PALE), (4.5, _SPRING)):
        shapes.append((disc(c, d, radius), colour))
    return shapes
