# SPDX-License-Identifier: Apache-2.0
"""Snow: its band, its plastic volume, how it hardens, and a snowball in particles."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
import torch
from finite_elements import NOTHING
from material_states import check_pullback, relative, rotations, strained
from torch import Tensor

from rheograd.engine.boundaries import Floor
from rheograd.engine.errors import SimulationError
from rheograd.engine.fem import FESolver, Static
from rheograd.engine.loads import Displacement, Fixed, Traction
from rheograd.engine.mesh.generators import box
from rheograd.engine.mpm import MPMSolver
from rheograd.engine.scene import Body, Scene
from rheograd.engine.shapes import Box, Sphere
from rheograd.engine.simulate import simulate
from rheograd.engine.trajectory import Trajectory
from rheograd.materials.composition import ElastoPlastic
from rheograd.materials.elastic import Corotated, Hencky, det3
from rheograd.materials.flows import Snow
from rheograd.materials.law import ConstitutiveLaw
from rheograd.materials.rubber import MooneyRivlin

E, NU = 1.4e5, 0.2
BASES = pytest.mark.parametrize("base", [Corotated, Hencky])
EYE = torch.eye(3, dtype=torch.float64)


def column(*rows: float) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)[:, None]


@BASES
def test_a_packed_cube_in_closed_form(base: type[Corotated] | type[Hencky]) -> None:
    """Pressed to a stretch s: elastic 1 − θ_c, J_p = s/(1 − θ_c), moduli times exp(ξ (1 − J_p))."""
    law, elastic = ElastoPlastic(base(E, NU), Snow()), base(E, NU)
    Q = rotations(1)
    for s, factor in ((0.99, 1.0), (0.9, math.exp(10 * (1 - 0.9 / 0.975))), (0.5, 10.0)):
        kept = max(s, 0.975)
        F, expected = (Q @ column(1.0, a, 1.0).flatten().diag() for a in (s, kept))
        with torch.no_grad():
            found = law.update(F, law.rest_internal(1, F), 1e-3)
        assert relative(found.F_elastic, expected) < 1e-13
        assert float(found.internal) == pytest.approx(s / kept, rel=1e-13)
        tau = factor * elastic.update(expected, F.new_zeros(1, 0), 1e-3).tau
        assert relative(found.tau, tau) < 1e-12


@BASES
def test_the_volume_is_that_of_the_whole_along_a_path(
    base: type[Corotated] | type[Hencky],
) -> None:
    """det F_elastic J_p is the product of all volume ratios, whatever flowed and turned."""
    law = ElastoPlastic(base(E, NU), Snow())
    F = EYE.repeat(20, 1, 1)
    internal, volume = law.rest_internal(20, F), F.new_ones(20)
    least, most = 0.975, 1.0075
    for _ in range(12):
        move = rotations(20) @ (EYE + 0.03 * torch.randn(20, 3, 3).double())
        found = law.update(move @ F, internal, 1e-3)
        F, internal, volume = found.F_elastic.detach(), found.internal.detach(), volume * det3(move)
        sigma = torch.linalg.svdvals(F)
        assert least - 1e-12 < float(sigma.min()) and float(sigma.max()) < most + 1e-12
        assert relative(det3(F) * internal[:, 0], volume) < 1e-11
    assert float(internal.min()) < 0.97 and float(internal.max()) > 1.03


@BASES
def test_gradients_where_it_hardens_and_at_the_bound(
    base: type[Corotated] | type[Hencky],
) -> None:
    """Of loose snow, packed snow and snow as hard as it gets; the stress of a state as well."""
    law = ElastoPlastic(base(E, NU), Snow(0.06, 0.03, 6.0, hardest=5.0))
    F = strained(12)
    internal = column(1.5, 1.1, 0.97, 0.9, 0.8, 0.4).repeat(2, 1)
    check_pullback(law, F, internal)
    bound = 6.0 * (1 - internal) > math.log(5.0)
    assert 1 < int(bound.sum()) < 12
    small = EYE + 0.01 * torch.randn(12, 3, 3).double()  # most of it inside the band
    check_pullback(law, small, internal)
    weight = torch.randn_like(F)
    inputs = [small.requires_grad_(), internal.requires_grad_(), law.plasticity.hardening]
    total = (weight * law.stress(small, internal)).sum()
    gradients = torch.autograd.grad(total, inputs)
    for tensor, gradient in zip(inputs, gradients, strict=True):
        way, h = torch.randn_like(tensor), 1e-6
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                tensor += sign * h * way
                values.append(float((weight * law.stress(small, internal)).sum()))
                tensor -= sign * h * way
        expected = (values[0] - values[1]) / (2 * h)
        assert float((gradient * way).sum()) == pytest.approx(expected, rel=1e-6, abs=1e-5)


def test_the_stress_is_that_of_the_energy() -> None:
    """τ = dψ/dF Fᵀ at constant history, of packed snow."""
    law = ElastoPlastic(Corotated(E, NU), Snow())
    F = (EYE + 0.05 * torch.randn(8, 3, 3).double()).requires_grad_()
    internal = column(0.95).repeat(8, 1)
    energy = law.energy(F, internal)
    assert energy is not None
    (slope,) = torch.autograd.grad(energy.sum(), F)
    assert relative(law.stress(F, internal), slope @ F.mT) < 1e-9


def test_steps_are_fitted_to_the_hardest_snow() -> None:
    base = Corotated(E, NU)
    assert ElastoPlastic(base, Snow(hardest=4.0)).wave_modulus() == 4 * base.wave_modulus()
    assert ElastoPlastic(base, Snow(hardening=0.0)).wave_modulus() == base.wave_modulus()
    with pytest.raises(TypeError, match="stiffens μ and λ"):
        ElastoPlastic(MooneyRivlin.example(), Snow())


@pytest.mark.filterwarnings("ignore:.*particles a cell")
def test_a_snowball_packs_where_it_lands_and_the_file_holds_it(tmp_path: Path) -> None:
    law = ElastoPlastic(Corotated(E, NU), Snow(hardest=5.0))
    ball = Body(Sphere(0.12, (0.3, 0.13, 0.3)), law, 400.0, (0, -6, 0))
    out = simulate(Scene([ball], [Floor()], duration=0.03), MPMSolver(0.05), frames=6)
    volume = out.fields["plastic_volume"]
    assert torch.equal(volume[0], torch.ones_like(volume[0]))
    low = out.x[0, :, 1] < 0.07
    assert float(volume[-1, low].min()) < 0.9 and float(volume[-1, low].mean()) < 0.99
    assert out.v is not None
    kinetic = out.v.double().square().sum((1, 2))
    assert bool((kinetic < 1.01 * kinetic[0]).all()) and float(kinetic[-1]) < 0.5 * kinetic[0]
    out.save(tmp_path / "ball.npz")
    assert torch.equal(Trajectory.load(tmp_path / "ball.npz").fields["plastic_volume"], volume)


@pytest.mark.filterwarnings("ignore:.*particles a cell")
@pytest.mark.parametrize("crumbles", [True, False])
def test_snow_crumbles_where_jelly_holds(crumbles: bool) -> None:
    """Two halves that part at 3 m/s lose their hold and fly on, or swing together."""
    jelly = Corotated(E, NU)
    law = ElastoPlastic(jelly, Snow()) if crumbles else jelly
    halves = [
        Body(Box((0.1, 0.1, 0.1), (x, 0.3, 0.3)), law, 400.0, (u, 0, 0))
        for x, u in ((0.25, -1.5), (0.35, 1.5))
    ]
    out = simulate(Scene(halves, gravity=NOTHING, duration=0.04), MPMSolver(0.025), frames=8)
    apart = [out.x[:, out.body == k, 0].mean(1) for k in (0, 1)]
    gap = apart[1] - apart[0]
    if not crumbles:
        assert float(gap.max()) < 0.15
        return
    speed = gap.diff() / out.time.diff()
    assert float(speed[-1]) > 1.8
    assert float(speed[-1]) == pytest.approx(float(speed[-2]), rel=0.02)
    assert float(out.fields["plastic_volume"][-1].max()) > 1.1


@pytest.mark.parametrize(
    ("given", "remedy"),
    [
        ({"critical_compression": 0.0}, "critical_compression > 0"),
        ({"critical_compression": 1.0}, "less than 1"),
        ({"critical_stretch": -0.1}, "critical_stretch > 0"),
        ({"hardening": -1.0}, "hardening >= 0"),
        ({"hardest": 0.5}, "at least 1"),
    ],
)
def test_bad_parameters_are_refused(given: dict[str, float], remedy: str) -> None:
    with pytest.raises(ValueError, match=remedy):
        Snow(**given)


def pulled(load: Displacement | Traction, law: ConstitutiveLaw, steps: int) -> Trajectory:
    """A cube between planes of symmetry, free to contract: one element, in which none localizes."""
    mesh, axes = box((1.0, 1.0, 1.0), (1, 1, 1), corner=(0.0, 0.0, 0.0)), "xyz"
    walls = [Fixed(f"{axis}-", components=axis) for axis in axes]
    scene = Scene([Body(mesh, law, 400.0)], [*walls, load], gravity=NOTHING)
    return simulate(scene, FESolver(integrator=Static(steps)))


def test_static_snow_beyond_its_strength_is_one_clear_error() -> None:
    """E θ_s in uniaxial tension; what was borne is told to within a sixty-fourth of a step."""
    law, strength = ElastoPlastic(Corotated(E, NU), Snow()), E * 7.5e-3
    borne = pulled(Traction("x+", (0.99 * strength, 0.0, 0.0)), law, 2)
    assert float((borne.x[-1] - borne.x[0])[:, 0].max()) < 7.5e-3
    with pytest.raises(SimulationError) as caught:
        pulled(Traction("x+", (2 * strength, 0.0, 0.0)), law, 2)
    said = str(caught.value)
    found = re.search(r"no equilibrium beyond ([0-9.]+) % of the load", said)
    assert found is not None and float(found[1]) == pytest.approx(50, abs=1.0)
    assert "elasto-plastic yields and bears no more than its strength" in said
    assert "a Displacement in place of a force" in said
    with pytest.raises(SimulationError) as caught:
        pulled(Traction("x+", (-2 * E, 0.0, 0.0)), Corotated(E, NU), 1)
    assert "yields" not in str(caught.value)


def test_static_snow_is_pulled_apart_by_a_displacement() -> None:
    """Its stress is that of the band's edge times the factor of the opened volume."""
    law = ElastoPlastic(Corotated(E, NU), Snow())
    out = pulled(Displacement("x+", (0.05, 0.0, 0.0), components="x"), law, 10)
    pulls = out.fields["reaction"][..., 0].clamp(min=0.0).sum(1)
    assert int(pulls.argmax()) in (1, 2)
    moved = out.x[-1] - out.x[0]
    axial, across = 1.05, 1 + float(moved[:, 1].min())
    opened = axial / 1.0075
    F = column(1.0075, across, across).flatten().diag()[None]
    tau = Corotated(E, NU).stress(F, F.new_zeros(1, 0))[0, 0, 0].item()
    assert float(pulls[-1]) == pytest.approx(math.exp(10 * (1 - opened)) * tau / axial, rel=1e-6)
    assert float(pulls[-1]) < 0.7 * float(pulls.max())
