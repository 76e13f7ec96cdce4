# SPDX-License-Identifier: Apache-2.0
"""Which numbers of a law are fitted to stress tests, in which coordinates, and from where.

A family makes a law of named values and of a bulk modulus. Numbers that have to be positive are
fitted as logarithms (`Parameter`); several starts are tried, for Ogden's sum has many optima. A law
without a family is fitted by all of its parameters as they are, within the bounds that it declares.
"""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from rheograd.materials import elastic, rubber
from rheograd.materials.known import STIFF, poisson_of
from rheograd.materials.law import ConstitutiveLaw

from ..parameter import Parameter
from .volume import parts, rest_shear, set_bulk

Bulk: TypeAlias = float | Literal["fit"] | None
"""Bulk modulus [Pa]; "fit": one of the numbers; None: `STIFF` times the shear modulus."""
Numbers = dict[str, Parameter]
FEW = 64
"""Laws with no more numbers than these are fitted by least squares, with an error bar each."""
UNITS: Mapping[str, str] = {
    "young": "Pa", "moduli": "Pa", "stiffness": "Pa", "tension": "Pa", "yield_stress": "Pa",
    "hardening": "Pa", "times": "s", "time": "s", "shear_viscosity": "Pa s",
    "bulk_viscosity": "Pa s",
}  # fmt: skip
"""Of numbers of the project's own laws, by the last of their names."""
BEYOND = 1e-3
"""By how much a limit of stretch has to exceed what was seen, relative."""
LARGEST = 30.0
"""Exponent of Ogden's sum."""


@dataclass(frozen=True)
class Scales:
    """What the tests tell of sizes before anything is fitted."""

    shear: float
    """Of the neo-Hookean law that comes closest [Pa]."""
    excess: float
    """Largest I₁ − 3 that was seen [-]."""
    points: int = 0
    """Number of stresses."""
    reach: tuple[float, float] = (0.0, 0.0)
    """Largest Ī₁ − 3 and Ī₂ − 3 that were seen [-]."""
    duration: float = 0.0
    """Of the longest test [s]; 0: none tells times."""

    @property
    def strain(self) -> float:
        """Half way [-] of a pull along one axis to that I₁, where it is large: (√I₁ − 1)/2."""
        return max(0.5 * (math.sqrt(self.excess + 3.0) - 1.0), 0.1)


class Family(ABC):
    """Laws of one kind."""

    def __init__(self, bulk: Bulk = None) -> None:
        """A family.

        Args:
            bulk: Of its laws.
        """
        self.bulk: Bulk = bulk

    @abstractmethod
    def starts(self, scales: Scales) -> list[Numbers]:
        """Where fits start, the likeliest first; all with the same names."""

    @abstractmethod
    def make(self, values: Mapping[str, float]) -> ConstitutiveLaw:
        """The law of some values, by name, in float64 on the CPU."""

    @abstractmethod
    def read(self, law: ConstitutiveLaw) -> dict[str, float]:
        """The values of a law of this family."""

    @abstractmethod
    def fits(self, law: ConstitutiveLaw) -> bool:
        """Whether a law is of this family."""

    def with_bulk(self, starts: Sequence[Numbers], shear: float) -> list[Numbers]:
        """The same with the bulk modulus among them if it is to be fitted."""
        if self.bulk != "fit":
            return list(starts)
        own = Parameter(STIFF * shear, 0.0, math.inf, "Pa")
        return [{**numbers, "bulk": own} for numbers in starts]

    def bulk_of(self, values: Mapping[str, float], shear: float) -> float:
        """K [Pa] of some values with their shear modulus [Pa]."""
        if isinstance(self.bulk, str):
            return values["bulk"]
        return STIFF * shear if self.bulk is None else self.bulk


class Isotropic(Family):
    """Laws of Young's modulus and Poisson's ratio, told by μ and K."""

    def __init__(self, kind: type[elastic.YoungPoissonElasticity], bulk: Bulk = None) -> None:
        """See `Family`.

        Args:
            kind: Which of them.
            bulk: Of its laws.
        """
        super().__init__(bulk)
        self.kind = kind

    def starts(self, scales: Scales) -> list[Numbers]:
        """See `Family.starts`."""
        one: Numbers = {"shear": _stiffness(scales.shear)}
        return self.with_bulk([one], scales.shear)

    def make(self, values: Mapping[str, float]) -> ConstitutiveLaw:
        """See `Family.make`."""
        mu = values["shear"]
        nu = poisson_of(self.bulk_of(values, mu) / mu)
        return self.kind(2 * (1 + nu) * mu, nu)

    def read(self, law: ConstitutiveLaw) -> dict[str, float]:
        """See `Family.read`."""
        assert isinstance(law, elastic.YoungPoissonElasticity)
        mu, lam = law.coefficients().tolist()
        return {"shear": mu, "bulk": lam + 2 / 3 * mu}

    def fits(self, law: ConstitutiveLaw) -> bool:
        """See `Family.fits`."""
        return type(law) is self.kind


class Rubbery(Family):
    """Rubbers whose numbers are scalars beside a bulk modulus."""

    def __init__(
        self,
        kind: type[rubber.Rubber],
        begin: Callable[[Scales], list[Numbers]],
        bulk: Bulk = None,
    ) -> None:
        """See `Family`.

        Args:
            kind: Which of them.
            begin: Starts without the bulk modulus.
            bulk: Of its laws.
        """
        super().__init__(bulk)
        self.kind, self.begin = kind, begin

    def starts(self, scales: Scales) -> list[Numbers]:
        """See `Family.starts`."""
        return self.with_bulk(self.begin(scales), scales.shear)

    def make(self, values: Mapping[str, float]) -> ConstitutiveLaw:
        """See `Family.make`."""
        own = {name: v for name, v in values.items() if name != "bulk"}
        law = self.kind(**own, bulk=1.0)
        bulk = self.bulk_of(values, float(law.shear_modulus().detach()))
        return self.kind(**own, bulk=bulk)

    def read(self, law: ConstitutiveLaw) -> dict[str, float]:
        """See `Family.read`."""
        return {name: float(p.detach()) for name, p in law.named_parameters()}

    def fits(self, law: ConstitutiveLaw) -> bool:
        """See `Family.fits`."""
        return type(law) is self.kind


class Sum(Family):
    """Ogden's sum of so many terms."""

    PATTERNS: Mapping[int, Sequence[Sequence[float]]] = {
        1: ((2.0,), (4.0,), (8.0,), (1.0,), (-2.0,), (-6.0,)),
        2: ((2.0, -2.0), (1.3, 5.0), (2.0, 8.0), (4.0, -4.0), (1.0, -1.0), (-2.0, -8.0)),
        3: (
            (1.3, 5.0, -2.0), (2.0, 6.0, -2.0), (1.0, 3.0, 8.0), (2.0, 10.0, -1.0),
            (1.8, 4.0, -4.0), (3.0, -3.0, -8.0),
        ),
    }  # fmt: skip
    """Exponents to start from."""
    SHARES: Mapping[int, Sequence[float]] = {1: (1.0,), 2: (0.95, 0.05), 3: (0.9, 0.02, 0.08)}
    """Of the shear modulus that each term has at first."""

    def __init__(self, terms: int, bulk: Bulk = None) -> None:
        """See `Family`.

        Args:
            terms: 1 to 3.
            bulk: Of its laws.
        """
        super().__init__(bulk)
        self.terms = terms

    def starts(self, scales: Scales) -> list[Numbers]:
        """See `Family.starts`; a number keeps its sign."""
        found = []
        for exponents in self.PATTERNS[self.terms]:
            numbers: Numbers = {}
            for k, (alpha, share) in enumerate(
                zip(exponents, self.SHARES[self.terms], strict=True), 1
            ):
                numbers |= _term(k, 2 * share * scales.shear / alpha, alpha)
            found.append(numbers)
        return self.with_bulk(found, scales.shear)

    def make(self, values: Mapping[str, float]) -> ConstitutiveLaw:
        """See `Family.make`."""
        terms = range(1, self.terms + 1)
        moduli, exponents = ([values[f"{w}{k}"] for k in terms] for w in ("mu", "alpha"))
        shear = 0.5 * sum(m * a for m, a in zip(moduli, exponents, strict=True))
        return rubber.Ogden(moduli, exponents, self.bulk_of(values, shear))

    def read(self, law: ConstitutiveLaw) -> dict[str, float]:
        """See `Family.read`."""
        assert isinstance(law, rubber.Ogden)
        pairs = zip(law.moduli.tolist(), law.exponents.tolist(), strict=True)
        found = {"bulk": float(law.bulk.detach())}
        for k, (mu, alpha) in enumerate(pairs, 1):
            found |= {f"mu{k}": mu, f"alpha{k}": alpha}
        return found

    def fits(self, law: ConstitutiveLaw) -> bool:
        """See `Family.fits`."""
        return type(law) is rubber.Ogden and len(law.moduli) == self.terms


class Free(Family):
    """A law as it is: every number of its tensors, within the bounds that the law declares.

    A law declares them as `bounds`, a mapping from names of its parameters to (lower, upper).
    """

    def __init__(self, law: ConstitutiveLaw, bulk: Bulk = None) -> None:
        """See `Family`.

        Args:
            law: Where the fit starts; stays as it is.
            bulk: Of its laws, where they or their parts have one (volume.py).
        """
        super().__init__(bulk)
        self.law = copy.deepcopy(law).to("cpu", torch.float64)
        if bulk != "fit":
            self.law = self.finished(self.law)

    @property
    def tensors(self) -> dict[str, Tensor]:
        """What is fitted, by name: all parameters but a bulk modulus that is held."""
        held = {} if self.bulk == "fit" else dict(parts(self.law))
        found = self.law.named_parameters()
        return {n: p for n, p in found if p.requires_grad and p.numel() and n not in held}

    @property
    def count(self) -> int:
        """How many numbers that is."""
        return sum(p.numel() for p in self.tensors.values())

    def bounds(self, name: str) -> tuple[float, float]:
        """Of a tensor's numbers: those that the law, or the part that it belongs to, declares."""
        prefix, _, own = name.rpartition(".")
        part = self.law.get_submodule(prefix)
        open_ = (-math.inf, math.inf)
        if own == "young" and isinstance(part, elastic.YoungPoissonElasticity):
            open_ = (0.0, math.inf)
        for owner, word in ((self.law, name), (part, own)):
            declared = getattr(owner, "bounds", None)
            if declared and word in declared:
                low, high = declared[word]
                return float(low), float(high)
        return open_

    def unit(self, name: str) -> str:
        """Of a tensor's numbers; "-" where nobody says it."""
        prefix, _, own = name.rpartition(".")
        known = type(self.law.get_submodule(prefix)).__module__.startswith("rheograd.materials.")
        return UNITS.get(own, "-") if known else "-"

    def starts(self, scales: Scales) -> list[Numbers]:
        """See `Family.starts`: the law's own numbers, only those of a scale of their own."""
        numbers: Numbers = {}
        for name, tensor in self.tensors.items():
            values = tensor.detach().flatten().tolist()
            size = max((abs(v) for v in values), default=0.0) or 1.0
            for k, value in enumerate(values):
                label = name if tensor.ndim == 0 else f"{name}[{k}]"
                numbers[label] = Parameter(
                    value, unit=self.unit(name), scale=max(abs(value), 0.1 * size)
                )
        return [numbers]

    def limits(self, numbers: Numbers) -> tuple[list[float], list[float]]:
        """Bounds of the free coordinates."""
        pairs = [self.bounds(name.partition("[")[0]) for name in numbers]
        sizes = [p.scale or 1.0 for p in numbers.values()]
        low = [pair[0] / size for pair, size in zip(pairs, sizes, strict=True)]
        return low, [pair[1] / size for pair, size in zip(pairs, sizes, strict=True)]

    def make(self, values: Mapping[str, float]) -> ConstitutiveLaw:
        """See `Family.make`."""
        law = copy.deepcopy(self.law)
        named = dict(law.named_parameters())
        with torch.no_grad():
            for name, value in values.items():
                base, _, place = name.partition("[")
                named[base].view(-1)[int(place.rstrip("]") or 0)] = value
        return self.finished(law)

    def finished(self, law: ConstitutiveLaw) -> ConstitutiveLaw:
        """The same with its bulk modulus, where that is a number of its own and held."""
        if isinstance(self.bulk, str) or not dict(parts(law)):
            return law
        shear = rest_shear(law)
        if shear > 0.0:  # a fluid's is its own
            set_bulk(law, STIFF * shear if self.bulk is None else self.bulk)
        return law

    def read(self, law: ConstitutiveLaw) -> dict[str, float]:
        """See `Family.read`."""
        return {n: p.start for n, p in type(self)(law).starts(Scales(1.0, 1.0))[0].items()}

    def fits(self, law: ConstitutiveLaw) -> bool:
        """See `Family.fits`."""
        mine, its = self.law.state_dict(), law.state_dict()
        return type(law) is type(self.law) and all(
            n in its and its[n].shape == t.shape for n, t in mine.items()
        )


def _stiffness(value: float) -> Parameter:
    return Parameter(value, 0.0, math.inf, "Pa")


def _term(k: int, mu: float, alpha: float) -> Numbers:
    """A term of Ogden's sum."""
    if alpha > 0:
        return {
            f"mu{k}": _stiffness(mu), f"alpha{k}": Parameter(alpha, 0.01, LARGEST),
        }  # fmt: skip
    low = Parameter(alpha, -LARGEST, -0.01)
    return {f"mu{k}": Parameter(mu, -math.inf, 0.0, "Pa"), f"alpha{k}": low}


def _mooney_rivlin(scales: Scales) -> list[Numbers]:
    half = 0.5 * scales.shear
    return [
        {"c1": _stiffness(share * half), "c2": _stiffness((1 - share) * half)}
        for share in (0.9, 0.5)
    ]


def _yeoh(scales: Scales) -> list[Numbers]:
    half, e = 0.5 * scales.shear, scales.excess
    return [
        {
            "c1": _stiffness(half),
            "c2": Parameter(-0.1 * half / e, unit="Pa", scale=half / e),
            "c3": _stiffness(share * half / e**2),
        }
        for share in (0.1, 1e-3)
    ]


def _gent(scales: Scales) -> list[Numbers]:
    least = (1 + BEYOND) * scales.excess
    return [
        {"shear": _stiffness(0.8 * scales.shear), "limit": Parameter(times * least, least)}
        for times in (1.2, 2.0, 10.0)
    ]


def _arruda_boyce(scales: Scales) -> list[Numbers]:
    least = (1 + BEYOND) * (scales.excess + 3) / 3
    return [
        {"shear": _stiffness(0.8 * scales.shear), "links": Parameter(times * least, least)}
        for times in (1.2, 2.0, 10.0)
    ]


def families(bulk: Bulk = None) -> dict[str, Family]:
    """The analytic families by the names of the command line."""
    found: dict[str, Family] = {
        "neo-hookean": Isotropic(elastic.NeoHookean, bulk),
        "mooney-rivlin": Rubbery(rubber.MooneyRivlin, _mooney_rivlin, bulk),
        "yeoh": Rubbery(rubber.Yeoh, _yeoh, bulk),
        "gent": Rubbery(rubber.Gent, _gent, bulk),
        "arruda-boyce": Rubbery(rubber.ArrudaBoyce, _arruda_boyce, bulk),
    }
    found |= {f"ogden-{terms}": Sum(terms, bulk) for terms in (1, 2, 3)}
    more = (elastic.Corotated, elastic.StVenantKirchhoff, elastic.Hencky)
    return found | {kind.name: Isotropic(kind, bulk) for kind in more}


COMPARED = (
    "neo-hookean", "mooney-rivlin", "yeoh", "gent", "arruda-boyce", "ogden-1", "ogden-2", "ogden-3"
)  # fmt: skip
"""Families that are compared where no law is named."""
