# SPDX-License-Identifier: Apache-2.0
"""Python files of the user's own, imported because the user named them."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

QUIET_IMPORT = "rheograd.materials.arrays"
"""It starts Warp, which writes to stderr where there is no CUDA driver."""
_imported: dict[tuple[Path, bytes], ModuleType] = {}


def start_engine() -> None:
    """Import Warp without its notice on stderr that a machine has no CUDA driver."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        importlib.import_module(QUIET_IMPORT)
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def import_file(path: Path, kind: str) -> ModuleType:
    """Import a file, once as long as it does not change: its classes are then the same ones.

    Args:
        path: A .py file.
        kind: What it is expected to hold, for errors.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It fails on import.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no {kind} file {path}: check the path")
    key = (path.resolve(), path.read_bytes())
    if key in _imported:
        return _imported[key]
    start_engine()
    name = f"rheograd_file_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{path} cannot be imported: expected a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ValueError(
            f"{path} failed on import with {type(error).__name__}: {error}; mend the script"
        ) from error
    _imported[key] = module
    return module
