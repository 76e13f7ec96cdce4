# SPDX-License-Identifier: Apache-2.0
"""The part of a command line that picks a scene: its name, its options, law and solver."""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from .catalog import Script, load_script, scene_files, summary
from .options import Parser, converter, join_negative, number, parameters

if TYPE_CHECKING:
    from rheograd.engine.scene import Scene
    from rheograd.engine.solver import Solver
    from rheograd.engine.trajectory import Trajectory

PREFIX = "scene_"
NUMERICS = {
    "cell": "cell", "size": "mesh_size", "elements": "elements", "precision": "precision",
    "device": "device",
}  # fmt: skip
"""Fields of solvers, and the options that set them."""
SOLIDS = (
    "tet4", "tet10", "hex8", "hex20", "hex27", "tri3", "tri6", "quad4", "quad8", "quad9",
)  # fmt: skip
"""Kinds of elements, named here so that help needs no engine."""


def scene_list() -> str:
    """All scenes with a line each, for help."""
    files = scene_files()
    width = max(map(len, files)) + 2
    lines = [f"  {name:<{width}}{summary(path)}" for name, path in files.items()]
    return "\n".join(["scenes, or the path to a .py file:", *lines])


def add_scene_argument(parser: Parser) -> None:
    """The positional SCENE and the numerical choices that every scene takes."""
    parser.add_argument("scene", metavar="SCENE", help="a scene's name, or a .py file")
    group = parser.add_argument_group("numerics")
    group.add_argument("--dt", type=number, metavar="S", help="time step [s]")
    group.add_argument("--cell", type=number, metavar="M", help="cell length of particles [m]")
    group.add_argument("--mesh-size", type=number, metavar="M", help="edge of finite elements [m]")
    kinds, _ = converter(Literal[tuple(SOLIDS)])  # type: ignore[misc]
    group.add_argument("--elements", type=kinds, metavar="KIND", help="hex8, tet10, quad8, ...")
    group.add_argument(
        "--solver", metavar="mpm|fe", help="particles or finite elements (default: the scene's)"
    )
    words, _ = converter(Literal["float32", "float64"])
    group.add_argument("--precision", type=words, metavar="float32|float64")
    group.add_argument("--device", metavar="DEVICE", help="cpu, cuda or cuda:N")


def read(parser: Parser, tokens: Sequence[str]) -> tuple[argparse.Namespace, Script | None]:
    """Parse a command line whose options depend on its SCENE.

    Returns:
        What was given, and the scene's script; None if there is no SCENE, for the parser to say.
    """
    script = script_of(parser, tokens)
    if script is not None:
        own = parameters(script.build)
        known = {p.name for p in own}
        own += [
            p for p in parameters(script.solver_named(_solver_of(tokens))) if p.name not in known
        ]
        taken = [p.flag for p in own if p.flag in parser._option_string_actions]
        if taken:
            raise ValueError(
                f"{script.name}: build() has a parameter for {taken[0]}, which the command line"
                " has already: rename it"
            )
        group = parser.add_argument_group(f"options of {script.name}")
        for parameter in own:
            parameter.add_to(group)
    return parser.read(tokens), script


def script_of(parser: Parser, tokens: Sequence[str]) -> Script | None:
    """The script of the SCENE of a command line, before its options are read; None without one."""
    name = _scene_of(parser, join_negative(tokens))
    return None if name is None else load_script(name)


def _scene_of(parser: Parser, tokens: Sequence[str]) -> str | None:
    """The first word that is neither an option nor the value of one."""
    skip = False
    for token in tokens:
        if skip:
            skip = False
        elif not token.startswith("-"):
            return token
        elif "=" not in token:
            action = parser._option_string_actions.get(token)
            skip = action.nargs != 0 if action is not None else not token.startswith("--no-")
    return None


def _solver_of(tokens: Sequence[str]) -> str | None:
    """What --solver says, before the parser knows all options."""
    words = join_negative(tokens)
    for word, after in zip(words, [*words[1:], ""], strict=True):
        if word == "--solver":
            return after
        if word.startswith("--solver="):
            return word.partition("=")[2]
    return None


def chosen_options(found: argparse.Namespace) -> dict[str, Any]:
    """The scene's own options that were given."""
    return {
        name.removeprefix(PREFIX): value
        for name, value in vars(found).items()
        if name.startswith(PREFIX)
    }


def make_scene(
    script: Script, law: Any, found: argparse.Namespace, options: Mapping[str, Any] | None = None
) -> Scene:
    """Build the scene, with readable errors where the script itself is at fault.

    Points that it states one by one are as many as it means, on the grid that it states.

    Args:
        script: The scene's.
        law: What its bodies are made of; None leaves it to the scene.
        found: What was given on the command line.
        options: The scene's own, in place of those that were given there.
    """
    from rheograd.engine.scene import Scene
    from rheograd.engine.shapes import Particles

    takes = {p.name for p in parameters(script.build)}
    chosen = chosen_options(found) if options is None else options
    given = {name: value for name, value in chosen.items() if name in takes}
    scene = script.build(law, **given)
    if not isinstance(scene, Scene):
        raise ValueError(f"{script.name}: build() gave a {type(scene).__name__}, expected a Scene")
    for body in scene.bodies:
        if found.cell is None and isinstance(body.shape, Particles):
            warnings.filterwarnings("ignore", f"{re.escape(body.name)} has .* particles a cell")
    return scene


def make_solver(script: Script, found: argparse.Namespace) -> Solver:
    """The scene's solver with the numerical choices of the command line.

    Raises:
        ValueError: A choice does not fit the solver or the machine.
    """
    make = script.solver_named(found.solver)
    takes = {p.name for p in parameters(make)}
    given = {name: value for name, value in chosen_options(found).items() if name in takes}
    solver: Any = make(**given)
    asked = {
        name: value
        for name, word in NUMERICS.items()
        if (value := getattr(found, word)) is not None
    }
    has = {field.name for field in dataclasses.fields(solver)}
    for name in asked:
        if name not in has:
            raise ValueError(
                f"--{_flag(name)}: {type(solver).__name__} of {script.name} has none; it takes "
                + ", ".join(f"--{_flag(n)}" for n in NUMERICS if n in has)
            )
    if "device" in asked:
        require_device(asked["device"])
    solver = dataclasses.replace(solver, **asked)
    return solver if found.dt is None else solver.at_step(found.dt)


def _flag(name: str) -> str:
    return NUMERICS[name].replace("_", "-")


def require_device(name: str) -> None:
    """Refuse a device that this machine does not have.

    Raises:
        ValueError: It has none of that name.
    """
    import torch

    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in ("cpu", "cuda"):
        raise ValueError(f"--device: got {name!r}, expected cpu, cuda or cuda:N")
    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device.type == "cuda" and (device.index or 0) >= there:
        raise ValueError(f"--device: got {name!r}, but this machine has {there} CUDA devices")


def run_check(
    check: Callable[..., None], trajectory: Trajectory, options: Mapping[str, Any]
) -> None:
    """Call a scene's check with those options that it takes.

    Raises:
        AssertionError: The motion is not as it should be.
    """
    takes = inspect.signature(check).parameters
    check(trajectory, **{name: value for name, value in options.items() if name in takes})
