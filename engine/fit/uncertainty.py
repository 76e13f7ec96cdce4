# SPDX-License-Identifier: Apache-2.0
"""How well parameters are known from residuals and their derivatives.

Errors along one track go together (a marker sits where it sits, a model that is wrong is wrong
for a while), so the covariance is that of the sum over tracks (Liang and Zeger 1986),
H⁻¹ (Σ_k g_k g_kᵀ) H⁻¹ with g_k = J_kᵀ r_k and H = JᵀJ, with the usual correction for few tracks,
and its bands take Student's t with as many degrees of freedom as tracks less one. With no more
tracks than parameters that sum has no rank; then all components count as independent, which is
optimistic.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

RANK = 1e-3
"""Smallest singular value of the scaled Jacobian, relative to the largest, that counts."""
WIDEST = 1.0
"""Standard deviation in the free coordinate from which a parameter counts as unknown; on a
logarithmic scale that is a factor of e."""
COVERAGE = 0.95
SHARE = 0.05
"""Smallest part of a combination that is worth a word."""


@dataclass(frozen=True)
class Uncertainty:
    """In free coordinates, where bounds are at infinity."""

    covariance: np.ndarray
    """Shape (p, p); of the determined parameters, zero elsewhere."""
    determined: np.ndarray
    """Whether the data determine each parameter, shape (p,), bool."""
    quantile: float | np.ndarray
    """Half width of the 95 % band in standard deviations; of each parameter where they differ."""
    by_track: bool
    """Whether errors along a track were taken together."""
    blind: np.ndarray
    """Directions in which the parameters may change together with no effect beyond the noise,
    shape (b, p), their largest component 1; those of one parameter alone are left out."""
    freedom: float = np.inf
    """Degrees of freedom of the covariance."""
    parts: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Standard deviations by their cause, shape (p,) each, where there are several."""

    @property
    def std(self) -> np.ndarray:
        """Standard deviations, shape (p,)."""
        return np.sqrt(np.maximum(np.diag(self.covariance), 0.0))

    @property
    def reach(self) -> np.ndarray:
        """Half widths of the 95 % bands, shape (p,)."""
        return self.quantile * self.std

    @property
    def correlation(self) -> np.ndarray:
        """Shape (p, p); the identity where something is not determined."""
        std = self.std
        scale = np.where(std > 0, std, 1.0)
        out = self.covariance / np.outer(scale, scale)
        np.fill_diagonal(out, 1.0)
        return np.clip(out, -1.0, 1.0)


def estimate(jacobian: np.ndarray, residual: np.ndarray, track: np.ndarray) -> Uncertainty:
    """Covariance at a least-squares optimum, and which parameters it holds for.

    Args:
        jacobian: Derivatives of the residual by the free coordinates, shape (m, p).
        residual: Shape (m,).
        track: Of each entry of the residual, any labels, shape (m,).
    """
    from scipy import stats

    m, p = jacobian.shape
    kept, blind = known_directions(jacobian, residual)
    if not kept.any():
        return Uncertainty(np.zeros((p, p)), kept, 0.0, False, blind)
    J = jacobian[:, kept]
    q = J.shape[1]
    bread = np.linalg.inv(J.T @ J)
    labels, row = np.unique(track, return_inverse=True)
    count = len(labels)
    if count > q:
        scores = np.zeros((count, q))
        np.add.at(scores, row, J * residual[:, None])
        correction = count / (count - 1) * (m - 1) / max(m - q, 1)
        inner = bread @ (correction * scores.T @ scores) @ bread
        freedom = count - 1
    else:
        inner = bread * float(residual @ residual) / max(m - q, 1)
        freedom = max(m - q, 1)
    covariance = np.zeros((p, p))
    covariance[np.ix_(kept, kept)] = inner
    quantile = float(stats.t.ppf(0.5 + 0.5 * COVERAGE, freedom))
    return Uncertainty(covariance, kept, quantile, count > q, blind, float(freedom))


def widened(found: Uncertainty, parts: Mapping[str, tuple[np.ndarray, float]]) -> Uncertainty:
    """An uncertainty with that of other causes, which are independent of it.

    Student's t of the sum has the degrees of freedom of Welch (1947) and Satterthwaite (1946).

    Args:
        found: Of the scatter along tracks.
        parts: Covariances (p, p) and their degrees of freedom, by cause.
    """
    from scipy import stats

    both = np.outer(found.determined, found.determined)
    causes = {"tracks": (found.covariance, found.freedom)}
    causes |= {name: (np.where(both, c, 0.0), freedom) for name, (c, freedom) in parts.items()}
    variances = np.array([np.diag(c) for c, _ in causes.values()])
    freedoms = np.array([[freedom] for _, freedom in causes.values()])
    total = variances.sum(0)
    inverse = (variances**2 / freedoms).sum(0) / np.where(total > 0.0, total, 1.0) ** 2
    quantile = stats.t.ppf(0.5 + 0.5 * COVERAGE, 1.0 / np.maximum(inverse, 1e-12))
    return replace(
        found,
        determined=found.determined & (total < WIDEST**2),
        covariance=np.sum([c for c, _ in causes.values()], axis=0),
        quantile=quantile,
        freedom=float(1.0 / max(inverse.max(), 1e-12)),
        parts=dict(zip(causes, np.sqrt(variances), strict=True)),
    )


def known_directions(jacobian: np.ndarray, residual: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which parameters the data determine, shape (p,), bool, and what they do not, (b, p).

    A parameter is not determined if its column lies within the noise (its own standard deviation,
    all others known, is WIDEST or more), or if it takes part in a combination that changes nothing:
    a right singular vector of the column-scaled Jacobian with a singular value below RANK, or along
    which a parameter's standard deviation is WIDEST or more.
    """
    m, p = jacobian.shape
    noise = np.sqrt(float(residual @ residual) / max(m - p, 1))
    length = np.linalg.norm(jacobian, axis=0)
    seen = length * WIDEST > noise
    if not seen.any():
        return seen, np.zeros((0, p))
    scaled = jacobian[:, seen] / length[seen]
    _, values, directions = np.linalg.svd(scaled, full_matrices=False)
    spread = noise / np.maximum(values, 1e-300) * np.abs(directions / length[seen]).max(1)
    found = (values < RANK * values[0]) | (spread >= WIDEST)
    mixed = (np.abs(directions[found]) > 0.1).any(0)
    free = directions[found] / length[seen]
    blind = np.zeros((len(free), p))
    if len(free):
        largest = np.abs(free).argmax(1)[:, None]
        blind[:, seen] = free / np.take_along_axis(free, largest, 1)
    out = seen.copy()
    out[seen] = ~mixed
    return out, blind


def entangled(found: Uncertainty, names: Sequence[str]) -> list[str]:
    """What the data do not tell apart, a sentence for each combination.

    Args:
        found: Of the parameters.
        names: Theirs, in its order.
    """
    said = []
    for direction in found.blind:
        order = np.argsort(-np.abs(direction)).tolist()
        part: list[int] = [i for i in order if abs(direction[i]) > SHARE]
        if len(part) < 2:
            continue
        together = " : ".join(f"{direction[i]:+.2f}" for i in part)
        who = " and ".join(names[i] for i in part)
        rank = len(names) - len(found.blind)
        said.append(
            f"nothing that was seen changes when {who} change together (as {together}, on the"
            " scales on which they are fitted; logarithms of what is positive): the data determine"
            f" {rank} of {len(names)} combinations; fix one of them, or observe what tells them"
            " apart"
        )
    return said
