# SPDX-License-Identifier: Apache-2.0
"""Files of what was seen, as observations of a scene."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .progress import say

if TYPE_CHECKING:
    from rheograd.engine.moving_surface import MovingSurface
    from rheograd.engine.observations.observation import Observation
    from rheograd.engine.scene import Scene
    from rheograd.engine.trajectory import Trajectory
    from rheograd.engine.vision.tracks import Tracks

    from .catalog import Script

VIDEOS = (".mp4", ".mov", ".avi", ".mkv", ".webm")
COVER = 0.1
"""Standard deviation of a pixel's share in silhouettes, unless told otherwise."""


@dataclass(frozen=True)
class Source:
    """A file, and what it does not say itself."""

    path: Path
    camera: Path | None = None
    noise: float | None = None
    """Standard deviation of a component in the unit of its residuals."""
    frame_rate: float | None = None
    """[1/s]"""
    units: str | None = None
    """Of length in the file."""
    side: str | None = None
    """Of the body, on which a force was measured: x+, or a group of its mesh."""
    axis: tuple[float, float, float] | None = None
    """Direction of the force that holds that side."""
    whole: bool = True
    """Whether clouds show all of the surface."""

    def __post_init__(self) -> None:
        """Refuse a noise that is none.

        Raises:
            ValueError: It is no number above 0.
        """
        known = isinstance(self.noise, int | float) and not isinstance(self.noise, bool)
        if self.noise is not None and not (known and 0.0 < self.noise < math.inf):
            raise ValueError(
                f"{self.path}: got a noise of {self.noise!r}, expected a number above 0: it says"
                " how much this counts, and nothing is seen without error"
            )

    @cached_property
    def kind(self) -> str:
        """positions, markers, tracks, silhouettes, clouds or force.

        Raises:
            FileNotFoundError: There is no such file.
        """
        from rheograd.engine.vision.tracks import holds_tracks

        if not self.path.exists():
            raise FileNotFoundError(f"no such file: {self.path}; check the path")
        if self.path.suffix == ".c3d":
            return "markers"
        if self.path.suffix == ".csv":
            return "force"
        if self.path.suffix.lower() in VIDEOS:
            return "silhouettes"
        if self.path.is_dir() or _holds_clouds(self.path):
            return "clouds"
        return "tracks" if holds_tracks(self.path) else "positions"

    def load(self, solver: Any) -> Trajectory | Tracks | None:
        """Positions, markers or tracks; of other kinds nothing, for they are read when bound.

        Args:
            solver: Its step times a file of steps without times.
        """
        from rheograd.engine.trajectory import Trajectory
        from rheograd.engine.vision.tracks import Tracks

        if self.camera is not None and self.kind not in ("tracks", "silhouettes"):
            raise ValueError(
                f"got a camera, and {self.path} holds {self.kind}: it goes with tracks or with a"
                " video of masks"
            )
        if self.kind == "tracks":
            return Tracks.load(self.path)
        if self.kind not in ("positions", "markers"):
            return None
        step = None if self.frame_rate is not None else getattr(solver, "dt", None)
        return Trajectory.load(
            self.path, dt=None if self.kind == "markers" else step,
            frame_rate=self.frame_rate, units=self.units,
        )  # fmt: skip


def _holds_clouds(path: Path) -> bool:
    import zipfile

    if path.suffix != ".npz" or not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as held:
        return "points.npy" in held.namelist()


def bound(
    source: Source, recording: Trajectory | Tracks | None, solver: Any, scene: Scene
) -> Observation:
    """What was seen, bound to the bodies of a scene where they start.

    Raises:
        ValueError: They do not go together, or something was not said.
    """
    from rheograd.engine.moving_surface import MovingSurface
    from rheograd.engine.observations.observation import Positions
    from rheograd.engine.observations.pixel_tracks import PixelTracks
    from rheograd.engine.trajectory import Trajectory

    if isinstance(recording, Trajectory):
        return Positions(recording, source.noise)
    model = solver.discretize(scene)
    if source.kind == "force":
        return _force(source, model, scene)
    surface = MovingSurface.of_scene(scene, model)
    if source.kind == "clouds":
        return _clouds(source, surface)
    camera = _camera(source)
    if source.kind == "silhouettes":
        return _silhouettes(source, surface, model.x0, camera)
    assert recording is not None
    found = PixelTracks.bind(recording, surface, model.x0, camera=camera, noise=source.noise)
    say(
        f"{source.path}: {len(found.bound)} of {recording.pixels.shape[1]} tracks are on the body"
        " and off its edges; its surface is carried by the simulation"
    )
    for doubt in found.doubts():
        say(f"warning: {doubt}")
    return found


def _camera(source: Source) -> Any:
    from rheograd.engine.vision.camera_files import load_camera

    return None if source.camera is None else load_camera(source.camera)


def _silhouettes(source: Source, surface: MovingSurface, rest: Any, camera: Any) -> Observation:
    from rheograd.engine.observations.silhouettes import Silhouettes
    from rheograd.engine.vision.video import open_video

    if camera is None:
        raise ValueError(f"{source.path} is a video of masks without a camera: add --camera FILE")
    video = open_video(
        source.path, frame_rate=source.frame_rate, camera=source.camera or "its camera",
        camera_rate=camera.frame_rate,
    )  # fmt: skip
    noise = COVER if source.noise is None else source.noise
    found = Silhouettes.bind(
        video.grey(), video.time, surface, rest, camera=camera, noise=noise
    )  # fmt: skip
    return replace(found, assumed=source.noise is None)


def _clouds(source: Source, surface: MovingSurface) -> Observation:
    from rheograd.engine.lengths import LENGTHS
    from rheograd.engine.observations.point_clouds import PointClouds, read_clouds
    from rheograd.engine.suggestion import did_you_mean

    unit = source.units or "m"
    if unit not in LENGTHS:
        raise ValueError(
            f"got units {unit!r}{did_you_mean(unit, LENGTHS)}, expected one of {', '.join(LENGTHS)}"
        )
    clouds, times = read_clouds(source.path, frame_rate=source.frame_rate, scale=LENGTHS[unit])
    return PointClouds.bind(clouds, times, surface, whole=source.whole, noise=source.noise)


def _force(source: Source, model: Any, scene: Scene) -> Observation:
    import torch

    from rheograd.engine.observations.force_curve import ForceCurve, read_curve

    if source.side is None or source.axis is None:
        raise ValueError(
            f"{source.path} does not say where its force was measured: give side and axis in an"
            ' experiments file, such as side = "x+" and axis = [1, 0, 0]'
        )
    table = torch.from_numpy(read_curve(source.path))
    times, force = table.unbind(1)
    chosen = _side(source.side, scene, model.x0)
    return ForceCurve.bind(
        times, force, model.x0, lambda rest: chosen, axis=source.axis, noise=source.noise
    )


def _side(name: str, scene: Scene, rest: Any) -> Any:
    """Which nodes (n,) lie on a side, such as x+, or belong to a group of the only body's mesh."""
    import torch

    from rheograd.engine.mesh.volume_mesh import VolumeMesh

    x = rest.detach().cpu().double()
    if len(name) == 2 and name[0] in "xyz" and name[1] in "+-":
        along = x[:, "xyz".index(name[0])] * (1.0 if name[1] == "+" else -1.0)
        return along > along.max() - 1e-6 * (along.max() - along.min())
    shape = scene.bodies[0].shape
    if len(scene.bodies) != 1 or not isinstance(shape, VolumeMesh):
        raise ValueError(
            f"got side = {name!r}, expected x-, x+, y-, y+, z- or z+, or a group of the mesh that"
            " is the only body of the scene"
        )
    chosen = torch.zeros(len(x), dtype=torch.bool)
    chosen[shape.nodes_of(name)] = True
    return chosen


def markers(
    script: Script, rest: Any, given: Mapping[str, Any], recording: Trajectory, path: Path
) -> Mapping[str, Observation]:
    """Markers bound to the particles of the scene, (n, 3) at rest, by its own `observe`."""
    from rheograd.engine.fit.judge import LONGER, SEEN

    observe = getattr(script.module, "observe", None)
    if observe is None:
        raise ValueError(
            f"{path} holds markers, and {script.name} does not say where they are:"
            " it needs observe(recording, rest, ...) -> Markers beside build()"
        )
    takes = inspect.signature(observe).parameters
    chosen = {name: value for name, value in given.items() if name in takes}
    found = observe(recording, rest, **chosen)
    bindings: dict[str, Observation] = {SEEN: found}
    seconds = takes["seconds"].default if "seconds" in takes else None
    if seconds is not None:
        longer = observe(recording, rest, **{**chosen, "seconds": 2 * seconds})
        if len(longer.time) > 1.5 * len(found.time):
            bindings[LONGER] = longer
    return bindings
