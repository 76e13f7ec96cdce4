# SPDX-License-Identifier: Apache-2.0
"""Binary glTF 2.0 (.glb): arrays in one buffer, and the JSON that says what they are."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np

_COMPONENTS = {"float32": 5126, "uint32": 5125, "uint8": 5121}
_SHAPES = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4"}
_MAGIC, _VERSION, _JSON, _BINARY = 0x46546C67, 2, 0x4E4F534A, 0x004E4942
VERTICES, INDICES = 34962, 34963
"""What a buffer is for: attributes of vertices, or their numbers."""
POINTS, LINES, TRIANGLES = 0, 1, 4
"""Kinds of primitives."""


class Glb:
    """A file that is put together in memory.

    Args:
        generator: what wrote it.
    """

    def __init__(self, generator: str) -> None:
        self.content: dict[str, Any] = {
            "asset": {"version": "2.0", "generator": generator},
            "buffers": [], "bufferViews": [], "accessors": [],
        }  # fmt: skip
        self._parts: list[np.ndarray] = []
        self._length = 0

    def add(self, kind: str, **described: Any) -> int:
        """Describe one of a kind such as ``"nodes"``; its number."""
        listed = self.content.setdefault(kind, [])
        listed.append(described)
        return len(listed) - 1

    def array(self, values: np.ndarray, use: int | None = None) -> int:
        """An accessor of an array (k,) or (k, w), float32, uint32 or uint8; its number.

        Four columns of uint8 are colours from 0 to 1; their rows, as any, fill whole words.
        """
        values = np.ascontiguousarray(values)
        described: dict[str, Any] = {"buffer": 0, "byteOffset": self._length}
        described["byteLength"] = values.nbytes
        if use is not None:
            described["target"] = use
        view = self.add("bufferViews", **described)
        self._parts.append(values)
        self._length += values.nbytes
        return self.part(view, values, len(values))

    def part(self, view: int, values: np.ndarray, count: int) -> int:
        """An accessor of the first `count` rows of an array (k,) or (k, w) that a view holds."""
        width = 1 if values.ndim == 1 else values.shape[1]
        more: dict[str, Any] = {"normalized": True} if values.dtype == np.uint8 else {}
        if values.dtype == np.float32:
            rows = values[:count].reshape(count, -1)
            more = {"min": rows.min(0).tolist(), "max": rows.max(0).tolist()}
        return self.add(
            "accessors", bufferView=view, componentType=_COMPONENTS[values.dtype.name],
            count=count, type=_SHAPES[width], **more,
        )  # fmt: skip

    def parts(self) -> Iterator[bytes | memoryview]:
        """The content of the file, piece by piece."""
        self.content["buffers"] = [{"byteLength": self._length}]
        text = json.dumps(self.content, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 4)
        whole = 12 + 8 + len(text) + 8 + self._length
        yield struct.pack("<III", _MAGIC, _VERSION, whole)
        yield struct.pack("<II", len(text), _JSON) + text
        yield struct.pack("<II", self._length, _BINARY)
        for held in self._parts:
            yield held.data
