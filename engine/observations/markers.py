# SPDX-License-Identifier: Apache-2.0
"""Motion-capture markers: each a rigid arm on a patch of the body.

A file knows markers in the axes of its cameras, and times by their clock. What it does not say is
estimated from the motion itself, anew for each simulation it is compared with: the pose of the
cameras' axes in the scene, the arm from its patch to each marker, and the moment at which the
recording began. Where the motion says nothing about one of these (a swing about one axis tells no
arm along that axis from a shift of the camera) a wide prior decides, which `Freedom` states.

By the envelope theorem the gradient of the misfit is that with these estimates held fixed;
differences of `residual` include their response (variable projection: Golub and Pereyra 1973).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from ..trajectory import Trajectory
from .observation import Observation

ROUNDS = 30
"""Gauss-Newton steps of an estimate at most; it usually takes five."""
STILL = 0.1
"""Share of the largest motion below which a marker is taken for standing."""


@dataclass(frozen=True)
class Freedom:
    """How well the setup is known before the motion is seen: standard deviations, 0 for exactly."""

    rotation: float = math.radians(3.0)
    """Of each angle of the cameras' axes [rad]."""
    position: float = 0.05
    """Of each coordinate of the cameras' origin [m]."""
    arm: float = 0.01
    """Of each coordinate of a marker's arm [m]."""
    clock: float = 5e-3
    """Of the beginning of the recording [s]."""
    noise: float = 1e-4
    """Of a marker's coordinate [m], to weigh the motion against the above."""

    def __post_init__(self) -> None:
        """Refuse negative spreads and a motion without noise."""
        numbers = (self.rotation, self.position, self.arm, self.clock)
        if not all(value >= 0.0 for value in numbers) or not self.noise > 0.0:
            raise ValueError(
                f"got {self}, expected standard deviations of 0 or more and a noise above 0"
            )


EXACT = Freedom(0.0, 0.0, 0.0, 0.0)


class Pose(NamedTuple):
    """What a recording does not say; x_scene = rotation @ (x_file − centre) + position."""

    turn: Tensor
    """Rotation vector from the first guess of the cameras' axes [rad], shape (3,)."""
    position: Tensor
    """Where the recording's centre is in the scene [m], shape (3,)."""
    arms: Tensor
    """From the centre of each patch to its marker, in the rest shape [m], shape (k, 3)."""
    clock: Tensor
    """Time to add to the recording's [s], shape ()."""


class _Patches(NamedTuple):
    """Rigid motion of each patch at each frame; rates beside it."""

    centre: Tensor
    """[m], shape (t, k, 3)."""
    rotation: Tensor
    """Shape (t, k, 3, 3)."""
    velocity: Tensor
    """[m/s], shape (t, k, 3)."""
    spin: Tensor
    """Rate of the patch's deformation gradient [1/s], shape (t, k, 3, 3)."""


@dataclass(frozen=True, eq=False)
class Markers(Observation):
    """Markers in metres; `bind` makes one from a recording and the body at rest."""

    recording: Trajectory
    """Gaps are NaN; times count from the beginning of what is compared [s]."""
    patches: Tensor
    """Particles that each marker moves with, shape (k, m), int64."""
    rest: Tensor
    """All particles of the body at rest [m], shape (n, 3), float64."""
    guess: Pose
    """Before the motion is seen."""
    axes: Tensor
    """Rotation of the cameras' axes into the scene's before `guess.turn`, shape (3, 3)."""
    freedom: Freedom = field(default_factory=Freedom)
    start: float = 0.0
    """Time of the simulation at the recording's time 0 [s]."""
    centre: Tensor = field(default_factory=lambda: torch.zeros(3, dtype=torch.float64))
    """Point of the recording about which its axes turn [m], shape (3,)."""
    noise: float | None = None
    """Standard deviation of a coordinate [m]."""
    outliers: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Refuse a recording without motion and patches that do not exist."""
        k = self.recording.particles
        if len(self.recording) < 2:
            raise ValueError(f"a motion needs two frames or more; got {len(self.recording)}")
        if self.patches.ndim != 2 or len(self.patches) != k or self.patches.shape[1] < 4:
            raise ValueError(
                f"got patches of shape {tuple(self.patches.shape)}, expected a row of four"
                f" particles or more for each of {k} markers"
            )
        if int(self.patches.min()) < 0 or int(self.patches.max()) >= len(self.rest):
            raise ValueError(
                f"the patches name particles up to {int(self.patches.max())}, the body has"
                f" {len(self.rest)}: bind the markers to the particles of this scene"
            )

    @classmethod
    def bind(
        cls,
        recording: Trajectory,
        rest: Tensor,
        *,
        position: Sequence[float] | Tensor,
        axes: Tensor | None = None,
        patch: int = 32,
        freedom: Freedom | None = None,
        start: float = 0.0,
    ) -> Markers:
        """Bind each marker to the particles nearest to it in the first frame that shows it.

        Args:
            recording: Markers [m], at rest in the first frame.
            rest: The body's particles at rest [m], shape (n, 3).
            position: Where the mean of the markers of that frame is in the scene [m], roughly.
            axes: Rotation of the cameras' axes into the scene's, shape (3, 3); None: the same.
            patch: Particles that carry a marker.
            freedom: How rough these guesses are.
            start: Time of the simulation at the recording's time 0 [s].

        Raises:
            ValueError: A marker is never seen, or the body has fewer particles than a patch.
        """
        rest = rest.detach().cpu().double()
        if not 4 <= patch <= len(rest):
            raise ValueError(
                f"got a patch of {patch} particles, expected 4 to {len(rest)}, the body's"
            )
        x, present = recording.x.cpu().double(), recording.present.cpu()
        if not bool(present.any(0).all()):
            unseen = [n for n, s in zip(_names(recording), present.any(0), strict=True) if not s]
            raise ValueError(f"{', '.join(unseen)} is never seen: leave it out of the recording")
        first = present.int().argmax(0)
        at = x[first, torch.arange(recording.particles)]
        centre = at.mean(0)
        turn = torch.eye(3, dtype=torch.float64) if axes is None else axes.double()
        place = torch.as_tensor(position, dtype=torch.float64)
        markers = (at - centre) @ turn.mT + place
        patches = torch.cdist(markers, rest).topk(patch, largest=False).indices.sort(1).values
        guess = Pose(
            turn=torch.zeros(3, dtype=torch.float64), position=place,
            arms=markers - rest[patches].mean(1), clock=torch.zeros((), dtype=torch.float64),
        )  # fmt: skip
        spread = Freedom() if freedom is None else freedom
        return cls(recording, patches, rest, guess, turn, spread, start, centre)

    @property
    def time(self) -> Tensor:
        """Times in the simulation [s], shape (t,); the clock's shift is not in them."""
        return self.recording.time.double() + self.start

    def seen(self) -> Tensor:
        """See `Observation.seen`."""
        return self.recording.present

    def window(self, start: int, stop: int) -> Markers:
        """See `Observation.window`."""
        return replace(self, recording=self.recording.window(start, stop))

    def between(self, begin: float, end: float) -> Markers:
        """The frames from one time of the recording to another [s], ends included."""
        time = self.recording.time
        inside = torch.nonzero((time >= begin - 1e-9) & (time <= end + 1e-9)).flatten()
        if len(inside) < 2:
            raise ValueError(
                f"from {begin:g} to {end:g} s the recording has {len(inside)} frames of its"
                f" {float(time[0]):g} to {float(time[-1]):g} s, expected two or more"
            )
        return self.window(int(inside[0]), int(inside[-1]) + 1)

    def known(
        self, pose: Pose, freedom: Freedom = EXACT, recording: Trajectory | None = None
    ) -> Markers:
        """The same with a setup that was estimated elsewhere, free by `freedom` only.

        Args:
            pose: The setup; the clock of another recording starts at its guess again.
            freedom: How well it is known now.
            recording: Of the same markers by the same cameras, in place of this one.
        """
        if recording is None:
            return replace(self, guess=pose, freedom=freedom)
        pose = pose._replace(clock=torch.zeros_like(pose.clock))
        return replace(self, guess=pose, freedom=freedom, recording=recording)

    def residual(self, trajectory: Trajectory) -> Tensor:
        """See `Observation.residual`; in the scene's axes [m], shape (t, k, 3)."""
        patches = self._patches(trajectory)
        with torch.no_grad():
            found = self._estimate(_Patches(*(part.detach() for part in patches)))
        gap = self._gap(patches, found)
        return torch.where(self.seen()[..., None].to(gap.device), gap, torch.zeros_like(gap))

    @torch.no_grad()
    def pose(self, trajectory: Trajectory) -> Pose:
        """What the motion says about the setup, given a simulation of it."""
        return self._estimate(self._patches(trajectory))

    @torch.no_grad()
    def predicted(self, trajectory: Trajectory, pose: Pose) -> Tensor:
        """Markers of a simulation, in the file's axes [m], shape (t, k, 3)."""
        predicted = self._markers(self._patches(trajectory), pose)
        return (predicted - pose.position) @ self._rotation(pose) + self.centre

    @torch.no_grad()
    def in_scene(self, pose: Pose) -> Tensor:
        """The recorded markers in the scene's axes, by a setup [m], (t, k, 3); gaps are NaN."""
        seen = self.recording.x.cpu().double() - self.centre
        return seen @ self._rotation(pose).mT + pose.position

    def places(self, x: Tensor, pose: Pose) -> Tensor:
        """Where a body has its markers [m], shape (..., k, 3), given particles (..., n, 3)."""
        own = x.cpu().double()[..., self.patches, :]
        turn = nearest_rotation(torch.einsum("...kmi,kmj->...kij", own, self._arms()))
        return own.mean(-2) + (turn @ pose.arms[..., None])[..., 0]

    def _arms(self) -> Tensor:
        """Weights that give the affine motion of a patch by least squares, shape (k, m, 3).

        A = (sum d aᵀ) (sum a aᵀ)⁻¹ of arms a at rest and d as they are.
        """
        rest = self.rest[self.patches]
        arms = rest - rest.mean(1, keepdim=True)
        return arms @ torch.linalg.inv(torch.einsum("kmi,kmj->kij", arms, arms))

    def _rotation(self, pose: Pose) -> Tensor:
        return torch.linalg.matrix_exp(skew(pose.turn)) @ self.axes

    def _patches(self, trajectory: Trajectory) -> _Patches:
        """Centre, rotation and rates of each patch, in float64 on the CPU."""
        if trajectory.particles != len(self.rest) or len(trajectory) != len(self.recording):
            raise ValueError(
                f"the simulated motion has {len(trajectory)} frames of {trajectory.particles}"
                f" particles, expected {len(self.recording)} of {len(self.rest)}: simulate the"
                " scene that the markers were bound to, at their times"
            )
        if trajectory.v is None:
            raise ValueError("markers need velocities between frames: simulate, do not load, them")
        x, v = (a.cpu().double()[:, self.patches] for a in (trajectory.x, trajectory.v))
        weights = self._arms()
        gradient = torch.einsum("tkmi,kmj->tkij", x, weights)
        spin = torch.einsum("tkmi,kmj->tkij", v, weights)
        return _Patches(x.mean(2), nearest_rotation(gradient), v.mean(2), spin)

    def _markers(self, patches: _Patches, pose: Pose, slope: bool = False) -> Tensor:
        """Simulated markers at the recording's times by its clock, or their velocities.

        Cubic Hermite interpolation between the simulated frames.
        """
        x = patches.centre + (patches.rotation @ pose.arms[..., None])[..., 0]
        v = patches.velocity + (patches.spin @ pose.arms[..., None])[..., 0]
        return hermite(self.recording.time.double(), x, v, pose.clock, slope)

    def _gap(self, patches: _Patches, pose: Pose) -> Tensor:
        seen = (self.recording.x.cpu().double() - self.centre) @ self._rotation(pose).mT
        return self._markers(patches, pose) - seen - pose.position

    def _estimate(self, patches: _Patches) -> Pose:
        """The most probable setup: Gauss-Newton from the guess."""
        f, guess = self.freedom, self.guess
        k = self.recording.particles
        spread = torch.tensor([f.rotation] * 3 + [f.position] * 3 + [f.clock] + [f.arm] * (3 * k))
        spread = spread.double()
        free = spread > 0
        if not bool(free.any()):
            return guess
        spread, seen = spread[free], self.seen()
        off = torch.zeros(len(spread), dtype=torch.float64)
        pose = guess
        for _ in range(ROUNDS):
            gap = self._gap(patches, pose)[seen].reshape(-1) / f.noise
            slopes = self._slopes(patches, pose)[seen].reshape(len(gap), -1)[:, free] / f.noise
            scaled = slopes * spread
            normal = scaled.mT @ scaled + torch.eye(len(spread), dtype=torch.float64)
            change = -torch.linalg.solve(normal, scaled.mT @ gap + off)
            off = off + change
            full = torch.zeros(len(free), dtype=torch.float64)
            full[free] = spread * off
            pose = Pose(
                guess.turn + full[:3], guess.position + full[3:6],
                guess.arms + full[7:].reshape(k, 3), guess.clock + full[6],
            )  # fmt: skip
            if float(change.abs().max()) < 1e-10:
                break
        return pose

    def _slopes(self, patches: _Patches, pose: Pose) -> Tensor:
        """Derivatives of the gap by turn, position, clock and arms, shape (t, k, 3, 7 + 3 k)."""
        t, k = self.recording.x.shape[:2]
        out = torch.zeros(t, k, 3, 7 + 3 * k, dtype=torch.float64)
        seen = (self.recording.x.cpu().double() - self.centre) @ self._rotation(pose).mT
        out[..., :3] = skew(seen) @ left_jacobian(pose.turn)
        out[..., 3:6] = -torch.eye(3, dtype=torch.float64)
        out[..., 6] = self._markers(patches, pose, slope=True)
        time = self.recording.time.double()
        arms = hermite(time, patches.rotation, patches.spin, pose.clock)
        for marker in range(k):
            out[:, marker, :, 7 + 3 * marker : 10 + 3 * marker] = arms[:, marker]
        return out


def hermite(time: Tensor, x: Tensor, v: Tensor, shift: Tensor, slope: bool = False) -> Tensor:
    """Values at `time` + `shift` of a cubic through values and rates at `time`, or its rates.

    Args:
        time: Increasing [s], shape (t,), at least two.
        x: Shape (t, ...).
        v: Rates [1/s], of the same shape.
        shift: [s], shape (); beyond the ends the last cubic goes on.
        slope: Whether the rates are asked for.
    """
    at = torch.searchsorted(time, time + shift, right=True).clamp(1, len(time) - 1)
    h = time[at] - time[at - 1]
    u = (time + shift - time[at - 1]) / h
    if slope:
        weights = [
            6 * (u * u - u) / h,
            3 * u * u - 4 * u + 1,
            6 * (u - u * u) / h,
            3 * u * u - 2 * u,
        ]
    else:
        weights = [
            (1 + 2 * u) * (1 - u) ** 2, h * u * (1 - u) ** 2,
            u * u * (3 - 2 * u), h * u * u * (u - 1),
        ]  # fmt: skip
    tail = (-1, *[1] * (x.ndim - 1))
    a, b, c, d = (w.reshape(tail) for w in weights)
    return a * x[at - 1] + b * v[at - 1] + c * x[at] + d * v[at]


def skew(w: Tensor) -> Tensor:
    """Matrices of the cross products with w, shape (..., 3) to (..., 3, 3)."""
    x, y, z = w.unbind(-1)
    zero = torch.zeros_like(x)
    rows = [zero, -z, y, z, zero, -x, -y, x, zero]
    return torch.stack(rows, -1).reshape(*w.shape[:-1], 3, 3)


def left_jacobian(turn: Tensor) -> Tensor:
    """Spin per change of a rotation vector, exp(turn + d) ≈ exp(J d) exp(turn), shape (3, 3)."""
    K = skew(turn)
    square = float(turn.dot(turn))
    if square < 1e-8:
        return torch.eye(3).to(K) + 0.5 * K + K @ K / 6
    angle = math.sqrt(square)
    return (
        torch.eye(3).to(K)
        + (1 - math.cos(angle)) / square * K
        + (angle - math.sin(angle)) / (square * angle) * (K @ K)
    )


def nearest_rotation(gradient: Tensor) -> Tensor:
    """Rotations of deformation gradients (..., 3, 3) of patches that are hardly deformed.

    Newton's iteration for the polar decomposition, R ← (R + R⁻ᵀ)/2 (Higham 1986).

    Raises:
        ValueError: A gradient is singular or turned inside out.
    """
    R = gradient
    for _ in range(8):
        R = 0.5 * (R + torch.linalg.inv(R).mT)
    volume = (torch.linalg.cross(R[..., 0], R[..., 1]) * R[..., 2]).sum(-1)
    if not bool((volume > 0.5).all()):
        raise ValueError(
            "the particles under a marker are flat or turned inside out: bind it to more particles"
        )
    return R


def moving(recording: Trajectory, share: float = STILL) -> list[int]:
    """Numbers of the markers that move: more than `share` of the one that moves most.

    Args:
        recording: Markers [m].
        share: Of the largest standard deviation over time.
    """
    x = recording.x.double()
    spread = (x - x.nanmean(0)).square().nanmean(0).sum(-1).sqrt()
    return torch.nonzero(spread > share * spread.max()).flatten().tolist()


def release(recording: Trajectory, share: float = 0.1) -> int:
    """The frame at which a body that was held is let go.

    The last one before the markers, along the direction in which they finally went, move further
    from frame to frame than `share` of their fastest.

    Args:
        recording: Markers [m] that move, held still at first.
        share: Of the largest motion between two frames.

    Raises:
        ValueError: They move from the first frame on.
    """
    x = recording.x.double()
    mean = (x - x[: max(2, len(x) // 50)].nanmean(0)).nanmean(1)
    final = mean[-max(1, len(x) // 10) :].nanmean(0)
    step = (mean @ (final / final.norm())).diff().abs()
    fast = torch.nonzero(step > share * step[torch.isfinite(step)].max()).flatten()
    if int(fast[0]) == 0:
        raise ValueError(
            "the markers move from the first frame on: nothing was let go; say where to begin"
        )
    return int(fast[0])


def select(recording: Trajectory, markers: Sequence[int], begin: int = 0) -> Trajectory:
    """Some markers from a frame on, times counted from there.

    Args:
        recording: Markers.
        markers: Their numbers.
        begin: The frame of the new time 0.
    """
    import json

    part = recording.window(begin)
    names = _names(recording)
    kept = list(markers)
    return replace(
        part,
        time=part.time - part.time[0],
        step=part.step - part.step[0],
        x=part.x[:, kept],
        v=None if part.v is None else part.v[:, kept],
        fields={name: value[:, kept] for name, value in part.fields.items()},
        body=part.body[kept],
        metadata={**part.metadata, "markers": json.dumps([names[i] for i in kept])},
        cells=None,
        cell_fields={},
    )


def _names(recording: Trajectory) -> tuple[str, ...]:
    return recording.markers or tuple(f"marker {i + 1}" for i in range(recording.particles))
