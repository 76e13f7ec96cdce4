# SPDX-License-Identifier: Apache-2.0
"""A reader of binary glTF that holds each number against the specification, for tests."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

TYPES = {5126: np.float32, 5125: np.uint32, 5121: np.uint8}
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}


@dataclass(frozen=True)
class Read:
    """What a file holds."""

    content: dict[str, Any]
    arrays: list[np.ndarray]
    """One for each accessor."""

    def mesh_of(self, node: int) -> list[dict[str, Any]]:
        """Primitives of a node."""
        return self.content["meshes"][self.content["nodes"][node]["mesh"]]["primitives"]

    def children(self, node: int) -> list[int]:
        return self.content["nodes"][node].get("children", [])

    @property
    def root(self) -> int:
        (root,) = self.content["scenes"][self.content["scene"]]["nodes"]
        return root

    def frames(self, panel: int = 0) -> list[int]:
        """Nodes of the frames of a run."""
        nodes = self.children(self.children(self.root)[panel])
        return [k for k in nodes if self.content["nodes"][k]["name"].startswith("frame")]

    def at(self, node: int, what: str, time: float) -> np.ndarray:
        """A property of a node at a time of the animation, by steps."""
        for animation in self.content.get("animations", []):
            for channel in animation["channels"]:
                if channel["target"] == {"node": node, "path": what}:
                    sampler = animation["samplers"][channel["sampler"]]
                    assert sampler["interpolation"] == "STEP"
                    times = self.arrays[sampler["input"]]
                    place = max(int(np.searchsorted(times, time, side="right")) - 1, 0)
                    return self.arrays[sampler["output"]][place]
        rest = {"scale": [1, 1, 1], "translation": [0, 0, 0], "rotation": [0, 0, 0, 1]}
        return np.array(self.content["nodes"][node].get(what, rest[what]))

    def shown(self, time: float, panel: int = 0) -> int:
        """The one node of a run that is not hidden at a time."""
        (one,) = [k for k in self.frames(panel) if self.at(k, "scale", time).any()]
        return one


def read_glb(path: Path | bytes) -> Read:
    """Read a file and check all that it says of itself."""
    held = path if isinstance(path, bytes) else path.read_bytes()
    magic, version, whole, length, kind = struct.unpack_from("<4sIIII", held)
    assert (magic, version, whole, kind) == (b"glTF", 2, len(held), 0x4E4F534A)
    assert length % 4 == 0
    content = json.loads(held[20 : 20 + length])
    size, kind = struct.unpack_from("<II", held, 20 + length)
    assert (kind, len(held) - 28 - length) == (0x004E4942, size)
    assert [one["byteLength"] for one in content["buffers"]] == [size]
    binary = held[28 + length :]
    arrays = [_array(accessor, content, binary) for accessor in content["accessors"]]
    for mesh in content["meshes"]:
        for primitive in mesh["primitives"]:
            _check(primitive, content, arrays)
    for animation in content.get("animations", []):
        for sampler in animation["samplers"]:
            times = arrays[sampler["input"]]
            assert times[0] >= 0
            assert (np.diff(times) > 0).all()
            assert len(arrays[sampler["output"]]) == len(times)
    return Read(content, arrays)


def _array(accessor: dict[str, Any], content: dict[str, Any], binary: bytes) -> np.ndarray:
    view = content["bufferViews"][accessor["bufferView"]]
    kind, width = TYPES[accessor["componentType"]], WIDTHS[accessor["type"]]
    needed = accessor["count"] * width * np.dtype(kind).itemsize
    assert view["byteOffset"] % 4 == 0
    assert 0 < needed <= view["byteLength"]
    assert view["byteOffset"] + view["byteLength"] <= len(binary)
    values = np.frombuffer(binary, kind, accessor["count"] * width, view["byteOffset"])
    values = values.reshape(-1, width) if width > 1 else values
    for name, reduce in (("min", np.min), ("max", np.max)):
        if name in accessor:
            told = np.array(accessor[name], np.float32)
            np.testing.assert_array_equal(told, np.atleast_1d(reduce(values, 0)))
    return values


def _check(primitive: dict[str, Any], content: dict[str, Any], arrays: list[np.ndarray]) -> None:
    named = primitive["attributes"]
    count = len(arrays[named["POSITION"]])
    assert "min" in content["accessors"][named["POSITION"]]
    assert all(len(arrays[number]) == count for number in named.values())
    assert 0 <= primitive["material"] < len(content["materials"])
    if "indices" in primitive:
        assert arrays[primitive["indices"]].max() < count
        assert len(arrays[primitive["indices"]]) % {1: 2, 4: 3}[primitive["mode"]] == 0
