# SPDX-License-Identifier: Apache-2.0
"""Which scenes there are: those of this folder, by name, and files of the user's own."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import os
import sys
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from rheograd.engine.scene import Scene
    from rheograd.engine.solver import Solver

QUIET_IMPORT = "rheograd.materials.arrays"
"""It starts Warp, which writes to stderr where there is no CUDA driver."""
FOLDER = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Script:
    """A scene's file, imported."""

    name: str
    module: ModuleType

    @property
    def build(self) -> Callable[..., Scene]:
        """From a law and keyword parameters to a scene."""
        return self.module.build

    @property
    def solver(self) -> Callable[[], Solver]:
        """The numerical choices that suit the scene."""
        return self.module.solver

    @property
    def check(self) -> Callable[..., None] | None:
        """What holds of its motion, if the script says."""
        return getattr(self.module, "check", None)


def scene_files() -> dict[str, Path]:
    """Name and file of every scene of this folder; nothing is imported."""
    return {path.stem: path for path in sorted(FOLDER.glob("*.py")) if "build" in _functions(path)}


def summary(path: Path) -> str:
    """First line of a script's docstring, without its full stop."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0].rstrip(".")


def load_script(scene: str) -> Script:
    """Import a scene.

    Args:
        scene: A name from this folder, or the path to a .py file.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: There is no such scene, or the file is not a scene.
    """
    if scene.endswith(".py"):
        return _own(Path(scene))
    known = scene_files()
    name = scene.replace("-", "_")
    if name not in known:
        near = get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ValueError(
            f"unknown scene {scene!r}: {hint}There are {', '.join(known)}, or give the path to a"
            " .py file of your own"
        )
    start_engine()
    return Script(name, importlib.import_module(f"rheograd.scenes.{name}"))


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


def _functions(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def _own(path: Path) -> Script:
    if not path.is_file():
        raise FileNotFoundError(f"no scene file {path}: check the path")
    start_engine()
    name = f"rheograd_scene_{path.stem}"
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
    missing = [f for f in ("build", "solver") if not callable(getattr(module, f, None))]
    if missing:
        raise ValueError(
            f"{path} is not a scene: it has no {' and no '.join(f'{f}()' for f in missing)};"
            " expected build(law=None, *, ...) -> Scene and solver() -> MPMSolver"
        )
    return Script(path.stem, module)
