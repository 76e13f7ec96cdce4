# SPDX-License-Identifier: Apache-2.0
"""A representative cell of a microstructure: a box that is continued periodically.

Under a mean deformation the displacement is

    u(X) = (F̄ − 1) X + w(X),    w periodic

for small strains with the mean strain in place of F̄ − 1, and what is asked for is the mean of the
stress over the cell (Hill 1963, "Elastic properties of reinforced solids").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from rheograd.materials.law import ConstitutiveLaw

from ..constant_fields import refuse as refuse_fields
from ..fem.geometry import Geometry, geometry
from ..mesh.volume_mesh import VolumeMesh
from ..suggestion import did_you_mean
from .periodicity import Periodicity, match


@dataclass(frozen=True, eq=False)
class Cell:
    """A mesh whose opposite faces match node for node, and a law for each of its regions.

    Raises:
        ValueError: The mesh is not periodic, a cell of the mesh has no law or two, or laws of small
            and of finite strain are mixed.
    """

    mesh: VolumeMesh
    """In the plane (plane strain) or in space. What its box has no elements in is void."""
    laws: Mapping[str, ConstitutiveLaw]
    """Of each phase, by the name of its region in the mesh."""

    def __post_init__(self) -> None:
        """Refuse what has no answer."""
        if not self.laws:
            raise ValueError("got a cell without a law, expected one for each of its phases")
        for name in self.laws:
            if name not in self.mesh.regions:
                known = ", ".join(sorted(self.mesh.regions)) or "none"
                raise ValueError(
                    f"got a law for phase {name!r}, expected phases that are regions of the mesh: "
                    f"{known}{did_you_mean(name, self.mesh.regions)}"
                )
        refuse_fields(self.laws, "the phases of a cell")
        counts = torch.zeros(len(self.mesh.cells), dtype=torch.int64)
        for name in self.laws:
            counts[self.mesh.regions[name]] += 1
        if bool((counts != 1).any()):
            bad = int((counts != 1).nonzero()[0])
            spare = sorted(set(self.mesh.regions) - set(self.laws))
            hint = f"; regions without a law: {', '.join(spare)}" if spare else ""
            raise ValueError(
                f"{int((counts == 0).sum())} elements of the cell have no law and "
                f"{int((counts > 1).sum())} have several, the first is element {bad}; expected one "
                f"each: give a law for every phase{hint}"
            )
        if len({law.kinematics for law in self.laws.values()}) > 1:
            each = ", ".join(f"{name}: {law.kinematics}" for name, law in self.laws.items())
            raise ValueError(
                f"got laws of small and of finite strain in one cell ({each}), expected one kind"
            )
        _ = self.periodicity

    @cached_property
    def periodicity(self) -> Periodicity:
        """Which of its nodes are one."""
        return match(self.mesh.nodes, self.mesh.dim)

    @property
    def dim(self) -> int:
        """2 in plane strain, or 3."""
        return self.mesh.dim

    @property
    def small(self) -> bool:
        """Whether its laws are of small strains."""
        return next(iter(self.laws.values())).kinematics == "small"

    @property
    def symmetric(self) -> bool:
        """Whether the derivative of its stress is that of an energy."""
        return all(law.symmetric for law in self.laws.values())

    @property
    def volume(self) -> float:
        """Of its box, voids included [m³]; in the plane that of a slice 1 m thick."""
        return float(self.periodicity.sides.prod())

    def shares(self) -> dict[str, float]:
        """Share of each phase in the volume of the box [-]."""
        each = quadrature(self.mesh).weight.sum(1) / self.volume
        return {name: float(each[self.mesh.regions[name]].sum()) for name in self.laws}


def quadrature(mesh: VolumeMesh) -> Geometry:
    """Gradients of shape functions and weights at the points of its elements."""
    return geometry(mesh.kind, mesh.nodes.detach()[mesh.cells])


def mean_strain(
    *,
    xx: float = 0.0,
    yy: float = 0.0,
    zz: float = 0.0,
    xy: float | None = None,
    yz: float | None = None,
    xz: float | None = None,
    gamma_xy: float | None = None,
    gamma_yz: float | None = None,
    gamma_xz: float | None = None,
) -> Tensor:
    """The deformation gradient 1 + ε of a small strain, shape (3, 3), float64.

    A shear is given as a component of the tensor, xy, or as the angle that engineers measure,
    gamma_xy = 2 xy: by its name, so that the two cannot be mixed up.

    Raises:
        ValueError: A shear is given in both ways.
    """
    out = torch.eye(3, dtype=torch.float64)
    out += torch.diag(torch.tensor([xx, yy, zz], dtype=torch.float64))
    shears = {"xy": (xy, gamma_xy), "yz": (yz, gamma_yz), "xz": (xz, gamma_xz)}
    for name, (tensor, angle) in shears.items():
        if tensor is not None and angle is not None:
            raise ValueError(
                f"got {name} = {tensor:g} and gamma_{name} = {angle:g}, expected one of them: "
                f"gamma_{name} is twice {name}"
            )
        i, j = ("xyz".index(letter) for letter in name)
        value = tensor if tensor is not None else 0.5 * (angle or 0.0)
        out[i, j] = out[j, i] = value
    return out
