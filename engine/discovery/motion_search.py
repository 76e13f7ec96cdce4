# SPDX-License-Identifier: Apache-2.0
"""A formula out of a measured motion: displacements are corrected and terms are chosen in turn.

1. A neo-Hookean law as stiff as the forces say smooths the displacements: guesses of strains that
   are free of most of the errors.
2. With all terms of the library, weights and displacements are corrected in turn (corrected.py)
   until these stand still. What is left over tells how large their errors are, if nobody else did.
3. Terms are chosen (discover.py), displacements are corrected by the chosen law alone, and terms
   chosen again, until they are the same twice.

Errors are taken as independent, of equal size at all nodes and in all frames, those at rest as 0.
A mesh that cannot follow the body is an error that is none of these: it has to be finer than what
the errors hide, if need be with nodes that were not seen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from rheograd.materials.energies.symbolic import UnstableAtRest
from rheograd.materials.law import ConstitutiveLaw

from .corrected import CorrectedEquations, Unsettled
from .discover import DRAWS, Discovery, Tell, discover, doubts, inclusion_of
from .formula import Formula, formula
from .from_motion import InvertedElement, MeasuredMotion
from .library import FAMILIES, Candidate, candidates, library
from .selection import Chosen, Columns, solved

FIRST_NOISE = 1e-4
"""Error of a displacement relative to the largest one, to begin with [-]."""
LEAST_NOISE = 1e-7
"""The least that is believed, relative to the same: recorded positions are rounded."""
FORCE_NOISE = 1e-3
"""Error of a force relative to the largest one, if it is not told: a good load cell [-]."""
STILL = 1e-2
"""Root mean square move of a displacement, in standard deviations, at which it stands still."""
SMOOTHINGS, MOST_STEPS, ROUNDS = 2, 30, 5
HALVINGS = 12
WORSE = 1.5
"""Residual in standard deviations that were told, from which on the formula is doubted."""
QUANTILE = 1.959964
"""Of a 95 % band, in standard deviations."""


@dataclass(frozen=True, eq=False)
class FoundInMotion:
    """A formula, and what is left of the measured motion."""

    discovery: Discovery
    formula: Formula
    equations: CorrectedEquations
    """About the end."""
    noise: float
    """Standard deviation of a displacement, told or found [m]."""
    told: bool
    """Whether it was told."""
    notes: tuple[str, ...]
    """Sentences on how far to trust it."""

    @property
    def x(self) -> Tensor:
        """Positions in equilibrium with the formula that are nearest to the measured ones [m]."""
        return self.equations.about.motion.x

    @property
    def excess(self) -> float:
        """Root mean square residual in standard deviations of what was told [-]; 1 is expected."""
        rows = self.equations.freedom - self.discovery.chosen.numbers
        return math.sqrt(self.discovery.chosen.rss / max(rows, 1))


def found_in_motion(
    motion: MeasuredMotion, *, families: Sequence[str] | None = None, most: int = 4,
    noise: float | None = None, bulk: float | None = None, seed: int = 0, draws: int = DRAWS,
    tell: Tell = lambda what, share: None,
) -> FoundInMotion:  # fmt: skip
    """Find a formula.

    Args:
        motion: What was measured; the force curve's noise is `FORCE_NOISE` unless it has one.
        families: Of terms (`library.FAMILIES`); None: all.
        most: Largest number of terms.
        noise: Standard deviation of a displacement [m]; None: found along.
        bulk: Bulk modulus of the law [Pa], if no term of the volume is chosen.
        seed: Of the bootstrap.
        draws: Of the bootstrap.
        tell: Is told what is done.

    Raises:
        ValueError: What was measured does not do; says what and the remedy.
    """
    if noise is not None and not (math.isfinite(noise) and noise > 0.0):
        raise ValueError(f"got a noise of {noise:g} m, expected it above 0")
    told = motion.force.noise
    if told is not None and not (math.isfinite(told) and told > 0.0):
        raise ValueError(f"got a noise of the force of {told:g} N, expected it above 0")
    tell("displacements corrected", 0.0)
    search = _Search(motion, noise)
    smooth = search.smoothed()
    parts = candidates(library(smooth.about.deformed.excess, tuple(families or FAMILIES)))
    equations, _ = search.settled(smooth, parts)
    found = None
    for k in range(ROUNDS):
        equations.prepare(parts)
        share = k / ROUNDS
        last, found = found, discover(
            equations, parts, most=most, noise=1.0, seed=seed, draws=0,
            hold_back=False,
            tell=lambda what, part, share=share: tell(what, share + 0.9 * part / ROUNDS),
        )  # fmt: skip
        if last is not None and last.chosen.signature == found.chosen.signature:
            break
        try:
            equations, _ = search.settled(equations, found.chosen.parts, found.chosen)
        except Unsettled:
            search.stuck = True
            break
    assert found is not None
    again = last is not None and last.chosen.signature == found.chosen.signature
    columns = Columns.of(equations, parts)
    tell("rows drawn anew", 0.9)
    found = replace(found, inclusion=inclusion_of(equations, columns, found.size, draws, seed))
    volume = any(p.term.family == "volume" for p in found.chosen.parts)
    law = formula(found.chosen, found.covariance, QUANTILE, bulk=bulk, volume=volume)
    one = FoundInMotion(found, law, equations, search.noise, noise is not None, ())
    tell("done", 1.0)
    return replace(one, notes=_notes(one, search, again))


@dataclass(eq=False)
class _Search:
    """Where a search stands."""

    motion: MeasuredMotion
    given: float | None
    settles: bool = True
    stuck: bool = False

    def __post_init__(self) -> None:
        """Errors to begin with."""
        self.noise = self.given or FIRST_NOISE * self.motion.reach
        told = self.motion.force.noise
        self.force_noise = FORCE_NOISE * self.motion.strength if told is None else told

    def about(self, motion: MeasuredMotion, law: ConstitutiveLaw) -> CorrectedEquations:
        """Equations about positions and a law."""
        measured = self.motion.motion.x.double()
        return CorrectedEquations(motion, measured, law, self.noise, self.force_noise)

    def smoothed(self) -> CorrectedEquations:
        """Step 1 of the module."""
        first, volume = (t for t in library(1.0) if t.name in ("(I1bar - 3)", "(J - 1)**2"))
        parts = (Candidate(first, None), Candidate(volume, None))
        told = self.motion.gripped
        force = np.sum([self.motion.rows(p) for p in parts], 0)[told]
        size = abs(float(force @ self.motion.loads[told] / (force @ force)))
        chosen = Chosen(parts, np.full(2, size), 0.0)
        at = self.motion
        for _ in range(SMOOTHINGS):
            at = _moved(at, self.about(at, law_of(chosen)).corrected(chosen))
        return self.about(at, law_of(chosen))

    def settled(
        self, start: CorrectedEquations, parts: Sequence[Candidate], chosen: Chosen | None = None
    ) -> tuple[CorrectedEquations, Chosen]:
        """Weights of given terms and displacements, in turn until these stand still.

        Raises:
            Unsettled: The terms cannot correct the displacements.
        """
        equations = start if chosen is None else self.about(start.about, law_of(chosen))
        self.settles = False
        for _ in range(MOST_STEPS):
            equations.prepare(parts)
            columns = Columns.of(equations, parts)
            chosen = _positive(solved(equations, columns.parts, None))
            x = equations.corrected(chosen)
            moved = (x - equations.about.motion.x)[1:, equations.about.moving]
            still = float(moved.square().mean().sqrt()) < STILL * self.noise
            at = _moved(equations.about, x)
            ratio = 1.0
            if self.given is None:
                rows = max(equations.freedom - chosen.numbers, 1)
                least = LEAST_NOISE * self.motion.reach
                ratio = max(self.noise * math.sqrt(chosen.rss / rows), least) / self.noise
                self.noise *= ratio
            equations = self.about(at, law_of(chosen))
            if still and abs(ratio - 1.0) < STILL:
                self.settles = True
                break
        assert chosen is not None
        return equations, chosen


def law_of(chosen: Chosen) -> ConstitutiveLaw:
    """The law of the terms alone.

    Raises:
        Unsettled: It is not stable at rest.
    """
    nothing = np.zeros((chosen.numbers, chosen.numbers))
    try:
        return formula(chosen, nothing, QUANTILE, volume=True).law
    except UnstableAtRest as unstable:
        raise Unsettled(str(unstable)) from None


def _positive(chosen: Chosen) -> Chosen:
    """Without the terms of weight 0.

    Raises:
        Unsettled: There are no others.
    """
    kept = np.flatnonzero(chosen.weights > 0.0)
    if not len(kept):
        raise Unsettled(
            "no term of the library goes with what was measured with a weight above 0: check the"
            " sign of the force and the side it acts on"
        )
    return replace(chosen, parts=tuple(chosen.parts[k] for k in kept), weights=chosen.weights[kept])


def _moved(motion: MeasuredMotion, x: Tensor) -> MeasuredMotion:
    """At other positions, or on the way there as far as no element turns inside out."""
    start = motion.motion.x.double()
    share = 1.0
    for _ in range(HALVINGS):
        try:
            return motion.at(start + share * (x - start))
        except InvertedElement:
            share /= 2
    return motion


def _notes(found: FoundInMotion, search: _Search, again: bool) -> tuple[str, ...]:
    reach = search.motion.reach
    share = f"{found.noise:.2g} m at a node, {100 * found.noise / reach:.2g} % of the largest"
    said = [f"displacements and the formula differ by {share} displacement (root mean square)"]
    if found.told:
        said = [
            f"displacements and the formula differ by {found.excess:.2f} times the errors that"
            " were told"
        ]
        if found.excess > WORSE:
            said.append("no formula of these terms tells the motion to within those errors")
    said += doubts(found.discovery)
    if search.motion.force.noise is None:
        said.append(f"errors of the force are taken as {search.force_noise:.2g} N")
    if search.stuck:
        said.append("the chosen terms alone are too far from the motion to correct it by them")
    elif not search.settles:
        said.append(f"the corrected displacements did not stand still in {MOST_STEPS} steps")
    if not (again or search.stuck):
        said.append(f"the choice of terms still changed after {ROUNDS} rounds")
    return tuple(said)
