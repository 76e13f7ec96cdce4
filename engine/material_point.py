# SPDX-License-Identifier: Apache-2.0
"""One point of a material in a testing machine: some stretches are imposed, some sides are free.

A test tells the deformation gradient F and in which directions nothing presses. What it does not
tell is the volume, for rubber is nearly incompressible; there are two ways to go about that.

Incompressible: F is what it is, and the law's stress has a pressure added that frees the sides,

    P = P_law(F) − p F⁻ᵀ,    p = (P_law)ᵢᵢ / (F⁻ᵀ)ᵢᵢ of the free directions i, their mean

(Rivlin 1948). Nothing depends on the bulk modulus then. Compressible: the stretches of the free
directions are unknowns in P_ii = 0, found by Newton's method; their derivatives by parameters of
the law follow from the implicit function theorem, dx/dθ = −(∂P_ii/∂x)⁻¹ ∂P_ii/∂θ.

A law with history is taken through time, point by point; an elastic one answers to all at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from rheograd.materials.elastic import det3
from rheograd.materials.law import ConstitutiveLaw, Elasticity

from .constant_fields import at_rest

ISOCHORIC = 1e-6
"""Deformations whose determinant is no farther from 1 count as incompressible."""
LONGEST = 0.2
"""Largest change of a logarithmic stretch in one iteration."""
EXACT = 1e-12
"""A change of a logarithmic stretch that ends the iteration."""
ROUNDS, ITERATIONS = 12, 4
"""Iterations are looked at after so many, so many times at most."""


class Driven(NamedTuple):
    """What a material point answers; not a number where no lateral stretch frees its sides."""

    P: Tensor
    """First Piola stress [Pa], shape (n, 3, 3)."""
    F: Tensor
    """Deformation gradient with the free stretches as they are [-], shape (n, 3, 3)."""


def is_isochoric(F: Tensor) -> bool:
    """Whether no deformation of (n, 3, 3) changes the volume by more than `ISOCHORIC`."""
    return bool((det3(F) - 1.0).abs().max() < ISOCHORIC)


def drive(
    law: ConstitutiveLaw,
    F: Tensor,
    free: Sequence[bool],
    *,
    time: Tensor | None = None,
    incompressible: bool | None = None,
    fields: Tensor | None = None,
) -> Driven:
    """Stress of a law in a test, differentiable in the law's parameters.

    Args:
        law: Of finite kinematics, in the precision of F.
        F: Deformation gradients of the test in their order, shape (n, 3, 3); stretches of the free
            directions are a first guess where it is compressible.
        free: Along which of the three axes nothing presses.
        time: Of each point, from rest at 0 [s], shape (n,), increasing; a law with history
            needs it.
        incompressible: See above; by default as F is.
        fields: Constant fields of the law, such as the direction of its fibres, shape (w,), or
            (n, w) of an elasticity without history; None: zeros.

    Raises:
        ValueError: The law is of small strains, needs times, or no direction is free to set the
            pressure by.
    """
    if law.kinematics != "finite":
        raise ValueError(
            f"{type(law).__name__} is a law of {law.kinematics} strains, expected one of finite"
            " kinematics: tests of rubber go far beyond small strains"
        )
    if incompressible is None:
        incompressible = is_isochoric(F)
    if incompressible and not any(free):
        raise ValueError(
            "no direction of the test is free of stress, so that nothing sets the pressure of an"
            " incompressible body: name a free direction, or take the law as compressible"
        )
    axes = torch.tensor([i for i in range(3) if free[i]], dtype=torch.int64, device=F.device)
    if isinstance(law, Elasticity) and law.conservative:
        internal = at_rest(law, len(F), F, fields)
        return _answer(lambda G: law.stress(G, internal), F, axes, incompressible)
    if time is None:
        raise ValueError(
            f"{type(law).__name__} remembers its past, so that its stress depends on the time that"
            " the test takes: give times, or the rate by --rate"
        )
    return _stepped(law, F, axes, time, incompressible, fields)


def released(tau: Tensor, F: Tensor, free: Tensor) -> Tensor:
    """First Piola stress of an incompressible body whose free sides bear none [Pa], (n, 3, 3).

    Args:
        tau: Kirchhoff stress but for a pressure [Pa], shape (n, 3, 3).
        F: Shape (n, 3, 3).
        free: 1 where a side is free, else 0, shape (n, 3) or (3,); one or more of each point.
    """
    inverse = torch.linalg.inv(F).mT
    P = tau @ inverse
    along = P.diagonal(dim1=1, dim2=2) / inverse.diagonal(dim1=1, dim2=2)
    pressure = (along * free).sum(1) / free.sum(-1)
    return P - pressure[:, None, None] * inverse


def _answer(
    stress: Callable[[Tensor], Tensor], F: Tensor, axes: Tensor, incompressible: bool
) -> Driven:
    """Of one law of F to τ, each (n, 3, 3)."""
    if incompressible:
        sides = torch.zeros(3, dtype=F.dtype, device=F.device)
        sides[axes] = 1.0
        return Driven(released(stress(F), F, sides), F)
    if not len(axes):
        return Driven(stress(F) @ torch.linalg.inv(F).mT, F)
    F = _freed(stress, F, axes)
    P = stress(F) @ torch.linalg.inv(F).mT
    held = torch.ones(3, 3, dtype=P.dtype, device=P.device)
    held[axes, axes] = 0.0
    return Driven(P * held, F)


def _stretched(F: Tensor, axes: Tensor, y: Tensor) -> Tensor:
    """F with exp(y) on the diagonal at `axes`; y of shape (n, k)."""
    lateral = torch.zeros_like(F)
    lateral[:, axes, axes] = y.exp()
    kept = torch.ones(3, 3, dtype=F.dtype, device=F.device)
    kept[axes, axes] = 0.0
    return F * kept + lateral


def _freed(stress: Callable[[Tensor], Tensor], F: Tensor, axes: Tensor) -> Tensor:
    """F with the stretches of the free directions that take their stress away."""

    def pressing(y: Tensor) -> Tensor:
        G = _stretched(F, axes, y)
        return (stress(G) @ torch.linalg.inv(G).mT)[:, axes, axes]

    def linear(y: Tensor) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            y = y.detach().requires_grad_()
            g = pressing(y)
            rows = [
                torch.autograd.grad(g[:, i].sum(), y, retain_graph=True)[0]
                for i in range(g.shape[1])
            ]
        return g.detach(), torch.stack(rows, 1)

    y = F[:, axes, axes].detach().log()
    last = torch.full_like(y, torch.inf)
    for _ in range(ROUNDS):
        for _ in range(ITERATIONS):
            g, A = linear(y)
            last = -_solved(A, g)
            last = last * (LONGEST / last.abs().amax(1, keepdim=True)).clamp(max=1.0)
            y = y + last
        if bool((last.abs() < EXACT).all() | ~torch.isfinite(y).all()):
            break
    lost = ~(last.abs() < 1e3 * EXACT).all(1, keepdim=True)
    y = torch.where(lost, torch.nan, y)
    _, A = linear(y)
    return _stretched(F, axes, y - _solved(A, pressing(y)))


def _solved(A: Tensor, g: Tensor) -> Tensor:
    """A⁻¹ g of (n, k, k) and (n, k); not a number where A is singular or not finite."""
    sound = torch.isfinite(A).all(-1).all(-1)
    eye = torch.eye(A.shape[-1], dtype=A.dtype, device=A.device)
    found, failed = torch.linalg.solve_ex(torch.where(sound[:, None, None], A, eye), g)
    return torch.where((sound & (failed == 0))[:, None], found, torch.nan)


def _stepped(
    law: ConstitutiveLaw, F: Tensor, axes: Tensor, time: Tensor, incompressible: bool,
    fields: Tensor | None,
) -> Driven:  # fmt: skip
    """Step by step from rest at time 0."""
    before = torch.eye(3, dtype=F.dtype, device=F.device)[None]
    elastic, internal = before, at_rest(law, 1, before, fields)
    rows: list[Driven] = []
    now = 0.0
    for k, then in enumerate(time.tolist()):
        dt, carried = then - now, torch.linalg.inv(before) @ elastic
        answer = partial(_tau, law, carried, internal, dt)
        row = _answer(answer, F[k : k + 1], axes, incompressible)
        rows.append(row)
        if dt > 0.0:
            response = law.update(row.F @ carried, internal, dt)
            elastic, internal = response.F_elastic, response.internal
            before, now = row.F, then
    return Driven(torch.cat([r.P for r in rows]), torch.cat([r.F for r in rows]))


def _tau(law: ConstitutiveLaw, carried: Tensor, internal: Tensor, dt: float, F: Tensor) -> Tensor:
    """Kirchhoff stress of a step to F (1, 3, 3) [Pa]; at no time from rest that of the state."""
    trial = F @ carried
    return law.update(trial, internal, dt).tau if dt > 0.0 else law.stress(trial, internal)
