# SPDX-License-Identifier: Apache-2.0
"""The scenes of finite elements as a whole, beside theory and published figures."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from rheograd.engine.fem import linear
from rheograd.engine.simulate import simulate
from rheograd.engine.solver import Checkpoint
from rheograd.engine.trajectory import Trajectory
from rheograd.materials.elastic import Corotated, NeoHookean
from rheograd.scenes import (
    bouncing_ball,
    cook_membrane,
    inflated_block,
    plate_with_hole,
    twisted_bar,
)

SMALL: dict[str, tuple[Any, dict[str, Any], dict[str, Any]]] = {
    "cook": (cook_membrane, {"n": 4}, {"load_steps": 2}),
    "bar": (twisted_bar, {"angle": 20.0}, {"n": 2, "load_steps": 2}),
    "block": (inflated_block, {"n": 3, "pressure": 1e4}, {"load_steps": 1}),
    "plate": (plate_with_hole, {"n": 12}, {}),
}


def run(module: Any, numerics: dict[str, Any] | None = None, **options: Any) -> Trajectory:
    """A scene's trajectory."""
    return simulate(module.build(**options), module.solver(**(numerics or {})))


def still(trajectory: Trajectory) -> Trajectory:
    """The same mesh, not moving, under no force."""
    fields = {name: torch.zeros_like(values) for name, values in trajectory.fields.items()}
    x = trajectory.x[:1].expand_as(trajectory.x)
    return replace(trajectory, x=x, v=torch.zeros_like(x), fields=fields)


@pytest.mark.parametrize("n", [10, 20])
def test_cook_membrane_rises_as_published(n: int) -> None:
    """Within 1 % of F-bar elements of the same size (OpenGeoSys)."""
    trajectory = run(cook_membrane, n=n)
    cook_membrane.check(trajectory)
    rise = float(cook_membrane.results(trajectory)["tip"][1])
    assert rise == pytest.approx({10: 6.746e-3, 20: 6.859e-3}[n], rel=0.01)


def test_cook_membrane_locks_without_mean_dilatation() -> None:
    trajectory = run(cook_membrane, {"mean_dilatation": False}, n=10)
    with pytest.raises(AssertionError, match=r"published: 6\.9 mm"):
        cook_membrane.check(trajectory)
    assert float(cook_membrane.results(trajectory)["tip"][1]) < 3e-3


def test_iterations_in_vain_end_in_a_factorization(monkeypatch: pytest.MonkeyPatch) -> None:
    """Conjugate gradients stall for a nearly incompressible solid; LU goes on."""
    expected = cook_membrane.results(run(cook_membrane, n=6))["tip"]
    monkeypatch.setattr(linear, "BAND_LIMIT", 0.0)
    monkeypatch.setattr(linear, "MOST_ITERATIONS", 20)
    trajectory = run(cook_membrane, n=6)
    torch.testing.assert_close(cook_membrane.results(trajectory)["tip"], expected)


def test_round_bar_is_twisted_as_rivlin_says() -> None:
    trajectory = run(twisted_bar, {"n": 2, "load_steps": 6}, section="round", angle=90.0)
    twisted_bar.check(trajectory, section="round", angle=90.0)
    torque, force = twisted_bar.history(trajectory)
    twist = torch.deg2rad(torch.tensor(90.0)) * trajectory.time
    expected, pressed = twisted_bar.theory("round", 1e6, 0.49, twist)
    torch.testing.assert_close(torque, expected, rtol=0.005, atol=1e-9)
    torch.testing.assert_close(force, pressed, rtol=0.03, atol=1e-9)


def test_square_bar_resists_as_saint_venant_says() -> None:
    trajectory = run(twisted_bar, {"n": 3, "load_steps": 1}, angle=5.0)
    twisted_bar.check(trajectory, angle=5.0)


def test_tube_widens_as_the_closed_form_says() -> None:
    trajectory = run(inflated_block)
    stretch = inflated_block.stretches(trajectory)[1:]
    expected = 2e5 * trajectory.time[1:]
    found = inflated_block.tube_pressure(stretch, inflated_block.OUTER, 1e6 / (2 * 1.499))
    torch.testing.assert_close(found, expected, rtol=0.002, atol=0.0)


def test_square_block_is_between_two_tubes() -> None:
    inflated_block.check(run(inflated_block, outside="square"), outside="square")


@pytest.mark.parametrize("kind", ["quad8", "quad9", "tri6", "quad4", "tri3"])
def test_stress_at_a_hole_is_that_of_howland(kind: Any) -> None:
    plate_with_hole.check(run(plate_with_hole, kind=kind), kind=kind)


def test_stress_at_a_hole_in_a_wide_plate_is_threefold() -> None:
    found = plate_with_hole.results(run(plate_with_hole, width=8.0, n=32))
    assert float(found["peak"]) == pytest.approx(3.0, rel=0.005)
    assert float(found["crown"]) == pytest.approx(-1.0, rel=0.005)


@pytest.mark.parametrize("time", ["explicit", "implicit"])
def test_ball_bounces_as_hertz_says(time: Any) -> None:
    trajectory = run(bouncing_ball, {"time": time})
    found = bouncing_ball.results(trajectory)
    assert 0.95 < float(found["rebound"]) < 1.0
    bouncing_ball.check(trajectory)


@pytest.mark.parametrize("name", SMALL)
def test_scene_takes_another_law(name: str) -> None:
    """What no law changes is still held."""
    module, options, numerics = SMALL[name]
    own = module.build(**options).bodies[0].law
    young, poisson = own.young.item(), min(own.poisson.item(), 0.45)
    trajectory = run(module, numerics, law=Corotated(young, poisson), **options)
    module.check(trajectory, **{k: v for k, v in options.items() if k in ("angle", "pressure")})


@pytest.mark.parametrize("name", SMALL)
def test_check_can_fail(name: str) -> None:
    module, options, numerics = SMALL[name]
    trajectory = still(run(module, numerics, **options))
    with pytest.raises(AssertionError, match=r"\w+ .* \w+"):
        module.check(trajectory, **{k: v for k, v in options.items() if k in ("angle", "pressure")})


@pytest.mark.parametrize("name", SMALL)
def test_results_have_gradients(name: str) -> None:
    """By Young's modulus, against a central difference."""
    module, options, numerics = SMALL[name]

    def first(young: float) -> tuple[Any, torch.Tensor]:
        law = NeoHookean(young, 0.3)
        trajectory = simulate(
            module.build(law, **options), module.solver(**numerics), adjoint=Checkpoint()
        )
        return law, next(iter(module.results(trajectory).values())).reshape(-1)[-1]

    young = module.build(**options).bodies[0].law.young.item()
    law, value = first(young)
    (found,) = torch.autograd.grad(value, [law.young])
    step = 1e-3 * young
    more, less = (float(first(young + sign * step)[1].detach()) for sign in (1, -1))
    expected = (more - less) / (2 * step)
    assert float(found) == pytest.approx(expected, rel=1e-4, abs=1e-9 * abs(value.item()) / young)
