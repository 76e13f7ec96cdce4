# SPDX-License-Identifier: Apache-2.0
"""A stress test: how a specimen that deforms alike everywhere answers to stretch or shear.

What was measured are some components of the first Piola (nominal) stress along a series of
deformation gradients. A law is compared with it directly, as one material point (`predicted`); a
simulated specimen by what was recorded of its particles.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from torch import Tensor

from rheograd.materials.elastic import det3
from rheograd.materials.law import ConstitutiveLaw

from ..constant_fields import at_rest, row_of
from ..material_point import drive, is_isochoric
from ..suggestion import did_you_mean
from ..trajectory import Trajectory
from .observation import Observation

KINDS: Mapping[str, str] = {
    "UT": "uniaxial tension", "ET": "equibiaxial tension", "PS": "pure shear",
    "SS": "simple shear",
}  # fmt: skip
"""Loadings that are made of one number a point, by the abbreviations of the literature."""
FREE: Mapping[str, tuple[bool, bool, bool]] = {
    "UT": (False, True, True), "ET": (False, False, True), "PS": (False, False, True),
    "SS": (False, False, True),
}  # fmt: skip
"""Along which axes nothing presses."""
MEASURED: Mapping[str, tuple[tuple[int, int], ...]] = {
    "UT": ((0, 0),), "ET": ((0, 0), (1, 1)), "PS": ((0, 0),), "SS": ((0, 1),),
}  # fmt: skip
"""Components of the stress that such a test tells."""
REST = 1e-9
"""Stretches no farther from 1 are those of a side that is held."""


def deformation(kind: str, amount: Tensor) -> Tensor:
    """Isochoric deformation gradients of a loading, shape (n, 3, 3).

    Args:
        kind: UT diag(λ, λ^-½, λ^-½); ET diag(λ, λ, λ⁻²); PS diag(λ, 1, λ⁻¹); SS I + γ e₁⊗e₂.
        amount: λ [-], or γ [-] of SS, shape (n,).

    Raises:
        ValueError: There is no such loading, or a stretch is not positive.
    """
    if kind not in KINDS:
        raise ValueError(
            f"got the loading {kind!r}{did_you_mean(kind, KINDS)}, expected one of"
            f" {', '.join(f'{k} ({words})' for k, words in KINDS.items())}"
        )
    one = torch.ones_like(amount)
    if kind == "SS":
        F = torch.eye(3, dtype=amount.dtype, device=amount.device).repeat(len(amount), 1, 1)
        F[:, 0, 1] = amount
        return F
    if not bool((amount > 0).all()):
        raise ValueError(
            f"got a stretch of {float(amount.min()):g}, expected stretches above 0: the length of"
            " the specimen over its length at rest, 1 + strain"
        )
    s = amount
    diagonal = {
        "UT": (s, s**-0.5, s**-0.5), "ET": (s, s, s**-2), "PS": (s, one, 1 / s)
    }[kind]  # fmt: skip
    return torch.diag_embed(torch.stack(diagonal, 1))


@dataclass(frozen=True, eq=False)
class StressTest(Observation):
    """One loading of one specimen.

    Raises:
        ValueError: Shapes do not go together, nothing was measured, or a number is not finite.
    """

    name: str
    """Such as "UT"; unique among those that are fitted together."""
    F: Tensor
    """Deformation gradients in the order of the test [-], shape (n, 3, 3), float64."""
    stress: Tensor
    """First Piola stress [Pa], shape (n, 3, 3), NaN where it was not measured."""
    free: tuple[bool, bool, bool]
    """Along which axes nothing presses."""
    times: Tensor | None = None
    """Of each point, from rest at 0 [s], shape (n,), float64, increasing."""
    noise: float | None = None
    """Standard deviation of a stress [Pa]."""
    kind: str = ""
    """Which of `KINDS` it is; "" for none."""
    fields: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Constant fields of the specimen that a law may read, by name the numbers of each, such as the
    direction of its fibres at rest."""
    unit: ClassVar[str] = "Pa"
    components: ClassVar[int] = 1

    def __post_init__(self) -> None:
        """See the class."""
        n = len(self.F)
        if self.F.shape != (n, 3, 3) or self.stress.shape != (n, 3, 3) or n < 2:
            raise ValueError(
                f"{self.name}: got F of shape {tuple(self.F.shape)} and stress of"
                f" {tuple(self.stress.shape)}, expected (n, 3, 3) of both with two points or more"
            )
        if not bool(torch.isfinite(self.F).all()) or bool((det3(self.F) <= 0).any()):
            raise ValueError(
                f"{self.name}: a deformation gradient is not finite or has no positive determinant:"
                " stretches are lengths over lengths at rest, 1 at rest"
            )
        if bool(torch.isinf(self.stress).any()):
            raise ValueError(f"{self.name}: a stress is infinite, expected numbers, NaN for gaps")
        if not bool(torch.isfinite(self.stress).any()):
            raise ValueError(f"{self.name}: no stress is a number: name the columns of the stress")
        if self.times is not None and (
            self.times.shape != (n,)
            or not bool(torch.isfinite(self.times).all())
            or not bool((self.times.diff() > 0).all())
            or float(self.times[0]) < 0.0
        ):
            raise ValueError(
                f"{self.name}: times must be as many as points ({n}), from rest at 0 s on, each"
                " later than the one above it"
            )
        if self.noise is not None and not self.noise > 0.0:
            raise ValueError(f"{self.name}: got a noise of {self.noise:g}, expected it above 0 Pa")

    @classmethod
    def of_kind(
        cls,
        kind: str,
        amount: Tensor,
        stress: Tensor,
        *,
        name: str = "",
        times: Tensor | None = None,
        noise: float | None = None,
    ) -> StressTest:
        """A loading that is made of one number a point.

        Args:
            kind: One of `KINDS`.
            amount: Stretch λ [-], or γ [-] of simple shear, shape (n,).
            stress: Nominal stress along the pull, or P₁₂ [Pa], shape (n,).
            name: Of the loading; by default its kind.
            times: See the class.
            noise: See the class.
        """
        F = deformation(kind, amount.double())
        P = torch.full_like(F, torch.nan)
        for i, j in MEASURED[kind]:
            P[:, i, j] = stress.double()
        return cls(name or kind, F, P, FREE[kind], times, noise, kind)

    @property
    def amount(self) -> Tensor:
        """What the test is told by, shape (n,): γ of simple shear, else the stretch λ₁ [-]."""
        return self.F[:, 0, 1] if self.kind == "SS" else self.F[:, 0, 0]

    @property
    def component(self) -> tuple[int, int]:
        """The component of the stress that is drawn: the first that was measured."""
        i, j = torch.nonzero(self.mask.any(0))[0].tolist()
        return i, j

    @property
    def mask(self) -> Tensor:
        """Which stresses were measured, shape (n, 3, 3), bool."""
        return torch.isfinite(self.stress)

    @property
    def rows(self) -> Tensor:
        """Which components a fit compares, shape (n, 3, 3), bool.

        Of an equibiaxial test only the first of two that the machine makes equal.
        """
        mask = self.mask.clone()
        twin = mask[:, 0, 0] & mask[:, 1, 1] & (self.stress[:, 0, 0] == self.stress[:, 1, 1])
        same = twin & (self.F[:, 0, 0] == self.F[:, 1, 1])
        mask[:, 1, 1] &= ~same
        return mask

    @property
    def isochoric(self) -> bool:
        """Whether the deformations change no volume."""
        return is_isochoric(self.F)

    @property
    def time(self) -> Tensor:
        """See `Observation.time`; where none were told, shares of the test from 0 to 1."""
        if self.times is None:
            return torch.linspace(0.0, 1.0, len(self.F), dtype=torch.float64)
        return self.times

    def predicted(self, law: ConstitutiveLaw, *, incompressible: bool | None = None) -> Tensor:
        """First Piola stress of a law in this test [Pa], shape (n, 3, 3), differentiable.

        Args:
            law: In float64; see `material_point.drive`.
            incompressible: Whether a pressure or lateral stretches free the sides; by default as
                the test's own F.
        """
        F = self.F.to(next(iter(law.parameters()), self.F).device)
        return drive(
            law, F, self.free, time=self.times, incompressible=incompressible,
            fields=self.row(law),
        ).P  # fmt: skip

    def row(self, law: ConstitutiveLaw) -> Tensor | None:
        """Those of the specimen's fields that a law reads, shape (w,); None if it reads none.

        Raises:
            ValueError: One has another number of values than the law reads.
        """
        own = {name: self.fields[name] for name in law.fields if name in self.fields}
        return row_of(law, own) if law.fields else None

    def at_rest(self, law: ConstitutiveLaw) -> Tensor:
        """History of a law at each point before anything moves, shape (n, n_internal)."""
        return at_rest(law, len(self.F), self.F, self.row(law))

    def seen(self) -> Tensor:
        """See `Observation.seen`, shape (n, 9)."""
        return self.mask.flatten(1)

    def groups(self) -> Tensor:
        """See `Observation.groups`: one specimen has its errors in common."""
        return torch.zeros(9, dtype=torch.int64)

    def window(self, start: int, stop: int) -> StressTest:
        """See `Observation.window`."""
        part = slice(start, stop)
        return replace(self, F=self.F[part], stress=self.stress[part], times=self.time[part])

    def residual(self, trajectory: Trajectory) -> Tensor:
        """See `Observation.residual`; [Pa], shape (n, 9, 1).

        The simulated specimen's stress is the mean over its particles of τ F⁻ᵀ, of which F and tau
        have to be recorded; the particles are of equal volume.
        """
        if len(trajectory) != len(self.F):
            raise ValueError(
                f"the simulated motion has {len(trajectory)} frames, the test {len(self.F)}:"
                " simulate at its times"
            )
        F, tau = trajectory.fields.get("F"), trajectory.fields.get("tau")
        if F is None or tau is None:
            raise ValueError(
                "the simulated motion has no stress, expected the fields F and tau: record both"
            )
        P = (tau @ torch.linalg.inv(F).mT).mean(1).flatten(1)
        known = self.seen().to(P.device)
        measured = torch.where(known, self.stress.flatten(1).to(P), 0.0)
        return torch.where(known, P - measured, 0.0)[..., None]
