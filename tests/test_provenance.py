# SPDX-License-Identifier: Apache-2.0
"""What a law was fitted to, in its file and from the fits that there are."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from rheograd.engine.fit.strains import Run, seen_strains, strains_of
from rheograd.engine.mpm import MPMSolver
from rheograd.engine.scene import Body, Scene
from rheograd.engine.shapes import Box
from rheograd.materials.elastic import Corotated, NeoHookean
from rheograd.materials.law import ConstitutiveLaw
from rheograd.materials.provenance import Provenance
from rheograd.scenes.cli import main

WHOLE = Provenance(
    "rubber.csv: UT", "uniaxial tension", "rheograd fit ...", "2026-01-02 03:04:05+00:00",
    (0.4, 6.0), (0.98, 1.02), 1e-3,
)  # fmt: skip


def words(path: Path) -> dict[str, str]:
    with safe_open(path, "pt") as file:
        return file.metadata()


def test_it_comes_back_with_the_law(tmp_path: Path) -> None:
    path = tmp_path / "law.safetensors"
    for known in (WHOLE, Provenance(data="a.npz"), Provenance(stretch=(0.9, 1.1)), None):
        law = Corotated(1e5, 0.3)
        law.provenance = known
        law.save(path)
        assert ConstitutiveLaw.load(path).provenance == known
        assert ("provenance" in words(path)) == (known is not None)
    assert Corotated(1e5, 0.3).provenance is None
    assert WHOLE.hencky == pytest.approx((math.log(0.4), math.log(6.0)))
    assert Provenance().hencky is None


def test_names_of_a_later_version_are_passed_over() -> None:
    text = json.dumps({**json.loads(WHOLE.to_json()), "weather": "rain"})
    assert Provenance.from_json(text) == WHOLE


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no json", "expected an object of JSON"),
        ("[1]", "expected an object of JSON"),
        ("[" * 100000, "expected an object of JSON"),
        ('{"stretch": [1]}', "expected two numbers"),
        ('{"stretch": ["a", 2]}', "expected two numbers"),
        ('{"stretch": [2, 1]}', "least <= largest"),
        ('{"stretch": [-1, 1]}', "least <= largest"),
        ('{"volume": [1, Infinity]}', "least <= largest"),
        ('{"step": "long"}', "number of seconds"),
        ('{"step": -1}', "above 0"),
    ],
)
def test_what_is_unreadable_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "law.safetensors"
    law = Corotated(1e5, 0.3)
    law.save(path)
    tensors = {name: value.clone() for name, value in law.state_dict().items()}
    save_file(tensors, path, {**words(path), "provenance": text})
    with pytest.raises(ValueError, match=message) as caught:
        ConstitutiveLaw.load(path)
    assert str(path) in str(caught.value)
    assert "set law.provenance and save it again" in str(caught.value)


def test_bad_ranges_are_refused() -> None:
    with pytest.raises(ValueError, match="0 < least <= largest"):
        Provenance(stretch=(1.2, 0.8))
    with pytest.raises(ValueError, match="above 0"):
        Provenance(step=0.0)


def test_ranges_leave_strayed_points_out() -> None:
    F = torch.eye(3, dtype=torch.float64).repeat(2000, 1, 1)
    F[:, 0, 0] = torch.linspace(0.8, 1.3, 2000)
    F[0, 0, 0] = 9.0
    found = strains_of(F)
    assert found.stretch == pytest.approx((0.8, 1.3), abs=0.01)
    assert found.volume == pytest.approx((0.8, 1.3), abs=0.01)


def test_strains_of_a_motion_are_those_of_the_law_asked_for() -> None:
    """Two cubes that spin apart from each other: the soft one widens, the stiff one hardly."""
    soft, stiff = NeoHookean(2e4, 0.3), NeoHookean(2e6, 0.3)
    bodies = [
        Body(Box((0.2, 0.2, 0.2), (x, 0.5, 0.5)), law, 1e3, (0, 0, 0), (0, 0, 25.0))
        for x, law in ((0.25, soft), (0.75, stiff))
    ]
    scene = Scene(bodies, gravity=(0.0, 0.0, 0.0), duration=0.05, name="spin")
    solver = MPMSolver(0.05, 2e-4)
    model = solver.discretize(scene)
    time = torch.linspace(0, 0.05, 6, dtype=torch.float64)
    wide, narrow = (seen_strains([Run(solver, model, time, law)]) for law in (soft, stiff))
    assert wide is not None
    assert narrow is not None
    assert wide.stretch[1] > 1.02 > narrow.stretch[1] > 1.0
    assert wide.stretch[0] < 1.0


def test_a_fit_of_numbers_says_what_it_was_fitted_to(small: str, tmp_path: Path) -> None:
    seen, folder = tmp_path / "seen.npz", tmp_path / "fit"
    assert main(["run", small, "--young", "3e4", "--every", "20", "--out", str(seen)]) == 0
    fit = ["fit", small, str(seen), "--parameters", "young", "--out", str(folder)]
    assert main(fit) == 0
    law = ConstitutiveLaw.load(folder / "law.safetensors")
    known = law.provenance
    assert known is not None
    assert known.data == str(seen)
    assert known.loading == "small"
    assert known.command
    assert known.date[:2] == "20"
    assert known.step == pytest.approx(1e-3)
    assert known.stretch is not None
    assert 0.2 < known.stretch[0] < 1.0 < known.stretch[1] < 2.0
    report = json.loads((folder / "report.json").read_text())
    assert report["stretches"] == pytest.approx(known.stretch)
    assert "Shaded: the stretches" in (folder / "report.html").read_text()
    assert main(["law", str(folder / "law.safetensors"), "--json", str(tmp_path / "law.json")]) == 0
    told = json.loads((tmp_path / "law.json").read_text())
    assert told["provenance"]["stretch"] == pytest.approx(known.stretch)
