# SPDX-License-Identifier: Apache-2.0
"""Fibres that bear tension and fibres that pull: closed forms, symmetry, gradients, motion."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from finite_elements import NOTHING
from material_states import check_pullback, relative, rotations, strained
from torch import Tensor

from rheograd.engine.boundaries import Floor
from rheograd.engine.fem import FESolver, Static
from rheograd.engine.loads import Fixed
from rheograd.engine.mesh.generators import box
from rheograd.engine.mpm import MPMSolver
from rheograd.engine.scene import Body, Scene
from rheograd.engine.shapes import Box
from rheograd.engine.simulate import simulate
from rheograd.engine.solver import Checkpoint, Solver
from rheograd.materials.composition import Damped, ElastoPlastic
from rheograd.materials.elastic import AnalyticElasticity, NeoHookean, Volumetric
from rheograd.materials.fibres import Active, FibreReinforced
from rheograd.materials.law import ConstitutiveLaw
from rheograd.materials.plastic import HardeningVonMises
from rheograd.materials.rubber import Gent
from rheograd.materials.viscoelastic import Viscoelastic

YOUNG, POISSON = 3e4, 0.4
MU = YOUNG / (2 * (1 + POISSON))
LAMBDA = YOUNG * POISSON / ((1 + POISSON) * (1 - 2 * POISSON))
K1, K2, T = 2e4, 3.0, 1e4
EYE = torch.eye(3, dtype=torch.float64)
X = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)


def matrix() -> NeoHookean:
    return NeoHookean(YOUNG, POISSON)


def tissue(kappa: float = 0.1) -> FibreReinforced:
    return FibreReinforced(matrix(), K1, K2, kappa)


LAWS: dict[str, Callable[[], AnalyticElasticity]] = {
    "fibres": tissue,
    "parallel": lambda: tissue(0.0),
    "linear": lambda: FibreReinforced(Gent(1e4, 40.0, 1e5), K1, 0.0, 0.2),
    "families": lambda: FibreReinforced(tissue(), 3e4, 1.0, 0.0, field="across"),
    "active": lambda: Active(matrix(), T),
    "muscle": lambda: Active(tissue(), T),
    "turned": lambda: Active(tissue(), T, field="pull"),
    "sheathed": lambda: FibreReinforced(Active(matrix(), T), K1, K2),
}
EVERY = pytest.mark.parametrize("make", LAWS.values(), ids=LAWS.keys())


def points(law: ConstitutiveLaw, q: int) -> Tensor:
    """Directions that are not unit vectors, activations, and no flow."""
    internal = law.rest_internal(q, EYE)
    width = sum(law.fields.values())
    internal[:, :width] = torch.randn(q, width, dtype=torch.float64)
    return internal


@EVERY
def test_stress_is_the_derivative_of_the_energy(make: Callable[[], AnalyticElasticity]) -> None:
    law, F = make(), strained(40).requires_grad_()
    internal = points(law, 40)
    internal[:4] = 0
    energy = law.energy(F, internal)
    assert energy is not None
    (P,) = torch.autograd.grad(energy.sum(), F)
    assert relative(P @ F.mT, law.stress(F, internal)) < 1e-12


@EVERY
def test_gradients_against_central_differences(make: Callable[[], AnalyticElasticity]) -> None:
    """Of F, directions, activations and parameters."""
    law, F = make(), strained(12)
    check_pullback(law, F, points(law, 12))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Viscoelastic(Active(tissue(), T), [1e4], [0.02]),
        lambda: ElastoPlastic(tissue(), HardeningVonMises(2e3, 1e4)),
        lambda: Damped(ElastoPlastic(Active(tissue(), T), HardeningVonMises(2e3, 1e4)), 1e-2),
        lambda: Damped(Viscoelastic(tissue(), [1e4], [0.02]), 1e-2),
    ],
    ids=["viscoelastic", "yielding", "damped", "damped-viscoelastic"],
)
def test_gradients_of_combinations(make: Callable[[], ConstitutiveLaw]) -> None:
    law, F = make(), strained(8)
    internal = points(law, 8)
    width = sum(law.fields.values())
    internal[:, width:] += 0.03 * torch.randn_like(internal[:, width:])
    if isinstance(law, Damped):
        internal[:, -9:] += (F - EYE).flatten(1)
    assert next(iter(law.fields)) == "fibre" and law.axes == ("fibre",)
    check_pullback(law, F, internal)
    assert torch.equal(law.update(F, internal, 0.1).internal[:, :width], internal[:, :width])


@pytest.mark.parametrize("kappa", [0.0, 0.2, 1 / 3])
@pytest.mark.parametrize("stretch", [0.8, 1.3])
def test_uniaxial_stretch_along_and_across(kappa: float, stretch: float) -> None:
    """τ = 2 k₁ ⟨E⟩ exp(k₂ ⟨E⟩²) (κ λᵢ² + (1 − 3κ) λ² along the fibre), of diag(λ, λ^-½, λ^-½)."""
    law, side = tissue(kappa), stretch**-0.5
    F = torch.tensor([stretch, side, side], dtype=torch.float64).diag()[None]
    own = matrix().stress(F, F.new_zeros(1, 0))[0].diagonal()
    for axis, length in ((0, stretch), (1, side)):
        E = kappa * (stretch**2 + 2 / stretch - 3) + (1 - 3 * kappa) * (length**2 - 1)
        factor = 2 * K1 * max(E, 0.0) * math.exp(K2 * max(E, 0.0) ** 2)
        expected = factor * kappa * F[0].diagonal() ** 2
        expected[axis] += factor * (1 - 3 * kappa) * length**2
        found = law.stress(F, EYE[axis : axis + 1])[0]
        assert torch.allclose(found.diagonal() - own, expected, rtol=1e-12, atol=1e-12 * K1)
        assert bool((found.diagonal() == own).all()) is (E <= 0)
    if kappa == 1 / 3:
        along, across = (law.stress(F, EYE[i : i + 1]) for i in (0, 1))
        assert relative(along, across) < 1e-12


@EVERY
def test_symmetry_is_that_of_the_fibres(make: Callable[[], AnalyticElasticity]) -> None:
    """A turn at rest about the fibre, or back to front, leaves the stress; another does not."""
    law, F = make(), strained(20)
    internal = points(law, 20)
    stress = law.stress(F, internal)
    width = sum(law.fields.values())
    if len(law.axes) == 1:
        at = list(law.fields).index("fibre")
        assert at == 0
        n = torch.nn.functional.normalize(internal[:, :3])
        spin = torch.zeros(20, 3, 3, dtype=torch.float64)
        spin[:, 0, 1], spin[:, 0, 2], spin[:, 1, 2] = -n[:, 2], n[:, 1], -n[:, 0]
        turn = torch.matrix_exp(1.3 * (spin - spin.mT))
        assert relative(law.stress(F @ turn, internal), stress) < 1e-11
    assert relative(law.stress(F @ rotations(20), internal), stress) > 1e-2
    for sign in (-1.0, 2.5):
        scaled = internal.clone()
        at = 0
        for name, k in law.fields.items():
            if name in law.axes:
                scaled[:, at : at + k] *= sign
            at += k
        assert at == width
        assert relative(law.stress(F, scaled), stress) < 1e-12


def test_points_without_a_direction_have_no_fibres() -> None:
    F, none = strained(10), torch.zeros(10, 4, dtype=torch.float64)
    none[:, 3] = 1.0
    expected = matrix().stress(F, none[:, :0])
    assert torch.equal(tissue().stress(F, none[:, :3]), expected)
    assert torch.equal(Active(matrix(), T).stress(F, none), expected)


def test_tension_of_a_muscle() -> None:
    """At its length of rest T at full activation; τ = T λ² along the fibre when it is stretched."""
    law = Active(matrix(), T)
    internal = torch.tensor([[0.0, 3.0, 0.0, 0.7]], dtype=torch.float64)
    F = torch.diag(torch.tensor([1.1, 1.2, 0.9], dtype=torch.float64))[None]
    for G, length in ((EYE[None], 1.0), (F, 1.2)):
        active = law.stress(G, internal) - matrix().stress(G, internal[:, :0])
        expected = torch.zeros(3, 3, dtype=torch.float64)
        expected[1, 1] = 0.7 * T * length**2
        assert torch.allclose(active[0], expected, rtol=1e-12, atol=1e-9)
    assert torch.equal(law.recorded(internal)["activation"], internal[:, 3])


@pytest.mark.parametrize("kappa", [0.0, 0.1, 1 / 3])
def test_the_wave_modulus_is_that_of_taut_fibres(kappa: float) -> None:
    law, a = tissue(kappa), X[None]
    taut = EYE[None] + 1e-9 * torch.outer(X, X)
    found = float(law.tangent(taut, a, 1.0)[0, 0, 0, 0, 0])
    assert law.wave_modulus() == pytest.approx(found, rel=1e-6)
    assert law.stiffest(a) == law.wave_modulus()
    muscle = Active(law, T)
    fields = torch.tensor([[1.0, 0.0, 0.0, 0.2], [1.0, 0.0, 0.0, 0.6]], dtype=torch.float64)
    at_work = float(muscle.tangent(taut, fields[1:], 1.0)[0, 0, 0, 0, 0])
    assert muscle.stiffest(fields) == pytest.approx(at_work, rel=1e-6)
    assert Damped(muscle, 1e-3).stiffest(fields) == muscle.stiffest(fields)


def falling(fields: Mapping[str, Any], law: ConstitutiveLaw) -> Scene:
    block = Body(Box((0.2, 0.2, 0.2), (0.3, 0.11, 0.3)), law, 1e3, (0.5, -2.0, 0.0), fields=fields)
    return Scene([block], [Floor(friction=0.3)], duration=0.02)


def held(fields: Mapping[str, Any], law: ConstitutiveLaw) -> Scene:
    body = Body(box((0.2, 0.1, 0.1), (2, 1, 1)), law, 1e3, fields=fields)
    return Scene([body], [Fixed("x-")], (0.0, -9.81, 0.0), duration=1.0)


RUNS: dict[str, tuple[Callable[..., Scene], Solver]] = {
    "particles": (falling, MPMSolver(cell=0.1, dt=1e-3, precision="float64")),
    "static": (held, FESolver(integrator=Static(steps=2))),
}


def measured(scene: Scene, solver: Solver, *, adjoint: Checkpoint | None = None) -> Tensor:
    model = solver.discretize(scene)
    steps = 2 if isinstance(solver, FESolver) else 20
    x = solver.rollout(model, solver.start(model), steps, adjoint=adjoint).last.x
    return (torch.linspace(-1.0, 2.0, x.numel(), dtype=torch.float64).view_as(x) * x).sum()


@pytest.mark.filterwarnings("ignore:.*particles a cell")
@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("damped", [False, True], ids=["muscle", "damped"])
def test_gradients_of_roll_outs(run: str, damped: bool) -> None:
    """Of directions, activations and the parameters of a damped muscle of fibres."""
    scene, solver = RUNS[run]
    law: ConstitutiveLaw = Active(tissue(), T)
    law = Damped(law, 2e-3) if damped else law
    given = {
        "fibre": torch.tensor([0.9, 0.5, 0.3], dtype=torch.float64, requires_grad=True),
        "activation": torch.tensor([0.6], dtype=torch.float64, requires_grad=True),
    }
    measured(scene(given, law), solver, adjoint=Checkpoint(every=7)).backward()
    numbers = {**given, **dict(law.named_parameters())}
    for name, number in numbers.items():
        assert number.grad is not None, name
        along, values = torch.randn_like(number), []
        if not number.ndim:
            along = number.detach().clone()
        for sign in (1, -1):
            with torch.no_grad():
                number += sign * 1e-5 * along
                values.append(measured(scene(given, law), solver))
                number -= sign * 1e-5 * along
        expected = float(values[0] - values[1]) / 2e-5
        assert float((number.grad * along).sum()) == pytest.approx(expected, rel=2e-5), name


def test_a_block_of_muscle_contracts_until_its_matrix_holds() -> None:
    """μ(λ² − 1) + Λ log J + c T λ² = 0 along the fibres and μ(s² − 1) + Λ log J = 0 across."""
    loads = [Fixed("x-", "x"), Fixed("y-", "y"), Fixed("z-", "z")]
    law = Active(matrix(), T)
    body = Body(
        box((0.2, 0.1, 0.1), (2, 1, 1)), law, 1e3, fields={"fibre": (1, 0, 0), "activation": 0.8}
    )
    out = simulate(Scene([body], loads, NOTHING), FESolver(integrator=Static(4), tolerance=1e-12))
    assert out.x is not None
    extent = out.x[-1].amax(0) - out.x[-1].amin(0)
    length, side, other = (extent / torch.tensor([0.2, 0.1, 0.1]).to(extent)).tolist()
    assert side == pytest.approx(other, rel=1e-6)
    pressure = LAMBDA * math.log(length * side**2)
    assert length < 0.9 and side > 1.03
    assert abs(MU * (length**2 - 1) + pressure + 0.8 * T * length**2) < 1e-4 * MU
    assert abs(MU * (side**2 - 1) + pressure) < 1e-4 * MU


def test_a_file_holds_them(tmp_path: Path) -> None:
    law = Viscoelastic(LAWS["turned"](), [1e4], [0.1])
    law.save(tmp_path / "law.safetensors")
    again = ConstitutiveLaw.load(tmp_path / "law.safetensors")
    F, internal = strained(4), points(law, 4)
    assert again.fields == law.fields == {"fibre": 3, "pull": 3, "activation": 1}
    assert again.axes == ("fibre", "pull")
    assert torch.equal(again.update(F, internal, 0.1).tau, law.update(F, internal, 0.1).tau)


@pytest.mark.parametrize(
    ("make", "kind", "said"),
    [
        (lambda: FibreReinforced(matrix(), 0.0, 1.0), ValueError, "stiffness > 0"),
        (lambda: FibreReinforced(matrix(), 1e4, -1.0), ValueError, "exponential >= 0"),
        (lambda: tissue(0.4), ValueError, "0 <= dispersion <= 1/3"),
        (lambda: Active(matrix(), -1.0), ValueError, "tension > 0"),
        (lambda: Active(LAWS["active"](), T), ValueError, "which is active itself"),
        (
            lambda: FibreReinforced(LAWS["active"](), K1, K2, field="activation"),
            ValueError, "that is no direction",
        ),
        (
            lambda: Active(Viscoelastic(tissue(), [1e4], [1.0]), T),
            ValueError, r"take Viscoelastic\(Active",
        ),
        (lambda: FibreReinforced(Damped(matrix(), 1.0), K1, K2), TypeError, "analytic"),  # type: ignore[arg-type]
    ],
)  # fmt: skip
def test_bad_parts_are_refused(make: Callable[[], Any], kind: type[Exception], said: str) -> None:
    with pytest.raises(kind, match=said):
        make()


def test_a_liquid_may_have_fibres() -> None:
    """An elasticity without stiffness in shear, too."""
    law = FibreReinforced(Volumetric(1e5, 0.3), K1, K2)
    check_pullback(law, strained(5), points(law, 5))
