# SPDX-License-Identifier: Apache-2.0
"""A bouncing body of an energy law gains no energy; a law that is of none is told by its loops."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor

from rheograd.materials.elastic import NeoHookean
from rheograd.materials.energies.polyconvex import Polyconvex
from rheograd.materials.law import Elasticity

pytestmark = pytest.mark.filterwarnings("ignore:.*particles a cell")


@pytest.fixture
def drift(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The benchmark, whose neighbours it imports."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "benchmarks"))
    monkeypatch.delitem(sys.modules, "energy_drift", raising=False)
    import energy_drift  # type: ignore[import-not-found]

    return energy_drift


class Pumped(Elasticity):
    """Neo-Hookean, and a second Piola stress across its strain: the derivative of no energy."""

    name = "pumped"

    def __init__(self) -> None:
        super().__init__()
        self.own = NeoHookean(young=1e5, poisson=0.3)

    def stress(self, F_elastic: Tensor, internal: Tensor) -> Tensor:
        """The shear of xy is answered by xx - yy, and the other way round."""
        C = F_elastic.mT @ F_elastic
        across = torch.zeros_like(C)
        across[:, 0, 1] = across[:, 1, 0] = 0.5 * (C[:, 0, 0] - C[:, 1, 1])
        across[:, 0, 0], across[:, 1, 1] = -C[:, 0, 1], C[:, 0, 1]
        own = self.own.stress(F_elastic, internal)
        return own + 3e4 * F_elastic @ across @ F_elastic.mT

    @classmethod
    def example(cls) -> Pumped:
        """The only one."""
        return cls()


@pytest.mark.parametrize("way", ["particles", "elements"])
def test_an_energy_law_gains_none(drift: ModuleType, way: str) -> None:
    """Over the first bounce, kinetic energy, weight and elastic energy make no more than before."""
    law = Polyconvex(4e4, seed=0).requires_grad_(False)
    found = drift.run("polyconvex", way, 900, 1e-3, law)
    assert found["whole"]
    assert found["gain"] < 1e-3
    if way == "elements":  # transfers do not damp there: what is missing is in the contact
        assert found["last"] > 0.99


def test_figures_tell_a_law_without_an_energy(drift: ModuleType) -> None:
    pumped, honest = drift.figures(Pumped()), drift.figures(Polyconvex(4e4, seed=0))
    assert pumped.work_worst > 0.1
    assert pumped.anisotropy > 0.1
    assert max(honest) < 1e-6


def test_a_law_is_learned_from_stresses(drift: ModuleType) -> None:
    _, untrained = drift.learn("isotropic-elasticity", 0)
    law, error = drift.learn("isotropic-elasticity", 60)
    assert error < 0.5 * untrained
    assert not any(p.requires_grad for p in law.parameters())
