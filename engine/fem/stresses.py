# SPDX-License-Identifier: Apache-2.0
"""Cauchy stress of a state: averaged over elements, and at nodes."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from ..mesh.elements import Element, element
from ..state import State
from .equilibrium import deformation
from .geometry import determinant
from .model import FEModel

LINEAR = {"tet": "tet4", "hex": "hex8", "tri": "tri3", "qua": "quad4"}


def at_points(model: FEModel, state: State) -> tuple[Tensor, Tensor]:
    """Cauchy stress [Pa], shape (e, q, 3, 3), and the deformed volumes (e, q) [m³] it acts in."""
    own = model.geometry(model.x0.detach())
    tau = state.carry["tau"].detach().unflatten(0, own.weight.shape)
    tau = tau * model.stiffness.detach()[:, None, None, None]
    if model.small:
        return tau, own.weight
    u = (state.x - model.x0)[model.nodes].detach()
    J = determinant(deformation(model, own, u)).reshape(own.weight.shape)
    return tau / J[..., None, None], own.weight * J


def of_elements(model: FEModel, state: State) -> Tensor:
    """Cauchy stress averaged over the volume of each element [Pa], shape (e, 3, 3)."""
    stress, volume = at_points(model, state)
    return torch.einsum("eqij,eq->eij", stress, volume) / volume.sum(1)[:, None, None]


def of_nodes(model: FEModel, state: State) -> Tensor:
    """Cauchy stress at nodes [Pa], shape (n, 3, 3).

    In each element the linear (or bi- and trilinear) field nearest to what its points have is taken
    to its nodes; where elements meet it is averaged by their volumes. Bodies do not share nodes.
    """
    stress, volume = at_points(model, state)
    matrix = torch.from_numpy(_extrapolation(model.kind.name)).to(stress)
    whole = volume.sum(1)
    own = torch.einsum("aq,eqij->eaij", matrix, stress) * whole[:, None, None, None]
    nodes = model.nodes.reshape(-1)
    total = stress.new_zeros(model.n, 3, 3).index_add(0, nodes, own.flatten(0, 1))
    share = whole[:, None].expand(model.nodes.shape).reshape(-1)
    weight = stress.new_zeros(model.n).index_add(0, nodes, share)
    return total / weight[:, None, None]


@lru_cache
def _extrapolation(name: str) -> np.ndarray:
    """From values at the points of an element to values at its nodes, shape (a, q)."""
    kind: Element = element(name)
    points = kind.stiffness.points
    linear = element(LINEAR[name[:3]])
    if len(points) < len(linear.nodes):
        return np.full((len(kind.nodes), len(points)), 1.0 / len(points))
    return linear.shape(kind.nodes) @ np.linalg.pinv(linear.shape(points))
