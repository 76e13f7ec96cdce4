# SPDX-License-Identifier: Apache-2.0
"""Markers of a motion-capture system from .c3d files."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .lengths import LENGTHS

BIG_ENDIAN = 86
"""Processor type of files written on SGI MIPS machines (C3D format, parameter header)."""


class Recording(NamedTuple):
    """What a motion-capture system saw."""

    time: np.ndarray
    """Time of each frame, from 0 [s], shape (t,)."""
    x: np.ndarray
    """Marker positions [m], shape (t, n, 3), float64; NaN where a marker was out of sight."""
    names: tuple[str, ...]
    """Names of the n markers."""
    metadata: Mapping[str, str]
    """The system's own axes and first frame number, where the file tells."""


def read_c3d(
    path: str | Path, *, frame_rate: float | None = None, units: str | None = None
) -> Recording:
    """Read the markers of a .c3d file.

    A marker is out of sight in a frame where its residual is negative, or it lies exactly in the
    origin, as some systems write.

    Args:
        path: The file.
        frame_rate: Frames per second [1/s], for a file without.
        units: Unit of length, for a file without: m, mm, cm, ...

    Returns:
        The recording in SI units.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is unreadable or cut off, has no marker, or neither it nor the caller
            says the frame rate or the unit.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no motion-capture file {path}: check the path")
    import ezc3d

    try:
        file = ezc3d.c3d(str(path))
        points = np.asarray(file["data"]["points"], np.float64)
        residuals = np.asarray(file["data"]["meta_points"]["residuals"])[0]
        group = file["parameters"]["POINT"]
        promised = _promised_frames(path)
    except (OSError, ValueError, LookupError, RuntimeError, struct.error) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"{path} is not a readable .c3d file ({reason}): it is damaged, cut off or of another "
            "kind; export it again"
        ) from error
    markers, frames = points.shape[1:]
    if not markers or not frames:
        raise ValueError(
            f"{path} holds {markers} markers in {frames} frames, expected at least one of each: "
            "export the labelled 3D trajectories"
        )
    if frames < promised:
        raise ValueError(
            f"{path} is cut off: it holds {frames} of {promised} frames; copy or export it again"
        )
    x = points[:3].transpose(2, 1, 0).copy()
    x[(residuals.T < 0) | (x == 0).all(-1)] = np.nan
    rate = _rate(path, group, frame_rate)
    metadata = {
        name.lower(): str(_first(group, name))
        for name in ("X_SCREEN", "Y_SCREEN")
        if _first(group, name)
    }
    return Recording(
        np.arange(frames) / rate, x * _scale(path, group, units), _names(group, markers), metadata
    )


def _first(group: Mapping[str, Any], name: str) -> Any:
    value = np.atleast_1d(group[name]["value"] if name in group else [])
    return value[0] if len(value) else None


def _rate(path: Path, group: Mapping[str, Any], given: float | None) -> float:
    said = float(_first(group, "RATE") or 0)
    if given is not None and not (np.isfinite(given) and given > 0):
        raise ValueError(f"got frame_rate={given}, expected a positive number")
    if said > 0 and given is not None and abs(given - said) > 1e-3 * said:
        raise ValueError(
            f"{path} says {said:g} frames a second, got frame_rate={given:g}: leave it out"
        )
    if said <= 0 and given is None:
        raise ValueError(
            f"{path} does not say how many frames there are a second: give frame_rate "
            "(--frame-rate)"
        )
    return said if said > 0 else float(given or 0)


def _scale(path: Path, group: Mapping[str, Any], given: str | None) -> float:
    said = str(_first(group, "UNITS") or "").strip()
    if given is not None and given not in LENGTHS:
        raise ValueError(f"got units {given!r}, expected one of {', '.join(LENGTHS)}")
    if said in LENGTHS:
        if given is not None and LENGTHS[given] != LENGTHS[said]:
            raise ValueError(f"{path} is in {said}, got units {given!r}: leave it out")
        return LENGTHS[said]
    if given is None:
        what = f"is in an unknown unit {said!r}" if said else "does not say its unit of length"
        raise ValueError(f"{path} {what}: give units (--units), one of {', '.join(LENGTHS)}")
    return LENGTHS[given]


def _names(group: Mapping[str, Any], count: int) -> tuple[str, ...]:
    """Labels beyond 255 continue in LABELS2, LABELS3 and so on."""
    labels: list[str] = []
    for name in ("LABELS", *(f"LABELS{k}" for k in range(2, 2 + count // 255))):
        labels += [str(label).strip() for label in group[name]["value"]] if name in group else []
    labels += [""] * (count - len(labels))
    return tuple(label or f"marker {k + 1}" for k, label in enumerate(labels[:count]))


def _promised_frames(path: Path) -> int:
    """Number of frames by the header, which the library silently corrects; 0 if it cannot tell."""
    with open(path, "rb") as file:
        header = file.read(512)
        file.seek(512 * (header[0] - 1))
        order = ">" if file.read(4)[3] == BIG_ENDIAN else "<"
    first, last = struct.unpack(order + "HH", header[6:10])
    return last - first + 1 if last != 65535 else 0
