# SPDX-License-Identifier: Apache-2.0
"""Formulas that are found in the motion of a plate with a hole and the force that it took."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rheograd.engine.discovery import motion_search
from rheograd.engine.discovery.corrected import CorrectedEquations, Factor, Unsettled
from rheograd.engine.discovery.from_motion import InvertedElement, MeasuredMotion, held_by
from rheograd.engine.discovery.library import Candidate, candidates, library
from rheograd.engine.discovery.motion_search import FoundInMotion, found_in_motion, law_of
from rheograd.engine.discovery.selection import Chosen
from rheograd.engine.fem.integrators import Static
from rheograd.engine.fem.solver import FESolver
from rheograd.engine.loads import Displacement, Fixed
from rheograd.engine.mesh.generators import plate_with_hole
from rheograd.engine.observations.force_curve import ForceCurve
from rheograd.engine.scene import Body, Domain, Scene
from rheograd.engine.simulate import simulate
from rheograd.engine.trajectory import Trajectory
from rheograd.materials.energies.symbolic import Symbolic
from rheograd.scenes.cli import main

PULL = 0.25
TRUE = {"(I1bar - 3)": 2e5, "(I2bar - 3)": 1e5, "(J - 1)**2": 5e5}


@pytest.fixture(scope="module")
def pulled() -> Trajectory:
    law = Symbolic(" + ".join(f"{w}*{name}" for name, w in TRUE.items()))
    mesh = plate_with_hole(0.5, 0.2, (4, 4), element="quad8", length=1.0)
    body = Body(mesh, law, 1e3, name="plate")
    pull = Displacement("x+", (PULL, 0.0, 0.0), "x")
    domain = Domain((0.0, 0.0, -0.05), (1.5, 0.6, 0.05))
    scene = Scene(
        [body], [Fixed("x-", "x"), Fixed("y-", "y"), pull], (0.0, 0.0, 0.0), domain=domain
    )
    return simulate(scene, FESolver(integrator=Static(4)), frames=5).to(dtype=torch.float64)


def gripped(motion: Trajectory) -> ForceCurve:
    right = motion.x[0, :, 0] > motion.x[0, :, 0].max() - 1e-6
    nodes = torch.nonzero(right).flatten()
    force = motion.fields["reaction"][:, nodes, 0].sum(1).double()
    return ForceCurve(motion.time, force, nodes, torch.tensor([1.0, 0.0, 0.0]).double())


def noisy(motion: Trajectory, noise: float, seed: int) -> Trajectory:
    """Displacements in the plane with errors of a share of the pull."""
    generator = torch.Generator().manual_seed(seed)
    x = motion.x.clone()
    error = torch.randn(x[1:, :, :2].shape, generator=generator, dtype=x.dtype)
    x[1:, :, :2] += noise * PULL * error
    return replace(motion, x=x)


def found(motion: Trajectory, recorded: Trajectory, **words: Any) -> FoundInMotion:
    measured = MeasuredMotion(motion, gripped(recorded), held_by(recorded))
    return found_in_motion(measured, families=["mooney-rivlin", "volume"], draws=0, **words)


def weights(one: FoundInMotion) -> dict[str, float]:
    chosen = one.discovery.chosen
    return dict(zip((p.term.name for p in chosen.parts), chosen.weights.tolist(), strict=True))


def test_exact_displacements_give_back_the_law(pulled: Trajectory) -> None:
    one = found(pulled, pulled)
    told = weights(one)
    assert told.keys() == TRUE.keys()
    for name, weight in TRUE.items():
        assert told[name] == pytest.approx(weight, rel=1e-4)
    reach = float((pulled.x[-1] - pulled.x[0]).norm(dim=1).max())
    assert reach == pytest.approx(PULL, rel=0.1)
    measured = one.equations.about
    assert measured.reach == pytest.approx(reach, rel=1e-6)
    assert one.noise >= 0.999e-7 * reach, "recorded positions are rounded"


@pytest.mark.parametrize(("noise", "seed"), [(1e-4, 0), (1e-3, 0), (1e-3, 1)])
def test_finds_the_law_of_a_plate(pulled: Trajectory, noise: float, seed: int) -> None:
    """The terms, each weight within its band and 15 %, the noise and the motion itself."""
    motion = noisy(pulled, noise, seed)
    one = found(motion, pulled)
    told = weights(one)
    assert told.keys() == TRUE.keys()
    for part, std in zip(one.discovery.chosen.parts, one.discovery.std, strict=True):
        true = TRUE[part.term.name]
        assert abs(told[part.term.name] - true) < 3.5 * std
        assert std < (0.1 if noise > 1e-4 else 0.01) * true
    assert one.noise == pytest.approx(noise * PULL, rel=0.1)
    before, after = ((x - pulled.x)[1:].norm() for x in (motion.x, one.x))
    assert after < 0.5 * before


def test_nodes_that_were_not_seen_are_found(pulled: Trajectory) -> None:
    """A quarter of the nodes is missing in each frame; they come back to within the noise."""
    motion = noisy(pulled, 1e-3, 0)
    generator = torch.Generator().manual_seed(1)
    hidden = torch.rand(motion.x.shape[:2], generator=generator) < 0.25
    hidden[0] = False
    motion.x[hidden] = torch.nan
    measured = MeasuredMotion.of(motion, gripped(pulled), held_by(pulled))
    inner = hidden & ~held_by(pulled).any(1)
    between = (measured.motion.x - pulled.x)[inner].norm(dim=1)
    one = found_in_motion(measured, families=["mooney-rivlin", "volume"], draws=0)
    told = weights(one)
    assert told.keys() == TRUE.keys()
    for part, std in zip(one.discovery.chosen.parts, one.discovery.std, strict=True):
        assert abs(told[part.term.name] - TRUE[part.term.name]) < 3.5 * std
    assert one.noise == pytest.approx(1e-3 * PULL, rel=0.1)
    after = (one.x - pulled.x)[inner].norm(dim=1).square().mean().sqrt()
    assert after < 1e-3 * PULL and after < 0.5 * between.square().mean().sqrt()

    few = motion.x.clone()
    few[2, 10:] = torch.nan
    with pytest.raises(ValueError, match="nodes are seen in frame 2"):
        MeasuredMotion.of(replace(motion, x=few), gripped(pulled), held_by(pulled))
    few[0, 0] = torch.nan
    with pytest.raises(ValueError, match="not seen at rest"):
        MeasuredMotion.of(replace(motion, x=few), gripped(pulled), held_by(pulled))


def test_noise_that_is_told_judges_the_terms(pulled: Trajectory) -> None:
    """Terms that cannot tell the motion leave more than the errors; the right ones leave these."""
    motion = noisy(pulled, 1e-3, 0)
    right = found(motion, pulled, noise=1e-3 * PULL)
    assert weights(right).keys() == TRUE.keys()
    assert right.excess == pytest.approx(1.0, abs=0.1) and right.noise == 1e-3 * PULL
    assert not any("no formula of these terms" in note for note in right.notes)
    poor = found(motion, pulled, noise=1e-3 * PULL, most=1)
    assert poor.excess > 2 and any("no formula of these terms" in note for note in poor.notes)
    assert any("too far from the motion" in note for note in poor.notes)


def test_stiffness_is_the_slope_of_the_forces(pulled: Trajectory) -> None:
    """Against central differences, the force on the grip among them; one force is not known."""
    force = gripped(pulled)
    force.force[2] = torch.nan
    measured = MeasuredMotion(noisy(pulled, 1e-2, 3), force, held_by(pulled))
    first, second = (t for t in library(0.5) if t.name in ("(I2bar - 3)", "(J - 1)**2"))
    parts = (Candidate(first, None), Candidate(second, None))
    chosen = Chosen(parts, np.array([2.0, 3.0]), 0.0)
    slopes = measured.stiffness(law_of(chosen))
    count = int(measured.free.sum())
    assert slopes.shape == (4 * count + 3, 4 * int(measured.moving.sum()))
    assert list(measured.frame[measured.gripped]) == [0, 2, 3]
    generator = torch.Generator().manual_seed(0)
    move = torch.zeros_like(measured.motion.x)
    size = int(4 * measured.moving.sum())
    along = torch.randn(size, generator=generator, dtype=torch.float64)
    move[1:, measured.moving] = along.reshape(4, -1)

    def rows(share: float) -> np.ndarray:
        moved = measured.at(measured.motion.x + share * move)
        return chosen.weights @ np.stack([moved.rows(p) for p in parts])

    expected = (rows(1e-6) - rows(-1e-6)) / 2e-6
    np.testing.assert_allclose(slopes @ along.numpy(), expected, atol=1e-7 * abs(expected).max())


@pytest.mark.parametrize("hidden", [0.0, 0.2])
def test_rows_are_whitened_by_the_inverse_of_the_covariance(
    pulled: Trajectory, hidden: float
) -> None:
    """Against dense algebra: |row|² = cᵀ S⁻¹ c, and a step ends in linear equilibrium.

    What was not seen has a hundred times the error, about the guess of it.
    """
    draw = torch.Generator().manual_seed(1)
    seen = torch.rand(pulled.x.shape[:2], generator=draw) >= hidden
    measured = MeasuredMotion(noisy(pulled, 1e-3, 0), gripped(pulled), held_by(pulled), seen)
    parts = candidates(library(0.5, ["volume"]))[:1] + candidates(library(0.5))[:1]
    chosen = Chosen(tuple(parts), np.array([4e5, 3e5]), 0.0)
    equations = CorrectedEquations(measured, pulled.x, law_of(chosen), 2e-4, 50.0)
    C = equations.slopes.toarray()
    sure = seen[1:, :, None].expand(-1, -1, 3)[:, measured.moving].flatten().numpy()
    assert sure.all() == (hidden == 0.0)
    D = 2e-4 * np.where(sure, 1.0, 100.0)
    S = C @ np.diag(D**2) @ C.T + np.diag(np.where(measured.gripped, 50.0**2, 0.0))
    assert equations.freedom == len(S) - int((~sure).sum())
    third = equations._factor.whitened(np.where(measured.frame == 2, 1.0, 0.0))
    assert np.array_equal(third != 0.0, equations.groups == 2), "frames have nothing in common"
    for part in parts:
        row, white = measured.rows(part), equations.column(part)
        assert white @ white == pytest.approx(row @ np.linalg.solve(S, row), rel=1e-6)
    u0 = measured.motion.x[1:, measured.moving].flatten().numpy()
    gap = np.where(sure, pulled.x[1:, measured.moving].flatten().numpy() - u0, 0.0)
    forces = chosen.weights @ np.stack([measured.rows(p) for p in parts])
    balance = np.linalg.solve(S, forces - measured.loads + C @ gap)
    expected = u0 + gap - D**2 * (C.T @ balance)
    x = equations.corrected(chosen)
    np.testing.assert_allclose(x[1:, measured.moving].flatten().numpy(), expected, atol=1e-9)
    left = forces + C @ (expected - u0) - measured.loads
    assert abs(left[~measured.gripped]).max() < 1e-6 * abs(forces).max()


def test_from_files_on_the_command_line(pulled: Trajectory, tmp_path: Path) -> None:
    pulled.save(tmp_path / "plate.vtkhdf")
    force = gripped(pulled)
    rows = zip(force.times.tolist(), force.force.tolist(), strict=True)
    lines = ["time,force", *(f"{t!r},{f!r}" for t, f in rows)]
    (tmp_path / "force.csv").write_text("\n".join(lines) + "\n")
    words = ["discover", str(tmp_path / "plate.vtkhdf"), "--terms", "mooney-rivlin,volume"]
    words += ["--draws", "2", "--max-terms", "3"]
    table = ["--reaction", str(tmp_path / "force.csv"), "--noise", "1e-6", "--force-noise", "10"]
    for k, more in enumerate(([], table)):
        out = tmp_path / f"found{k}"
        assert main([*words, *more, "--out", str(out)]) == 0
        report = json.loads((out / "report.json").read_text())
        assert set(report["path"][2]["terms"]) == set(TRUE)
        page = (out / "report.html").read_text()
        assert (out / "law.safetensors").is_file() and page.count("<figure>") == 2
    assert report["settings"]["force noise"] == "10 N"
    assert report["displacement_noise_m"] == 1e-6 and report["residual"] < 1.0
    assert main([*words, "--grip", "left", "--out", str(tmp_path / "c")]) == 2


def test_what_does_not_do_is_refused(pulled: Trajectory) -> None:
    force, held = gripped(pulled), held_by(pulled)
    with pytest.raises(ValueError, match="has no cells"):
        MeasuredMotion(replace(pulled, cells=None, cell_fields={}), force, held)
    with pytest.raises(ValueError, match="give a force for each frame"):
        MeasuredMotion(pulled, force.window(0, 3), held)
    with pytest.raises(ValueError, match="nothing sets the scale"):
        MeasuredMotion(pulled, replace(force, force=0 * force.force), held)
    with pytest.raises(ValueError, match="every node is held"):
        MeasuredMotion(pulled, force, torch.ones_like(held))
    x = pulled.x.clone()
    x[1, 3] = torch.nan
    with pytest.raises(ValueError, match="not finite"):
        MeasuredMotion(replace(pulled, x=x), force, held)
    mirrored = pulled.x.clone()
    mirrored[1:, :, 0] *= -1
    with pytest.raises(InvertedElement, match="inside out"):
        MeasuredMotion(replace(pulled, x=mirrored), force, held)
    with pytest.raises(ValueError, match="no field reaction"):
        held_by(replace(pulled, fields={}))


def test_a_law_without_stiffness_is_refused(pulled: Trajectory) -> None:
    from scipy.sparse import csr_array

    force = gripped(pulled)
    with pytest.raises(ValueError, match="expected it above 0"):
        found(pulled, pulled, noise=0.0)
    measured = MeasuredMotion(pulled, replace(force, noise=-1.0), held_by(pulled))
    with pytest.raises(ValueError, match="a noise of the force of -1 N"):
        found_in_motion(measured)
    with pytest.raises(Unsettled, match="no stiffness in some direction"):
        Factor.of(csr_array(np.diag([1.0, 0.0, 2.0])))
    backward = MeasuredMotion(pulled, replace(force, force=-force.force), held_by(pulled))
    with pytest.raises(Unsettled, match="check the sign of the force"):
        found_in_motion(backward, families=["mooney-rivlin", "volume"], draws=0)


def test_only_what_is_meant_goes_on(pulled: Trajectory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Terms that do not settle and elements that turn are met; anything else is an error."""
    measured = MeasuredMotion(pulled, gripped(pulled), held_by(pulled))
    mirrored = pulled.x.clone()
    mirrored[1:, :, 0] *= -1
    part = motion_search._moved(measured, mirrored)
    assert not part.inverted
    quarter = pulled.x + 0.25 * (mirrored - pulled.x)  # half the way there all is in one plane
    torch.testing.assert_close(part.motion.x, quarter, rtol=1e-12, atol=1e-12)
    with pytest.raises(ValueError, match="not finite"):
        motion_search._moved(measured, torch.full_like(pulled.x, torch.nan))
    (square,) = (t for t in library(0.5) if t.name == "(I1bar - 3)**2")
    with pytest.raises(Unsettled, match="the moduli at rest are"):
        law_of(Chosen((Candidate(square, None),), np.array([1e5]), 0.0))
    with pytest.raises(ValueError, match="nan") as wrong:
        law_of(Chosen((Candidate(square, None),), np.array([np.nan]), 0.0))
    assert not isinstance(wrong.value, Unsettled)

    settled, calls = motion_search._Search.settled, []

    def second(search: Any, *words: Any) -> Any:
        calls.append(words)
        if len(calls) > 1:
            raise error
        return settled(search, *words)

    monkeypatch.setattr(motion_search._Search, "settled", second)
    error: ValueError = ValueError("a wrong argument")
    with pytest.raises(ValueError, match="a wrong argument"):
        found(pulled, pulled, most=1)
    calls.clear()
    error = Unsettled("too far")
    assert any("too far from the motion" in note for note in found(pulled, pulled, most=1).notes)
