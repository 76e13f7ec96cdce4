# SPDX-License-Identifier: Apache-2.0
"""Tracks of points over the film in which they were followed, and a run seen by its camera.

The film is a sheet in space whose metres are its pixels: x to the right, y up, so that it can be
moved and zoomed as anything else. Tracks are rings with tails, coloured by a field; where a run
has their points, as the camera projects them, is a cross.
"""

from __future__ import annotations

import collections
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..drawing.bodies import Body
from ..drawing.images import image_of
from ..fields import Field, Scale
from ..source import Source, between
from .ghosts import rings_and_lines

if TYPE_CHECKING:
    from rheograd.engine.observations.pixel_tracks import PixelTracks
    from rheograd.engine.vision.tracks import Tracks
    from rheograd.engine.vision.video import Video

_KEPT = 128 << 20
_TAIL = 12
_CROSS = (0, 114, 255)
_HALO = (255, 255, 255)
_BLANK = 235
_FORWARD = np.array([1.0, -1.0])


class TrackedFilm:
    """Tracks as a trajectory that `Source` takes, with the frames that they lie in.

    Args:
        tracks: of points [px].
        path: of the film; by default that of the tracks, where it is still there.
        run: what is held against them.
        bound: the tracks, bound to that run.

    Raises:
        ValueError: The film is not that of the tracks.
    """

    def __init__(
        self,
        tracks: Tracks,
        *,
        path: Path | None = None,
        run: Source | None = None,
        bound: PixelTracks | None = None,
    ) -> None:
        self.tracks, self.run, self.bound = tracks, run, bound
        self.film = self
        start = 0.0 if bound is None else float(bound.camera.start)
        self.time = tracks.time + start
        flat = tracks.pixels * _FORWARD
        self.x = np.concatenate([flat, 0 * flat[..., :1]], -1)
        self.metadata: dict[str, str] = {}
        self._video = None if path is None else _same(tracks, path)
        self._frames: Iterator[np.ndarray] | None = None
        self._next = 0
        self._recent: collections.OrderedDict[int, np.ndarray] = collections.OrderedDict()

    @property
    def words(self) -> str:
        """What is drawn."""
        name = Path(self.tracks.source).name or "a film"
        told = f"rings: {self.x.shape[1]} points tracked in {name}"
        if self.bound is None or self.run is None:
            return told
        return f"{told};  crosses: {len(self.bound.bound)} of them in {self.run.title}"

    @property
    def corners(self) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest corner of the sheet, each (3,) [px]."""
        wide, high = self.tracks.size
        return np.array([-0.5, 0.5 - high, 0.0]), np.array([wide - 0.5, 0.5, 0.0])

    def picture(self, frame: int) -> np.ndarray:
        """A frame of the film, (height, width, 3), uint8; a plain grey where there is none."""
        wide, high = self.tracks.size
        if self._video is None:
            return np.full((high, wide, 3), _BLANK, np.uint8)
        while frame not in self._recent:
            if self._frames is None or self._next > frame:
                self._frames, self._next = self._video.rgb(), 0
            self._recent[self._next] = np.ascontiguousarray(next(self._frames))
            self._next += 1
            while len(self._recent) > max(2, _KEPT // (3 * wide * high)):
                self._recent.popitem(last=False)
        return self._recent[frame]

    def predicted(self, frame: int) -> np.ndarray:
        """Where the run has each point at a frame of the film [px], (k, 2); NaN if unknown."""
        out = np.full(self.tracks.pixels.shape[1:], np.nan)
        if self.run is None or self.bound is None:
            return out
        x = positions_at(self.run, float(self.time[frame]))
        if x is not None:
            import torch

            at = self.bound.carried.at(torch.from_numpy(x))
            seen = self.bound.camera.project(at)
            out[self.bound.bound] = np.where(seen.ahead[:, None].numpy(), seen.at.numpy(), np.nan)
        return out

    def shown_fields(self) -> list[Field]:
        """What tracks can be coloured by."""
        found = [Field("speed", "px/s", self._speed), Field("displacement", "px", self._moved)]
        if self.tracks.quality is not None:
            found.insert(0, Field("likeness", "-", self._likeness, floor=None))
        if self.bound is not None:
            found.insert(0, Field("distance from the run", "px", self._gap))
        return found

    def _gap(self, _: Source, frame: int) -> np.ndarray:
        return np.linalg.norm(self.predicted(frame) - self.tracks.pixels[frame], axis=-1)

    def _likeness(self, _: Source, frame: int) -> np.ndarray:
        assert self.tracks.quality is not None
        return self.tracks.quality[frame]

    def _moved(self, _: Source, frame: int) -> np.ndarray:
        first = np.isfinite(self.tracks.pixels).all(-1).argmax(0)
        start = self.tracks.pixels[first, np.arange(len(first))]
        return np.linalg.norm(self.tracks.pixels[frame] - start, axis=-1)

    def _speed(self, source: Source, frame: int) -> np.ndarray:
        return np.linalg.norm(source.velocity(frame)[:, :2], axis=-1)


def film_of_run(
    tracks: Tracks, run: Any, *, path: Path | None, camera: Any, title: str
) -> TrackedFilm:
    """Tracks over their film, and where a run has their points.

    Args:
        tracks: of points on its bodies.
        run: a Trajectory or TrajectoryReader that says what its bodies look like.
        path: of the film, or None.
        camera: that took it, or None for that of the tracks.
        title: of the run.

    Raises:
        ValueError: There is no camera, no time in common, or nothing of the bodies in the picture.
    """
    import torch

    from rheograd.engine.moving_surface import MovingSurface
    from rheograd.engine.observations.pixel_tracks import PixelTracks
    from rheograd.engine.trajectory import Trajectory

    source, camera = Source(run, title), camera or tracks.camera
    start = 0.0 if camera is None else float(camera.start)
    rest = positions_at(source, start + float(tracks.time[0]))
    if rest is None:
        begin, end = (start + float(t) for t in (tracks.time[0], tracks.time[-1]))
        raise ValueError(
            f"tracks of {tracks.source or 'a film'}: got frames from {begin:.4g} to {end:.4g} s,"
            f" expected the first within the time of {title}, {source.times[0]:.4g} to"
            f" {source.times[-1]:.4g} s; say in the camera's file when it began (start)"
        )
    first = Trajectory(
        torch.zeros(1, dtype=torch.float64), torch.from_numpy(source.positions(0)[None]).double(),
        body=torch.from_numpy(source.body), metadata=source.metadata, cells=source.cells,
    )  # fmt: skip
    surface = MovingSurface.of(first)
    bound = PixelTracks.bind(tracks, surface, torch.from_numpy(rest), camera=camera, rim=0.0)
    return TrackedFilm(tracks, path=path, run=source, bound=bound)


def positions_at(run: Source, time: float) -> np.ndarray | None:
    """Positions [m], (n, 3), at a time along straight lines between frames; None beyond them."""
    return between(run.times, lambda frame: run.positions(frame).astype(float), time)


def _same(tracks: Tracks, path: Path) -> Video:
    """A film, if it can be that of the tracks."""
    from rheograd.engine.vision.video import open_video

    rate = (len(tracks.time) - 1) / float(tracks.time[-1] - tracks.time[0])
    video = open_video(path, frame_rate=rate)
    if video.size != tuple(tracks.size) or video.frames < len(tracks.time):
        raise ValueError(
            f"{path}: got {video.frames} frames of {video.size[0]} x {video.size[1]} px, expected"
            f" {len(tracks.time)} or more of {tracks.size[0]} x {tracks.size[1]}: give the film"
            " that was tracked (--over)"
        )
    return video


class FilmSheet(Body):
    """A film with the tracks in it.

    Args:
        source: of a `TrackedFilm`.
        pixels: screen pixels for one pixel of lines.
    """

    radius = 0.0

    def __init__(self, source: Source, pixels: int) -> None:
        import pyvista
        from vtkmodules.vtkRenderingCore import vtkActor, vtkPolyDataMapper, vtkTexture

        self._source, self.film = source, source.film
        (left, low, _), (right, high, _) = self.film.corners
        self._size = min(self.film.tracks.size)
        sheet: Any = pyvista.PolyData(
            np.array([(left, low, 0), (right, low, 0), (right, high, 0), (left, high, 0)]),
            faces=[4, 0, 1, 2, 3],
        )
        sheet.active_texture_coordinates = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], float)
        self._texture = vtkTexture()
        self._texture.InterpolateOn()
        mapper, actor = vtkPolyDataMapper(), vtkActor()
        mapper.SetInputData(sheet)
        actor.SetMapper(mapper)
        actor.SetTexture(self._texture)
        actor.GetProperty().LightingOff()
        self._sheet = sheet
        self._layers = [
            _Lines(width * pixels, lift * self._size)
            for width, lift in ((1.2, 1e-4), (3.4, 2e-4), (1.6, 3e-4))
        ]
        self.actors = (actor, *(layer.actor for layer in self._layers))

    def show(self, frame: int, scale: Scale) -> np.ndarray:
        """Show a frame and the tracks in it; nothing casts a shadow."""
        film = self.film
        picture = film.picture(frame)
        self._texture.SetInputData(image_of(picture))
        self._texture.Modified()
        radius = max(3.0, self._size / 110)
        seen, there = film.tracks.pixels[frame] * _FORWARD, film.predicted(frame) * _FORWARD
        colours = scale.colours(self._source, frame)
        known = np.isfinite(seen).all(-1)
        rings, links = rings_and_lines(seen, there, radius)
        closed = [np.concatenate([ring, ring[:1]]) for ring in rings]
        crosses = _crosses(there[np.isfinite(there).all(-1)], radius)
        tails, owners = self._tails(frame)
        blue = np.array(_CROSS, np.uint8)
        shown = [*closed, *links, *crosses]
        tint = np.concatenate([
            colours[known], np.tile(blue, (len(links) + len(crosses), 1)),
        ])  # fmt: skip
        self._layers[0].draw(tails, colours[owners])
        self._layers[1].draw(shown, np.tile(np.array(_HALO, np.uint8), (len(shown), 1)))
        self._layers[2].draw(shown, tint)
        return np.zeros((0, 3))

    def _tails(self, frame: int) -> tuple[list[np.ndarray], list[int]]:
        """Where tracks were in the frames before, and which they are."""
        past = self.film.tracks.pixels[max(0, frame - _TAIL) : frame + 1] * _FORWARD
        tails, owners = [], []
        for k in range(past.shape[1]):
            line = past[np.isfinite(past[:, k]).all(-1), k]
            if len(line) > 1:
                tails.append(line)
                owners.append(k)
        return tails, owners


def _crosses(at: np.ndarray, radius: float) -> list[np.ndarray]:
    arms = radius * np.array([[(-1, 0), (1, 0)], [(0, -1), (0, 1)]], float)
    return [arm for place in at for arm in place + arms]


class _Lines:
    """Lines in their own colours, a little before the sheet."""

    def __init__(self, width: float, lift: float) -> None:
        from vtkmodules.vtkRenderingCore import vtkActor, vtkPolyDataMapper

        self._lift = lift
        self._mapper = vtkPolyDataMapper()
        self._mapper.SetScalarModeToUseCellData()
        self._mapper.SetColorModeToDirectScalars()
        self.actor = vtkActor()
        self.actor.SetMapper(self._mapper)
        self.actor.GetProperty().SetLineWidth(width)
        self.actor.GetProperty().LightingOff()
        self.actor.PickableOff()

    def draw(self, lines: list[np.ndarray], colours: np.ndarray) -> None:
        """Draw lines of points (m, 2), each of a colour (k, 3), uint8."""
        import pyvista

        if not lines:
            self.actor.SetVisibility(False)
            return
        self.actor.SetVisibility(True)
        points = np.concatenate(lines)
        counts = np.array([len(line) for line in lines])
        starts = np.cumsum(counts) - counts
        cells = np.concatenate(
            [np.r_[n, start : start + n] for n, start in zip(counts, starts, strict=True)]
        )
        data: Any = pyvista.PolyData(np.c_[points, np.full(len(points), self._lift)], lines=cells)
        data.cell_data["colour"] = colours
        data.set_active_scalars("colour", preference="cell")
        self._mapper.SetInputData(data)
