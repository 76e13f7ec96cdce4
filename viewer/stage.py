# SPDX-License-Identifier: Apache-2.0
"""The drawn panels: bodies in their surroundings, moved from frame to frame."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from .display import chosen_window
from .drawing.bodies import Body, Surface, particles
from .drawing.cross import Cross
from .drawing.figure import Figure
from .drawing.flat import INK, draw, drawing, text
from .drawing.overlay import Overlay
from .drawing.strip import Strip, TimeStrip
from .drawing.surroundings import COLLIDER_COLOUR, Floor, Outline, collider, opacity, pose
from .looks import Looks, settled
from .observed.ghosts import Rings, caption
from .observed.tracked_film import FilmSheet
from .picked.inspector import Inspector
from .ranges import Ranges
from .view import View

_SKY = "#dbe4ee"
_DIVIDER = (196, 204, 213)
_DIRECTIONS = ((0.85, 0.42, 1.0), (0.0, 0.0, 1.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.001))
_ANGLE = 26.0
_FIT = 0.93
_STEEPEST = math.radians(88)
_MOST = 60_000


def quickly_drawn(view: View) -> int:
    """The most particles drawn in a panel by a GPU while a run plays."""
    return _MOST // len(view.sources)


def plotter_for(view: View, size: tuple[int, int], *, off_screen: bool) -> Any:
    """A plotter with a renderer for each panel and one for the strip; `size` in screen pixels."""
    import pyvista
    from vtkmodules.vtkRenderingCore import vtkMapper

    vtkMapper.SetResolveCoincidentTopologyToPolygonOffset()  # lines on a surface lie in front
    with chosen_window():
        plotter = pyvista.Plotter(
            off_screen=off_screen,
            notebook=False,
            shape=(1, len(view.sources) + 1),
            window_size=list(size),
            border=False,
        )
    window: Any = plotter.render_window
    window.SetMultiSamples(0)
    return plotter


class Stage:
    """All panels of a view in one plotter, and the strip below them.

    Args:
        plotter: with one renderer for each source and a last one for the strip.
        view: what is to be seen.
        pixels: screen pixels for one pixel of text and lines; 2 for pictures drawn at twice
            their size.
        most: the most particles drawn in a panel by a GPU, None for all.
        strip: what is below the panels, in the plotter's last renderer; None for a timeline.
    """

    def __init__(
        self,
        plotter: Any,
        view: View,
        *,
        pixels: int = 1,
        most: int | None = None,
        strip: Strip | None = None,
    ) -> None:
        self.plotter, self.view, self.pixels = plotter, view, pixels
        self.frame, self.field = 0, view.field
        self.size = (0, 0)
        self.top = 0.0
        self.bodies: list[Body] = [
            FilmSheet(source, pixels)
            if source.film is not None
            else particles(source, radius, plotter.renderers[panel], most)
            if source.cells is None
            else Surface(source, source.cells, pixels)
            for panel, (source, radius) in enumerate(zip(view.sources, view.radii, strict=True))
        ]
        self.looks = settled(None, view)
        self._ranges = Ranges(view)
        self._figures = [
            Figure(body, source, plotter.renderers[panel], pixels=pixels, most=most)
            for panel, (body, source) in enumerate(zip(self.bodies, view.sources, strict=True))
        ]
        self._overlay = Overlay(plotter.renderers[0], view, pixels)
        self._cross = Cross(plotter.renderers[0], pixels)
        self._box: list[Any] = []
        self._colliders: list[Any] = []
        self.floors: list[Floor | None] = []
        self._moving: list[tuple[int, dict, Any]] = []
        self._titles: list[Any] = []
        self._dividers: list[Any] = []
        self._rings: list[tuple[int, Rings]] = []
        self._headed: dict[int, tuple[str, int]] = {}
        for panel, body in enumerate(self.bodies):
            self._furnish(panel, body)
        self.strip = strip or TimeStrip(plotter.renderers[-1], view, pixels)
        self.inspector = Inspector(plotter, view, self.bodies, pixels)
        self.below = 0.0
        for extra in view.extras:
            extra.begin(self)
        self.lay_out()
        self.look(view.facing)
        self.show(0)

    @property
    def remark(self) -> str:
        """How many of the particles are drawn, where that is not all."""
        drawn = min(body.share for body in self.bodies)
        return f"{drawn:.0%} of the particles are drawn" if drawn < 1 else ""

    def _furnish(self, panel: int, body: Body) -> None:
        """Background, lights, surroundings and title of one panel."""
        plotter, view = self.plotter, self.view
        renderer = plotter.renderers[panel]
        plotter.subplot(0, panel)
        renderer.set_background("white", top=_SKY)
        domain = view.domains[panel]
        box = view.motion if domain is None else domain
        self._box.append(Outline(renderer, box, 1.2 * self.pixels))
        floor = None if domain is None else Floor(domain, view.upward)
        self.floors.append(floor)
        if floor is not None:
            self._box.append(
                plotter.add_mesh(
                    floor.mesh, texture=floor.texture, lighting=False, reset_camera=False
                )
            )
        for described in view.colliders[panel]:
            surface = collider(described, view.extent if domain is None else domain)
            if surface is None:
                continue
            actor = plotter.add_mesh(
                surface, color=COLLIDER_COLOUR, reset_camera=False,
                opacity=opacity(described, surface, view.sources[panel].positions(0)),
                ambient=0.35, diffuse=0.7,
                smooth_shading=described["kind"] in {"sphere", "capsule"},
            )  # fmt: skip
            self._colliders.append(actor)
            if "path" in described or "turn" in described:
                self._moving.append((panel, described, actor))
        for actor in body.actors:
            renderer.AddActor(actor)
        if view.sources[panel].ghost is not None:
            self._rings.append((panel, Rings(view.sources[panel], renderer, self.pixels)))
        if view.sources[panel].film is not None:
            caption(renderer, self.pixels, view.sources[panel].film.words)
        self._titles.append(text(renderer, self.pixels, 17, INK))
        self._dividers.append(drawing(renderer))

    def lay_out(self) -> None:
        """Fit the panels and the strip to the window: panels in rows, the strip below."""
        self.size = width, height = tuple(self.plotter.render_window.GetSize())
        below = 0.0 if self.view.bare else min(Strip.HEIGHT * self.pixels / height, 0.5)
        count = 1 if self.looks.overlay else len(self.view.sources)
        self.below, room = below, 1.0 - sum(extra.share for extra in self.view.extras)

        def size(columns: int) -> float:
            """Shorter side of a panel, taken as a little wider than high."""
            return min(room * width / columns / 1.2, (1 - below) * height / -(-count // columns))

        columns = max(range(1, count + 1), key=size)
        rows = -(-count // columns)
        for panel in range(count):
            row, column = divmod(panel, columns)
            across = min(columns, count - row * columns)
            wide, high = room / across, (1 - below) / rows
            corner = np.array([column * wide, 1 - (row + 1) * high])
            self.plotter.renderers[panel].SetViewport(*corner, corner[0] + wide, corner[1] + high)
            top = high * height - 36 * self.pixels
            self.top = high * height
            self._titles[panel].SetPosition(24 * self.pixels, top)
            self._head(panel)
            sides = [(0, self.pixels, high * height)] if column else []
            sides += [(0, wide * width, self.pixels)] if row < rows - 1 else []
            self._dividers[panel].actor.SetVisibility(bool(sides))
            if sides:
                shapes = [np.array([(x, 0), (w, 0), (w, h), (x, h)], float) for x, w, h in sides]
                draw(self._dividers[panel], [(shape, _DIVIDER) for shape in shapes])
        for panel, renderer in enumerate(self._panels):
            renderer.SetDraw(panel < count)
            renderer.SetInteractive(panel < count)
            if panel >= count:  # hidden, and of the size of what is shown
                renderer.SetViewport(*self._panels[0].GetViewport())
        bottom = self.plotter.renderers[len(self.view.sources)]
        bottom.SetViewport(0, 0, 1, below)
        bottom.SetDraw(not self.view.bare)
        self.strip.lay_out(width, round(below * height))
        for extra in self.view.extras:
            extra.lay_out(self)
        self.inspector.lay_out()

    def _head(self, panel: int) -> None:
        """Write the title of a panel and when its run ended, the title cut where both are too long.

        Whoever sees a still must be told that it is one, so that is what stays.
        """
        title, ended = self.view.sources[panel].title, self.view.ended(panel, self.frame)
        renderer, actor = self.plotter.renderers[panel], self._titles[panel]
        left, _, right, _ = renderer.viewport
        width = round((right - left) * self.size[0]) - 28 * self.pixels
        if self._headed.get(panel) == (ended, width):
            return
        self._headed[panel] = (ended, width)
        size = [0.0, 0.0]
        for length in range(len(title), -1, -1):
            cut = title if length == len(title) else f"{title[:length].rstrip()}..."
            actor.SetInput(f"{cut}, {ended}" if cut and ended else cut + ended)
            actor.GetSize(renderer, size)
            if size[0] <= width:
                break

    def dress(self, looks: Looks) -> None:
        """Take other looks, which `show` then draws; the camera stays."""
        before, self.looks = self.looks, looks
        if looks.overlay != before.overlay:
            self.lay_out()
        self._cross.show(looks.axes)
        self.inspector.dress(looks.shape == "surface")
        for part in self._box:
            part.SetVisibility(looks.box)
        for actor in self._colliders:
            actor.SetVisibility(looks.colliders)

    def toward(self) -> np.ndarray:
        """Direction to the eye, shape (3,)."""
        camera = self.plotter.renderers[0].camera
        return np.array(camera.position) - np.array(camera.focal_point)

    def look(self, preset: int) -> None:
        """Point the one camera of all panels: from a corner, two sides, or above (0 to 3)."""
        view = self.view
        low, high = view.extent
        centre, up = (low + high) / 2, view.upward
        right, _, forward = view.axes
        a, h, b = _DIRECTIONS[preset % len(_DIRECTIONS)]
        toward = a * right + h * up + b * forward
        toward /= np.linalg.norm(toward)
        upward = -forward if abs(toward @ up) > 0.99 else up
        across = np.cross(upward, toward)
        across /= np.linalg.norm(across)
        camera = self.plotter.renderers[0].camera
        camera.focal_point, camera.up, camera.view_angle = centre, upward, _ANGLE
        camera.position = centre + self._distance(toward, across) * toward
        for renderer in self._panels:
            renderer.camera = camera
            renderer.camera_set = True
            renderer.ResetCameraClippingRange()

    def turn(self, right: float, upward: float) -> None:
        """Move the camera around what it looks at, by angles [deg]; up stays up."""
        camera, up = self.plotter.renderers[0].camera, self.view.upward
        centre = np.array(camera.focal_point)
        arm = np.array(camera.position) - centre
        distance = float(np.linalg.norm(arm))
        height = math.asin(float(np.clip(arm @ up / distance, -1, 1)))
        flat = arm - (arm @ up) * up
        if np.linalg.norm(flat) < 1e-6 * distance:
            flat = -np.array(camera.up)
        flat /= np.linalg.norm(flat)
        around = math.radians(right)
        flat = math.cos(around) * flat + math.sin(around) * np.cross(up, flat)
        height = float(np.clip(height + math.radians(upward), -_STEEPEST, _STEEPEST))
        camera.up = up
        camera.position = centre + distance * (math.cos(height) * flat + math.sin(height) * up)
        self._reclip()

    def move(self, right: float, upward: float) -> None:
        """Move what is seen across the picture, by screen pixels."""
        camera = self.plotter.renderers[0].camera
        centre, place = np.array(camera.focal_point), np.array(camera.position)
        toward = centre - place
        distance = float(np.linalg.norm(toward))
        across = np.cross(toward / distance, camera.up)
        across /= np.linalg.norm(across)
        above = np.cross(across, toward / distance)
        pixel = 2 * distance * math.tan(math.radians(camera.view_angle / 2)) / self.top
        by = -pixel * (right * across + upward * above)
        camera.focal_point, camera.position = centre + by, place + by
        self._reclip()

    def approach(self, factor: float) -> None:
        """Go nearer to what is looked at, to its distance over a factor."""
        camera = self.plotter.renderers[0].camera
        centre = np.array(camera.focal_point)
        camera.position = centre + (np.array(camera.position) - centre) / factor
        self._reclip()

    def _reclip(self) -> None:
        for renderer in self._panels:
            renderer.ResetCameraClippingRange()

    @property
    def _panels(self) -> list[Any]:
        return [self.plotter.renderers[panel] for panel in range(len(self.view.sources))]

    def _distance(self, toward: np.ndarray, across: np.ndarray) -> float:
        """Distance [m] from which everything fits into the narrowest panel."""
        low, high = self.view.extent
        margin = 2 * max(self.view.radii)
        half = np.maximum((high - low) / 2 + margin, 1e-9)
        corners = half * np.array(list(itertools.product((-1, 1), repeat=3)))
        width, height = self.size
        sides = [renderer.viewport for renderer in self._panels]
        aspect = min((x1 - x0) * width / ((y1 - y0) * height) for x0, y0, x1, y1 in sides)
        slope = _FIT * math.tan(math.radians(_ANGLE / 2))
        above = np.abs(corners @ np.cross(toward, across)) / slope
        beside = np.abs(corners @ across) / (slope * aspect)
        return float((corners @ toward + np.maximum(above, beside)).max())

    def show(self, frame: int) -> None:
        """Show a frame of the timeline."""
        self.frame = int(np.clip(frame, 0, len(self.view.times) - 1))
        scale = self._ranges.scale(self.field, self.frame, self.looks)
        for panel, body in enumerate(self.bodies[:1] if self.looks.overlay else self.bodies):
            self._head(panel)
            own = int(self.view.frames[panel][self.frame])
            drawn = self._figures[panel].show(own, scale, self.looks)
            floor = self.floors[panel]
            if floor is not None:
                floor.shade(drawn, body.radius)
        for panel, rings in self._rings:
            rings.show(int(self.view.frames[panel][self.frame]))
        for panel, described, actor in self._moving:
            actor.user_matrix = pose(described, int(self.view.frames[panel][self.frame]))
        self._overlay.show(self.frame, scale, self.looks)
        if self.looks.overlay:
            width = self._panels[0].GetSize()[0] - 28 * self.pixels
            self._overlay.head(self._titles[0], width, self.frame)
        self.strip.span = self._ranges.words(self.field, self.looks)
        self.strip.show(self.frame, scale)
        self.inspector.show(self.frame, scale)
        for extra in self.view.extras:
            extra.show(self)

    def clear(self) -> None:
        """Take all that is drawn away, so that another stage can be made of the plotter."""
        self.inspector.end()
        for extra in self.view.extras:
            extra.end(self)
        for renderer in self.plotter.renderers:
            renderer.RemoveAllViewProps()
            renderer.RemoveObservers("StartEvent")  # by which some of that follows the camera
