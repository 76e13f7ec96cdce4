# SPDX-License-Identifier: Apache-2.0
"""A learned part of the weights at rest: what moving least squares misses of motions seen before.

A corrected weight is w + ŵ (δ - p), where p is the affine fit of δ, so affine motions stay exact
whatever δ is. δ is made of numbers that no turn of the body changes, so the weights turn with it:
a small network of the neighbourhood's shape, and, as the network gates them, the weights that
would also make quadratic fields exact, held back more or less (a ridge, as neighbours are few).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

from .interpolation import Neighbourhoods, Weights, neighbourhoods, weights_by

RIDGES = (1e-1, 1e-2, 1e-3)
"""By which the quadratic weights are held back, of the trace of their matrix."""
FEATURES = 8
WIDTH = 32
CORRECTED_NEIGHBOURS = 20
"""Sparse points that a query listens to if corrected; a quadratic field has ten coefficients."""


class Inputs(NamedTuple):
    """What the correction is told of neighbourhoods; numbers are in its own precision."""

    near: Neighbourhoods
    """In float64."""
    features: Tensor
    """Of each neighbour's place, shape (q, k, FEATURES)."""
    quadratic: Tensor
    """δ of each ridge, shape (q, k, RIDGES)."""

    def of(self, chosen: Tensor) -> Inputs:
        """Those of some queries."""
        return Inputs(self.near.of(chosen), self.features[chosen], self.quadratic[chosen])


class Correction(nn.Module):
    """δ of neighbours: two layers around a mean over the neighbourhood; zero until it is taught."""

    def __init__(self, *, width: int = WIDTH, k: int = CORRECTED_NEIGHBOURS, seed: int = 0):
        """See the class.

        Args:
            width: Of the hidden layers.
            k: Sparse points that a query listens to.
            seed: Of the first weights.

        Raises:
            ValueError: width or k is below 1.
        """
        super().__init__()
        if width < 1 or k < 1:
            raise ValueError(f"got width {width} and k {k}: expected 1 or more of each")
        self.k = k
        self.first, self.second = nn.Linear(FEATURES, width), nn.Linear(width, width)
        self.pooled = nn.Linear(width, width, bias=False)
        self.last = nn.Linear(width, 1 + len(RIDGES))
        draw = torch.Generator().manual_seed(seed)
        for layer in (self.first, self.second, self.pooled):
            nn.init.xavier_uniform_(layer.weight, generator=draw)
        for layer in (self.first, self.second):
            nn.init.zeros_(layer.bias)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    @classmethod
    def quadratic(cls) -> Correction:
        """One that makes quadratic fields nearly exact before it is taught anything."""
        made = cls()
        nn.init.constant_(made.last.bias[-1:], 1.0)
        return made

    def inputs(self, near: Neighbourhoods) -> Inputs:
        """What it is told; nothing of it is learned."""
        quadratic = _quadratic(near)
        return Inputs(
            near,
            _features(near, quadratic[..., 1]).to(self.last.weight),
            quadratic.to(self.last.weight),
        )

    def change(self, inputs: Inputs) -> Tensor:
        """What it adds to the weights of moving least squares, shape (q, k)."""
        share = inputs.near.share.to(inputs.features)
        hidden = gelu(self.first(inputs.features))
        mean = (share[..., None] * hidden).sum(1, keepdim=True)
        hidden = gelu(self.second(hidden) + self.pooled(mean))
        out = self.last(hidden)
        delta = out[..., 0] + (out[..., 1:] * inputs.quadratic).sum(-1)
        return share * inputs.near.without_affine(delta)

    def forward(self, near: Neighbourhoods) -> Tensor:
        """Corrected weights, shape (q, k), float64 and exact for affine fields in that."""
        inputs = self.inputs(near)
        change = self.change(inputs).to(near.share)
        # the fit once more in float64: it takes away what rounding left
        share = near.share.clamp(min=torch.finfo(near.share.dtype).tiny)
        return near.value + near.share * near.without_affine(change / share)


def corrected(
    correction: Correction,
    queries: Tensor,
    points: Tensor,
    *,
    query_body: Tensor | None = None,
    point_body: Tensor | None = None,
) -> Weights:
    """Weights of `moving_least_squares` with corrected values; slopes are not corrected."""
    with torch.no_grad():
        return weights_by(
            correction, queries, points, query_body=query_body, point_body=point_body,
            k=correction.k,
        )  # fmt: skip


def _features(near: Neighbourhoods, quadratic: Tensor) -> Tensor:
    """Numbers of order 1 that no turn and no stretch changes, shape (q, k, FEATURES)."""
    centroid = (near.share[..., None] * near.offset).sum(1, keepdim=True)
    distance = torch.linalg.vector_norm(near.offset, dim=-1)
    leverage = near.share * (near.centred * (near.centred @ near.inverse)).sum(-1)
    one_sided = torch.linalg.vector_norm(centroid, dim=-1).expand_as(distance)
    features = (
        distance,
        torch.log(near.share + 1e-6) / 5.0,
        torch.linalg.vector_norm(near.centred, dim=-1),
        leverage,
        4.0 * one_sided,
        4.0 * (near.offset * centroid).sum(-1),
        near.value,
        near.share * quadratic,
    )
    return torch.stack(features, -1)


def _quadratic(near: Neighbourhoods) -> Tensor:
    """δ (q, k, RIDGES) by which quadratic fields, too, would come out right at the query.

    With R the quadratic monomials without their affine fits and r = Σ w x ⊗ x what the weights w
    make of fields that vanish: δ = -R (Σ ŵ R ⊗ R + ridge)⁻¹ r. Mixed monomials count √2 times, so
    that a turn of space turns the six as a whole.
    """
    i, j = torch.triu_indices(3, 3, device=near.offset.device)
    factor = torch.where(i == j, 1.0, 2.0**0.5).to(near.offset)
    monomials = near.offset[..., i] * near.offset[..., j] * factor
    missed = (near.value[..., None] * monomials).sum(1)
    rest = near.without_affine(monomials)
    matrix = (near.share[..., None] * rest).mT @ rest
    trace = matrix.diagonal(dim1=1, dim2=2).sum(1)[:, None, None]
    one = torch.eye(6, dtype=matrix.dtype, device=matrix.device)
    found = []
    for ridge in RIDGES:
        held = matrix + (ridge * trace + torch.finfo(trace.dtype).tiny) * one
        found.append(-(rest @ torch.linalg.solve(held, missed[..., None]))[..., 0])
    return torch.stack(found, -1)


class Sample(NamedTuple):
    """A motion to learn from."""

    queries: Tensor
    """At rest [m], shape (q, 3)."""
    points: Tensor
    """The sparse points at rest [m], shape (n, 3)."""
    moved: Tensor
    """True displacements of the queries [m], shape (t, q, 3)."""
    u: Tensor
    """Of the sparse points [m], shape (t, n, 3)."""
    query_body: Tensor | None = None
    """Shape (q,), integers."""
    point_body: Tensor | None = None
    """Shape (n,)."""

    @classmethod
    def of(
        cls, x: Tensor, sparse: Tensor, *, rest: Tensor | None = None, body: Tensor | None = None
    ) -> Sample:
        """From a motion of which some points are the sparse ones.

        Args:
            x: Positions [m], shape (t, p, 3).
            sparse: Which are the sparse points, shape (n,).
            rest: Positions at rest [m], shape (p, 3); those of the first frame if None.
            body: Of each point, shape (p,), integers.
        """
        rest = x[0] if rest is None else rest
        others = torch.ones(x.shape[1], dtype=torch.bool, device=x.device)
        others[sparse] = False
        u = x.double() - rest.double()
        bodies = (None, None) if body is None else (body[others], body[sparse])
        return cls(rest[others], rest[sparse], u[:, others], u[:, sparse], *bodies)


class _Lesson(NamedTuple):
    """A sample made ready."""

    inputs: Inputs
    u: Tensor
    """Displacements of the sparse points, likewise, shape (t, n, 3)."""
    missed: Tensor
    """What moving least squares leaves, in units of its root mean square, shape (t, q, 3)."""


def teach(
    correction: Correction,
    samples: Sequence[Sample],
    *,
    steps: int = 400,
    queries: int = 2048,
    frames: int = 8,
    rate: float = 1e-2,
    seed: int = 0,
) -> list[float]:
    """Fit true displacements by least squares, each motion relative to what it leaves untaught.

    Adam, on some queries and frames of one motion at a time, its rate falling to zero.

    Args:
        correction: What is taught, in place; in its own precision.
        samples: Motions.
        steps: Of Adam.
        queries: In each step.
        frames: In each step.
        rate: Of Adam at first.
        seed: Of the choice of motions, queries and frames.

    Returns:
        At each step the root mean square error relative to moving least squares.

    Raises:
        ValueError: There are no samples, shapes do not fit, or motions are affine: they teach
            nothing.
    """
    lessons = [_ready(correction, sample, number) for number, sample in enumerate(samples)]
    if not lessons:
        raise ValueError("got no samples: expected one motion or more")
    draw = torch.Generator().manual_seed(seed)
    adam = torch.optim.Adam(correction.parameters(), lr=rate)
    fall = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    errors = []
    for step in range(steps):
        lesson = lessons[step % len(lessons)]
        device = lesson.missed.device
        t, q = lesson.missed.shape[:2]
        some = torch.randint(q, (min(queries, q),), generator=draw).to(device)
        when = torch.randperm(t, generator=draw)[:frames].to(device)
        loss = _loss(correction, lesson, some, when)
        adam.zero_grad()
        loss.backward()
        adam.step()
        fall.step()
        errors.append(loss.detach().sqrt())
    return [float(error) for error in errors]


@torch.no_grad()
def map_error(correction: Correction, sample: Sample) -> float:
    """Mean distance of the queries from the truth over the mean distance that they moved [-]."""
    weights = corrected(
        correction, sample.queries, sample.points, query_body=sample.query_body,
        point_body=sample.point_body,
    )  # fmt: skip
    moved = sample.moved.double()
    off = _carried(weights.value, weights.index, sample.u.double()) - moved
    return float(off.norm(dim=2).mean() / moved.norm(dim=2).mean())


def _carried(value: Tensor, index: Tensor, u: Tensor) -> Tensor:
    """Displacements of the queries (t, q, 3) from those of the sparse points (t, n, 3).

    Frame by frame: all neighbours of all frames would take much memory.
    """
    return torch.stack([torch.einsum("qk,qka->qa", value, one[index]) for one in u])


def _ready(correction: Correction, sample: Sample, number: int) -> _Lesson:
    t, q, n = len(sample.u), len(sample.queries), len(sample.points)
    for name, u, count in (("moved", sample.moved, q), ("u", sample.u, n)):
        if u.shape != (t, count, 3):
            raise ValueError(
                f"{name} of sample {number} has shape {tuple(u.shape)}, expected ({t}, {count}, 3)"
            )
    near = neighbourhoods(
        sample.queries, sample.points, k=correction.k,
        query_body=sample.query_body, point_body=sample.point_body,
    )  # fmt: skip
    u = sample.u.to(near.share)
    missed = sample.moved.to(u) - _carried(near.value, near.index, u)
    scale = float(missed.square().sum(-1).mean().sqrt())
    if not scale > 1e-9 * float(u.abs().max()):
        raise ValueError(
            f"moving least squares misses {scale:.2g} m of sample {number}: its motion is affine"
            " and teaches nothing, expected one that bends"
        )
    dtype = correction.last.weight.dtype
    return _Lesson(correction.inputs(near), (u / scale).to(dtype), (missed / scale).to(dtype))


def _loss(correction: Correction, lesson: _Lesson, some: Tensor, when: Tensor) -> Tensor:
    """Mean square of what is left, relative to what moving least squares leaves."""
    inputs = lesson.inputs.of(some)
    u = lesson.u[when][:, inputs.near.index]
    # the change loses constants: taking one away spares digits
    added = torch.einsum("qk,tqka->tqa", correction.change(inputs), u - u[:, :, :1])
    return (added - lesson.missed[when][:, some]).square().sum(-1).mean()
