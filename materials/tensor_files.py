# SPDX-License-Identifier: Apache-2.0
"""Named tensors, and words beside them, in one .safetensors file."""

from __future__ import annotations

import stat
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


def write_tensors(
    path: Path, tensors: Mapping[str, Tensor], words: Mapping[str, str] | None = None
) -> None:
    """Write a file with the mode that any new one gets.

    What safetensors writes is for its owner's eyes only.

    Args:
        path: The file; one that is there is replaced, in no safe way.
        tensors: On the CPU and contiguous, by name.
        words: What is said of them.
    """
    from safetensors.torch import save_file

    path.unlink(missing_ok=True)
    path.touch()
    mode = stat.S_IMODE(path.stat().st_mode)
    save_file(dict(tensors), path, dict(words or {}))
    path.chmod(mode)


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
