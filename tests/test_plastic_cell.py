# SPDX-License-Identifier: Apache-2.0
"""Cells that flow, in few modes and at few points, along paths that load, unload and load anew."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from rheograd.engine.fem.integrators import Static
from rheograd.engine.fem.solver import FESolver
from rheograd.engine.homogenize.cell import Cell
from rheograd.engine.homogenize.fe2 import FE2
from rheograd.engine.homogenize.load_space import LoadSpace
from rheograd.engine.homogenize.magic_points import MagicPoints, magic_points
from rheograd.engine.homogenize.microstructures import random_balls, voxels
from rheograd.engine.homogenize.modes import Modes, modes
from rheograd.engine.homogenize.paths import follow, random_paths, snapshots_of, straight
from rheograd.engine.homogenize.problem import CellProblem, Micro
from rheograd.engine.homogenize.reduced import ReducedProblem
from rheograd.engine.homogenize.snapshots import Snapshots
from rheograd.engine.loads import Displacement, Fixed
from rheograd.engine.mesh.generators import box
from rheograd.engine.scene import Body, Scene
from rheograd.materials.j2_plasticity import J2Plasticity
from rheograd.materials.law import ConstitutiveLaw
from rheograd.materials.small_strain import LinearElastic

LIKE = torch.zeros((), dtype=torch.float64)
EYE = torch.eye(3, dtype=torch.float64)
BOX = LoadSpace.cube(2, 0.02, small=True)
MESH = voxels(random_balls(2, 0.2, dim=2, seed=3), 8, element="quad4")
UNSEEN = torch.tensor(
    [[[0.016, -0.004, 0.008], [0.002, 0.001, -0.006], [0.018, -0.012, 0.01]]], dtype=torch.float64
)
"""Loaded, unloaded and loaded anew: where a path turns."""


def alloy() -> J2Plasticity:
    return J2Plasticity(70e9, 0.33, 250e6, 1e9, saturation=80e6, rate=15.0)


def composite() -> Cell:
    return Cell(MESH, {"matrix": alloy(), "fibre": LinearElastic(400e9, 0.2)})


class Made:
    """A cell, what it answers along paths, and its modes and points."""

    def __init__(self) -> None:
        self.cell = composite()
        self.problem = CellProblem(self.cell, LIKE, tolerance=1e-12)
        self.paths = random_paths(BOX, 6, 3, 4, seed=0)
        self.answers = follow(self.problem, BOX, self.paths)
        self.snapshots: Snapshots = snapshots_of(self.problem, self.paths, self.answers)
        self.modes: Modes = modes(self.problem, self.snapshots, 12)
        self.magic: MagicPoints = magic_points(
            self.problem, self.modes, self.snapshots, tolerance=1e-3
        )


@pytest.fixture(scope="module")
def made() -> Made:
    return Made()


def stresses(answers: list[Micro]) -> Tensor:
    """Shape (k, t, 3, 3)."""
    return torch.stack([micro.stress for micro in answers], 1)


def error(found: list[Micro], expected: list[Micro]) -> float:
    """Of the mean stress along the paths, by their own size."""
    a, b = stresses(found), stresses(expected)
    return float((a - b).norm() / b.norm())


def test_paths_begin_at_rest_and_turn_within_the_box() -> None:
    paths = random_paths(BOX, 5, 3, 4, seed=1)
    assert paths.shape == (5, 12, 3)
    assert float(paths.abs().max()) < 0.02
    assert torch.allclose(paths[:, 0] * 4, paths[:, 3])
    steps = paths.diff(dim=1, prepend=torch.zeros_like(paths[:, :1]))
    assert torch.allclose(steps[:, 4:7], steps[:, 5:8], atol=1e-15)
    assert not torch.allclose(steps[:, 3], steps[:, 4])
    assert not torch.allclose(paths[:, 3], paths[:, 7])  # each way goes somewhere else
    ends = torch.tensor([[[4.0, 0, 0], [0, 0, 8.0]]])
    expected = torch.tensor([[[2.0, 0, 0], [4.0, 0, 0], [2.0, 0, 4.0], [0, 0, 8.0]]])
    assert torch.equal(straight(ends, 2), expected)


def test_a_cell_of_one_phase_follows_its_law() -> None:
    law = alloy()
    problem = CellProblem(Cell(MESH, {"matrix": law, "fibre": law}), LIKE)
    path = straight(UNSEEN, 3)
    found = stresses(follow(problem, BOX, path))[0]
    internal, plastic = law.rest_internal(1, LIKE), torch.zeros_like(EYE)
    for strained, stress in zip(BOX.deformation(path[0]), found, strict=True):
        with torch.no_grad():
            alone = law.update((strained - plastic)[None], internal, 1.0)
        plastic, internal = strained - alone.F_elastic[0], alone.internal
        assert torch.allclose(stress, alone.tau[0], rtol=0, atol=1e-3)
    assert float(internal) > 0.02


class TestReduced:
    def test_in_all_its_modes_it_is_the_cell(self, made: Made) -> None:
        """On the paths of its snapshots, back and forth, history and tangent with it."""
        own = modes(made.problem, made.snapshots, len(made.snapshots))
        reduced = ReducedProblem(made.problem, own)
        found = follow(reduced, BOX, made.paths)
        assert error(found, made.answers) < 1e-5
        last, expected = found[-1], made.answers[-1]
        assert torch.allclose(last.internal, expected.internal, atol=1e-6)
        assert last.tangent is not None
        assert expected.tangent is not None
        scale = float(expected.tangent.abs().max())
        assert float((last.tangent - expected.tangent).abs().max()) < 1e-3 * scale

    def test_on_a_path_that_was_not_seen(self, made: Made) -> None:
        path = straight(UNSEEN, 6)
        full = follow(made.problem, BOX, path)
        direct = follow(made.problem, BOX, UNSEEN[:, 2:])[-1].stress[0, 0, 1]
        assert abs(float(full[-1].stress[0, 0, 1] / direct) - 1) > 0.2  # the way counts
        few = ReducedProblem(made.problem, made.modes, made.magic)
        assert few.n_internal < made.problem.n_internal / 2
        errors = [error(follow(ReducedProblem(made.problem, made.modes), BOX, path), full),
                  error(follow(few, BOX, path), full)]  # fmt: skip
        assert max(errors) < 4e-3


class TestLaw:
    def test_gradients(self, made: Made) -> None:
        """Of stress and history by strain, history and parameters, at points that flow."""
        law = FE2(composite(), FESolver(tolerance=1e-13), modes=made.modes, magic=made.magic)
        start, end = BOX.deformation(BOX.sample(3, 5)), BOX.deformation(BOX.sample(3, 6))
        with torch.no_grad():
            internal = law.update(start, law.rest_internal(3, start), 1.0).internal
        bars = torch.randn_like(end) / 1e9, 0.01 * torch.randn_like(internal)
        none = torch.zeros_like(end)
        found = law.pullback(end, internal, 1.0, bars[0], none, bars[1])

        def value(F: Tensor, internal: Tensor) -> float:
            with torch.no_grad():
                out = law.update(F, internal, 1.0)
            return float((bars[0] * out.tau).sum() + (bars[1] * out.internal).sum())

        dF, dh = none.clone(), 0.01 * torch.randn_like(internal)
        dF[:, :2, :2] = torch.randn(3, 2, 2, dtype=torch.float64)
        h = 1e-8
        up, down = (value(end + s * h * dF, internal) for s in (1, -1))
        assert float((found.F_trial * dF).sum()) == pytest.approx((up - down) / (2 * h), rel=1e-5)
        h = 1e-6
        up, down = (value(end, internal + s * h * dh) for s in (1, -1))
        assert float((found.internal * dh).sum()) == pytest.approx((up - down) / (2 * h), rel=1e-5)
        for weight, slope in zip(law.parameters(), found.parameters, strict=True):
            before, values = weight.detach().clone(), []
            step = 1e-5 * float(before)
            for sign in (1, -1):
                with torch.no_grad():
                    weight.copy_(before + sign * step)
                    values.append(value(end, internal))
                    weight.copy_(before)
            expected = (values[0] - values[1]) / (2 * step)
            assert float(slope) == pytest.approx(expected, rel=1e-5, abs=1e-9 / float(before))

    def test_a_plate_pulled_and_let_go(self, made: Made) -> None:
        """The body keeps a shape and a stress, by the cell and by what stands for it."""

        def pull(time: Tensor) -> Tensor:
            amount = 0.02 * torch.where(time <= 0.5, 2 * time, 2 - 2 * time)
            return torch.stack([amount, 0 * amount, 0 * amount])

        def last(law: ConstitutiveLaw) -> tuple[Tensor, Tensor]:
            mesh = box((2.0, 1.0), (2, 1), element="quad4", corner=(0.0, 0.0))
            sides = [Fixed("x-"), Displacement("x+", pull)]
            scene = Scene([Body(mesh, law, 1e3)], sides, (0.0, 0.0, 0.0), duration=1.0)
            solver = FESolver(integrator=Static(4))
            model = solver.discretize(scene)
            state = solver.rollout(model, solver.start(model), 4).last
            return state.x, state.carry["tau"]

        few = FE2(made.cell, modes=made.modes, magic=made.magic)
        (x, tau), (x_few, tau_few) = last(FE2(made.cell)), last(few)
        assert few.account()["cells_solved"] > 0
        assert float(tau[:, 0, 0].max()) < 0  # pushed by what flowed
        # of the stress on the way, of which a fifth is left
        assert float((tau_few - tau).norm()) < 4e-3 * 5 * float(tau.norm())
        assert float((x_few - x).abs().max()) < 4e-3 * 0.02  # by what the side was moved

    def test_steps_begin_warm(self, made: Made) -> None:
        law = FE2(made.cell, modes=made.modes, magic=made.magic)
        F = BOX.deformation(BOX.sample(3, 5))
        first, _ = law.linearize(F, law.rest_internal(3, F), 1.0)
        assert first.guess is not None
        again = law.micro(F, law.rest_internal(3, F), 1.0, first.guess)
        assert int(again.iterations.max()) == 0

    def test_refused(self, made: Made) -> None:
        with pytest.raises(ValueError, match="expected the modes that they are for"):
            FE2(made.cell, magic=made.magic)
        finer = Cell(
            voxels(random_balls(2, 0.2, dim=2, seed=3), 5, element="quad4"), made.cell.laws
        )
        with pytest.raises(ValueError, match="expected 100 with 3, those of the cell"):
            FE2(finer, modes=made.modes)
        short = replace(made.modes, strain=made.modes.strain[:, :2])
        with pytest.raises(ValueError, match="with 2 components"):
            FE2(made.cell, modes=short)
