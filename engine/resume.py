# SPDX-License-Identifier: Apache-2.0
"""The state of a run as a file, to continue from after a kill, to the last bit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from rheograd.materials.tensor_files import write_tensors

from .atomic import replacing
from .state import State

CARRY = "carry."
"""Before the names of what only one solver needs."""


def pack(state: State) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a state by name, and its clock as texts."""
    tensors = {
        "x": state.x, "v": state.v, "F": state.F, "internal": state.internal,
        **{f"{CARRY}{name}": value for name, value in state.carry.items()},
    }  # fmt: skip
    return tensors, {"step": str(state.step), "time": state.time.hex()}


def unpack(tensors: Mapping[str, Tensor], texts: Mapping[str, str]) -> State:
    """Undo `pack`.

    Raises:
        ValueError: Something is missing or no number.
    """
    carry = {n.removeprefix(CARRY): t for n, t in tensors.items() if n.startswith(CARRY)}
    try:
        own = {name: tensors[name] for name in ("x", "v", "F", "internal")}
        step, time = int(texts["step"]), float.fromhex(texts["time"])
    except KeyError as error:
        raise ValueError(
            f"got a state without {error}, expected x, v, F, internal, step and time: save it again"
        ) from None
    return State(step, time, carry=carry, **own)


def save_state(
    path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Write tensors as .safetensors; the file is replaced in one go.

    Args:
        path: The file.
        tensors: By name; of any type and device, kept to the last bit.
        metadata: Free text; values are made strings.
    """
    own = {
        name: tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }
    texts = {name: str(text) for name, text in (metadata or {}).items()}
    with replacing(path) as draft:
        write_tensors(draft, own, texts)


def load_state(
    path: str | Path, *, device: torch.device | str = "cpu"
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read what `save_state` wrote.

    Args:
        path: The file.
        device: Where the tensors go.

    Returns:
        The tensors and the metadata.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is unreadable.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no saved state {path}: start afresh, without --resume")
    try:
        with safe_open(path, framework="pt", device=str(device)) as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}
            return tensors, dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise ValueError(
            f"{path} is not a readable saved state ({error}): delete it and start afresh"
        ) from error
