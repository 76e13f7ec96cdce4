# SPDX-License-Identifier: Apache-2.0
"""Cameras as .toml files that a person can read and write."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ..suggestion import did_you_mean
from .camera import Camera

VECTORS = {"focal": 2, "centre": 2, "position": 3, "distortion": 5}
UNITS = {
    "size": "width, height [px]", "focal": "fx, fy [px]",
    "centre": "cx, cy [px]; (0, 0) is the middle of the first pixel",
    "position": "of the eye in the scene [m]", "distortion": "k1, k2, p1, p2, k3 of OpenCV",
    "rotation": "rows: right, down, forward in the scene's axes",
    "frame_rate": "[1/s]", "start": "time of the simulation at the first frame [s]",
}  # fmt: skip
OPTIONAL = ("distortion", "frame_rate", "start")


def save_camera(camera: Camera, path: str | Path) -> None:
    """Write a .toml file.

    Raises:
        ValueError: Its name ends otherwise.
    """
    path = Path(path)
    if path.suffix != ".toml":
        raise ValueError(f"got {path}, expected a file of a camera that ends in .toml")
    path.write_text(camera_text(camera), encoding="utf-8")


def load_camera(path: str | Path) -> Camera:
    """Read a .toml file.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not a camera.
    """
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{path} is a folder, expected the .toml file of a camera")
    if not path.is_file():
        raise FileNotFoundError(f"no camera {path}: check the path, or make one with calibrate")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ValueError(
            f"{path} is not a camera: expected a .toml file, as rheograd calibrate writes it"
        ) from None
    return parse_camera(text, str(path))


def camera_text(camera: Camera) -> str:
    """A camera as text, to the last bit."""
    values: dict[str, Any] = {
        "size": list(camera.size),
        **{name: getattr(camera, name).tolist() for name in ("focal", "centre", "distortion")},
        "position": camera.position.tolist(),
        "rotation": camera.rotation.tolist(),
        "start": float(camera.start),
    }
    if camera.frame_rate is not None:
        values["frame_rate"] = float(camera.frame_rate)
    lines = [f"{name} = {value!r}  # {UNITS[name]}" for name, value in values.items()]
    return "\n".join(lines) + "\n"


def parse_camera(text: str, source: str) -> Camera:
    """A camera from text.

    Args:
        text: Of a .toml file.
        source: What errors call it.

    Raises:
        ValueError: Something is missing, unknown or of another shape.
    """
    try:
        held: Mapping[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{source} is not a camera: {error}") from None
    unknown = [name for name in held if name not in UNITS]
    if unknown:
        raise ValueError(
            f"{source}: unknown entry {unknown[0]!r}{did_you_mean(unknown[0], UNITS)}, expected"
            f" {', '.join(UNITS)}"
        )
    missing = [name for name in UNITS if name not in held and name not in OPTIONAL]
    if missing:
        raise ValueError(f"{source} lacks {missing[0]}: {UNITS[missing[0]]}")
    values = {"distortion": [0.0] * 5, **held}
    try:
        tensors = {
            name: torch.tensor(values[name], dtype=torch.float64)
            for name in (*VECTORS, "rotation")
        }  # fmt: skip
        width, height = (int(n) for n in values["size"])
        rate = values.get("frame_rate")
        return Camera(
            (width, height), tensors["focal"], tensors["centre"], tensors["rotation"],
            tensors["position"], tensors["distortion"], None if rate is None else float(rate),
            float(values.get("start", 0.0)),
        )  # fmt: skip
    except (TypeError, ValueError) as error:
        raise ValueError(f"{source}: {error}") from None
