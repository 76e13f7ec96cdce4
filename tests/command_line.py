# SPDX-License-Identifier: Apache-2.0
"""What the tests of the command line share: a small scene, and the command as a process."""

from __future__ import annotations

import sys

SMALL = '''
"""A small cube that falls."""

from typing import Literal

from rheograd.engine.mpm import MPMSolver
from rheograd.engine.scene import Body, Scene
from rheograd.engine.shapes import Box
from rheograd.materials.elastic import Corotated


def build(
    law=None,
    *,
    velocity: tuple[float, float, float] = (0.0, -1.0, 0.0),
    young: float = 4e4,
    grip: Literal["loose", "firm"] = "loose",
    bodies: int = 1,
    spinning: bool = False,
    name: str | None = None,
):
    """The scene.

    Args:
        law: Of the cube.
        velocity: Of its centre [m/s].
        young: Young's modulus [Pa], given on
            two lines.
    """
    cube = Box((0.3, 0.3, 0.3), (0.5, 0.3, 0.5))
    body = Body(cube, law or Corotated(young, 0.3), 1e3, velocity, (0, 0, 9.0 * spinning))
    return Scene([body] * bodies, duration=0.2, name="small")


def solver():
    return MPMSolver(0.1, 1e-3)


def check(trajectory, *, young=4e4):
    assert young < 1e5, f"the cube is too stiff, {young:g} Pa"
'''


def process(*words: object, pause: float = 1.0) -> list[str]:
    """The same command line as a process of its own; `pause` is that between saved states."""
    code = "import sys; from rheograd.scenes import cli, recording; recording.INTERVAL = "
    return [sys.executable, "-c", f"{code}{pause}; sys.exit(cli.main())", *map(str, words)]
