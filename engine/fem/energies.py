# SPDX-License-Identifier: Apache-2.0
"""Where the energy of a run is, and where it went.

Work is summed over the steps by the trapezoidal rule, of a force f along the way of its nodes

    W += (f0 + f1)/2 . (x1 - x0)

so that what Newmark's method conserves (beta = 1/4, gamma = 1/2) is balanced to the last bits:
kinetic energy + work of the stresses = work of the loads and of what is prescribed.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..state import State
from .equilibrium import inertia
from .geometry import nodal_masses
from .model import FEModel

COLUMNS = 4
LOADS, STRESSES, DAMPING, BEGUN = range(COLUMNS)
"""Columns of the sums that a state carries, in each world: work of the loads and of prescribed
motion, of the stresses, of mass-proportional damping; kinetic energy at the start. All [J]."""


def momentum(model: FEModel, v: Tensor) -> Tensor:
    """Mass times velocity [N s], shape (n, 3), by the masses that the integrator uses."""
    masses, added = model.masses(model.x0.detach(), model.density.detach()), model.added_mass
    if not model.lumped:
        return inertia(model, masses, added.detach(), v)
    return nodal_masses(masses, model.nodes, added.detach())[:, None] * v


def kinetic_energies(model: FEModel, v: Tensor) -> Tensor:
    """Of each world [J], shape (worlds,)."""
    return by_world(model, 0.5 * momentum(model, v) * v)


def by_world(model: FEModel, values: Tensor) -> Tensor:
    """Sums of numbers at components of nodes (n, 3), shape (worlds,)."""
    return values.new_zeros(model.worlds).index_add(0, model.world, values.sum(1))


def elastic_densities(model: FEModel, state: State) -> Tensor | None:
    """Elastic energy per volume at rest [J/m³] at the points, shape (p,).

    None where a law has no energy.
    """
    out = state.F.new_zeros(model.points)
    for law, index in (piece for group in model.groups for piece in group.points()):
        found = law.energy(state.F[index].detach(), state.internal[index, : law.n_internal])
        if found is None:
            return None
        out[index] = found.detach().to(out)
    return (out.unflatten(0, (len(model.nodes), -1)) * model.stiffness.detach()[:, None]).flatten()


def of_elements(model: FEModel, state: State) -> Tensor | None:
    """Elastic energy per volume at rest of each element [J/m³], shape (e,); None: see above."""
    density = elastic_densities(model, state)
    if density is None:
        return None
    weight = model.geometry(model.x0.detach()).weight
    return (density.view_as(weight) * weight).sum(1) / weight.sum(1)


@torch.no_grad()
def work(
    model: FEModel, old: State, new: State, inertial: Tensor | None, damping: Tensor | None
) -> Tensor:
    """What a state carries of work, after a step; shape (worlds, COLUMNS).

    Args:
        model: The mesh.
        old: The state before.
        new: The state after; its own "work" is not read.
        inertial: Sum of M (a + m v) at both ends of the step [N], shape (n, 3), for the reactions;
            None: no inertia.
        damping: Sum of m M v at both ends [N], shape (n, 3); None: none.
    """
    way = 0.5 * (new.x - old.x)
    resisting = old.carry["resisting"] + new.carry["resisting"]
    net = old.carry["net"] + new.carry["net"]
    loads = resisting - net
    if model.moves:
        reaction = net if inertial is None else net + inertial
        loads = loads + reaction.masked_fill(~model.fixed, 0.0)
    done = [by_world(model, force * way) for force in (loads, resisting)]
    damped = torch.zeros_like(done[0])
    if damping is not None:
        damped = by_world(model, damping * way)
    return old.carry["work"] + torch.stack([*done, damped, torch.zeros_like(damped)], 1)


@torch.no_grad()
def energies(model: FEModel, state: State) -> dict[str, float]:
    """Energies of a state, summed over its worlds [J].

    Returns:
        "kinetic" and, where every law is one of an energy, "elastic"; "dissipated" since the start,
        by laws and by mass-proportional damping (for laws of no energy "internal" instead, the
        work of their stresses); "work" of loads, weight and prescribed motion since the start; and
        "error", what is more than there should be: kinetic + elastic + dissipated - work - kinetic
        energy at the start. A damping integrator makes it negative.
    """
    sums = state.carry["work"].sum(0)
    kinetic = float(kinetic_energies(model, state.v).sum())
    density = elastic_densities(model, state)
    stresses, damped = float(sums[STRESSES]), float(sums[DAMPING])
    found = {"kinetic": kinetic}
    if density is None:
        found |= {"internal": stresses, "dissipated": damped}
    else:
        weight = model.geometry(model.x0.detach()).weight.reshape(-1)
        elastic = float((density * weight).sum())
        laws = [law for group in model.groups for law in group.laws]
        lost = 0.0 if all(law.conservative for law in laws) else stresses - elastic
        found |= {"elastic": elastic, "dissipated": lost + damped}
    stored = sum(found.values())
    work = float(sums[LOADS])
    return {**found, "work": work, "error": stored - work - float(sums[BEGUN])}
