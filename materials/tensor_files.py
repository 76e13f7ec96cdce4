# SPDX-License-Identifier: Apache-2.0
"""Named tensors, and words beside them, in one .safetensors file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor

ENDING = ".safetensors"


def tensor_path(path: str | Path) -> Path:
    """A path of such a file.

    Raises:
        ValueError: The name has another ending.
    """
    path = Path(path)
    if path.suffix != ENDING:
        raise ValueError(f"got {path}, expected a name that ends in {ENDING}")
    return path


def read_tensors(
    path: Path, *, writer: str, remedy: str
) -> tuple[Mapping[str, str], dict[str, Tensor]]:
    """The words and the tensors of a file, on the CPU; nothing of it stays open.

    Args:
        path: The file; it exists.
        writer: What writes such files, for the error.
        remedy: What to do about a torn one, likewise.

    Raises:
        ValueError: It is not whole.
    """
    try:
        with safe_open(path, "pt") as file:
            words = file.metadata() or {}
            return words, {name: file.get_tensor(name).clone() for name in file.keys()}
    except SafetensorError as error:
        raise ValueError(
            f"{path} is not a whole .safetensors file ({error}), expected one that {writer} wrote:"
            f" {remedy}"
        ) from None
