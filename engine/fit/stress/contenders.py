# SPDX-License-Identifier: Apache-2.0
"""The laws that are to be fitted, by name, class or file."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from rheograd.materials.energies.cann import CANN
from rheograd.materials.files import registered
from rheograd.materials.known import STIFF
from rheograd.materials.law import ConstitutiveLaw

from ...suggestion import did_you_mean
from .families import FEW, Bulk, Family, Free, Scales, families
from .fibred import fibred
from .relaxing import relaxing
from .terms import Terms, pieces_of

STIFFNESSES = ("shear", "modulus", "shear_modulus", "energy_scale")
YOUNGS = ("young", "stress_scale")
"""Names of an argument that takes a shear modulus, or three times that, of what is fitted."""

SHARE = 0.5
"""Of the shear modulus at rest that a network has at first, beside a law of few numbers: squares
of weights that are nearly 0 hardly move."""


@dataclass(frozen=True)
class Contender:
    """A law that takes part: of a family of few numbers, or one that is trained."""

    name: str
    family: Family | None
    """None: it is trained."""
    make: Callable[[int], ConstitutiveLaw] | None = None
    """The law before the training, by its seed."""
    own: Mapping[str, float] | None = None
    """Values to start from first."""
    bulk: Bulk = None
    """Of a law that is trained; a family has its own."""
    sought: bool = False
    """Whether its terms are to be chosen, see selection.py."""

    @property
    def trained(self) -> bool:
        """Whether it is a network."""
        return self.family is None and not self.sought

    def fields(self, scales: Scales) -> Mapping[str, int]:
        """Constant fields that the law reads, with the numbers of each."""
        if self.family is not None:
            first = self.family.starts(scales)[0]
            return self.family.make({name: p.start for name, p in first.items()}).fields
        return {} if self.make is None else self.make(0).fields


def every_family(bulk: Bulk = None) -> dict[str, Family]:
    """All families by the names of the command line.

    Args:
        bulk: Of their laws.
    """
    return families(bulk) | relaxing(bulk) | fibred(bulk)


def contender(name: str, scales: Scales, bulk: Bulk = None) -> Contender:
    """By the name of a family or of a law.

    Args:
        name: Such as "yeoh", "ogden-2" or "cann". Of a learned elasticity with a flow, as "plain",
            the elasticity takes part: tests that only go up show no flow.
        scales: What the tests tell of sizes.
        bulk: See `families.Bulk`.

    Raises:
        ValueError: There is no such law, or it cannot be made without more.
    """
    known = every_family(bulk)
    name = {"ogden": "ogden-3"}.get(name, name)
    if name in known:
        return Contender(name, known[name])
    kinds = {n: kind for n, kind in registered().items() if _suits(kind)}
    if name not in kinds:
        short = [n for n in known if "(" not in n]
        raise ValueError(
            f"--law: got {name!r}{did_you_mean(name, [*known, *kinds])}, expected one of"
            f" {', '.join([*short, *sorted(set(kinds) - set(known))])}, or a law.safetensors"
        )
    if issubclass(kinds[name], CANN):
        return Contender(name, None, bulk=bulk, sought=True)
    kind = kinds.get(f"{name}-elasticity", kinds[name])

    def make(seed: int) -> ConstitutiveLaw:
        law = newborn(kind, scales, seed)
        assert isinstance(law, ConstitutiveLaw)
        return law

    return _of(name, make, scales, bulk)


def of_law(name: str, law: ConstitutiveLaw, scales: Scales, bulk: Bulk = None) -> Contender:
    """A law that is there already, where its fit starts."""
    for family_name, family in every_family(bulk).items():
        if family.fits(law):
            return Contender(f"{family_name} from {name}", family, own=family.read(law))
    if isinstance(law, CANN) and (pieces := pieces_of(law)):
        return Contender(name, Terms(pieces, scales, scales.reach, bulk))
    return _of(name, lambda seed: law, scales, bulk)


def _of(name: str, make: Callable[[int], ConstitutiveLaw], scales: Scales, bulk: Bulk) -> Contender:
    family = Free(make(0), bulk)
    if family.count == 0:
        raise ValueError(f"--law: {name} has no number to fit")
    if family.count > FEW or family.count >= scales.points:
        return Contender(name, None, make, bulk=bulk)
    return Contender(name, family)


def _suits(kind: type[nn.Module]) -> bool:
    """Whether it is a whole law of finite strains that no scene or cell has to make."""
    return (
        issubclass(kind, ConstitutiveLaw)
        and kind.kinematics == "finite"
        and kind.__module__.startswith("rheograd.")
    )


def newborn(kind: type[nn.Module], scales: Scales, seed: int) -> nn.Module:
    """A law of a class, as stiff as the tests say; its example() where that needs more.

    Args:
        kind: The class.
        scales: What the tests tell of sizes.
        seed: Of its weights, if it takes one.
    """
    given: dict[str, Any] = {}
    missing = False
    for name, p in inspect.signature(kind).parameters.items():
        if name in STIFFNESSES:
            given[name] = scales.shear
        elif name in YOUNGS:
            given[name] = 3 * scales.shear
        elif name == "seed":
            given[name] = seed
        elif name == "strain_scale":
            given[name] = scales.strain
        elif name == "share":
            given[name] = SHARE
        elif name == "bulk":
            given[name] = STIFF * scales.shear
        elif p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
            missing = True
    if missing:
        return kind.example()  # type: ignore[operator,no-any-return]
    return kind(**given)
