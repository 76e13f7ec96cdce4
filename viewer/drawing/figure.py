# SPDX-License-Identifier: Apache-2.0
"""One source as its looks have it: points, spheres or a skin, whole or cut open, or as a ghost."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..fields import Field, Scale
from ..looks import Clip, Looks
from ..source import Source, numpy_of
from .bodies import Body, Cloud, Surface, particles
from .section import Section
from .shading import ghostly, light

if TYPE_CHECKING:
    from .reconstruction import Reconstruction

DOT = 0.34
"""Radius of a point by that of a sphere."""
GHOST = 0.42
"""Opacity of a ghost."""
_NODE = 0.14
_WITHIN = 0.97
_SHADOW = 20_000
_SEED = 7


class Figure:
    """What one source shows in a panel.

    Args:
        body: that draws it as it is by nature, spheres or the surface of a mesh.
        source: what is shown.
        renderer: of the panel.
        pixels: screen pixels for one pixel of lines.
        most: the most particles drawn by a GPU, None for all.
        ghost: the colour of a ghost [of 255], None for one that is coloured by a field.
    """

    def __init__(
        self,
        body: Body,
        source: Source,
        renderer: Any,
        *,
        pixels: int,
        most: int | None,
        ghost: tuple[int, int, int] | None = None,
    ) -> None:
        self._body, self._source, self._renderer = body, source, renderer
        self._pixels, self._most, self._ghost = pixels, most, ghost
        self._solid = source.cells is not None and source.cells.kind.startswith(("tet", "hex"))
        self._skin: Reconstruction | None = None
        self._dots: Body | None = None
        self._section: Section | None = None
        self._some: np.ndarray | None = None
        self._haunt(body)

    def hide(self) -> None:
        """Draw nothing."""
        for actor in self._actors():
            actor.SetVisibility(False)

    def show(self, frame: int, scale: Scale, looks: Looks) -> np.ndarray:
        """Draw a frame; returns the centres (m, 3) [m] of the discs that cast the body's shadow."""
        if self._source.film is not None:  # has a look of its own
            return self._body.show(frame, scale)
        self.hide()
        if self._source.cells is None:
            return self._show_particles(frame, scale, looks)
        if looks.shape == "points":
            return self._show_nodes(frame, scale, looks.clip)
        return self._show_mesh(frame, scale, looks)

    def _actors(self) -> list[Any]:
        parts = (self._body.actors, self._dots.actors if self._dots is not None else ())
        others = [part.actor for part in (self._skin, self._section) if part is not None]
        if self._section is not None and self._section.edges is not None:
            others.append(self._section.edges)
        return [*parts[0], *parts[1], *others]

    def _haunt(self, body: Body) -> None:
        """Make a body a ghost, if this is one."""
        if self._ghost is None:
            return
        body.tint = self._ghost
        if isinstance(body, Cloud):
            body.splatter.actor.ForceOpaqueOff()
            body.splatter.actor.ForceTranslucentOn()
            body.splatter.actor.GetProperty().SetOpacity(GHOST)
        else:
            ghostly(body.actors[0], self._ghost, GHOST)

    def _show_particles(self, frame: int, scale: Scale, looks: Looks) -> np.ndarray:
        """As spheres, dots, or a skin with spheres where that is too thin."""
        kept = _kept(self._source.positions(frame), looks.clip)
        body, shape = self._body, looks.shape
        body.drawn, body.grain = kept, DOT if shape == "points" else 1.0
        if self._ghost is not None:  # where it is as the other, that is what is seen
            body.grain *= _WITHIN
        self._light(body, flat=shape == "points")
        for actor in body.actors:
            actor.SetVisibility(True)
        if shape != "surface":
            return body.show(frame, scale)
        if self._skin is None:
            from .reconstruction import Reconstruction  # and with it Warp

            self._skin = Reconstruction(self._source)
            if self._ghost is not None:
                ghostly(self._skin.actor, self._ghost, GHOST)
            self._renderer.AddActor(self._skin.actor)
        covered = self._skin.show(frame, scale, looks.clip)
        self._skin.actor.SetVisibility(True)
        body.drawn = ~covered if kept is None else kept & ~covered
        body.show(frame, scale)
        return self._shaded(frame, kept)

    def _shaded(self, frame: int, kept: np.ndarray | None) -> np.ndarray:
        """Positions of those that cast the shadow under a skin, (m, 3) [m]."""
        x = self._source.positions(frame)
        if self._some is None:
            self._some = self._chosen(len(x))
        some = x[self._some]
        seen = np.isfinite(some).all(-1)
        return some[seen if kept is None else seen & kept[self._some]]

    def _chosen(self, count: int) -> np.ndarray:
        """As many of `count` particles as cast the shadow of spheres."""
        many = (
            min(count, _SHADOW) if isinstance(self._body, Cloud) else int(count * self._body.share)
        )
        return np.sort(np.random.default_rng(_SEED).choice(count, many, replace=False))

    def _show_nodes(self, frame: int, scale: Scale, clip: Clip | None) -> np.ndarray:
        """The nodes of a mesh as dots."""
        if self._dots is None:
            radius = _NODE * (self._source.spacing or 0.01)
            if self._ghost is None:
                self._dots = particles(self._source, radius, self._renderer, self._most)
            else:
                self._dots = Cloud(self._source, radius, self._renderer)
            self._haunt(self._dots)
            self._light(self._dots, flat=True)
            for actor in self._dots.actors:
                self._renderer.AddActor(actor)
        for actor in self._dots.actors:
            actor.SetVisibility(True)
        self._dots.drawn = _kept(self._source.positions(frame), clip)
        self._dots.show(frame, _on_nodes(scale))
        shadow = self._body.show(frame, scale)
        kept = _kept(shadow, clip)
        return shadow if kept is None else shadow[kept]

    def _show_mesh(self, frame: int, scale: Scale, looks: Looks) -> np.ndarray:
        """The surface of a mesh, cut open where there is a clip plane."""
        shadow = self._body.show(frame, scale)
        surface, *edges = self._body.actors
        surface.SetVisibility(True)
        for actor in edges:
            actor.SetVisibility(looks.edges and self._ghost is None)
        cut = looks.clip
        for actor in self._body.actors:
            actor.GetMapper().RemoveAllClippingPlanes()
        if cut is None:
            return shadow
        section = self._section = self._section or Section(self._source, self._pixels)
        section.place(cut)
        for actor in self._body.actors:
            actor.GetMapper().AddClippingPlane(section.plane)
        if self._solid:
            if not self._renderer.HasViewProp(section.actor):
                for actor in filter(None, (section.actor, section.edges)):
                    self._renderer.AddActor(actor)
                if self._ghost is not None:
                    ghostly(section.actor, self._ghost, GHOST)
            section.actor.SetVisibility(True)
            if section.edges is not None:
                section.edges.SetVisibility(looks.edges and self._ghost is None)
            section.show(frame, scale)
        kept = _kept(shadow, cut)
        return shadow if kept is None else shadow[kept]

    @staticmethod
    def _light(body: Body, *, flat: bool) -> None:
        for actor in body.actors:
            light(actor, flat=flat)


def ghost(
    source: Source, radius: float, renderer: Any, pixels: int, colour: tuple[int, int, int]
) -> Figure:
    """A figure of one colour that what is behind it shows through.

    Its particles are drawn by Warp, with a GPU too: of spheres of OpenGL too many would lie over
    one another to see through.
    """
    body: Body
    if source.cells is None:
        body = Cloud(source, radius, renderer)
    else:
        body = Surface(source, source.cells, pixels)
    for actor in body.actors:
        renderer.AddActor(actor)
    return Figure(body, source, renderer, pixels=pixels, most=None, ghost=colour)


def _kept(x: np.ndarray, clip: Clip | None) -> np.ndarray | None:
    """Which of x (n, 3) a clip keeps, shape (n,); None for all."""
    return None if clip is None else clip.depth(x) >= 0


def _on_nodes(scale: Scale) -> Scale:
    """The scale with values of nodes instead of cells: the mean of the cells around each."""
    field = scale.field
    if not field.on_cells:
        return scale

    def values(source: Source, frame: int) -> np.ndarray:
        nodes = numpy_of(source.cells.nodes)
        own = np.asarray(field.values(source, frame), float)
        total = np.bincount(nodes.ravel(), np.repeat(own, nodes.shape[1]), source.particles)
        count = np.bincount(nodes.ravel(), minlength=source.particles)
        with np.errstate(invalid="ignore", divide="ignore"):
            return total / count

    return replace(scale, field=_relocated(field, values))


def _relocated(field: Field, values: Any) -> Field:
    return replace(field, values=values, on_cells=False)
