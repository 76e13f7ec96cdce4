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

from .cells import Cells
from .layout import Layout, check_names
from .lengths import LENGTHS
from .npz import read_npz, write_npz
from .vtkhdf import FrameWriter, TrajectoryReader
from .writer import TrajectoryWriter, destination, partial

__all__ = ["Trajectory", "TrajectoryReader", "TrajectoryWriter", "open_trajectory", "partial"]

_DEFAULT: Any = None


@dataclass(frozen=True, eq=False)
class Trajectory:
    """Positions of n points over t frames, with what else was recorded of them.

    The points are particles, markers or, where there are cells, the nodes of a mesh. Positions may
    be NaN only where `metadata` names markers: a marker out of sight is a gap.
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
    cells: Cells | None = None
    """The e cells of a mesh whose nodes the points are."""
    cell_fields: Mapping[str, Tensor] = field(default_factory=dict)
    """What there is per cell, shape (t, e, ...); no name is one of `fields` too."""
    totals: Mapping[str, Tensor] = field(default_factory=dict)
    """Numbers of the whole scene, such as energies [J], shape (t,), float64; names of their own."""

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
        check_names(self.fields, self.cell_fields, self.totals)
        cells = 0 if self.cells is None else len(self.cells.within(n))
        if self.cell_fields and not cells:
            raise ValueError(
                f"got fields of cells {sorted(self.cell_fields)} without cells: give those too"
            )
        expected: dict[str, tuple[Tensor, tuple[int, ...]]] = {
            "time": (self.time, (t,)),
            "step": (self.step, (t,)),
            "body": (self.body, (n,)),
            **{name: (array, (t,)) for name, array in self.totals.items()},
        }
        if self.v is not None:
            expected["v"] = (self.v, (t, n, 3))
        for fields, count in ((self.fields, n), (self.cell_fields, cells)):
            for name, array in fields.items():
                expected[name] = (array, (t, count, *array.shape[2:]))
        for name, (array, shape) in expected.items():
            if tuple(array.shape) != shape:
                held = f"{n} particles" + (f" and {cells} cells" if cells else "")
                raise ValueError(
                    f"{name} has shape {tuple(array.shape)}, expected {shape}: "
                    f"x holds {t} frames of {held}"
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
        return self.pick(part)

    def pick(self, part: slice | Tensor) -> Trajectory:
        """Some of the frames, by a slice or by their numbers (k,), int64; times are kept."""
        return replace(
            self,
            time=self.time[part],
            x=self.x[part],
            step=self.step[part],
            v=None if self.v is None else self.v[part],
            fields={name: array[part] for name, array in self.fields.items()},
            cell_fields={name: array[part] for name, array in self.cell_fields.items()},
            totals={name: array[part] for name, array in self.totals.items()},
        )

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> Trajectory:
        """The same on another device or in another float type; times and totals stay float64."""
        return replace(
            self,
            time=self.time.to(device),
            x=self.x.to(device, dtype),
            step=self.step.to(device),
            v=None if self.v is None else self.v.to(device, dtype),
            fields={k: a.to(device, dtype) for k, a in self.fields.items()},
            body=self.body.to(device),
            cells=None if self.cells is None else self.cells.to(device),
            cell_fields={k: a.to(device, dtype) for k, a in self.cell_fields.items()},
            totals={k: a.to(device) for k, a in self.totals.items()},
        )

    @property
    def _arrays(self) -> dict[str, Tensor]:
        points = {"x": self.x, **({} if self.v is None else {"v": self.v}), **self.fields}
        return {**points, **self.cell_fields}

    def frame(self, k: int, names: Collection[str] | None = None) -> dict[str, Any]:
        """One frame.

        Args:
            k: Its number, negative from the end.
            names: What is wanted, of x, v, the fields, those of cells too, and totals; None: all.

        Returns:
            `time` [s], `step`, numpy arrays `x` [m] (n, 3), `v` [m/s] if there is one, fields
            (n, ...) and those of the cells (e, ...), and one number per total.
        """
        frame: dict[str, Any] = {"time": float(self.time[k]), "step": int(self.step[k])}
        for name, array in self._arrays.items():
            if names is None or name in names:
                frame[name] = array[k].detach().cpu().numpy()
        for name, array in self.totals.items():
            if names is None or name in names:
                frame[name] = float(array[k])
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
            bad = ~torch.isfinite(array).reshape(*array.shape[:2], -1).all(-1)
            if bool(bad.any()):
                frame, number = torch.nonzero(bad)[0].tolist()
                row = "cell" if name in self.cell_fields else "particle"
                raise ValueError(
                    f"{source}: {name} of {row} {number} in frame {frame} is not finite "
                    f"({int(bad.sum())} such in all), expected numbers: cut those frames or "
                    f"{row}s out"
                )
        for name, array in self.totals.items():
            if not bool(torch.isfinite(array).all()):
                frame = int(torch.nonzero(~torch.isfinite(array))[0])
                raise ValueError(
                    f"{source}: {name} in frame {frame} is not finite, expected a number: cut that "
                    "frame out"
                )
        return self

    def save(self, path: str | Path) -> None:
        """Write a .npz or .vtkhdf file in float32 (totals in float64), replacing one there.

        Args:
            path: The file; its ending says which.
        """
        path = destination(path)
        self.check()
        if path.suffix == ".npz":
            write_npz(path, self.to("cpu"))
            return
        shapes = {name: tuple(array.shape[2:]) for name, array in self._arrays.items()}
        cell_fields = {name: shapes.pop(name) for name in self.cell_fields}
        del shapes["x"]
        body = self.body.cpu().numpy()
        layout = Layout(
            self.particles, shapes, body, self.metadata, self.cells, cell_fields, tuple(self.totals)
        )
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


def open_trajectory(path: str | Path, **options: Any) -> Trajectory | TrajectoryReader:
    """A trajectory for viewing: .vtkhdf stays on disk, any other file is loaded.

    Args:
        path: The file.
        options: Those of `Trajectory.load`, for files that are loaded.

    Returns:
        Both have `len`, `frame(k)`, `time`, `step`, `body`, `particles`, `totals` and `metadata`.
    """
    path = _existing(path)
    if path.suffix == ".vtkhdf" and not any(v is not None for v in options.values()):
        return TrajectoryReader(path)
    return Trajectory.load(path, **options)


def _existing(path: str | Path) -> Path:
    path = Path(path)
    if path.suffix not in (".npz", ".vtkhdf", ".c3d"):
        raise ValueError(f"{path} ends in {path.suffix!r}, expected .npz, .vtkhdf or .c3d")
    if not path.is_file():
        rest = partial(path)
        hint = f"; the frames of an unfinished run are in {rest}" if rest.is_file() else ""
        raise FileNotFoundError(f"no trajectory file {path}: check the path{hint}")
    return path


def _assemble(path: Path, arrays: Mapping[str, Any], units: str | None) -> Trajectory:
    scale = 1.0
    if units is not None:
        if units not in LENGTHS:
            raise ValueError(f"got units {units!r}, expected one of {', '.join(LENGTHS)}")
        scale = LENGTHS[units]
        if scale != 1.0 and arrays["metadata"].get("units") == "SI":
            raise ValueError(f"{path} says that it is in metres, got units {units!r}: leave it out")
    fields, cell_fields = (
        {name: torch.from_numpy(np.array(a, np.float32)) for name, a in arrays[which].items()}
        for which in ("fields", "cell_fields")
    )
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
            cells=arrays["cells"],
            cell_fields=cell_fields,
            totals={
                name: torch.from_numpy(np.array(values, np.float64))
                for name, values in arrays["totals"].items()
            },
        )
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
