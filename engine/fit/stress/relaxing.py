# SPDX-License-Identifier: Apache-2.0
"""Viscoelastic laws among those that are fitted to stress tests.

Shear tests of a rubber tell the equilibrium and the branches, which have no volume; the bulk
modulus is that of the equilibrium, and is held or fitted as of any other family.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from rheograd.materials.elastic import AnalyticElasticity
from rheograd.materials.law import ConstitutiveLaw
from rheograd.materials.viscoelastic import MOST_BRANCHES, Viscoelastic

from ..parameter import Parameter
from .families import Bulk, Family, Numbers, Scales, families

USUAL = "neo-hookean"
"""Equilibrium of a law that is asked for by its name alone."""
SPREADS: Mapping[int, tuple[tuple[float, ...], ...]] = {
    1: ((0.1,), (0.5,)),
    2: ((0.05, 0.5), (0.02, 0.2)),
    3: ((0.02, 0.1, 0.5),),
}
"""Relaxation times at which fits start, by the duration of the tests."""


class Relaxing(Family):
    """Maxwell branches beside an equilibrium of another family.

    1000 times the shear modulus is here that of the equilibrium: what a long test shows.
    """

    def __init__(self, equilibrium: Family, branches: int) -> None:
        """See `Family`.

        Args:
            equilibrium: Of what is left after a long time; has the bulk modulus.
            branches: Their number, 1 to 3.
        """
        super().__init__(equilibrium.bulk)
        self.equilibrium, self.branches = equilibrium, branches

    def starts(self, scales: Scales) -> list[Numbers]:
        """See `Family.starts`: half of the stiffness relaxes.

        Raises:
            ValueError: The tests tell no times.
        """
        if not scales.duration > 0.0:
            raise ValueError(
                "--law viscoelastic: the tests tell no times, expected a column of them, or --rate"
                " X [1/s]: without it nothing relaxes"
            )
        spreads = SPREADS[self.branches]
        own = self.equilibrium.starts(Scales(**{**vars(scales), "shear": 0.5 * scales.shear}))
        found: list[Numbers] = []
        for numbers in own:
            for shares in spreads:
                more: Numbers = {}
                for b, share in enumerate(shares, 1):
                    G = 0.5 * scales.shear / self.branches
                    more[f"G{b}"] = Parameter(G, 0.0, math.inf, "Pa")
                    more[f"T{b}"] = Parameter(share * scales.duration, 1e-9, math.inf, "s")
                found.append({**numbers, **more})
        return found

    def make(self, values: Mapping[str, float]) -> ConstitutiveLaw:
        """See `Family.make`."""
        numbers = range(1, self.branches + 1)
        moduli, times = ([values[f"{word}{b}"] for b in numbers] for word in "GT")
        branches = {f"{word}{b}" for word in "GT" for b in numbers}
        own = {name: value for name, value in values.items() if name not in branches}
        equilibrium = self.equilibrium.make(own)
        assert isinstance(equilibrium, AnalyticElasticity)
        return Viscoelastic(equilibrium, moduli, times)

    def read(self, law: ConstitutiveLaw) -> dict[str, float]:
        """See `Family.read`."""
        assert isinstance(law, Viscoelastic)
        pairs = zip(law.moduli.tolist(), law.times.tolist(), strict=True)
        found = self.equilibrium.read(law.equilibrium)
        for b, (G, T) in enumerate(pairs, 1):
            found |= {f"G{b}": G, f"T{b}": T}
        return found

    def fits(self, law: ConstitutiveLaw) -> bool:
        """See `Family.fits`."""
        return (
            type(law) is Viscoelastic
            and len(law.moduli) == self.branches
            and self.equilibrium.fits(law.equilibrium)
        )


def relaxing(bulk: Bulk = None) -> dict[str, Family]:
    """By the names of the command line: viscoelastic, of a branch, -2 and -3; -2(gent) and so on.

    Args:
        bulk: Of their laws.
    """
    found: dict[str, Family] = {}
    for name, equilibrium in families(bulk).items():
        for branches in range(1, MOST_BRANCHES + 1):
            word = "viscoelastic" + (f"-{branches}" if branches > 1 else "")
            family = Relaxing(equilibrium, branches)
            found[word if name == USUAL else f"{word}({name})"] = family
    return found
