# SPDX-License-Identifier: Apache-2.0
"""A measured motion of a mesh and the force that it took, as equations for the weights of terms.

At rest in every frame, the internal force of each node by virtual work,

    f_a = Σ_q w_q P(F_q) ∇N_a,     P = τ F⁻ᵀ,

is 0 where no load acts and sums up to the measured force over the part that is gripped (EUCLID:
Flaschel, Kumar and De Lorenzis 2021). F_q is that of the measured displacements, so f_a is linear
in the weights, and neither a simulation nor a stress is needed. The force sets the scale: the free
nodes alone are told best by no stress at all. Deformations are taken at the points of the element's
own quadrature, without mean dilatation.

Errors of the displacements are in the columns, not in the right-hand side, and pull weights down:
smooth measured fields first. From about 1e-4 of the motion on, node by node, terms come out wrong.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from rheograd.materials.elastic import det3

from ..fem.geometry import Geometry, geometry
from ..mesh.elements import Element, element
from ..observations.force_curve import ForceCurve
from ..trajectory import Trajectory
from .library import Candidate, Deformed


@dataclass(frozen=True, eq=False)
class MotionEquations:
    """See the module.

    Raises:
        ValueError: The motion has no cells, its frames are not those of the force, a position or
            an element is bad, no force was measured, or nothing is free.
    """

    motion: Trajectory
    """Nodes of a mesh in equilibrium; the first frame is at rest."""
    force: ForceCurve
    """On the gripped part, a value for each frame."""
    held: Tensor
    """Where a force from outside acts, shape (n, 3), bool."""
    balance: float = 1.0
    """How much the free nodes count in all, beside the measured forces."""
    kept: dict[Candidate, np.ndarray] = field(default_factory=dict)
    """Columns that were asked for."""

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
        if not bool(self._free.any()):
            raise ValueError("every node is held: no equilibrium is left to tell terms apart")
        if bool((det3(self._F) <= 0).any()):
            raise ValueError(
                "an element is turned inside out by the measured motion: smooth it, or take a"
                " coarser mesh"
            )

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
    def _free(self) -> Tensor:
        """Directions in which no force from outside acts, shape (n, 3), bool."""
        free = ~self.held
        free[:, self._kind.dim :] = False
        used = torch.zeros(len(free), dtype=torch.bool, device=free.device)
        used[self._nodes.flatten()] = True
        return free & used[:, None]

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
    def _measured(self) -> Tensor:
        """Frames with a force, bool, shape (frames − 1,)."""
        return torch.isfinite(self.force.force[1:])

    @cached_property
    def _units(self) -> tuple[float, float]:
        """Of a force of a free node, and of the measured ones [N]."""
        size = float(self.force.force[1:][self._measured].abs().max())
        rows = int(self._free.sum()) * (len(self.motion) - 1)
        share = int(self._measured.sum()) / rows
        return size / (self.balance * share**0.5 * rows**0.5), size

    @property
    def seen(self) -> np.ndarray:
        """See `Equations`."""
        return self._seen

    @cached_property
    def _seen(self) -> np.ndarray:
        rows = int(self._free.sum()) * (len(self.motion) - 1)
        told = self.force.force[1:][self._measured].double() / self._units[1]
        return torch.cat([torch.zeros(rows, dtype=torch.float64), told.cpu()]).numpy()

    @property
    def groups(self) -> np.ndarray:
        """See `Equations`: the frame."""
        return self._groups

    @cached_property
    def _groups(self) -> np.ndarray:
        frames = torch.arange(len(self.motion) - 1)
        free = frames.repeat_interleave(int(self._free.sum()))
        return torch.cat([free, frames[self._measured.cpu()]]).numpy()

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

    def column(self, candidate: Candidate) -> np.ndarray:
        """See `Equations`."""
        if candidate not in self.kept:
            forces = self.nodal(candidate)
            free = forces[:, self._free].flatten() / self._units[0]
            grip = forces[:, self.force.nodes].sum(1) @ self.force.axis.to(forces)
            told = torch.cat([free, grip[self._measured] / self._units[1]])
            self.kept[candidate] = told.cpu().numpy()
        return self.kept[candidate]


def held_by(motion: Trajectory) -> Tensor:
    """Where the reactions that a simulation recorded are not 0, shape (n, 3), bool.

    Raises:
        ValueError: The motion has no reactions.
    """
    reaction = motion.fields.get("reaction")
    if reaction is None:
        raise ValueError("the motion has no field reaction, expected one of finite elements")
    return reaction.abs().amax(0) > 0.0
