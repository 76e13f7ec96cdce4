# SPDX-License-Identifier: Apache-2.0
"""What a trajectory that carries a mesh says of it: averages over its boundary, nodes, balance."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..trajectory import Trajectory
from .elements import side
from .volume_mesh import VolumeMesh


def side_mean(
    trajectory: Trajectory, where: Callable[[Tensor], Tensor], values: Tensor | None = None
) -> Tensor:
    """Average over the area at rest of a part of the boundary; differentiable.

    Args:
        trajectory: Its first frame is the mesh at rest.
        where: Which of the positions at rest, shape (n, 3), are on the part; shape (n,), bool.
        values: Of the nodes, shape (t, n, c); their displacements [m] if None.

    Returns:
        Shape (t, c).

    Raises:
        ValueError: The trajectory carries no mesh, or no whole side of an element is there.
    """
    sides, weights = _part(trajectory, where)
    if values is None:
        values = trajectory.x - trajectory.x[:1].detach()
    return torch.einsum("fb,tfbc->tc", weights.to(values), values[:, sides]) / weights.sum()


def node_at(trajectory: Trajectory, place: tuple[float, float, float]) -> int:
    """The number of the node that is nearest to a place at rest [m]."""
    x = trajectory.x[0].detach().double().cpu()
    return int((x - torch.tensor(place, dtype=torch.float64)).norm(dim=1).argmin())


def _part(trajectory: Trajectory, where: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    """Sides (f, b) and the area at rest that each of their nodes stands for."""
    if trajectory.cells is None:
        raise ValueError(
            "got a trajectory without a mesh, expected one of finite elements: run the scene with "
            "--solver fe"
        )
    x = trajectory.x[0].detach().double().cpu()
    mesh = VolumeMesh(trajectory.cells.kind, x, trajectory.cells.nodes.cpu())
    boundary = mesh.boundary()
    chosen = boundary[where(x)[boundary].all(1)]
    if not len(chosen):
        raise ValueError(
            "no side of an element lies in the part of the boundary that was asked for"
        )
    kind = side(mesh.kind)
    slopes = torch.from_numpy(kind.gradients(kind.mass.points))
    along = torch.einsum("fbi,qbd->dfqi", x[chosen], slopes)
    area = along[0].norm(dim=2)
    if kind.dim == 2:
        area = torch.linalg.cross(along[0], along[1]).norm(dim=2)
    N = torch.from_numpy(kind.shape(kind.mass.points))
    return chosen, torch.einsum("fq,q,qb->fb", area, torch.from_numpy(kind.mass.weights), N)


def imbalance(trajectory: Trajectory) -> tuple[float, float]:
    """What the reactions in the last frame leave of force and of moment about z.

    Returns:
        By the sum of the sizes of all their components; the moment also by the largest coordinate
        of a node at rest in the plane.
    """
    X, f = trajectory.x[0].double(), trajectory.fields["reaction"][-1].double()
    scale = max(float(f.abs().sum()), 1e-12)
    moment = float((X[:, 0] * f[:, 1] - X[:, 1] * f[:, 0]).sum())
    return float(f.sum(0).norm()) / scale, abs(moment) / (scale * float(X[:, :2].abs().max()))
