# SPDX-License-Identifier: Apache-2.0
"""A run as an animated scene of glTF 2.0, as browsers, Blender and slides play it.

Only the core of glTF is used: a node with a mesh for each frame, of which the animation shows one
at a time by its scale, 0 or 1 (STEP), so that shapes and colours are exactly those of the frames
and no two of them mix. Meshes are their surface with the edges of cells as lines; particles are
small spheres of twenty triangles, or points where these would be too many. Colours are those of a
field, at the vertices. Colliders move by translation and rotation. Up is y, lengths are metres.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..drawing.shading import EDGE
from ..drawing.skin import skin
from ..drawing.surroundings import COLLIDER_COLOUR, OUTLINE_COLOUR, collider, opacity, pose
from ..fields import Scale
from ..palettes import colour, rgb
from ..source import Source, numpy_of
from ..view import View
from .glb import INDICES, LINES, POINTS, TRIANGLES, VERTICES, Glb

LARGEST = 1 << 30
"""Bytes of a file at most: it is put together in memory, here and by whoever opens it."""
_SPHERES = 1 << 27
_RATE = 30.0
_APART = 1.15
_WORD = 4


class Shape(ABC):
    """What of a source is the same in all frames, and its vertices in one of them.

    Args:
        source: of the bodies.
        glb: the file.
    """

    kind: str
    """What the bodies are drawn as."""
    vertex: int
    """Bytes of one frame."""

    def __init__(self, source: Source, glb: Glb) -> None:
        self.source, self.glb = source, glb

    @abstractmethod
    def primitives(self, x: np.ndarray, colours: np.ndarray, on_cells: bool) -> list[dict]:
        """Primitives of a frame from positions x (n, 3) [m] and colours (n or e, 4), uint8."""


class Mesh(Shape):
    """The surface of a mesh."""

    kind = "meshes"

    def __init__(self, source: Source, glb: Glb, on_cells: bool) -> None:
        super().__init__(source, glb)
        assert source.cells is not None
        found = skin(source.cells.kind, numpy_of(source.cells.nodes))
        self._points, triangles, edges = found.points, found.triangles, found.edges
        self._owners = np.zeros(0, np.int64)
        if on_cells:  # a vertex for each corner of each triangle, which have one colour
            parts = [np.arange(len(f)) for f in found.facets]
            starts = np.cumsum([0, *(len(f) for f in found.facets)])[:-1]
            cut = [
                start + part
                for start, part, f in zip(starts, parts, found.facets, strict=True)
                for _ in range(f.shape[1] - 2)
            ]
            self._owners = np.repeat(found.owners[np.concatenate(cut)], 3)
            first = np.zeros(len(found.points), np.int64)
            first[triangles.ravel()[::-1]] = np.arange(triangles.size)[::-1]
            self._points, edges = found.points[triangles.ravel()], first[edges]
            triangles = np.arange(triangles.size).reshape(-1, 3)
        self._x = np.zeros((len(self._points), 3), np.float32)
        self._faces = glb.array(triangles.ravel().astype(np.uint32), INDICES)
        self._lines = glb.array(edges.ravel().astype(np.uint32), INDICES)
        self._face, self._line = _material(glb, (1, 1, 1)), _material(glb, EDGE)
        self.vertex = len(self._points) * 4 * _WORD

    def primitives(self, x: np.ndarray, colours: np.ndarray, on_cells: bool) -> list[dict]:
        """See `Shape.primitives`; a node that is not seen stays where it was."""
        x = x[self._points]
        seen = np.isfinite(x).all(-1)
        self._x[seen] = x[seen]
        shown = colours[self._owners] if on_cells else colours[self._points]
        at = self.glb.array(self._x.copy(), VERTICES)
        tint = self.glb.array(shown, VERTICES)
        return [
            {"attributes": {"POSITION": at, "COLOR_0": tint}, "indices": self._faces,
             "material": self._face, "mode": TRIANGLES},
            {"attributes": {"POSITION": at}, "indices": self._lines, "material": self._line,
             "mode": LINES},
        ]  # fmt: skip


class Dots(Shape):
    """Particles as points, one pixel or more of who shows them."""

    kind = "points"

    def __init__(self, source: Source, glb: Glb) -> None:
        super().__init__(source, glb)
        self._material = _material(glb, (1, 1, 1))
        self.vertex = source.particles * 4 * _WORD

    def primitives(self, x: np.ndarray, colours: np.ndarray, on_cells: bool) -> list[dict]:
        """See `Shape.primitives`; what is not seen is left out."""
        seen = np.isfinite(x).all(-1)
        if not seen.any():
            return []
        at = self.glb.array(x[seen].astype(np.float32), VERTICES)
        tint = self.glb.array(colours[seen], VERTICES)
        return [{
            "attributes": {"POSITION": at, "COLOR_0": tint}, "material": self._material,
            "mode": POINTS,
        }]  # fmt: skip


class Balls(Shape):
    """Particles as spheres: icosahedra with the normals of a sphere, the same in all frames."""

    kind = "spheres"

    def __init__(self, source: Source, glb: Glb, radius: float) -> None:
        super().__init__(source, glb)
        corners, faces = icosahedron()
        self._corners, count = (radius * corners).astype(np.float32), source.particles
        shift = len(corners) * np.arange(count, dtype=np.uint32)[:, None, None]
        self._faces = (faces[None].astype(np.uint32) + shift).reshape(-1)
        self._normals = np.tile(corners.astype(np.float32), (count, 1))
        self._shared = [
            self._held(self._faces, INDICES), self._held(self._normals, VERTICES)
        ]  # fmt: skip
        self._material = _material(glb, (1, 1, 1))
        self.vertex = count * len(corners) * 4 * _WORD

    def _held(self, values: np.ndarray, use: int) -> tuple[int, dict[int, int]]:
        """The buffer of an array, and its accessors by how many rows they have."""
        number = self.glb.array(values, use)
        view = self.glb.content["accessors"][number]["bufferView"]
        return view, {len(values): number}

    def _first(self, which: int, values: np.ndarray, count: int) -> int:
        view, known = self._shared[which]
        if count not in known:
            known[count] = self.glb.part(view, values, count)
        return known[count]

    def primitives(self, x: np.ndarray, colours: np.ndarray, on_cells: bool) -> list[dict]:
        """See `Shape.primitives`; what is not seen is left out."""
        seen = np.isfinite(x).all(-1)
        count, many = int(seen.sum()), len(self._corners)
        if not count:
            return []
        at = x[seen].astype(np.float32)[:, None] + self._corners
        attributes = {
            "POSITION": self.glb.array(at.reshape(-1, 3), VERTICES),
            "NORMAL": self._first(1, self._normals, count * many),
            "COLOR_0": self.glb.array(np.repeat(colours[seen], many, 0), VERTICES),
        }
        per = len(self._faces) // self.source.particles
        return [{
            "attributes": attributes, "indices": self._first(0, self._faces, count * per),
            "material": self._material, "mode": TRIANGLES,
        }]  # fmt: skip


def scene_of(
    view: View,
    places: Sequence[int],
    field: str | None = None,
    *,
    speed: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Glb, tuple[str, ...]]:
    """Some frames of a view.

    Args:
        view: what is seen; several runs stand side by side.
        places: of the timeline, increasing; one alone is a still.
        field: what to colour by, by default that of the view.
        speed: seconds of the run in a second of the animation; by default a thirtieth of a second
            for each frame.
        progress: called with the number of frames done and their total.

    Returns:
        The file, and what bodies are in it: meshes, spheres or points.

    Raises:
        ValueError: The file would be larger than `LARGEST`.
    """
    glb, scale = Glb("rheograd"), view.scale(field or view.field)
    moves = _Moves(glb, _clock(view, places, speed))
    shapes = _shapes(view, glb, places, scale.field.on_cells)
    roots, done = [], 0
    total = sum(len(_spans(view, panel, places)) for panel in range(len(shapes)))
    for panel, shape in enumerate(shapes):
        children = []
        for own, start, stop in _spans(view, panel, places):
            node = _frame(glb, f"frame {own}", _drawn(shape, own, scale), start)
            moves.show(node, start, stop)
            children.append(node)
            done += 1
            if progress is not None:
                progress(done, total)
        children += _surroundings(view, panel, places, moves)
        roots.append(_panel(view, panel, glb, children))
    turn = glb.add("nodes", name="run", rotation=_turn(view).tolist(), children=roots)
    if moves.channels:
        seconds = float(view.times[places[-1]] - view.times[places[0]])
        glb.add(
            "animations", name="run", channels=moves.channels, samplers=moves.samplers,
            extras={"seconds": seconds},
        )  # fmt: skip
    told = {"colours": scale.label, "limits": list(scale.limits)}
    glb.content["scene"] = glb.add("scenes", nodes=[turn], extras=told)
    return glb, tuple(dict.fromkeys(shape.kind for shape in shapes))


def _drawn(shape: Shape, frame: int, scale: Scale) -> list[dict]:
    """Primitives of a frame of a source, in the colours of a scale."""
    source, field = shape.source, scale.field
    values = np.asarray(field.values(source, frame), float)
    colours = _linear(colour(values, field.table, scale.limits))
    return shape.primitives(source.positions(frame), colours, field.on_cells)


def _shapes(view: View, glb: Glb, places: Sequence[int], on_cells: bool) -> list[Shape]:
    """One for each source; spheres where there is room for them."""
    spans = [len(_spans(view, panel, places)) for panel in range(len(view.sources))]
    corners = len(icosahedron()[0])
    solid = sum(
        many * source.particles * corners * 4 * _WORD
        for many, source in zip(spans, view.sources, strict=True)
        if source.cells is None
    )
    shapes: list[Shape] = []
    for source, radius in zip(view.sources, view.radii, strict=True):
        if source.cells is not None:
            shapes.append(Mesh(source, glb, on_cells))
        else:
            few = solid <= _SPHERES
            shapes.append(Balls(source, glb, radius) if few else Dots(source, glb))
    size = sum(many * shape.vertex for many, shape in zip(spans, shapes, strict=True))
    if size > LARGEST:
        fitting = max(LARGEST * len(places) // size, 1)
        every = -(-len(places) // fitting)
        raise ValueError(
            f"an animation in one file: got {len(places)} frames, which take"
            f" {size / 2**30:.1f} GiB, expected {LARGEST / 2**30:g} GiB at most; take every"
            f" {every}th of them or fewer (--every {every}), or a part (--frames FIRST,LAST), or"
            " write a series for ParaView, which has no limit (.pvd)"
        )
    return shapes


def _clock(view: View, places: Sequence[int], speed: float | None) -> np.ndarray:
    """When each frame begins, and the last ends [s of the animation], shape (k + 1,)."""
    if speed is not None and not speed > 0:
        raise ValueError(f"an animation: got speed {speed}, expected a positive number")
    if len(places) < 2:
        return np.array([0.0, 1 / _RATE])
    if speed is None:
        return np.arange(len(places) + 1) / _RATE
    times = (view.times[list(places)] - view.times[places[0]]) / speed
    return np.append(times, 2 * times[-1] - times[-2])


def _spans(view: View, panel: int, places: Sequence[int]) -> list[tuple[int, int, int]]:
    """Frames of a source, and from which to before which of the places each is shown."""
    own = [int(view.frames[panel][place]) for place in places]
    starts = [k for k in range(len(own)) if k == 0 or own[k] != own[k - 1]]
    return [(own[a], a, b) for a, b in itertools.pairwise([*starts, len(own)])]


def _frame(glb: Glb, name: str, primitives: list[dict], start: int) -> int:
    """A node of what is drawn, if anything is; hidden at first but for the first frame."""
    more: dict[str, Any] = {"scale": [0.0, 0.0, 0.0]} if start else {}
    if primitives:
        more["mesh"] = glb.add("meshes", name=name, primitives=primitives)
    return glb.add("nodes", name=name, **more)


class _Moves:
    """What the animation does to nodes.

    Args:
        glb: the file.
        clock: when each of k frames begins, and the last ends [s of the animation], (k + 1,).
    """

    def __init__(self, glb: Glb, clock: np.ndarray) -> None:
        self.glb, self.clock = glb, clock
        self.channels: list[dict] = []
        self.samplers: list[dict] = []

    def show(self, node: int, start: int, stop: int) -> None:
        """Have a node shown from a frame to before another, and hidden otherwise."""
        last = len(self.clock) - 1
        if start == 0 and stop == last:
            return
        steps = [(0, 0.0)] if start else []
        steps += [(start, 1.0), (stop, 0.0 if stop < last else 1.0)]
        frames, scales = zip(*steps, strict=True)
        self.add(node, "scale", self.clock[list(frames)], np.outer(scales, np.ones(3)))

    def add(self, node: int, what: str, times: np.ndarray, values: np.ndarray) -> None:
        """Have a node take values (k, w) at times (k,) [s of the animation]."""
        source = self.glb.array(times.astype(np.float32))
        output = self.glb.array(values.astype(np.float32))
        self.samplers.append({"input": source, "output": output, "interpolation": "STEP"})
        target = {"node": node, "path": what}
        self.channels.append({"sampler": len(self.samplers) - 1, "target": target})


def _panel(view: View, panel: int, glb: Glb, children: list[int]) -> int:
    """What one source shows, beside those before it."""
    right, _, _ = view.axes
    width = float(np.abs((view.extent[1] - view.extent[0]) @ right))
    shift = (_APART * width * panel * right).tolist()
    title = view.sources[panel].title or f"run {panel + 1}"
    return glb.add("nodes", name=title, translation=shift, children=children)


def _surroundings(view: View, panel: int, places: Sequence[int], moves: _Moves) -> list[int]:
    """Nodes of the box of the domain and of colliders."""
    glb, nodes, domain = moves.glb, [], view.domains[panel]
    if domain is not None:
        corners = np.array(list(itertools.product(*domain.T)), np.float32)
        ends = np.array([(a, b) for a in range(8) for b in range(a) if (a ^ b) in (1, 2, 4)])
        tint = _material(glb, _rgb(OUTLINE_COLOUR))
        nodes.append(_frame(glb, "domain", [_solid(glb, corners, ends, tint, LINES)], 0))
    for described in view.colliders[panel]:
        surface = collider(described, view.extent if domain is None else domain)
        if surface is None:
            continue
        through = opacity(described, surface, view.sources[panel].positions(0))
        tint, cut = _material(glb, _rgb(COLLIDER_COLOUR), through), surface.triangulate()
        faces = cut.faces.reshape(-1, 4)[:, 1:]
        node = _frame(glb, described["kind"], [_solid(glb, cut.points, faces, tint, TRIANGLES)], 0)
        nodes.append(node)
        if "path" in described or "turn" in described:
            _move(node, [pose(described, int(view.frames[panel][k])) for k in places], moves)
    return nodes


def _solid(glb: Glb, x: np.ndarray, parts: np.ndarray, material: int, mode: int) -> dict:
    """A primitive of one colour, from its corners (n, 3) [m] and parts (k, w)."""
    return {
        "attributes": {"POSITION": glb.array(np.asarray(x, np.float32), VERTICES)},
        "indices": glb.array(parts.ravel().astype(np.uint32), INDICES),
        "material": material, "mode": mode,
    }  # fmt: skip


def _move(node: int, poses: list[np.ndarray], moves: _Moves) -> None:
    """Put a node through poses (4, 4), one a frame."""
    from scipy.spatial.transform import Rotation

    turns = Rotation.from_matrix(np.stack([matrix[:3, :3] for matrix in poses])).as_quat()
    places = np.stack([matrix[:3, 3] for matrix in poses])
    described = moves.glb.content["nodes"][node]
    described["rotation"], described["translation"] = turns[0].tolist(), places[0].tolist()
    if len(poses) > 1:
        for what, values in (("rotation", turns), ("translation", places)):
            moves.add(node, what, moves.clock[:-1], values)


def _material(glb: Glb, tint: Sequence[float], opacity: float = 1.0) -> int:
    """A dull surface of a colour, seen from both sides."""
    base = _to_linear(np.array(tint, float)).tolist()
    described: dict[str, Any] = {
        "pbrMetallicRoughness": {
            "baseColorFactor": [*base, opacity], "metallicFactor": 0.0, "roughnessFactor": 0.75
        },
        "doubleSided": True,
    }  # fmt: skip
    if opacity < 1:
        described["alphaMode"] = "BLEND"
    return glb.add("materials", **described)


def _to_linear(srgb: np.ndarray) -> np.ndarray:
    """Colours from 0 to 1 as glTF has them: in proportion to light."""
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


_LINEAR = np.round(255 * _to_linear(np.arange(256) / 255)).astype(np.uint8)


def _linear(colours: np.ndarray) -> np.ndarray:
    """Colours (n, 3), uint8, of a screen as (n, 4), uint8, of glTF."""
    opaque = np.full((len(colours), 1), 255, np.uint8)
    return np.concatenate([_LINEAR[colours], opaque], 1)


def _rgb(code: str) -> tuple[float, ...]:
    return tuple(part / 255 for part in rgb(code))


def _turn(view: View) -> np.ndarray:
    """A quaternion (x, y, z, w) that turns the run's axes such that up is y."""
    from scipy.spatial.transform import Rotation

    return Rotation.from_matrix(view.axes).as_quat()


def icosahedron() -> tuple[np.ndarray, np.ndarray]:
    """Corners (12, 3) on the unit sphere, and triangles (20, 3), counter-clockwise outside."""
    golden = (1 + 5**0.5) / 2
    corners = np.array([
        (-1, golden, 0), (1, golden, 0), (-1, -golden, 0), (1, -golden, 0),
        (0, -1, golden), (0, 1, golden), (0, -1, -golden), (0, 1, -golden),
        (golden, 0, -1), (golden, 0, 1), (-golden, 0, -1), (-golden, 0, 1),
    ])  # fmt: skip
    faces = np.array([
        (0, 11, 5), (0, 5, 1), (0, 1, 7), (0, 7, 10), (0, 10, 11), (1, 5, 9), (5, 11, 4),
        (11, 10, 2), (10, 7, 6), (7, 1, 8), (3, 9, 4), (3, 4, 2), (3, 2, 6), (3, 6, 8), (3, 8, 9),
        (4, 9, 5), (2, 4, 11), (6, 2, 10), (8, 6, 7), (9, 8, 1),
    ])  # fmt: skip
    return corners / np.hypot(1, golden), faces
