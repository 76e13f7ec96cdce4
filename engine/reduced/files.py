# SPDX-License-Identifier: Apache-2.0
"""Reduced operators as .safetensors files: what was learned, and beside it what for, in words.

The metadata of a file are strings:

    format        "rheograd-operator"
    version       "1"
    architecture  JSON of `network.Architecture`
    scope         JSON of `scope.Scope`
    sparse        JSON: fewest and most sparse points in training
    errors        JSON: errors of roll-outs by name, relative to the distance travelled
    units         "SI"

Nothing is unpickled or evaluated.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from rheograd.materials.tensor_files import read_tensors, tensor_path

from ..resume import save_state
from .network import Architecture
from .operator import ReducedOperator
from .scope import Scope

FORMAT = "rheograd-operator"
VERSION = 1
_UNLIKE = (AttributeError, KeyError, TypeError, ValueError, RuntimeError, RecursionError)
"""What comes of words or tensors that are not those of an operator."""

_LATER: Mapping[str, Any] = {"options": {}, "extent": None, "fastest": None, "duration": None}
"""What older files do not say of a scope."""


def save_operator(operator: ReducedOperator, path: str | Path) -> None:
    """Write an operator; an older file is replaced in one go.

    Args:
        operator: What was trained.
        path: The .safetensors file; its folder must exist.

    Raises:
        ValueError: The name has another ending.
    """
    path = tensor_path(path)
    metadata = {
        "format": FORMAT,
        "version": str(VERSION),
        "architecture": json.dumps(asdict(operator.shape)),
        "scope": json.dumps(asdict(operator.scope)),
        "sparse": json.dumps(operator.sparse),
        "errors": json.dumps(operator.errors),
        "units": "SI",
    }
    save_state(path, operator.state_dict(), metadata)


def load_operator(path: str | Path) -> ReducedOperator:
    """Read an operator, on the CPU.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not whole, or holds no operator of this version.
    """
    path = tensor_path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no operator at {path}: check the path")
    metadata, tensors = read_tensors(
        path, writer="rheograd reduce", remedy="copy or train it again"
    )
    if metadata.get("format") != FORMAT:
        raise ValueError(
            f"{path} has the format {metadata.get('format')!r}, expected {FORMAT!r}: a file that"
            " rheograd reduce wrote"
        )
    if metadata.get("version") != str(VERSION):
        raise ValueError(
            f"{path} has version {metadata.get('version')!r} of the format, expected {VERSION}:"
            " update rheograd"
        )
    try:
        shape = Architecture(**_known(Architecture, json.loads(metadata["architecture"])))
        scope = _scope(json.loads(metadata["scope"]))
        fewest, most = json.loads(metadata["sparse"])
        errors = {str(k): float(v) for k, v in json.loads(metadata["errors"]).items()}
        operator = ReducedOperator(shape, scope, (int(fewest), int(most)), errors)
        operator.load_state_dict(tensors)
    except _UNLIKE as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(
            f"{path} does not describe an operator as this version builds it ({reason}): train it"
            " again with this version"
        ) from None
    return operator


def _known(kind: type, found: Any) -> dict[str, Any]:
    """Arguments of a dataclass, no more and no fewer."""
    names = {field.name for field in fields(kind)}
    if not isinstance(found, dict) or set(found) != names:
        raise ValueError(f"expected {', '.join(sorted(names))}")
    return found


def _scope(found: Any) -> Scope:
    held = _known(Scope, {**_LATER, **found})
    pair = lambda v: (float(v[0]), float(v[1]))  # noqa: E731
    triple = lambda v: (float(v[0]), float(v[1]), float(v[2]))  # noqa: E731
    return Scope(
        scene=str(held["scene"]),
        law=str(held["law"]),
        parameters={str(k): pair(v) for k, v in held["parameters"].items()},
        density=pair(held["density"]),
        speed=float(held["speed"]),
        gravity=triple(held["gravity"]),
        lower=triple(held["lower"]),
        upper=triple(held["upper"]),
        walls=[(str(mode), float(friction)) for mode, friction in held["walls"]],
        frame=float(held["frame"]),
        cell=float(held["cell"]),
        particles_per_cell=int(held["particles_per_cell"]),
        options={str(k): pair(v) for k, v in held["options"].items()},
        extent=None if held["extent"] is None else pair(held["extent"]),
        fastest=None if held["fastest"] is None else float(held["fastest"]),
        duration=None if held["duration"] is None else float(held["duration"]),
    )
