# SPDX-License-Identifier: Apache-2.0
"""Sand with volume correction: cycles in closed form, and what the plain flow does of them."""

from __future__ import annotations

import pytest
import torch
from material_states import check_pullback, relative, rotations, strained
from torch import Tensor

from rheograd.materials.composition import ElastoPlastic
from rheograd.materials.elastic import Hencky, det3
from rheograd.materials.flows import VolumeCorrecting
from rheograd.materials.plastic import DruckerPrager

E, NU = 2e5, 0.3
BULK = E / (3 * (1 - 2 * NU))
EYE = torch.eye(3, dtype=torch.float64)


def sand(cohesion: float = 0.0) -> ElastoPlastic:
    return ElastoPlastic(Hencky(E, NU), VolumeCorrecting(35.0, cohesion))


def driven(law: ElastoPlastic, traces: list[float]) -> tuple[list[float], Tensor]:
    """Pressures [Pa] along isotropic log volumes, and the history at last."""
    F, internal, before, out = EYE[None], law.rest_internal(1, EYE), 0.0, []
    for now in traces:
        with torch.no_grad():
            found = law.update(torch.tensor((now - before) / 3).double().exp() * F, internal, 1.0)
        F, internal, before = found.F_elastic, found.internal, now
        out.append(-float(found.tau[0].trace() / 3))
    return out, internal


@pytest.mark.parametrize("cohesion", [0.0, 0.004])
def test_sand_that_was_stretched_and_pushed_back_has_its_volume(cohesion: float) -> None:
    """No pressure before log J = 0, K log J beyond; the plain flow presses from the turn on."""
    path = [0.1, 0.3, 0.2, 0.05, 0.02, -0.03]
    tension = BULK * 3 * cohesion
    pressures, loosened = driven(sand(cohesion), path)
    expected = [-min(BULK * e, tension) for e in path]
    assert pressures == pytest.approx(expected, rel=1e-6, abs=1e-6 * E)
    assert float(loosened) == 0.0
    plain = ElastoPlastic(Hencky(E, NU), DruckerPrager(35.0, cohesion))
    swollen, _history = driven(plain, path)
    assert swollen[-1] == pytest.approx(BULK * (0.33 - 3 * cohesion), rel=1e-6)


def test_the_volume_is_that_of_the_whole_along_a_path() -> None:
    """log det F_elastic + v_c is the sum of all changes of log volume, whatever flowed."""
    law, F, volume = sand(), EYE.repeat(30, 1, 1), torch.zeros(30).double()
    internal, most = law.rest_internal(30, EYE), 0.0
    for _ in range(15):
        move = rotations(30) @ (EYE + 0.02 * torch.randn(30, 3, 3).double())
        with torch.no_grad():
            found = law.update(move @ F, internal, 1.0)
        F, internal, volume = found.F_elastic, found.internal, volume + det3(move).log()
        assert relative(det3(F).log() + internal[:, 0], volume) < 1e-10
        assert bool((internal >= 0).all())
        most = max(most, float(internal.max()))
    assert most > 0.02


def test_without_a_memory_it_is_the_plain_flow() -> None:
    F = strained(30)
    a = ElastoPlastic(Hencky(E, NU), DruckerPrager(35.0, 0.01)).update(F, F.new_zeros(30, 0), 1.0)
    b = sand(0.01).update(F, F.new_zeros(30, 1), 1.0)
    assert torch.equal(a.tau, b.tau) and torch.equal(a.F_elastic, b.F_elastic)


@pytest.mark.parametrize("squeeze", [0.85, 1.0, 1.1])
def test_gradients_of_pressed_sheared_and_loose_sand(squeeze: float) -> None:
    F = squeeze * strained(10)
    check_pullback(sand(0.01), F, 0.1 * torch.rand(10, 1).double())
