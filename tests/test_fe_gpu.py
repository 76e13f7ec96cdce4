# SPDX-License-Identifier: Apache-2.0
"""Finite elements on a CUDA device: the same numbers as on a CPU.

Sums are added in another order, and linear systems are solved by iterations. All runs but one are
in float64 with Newton's method to 1e-12, so that what is left is rounding, amplified by the
condition of the problem (1e3 to 1e4 here), and in gradients the tolerance of the adjoint systems,
1e-10.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from finite_elements import Fung, block, network
from torch import Tensor

from rheograd.engine.boundaries import Floor, Grip, Motion
from rheograd.engine.fem.integrators import (
    BackwardEuler,
    CentralDifferences,
    Integrator,
    Newmark,
    Static,
)
from rheograd.engine.fem.solver import FESolver
from rheograd.engine.loads import (
    BodyForce,
    Displacement,
    Fixed,
    PointForce,
    PointMass,
    Pressure,
    Spring,
    Traction,
)
from rheograd.engine.scene import Body, Scene
from rheograd.engine.shapes import Box
from rheograd.engine.solver import Checkpoint
from rheograd.materials.composition import Damped, ElastoPlastic
from rheograd.materials.elastic import Hencky, NeoHookean
from rheograd.materials.law import ConstitutiveLaw
from rheograd.materials.plastic import VonMises
from rheograd.scenes import cantilever, drop

OTHER: dict[str, Any] = {"device": "cuda"}
"""What is compared with a CPU. {"device": "cpu", "linear": "warp"} without the mark below checks
these tests, and the iterations, where there is no GPU."""
pytestmark = pytest.mark.gpu

STILL = (0.0, 0.0, 0.0)
MOTION = 1e-8
"""Relative difference of positions, velocities, reactions, stresses and energies; the iterations
alone change them by up to 2e-9 on a CPU, most where stresses are small."""
GRADIENT = 1e-6
"""And of gradients, by up to 6e-8 where most of a sum cancels."""

Law = Callable[[], ConstitutiveLaw]


def neo_hookean(poisson: float = 0.3) -> NeoHookean:
    return NeoHookean(1e4, poisson)


def rolled(
    build: Callable[[list[ConstitutiveLaw]], list[Scene]], laws: Sequence[Law], steps: int,
    options: dict[str, Any],
) -> dict[str, Tensor]:  # fmt: skip
    """What a run gives, and gradients of a scalar of it by the parameters of its laws."""
    torch.manual_seed(0)  # of weights
    made = [law() for law in laws]
    solver = FESolver(**{"tolerance": 1e-12, **options})
    model = solver.discretize(build(made))
    start = solver.start(model)
    assert start.x.device.type == torch.device(solver.device).type
    out = solver.rollout(model, start, steps, observe=[1, steps], adjoint=Checkpoint(2))
    weights = torch.randn(2, model.n, 3, generator=torch.Generator().manual_seed(0)).to(out.x)
    total = (weights * (out.x + 0.1 * out.v)).sum()
    parameters = [(f"{k}.{n}", p) for k, law in enumerate(made) for n, p in law.named_parameters()]
    grads = torch.autograd.grad(total, [p for _, p in parameters])
    state = solver.rollout(model, solver.start(model), steps).last
    found = {
        "x": out.x - model.x0, "v": out.v, "reactions": out.fields["reaction"],
        "F": state.F, "internal": state.internal, "x of a run without gradients": state.x,
        **solver.fields(model, state), **solver.cell_fields(model, state),
        "energies": torch.tensor(list(solver.energies(model, state).values())[:-1]),
    }  # fmt: skip
    found |= {f"gradient by {n}": g for (n, _), g in zip(parameters, grads, strict=True)}
    return {name: value.detach().double().cpu() for name, value in found.items()}


def compare(
    build: Callable[[list[ConstitutiveLaw]], list[Scene]],
    *laws: Law,
    steps: int,
    bounds: tuple[float, float] = (MOTION, GRADIENT),
    **options: Any,
) -> dict[str, Tensor]:
    """Of both devices; every number by the largest of its kind. Gives those of the CPU."""
    cpu, other = (rolled(build, laws, steps, {**options, **on}) for on in ({}, OTHER))
    assert cpu.keys() == other.keys()
    for name, expected in cpu.items():
        bound = bounds[name.startswith("gradient")]
        size = float(expected.abs().max()) if expected.numel() else 0.0
        assert bool(expected.isfinite().all()), name
        assert torch.allclose(other[name], expected, rtol=0, atol=bound * size + 1e-300), name
    assert float(cpu["x"].abs().max()) > 0.0
    return cpu


def pulled(laws: list[ConstitutiveLaw], force: float = -200.0, **more: Any) -> list[Scene]:
    """Bars held at one end and pulled at the other, each a world of its own."""
    mesh = block("hex8", (3, 2, 1))
    loads = [Fixed("x-"), Traction("x+", (-0.25 * force, force, -0.4 * force))]
    return [Scene([Body(mesh, law, 20.0, **more)], loads, STILL, 0.02) for law in laws]


def dropped(laws: list[ConstitutiveLaw]) -> list[Scene]:
    """A cube that touches down on its edge and slides."""
    return [drop.build(law, height=1e-3, velocity=(0.8, -1.0, 0.1)) for law in laws]


def test_cantilever() -> None:
    found = compare(
        lambda laws: [cantilever.build(laws[0])], neo_hookean, steps=5, size=0.5,
        integrator=Static(5),
    )  # fmt: skip
    assert float(found["reactions"][-1, :, 2].sum()) == pytest.approx(100.0, rel=1e-6)


@pytest.mark.parametrize("element", ["tet10", "hex20"])
def test_elements_of_second_order(element: str) -> None:
    compare(
        lambda laws: [cantilever.build(laws[0])], neo_hookean, steps=2, size=1.0,
        elements=element, integrator=Static(2),
    )  # fmt: skip


def test_explicit_drop() -> None:
    """Contact with friction, by forces alone."""
    central = CentralDifferences(1e-3)
    compare(dropped, neo_hookean, steps=20, size=0.125, integrator=central)


def test_explicit_drop_in_float32() -> None:
    """Rounding is 6e-8 of positions, and a step divides differences of them by dt and a cell.

    Stresses and energies, small differences of large numbers, are known to a few digits.
    """
    central = CentralDifferences(1e-3)
    bounds = (2e-2, 2e-2)
    single = {"integrator": central, "precision": "float32", "tolerance": 1e-5}
    compare(dropped, neo_hookean, steps=20, bounds=bounds, size=0.125, **single)


def test_implicit_contact_with_friction() -> None:
    """The matrix is not symmetric: BiCGSTAB and GMRES."""
    euler = BackwardEuler(2e-3)
    found = compare(dropped, neo_hookean, steps=6, size=0.125, integrator=euler)
    falling = 0.8 * 0.012
    assert float(found["x"][-1, :, 0].min()) < 0.9 * falling, "nothing rubs"


def test_mean_dilatation() -> None:
    compare(
        pulled, lambda: neo_hookean(0.49), steps=2, integrator=Static(2), mean_dilatation=True
    )  # fmt: skip


def plastic() -> ConstitutiveLaw:
    return ElastoPlastic(Hencky(1e4, 0.3), VonMises(250.0))


def damped() -> ConstitutiveLaw:
    return Damped(ElastoPlastic(Hencky(1e4, 0.3), VonMises(250.0)), 2e-3)


@pytest.mark.parametrize("integrator", [Static(3), Newmark(5e-3), CentralDifferences(5e-3)])
@pytest.mark.parametrize("law", [plastic, damped])
def test_plastic_laws_with_history(law: Law, integrator: Integrator) -> None:
    """Flow is the history of the one; the other keeps the last deformation too."""
    static = isinstance(integrator, Static)
    steps, force = (3, -100.0) if static else (6, -400.0)
    found = compare(
        lambda laws: pulled(laws, force, velocity=(10.0, 0.0, 0.0)), law, steps=steps,
        integrator=integrator,
    )  # fmt: skip
    flow = [name for name in found if name.endswith("yield_stress")]
    assert len(flow) == 1 and float(found[flow[0]].abs()) > 0.0, "nothing yields"


@pytest.mark.parametrize("law", [Fung, network])
@pytest.mark.parametrize("integrator", [Static(2), Newmark(5e-3)])
def test_laws_of_torch(law: Law, integrator: Integrator) -> None:
    """The second one has a matrix that is not symmetric."""
    thrown = (10.0, 0.0, 0.0)
    compare(lambda laws: pulled(laws, velocity=thrown), law, steps=2, integrator=integrator)


def test_worlds() -> None:
    """A batch of bars of different stiffness is solved at once."""
    laws = [lambda k=k: NeoHookean(5e3 + 2e3 * k, 0.3) for k in range(6)]
    found = compare(pulled, *laws, steps=2, integrator=Static(2))
    first, last = found["x"][-1].chunk(6)[0], found["x"][-1].chunk(6)[-1]
    assert float(first.norm()) > 1.5 * float(last.norm())


@pytest.mark.parametrize("integrator", [Static(3), Newmark(2e-3), CentralDifferences(1e-3)])
def test_every_load(integrator: Integrator) -> None:
    """Of sides, points, volumes and grips; pressure follows the surface."""

    def loaded(laws: list[ConstitutiveLaw]) -> list[Scene]:
        end = Box((0.02, 2.0, 2.0), (1.0, 0.5, 0.25))
        loads = [
            Displacement("x-", lambda t: torch.stack([0.01 * t, 0 * t, 0.1 * t * t])),
            Grip(end, Motion((0.05, 0.02, 0.0), (0.0, 0.0, 0.1))),
            Traction("y+", (5.0, -40.0, 10.0)),
            Pressure("z+", lambda t: 50.0 * (1 + t)),
            PointForce("y-", (1.0, 2.0, 3.0)),
            BodyForce(lambda x: torch.stack([x[:, 1], -20 * x[:, 0], 0 * x[:, 2]], 1)),
            Spring("y+", 30.0),
            PointMass("y-", 0.5),
        ]
        return [Scene([Body(block("hex8", (3, 2, 1)), laws[0], 20.0)], loads, duration=0.02)]

    compare(loaded, neo_hookean, steps=3, integrator=integrator)


def test_floor_bears_the_weight_in_statics() -> None:
    """A block that lies on it, held sideways: contact in load steps."""

    def lying(laws: list[ConstitutiveLaw]) -> list[Scene]:
        body = Body(block("hex8", (2, 2, 2), (0.2, 0.2, 0.2)), laws[0], 1e2)
        return [Scene([body], [Floor(), Fixed("x-", "x"), Fixed("z-", "z")])]

    compare(lying, neo_hookean, steps=2, integrator=Static(2))
