# SPDX-License-Identifier: Apache-2.0
"""Constant fields of laws: from a Body to every material point, differentiably, in both solvers."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import pytest
import torch
from torch import Tensor

from rheograd.engine.boundaries import Floor
from rheograd.engine.constant_fields import row, with_values
from rheograd.engine.fem import CentralDifferences, FESolver, Static
from rheograd.engine.homogenize.cell import Cell
from rheograd.engine.loads import Displacement, Fixed
from rheograd.engine.mesh.generators import box
from rheograd.engine.mpm import MPMSolver
from rheograd.engine.resume import load_state, pack, save_state, unpack
from rheograd.engine.scene import Body, Scene
from rheograd.engine.shapes import Box
from rheograd.engine.simulate import simulate
from rheograd.engine.solver import Checkpoint, Solver
from rheograd.materials.composition import ElastoPlastic
from rheograd.materials.elastic import Corotated
from rheograd.materials.law import Elasticity
from rheograd.materials.plastic import FluidReset

pytestmark = pytest.mark.filterwarnings("ignore:.*particles a cell")


class Fibred(Elasticity):
    """tau = e^s mu (B - 1) + k (|F a|^2 - |a|^2) F a (F a)^T, s and a fields."""

    name: ClassVar[str] = "test-fibred"
    n_internal = 4
    fields: ClassVar[Mapping[str, int]] = {"softness": 1, "fibre": 3}

    def stress(self, F_elastic: Tensor, internal: Tensor) -> Tensor:
        s, a = internal[:, 0, None, None], internal[:, 1:, None]
        along = F_elastic @ a
        excess = along.square().sum((1, 2)) - a.square().sum((1, 2))
        B = F_elastic @ F_elastic.mT - torch.eye(3).to(F_elastic)
        return 1e4 * s.exp() * B + 3e4 * excess[:, None, None] * (along @ along.mT)

    @classmethod
    def example(cls) -> Self:
        return cls()


FIBRE = (0.6, 0.0, 0.8)


def numbers(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def falling(fields: Mapping[str, Any], law: Elasticity | None = None) -> Scene:
    """Two cubes, of which the second is of another law with its own columns of history."""
    first = Body(
        Box((0.2, 0.2, 0.2), (0.3, 0.13, 0.5)), law or Fibred(), 1e3, (0.0, -2.0, 0.0),
        fields=fields, name="first",
    )  # fmt: skip
    second = Body(Box((0.2, 0.2, 0.2), (0.7, 0.13, 0.5)), Corotated(1e4, 0.3), 1e3, name="second")
    return Scene([second, first], [Floor(friction=0.3)], duration=0.02)


PARTICLES = MPMSolver(cell=0.1, dt=1e-3, precision="float64")


def pulled(fields: Mapping[str, Any], elements: str = "hex8") -> Scene:
    """A block whose end is displaced."""
    shape = box((0.2, 0.1, 0.1), (2, 1, 1), element=elements)
    body = Body(shape, Fibred(), 1e3, fields=fields)
    return Scene([body], [Fixed("x-"), Displacement("x+", (0.03, 0.01, 0.0))], (0.0, 0.0, 0.0))


def measured(scene: Scene, solver: Solver, *, adjoint: Checkpoint | None = None) -> Tensor:
    """A number of the end of a run."""
    model = solver.discretize(scene)
    steps = 20 if model.dt < 0.1 else 2
    out = solver.rollout(model, solver.start(model), steps, adjoint=adjoint)
    weight = torch.linspace(-1.0, 2.0, out.last.x.numel(), dtype=torch.float64)
    total = (weight.view_as(out.last.x) * out.last.x).sum()
    if "reaction" in out.last.carry:
        total = total + 1e-2 * (weight.view_as(out.last.x) * out.last.carry["reaction"]).sum()
    return total


def check_gradient(
    scene: Callable[[Mapping[str, Any]], Scene], solver: Solver, given: dict[str, Tensor]
) -> None:
    """Of all fields along a random direction, against a central difference."""
    leaves = {name: value.clone().requires_grad_() for name, value in given.items()}
    measured(scene(leaves), solver, adjoint=Checkpoint(every=7)).backward()
    for name, leaf in leaves.items():
        assert leaf.grad is not None
        along, h = torch.randn_like(leaf), 1e-5
        with torch.no_grad():
            up, down = (
                measured(scene({**given, name: given[name] + s * h * along}), solver)
                for s in (1, -1)
            )
        expected = float(up - down) / (2 * h)
        assert float((leaf.grad * along).sum()) == pytest.approx(expected, rel=1e-6)


def test_gradients_of_particles_reach_a_body_and_each_particle() -> None:
    n = PARTICLES.discretize(falling({"softness": 0.0, "fibre": FIBRE})).n // 2
    check_gradient(falling, PARTICLES, {"softness": numbers(0.2), "fibre": numbers(*FIBRE)})
    each = {
        "softness": 0.1 * torch.randn(n, 1, dtype=torch.float64),
        "fibre": torch.randn(n, 3, dtype=torch.float64),
    }
    check_gradient(falling, PARTICLES, each)


@pytest.mark.parametrize("dynamic", [False, True])
def test_gradients_of_finite_elements_reach_a_body_an_element_and_a_point(dynamic: bool) -> None:
    solver = FESolver(integrator=CentralDifferences(dt=5e-4) if dynamic else Static(steps=2))
    scene = pulled
    if dynamic:

        def scene(fields: Mapping[str, Any]) -> Scene:
            body = Body(box((0.2, 0.1, 0.1), (2, 1, 1)), Fibred(), 1e3, (0, 0, 2), fields=fields)
            return Scene([body], [Fixed("x-")], duration=0.05)

    each = {
        "softness": 0.1 * torch.randn(2, 1, dtype=torch.float64),
        "fibre": torch.randn(16, 3, dtype=torch.float64),
    }
    check_gradient(scene, solver, {"softness": numbers(0.3), "fibre": numbers(*FIBRE)})
    check_gradient(scene, solver, each)


def gradient_field(x: Tensor) -> Tensor:
    return torch.stack([x[:, 0], x[:, 1], 1 + x[:, 2]], 1)


def test_a_function_of_rest_positions_is_asked_at_the_points() -> None:
    model = PARTICLES.discretize(falling({"softness": 0.5, "fibre": gradient_field}))
    start = PARTICLES.start(model)
    first = model.body == 1
    assert torch.equal(start.internal[first, 1:], gradient_field(model.x0[first]))
    assert bool((start.internal[first, 0] == 0.5).all())
    assert bool((start.internal[~first] == 0).all())
    solver = FESolver(integrator=Static())
    mesh = solver.discretize(pulled({"softness": 0.5, "fibre": gradient_field}, "tet4"))
    centre = mesh.x0[mesh.nodes].mean(1)
    assert torch.allclose(solver.start(mesh).internal[:, 1:], gradient_field(centre), atol=1e-15)


def test_rows_of_elements_go_to_their_own_points() -> None:
    """All points of an element, which lie one after another, have its row; fields in order."""
    each = numbers(0.1, 0.7)
    model = FESolver().discretize(pulled({"fibre": FIBRE, "softness": each}))
    internal = FESolver().start(model).internal
    assert torch.equal(internal[:, 0], numbers(*[0.1] * 8, *[0.7] * 8))
    assert torch.equal(internal[:, 1:], numbers(*FIBRE).expand(16, 3))


def test_single_numbers_of_fields_are_changed() -> None:
    """Others stay, and are zeros where nothing was given; other bodies are left as they are."""
    scene = falling({"fibre": FIBRE})
    new = with_values(scene, {"fibre": {1: 0.5}, "softness": {0: 2.0}})
    assert row(new.bodies[1], "fibre") == [0.6, 0.5, 0.8]
    assert row(new.bodies[1], "softness") == [2.0] and row(scene.bodies[1], "softness") == [0.0]
    assert row(scene.bodies[1], "fibre") == list(FIBRE) and not new.bodies[0].fields
    for values in ({"fibre": {3: 1.0}}, {"code": {0: 1.0}}):
        with pytest.raises(ValueError, match=r"fields are softness \(1 number\), fibre \(3 num"):
            with_values(scene, values)
    each = falling({"softness": 0.0, "fibre": gradient_field})
    with pytest.raises(ValueError, match="for each of its points, expected one row"):
        with_values(each, {"fibre": {0: 1.0}})


def test_a_function_and_its_values_give_the_same_run_to_the_last_bit() -> None:
    scene = falling({"softness": 0.5, "fibre": gradient_field})
    model = PARTICLES.discretize(scene)
    values = gradient_field(model.x0[model.body == 1])
    same = falling({"softness": numbers(0.5), "fibre": values})
    assert torch.equal(measured(scene, PARTICLES), measured(same, PARTICLES))


def test_fields_are_carried_unchanged_and_through_a_file(tmp_path: Path) -> None:
    model = PARTICLES.discretize(falling({"softness": 0.5, "fibre": gradient_field}))
    start = PARTICLES.start(model)
    half = PARTICLES.rollout(model, start, 10).last
    assert torch.equal(half.internal, start.internal)
    save_state(tmp_path / "state.safetensors", *pack(half))
    again = unpack(*load_state(tmp_path / "state.safetensors"))
    ends = [PARTICLES.rollout(model, state, 10).last.x for state in (half, again)]
    assert torch.equal(*ends)
    assert (
        simulate(falling({"softness": 0.5, "fibre": FIBRE}), PARTICLES, frames=2).x.isfinite().all()
    )


def test_a_restart_takes_the_fields_of_the_model() -> None:
    """So that the gradient of a fit that restarts from recorded states reaches them."""
    fibre = numbers(*FIBRE).requires_grad_()
    model = PARTICLES.discretize(falling({"softness": 0.0, "fibre": fibre}))
    old = PARTICLES.discretize(falling({"softness": 0.7, "fibre": gradient_field}))
    recorded = PARTICLES.rollout(old, PARTICLES.start(old), 5).last
    restarted = PARTICLES.restart(model, recorded)
    assert torch.equal(restarted.internal, PARTICLES.start(model).internal)
    (slope,) = torch.autograd.grad(restarted.carry["tau"].square().sum(), fibre)
    assert bool((slope != 0).all())
    worlds = PARTICLES.segments(model, [0, 5, 9], 4)
    assert torch.equal(PARTICLES.start(worlds).internal, restarted.internal.repeat(3, 1))


def test_the_step_follows_the_stiffest_point() -> None:
    soft, stiff = (
        MPMSolver(0.1).discretize(falling({"softness": s, "fibre": FIBRE})).dt for s in (1.0, 5.0)
    )
    assert stiff < 0.5 * soft


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, r"first has the law 'test-fibred', which reads .* softness \(1 number\), fibre \(3"),
        ({"softness": 0.0}, "no values for fibre: give such as Body"),
        ({"softness": 0.0, "fibre": FIBRE, "code": 1.0}, "values for code, expected those of"),
        ({"softness": 0.0, "fibre": (1.0, 0.0)}, r"'fibre' of first has shape \(2,\), expected"),
        ({"softness": 0.0, "fibre": torch.ones(7, 3)}, r"shape \(7, 3\), expected \(3,\) for the"),
        ({"softness": float("nan"), "fibre": FIBRE}, "'softness' of first has numbers that are"),
    ],
)
def test_wrong_fields_are_refused(fields: Mapping[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        PARTICLES.discretize(falling(fields))


def test_wrong_fields_are_refused_on_a_mesh() -> None:
    solver = FESolver()
    with pytest.raises(ValueError, match=r"expected \(3,\) .* or \(2, 3\) or \(16, 3\) for"):
        solver.discretize(pulled({"softness": 0.0, "fibre": torch.ones(5, 3)}))
    with pytest.raises(ValueError, match="no values for softness, fibre"):
        solver.discretize(pulled({}))


def test_laws_that_do_not_know_the_fields_of_a_part_are_refused() -> None:
    class Around(ElastoPlastic):
        name: ClassVar[str] = "test-around"

    law = Around(Fibred(), FluidReset())
    law.fields = {}
    with pytest.raises(ValueError, match=r"'test-around' around 'test-fibred', whose fields"):
        PARTICLES.discretize(falling({}, law))  # type: ignore[arg-type]


def test_a_cell_of_phases_knows_no_fields() -> None:
    mesh = box((1.0, 1.0, 1.0), (2, 2, 2))
    region = {"matrix": torch.arange(8)}
    with pytest.raises(ValueError, match="matrix has the law 'test-fibred', which reads the"):
        Cell(mesh=replace_regions(mesh, region), laws={"matrix": Fibred()})


def replace_regions(mesh: Any, regions: dict[str, Tensor]) -> Any:
    from dataclasses import replace

    return replace(mesh, regions=regions)


def test_a_law_made_of_parts_can_be_copied() -> None:
    """An audit and a live run ask a copy."""
    law = ElastoPlastic.example()
    assert copy.deepcopy(law).fields == law.fields == {}
