# SPDX-License-Identifier: Apache-2.0
"""A measured motion of a mesh and the force that it took, as nodal forces of terms.

At rest in every frame, the internal force of each node by virtual work,

    f_a = Σ_q w_q P(F_q) ∇N_a,     P = τ F⁻ᵀ,

is 0 where no load acts and sums up to the measured force over the part that is gripped (EUCLID:
Flaschel, Kumar and De Lorenzis 2021). f_a is linear in the weights of terms. The force sets the
scale: the free nodes alone are told best by no stress at all. Deformations are taken at the points
of the element's own quadrature, without mean dilatation. corrected.py makes equations of it that
know of errors of the displacements.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rheograd.materials.elastic import det3
from rheograd.materials.law import ConstitutiveLaw

from ..fem.geometry import Geometry, geometry
from ..fem.piola import piola_tangent
from ..mesh.elements import Element, element
from ..observations.force_curve import ForceCurve
from ..trajectory import Trajectory
from .library import Candidate, Deformed

FEWEST = 20
"""Nodes that displacements of others are interpolated from."""


class InvertedElement(ValueError):
    """Positions that turn an element of the mesh inside out."""


@dataclass(frozen=True, eq=False)
class MeasuredMotion:
    """See the module.

    Raises:
        ValueError: The motion has no cells, its frames are not those of the force, a position is
            bad, no force was measured, or nothing is free.
        InvertedElement: An element is turned inside out.
    """

    motion: Trajectory
    """Nodes of a mesh in equilibrium; the first frame is at rest."""
    force: ForceCurve
    """On the gripped part, a value for each frame."""
    held: Tensor
    """Where a force from outside acts, shape (n, 3), bool."""
    seen: Tensor | None = None
    """Which nodes were seen in which frame, shape (frames, n), bool; None: all of them."""

    @classmethod
    def of(cls, motion: Trajectory, force: ForceCurve, held: Tensor) -> MeasuredMotion:
        """Of a motion with NaN where a node was not seen.

        Raises:
            ValueError: See the class; or a node was not seen at rest, or too few were in a frame.
        """
        seen = torch.isfinite(motion.x).all(2)
        if bool(seen.all()):
            return cls(motion, force, held)
        return cls(replace(motion, x=filled(motion.x, seen)), force, held, seen)

    def __post_init__(self) -> None:
        """See the class."""
        motion = self.motion
        if motion.cells is None:
            raise ValueError("the motion has no cells, expected the nodes of a mesh")
        if len(motion) != len(self.force.times):
            raise ValueError(
                f"the motion has {len(motion)} frames, the force {len(self.force.times)}: give a"
                " force for each frame"
            )
        if len(motion) < 2:
            raise ValueError("got a motion of one frame, expected rest and a frame or more of it")
        if not bool(torch.isfinite(motion.x).all()):
            raise ValueError("a position of the motion is not finite: leave that frame out")
        if self.held.shape != motion.x.shape[1:]:
            raise ValueError(
                f"got held of shape {tuple(self.held.shape)}, expected {tuple(motion.x.shape[1:])}"
            )
        known = self.force.force[1:]
        if not float(torch.where(torch.isfinite(known), known, 0.0).abs().max()) > 0.0:
            raise ValueError("no measured force is other than 0: nothing sets the scale")
        if not bool(self.free.any()):
            raise ValueError("every node is held: no equilibrium is left to tell terms apart")
        if self.inverted:
            raise InvertedElement(
                "an element is turned inside out by the measured motion: smooth it, or take a"
                " coarser mesh"
            )

    def at(self, x: Tensor) -> MeasuredMotion:
        """The same with other positions [m], shape (frames, n, 3)."""
        return replace(self, motion=replace(self.motion, x=x))

    @property
    def inverted(self) -> bool:
        """Whether an element is turned inside out at a point of some frame."""
        return bool((det3(self._F) <= 0).any())

    @cached_property
    def _kind(self) -> Element:
        assert self.motion.cells is not None
        return element(self.motion.cells.kind)

    @cached_property
    def _nodes(self) -> Tensor:
        assert self.motion.cells is not None
        return self.motion.cells.nodes

    @cached_property
    def _geometry(self) -> Geometry:
        return geometry(self._kind, self.motion.x[0].double()[self._nodes])

    @cached_property
    def moving(self) -> Tensor:
        """Directions of displacements: of the nodes of elements, shape (n, 3), bool."""
        found = torch.zeros_like(self.held)
        found[self._nodes.flatten(), : self._kind.dim] = True
        return found

    @cached_property
    def free(self) -> Tensor:
        """Directions in which no force from outside acts, shape (n, 3), bool."""
        return self.moving & ~self.held

    @cached_property
    def deformed(self) -> Deformed:
        """At the points of all frames but the first."""
        return Deformed.of(self._F)

    @cached_property
    def _F(self) -> Tensor:
        """At the points of all frames but the first, shape (frames · e · q, 3, 3)."""
        u = (self.motion.x[1:] - self.motion.x[0]).double()[:, self._nodes]
        slope = torch.einsum("teai,eqaj->teqij", u, self._geometry.gradient)
        eye = torch.eye(3, dtype=slope.dtype, device=slope.device)
        return (slope + eye).flatten(0, 2)

    @cached_property
    def _inverse(self) -> Tensor:
        return torch.linalg.inv(self.deformed.F).mT

    @cached_property
    def sure(self) -> np.ndarray:
        """Which displacements were seen, frame by frame those of `moving`, shape (d,), bool."""
        seen = torch.ones_like(self.motion.x[1:, :, 0], dtype=torch.bool)
        if self.seen is not None:
            seen = self.seen[1:]
        return seen[..., None].expand(-1, -1, 3)[:, self.moving].flatten().cpu().numpy()

    @cached_property
    def reach(self) -> float:
        """The largest displacement [m]."""
        return float((self.motion.x[1:] - self.motion.x[0]).norm(dim=2).max())

    @cached_property
    def strength(self) -> float:
        """The largest measured force [N]."""
        known = self.force.force[1:]
        return float(known[torch.isfinite(known)].abs().max())

    @cached_property
    def known(self) -> Tensor:
        """Rows of equilibrium that are told, shape (frames − 1, r), bool; see `rows`."""
        told = torch.isfinite(self.force.force[1:]).to(self.held.device)[:, None]
        free = torch.ones(len(told), int(self.free.sum()), dtype=torch.bool, device=told.device)
        return torch.cat([free, told], 1)

    @cached_property
    def frame(self) -> np.ndarray:
        """Of each row, from 0 on, shape (m,)."""
        return torch.nonzero(self.known)[:, 0].cpu().numpy()

    @cached_property
    def loads(self) -> np.ndarray:
        """Of each row [N], shape (m,): 0 at free nodes, then the measured force."""
        found = torch.zeros(self.known.shape, dtype=torch.float64)
        found[:, -1] = self.force.force[1:].cpu()
        return found[self.known.cpu()].numpy()

    @cached_property
    def gripped(self) -> np.ndarray:
        """Which rows are of the measured force, shape (m,), bool."""
        found = torch.zeros_like(self.known)
        found[:, -1] = True
        return found[self.known].cpu().numpy()

    def rows(self, candidate: Candidate) -> np.ndarray:
        """Internal forces of a weight of 1 Pa, by frame those of free nodes and of the grip [N].

        Shape (m,).
        """
        forces = self.nodal(candidate)
        grip = forces[:, self.force.nodes].sum(1) @ self.force.axis.to(forces)
        told = torch.cat([forces[:, self.free], grip[:, None]], 1)
        return told[self.known].cpu().numpy()

    def nodal(self, candidate: Candidate) -> Tensor:
        """Internal forces of a weight of 1 Pa [N], shape (frames − 1, n, 3)."""
        P = self.deformed.tau(candidate) @ self._inverse
        frames, (e, q) = len(self.motion) - 1, self._geometry.weight.shape
        P = P.unflatten(0, (frames, e, q))
        forces = torch.einsum(
            "eq,teqij,eqaj->teai", self._geometry.weight, P, self._geometry.gradient
        )
        found = torch.zeros_like(self.motion.x[1:], dtype=torch.float64)
        return found.index_add(1, self._nodes.flatten(), forces.flatten(1, 2))

    def stiffness(self, law: ConstitutiveLaw) -> Any:
        """Slopes of the rows of a law by the displacements [N/m], scipy CSR, shape (m, d).

        The displacements are those of `moving`, frame by frame.
        """
        from scipy.sparse import block_array, coo_array, csr_array

        F, at = self.deformed.F, self._geometry
        internal = law.rest_internal(len(F), F)
        with torch.no_grad():
            tau = law.stress(F, internal)
        A = piola_tangent(F, tau, law.tangent(F, internal, 1.0).detach())
        frames, (e, a) = len(self.motion) - 1, self._nodes.shape
        A = A.unflatten(0, (frames, *at.weight.shape))
        blocks = torch.einsum(
            "eq,eqaj,teqijkl,eqbl->teaibk", at.weight, at.gradient, A, at.gradient
        ).reshape(frames, -1)
        size = 3 * len(self.held)
        own = (3 * self._nodes[:, :, None] + torch.arange(3, device=self._nodes.device)).flatten(1)
        down = own[:, :, None].expand(e, 3 * a, 3 * a).reshape(-1).cpu().numpy()
        across = own[:, None, :].expand(e, 3 * a, 3 * a).reshape(-1).cpu().numpy()
        choose, columns = self._chooser(), np.flatnonzero(self.moving.flatten().cpu().numpy())
        known, found = self.known.cpu().numpy(), []
        for values, kept in zip(blocks.cpu().numpy(), known, strict=True):
            K = coo_array((values, (down, across)), shape=(size, size)).tocsr()
            found.append((choose @ K)[np.flatnonzero(kept)][:, columns])
        grid = [[b if s == t else None for s in range(frames)] for t, b in enumerate(found)]
        return csr_array(block_array(grid, format="csr"))

    def _chooser(self) -> Any:
        """From nodal forces (3n,) to the rows of a frame (r,), scipy CSR."""
        from scipy.sparse import csr_array, eye_array, vstack

        grip = torch.zeros_like(self.held, dtype=torch.float64)
        grip[self.force.nodes] = self.force.axis.to(grip)
        free = np.flatnonzero(self.free.flatten().cpu().numpy())
        every = csr_array(eye_array(grip.numel(), format="csr"))
        return csr_array(vstack([every[free], csr_array(grip.reshape(1, -1).cpu().numpy())]))


def filled(x: Tensor, seen: Tensor) -> Tensor:
    """Positions with displacements of nodes not seen between those of the nodes about them.

    By thin-plate splines through the nearest ones.

    Args:
        x: Positions [m], shape (frames, n, 3).
        seen: Which of them were seen, shape (frames, n), bool.

    Raises:
        ValueError: A node was not seen at rest, or too few were in a frame.
    """
    from scipy.interpolate import RBFInterpolator

    if not bool(seen[0].all()):
        raise ValueError("a node is not seen at rest: give all positions in the first frame")
    if int(seen.sum(1).min()) < FEWEST:
        frame = int(seen.sum(1).argmin())
        raise ValueError(
            f"{int(seen[frame].sum())} nodes are seen in frame {frame}, expected {FEWEST} or more:"
            " leave that frame out"
        )
    X = x[0].double().cpu().numpy()
    flat = X[:, np.ptp(X, axis=0) > 0.0]
    found = x.double().cpu().numpy().copy()
    for frame, known in zip(found[1:], seen[1:].cpu().numpy(), strict=True):
        if not known.all():
            between = RBFInterpolator(flat[known], (frame - X)[known], neighbors=FEWEST)
            frame[~known] = X[~known] + between(flat[~known])
    return torch.from_numpy(found).to(x)


def held_by(motion: Trajectory) -> Tensor:
    """Where the reactions that a simulation recorded are not 0, shape (n, 3), bool.

    Raises:
        ValueError: The motion has no reactions.
    """
    reaction = motion.fields.get("reaction")
    if reaction is None:
        raise ValueError("the motion has no field reaction, expected one of finite elements")
    return reaction.abs().amax(0) > 0.0
