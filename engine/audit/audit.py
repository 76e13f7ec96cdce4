# SPDX-License-Identifier: Apache-2.0
"""All checks of a law in a row.

What mechanics demands of every law is required, and a law without it fails: finite stresses, none
at rest, objectivity, a symmetric Kirchhoff stress, a stress that is that of its energy, no work out
of closed cycles, and a stable rest. The other properties are those of most materials and of
well-posed problems: where one is missing, or the box reaches beyond what the law was fitted over,
that is a warning.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rheograd.materials.law import ConstitutiveLaw

from ..curves import STEP, Curve
from . import invariance, loadings, stiffness, work
from .finding import Finding, not_applicable
from .probe import Probe
from .strain_box import StrainBox, around_rest, fitted_stretch, suited, with_volume

STATES = 256
"""At which identities are checked, in pairs of two in a row."""


@dataclass(frozen=True)
class Audit:
    """What the checks of a law found."""

    findings: tuple[Finding, ...]
    box: StrainBox
    moduli: stiffness.Moduli
    """At rest."""
    flows: bool
    """Whether something flows within the box, or the history changes."""
    dt: float
    """Length of a step [s]."""
    seed: int

    @property
    def passed(self) -> bool:
        """Whether nothing fails; there may be warnings."""
        return not any(finding.verdict == "fail" for finding in self.findings)

    def named(self, name: str) -> Finding:
        """The finding of a name.

        Raises:
            KeyError: There is none.
        """
        return {finding.name: finding for finding in self.findings}[name]

    def as_json(self) -> dict[str, Any]:
        """As values of JSON, but for numbers that are not finite."""
        return {
            "passed": self.passed,
            "box": {"stretch": self.box.stretch, "volume": self.box.volume,
                    "source": self.box.source},
            "samples": {
                "states": STATES, "ellipticity_states": stiffness.STATES,
                "directions": stiffness.DIRECTIONS, "cycles": work.CYCLES,
                "steps_of_a_cycle": work.STEPS,
            },
            "seed": self.seed, "step_s": self.dt, "flows": self.flows,
            "findings": [finding.as_json() for finding in self.findings],
        }  # fmt: skip


def box_for(
    law: ConstitutiveLaw, stretch: tuple[float, float] | None, moduli: stiffness.Moduli
) -> StrainBox:
    """The box of given stretches, or the one that suits the law.

    Args:
        law: The law.
        stretch: Least and largest principal stretch [-], or None.
        moduli: At rest.

    Raises:
        ValueError: The stretches are not around 1.
    """
    if stretch is None:
        return suited(law, moduli.bulk_by_shear)
    StrainBox(stretch, (0.5, 2.0))
    return with_volume(law, stretch, moduli.bulk_by_shear, "as asked")


def audit(
    law: ConstitutiveLaw,
    *,
    box: StrainBox | None = None,
    dt: float = STEP,
    seed: int = 0,
    curves: Sequence[Curve] | None = None,
    fields: Tensor | None = None,
) -> Audit:
    """Check a law; the same seed gives the same findings.

    Args:
        law: Any law; a float64 copy on the CPU is checked.
        box: Principal stretches and volumes to check it in; by default `box_for` decides.
        dt: Length of a step [s]: of matter where something flows.
        seed: Of all samples.
        curves: Those within the box, where they are known already.
        fields: Constant fields of the law at the point that is checked, such as the direction of
            its fibres, shape (w,); None: zeros, of which a law of fibres has none.
    """
    probe = Probe(law, dt, fields)
    moduli = stiffness.moduli_at_rest(probe)
    box = box or box_for(law, None, moduli)
    strains = box.drawn(STATES, small=probe.small, dim=probe.dim, seed=seed)
    F = probe.principal(strains, probe.rotations(STATES, seed + 1))
    pairs = F[torch.randperm(STATES, generator=torch.Generator().manual_seed(seed))]
    pairs = pairs.unflatten(0, (2, STATES // 2))
    seen = work.cycles(probe, box, seed + 2)
    flows = seen.path.flows
    if curves is None:
        curves = loadings.curves_within(law, box, flows=flows, dt=dt, fields=fields)
    alike = invariance.isotropy(probe, pairs, seed + 4)
    any_fields = Probe(law, dt, drawn=True)
    return Audit(
        (
            invariance.finite_answers(probe, F),
            invariance.rest_stress(probe, moduli.largest),
            invariance.objectivity(any_fields, pairs, seed + 3),
            invariance.stress_symmetry(any_fields, pairs),
            work.stress_and_energy(any_fields, F),
            work.closed_cycles(probe, seen),
            stiffness.stiffness_at_rest(moduli),
            alike,
            loadings.rising(curves, moduli),
            stiffness.ellipticity(probe, box, moduli, seed + 5),
            stiffness.baker_ericksen(
                probe, box, moduli, isotropic=invariance.is_isotropic(alike), seed=seed + 6
            ),
            extrapolation(law, box),
            *constant_fields(law, fields),
        ),
        box, moduli, flows, dt, seed,
    )  # fmt: skip


def constant_fields(law: ConstitutiveLaw, fields: Tensor | None) -> tuple[Finding, ...]:
    """At which constant fields a law was looked at, where it has any."""
    if not law.fields:
        return ()
    names = ", ".join(law.fields)
    told = "0" if fields is None else ", ".join(f"{value:.4g}" for value in fields.tolist())
    return (
        not_applicable(
            "constant fields", f"{names} = {told}",
            f"Objectivity, symmetry and energy are those of random values of {names}; all other"
            f" checks, and the curves, are of {told}.",
        ),
    )  # fmt: skip


def extrapolation(law: ConstitutiveLaw, box: StrainBox) -> Finding:
    """Whether the box reaches beyond what the law was fitted over."""
    name, formula = "within the fitted range", "box ⊂ fitted stretches"
    fitted = fitted_stretch(law)
    if fitted is None:
        return Finding(name, "not applicable", "Nothing tells what it was fitted over.", formula)
    low, high = box.stretch
    least, most = around_rest(fitted)
    beyond = max(least / low, high / most, 1.0) - 1
    good = beyond <= 1e-9
    sentence = (
        f"It was fitted over principal stretches from {fitted[0]:.3g} to {fitted[1]:.3g}."
        if good
        else f"It was fitted over principal stretches from {fitted[0]:.3g} to {fitted[1]:.3g}, and"
        f" is asked up to {100 * beyond:.2g} % beyond: there a learned law is a guess."
    )
    return Finding(name, "pass" if good else "warning", sentence, formula, beyond, 0.0, "≤",
                   "stretch beyond")  # fmt: skip
