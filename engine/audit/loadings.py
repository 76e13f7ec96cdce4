# SPDX-License-Identifier: Apache-2.0
"""The curves of a law within a box of strains, and whether they rise."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from rheograd.materials.law import ConstitutiveLaw

from ..curves import RATE, STEP, Curve, equibiaxial, pure_shear, simple_shear, uniaxial
from ..curves import volumetric as volume_curve
from .finding import Finding, not_applicable
from .stiffness import Moduli
from .strain_box import StrainBox

FEW = 50
"""Steps from rest to either end where nothing flows: then the way does not matter."""
LEAST = 1e-6
"""Slope that counts as none, by the modulus at rest [-]."""
RISES = "dP/dλ > 0, dτ/dγ > 0"


def curves_within(
    law: ConstitutiveLaw, box: StrainBox, *, flows: bool, dt: float = STEP, every: bool = False,
    fields: Tensor | None = None,
) -> list[Curve]:  # fmt: skip
    """Uniaxial, equibiaxial, pure shear, simple shear and volumetric.

    Args:
        law: Any law.
        box: What the stretches, and the volume, stay within.
        flows: Whether the way to a deformation matters: then steps have the strain RATE dt.
        dt: Length of a loading step [s].
        every: Whether all loadings have the stretches of the box as they are; else each stays
            so far from its ends that its free sides, at constant volume, are inside as well.
        fields: Constant fields of the law, shape (w,); None: zeros.
    """
    low, high = box.stretch
    small = law.kinematics == "small"
    biaxial, planar, single = ((low, high),) * 3
    if law.dim != 2 and not every:
        if small:
            e, f = low - 1, high - 1
            single = (1 + max(e, -2 * f), 1 + min(f, -2 * e))
            biaxial = (1 + max(e, -f / 2), 1 + min(f, -e / 2))
            planar = (1 + max(e, -f), 1 + min(f, -e))
        else:
            single = (max(low, high**-2), min(high, low**-2))
            biaxial = (max(low, high**-0.5), min(high, low**-0.5))
            planar = (max(low, 1 / high), min(high, 1 / low))
    reach = min(high - 1, 1 - low) if small else min(high - 1 / high, 1 / low - low)

    def rate(ends: tuple[float, float]) -> float:
        longest = max(1 - ends[0], ends[1] - 1) if small else math.log(max(1 / ends[0], ends[1]))
        return RATE * STEP / dt if flows else longest / (FEW * dt)

    slow = RATE * STEP / dt if flows else reach / (FEW * dt)
    return [
        uniaxial(law, stretch=single, dt=dt, rate=rate(single), fields=fields),
        equibiaxial(law, stretch=biaxial, dt=dt, rate=rate(biaxial), fields=fields),
        pure_shear(law, stretch=planar, dt=dt, rate=rate(planar), fields=fields),
        simple_shear(law, shear=reach, dt=dt, rate=slow, fields=fields),
        volume_curve(law, volume=box.volume, dt=dt, rate=rate(box.volume), fields=fields),
    ]


def rising(curves: Sequence[Curve], moduli: Moduli) -> Finding:
    """Whether the stress rises with the deformation in all loadings but that of the volume."""
    name = "rising curves"
    if moduli.fluid or moduli.shear <= 0:
        return not_applicable(name, RISES, "Rest itself has no stiffness of shape.")
    least, at, which, ended = float("inf"), 0.0, "", ""
    for curve in curves:
        if curve.name == "volumetric":
            continue
        known = curve.y.isfinite()
        x, y = curve.x[known], curve.y[known]
        if not curve.complete:
            ended += f"{curve.name} at {_first_lost(curve):.3g}; "
        if len(x) < 2:
            continue
        unit = moduli.shear if curve.name == "simple shear" else moduli.young
        slope = y.diff() / x.diff() / unit
        k = int(slope.argmin())
        if float(slope[k]) < least:
            least, which = float(slope[k]), curve.name
            at = _onset(slope, x) if least <= LEAST else float(x[k])
    good = least > LEAST and not ended
    if good:
        sentence = "The stress rises throughout in all loadings."
    elif ended:
        sentence = f"The sides cannot be freed of stress, and the curve ends: {ended[:-2]}."
    else:
        sentence = f"The stress falls with the deformation in {which}, from {at:.4g} on."
    return Finding(name, "pass" if good else "warning", sentence, RISES, least, 0.0, ">",
                   "by that at rest")  # fmt: skip


def _first_lost(curve: Curve) -> float:
    """The deformation closest to rest that has no answer."""
    lost = curve.x[~curve.y.isfinite()]
    rest = 0.0 if curve.name == "simple shear" else 1.0
    return float(lost[(lost - rest).abs().argmin()])


def _onset(slope: Tensor, x: Tensor) -> float:
    """Where, closest to rest, the slope is none."""
    falls = torch.nonzero(slope <= LEAST).flatten()
    middle = 0.5 * (x[falls] + x[falls + 1])
    rest = 1.0 if float(x[0]) > 0 else 0.0
    return float(middle[(middle - rest).abs().argmin()])
