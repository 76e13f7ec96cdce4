# SPDX-License-Identifier: Apache-2.0
"""Sparse points in motion and small networks, in float64, for the tests of the reduced order."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from rheograd.engine.reduced.features import WallGroups
from rheograd.engine.reduced.motions import Motion
from rheograd.engine.reduced.network import Architecture, SparsePoints, TimeStepper
from rheograd.engine.reduced.operator import ReducedOperator
from rheograd.engine.reduced.operator import seeded as seeded_operator
from rheograd.engine.reduced.scope import Scope
from rheograd.engine.reduced.solver import ReducedSolver
from rheograd.engine.reduced.stepping import graph
from rheograd.engine.scene import Body, Scene
from rheograd.engine.shapes import Box, Shape
from rheograd.materials.elastic import NeoHookean

TINY = Architecture(
    width=8, before=1, after=1, grid=3, tokens=8, blocks=1, heads=2, neighbours=6, history=3,
    code=2, wall_groups=2,
)  # fmt: skip
SIZE, CENTRE = 0.3, 0.5
"""Of a cube of points, and where it is in a domain of 1 m [m]."""
GRAVITY = (0.0, -4e-3, 0.0)
"""[m/frame²]"""


def stepper_of(shape: Architecture = TINY, seed: int = 0, **changes: Any) -> TimeStepper:
    """With random weights and the scales of `moving`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = TimeStepper(replace(shape, **changes)).double()
    made.velocity.fill_(0.02)
    made.acceleration.fill_(4e-3)
    made.spacing.fill_(0.09)
    return made


def rotation_matrix(seed: int = 0) -> Tensor:
    Q = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64, generator=seeded(seed)))[0]
    return Q * torch.linalg.det(Q).sign()  # noqa: TID251


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def moving(
    n: int = 40, frames: int = TINY.history + 1, seed: int = 0, shape: Architecture = TINY,
    centre: tuple[float, float, float] = (CENTRE, CENTRE, CENTRE),
) -> Motion:  # fmt: skip
    """A cube of points that turns, flies and deforms, of one body in one world."""
    draw = seeded(seed)

    def random(*size: int) -> Tensor:
        return torch.randn(*size, dtype=torch.float64, generator=draw)

    rest = (torch.rand(n, 3, dtype=torch.float64, generator=draw) - 0.5) * SIZE
    x = rest @ rotation_matrix(seed + 1) + torch.tensor(centre).double() + 4e-3 * random(n, 3)
    v, a = 0.01 * random(3) + 4e-3 * random(n, 3), 2e-3 * random(frames, n, 3)
    path = [x]
    for k in range(frames - 1):
        v = v + a[k]
        path.append(path[-1] + v)
    like = torch.zeros(n, dtype=torch.int64)
    spacing = torch.full((n, 1), SIZE / n ** (1 / 3), dtype=torch.float64)
    walls = WallGroups(
        torch.zeros(3).double(), torch.ones(3).double(), torch.tensor([0, 0, 1, 0, 0, 0]), 2
    )
    points = SparsePoints(
        rest=rest, body=like, bodies=1, world=like, worlds=1, spacing=spacing,
        widest=float(spacing.max()),
        mass=torch.rand(n, 1, dtype=torch.float64, generator=draw) + 0.5,
        code=random(1, shape.code).expand(n, -1),
        gravity=torch.tensor(GRAVITY).double().expand(n, 3), walls=walls,
    )  # fmt: skip
    return Motion(torch.stack(path), points, graph(shape, points, rest))


SCOPE = Scope(
    scene="thrown", law="NeoHookean", parameters={"young": (5e3, 2e4), "poisson": (0.3, 0.3)},
    density=(1e3, 1e3), speed=3.0, gravity=(0.0, -9.81, 0.0), lower=(0.0, 0.0, 0.0),
    upper=(1.0, 1.0, 1.0), walls=[("contact", 0.0)] * 6, frame=0.01, cell=0.1, particles_per_cell=8,
)  # fmt: skip
BOX = Box((0.3, 0.3, 0.3), (0.5, 0.5, 0.5))
"""Of 216 particles."""


def operator_of(seed: int = 0, *, calm: bool = False, **changes: Any) -> ReducedOperator:
    """Untrained, for `thrown`; a calm one says that nothing but weight acts."""
    shape = replace(TINY, code=1, wall_groups=1, **changes)
    made = seeded_operator(shape, SCOPE, seed, sparse=(60, 60))
    made.stepper.velocity.fill_(0.01)
    made.stepper.acceleration.fill_(1e-3)
    made.stepper.spacing.fill_(0.08)
    if calm:
        for p in made.stepper.out[2].parameters():
            torch.nn.init.zeros_(p)
    return made


def reduced(operator: ReducedOperator | None = None, **settings: Any) -> ReducedSolver:
    settings = {"sparse": 60, "precision": "float64", **settings}
    return ReducedSolver(operator or operator_of(), **settings)


def thrown(young: Any = 1e4, shape: Shape = BOX, **body: Any) -> Scene:
    """A body that flies and turns in a room."""
    made = NeoHookean(young, 0.3) if isinstance(young, float) else young
    body = {"velocity": (0.5, 1.0, -0.3), "spin": (3.0, -6.0, 5.0), **body}
    return Scene([Body(shape, made, 1e3, **body)], duration=0.08, name="thrown")
