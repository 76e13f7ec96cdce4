# SPDX-License-Identifier: Apache-2.0
"""Periodic cells: mean stress and tangent against closed forms, differences and other codes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from rheograd.engine.fem.newton import NewtonFailure
from rheograd.engine.homogenize import problem as problem_module
from rheograd.engine.homogenize.cell import Cell, mean_strain
from rheograd.engine.homogenize.cell_files import digest, load, phases
from rheograd.engine.homogenize.control import controlled
from rheograd.engine.homogenize.microstructures import (
    random_balls,
    repeated,
    round_inclusion,
    voxels,
)
from rheograd.engine.homogenize.problem import CellProblem, Micro
from rheograd.engine.mesh.elevation import elevate
from rheograd.engine.mesh.generators import box
from rheograd.engine.mesh.volume_mesh import VolumeMesh
from rheograd.materials.composition import Damped, ElastoPlastic
from rheograd.materials.elastic import Hencky, NeoHookean, det3
from rheograd.materials.law import ConstitutiveLaw
from rheograd.materials.plastic import VonMises
from rheograd.materials.small_strain import Hyperbolic, LinearElastic

LIKE = torch.zeros((), dtype=torch.float64)
EYE = torch.eye(3, dtype=torch.float64)
SHARED = Path(__file__).parents[2] / "shared" / "data" / "rve"
PLANE = [(0, 0), (1, 1), (0, 1)]
SOFT, STIFF = LinearElastic(3.0, 0.4), LinearElastic(70.0, 0.2)
FINITE = {"matrix": NeoHookean(1.0, 0.4), "fibre": NeoHookean(10.0, 0.3)}

needs_reference = pytest.mark.skipif(
    not SHARED.is_dir(), reason="no reference data beside the project"
)


def solved(cell: Cell, F: Tensor, **more: Any) -> tuple[CellProblem, Micro]:
    problem = CellProblem(cell, LIKE, **more)
    F = F.reshape(-1, 3, 3)
    return problem, problem.solve(F, problem.rest_internal(len(F), F), 1.0)


def fibre_cell(laws: Mapping[str, ConstitutiveLaw], element: str = "quad4") -> Cell:
    divisions = (4, 2, 2) if element.startswith("quad") else (2, 1, 1)
    return Cell(round_inclusion(0.25, divisions, element=element), laws)


def laminate(laws: Mapping[str, ConstitutiveLaw], element: str) -> Cell:
    """Layers across x, the stiff one a quarter."""
    mesh = voxels(lambda x: x[:, 0] < -0.25, 4, element=element)
    return Cell(mesh, laws)


def slopes(problem: CellProblem, F: Tensor, internal: Tensor, h: float = 1e-6) -> Tensor:
    """Central differences of the mean stress, shape (w, 3, 3, 3, 3); symmetric for small strain."""
    out = torch.zeros(len(F), 3, 3, 3, 3, dtype=torch.float64)
    for i, j in problem.points.columns:
        step = torch.zeros(3, 3, dtype=torch.float64)
        step[i, j] = h
        if problem.cell.small:
            step = 0.5 * (step + step.T)
        up, down = (problem.solve(F + s * step, internal, 1.0).stress for s in (1, -1))
        out[:, :, :, i, j] = (up - down) / (2 * h)
        if problem.cell.small:
            out[:, :, :, j, i] = out[:, :, :, i, j]
    return out


def relative(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


class TestClosedForms:
    @pytest.mark.parametrize("element", ["quad4", "quad8", "tri6", "hex8", "tet4"])
    def test_laminate(self, element: str) -> None:
        """Layers in series along x: stress is one along x, strain one in the layers.

        Backus 1962, "Long-wave elastic anisotropy produced by horizontal layering": M = λ + 2μ,
        C_xxxx = ⟨1/M⟩⁻¹, C_xxyy = ⟨1/M⟩⁻¹ ⟨λ/M⟩, C_xyxy = ⟨1/μ⟩⁻¹,
        C_yyyy = ⟨M − λ²/M⟩ + ⟨1/M⟩⁻¹ ⟨λ/M⟩².
        """
        laws: dict[str, ConstitutiveLaw] = {"matrix": SOFT, "fibre": STIFF}
        _, found = solved(laminate(laws, element), mean_strain(xx=0.01, yy=-0.004, xy=0.003))
        share = torch.tensor([0.75, 0.25], dtype=torch.float64)
        lame = [
            (law.bulk_modulus().detach(), law.secant(LIKE)[0].detach() / 2) for law in (SOFT, STIFF)
        ]
        mu = torch.stack([m for _, m in lame])
        lam = torch.stack([k - 2 / 3 * m for k, m in lame])
        M = lam + 2 * mu
        series, coupling = 1 / (share / M).sum(), (share * lam / M).sum()
        C = found.tangent
        assert C is not None
        expected = {
            (0, 0, 0, 0): series,
            (0, 0, 1, 1): series * coupling,
            (1, 1, 1, 1): (share * (M - lam**2 / M)).sum() + series * coupling**2,
            (0, 1, 0, 1): 1 / (share / mu).sum(),
            (2, 2, 0, 0): series * coupling,
        }
        for entry, value in expected.items():
            assert float(C[0][entry]) == pytest.approx(float(value), rel=1e-11)

    def test_one_phase_is_its_law(self) -> None:
        law = FINITE["matrix"]
        cell = fibre_cell({"matrix": law, "fibre": law}, "hex8")
        F = EYE + 0.2 * torch.randn(3, 3, 3, dtype=torch.float64)
        F = F[det3(F) > 0.3]
        problem, found = solved(cell, F)
        expected = law.stress(F, F.new_zeros(len(F), 0)).detach() @ torch.linalg.inv(F).mT
        assert relative(found.stress, expected) < 1e-11
        assert float(found.fluctuation.abs().max()) < 1e-10
        assert problem.cell.shares()["fibre"] == pytest.approx(0.1916, abs=1e-4)

    def test_voids_carry_nothing(self) -> None:
        """A column of half the width along y, the rest void: C_yyyy is half the plane modulus.

        The column is free across: with plane strain E / (1 − nu²).
        """
        mesh = box((0.5, 1.0), (2, 4), element="quad8", corner=(0.0, 0.0))
        speck = box((0.01, 1.0), (1, 4), element="quad8", corner=(0.99, 0.0))
        nodes = torch.cat([mesh.nodes, speck.nodes])
        cells = torch.cat([mesh.cells, speck.cells + len(mesh.nodes)])
        e = len(mesh.cells)
        regions = {"matrix": torch.arange(e), "speck": torch.arange(e, len(cells))}
        whole = VolumeMesh("quad8", nodes, cells, {}, {}, regions)
        cell = Cell(whole, {"matrix": SOFT, "speck": LinearElastic(1e-9, 0.0)})
        assert cell.volume == pytest.approx(1.0)
        # the specks touch the column across the periodic faces and would weigh 1e-9
        _, found = solved(cell, mean_strain(yy=0.01))
        assert found.tangent is not None
        assert float(found.tangent[0, 1, 1, 1, 1]) == pytest.approx(0.5 * 3.0 / 0.84, rel=1e-6)

    def test_repeated_cells_answer_alike(self) -> None:
        cell = fibre_cell({"matrix": Hyperbolic(5.0, 0.1, 0.06), "fibre": STIFF})
        mesh = repeated(cell.mesh, (2, 3))
        F = mean_strain(xx=0.02, yy=-0.01, xy=0.01)
        one, several = (solved(Cell(m, cell.laws), F)[1] for m in (cell.mesh, mesh))
        assert one.tangent is not None
        assert several.tangent is not None
        assert relative(several.stress, one.stress) < 1e-9
        assert relative(several.tangent, one.tangent) < 1e-9


@needs_reference
class TestReference:
    """Stress and tangent of shared/data/rve, computed by scikit-fem and by an independent code."""

    @staticmethod
    def law(name: str) -> ConstitutiveLaw:
        if name == "linear":
            K, mu = 4780.0, 25.0 / 0.06
            return LinearElastic(9 * K * mu / (3 * K + mu), (3 * K - 2 * mu) / (6 * K + 2 * mu))
        return Hyperbolic(4780.0, 50.0, 0.06, "3d" if name == "nl3d" else "plane")

    def check(self, cell: Cell, cases: dict[str, Any], keys: tuple[str, str, str]) -> None:
        problem = CellProblem(cell, LIKE)
        F = torch.stack(
            [
                mean_strain(xx=a, yy=b, gamma_xy=c)
                for a, b, c in (v[keys[0]] for v in cases.values())
            ]
        )
        found = problem.solve(F, problem.rest_internal(len(F), F), 1.0)
        assert found.tangent is not None
        assert float(found.hill_mandel(F, problem.points).max()) < 1e-12
        i, j = torch.tensor(PLANE).T
        for k, case in enumerate(cases.values()):
            S = torch.tensor(case[keys[1]], dtype=torch.float64)
            C = torch.tensor(case[keys[2]], dtype=torch.float64)
            assert relative(found.stress[k, i, j], S) < 1e-10
            if problem.cell.symmetric:
                assert relative(found.tangent[k, i, j][:, i, j], C) < 1e-10
            else:  # theirs takes Lᵀ for the rows as well, and is off by what they state
                A = problem.points.linearize(found.point_F[k : k + 1], F.new_zeros(1, 0), 1.0)[2][0]
                weighted = problem.points.weight[:, None, None] * A[:, :3]
                L = problem.gathered(weighted[None])[0]
                theirs = weighted.sum(0) - L.T @ problem.system(A[None]).solve(L[None])[0]
                assert relative(theirs, C) < 1e-10

    @pytest.mark.parametrize("name", ["linear", "nl3d", "nl2d"])
    @pytest.mark.parametrize("element", ["quad4", "quad8", "quad9"])
    def test_one_fibre(self, element: str, name: str) -> None:
        results = json.loads((SHARED / "rve_reference.json").read_text())["results"]
        (key,) = (
            k
            for k in results
            if k.startswith(f"Q{ {'quad4': 1, 'quad8': 8, 'quad9': 9}[element] }")
        )
        mesh = load(SHARED / "rve_one_fibre_quad4.msh")
        mesh = mesh if element == "quad4" else elevate(mesh, element)
        region = phases(mesh)
        cell = Cell(
            mesh, {region["matrix"]: self.law(name), region["fibre"]: LinearElastic(73e3, 0.22)}
        )
        assert cell.shares()[region["fibre"]] == pytest.approx(0.29945947826724956, rel=1e-12)
        keys = ("E_xx_yy_gxy", "S_xx_yy_xy", "C_voigt_engineering")
        self.check(cell, results[key][name], keys)

    @pytest.mark.parametrize("name", ["nl3d", "nl2d"])
    @pytest.mark.parametrize("grid", [2, 3])
    def test_published_grids(self, grid: int, name: str) -> None:
        stored = json.loads((SHARED / "rve_reference.json").read_text())["equino_public_grids"]
        mesh = load(SHARED / f"grid{grid}")
        cell = Cell(mesh, {"1": self.law(name), "2": LinearElastic(73e3, 0.22)})
        self.check(cell, stored["results"][f"RVE{grid}"][name], ("E", "S", "C"))


def hencky_metal() -> dict[str, ConstitutiveLaw]:
    return {
        "matrix": ElastoPlastic(Hencky(10.0, 0.3), VonMises(0.2)),
        "fibre": Hencky(50.0, 0.2),
    }


MIXED = EYE + torch.tensor(
    [[0.03, 0.02, 0.01], [-0.01, -0.04, 0.02], [0.0, 0.01, 0.02]], dtype=torch.float64
)
FLAT = EYE + torch.tensor([[0.08, 0.05, 0], [-0.02, -0.06, 0], [0, 0, 0]], dtype=torch.float64)
CASES: dict[str, tuple[Cell, Tensor]] = {
    "hyperbolic": (
        fibre_cell({"matrix": Hyperbolic(5.0, 0.1, 0.06), "fibre": STIFF}, "quad8"),
        mean_strain(xx=0.03, yy=-0.01, xy=0.02),
    ),
    "not symmetric": (
        fibre_cell({"matrix": Hyperbolic(5.0, 0.1, 0.06, "plane"), "fibre": STIFF}),
        mean_strain(xx=0.03, yy=-0.01, xy=0.02),
    ),
    "space": (
        fibre_cell({"matrix": Hyperbolic(5.0, 0.1, 0.06), "fibre": STIFF}, "hex8"),
        mean_strain(xx=0.03, yy=-0.01, zz=0.01, xy=0.02, yz=-0.01),
    ),
    "finite, plane": (fibre_cell(FINITE), FLAT),
    "finite, space": (fibre_cell(FINITE, "hex8"), MIXED),
    "flowing": (fibre_cell(hencky_metal(), "hex8"), MIXED),
}


@pytest.mark.parametrize("name", CASES)
def test_tangent_and_hill_mandel(name: str) -> None:
    cell, F = CASES[name]
    problem = CellProblem(cell, LIKE, tolerance=1e-12)
    F = F[None]
    internal = problem.rest_internal(1, F)
    if problem.n_internal:  # from within a path that turned, so that what has flowed is askew
        turned = 2.0 * (F - EYE).flip(1, 2)
        internal = problem.solve(EYE + turned, internal, 1.0).internal
        internal = problem.solve(EYE + 0.5 * (F - EYE), internal, 1.0).internal
    found = problem.solve(F, internal, 1.0)
    assert found.tangent is not None
    assert float(found.hill_mandel(F, problem.points)) < 1e-12
    expected = slopes(problem, F, internal)
    assert relative(found.tangent, expected) < (2e-7 if problem.n_internal else 1e-9)
    if cell.symmetric:
        C = found.tangent.reshape(9, 9)
        i = torch.tensor([3 * i + j for i, j in problem.points.columns])
        assert relative(C[i][:, i].T, C[i][:, i]) < 1e-12


def test_worlds_are_solved_as_if_alone() -> None:
    cell, F = CASES["finite, space"]
    together = torch.stack([F, EYE, 2 * F - EYE])
    problem, found = solved(cell, together)
    assert found.iterations.tolist()[1] == 0
    for k, one in enumerate(together):
        alone = problem.solve(one[None], F.new_zeros(1, 0), 1.0)
        assert torch.equal(alone.iterations, found.iterations[k : k + 1])
        assert torch.allclose(alone.stress[0], found.stress[k], rtol=1e-12, atol=1e-15)
    warm = problem.solve(together, F.new_zeros(3, 0), 1.0, guess=found.fluctuation)
    assert int(warm.iterations.max()) == 0


def test_steps_that_go_too_far_are_shortened() -> None:
    """A cell that is crushed at once, where full steps fail, is the one that is led there."""
    problem = CellProblem(fibre_cell(FINITE), LIKE)
    crushed = torch.tensor([[-0.5, 0.3, 0], [0, 0.6, 0], [0, 0, 0]], dtype=torch.float64)
    none, guess = LIKE.new_zeros(1, 0), None
    for share in torch.linspace(0.05, 1.0, 20, dtype=torch.float64):
        led = problem.solve(EYE[None] + share * crushed, none, 1.0, guess=guess, tangent=False)
        guess = led.fluctuation
        assert int(led.iterations) < 6
    found = problem.solve(EYE[None] + crushed, none, 1.0)
    assert int(found.iterations) > 6
    assert torch.allclose(found.fluctuation, led.fluctuation, rtol=0, atol=1e-8)
    assert relative(found.stress, led.stress) < 1e-8


def test_worlds_in_parts_are_those_of_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each with its own deformation, history and guess."""
    cell, F = CASES["flowing"]
    problem = CellProblem(cell, LIKE)
    shares = torch.tensor([0.3, 1.0, 0.6], dtype=torch.float64)[:, None, None]
    some = EYE + shares * (F - EYE)
    before = problem.solve(some, problem.rest_internal(3, F), 1.0)
    ahead = EYE + 1.2 * (some - EYE)
    whole = problem.solve(ahead, before.internal, 1.0, guess=before.fluctuation)
    monkeypatch.setattr(problem_module, "POINTS", 2 * len(problem.points))
    parts = problem.solve(ahead, before.internal, 1.0, guess=before.fluctuation)
    assert torch.equal(parts.iterations, whole.iterations)
    for a, b in zip(parts, whole, strict=True):
        assert a is not None
        assert b is not None
        assert torch.allclose(a, b, rtol=1e-9, atol=1e-12)


def test_a_path_of_flow_keeps_its_history() -> None:
    """Loaded and unloaded, a cell that flowed keeps a stress; one of one phase answers its law."""
    law = ElastoPlastic(Hencky(10.0, 0.3), VonMises(0.2))
    cell = fibre_cell({"matrix": law, "fibre": law})
    problem = CellProblem(cell, LIKE)
    internal, elastic = problem.rest_internal(1, LIKE.reshape(1)), EYE[None]
    before = EYE[None]
    for amount in (0.02, 0.05, 0.03, 0.0):
        F = EYE[None] + amount * torch.tensor(
            [[1.0, 0.4, 0], [0, -0.6, 0], [0, 0, 0]], dtype=torch.float64
        )
        found = problem.solve(F, internal, 1.0)
        alone = law.update(F @ torch.linalg.inv(before) @ elastic, F.new_zeros(1, 0), 1.0)
        expected = alone.tau.detach() @ torch.linalg.inv(F).mT
        assert relative(found.stress, expected) < 1e-9
        internal, elastic, before = found.internal, alone.F_elastic.detach(), F
    assert float(found.stress.abs().max()) > 0.05


def test_history_that_is_not_zero_at_rest() -> None:
    """A damped law remembers the deformation of the step before, at first none."""
    law = Damped(NeoHookean(1.0, 0.4), 0.5)
    problem = CellProblem(fibre_cell({"matrix": law, "fibre": law}), LIKE)
    internal, before = problem.rest_internal(1, LIKE), law.rest_internal(1, LIKE)
    for share in (0.5, 1.0):
        F = EYE[None] + share * (FLAT - EYE)
        found = problem.solve(F, internal, 0.2)
        with torch.no_grad():
            alone = law.update(F, before, 0.2)
        assert relative(found.stress, alone.tau @ torch.linalg.inv(F).mT) < 1e-9
        internal, before = found.internal, alone.internal


class TestControl:
    def test_from_a_history_in_a_step_of_some_length(self) -> None:
        law = Damped(NeoHookean(1.0, 0.4), 0.5)
        problem = CellProblem(fibre_cell({"matrix": law, "fibre": FINITE["fibre"]}), LIKE)
        internal = problem.solve(FLAT[None], problem.rest_internal(1, LIKE), 0.2).internal
        free = torch.diag(torch.tensor([False, True, False]))
        F, found = controlled(
            problem, FLAT[None], torch.zeros(1, 3, 3).double(), free, internal, 0.3
        )
        alone = problem.solve(F, internal, 0.3)
        assert torch.allclose(found.stress, alone.stress, rtol=1e-9, atol=1e-12)
        assert alone.tangent is not None
        assert float(alone.stress[0, 1, 1].abs()) < 1e-10 * float(alone.tangent[0, 1, 1, 1, 1])

    def test_pulled_along_one_axis(self) -> None:
        """All stresses but one are given as zero: of one phase, Young's modulus answers."""
        cell = fibre_cell({"matrix": SOFT, "fibre": SOFT}, "hex8")
        problem = CellProblem(cell, LIKE)
        free = ~torch.zeros(3, 3, dtype=torch.bool)
        free[0, 0] = False
        F, found = controlled(
            problem, mean_strain(xx=0.01)[None], torch.zeros(1, 3, 3).double(), free
        )
        assert float(found.stress[0, 0, 0]) == pytest.approx(0.01 * 3.0, rel=1e-9)
        assert float(F[0, 1, 1] - 1) == pytest.approx(-0.4 * 0.01, rel=1e-9)

    def test_finite_strain(self) -> None:
        cell = fibre_cell(FINITE, "hex8")
        problem = CellProblem(cell, LIKE)
        free = torch.diag(torch.tensor([False, True, True]))
        start = EYE + torch.diag(torch.tensor([0.3, 0, 0], dtype=torch.float64))
        F, found = controlled(problem, start[None], torch.zeros(1, 3, 3).double(), free)
        assert float(found.stress[0, 1, 1].abs() / found.stress[0, 0, 0]) < 1e-8
        assert float(F[0, 0, 0]) == 1.3
        assert 0.85 < float(F[0, 1, 1]) < 0.95

    def test_refused(self) -> None:
        problem = CellProblem(fibre_cell({"matrix": SOFT, "fibre": STIFF}), LIKE)
        zero, free = torch.zeros(1, 3, 3).double(), torch.zeros(3, 3, dtype=torch.bool)
        free[2, 2] = True
        with pytest.raises(ValueError, match="got free components zz"):
            controlled(problem, EYE[None], zero, free)
        free[2, 2], free[0, 1] = False, True
        with pytest.raises(ValueError, match="one half of a shear"):
            controlled(problem, EYE[None], zero, free)
        turning = CellProblem(fibre_cell(FINITE), LIKE)
        free[1, 0] = free[0, 0] = free[1, 1] = True
        with pytest.raises(NewtonFailure, match="the cell turns"):
            controlled(turning, EYE[None], zero + 0.1, free)


class TestRefusals:
    def test_not_periodic(self) -> None:
        mesh = box((1.0, 1.0), (3, 3), element="quad4")
        nodes = mesh.nodes.clone()
        nodes[int((mesh.nodes - torch.tensor([0.5, 1 / 6, 0])).norm(dim=1).argmin()), 1] += 0.01
        regions = {"all": torch.arange(9)}
        with pytest.raises(ValueError, match="not periodic: 1 of 4 nodes of the face x-"):
            Cell(replace(mesh, nodes=nodes, regions=regions), {"all": SOFT})

    def test_phases(self) -> None:
        mesh = round_inclusion(0.2, (2, 1, 1), element="quad4")
        with pytest.raises(ValueError, match=r"have no law.*regions without a law: fibre"):
            Cell(mesh, {"matrix": SOFT})
        with pytest.raises(ValueError, match="did you mean fibre"):
            Cell(mesh, {"matrix": SOFT, "fiber": STIFF})
        with pytest.raises(ValueError, match="small and of finite strain"):
            Cell(mesh, {"matrix": SOFT, "fibre": FINITE["fibre"]})
        with pytest.raises(ValueError, match="without a law, expected"):
            Cell(mesh, {})
        with pytest.raises(ValueError, match="got a mesh with 0 regions"):
            phases(replace(mesh, regions={}))

    def test_phases_by_the_numbers_of_their_groups(self) -> None:
        mesh = round_inclusion(0.25, (2, 1, 1), element="quad4")
        regions = {"10": mesh.regions["fibre"], "2": mesh.regions["matrix"]}
        assert phases(replace(mesh, regions=regions)) == {"matrix": "2", "fibre": "10"}

    def test_digests_tell_meshes_apart(self) -> None:
        mesh = round_inclusion(0.25, (2, 1, 1), element="quad4")
        a, b = mesh.regions["matrix"], mesh.regions["fibre"]
        moved = mesh.nodes.clone()
        moved[-1, 0] += 1e-9
        others = [
            replace(mesh, regions={"matrix": a[1:], "fibre": torch.cat([b, a[:1]])}),
            replace(mesh, regions={"matrix": b, "fibre": a}),
            replace(mesh, nodes=moved), replace(mesh, cells=mesh.cells.roll(1, 1)),
        ]  # fmt: skip
        assert len({digest(m) for m in (mesh, *others)}) == 5
        assert digest(replace(mesh, regions={"fibre": b.flip(0), "matrix": a})) == digest(mesh)

    def test_shears_cannot_be_mixed_up(self) -> None:
        assert torch.equal(mean_strain(gamma_xy=0.04), mean_strain(xy=0.02))
        assert float(mean_strain(xy=0.02)[1, 0]) == 0.02
        with pytest.raises(ValueError, match="gamma_xy is twice xy"):
            mean_strain(xy=0.02, gamma_xy=0.04)

    def test_tables(self, tmp_path: Path) -> None:
        (tmp_path / "nodeCoordinates.csv").write_text("0,0\n1,0\n1,1\n0,1\n")
        with pytest.raises(FileNotFoundError, match="elementIncidences"):
            load(tmp_path)
        (tmp_path / "elementIncidences.csv").write_text("1,1,1,2,3,4,5\n")
        with pytest.raises(ValueError, match="has 7 columns"):
            load(tmp_path)
        (tmp_path / "elementIncidences.csv").write_text("1,1,1,2,3,5\n")
        with pytest.raises(ValueError, match="nodes from 1 to 5, expected 1 to 4"):
            load(tmp_path)
        (tmp_path / "elementIncidences.csv").write_text("1,2,1,2,3,4\n")
        assert list(load(tmp_path, scale=2.0).regions) == ["2"]
        assert float(load(tmp_path, scale=2.0).nodes.max()) == 2.0

    def test_no_balance(self) -> None:
        cell, _ = CASES["finite, plane"]
        inside_out = EYE.clone()
        inside_out[0, 0] = -0.2
        with pytest.raises(NewtonFailure, match="a cell found no balance under"):
            solved(cell, inside_out)

    def test_microstructures(self) -> None:
        with pytest.raises(ValueError, match="touches the sides"):
            round_inclusion(0.8, (2, 1, 1))
        with pytest.raises(ValueError, match="0 of 64 elements"):
            voxels(lambda x: x[:, 0] > 9, 4)
        with pytest.raises(ValueError, match="found a place"):
            random_balls(40, 0.3)
        inside = random_balls(3, 0.2, seed=4)
        grid = torch.rand(20_000, 3, dtype=torch.float64) - 0.5
        share = float(inside(grid).double().mean())
        assert share == pytest.approx(3 * 4 / 3 * np.pi * 0.2**3, rel=0.05)
        assert torch.equal(inside(grid), inside(grid + torch.tensor([1.0, -1.0, 2.0])))
