# SPDX-License-Identifier: Apache-2.0
"""Which deformations a law is audited at: stretches and volumes within limits, any directions."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from rheograd.materials.homogenized.equino import EquiNO
from rheograd.materials.law import ConstitutiveLaw

FINITE = (0.75, 4 / 3)
"""Stretches where nothing tells what a law was fitted to."""
SMALL = (0.98, 1.02)
"""Likewise of laws of small strain."""
LEAST = 0.01
"""How far a box reaches to either side of rest, at least."""
PRESSURE = 3.0
"""Mean stress of the largest change of volume, by the largest deviator of stress."""


@dataclass(frozen=True)
class StrainBox:
    """Principal stretches and volume ratios between two limits each.

    Raises:
        ValueError: Rest is not inside.
    """

    stretch: tuple[float, float]
    """Least and largest principal stretch [-]."""
    volume: tuple[float, float]
    """Least and largest volume ratio J [-]."""
    source: str = ""
    """Where it comes from, in words."""

    def __post_init__(self) -> None:
        """Refuse limits between which rest is not."""
        limits = {"principal stretches": self.stretch, "volume ratios": self.volume}
        for name, (low, high) in limits.items():
            if not 0 < low < 1 < high < math.inf:
                raise ValueError(
                    f"got a box of {name} from {low:g} to {high:g}, expected 0 < low < 1 < high:"
                    " rest is inside, as in 0.7,1.4"
                )

    def strains(self, small: bool) -> tuple[Tensor, Tensor]:
        """The limits of principal strains and of their sum, float64, shape (2,) each.

        Strains are logarithmic, or for laws of small strains changes of length.
        """
        limits = torch.tensor([self.stretch, self.volume], dtype=torch.float64)
        whole, total = limits - 1 if small else limits.log()
        return whole, total

    def drawn(self, count: int, *, small: bool, dim: int, seed: int) -> Tensor:
        """Principal strains, shape (count, dim): the corners first, then uniform draws."""
        (low, high), _ = self.strains(small)
        generator = torch.Generator().manual_seed(seed)
        corners = torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=torch.float64)] * dim)
        shares = torch.rand(count, dim, generator=generator, dtype=torch.float64)
        shares[: len(corners)] = corners[:count]
        return self.inside(low + (high - low) * shares, small=small)

    def inside(self, strains: Tensor, *, small: bool) -> Tensor:
        """Principal strains (q, d) as they are, or the nearest inside along two ways.

        A volume beyond its limits is brought to them, then the deviator shrinks as far as needed.
        """
        (low, high), (least, most) = self.strains(small)
        d = strains.shape[1]
        mean = strains.mean(1, keepdim=True)
        deviator = strains - mean
        mean = mean.clamp(float(least) / d, float(most) / d).clamp(float(low), float(high))
        room = torch.where(deviator > 0, high - mean, low - mean)
        shares = torch.where(deviator != 0, room / deviator, 1.0).clamp(0.0, 1.0)
        return mean + deviator * shares.amin(1, keepdim=True)


def suited(law: ConstitutiveLaw, bulk_by_shear: float) -> StrainBox:
    """The box in which a law is audited unless told otherwise.

    Stretches are those that it was fitted over, or FINITE, or SMALL. What is nearly incompressible
    does not change its volume as it changes its shape: the volume is left to vary as far as that
    takes a mean stress of PRESSURE times the largest deviator.

    Args:
        law: The law.
        bulk_by_shear: K/μ at rest [-]; infinite for a fluid.
    """
    stretch, source = fitted_stretch(law), "what it was fitted over"
    if stretch is None:
        stretch = SMALL if law.kinematics == "small" else FINITE
        source = "the default, for nothing tells what it was fitted over"
    return with_volume(law, around_rest(stretch), bulk_by_shear, source)


def around_rest(stretch: tuple[float, float]) -> tuple[float, float]:
    """A range of stretches that is `LEAST` to either side of rest, at least."""
    return min(stretch[0], 1 - LEAST), max(stretch[1], 1 + LEAST)


def with_volume(
    law: ConstitutiveLaw, stretch: tuple[float, float], bulk_by_shear: float, source: str
) -> StrainBox:
    """A box of given stretches; volumes as in `suited`."""
    fitted = None if law.provenance is None else law.provenance.volume
    if fitted is not None and fitted[0] < 1 - LEAST and fitted[1] > 1 + LEAST:
        return StrainBox(stretch, fitted, source)
    small, d = law.kinematics == "small", law.dim or 3
    low, high = (s - 1 if small else math.log(s) for s in stretch)
    reach = PRESSURE * 2 * max(-low, high) / max(bulk_by_shear, 1e-12)
    if math.isinf(bulk_by_shear):
        reach = math.inf
    least, most = max(d * low, -reach), min(d * high, reach)
    volume = (1 + least, 1 + most) if small else (math.exp(least), math.exp(most))
    return StrainBox(stretch, volume, source)


def fitted_stretch(law: ConstitutiveLaw) -> tuple[float, float] | None:
    """Range of principal stretches that a law was fitted over [-], if that is known."""
    if law.provenance is not None and law.provenance.stretch is not None:
        return law.provenance.stretch
    return law.stretches() if isinstance(law, EquiNO) else None
