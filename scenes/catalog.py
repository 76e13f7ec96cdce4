# SPDX-License-Identifier: Apache-2.0
"""Which scenes there are: those of this folder, by name, and files of the user's own."""

from __future__ import annotations

import ast
import importlib
import inspect
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from rheograd.engine.suggestion import did_you_mean

from .user_files import import_file, start_engine

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rheograd.engine.reduced.variation import Table
    from rheograd.engine.scene import Scene
    from rheograd.engine.solver import Solver

FOLDER = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Script:
    """A scene's file, imported."""

    name: str
    module: ModuleType
    made: Callable[..., Scene] | None = None
    """What builds it instead of the file's build(), if anything."""

    @property
    def build(self) -> Callable[..., Scene]:
        """From a law and keyword parameters to a scene."""
        return self.made or self.module.build

    @property
    def solver(self) -> Callable[..., Solver]:
        """The numerical choices that suit the scene."""
        return self.module.solver

    def solver_named(self, name: str | None) -> Callable[..., Solver]:
        """The numerical choices for one kind of solver: `fe_solver` for fe, `mpm_solver` for mpm.

        Raises:
            ValueError: The scene has none of that kind.
        """
        own: dict[str, Callable[..., Any]] = {
            word.removesuffix("_solver"): make
            for word, make in vars(self.module).items()
            if word.endswith("_solver") and callable(make)
        }
        if name is None:
            return self.solver
        usual = type(self.solver()).__name__.removesuffix("Solver").lower()
        own.setdefault(usual, self.solver)
        if name not in own:
            there = " or ".join(own) or "none but its own"
            raise ValueError(
                f"--solver: got {name!r}{did_you_mean(name, own)} for {self.name}, expected {there}"
            )
        return own[name]

    @property
    def results(self) -> Callable[..., Any] | None:
        """Named quantities of its motion, the first of which gradients are taken of, if any."""
        return getattr(self.module, "results", None)

    def variations(self, options: Mapping[str, Any]) -> Table | None:
        """What a data set may vary: `VARY`, or `vary` of those options that it takes by name.

        Args:
            options: Of build(), those that are the same for all.
        """
        make = getattr(self.module, "vary", None)
        if make is None:
            return getattr(self.module, "VARY", None)
        takes = inspect.signature(make).parameters
        return make(**{name: value for name, value in options.items() if name in takes})

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
        raise ValueError(
            f"unknown scene {scene!r}{did_you_mean(name, known)}: there are {', '.join(known)}, or"
            " give the path to a .py file of your own"
        )
    start_engine()
    return Script(name, importlib.import_module(f"rheograd.scenes.{name}"))


def _functions(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def _own(path: Path) -> Script:
    module = import_file(path, "scene")
    missing = [f for f in ("build", "solver") if not callable(getattr(module, f, None))]
    if missing:
        raise ValueError(
            f"{path} is not a scene: it has no {' and no '.join(f'{f}()' for f in missing)};"
            " expected build(law=None, *, ...) -> Scene and solver() -> Solver"
        )
    return Script(path.stem, module)
