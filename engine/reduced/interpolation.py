# SPDX-License-Identifier: Apache-2.0
"""From sparse points to any others at rest: weights of moving least squares.

About the weighted centroid c of a query's neighbours the affine fit falls apart into a mean and a
slope: u(X) = ū + g (X - c) with g = (Σ ŵ u ⊗ d) C⁻¹, d = X_j - c, C = Σ ŵ d ⊗ d and ŵ the shares
(they sum to 1). So Σ w = 1 always, and where the neighbours lie in a plane or on a line the
pseudo-inverse of C leaves the field constant across it and exact along it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from .neighbours import neighbours

NEIGHBOURS = 12
"""Sparse points that a query listens to."""
FLAT = 1e-3
"""Least share of the largest eigenvalue of C that another needs: neighbours thinner than 3 % of
their size are flat."""
WIDER = 8
"""Times as many points are looked at where the nearest are flat."""
NEAR = 1e-3
"""Distance in units of the reach below which a sparse point no longer gains weight."""
CHUNK = 8192
"""Queries at a time: a million fit in memory, and what is at work in the cache."""


class Weights(NamedTuple):
    """u(X_i) = Σ_k value_ik u(index_ik), and ∇u(X_i) = Σ_k u(index_ik) ⊗ slope_ik."""

    index: Tensor
    """Sparse points of each query, shape (q, k), int64; where there are fewer, any, weightless."""
    value: Tensor
    """Shape (q, k); sums to 1."""
    slope: Tensor
    """Diffuse derivative [1/m]: slope of the affine fit itself, shape (q, k, 3); sums to 0."""


class Neighbourhoods(NamedTuple):
    """Sparse points around each query, in units of their reach; all float64."""

    index: Tensor
    """Shape (q, k), int64; where there are fewer, any."""
    offset: Tensor
    """Of the points from the query, shape (q, k, 3)."""
    share: Tensor
    """Of the points in the mean, shape (q, k); 0 for those that are none and from the reach on."""
    centred: Tensor
    """Of the points from the weighted centroid, shape (q, k, 3)."""
    inverse: Tensor
    """Of the second moment C, shape (q, 3, 3)."""
    reach: Tensor
    """Where the shares end: the distance of the nearest point left out [m], shape (q,)."""

    @property
    def value(self) -> Tensor:
        """Weights of moving least squares, shape (q, k)."""
        centroid = (self.share[..., None] * self.offset).sum(1)
        return self.share * (1.0 - self.along(centroid))

    @property
    def slope(self) -> Tensor:
        """Their diffuse derivative [1/m], shape (q, k, 3)."""
        slope = self.share[..., None] * (self.centred @ self.inverse)
        return slope / self.reach[:, None, None]

    def along(self, direction: Tensor) -> Tensor:
        """d_j C⁻¹ direction, shape (q, k), of directions (q, 3)."""
        return (self.centred @ (self.inverse @ direction[..., None]))[..., 0]

    def of(self, chosen: Tensor | slice) -> Neighbourhoods:
        """Those of some queries."""
        return Neighbourhoods(*(part[chosen] for part in self))

    def without_affine(self, delta: Tensor) -> Tensor:
        """What is left of δ (q, k, ...) without its affine fit by the shares.

        Weights ŵ times that, Σ ŵ (δ - fit) p, are zero for every affine field p.
        """
        share, centred, inverse = (
            part.to(delta) for part in (self.share, self.centred, self.inverse)
        )
        flat = delta.flatten(2) if delta.ndim > 2 else delta[..., None]
        shared = share[..., None] * flat
        slope = inverse @ (centred.mT @ shared)
        left = flat - shared.sum(1, keepdim=True) - centred @ slope
        return left.view(delta.shape)


def moving_least_squares(
    queries: Tensor,
    points: Tensor,
    *,
    query_body: Tensor | None = None,
    point_body: Tensor | None = None,
    k: int = NEIGHBOURS,
) -> Weights:
    """Weights that carry what is known at sparse points to queries, anywhere.

    They reproduce every affine field and its gradient, also outside; where all points of a body
    lie in a plane or on a line, or are fewer than four, along that, and constants always. They do
    not depend on the order of points. Computed in float64, in time proportional to the queries.

    Args:
        queries: At rest [m], shape (q, 3).
        points: The sparse points at rest [m], shape (n, 3).
        query_body: Body of each query, shape (q,), integers; it listens to that body's points only.
        point_body: Body of each sparse point, shape (n,).
        k: Sparse points that a query listens to.

    Raises:
        ValueError: A shape or k is impossible, a position is not finite, or a body of the queries
            has no points.
    """
    return weights_by(
        lambda near: near.value, queries, points, query_body=query_body, point_body=point_body, k=k
    )


def weights_by(
    value: Callable[[Neighbourhoods], Tensor],
    queries: Tensor,
    points: Tensor,
    *,
    query_body: Tensor | None = None,
    point_body: Tensor | None = None,
    k: int = NEIGHBOURS,
) -> Weights:
    """As `moving_least_squares`, with values (q, k) of one's own; slopes stay."""
    bodies = _bodies(queries, points, query_body, point_body)
    parts = []
    for i in range(0, len(queries), CHUNK):
        near = _around(queries[i : i + CHUNK], points, bodies.chunk(i), k)
        parts.append(Weights(near.index, value(near), near.slope))
    if not parts:
        empty = torch.empty(0, k, 3, dtype=torch.float64, device=points.device)
        return Weights(empty[..., 0].long(), empty[..., 0], empty)
    return Weights(*(torch.cat(part) for part in zip(*parts, strict=True)))


def neighbourhoods(
    queries: Tensor,
    points: Tensor,
    *,
    query_body: Tensor | None = None,
    point_body: Tensor | None = None,
    k: int = NEIGHBOURS,
) -> Neighbourhoods:
    """What the weights of queries are made of; see `moving_least_squares`."""
    bodies = _bodies(queries, points, query_body, point_body)
    return _around(queries, points, bodies, k)


class _Bodies(NamedTuple):
    """Bodies of queries and points by number 0, 1, ..., and points in each."""

    query: Tensor
    point: Tensor
    count: Tensor

    def chunk(self, start: int) -> _Bodies:
        return self._replace(query=self.query[start : start + CHUNK])

    def of(self, chosen: Tensor) -> _Bodies:
        return self._replace(query=self.query[chosen])


def _bodies(
    queries: Tensor, points: Tensor, query_body: Tensor | None, point_body: Tensor | None
) -> _Bodies:
    for name, x, body in (("queries", queries, query_body), ("points", points, point_body)):
        if x.ndim != 2 or x.shape[1] != 3:
            raise ValueError(f"{name} have shape {tuple(x.shape)}, expected (count, 3)")
        if not bool(torch.isfinite(x).all()):
            bad = int((~torch.isfinite(x).all(1)).nonzero()[0])
            raise ValueError(
                f"{name}[{bad}] is at {x[bad].tolist()}: expected finite rest positions"
            )
        if body is not None and (body.shape != (len(x),) or body.is_floating_point()):
            raise ValueError(
                f"bodies of the {name} are {body.dtype} of shape {tuple(body.shape)}, expected"
                f" integers of shape ({len(x)},)"
            )
    if (query_body is None) != (point_body is None):
        raise ValueError("got bodies of queries or of points alone: expected both or none")
    if query_body is None or point_body is None:
        query_body, point_body = (torch.zeros(len(x), dtype=torch.int64) for x in (queries, points))
    _, number = torch.cat([point_body, query_body]).to(points.device).unique(return_inverse=True)
    point, query = number.split([len(points), len(queries)])
    count = torch.bincount(point, minlength=int(number.max()) + 1 if len(number) else 0)
    if bool((count[query] == 0).any()):
        lost = int((count[query] == 0).nonzero()[0])
        raise ValueError(
            f"query {lost} is of body {int(query_body[lost])}, which has no sparse points: choose"
            " some in every body"
        )
    return _Bodies(query, point, count)


def _around(queries: Tensor, points: Tensor, bodies: _Bodies, k: int) -> Neighbourhoods:
    if k < 1:
        raise ValueError(f"got k = {k}: expected one neighbour or more")
    points = points.detach().to(torch.float64)
    queries = queries.detach().to(points)
    near, flat = _neighbourhoods(queries, points, _nearest(queries, points, bodies, k + 1))
    rows = flat.nonzero()[:, 0]
    if len(rows):
        wide, still = _neighbourhoods(
            queries[rows], points, _spread(queries[rows], points, bodies.of(rows), k)
        )
        for mine, theirs in zip(near, wide, strict=True):
            mine[rows[~still]] = theirs[~still]
    return near


def _nearest(queries: Tensor, points: Tensor, bodies: _Bodies, k: int) -> Tensor:
    """The k nearest points of the same body (q, k), however far; -1 where the body has fewer."""
    wanted = bodies.count[bodies.query].clamp(max=k)
    radius = _typical_radius(points, bodies, k)
    index = torch.full((len(queries), k), -1, dtype=torch.int64, device=points.device)
    rows = torch.arange(len(queries), device=points.device)
    while len(rows):
        index[rows] = neighbours(
            queries[rows], points, radius, k,
            query_group=bodies.query[rows], point_group=bodies.point,
        )  # fmt: skip
        rows = rows[(index[rows] >= 0).sum(1) < wanted[rows]]
        radius *= 2.0
    return index


def _typical_radius(points: Tensor, bodies: _Bodies, k: int) -> float:
    """Within which a point of a body usually has k others [m]."""
    some = torch.arange(0, len(points), max(1, len(points) // 64), device=points.device)
    distance = torch.cdist(points[some], points)
    distance = distance.masked_fill(bodies.point[some, None] != bodies.point, torch.inf)
    last = bodies.count[bodies.point[some]].clamp(max=k) - 1
    far = distance.sort(1).values.gather(1, last[:, None])
    radius = 1.1 * float(far.median())
    size = float((points.amax(0) - points.amin(0)).max())
    return max(radius, 1e-6 * size) or 1.0


def _spread(queries: Tensor, points: Tensor, bodies: _Bodies, k: int) -> Tensor:
    """The nearest point of each query and, of many around, those farthest from one another.

    Shape (q, k + 1), the last one -1: none is left out.
    """
    around = _nearest(queries, points, bodies, WIDER * k)
    there = around >= 0
    x = points[around]
    rows = torch.arange(len(x), device=x.device)
    distance = torch.where(there, torch.inf, -1.0).to(x)
    chosen = torch.full((len(x), k + 1), -1, dtype=torch.int64, device=x.device)
    place = torch.zeros(len(x), dtype=torch.int64, device=x.device)
    for i in range(min(k, int(there.sum(1).max()))):
        free = distance[rows, place] >= 0.0
        chosen[:, i] = torch.where(free, around[rows, place], -1)
        distance = distance.minimum((x - x[rows, place][:, None]).square().sum(-1))
        distance[rows, place] = -1.0
        place = distance.argmax(1)
    return chosen


def _neighbourhoods(
    queries: Tensor, points: Tensor, index: Tensor
) -> tuple[Neighbourhoods, Tensor]:
    """Of k + 1 points of each query, the last of which marks the reach; and which are flat."""
    there = index >= 0
    index = torch.where(there, index, index[:, :1])
    offset = points[index] - queries[:, None]
    distance = torch.linalg.vector_norm(offset, dim=-1)
    # where no point is left out, all shall have a share
    reach = torch.where(there[:, -1], distance[:, -1], 1.5 * distance.amax(1))
    reach = torch.where(reach > 0.0, reach, torch.ones_like(reach))
    index, there, offset = index[:, :-1], there[:, :-1], offset[:, :-1] / reach[:, None, None]
    weight = share_of(distance[:, :-1] / reach[:, None]) * there
    # neighbours that all are as far as the first left out
    none = weight.sum(1, keepdim=True) <= 0.0
    weight = torch.where(none, there.to(weight), weight)
    share = weight / weight.sum(1, keepdim=True)
    centred = offset
    for _ in range(2):  # the second time takes away what rounding left of an offset far away
        centred = centred - (share[..., None] * centred).sum(1, keepdim=True)
    moment = (share[..., None] * centred).mT @ centred
    inverse, flat = _inverse(moment)
    return Neighbourhoods(index, offset, share, centred, inverse, reach), flat


def share_of(distance: Tensor) -> Tensor:
    """Weight of a point by its distance in units of the reach; 0 with its slope at 1."""
    return (1.0 - distance).clamp(min=0.0) ** 2 / (distance**2 + NEAR**2)


def _inverse(moment: Tensor) -> tuple[Tensor, Tensor]:
    """Pseudo-inverse of symmetric matrices (q, 3, 3), and which are flat (q,).

    By cofactors; eigenvectors, which take much longer, only where they may be flat.
    """
    a, b, c = moment.unbind(1)
    rows = [torch.linalg.cross(b, c), torch.linalg.cross(c, a), torch.linalg.cross(a, b)]
    cofactors = torch.stack(rows, 1)
    determinant = (a * rows[0]).sum(1)
    size = moment.diagonal(dim1=1, dim2=2).sum(1)
    # λ1 λ2 λ3 <= λ3³ FLAT < size³ FLAT wherever λ1 < FLAT λ3
    doubtful = ~(determinant > FLAT * size**3)
    safe = torch.where(doubtful, torch.ones_like(determinant), determinant)
    inverse = cofactors / safe[:, None, None]
    flat = torch.zeros_like(doubtful)
    rows = doubtful.nonzero()[:, 0]
    if len(rows):
        value, vector = torch.linalg.eigh(moment[rows])
        counts = value > FLAT * value[:, -1:]
        scaled = torch.where(counts, 1.0 / torch.where(counts, value, 1.0), 0.0)
        inverse[rows] = (vector * scaled[:, None]) @ vector.mT
        flat[rows] = ~counts.all(1)
    return inverse, flat
