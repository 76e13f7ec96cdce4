# SPDX-License-Identifier: Apache-2.0
"""What finite elements refuse: in one sentence what came, what was expected, what to do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from finite_elements import NOTHING, Hooke, block, network

from rheograd.engine.boundaries import Boundary
from rheograd.engine.errors import SimulationError
from rheograd.engine.fem.integrators import CentralDifferences, Static
from rheograd.engine.fem.solver import FESolver
from rheograd.engine.loads import (
    BodyForce,
    Displacement,
    Fixed,
    Load,
    PointForce,
    PointMass,
    Pressure,
    Spring,
    Traction,
)
from rheograd.engine.mesh.volume_mesh import VolumeMesh
from rheograd.engine.mpm import MPMSolver
from rheograd.engine.scene import Body, Scene
from rheograd.engine.shapes import Box, Sphere
from rheograd.engine.simulate import simulate
from rheograd.engine.state import State
from rheograd.materials.elastic import NeoHookean
from rheograd.materials.learned.invariant import InvariantFull

RUBBER = NeoHookean(1e4, 0.3)
MESH = block("hex8", (2, 1, 1))
APART = replace(MESH, nodes=MESH.nodes + 3.0)
HELD = [Fixed("x-")]


def scene(
    loads: Sequence[Boundary] = HELD, shape: Any = MESH, law: Any = RUBBER, **more: Any
) -> Scene:
    return Scene([Body(shape, law, 1e3, name="bar")], loads, gravity=NOTHING, **more)


def two(first: Any, second: Any, loads: Sequence[Boundary] = HELD) -> Scene:
    bodies = [Body(first, RUBBER, 1e3, name="left"), Body(second, RUBBER, 1e3, name="right")]
    return Scene(bodies, loads)


class Magnet(Boundary):
    """No boundary that anything knows."""


STATIC = FESolver()
CASES: dict[str, tuple[FESolver, Callable[[], Scene], tuple[str, ...]]] = {
    "group": (STATIC, lambda: scene([Fixed("xx-")]), ("group 'xx-'", "x-, y+", "did you mean")),
    "sides": (
        STATIC, lambda: scene([*HELD, Traction("top", (1.0, 0.0, 0.0))]), ("'top'", "expected one"),
    ),
    "body": (STATIC, lambda: scene([Fixed("x-", body="bat")]), ("'bat'", "did you mean bar?")),
    "group of another body": (
        STATIC,
        lambda: two(MESH, block("hex8", (1, 1, 1)), [Fixed("x-"), Fixed("end", body="right")]),
        ("group 'end'", "x+, x-"),
    ),
    "no node": (
        STATIC, lambda: scene([*HELD, PointForce(Sphere(0.1, (9.0, 0.0, 0.0)), (1.0, 0.0, 0.0))]),
        ("PointForce", "no node", "move or enlarge"),
    ),
    "no side": (
        STATIC, lambda: scene([*HELD, Pressure(lambda x: x[:, 0] > 9, 1.0)]), ("no whole side",),
    ),
    "no element": (
        STATIC, lambda: scene([*HELD, BodyForce((1.0, 0.0, 0.0), lambda x: x[:, 0] > 9)]),
        ("BodyForce", "no whole element"),
    ),
    "boundary": (STATIC, lambda: scene([*HELD, Magnet()]), ("Magnet", "expected Displacement")),
    "elements": (
        STATIC, lambda: two(MESH, block("tet10", (1, 1, 1))), ("left of hex8, right of tet10",),
    ),
    "kinematics": (
        STATIC,
        lambda: Scene([Body(MESH, RUBBER, 1e3), Body(MESH, Hooke(), 1e3)], HELD),
        ("small and of finite strain",),
    ),
    "mean dilatation": (
        FESolver(mean_dilatation=True), lambda: scene(shape=block("tet10", (1, 1, 1))),
        ("hex8 and quad4", "got tet10"),
    ),
    "not smooth": (
        STATIC, lambda: scene(law=InvariantFull.example()), ("'invariant-smooth'", "Central"),
    ),
    "life": (
        STATIC,
        lambda: Scene([Body(MESH, RUBBER, 1e3, life=(0.0, 0.1), name="bar")], HELD),
        ("life", "MPMSolver"),
    ),
    "free": (STATIC, lambda: scene([]), ("bar is not held", "translation along x", "Spring")),
    "free to turn": (
        STATIC,
        lambda: scene([Fixed(lambda x: (x[:, 0] < 1e-9) & (x[:, 2] < 1e-9))]),
        ("1 motion, mainly rotation about y, is free",),
    ),
    "free to slide": (
        STATIC, lambda: scene([Fixed("x-", "xy")]), ("translation along z is free",),
    ),
    "free in the plane": (
        STATIC, lambda: scene([Fixed("x-", "x")], block("quad4", (2, 1))), ("along y is free",),
    ),
    "free second body": (
        STATIC,
        lambda: two(MESH, APART, [Fixed("x-", body="left")]),
        ("right is not held",),
    ),
    "step": (
        FESolver(integrator=CentralDifferences(dt=1.0)), scene, ("over the limit", "smaller one"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", list(CASES))
def test_scenes_that_are_refused(case: str) -> None:
    solver, make, words = CASES[case]
    with pytest.raises(ValueError) as caught:
        solver.discretize(make())
    said = str(caught.value)
    for word in words:
        assert word in said
    assert "\n" not in said and len(said) < 400


def test_springs_hold() -> None:
    simulate(scene([Spring("x-", 1e3), Traction("x+", (10.0, 0.0, 0.0))]), STATIC)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Displacement("x-", components="xw"), "letters of 'xyz'"),
        (lambda: Displacement("x-", components=""), "letters of 'xyz'"),
        (lambda: Spring("x-", -1.0), "0 or more [N/m]"),
        (lambda: PointMass("x-", -1.0), "0 or more [kg]"),
        (lambda: Static(0), "at least one load step"),
        (lambda: FESolver(size=-1.0), "must be positive"),
        (lambda: FESolver(tolerance=0.0), "expected 0 to 1"),
    ],
)
def test_numbers_that_are_refused(make: Callable[[], object], words: str) -> None:
    with pytest.raises(ValueError, match=words.replace("[", r"\[").replace("]", r"\]")):
        make()


def test_inverted_element() -> None:
    cells = MESH.cells.clone()
    cells[1] = cells[1, [4, 5, 6, 7, 0, 1, 2, 3]]
    with pytest.raises(ValueError, match=r"1 of 2 hex8 cells that are inverted.*cell 1"):
        VolumeMesh("hex8", MESH.nodes, cells)


@pytest.mark.parametrize("linear", ["cholesky", "amg"])
def test_solvers_of_symmetric_matrices(linear: Any) -> None:
    for loads, law in (([*HELD, Pressure("x+", 10.0)], RUBBER), (HELD, network())):
        with pytest.raises(ValueError, match=r"not symmetric.*expected 'lu' or 'gmres'"):
            simulate(scene(loads, law=law), FESolver(linear=linear))


def test_a_load_beyond_what_can_be_borne() -> None:
    """The message says how far it came and what to try; what converged is kept."""
    kept: list[State] = []
    crushed = scene([*HELD, Displacement("x+", (-1.3, 0.0, 0.0))])  # beyond its other end
    with pytest.raises(SimulationError) as caught:
        simulate(crushed, FESolver(integrator=Static(20), cuts=2), sink=kept.append)
    said = str(caught.value)
    assert "% of the load" in said and "try more load steps" in said
    assert "converged before is kept" in said and "\n" not in said
    assert caught.value.step == len(kept)
    assert kept[0].step == 0 and len(kept) > 1
    assert all(bool(torch.isfinite(state.x).all()) for state in kept)


EVERY_LOAD: list[Load | BodyForce] = [
    Fixed("x-"), Displacement("x-"), Traction("x+", (1.0, 0.0, 0.0)), Pressure("x+", 1.0),
    PointForce("x+", (1.0, 0.0, 0.0)), Spring("x+", 1.0), PointMass("x+", 1.0),
    BodyForce((1.0, 0.0, 0.0)),
]  # fmt: skip


@pytest.mark.parametrize("load", EVERY_LOAD, ids=lambda load: type(load).__name__)
def test_particles_refuse_the_loads_of_meshes(load: Load | BodyForce) -> None:
    with pytest.raises(ValueError, match=f"{type(load).__name__}.*take FESolver"):
        MPMSolver(cell=0.1).discretize(scene([load], Box((0.2, 0.2, 0.2), (0.5, 0.5, 0.5))))


@pytest.mark.parametrize("load", [Traction, PointForce, Displacement])
def test_loads_that_are_no_vectors(load: Any) -> None:
    with pytest.raises(ValueError, match=r"got a .* of shape \(2,\), expected three numbers"):
        load("y+", (0.0, 1.0))
    with pytest.raises(ValueError, match="body force of shape"):
        BodyForce(3.0)  # type: ignore[arg-type]
