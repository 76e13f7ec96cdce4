# SPDX-License-Identifier: Apache-2.0
"""Markers: rigid arms on patches of the body, in a setup that is estimated along."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from rheograd.engine.observations.markers import (
    EXACT,
    Freedom,
    Markers,
    hermite,
    left_jacobian,
    moving,
    nearest_rotation,
    release,
    select,
    skew,
)
from rheograd.engine.trajectory import Trajectory

FRAMES, DT = 41, 0.01
WIDE = Freedom(rotation=0.3, position=1.0, arm=0.05, clock=0.02)


def vector(*numbers: float) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


def block(count: int = 5, spacing: float = 5e-3) -> Tensor:
    axis = (torch.arange(count, dtype=torch.float64) - (count - 1) / 2) * spacing
    return torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)


def turning(time: Tensor) -> Tensor:
    """Rotations about a direction that turns itself, so that they tell every arm."""
    swing = torch.stack(
        [0.5 * torch.sin(9 * time), 0.3 * torch.sin(13 * time), 0.4 * (1 - torch.cos(7 * time))], 1
    )
    return torch.linalg.matrix_exp(skew(swing))


def travel(time: Tensor) -> Tensor:
    return torch.stack([0.02 * torch.sin(11 * time), 0.05 * time, -0.03 * time.square()], 1)


def rigid(rest: Tensor, shift: float = 0.0) -> Trajectory:
    """The block, moving rigidly, with exact velocities."""
    time = torch.arange(FRAMES, dtype=torch.float64) * DT

    def at(now: Tensor) -> Tensor:
        return rest @ turning(now + shift).mT + travel(now + shift)[:, None]

    e = 1e-5
    return Trajectory(time, at(time), v=(at(time + e) - at(time - e)) / (2 * e))


ARMS = torch.tensor(
    [[0.02, 0.004, 0.0], [-0.015, 0.01, 0.002], [0.0, -0.02, 0.01]], dtype=torch.float64
)
CAMERA = torch.linalg.matrix_exp(skew(vector(0.1, -0.15, 0.2)))
"""From the scene's axes to the cameras'."""
ORIGIN = vector(0.3, -0.2, 0.5)
CLOCK = 3e-3


def recorded(gaps: bool = False) -> Trajectory:
    """What cameras would see of three markers, by a clock that is late."""
    time = torch.arange(FRAMES, dtype=torch.float64) * DT
    now = time + CLOCK
    markers = torch.einsum("tij,kj->tki", turning(now), ARMS) + travel(now)[:, None]
    x = markers @ CAMERA.mT + ORIGIN
    if gaps:
        x[5:12, 1] = math.nan
        x[20:, 2] = math.nan
    return Trajectory(time, x, metadata={"markers": json.dumps(["a", "b", "c"])})


def bound(gaps: bool = False, freedom: Freedom = WIDE) -> Markers:
    """Bound with guesses that are some millimetres and degrees off."""
    recording = recorded(gaps)
    start = turning(torch.full((1,), CLOCK, dtype=torch.float64))[0]
    first = ARMS @ start.mT + travel(torch.full((1,), CLOCK, dtype=torch.float64))
    roughly = first.mean(0) + vector(2e-3, -1e-3, 3e-3)
    axes = torch.linalg.matrix_exp(skew(vector(0.02, 0.03, -0.01))) @ CAMERA.mT
    return Markers.bind(recording, block(), position=roughly, axes=axes, patch=20, freedom=freedom)


@pytest.mark.parametrize("gaps", [False, True])
def test_setup_is_found_and_explains_the_motion(gaps: bool) -> None:
    markers, motion = bound(gaps), rigid(block())
    gap = markers.residual(motion)
    assert gap.shape == (FRAMES, 3, 3)
    assert float(gap.abs().max()) < 2e-5  # the interpolation between frames, and the prior
    assert bool((gap[~markers.seen()] == 0).all())
    pose = markers.pose(motion)
    assert float(pose.clock) == pytest.approx(CLOCK, abs=5e-5)
    found = torch.linalg.matrix_exp(skew(pose.turn)) @ markers.axes
    assert float((found @ CAMERA - torch.eye(3)).abs().max()) < 1e-3
    arms = pose.arms + block()[markers.patches].mean(1)
    assert float((arms - ARMS).abs().max()) < 2e-4
    back = markers.predicted(motion, pose)
    seen = markers.seen()
    assert float((back - markers.recording.x)[seen].abs().max()) < 2e-5


def test_gaps_do_not_count() -> None:
    motion = rigid(block())
    full, holed = bound(), bound(gaps=True)
    pose = full.pose(motion)
    off = pose._replace(position=pose.position + 1e-3)
    a = full.known(off).misfit(motion)
    b = holed.known(off).misfit(motion)
    assert float(a) == pytest.approx(1e-6, rel=2e-2)
    assert float(b) == pytest.approx(1e-6, rel=2e-2)


def test_what_is_known_exactly_is_kept() -> None:
    markers, motion = bound(freedom=EXACT), rigid(block())
    for found, guess in zip(markers.pose(motion), markers.guess, strict=True):
        assert torch.equal(found, guess)
    only_clock = markers.known(bound().pose(motion), Freedom(0.0, 0.0, 0.0, 5e-3))
    later = rigid(block(), shift=-2e-3)
    assert float(only_clock.pose(later).clock) == pytest.approx(CLOCK + 2e-3, abs=5e-5)


def test_a_guess_as_good_as_the_motion_is_met_halfway() -> None:
    markers, motion = bound(), rigid(block())
    pose, shift, noise = markers.pose(motion), vector(1e-3, -2e-3, 5e-4), 1e-4
    off = pose._replace(position=pose.position + shift)
    sure = Freedom(0.0, noise / math.sqrt(3 * FRAMES), 0.0, 0.0, noise)
    found = markers.known(off, sure).pose(motion)
    assert torch.allclose(found.position, pose.position + shift / 2, rtol=0, atol=1e-6)


def test_gradient_of_the_misfit_against_differences() -> None:
    markers, motion = bound(gaps=True), rigid(block())
    x = motion.x + 2e-4 * torch.randn_like(motion.x)
    assert motion.v is not None
    v = motion.v + 1e-3 * torch.randn_like(motion.x)
    inputs = [x.requires_grad_(), v.requires_grad_()]
    moved = replace(motion, x=x, v=v)
    gradients = torch.autograd.grad(markers.misfit(moved), inputs)
    for value, gradient in zip((x, v), gradients, strict=True):
        direction, e = torch.randn_like(value), 1e-6
        ends = []
        for sign in (1, -1):
            there = value.detach() + sign * e * direction
            parts = {"x": x.detach(), "v": v.detach(), "x" if value is x else "v": there}
            ends.append(float(markers.misfit(replace(motion, **parts))))
        slope = (ends[0] - ends[1]) / (2 * e)
        # the estimate of the setup is optimal for the misfit and its prior, which is wide
        assert float((gradient * direction).sum()) == pytest.approx(slope, rel=1e-3)
    known = markers.known(markers.pose(moved))
    gradients = torch.autograd.grad(known.misfit(moved), inputs)
    direction, e = torch.randn_like(x), 1e-7
    ends = [
        float(known.misfit(replace(motion, x=x.detach() + s * e * direction, v=v.detach())))
        for s in (1, -1)
    ]
    slope = (ends[0] - ends[1]) / (2 * e)
    assert float((gradients[0] * direction).sum()) == pytest.approx(slope, rel=1e-6)


def test_window_keeps_the_ends() -> None:
    markers = bound().between(0.1, 0.2)
    assert markers.time.tolist() == pytest.approx([0.01 * k for k in range(10, 21)])
    with pytest.raises(ValueError, match=r"0 frames of its 0 to 0\.4 s"):
        bound().between(2.0, 3.0)


def test_times_are_those_of_the_simulation() -> None:
    assert replace(bound(), start=0.5).time[0] == 0.5


def test_cubics_are_interpolated_exactly() -> None:
    time = vector(0.0, 0.1, 0.25, 0.4)

    def cubic(t: Tensor) -> Tensor:
        return torch.stack([t**3 - 2 * t, 0.5 * t**2 + 1], -1)

    def slope(t: Tensor) -> Tensor:
        return torch.stack([3 * t**2 - 2, t], -1)

    for shift in (-0.03, 0.0, 0.02, 0.2):
        at = torch.tensor(shift, dtype=torch.float64)
        found = hermite(time, cubic(time), slope(time), at)
        assert torch.allclose(found, cubic(time + shift), rtol=0, atol=1e-14)
        found = hermite(time, cubic(time), slope(time), at, slope=True)
        assert torch.allclose(found, slope(time + shift), rtol=0, atol=1e-13)


@pytest.mark.parametrize("size", [1e-6, 0.3, 2.0])
def test_spin_of_a_rotation_vector(size: float) -> None:
    turn, change = size * vector(0.6, -0.64, 0.48), vector(0.3, 0.1, -0.5)
    e = 1e-6
    a, b = (torch.linalg.matrix_exp(skew(turn + s * e * change)) for s in (1, -1))
    found = (a - b) / (2 * e) @ torch.linalg.matrix_exp(skew(turn)).mT
    assert torch.allclose(found, skew(left_jacobian(turn) @ change), rtol=0, atol=1e-9)


def test_rotations_of_nearly_rigid_patches() -> None:
    R = turning(vector(0.0, 0.3, 0.7))
    stretch = torch.diag(vector(1.02, 0.97, 1.01))
    assert torch.allclose(nearest_rotation(R @ stretch), R, rtol=0, atol=1e-12)
    with pytest.raises(ValueError, match="inside out"):
        nearest_rotation(-torch.eye(3, dtype=torch.float64)[None])


def held_then_falling() -> Trajectory:
    time = torch.arange(120, dtype=torch.float64) * 0.01
    falling = (time - 0.3).clamp_min(0)
    drop = 0.006 * (1 - torch.cos(45 * falling) * torch.exp(-3 * falling))
    x = torch.zeros(120, 4, 3, dtype=torch.float64)
    x[:, :2, 1] = -drop[:, None]
    x[:, 2, 0] = 0.3
    x += 5e-6 * torch.randn_like(x)
    return Trajectory(time, x, metadata={"markers": '["tip 1", "tip 2", "base 1", "base 2"]'})


def test_release_and_standing_markers_are_detected() -> None:
    recording = held_then_falling()
    assert moving(recording) == [0, 1]
    tip = select(recording, [0, 1])
    assert tip.markers == ("tip 1", "tip 2")
    assert release(tip) in (30, 31)
    cut = select(tip, [1], begin=30)
    assert cut.markers == ("tip 2",)
    assert float(cut.time[0]) == 0.0
    with pytest.raises(ValueError, match="move from the first frame on"):
        release(select(tip, [0, 1], begin=33))


@pytest.mark.parametrize(
    ("name", "frame"),
    [("beam_gravity_V2_a", 71), ("beam_gravity_V2_b", 65), ("beam_load52_V2_a", 44)],
)
def test_release_of_the_measured_beam(
    reference_data: Callable[[str], Path], name: str, frame: int
) -> None:
    recording = Trajectory.load(reference_data(f"beam/{name}.c3d"))
    tip = select(recording, moving(recording))
    assert tip.markers == ("Tip - 1", "Tip - 2", "Tip - 3")
    assert release(tip) == frame


def test_bad_input_is_refused() -> None:
    markers, motion = bound(), rigid(block())
    with pytest.raises(ValueError, match="41 frames of 64 particles, expected 41 of 125"):
        markers.residual(rigid(block(4)))
    with pytest.raises(ValueError, match="need velocities"):
        markers.residual(replace(motion, v=None))
    with pytest.raises(ValueError, match="patch of 200 particles, expected 4 to 125"):
        Markers.bind(recorded(), block(), position=vector(0, 0, 0), patch=200)
    lost = recorded()
    lost.x[:, 1] = math.nan
    with pytest.raises(ValueError, match="b is never seen"):
        Markers.bind(lost, block(), position=vector(0, 0, 0))
    with pytest.raises(ValueError, match="standard deviations of 0 or more"):
        Freedom(clock=-1.0)
