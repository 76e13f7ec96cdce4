# SPDX-License-Identifier: Apache-2.0
"""What moved, where and when: the one record shared by solvers, files, cameras and viewers."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .lengths import LENGTHS
from .npz import read_npz, write_npz
from .vtkhdf import FrameWriter, Layout, TrajectoryReader

__all__ = ["Trajectory", "TrajectoryReader", "TrajectoryWriter", "open_trajectory"]

_DEFAULT: Any = None


@dataclass(frozen=True, eq=False)
class Trajectory:
    """Positions of n points over t frames, with what else was recorded of them.

    Positions may be NaN only where `metadata` names markers: a marker out of sight is a gap.
    """

    time: Tensor
    """Time of each frame [s], shape (t,), float64."""
    x: Tensor
    """Positions [m], shape (t, n, 3)."""
    step: Tensor = _DEFAULT
    """Number of the time step of each frame, shape (t,), int64; default 0, 1, 2, ..."""
    v: Tensor | None = None
    """Velocities [m/s], shape (t, n, 3)."""
    fields: Mapping[str, Tensor] = field(default_factory=dict)
    """What else there is per particle, such as F [-] (t, n, 3, 3), tau [Pa] (t, n, 3, 3)."""
    body: Tensor = _DEFAULT
    """Body of each particle, shape (n,), int64; default 0."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Free text about the whole: scene, law, dt, markers (names as a JSON list), ..."""

    def __post_init__(self) -> None:
        if self.x.ndim != 3 or self.x.shape[2] != 3 or self.x.shape[1] == 0:
            raise ValueError(
                f"x has shape {tuple(self.x.shape)}, expected (frames, particles, 3) with at "
                "least one particle"
            )
        t, n = self.x.shape[:2]
        if self.step is None:
            object.__setattr__(self, "step", torch.arange(t))
        if self.body is None:
            object.__setattr__(self, "body", torch.zeros(n, dtype=torch.int64))
        expected: dict[str, tuple[Tensor, tuple[int, ...]]] = {
            "time": (self.time, (t,)),
            "step": (self.step, (t,)),
            "body": (self.body, (n,)),
        }
        if self.v is not None:
            expected["v"] = (self.v, (t, n, 3))
        for name, array in self.fields.items():
            expected[name] = (array, (t, n, *array.shape[2:]))
        for name, (array, shape) in expected.items():
            if tuple(array.shape) != shape:
                raise ValueError(
                    f"{name} has shape {tuple(array.shape)}, expected {shape}: "
                    f"x holds {t} frames of {n} particles"
                )

    def __len__(self) -> int:
        return self.x.shape[0]

    @property
    def frames(self) -> int:
        """Number of frames t."""
        return self.x.shape[0]

    @property
    def particles(self) -> int:
        """Number of points n."""
        return self.x.shape[1]

    @property
    def markers(self) -> tuple[str, ...]:
        """Names of the points where they are markers of a motion capture, else ()."""
        return tuple(json.loads(self.metadata.get("markers", "[]")))

    @property
    def present(self) -> Tensor:
        """Where a position is known, shape (t, n), bool."""
        return torch.isfinite(self.x).all(-1)

    @property
    def frame_rate(self) -> float:
        """Frames per second [1/s].

        Raises:
            ValueError: If there is one frame only or the frames are not evenly spaced.
        """
        if len(self) < 2:
            raise ValueError("got a trajectory of one frame, expected two or more for a frame rate")
        gaps = self.time.double().diff()
        mean = float((self.time[-1] - self.time[0]).double()) / (len(self) - 1)
        if mean <= 0 or float((gaps - mean).abs().max()) > 1e-3 * mean:
            raise ValueError(
                f"the frames are {float(gaps.min()):g} to {float(gaps.max()):g} s apart, expected "
                "an even spacing for a frame rate: resample the trajectory"
            )
        return 1.0 / mean

    def window(self, start: int | None = None, stop: int | None = None) -> Trajectory:
        """The frames from `start` to before `stop`, as in a slice; times are kept."""
        part = slice(start, stop)
        if not len(range(len(self))[part]):
            raise ValueError(
                f"frames {start} to {stop} of {len(self)}: expected at least one frame"
            )
        return replace(
            self,
            time=self.time[part],
            x=self.x[part],
            step=self.step[part],
            v=None if self.v is None else self.v[part],
            fields={name: array[part] for name, array in self.fields.items()},
        )

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> Trajectory:
        """The same on another device or in another float type; times stay float64."""
        return replace(
            self,
            time=self.time.to(device),
            x=self.x.to(device, dtype),
            step=self.step.to(device),
            v=None if self.v is None else self.v.to(device, dtype),
            fields={k: a.to(device, dtype) for k, a in self.fields.items()},
            body=self.body.to(device),
        )

    @property
    def _arrays(self) -> dict[str, Tensor]:
        return {"x": self.x, **({} if self.v is None else {"v": self.v}), **self.fields}

    def frame(self, k: int, names: Collection[str] | None = None) -> dict[str, Any]:
        """One frame.

        Args:
            k: Its number, negative from the end.
            names: What is wanted, of x, v and the fields; None: all.

        Returns:
            `time` [s], `step`, and numpy arrays `x` [m] (n, 3), `v` [m/s] if there is one, fields.
        """
        frame: dict[str, Any] = {"time": float(self.time[k]), "step": int(self.step[k])}
        for name, array in self._arrays.items():
            if names is None or name in names:
                frame[name] = array[k].detach().cpu().numpy()
        return frame

    def check(self, source: str | Path = "the trajectory") -> Trajectory:
        """Refuse values that no motion has.

        Args:
            source: What the error calls it.

        Returns:
            The trajectory itself.

        Raises:
            ValueError: If something is not finite (gaps of markers apart) or time does not grow.
        """
        if not len(self):
            raise ValueError(f"{source} holds no frame, expected at least one")
        if not bool(torch.isfinite(self.time).all()) or not bool((self.time.diff() > 0).all()):
            raise ValueError(f"{source}: its times do not increase from frame to frame")
        arrays = self._arrays
        if "markers" in self.metadata:
            del arrays["x"]
            if not bool(self.present.any()):
                raise ValueError(f"{source}: no marker is seen in any frame")
        for name, array in arrays.items():
            bad = ~torch.isfinite(array).reshape(len(self), self.particles, -1).all(-1)
            if bool(bad.any()):
                frame, particle = torch.nonzero(bad)[0].tolist()
                raise ValueError(
                    f"{source}: {name} of particle {particle} in frame {frame} is not finite "
                    f"({int(bad.sum())} such in all), expected numbers: cut those frames or "
                    "particles out"
                )
        return self

    def save(self, path: str | Path) -> None:
        """Write a .npz or .vtkhdf file in float32, replacing one that is there.

        Args:
            path: The file; its ending says which.
        """
        path = _destination(path)
        self.check()
        if path.suffix == ".npz":
            write_npz(path, self.to("cpu"), self.body.cpu(), self.metadata)
            return
        arrays = self.fields if self.v is None else {"v": self.v, **self.fields}
        shapes = {name: tuple(array.shape[2:]) for name, array in arrays.items()}
        layout = Layout(self.particles, shapes, self.body.cpu().numpy(), self.metadata)
        writer = FrameWriter(path, layout, capacity=len(self))
        for k in range(len(self)):
            frame = self.frame(k)
            writer.append(frame["step"], frame["time"], frame["x"], frame)
        writer.close()

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        dt: float | None = None,
        frame_rate: float | None = None,
        units: str | None = None,
    ) -> Trajectory:
        """Read a .npz, .vtkhdf or .c3d file.

        Args:
            path: The file; its ending says which.
            dt: Length of a time step [s], for a .npz with `step` and without `time`.
            frame_rate: Frames per second [1/s], for a file that does not say.
            units: Unit of length of a file that does not say: m, mm, cm, ...

        Returns:
            The trajectory on the CPU in SI units, float32 (.c3d: float64).

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is unreadable, lacks something or holds values that are not finite.
        """
        path = _existing(path)
        if path.suffix == ".c3d":
            from .motion_capture import read_c3d

            recording = read_c3d(path, frame_rate=frame_rate, units=units)
            metadata = {"markers": json.dumps(list(recording.names)), **recording.metadata}
            return cls(
                torch.from_numpy(recording.time), torch.from_numpy(recording.x), metadata=metadata
            ).check(path)
        if path.suffix == ".npz":
            arrays = read_npz(path, dt=dt, frame_rate=frame_rate)
        else:
            with TrajectoryReader(path) as reader:
                arrays = reader.arrays()
        return _assemble(path, arrays, units).check(path)


class TrajectoryWriter:
    """Writes a trajectory frame by frame; what was written outlives a killed process.

    A .vtkhdf file grows in place. A .npz file is made by `close`; until then the frames are in
    `NAME.npz.partial.vtkhdf` beside it.
    """

    def __init__(
        self,
        path: str | Path,
        particles: int,
        *,
        fields: Mapping[str, int | tuple[int, ...]] | None = None,
        body: Any = None,
        metadata: Mapping[str, str] | None = None,
        expected: int | None = None,
        append: bool = False,
    ) -> None:
        """Start a file; it is created, or replaces an old one, with the first frame.

        Args:
            path: The file, .vtkhdf or .npz.
            particles: Number of particles n.
            fields: What frames hold beside x, and its shape per particle: {"v": 3, "F": (3, 3),
                "J": ()}; 1 means a scalar too.
            body: Body of each particle, shape (n,).
            metadata: Free text about the whole; values are made strings.
            expected: Number of frames to come, if known: saves copying.
            append: Continue an existing file after its last complete frame. Its body and metadata
                are kept. Without a file this is no different from a fresh start.

        Raises:
            FileNotFoundError: If the folder does not exist.
            ValueError: If the file to continue holds other particles or fields.
        """
        self.path = _destination(path)
        shapes = {name: _shape(s) for name, s in (fields or {}).items()}
        texts = {name: str(text) for name, text in (metadata or {}).items()}
        body = None if body is None else np.asarray(body)
        layout = Layout(particles, shapes, body, texts)
        self._spool = partial(self.path) if self.path.suffix == ".npz" else self.path
        found = self._resume(layout, expected) if append else None
        self._writer = found or FrameWriter(self._spool, layout, capacity=expected)
        self._closed = False

    def _resume(self, layout: Layout, expected: int | None) -> FrameWriter | None:
        if self._spool.is_file():
            writer = FrameWriter.reopen(self._spool, capacity=expected)
        elif self.path.is_file():
            old = Trajectory.load(self.path)
            old.save(self._spool)
            writer = FrameWriter.reopen(self._spool, capacity=expected)
        else:
            return None
        got, want = writer.layout, layout
        if (got.particles, dict(got.fields)) != (want.particles, dict(want.fields)):
            writer.close()
            raise ValueError(
                f"{self.path} holds {got.particles} particles with {sorted(got.fields)}, expected "
                f"{want.particles} with {sorted(want.fields)}: continue it with the settings it "
                "was made with, or write another file"
            )
        return writer

    def __len__(self) -> int:
        return self._writer.frames

    @property
    def metadata(self) -> Mapping[str, str]:
        """Free text about the whole; of the file itself where one is continued."""
        return self._writer.layout.metadata

    @property
    def last(self) -> tuple[int, float] | None:
        """Step and time [s] of the last frame, None before the first."""
        return self._writer.last

    def append(self, step: int, time: float, x: Any, **fields: Any) -> None:
        """Write one frame; it is safe once this returns.

        Args:
            step: Number of the time step.
            time: [s]; larger than that of the frame before.
            x: Positions [m], shape (n, 3), tensor or array.
            fields: One array (n, ...) for each field announced.

        Raises:
            ValueError: If something is missing, misshapen or not finite.
        """
        if self._closed:
            raise ValueError(f"{self.path} is closed: open it with append=True to continue")
        layout = self._writer.layout
        if set(fields) != set(layout.fields):
            raise ValueError(
                f"got fields {sorted(fields)}, expected {sorted(layout.fields)}: those announced "
                "when the file was opened"
            )
        step, time = int(step), float(time)
        if self.last is not None and not (step > self.last[0] and time > self.last[1]):
            raise ValueError(
                f"got step {step} at {time:g} s after step {self.last[0]} at {self.last[1]:g} s, "
                "expected a later one: rewind first"
            )
        arrays = {
            name: _block(name, array, (layout.particles, *shape))
            for (name, shape), array in zip(
                [("x", (3,)), *layout.fields.items()],
                [x, *(fields[name] for name in layout.fields)],
                strict=True,
            )
        }
        self._writer.append(step, time, arrays.pop("x"), arrays)

    def rewind(self, step: int) -> None:
        """Drop the frames after a step, to continue from a state saved at that step.

        Args:
            step: The last step to keep.
        """
        self._writer.rewind(step)

    def close(self) -> None:
        """Finish the file. Without a frame no file is left."""
        if self._closed:
            return
        self._closed = True
        if self._spool == self.path:
            self._writer.close()
            return
        written = len(self) > 0
        self._writer.close(trim=False)
        if written:
            with TrajectoryReader(self._spool) as reader:
                write_npz(self.path, reader, reader.body, reader.metadata)
            self._spool.unlink()

    def __enter__(self) -> TrajectoryWriter:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def open_trajectory(path: str | Path, **options: Any) -> Trajectory | TrajectoryReader:
    """A trajectory for viewing: .vtkhdf stays on disk, any other file is loaded.

    Args:
        path: The file.
        options: Those of `Trajectory.load`, for files that are loaded.

    Returns:
        Both have `len`, `frame(k)`, `time`, `step`, `body`, `particles` and `metadata`.
    """
    path = _existing(path)
    if path.suffix == ".vtkhdf" and not any(v is not None for v in options.values()):
        return TrajectoryReader(path)
    return Trajectory.load(path, **options)


def partial(path: str | Path) -> Path:
    """Where the frames of an unfinished .npz file are."""
    return Path(path).with_name(Path(path).name + ".partial.vtkhdf")


def _existing(path: str | Path) -> Path:
    path = Path(path)
    if path.suffix not in (".npz", ".vtkhdf", ".c3d"):
        raise ValueError(f"{path} ends in {path.suffix!r}, expected .npz, .vtkhdf or .c3d")
    if not path.is_file():
        rest = partial(path)
        hint = f"; the frames of an unfinished run are in {rest}" if rest.is_file() else ""
        raise FileNotFoundError(f"no trajectory file {path}: check the path{hint}")
    return path


def _destination(path: str | Path) -> Path:
    path = Path(path)
    if path.suffix not in (".npz", ".vtkhdf"):
        raise ValueError(f"{path} ends in {path.suffix!r}, expected .npz or .vtkhdf")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"no folder {path.parent} to write {path.name} to: create it first")
    return path


def _shape(shape: int | tuple[int, ...]) -> tuple[int, ...]:
    if isinstance(shape, int):
        return () if shape == 1 else (shape,)
    return tuple(shape)


def _block(name: str, array: Any, shape: tuple[int, ...]) -> np.ndarray:
    block = array.detach().cpu().numpy() if isinstance(array, Tensor) else np.asarray(array)
    if block.size != int(np.prod(shape)) or block.shape[:1] != shape[:1]:
        raise ValueError(f"{name} has shape {block.shape}, expected {shape}")
    block = block.reshape(shape)
    if not np.isfinite(block).all():
        particle = int(np.argwhere(~np.isfinite(block))[0, 0])
        raise ValueError(f"{name} of particle {particle} is not finite, expected numbers")
    return block


def _assemble(path: Path, arrays: Mapping[str, Any], units: str | None) -> Trajectory:
    scale = 1.0
    if units is not None:
        if units not in LENGTHS:
            raise ValueError(f"got units {units!r}, expected one of {', '.join(LENGTHS)}")
        scale = LENGTHS[units]
        if scale != 1.0 and arrays["metadata"].get("units") == "SI":
            raise ValueError(f"{path} says that it is in metres, got units {units!r}: leave it out")
    fields = {k: torch.from_numpy(np.array(a, np.float32)) for k, a in arrays["fields"].items()}
    v = fields.pop("v", None)
    body = arrays["body"]
    try:
        return Trajectory(
            time=torch.from_numpy(np.array(arrays["time"], np.float64)),
            x=torch.from_numpy(np.array(arrays["x"], np.float32)) * scale,
            step=torch.from_numpy(np.array(arrays["step"], np.int64)),
            v=v if v is None else v * scale,
            fields=fields,
            body=_DEFAULT if body is None else torch.from_numpy(np.array(body, np.int64)),
            metadata=arrays["metadata"],
        )
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
