# SPDX-License-Identifier: Apache-2.0
"""What the choice of terms of a CANN says of a third loading, of materials that are known.

python tests/benchmarks/choice_of_terms.py [--seeds N]

Pull and pure shear of thirteen energies with normal errors of 1 and of 0.3 % of the largest stress
of each loading; terms are chosen from them, and their grid law is judged in equibiaxial tension.
Twice: by AICc, and by AICc and what the choice itself costs (`selection.Subset.price`). Prints the
RMS error in equibiaxial tension over its largest stress [%]. Most of the energies are no sum of the
CANN's terms: Gent and Gent-Gent (Pucci and Saccomandi 2002), Carroll 2011, the extended tube
(Kaliske and Heinrich 1999), Lambert-Diani and Rey 1999; their numbers are made up.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from rheograd.engine.fit.stress.numbers import along
from rheograd.engine.fit.stress.selection import chosen_of, single_loading, subsets
from rheograd.engine.fit.stress.task import Task
from rheograd.engine.fit.stress.terms import formula
from rheograd.engine.observations.stress_test import StressTest, deformation

ENDS = {"UT": (6.5, 20), "ET": (4.2, 15), "PS": (5.0, 14)}
"""Largest stretch and number of points of each loading."""


def powers(moduli: Sequence[float], exponents: Sequence[float]) -> Callable[[Tensor], Tensor]:
    """Ogden's sum Σ μ/α (λ₁^α + λ₂^α + λ₃^α − 3)."""
    return lambda s: torch.stack(
        [m / a * ((s**a).sum(-1) - 3) for m, a in zip(moduli, exponents, strict=True)]
    ).sum(0)


def tube(cross: float, slip: float, beta: float, delta: float) -> Callable[[Tensor], Tensor]:
    """The extended tube: chains of finite length between cross-links, in a tube."""

    def energy(s: Tensor) -> Tensor:
        e, d = one(s), delta**2
        chains = (1 - d) * e / (1 - d * e) + torch.log(1 - d * e)
        return 0.5 * cross * chains + 2 * slip / beta**2 * ((s**-beta).sum(-1) - 3)

    return energy


def one(s: Tensor) -> Tensor:
    """I₁ − 3 of principal stretches (n, 3)."""
    return (s**2).sum(-1) - 3


def two(s: Tensor) -> Tensor:
    """I₂ − 3 of principal stretches (n, 3) without change of volume."""
    return (s**-2).sum(-1) - 3


ENERGIES: dict[str, Callable[[Tensor], Tensor]] = {
    "neo-Hooke": lambda s: 0.2 * one(s),
    "Mooney-Rivlin, 10 %": lambda s: 0.2 * one(s) + 0.02 * two(s),
    "Mooney-Rivlin, 3 %": lambda s: 0.2 * one(s) + 0.006 * two(s),
    "Yeoh": lambda s: 0.18 * one(s) - 0.0015 * one(s) ** 2 + 4e-5 * one(s) ** 3,
    "Gent": lambda s: -12.25 * torch.log(1 - one(s) / 70),
    "Gent-Gent": lambda s: -11.25 * torch.log(1 - one(s) / 75) + 0.15 * torch.log(1 + two(s) / 3),
    "Carroll": lambda s: 0.17 * one(s) + 2e-7 * (one(s) + 3) ** 4 + 0.15 * (two(s) + 3).sqrt(),
    "Ogden, 3 terms": powers([0.5, 0.004, -0.02], [1.5, 4.5, -1.5]),
    "Ogden, 2 terms": powers([0.55, 0.0008], [1.1, 5.2]),
    "tube": tube(0.22, 0.17, 0.25, 0.09),
    "tube, tighter": tube(0.18, 0.25, 0.6, 0.1),
    "Lambert-Diani-Rey": lambda s: 7.8 * torch.exp(0.018 * one(s)) + 0.05 * torch.log(3 + two(s)),
    "Ishihara": lambda s: 0.15 * one(s) + 0.02 * two(s) + 0.0006 * one(s) ** 2,
}
"""In MPa, by principal stretches (n, 3)."""


def main() -> None:
    """Choose and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    seeds = parser.parse_args().seeds
    torch.set_num_threads(1)
    errors: list[tuple[float, float]] = []
    for name, energy in ENERGIES.items():
        for noise in (0.01, 0.003):
            for seed in range(seeds):
                errors.append(judged(tests_of(energy, noise, seed)))
                told = ", ".join(f"{e:.1f} %" for e in errors[-1])
                print(f"{name}, noise {100 * noise:g} %, seed {seed}: {told}", flush=True)
    for label, column in zip(("AICc", "and the choice"), zip(*errors, strict=True), strict=True):
        e = torch.tensor(column)
        print(f"{label}: median {e.median():.1f}, mean {e.mean():.1f}, worst {e.max():.1f} %")


def tests_of(energy: Callable[[Tensor], Tensor], noise: float, seed: int) -> list[StressTest]:
    """The three loadings; errors are `noise` of the largest stress of each."""
    draw, found = torch.Generator().manual_seed(seed), []
    for kind, (end, count) in ENDS.items():
        s = torch.linspace(1.0, end, count + 1, dtype=torch.float64)[1:].requires_grad_()
        W = energy(deformation(kind, s).diagonal(dim1=1, dim2=2)).sum()
        P = torch.autograd.grad(W, s)[0] / (2 if kind == "ET" else 1)
        error = noise * P.max() * torch.randn(count, generator=draw, dtype=torch.float64)
        found.append(StressTest.of_kind(kind, s.detach(), 1e6 * (P + error)))
    return found


def judged(tests: Sequence[StressTest]) -> tuple[float, float]:
    """RMS error in ET [%] of what is chosen by AICc, and by that and the choice itself."""
    task, held = Task((tests[0], tests[2])), Task((tests[1],))
    scales = task.scales()
    found = subsets(task, scales, single_loading(task))
    errors = []
    with torch.no_grad():
        first = formula(found[0].pieces, scales.shear, 1e3 * scales.shear)
        inflation = along(task, task.residual(first).numpy())
        for free in (True, False):
            among = [s._replace(rivals=1) for s in found] if free else found
            ranked, _, best = chosen_of(among, inflation, False)
            law = formula(ranked[best].pieces, scales.shear, 1e3 * scales.shear)
            errors.append(100 * math.sqrt(float(held.misfit(law))))
    return errors[0], errors[1]


if __name__ == "__main__":
    main()
