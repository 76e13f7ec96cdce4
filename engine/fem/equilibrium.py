# SPDX-License-Identifier: Apache-2.0
"""The balance of forces at the end of an increment, as one differentiable function in plain torch.

    r(x) = s (f_int(x) - f_ext(x)) + M (A (x - x_n) + Y) + Z

The numbers A and s and the vectors Y and Z are the integrator's: none, A = 0 and s = 1, is statics.
Newton's method meets the same r in assembler.py, where kernels compute it and its derivative; here
is the form that adjoints are taken of, and that tests hold the kernels to.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from rheograd.materials import bridge
from rheograd.materials.law import ConstitutiveLaw, Response

from ..law_groups import LawGroup
from .dilatation import mean_dilatation, pulled_back
from .forces import Place
from .geometry import Geometry, invert
from .model import FEModel
from .piola import first_piola


class Increment(NamedTuple):
    """What an increment starts from, but for the parameters of laws and loads."""

    before: Tensor
    """Positions at its start [m], shape (n, 3)."""
    F: Tensor
    """Elastic deformation gradients at its start [-], shape (p, 3, 3)."""
    internal: Tensor
    """History at its start, shape (p, m)."""
    x0: Tensor
    """Positions at rest [m], shape (n, 3)."""
    density: Tensor
    """At rest [kg/m³], shape (e,)."""
    stiffness: Tensor
    """Factor on the stress of each element [-], shape (e,)."""
    gravity: Tensor
    """That acts [m/s²], shape (worlds, 3)."""
    added_mass: Tensor
    """Of each node [kg], shape (n,)."""
    places: Tensor
    """Where prescribed components are at its end [m], shape (n, 3)."""
    Y: Tensor
    """See above [m/s²], shape (n, 3)."""
    Z: Tensor
    """See above [N], shape (n, 3)."""


class Balance(NamedTuple):
    """At given positions."""

    net: Tensor
    """f_int - f_ext [N], shape (n, 3)."""
    residual: Tensor
    """r [N], shape (n, 3); at prescribed components the reaction."""
    F: Tensor
    """Elastic deformation gradients [-], shape (p, 3, 3)."""
    internal: Tensor
    """History, shape (p, m)."""
    tau: Tensor
    """Kirchhoff stresses [Pa], shape (p, 3, 3)."""
    resisting: Tensor
    """f_int [N], shape (n, 3)."""


def balance(
    model: FEModel,
    start: Increment,
    values: tuple[Tensor, ...],
    laws: tuple[tuple[Tensor, ...], ...],
    x: Tensor,
    dt: float,
    factors: tuple[float, float],
) -> Balance:
    """Evaluate the balance.

    Args:
        model: The mesh and what does not change.
        start: What the increment starts from.
        values: Of the model's loads at its end.
        laws: For each group of laws what `LawGroup.tensors` gives.
        x: Positions at its end [m], shape (n, 3).
        dt: Its length [s].
        factors: A [1/s²] and s of the integrator.
    """
    A, s = factors
    own = model.geometry(start.x0)
    u = (x - start.x0)[model.nodes]
    weight = (own.weight * start.stiffness[:, None]).reshape(-1)
    trial = F = deformation(model, own, u)
    if model.remembers:
        before = deformation(model, own, (start.before - start.x0)[model.nodes])
        trial = advanced(model, F, before, start.F)
    found = respond(model, trial, start.internal, dt, laws)
    P = found.tau if model.small else first_piola(F, found.tau)
    internal = nodal_forces(model, own, u, F, weight[:, None, None] * P)
    masses = model.masses(start.x0, start.density)
    weighed = start.gravity[model.world]
    net = internal - inertia(model, masses, start.added_mass, weighed)
    place = Place(x, start.before, start.x0)
    for force, value in zip(model.forces, values, strict=True):
        net = net - force.on_nodes(place, value)
    moved = inertia(model, masses, start.added_mass, A * (x - start.before) + start.Y)
    residual = s * net + moved + start.Z
    return Balance(net, residual, found.F_elastic, found.internal, found.tau, internal)


def advanced(model: FEModel, F: Tensor, before: Tensor, elastic: Tensor) -> Tensor:
    """Elastic deformation gradients if nothing flows in an increment, shape (p, 3, 3).

    Args:
        model: Says whether strains are small.
        F: Deformation gradients at its end, shape (p, 3, 3).
        before: The same at its start.
        elastic: Elastic ones at its start.
    """
    if model.small:
        return elastic + F - before
    return F @ (invert(before)[1] @ elastic)


def deformation(model: FEModel, own: Geometry, u: Tensor) -> Tensor:
    """Deformation gradients at the points, shape (p, 3, 3), of displacements (e, a, 3)."""
    gradient, weight = own
    eye = torch.eye(3, dtype=u.dtype, device=u.device)
    F = eye + torch.einsum("eai,eqaj->eqij", u, gradient)
    if model.mean_dilatation:
        F = mean_dilatation(F, weight)
    return F.reshape(-1, 3, 3)


def nodal_forces(model: FEModel, own: Geometry, u: Tensor, F: Tensor, P: Tensor) -> Tensor:
    """Work-conjugate to the nodes' displacements [N], shape (n, 3).

    Args:
        model: The mesh.
        own: Its geometry.
        u: Displacements of the nodes of elements [m], shape (e, a, 3).
        F: Deformation gradients that the laws saw, shape (p, 3, 3).
        P: Weighted first Piola stresses of those [N m], shape (p, 3, 3).
    """
    gradient, weight = own
    P = P.reshape(*gradient.shape[:2], 3, 3)
    if model.mean_dilatation:
        eye = torch.eye(3, dtype=u.dtype, device=u.device)
        plain = eye + torch.einsum("eai,eqaj->eqij", u, gradient)
        P = pulled_back(plain, weight, P)
    own_forces = torch.einsum("eqij,eqaj->eai", P, gradient)
    zero = own_forces.new_zeros(model.n, 3)
    return zero.index_add(0, model.nodes.reshape(-1), own_forces.reshape(-1, 3))


def inertia(model: FEModel, masses: Tensor, added: Tensor, a: Tensor) -> Tensor:
    """Mass times acceleration [N], shape (n, 3); masses (e, a, a), a (n, 3)."""
    own = torch.einsum("eab,ebi->eai", masses, a[model.nodes])
    total = added[:, None] * a
    return total.index_add(0, model.nodes.reshape(-1), own.reshape(-1, 3))


def respond(
    model: FEModel,
    trial: Tensor,
    internal: Tensor,
    dt: float,
    laws: tuple[tuple[Tensor, ...], ...],
) -> Response:
    """All laws at their points."""
    tau, F, history = torch.zeros_like(trial), trial, internal
    for group, tensors in zip(model.groups, laws, strict=True):
        for row, (law, index) in enumerate(group.points()):
            whole = len(index) == len(trial)
            F_in = trial if whole else trial[index]
            h_in = internal[:, : law.n_internal] if whole else internal[index, : law.n_internal]
            found = _one(group, law, tensors, row, F_in, h_in, dt)
            if whole and law.n_internal == internal.shape[1]:
                return found
            tau = tau.index_put((index,), found.tau)
            F = F.index_put((index,), found.F_elastic)
            if law.n_internal:
                padded = torch.cat([found.internal, internal[index, law.n_internal :]], 1)
                history = history.index_put((index,), padded)
    return Response(tau, F, history)


def _one(
    group: LawGroup, law: ConstitutiveLaw, tensors: tuple[Tensor, ...], row: int, F: Tensor,
    h: Tensor, dt: float,
) -> Response:  # fmt: skip
    if group.twin is not None:
        return bridge.update(group.twin, tensors[0][row], F, h, dt)
    return law.update(F, h, dt)
