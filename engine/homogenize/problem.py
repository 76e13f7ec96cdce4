# SPDX-License-Identifier: Apache-2.0
"""The cell problem: fluctuations in balance under given mean deformations, in a batch of worlds.

    f(w) = ∫ Bᵀ P(F̄ + ∇w) dV = 0,    S = (1/V) ∫ P dV

by Newton's method, each world as far as it needs, and its linear systems as exactly as that. The
mean tangent is condensed with the matrix at the solution (Miehe and Koch 2002, "Computational
micro-to-macro transitions of discretized microstructures"),

    C = (1/V) (∫ A dV − Lᵀ K⁻¹ L),    L = ∫ Bᵀ A dV,    K = ∫ Bᵀ A B dV

P is the first Piola stress and A its derivative; for small strains the stress and its own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor

from ..fem.newton import NewtonFailure
from .cell import Cell
from .layout import Layout, layout
from .points import Points
from .stiffness import Stiffness, System

POINTS = 40_000
"""Quadrature points of cells that are solved together, which bounds the memory."""
HALVINGS = 8
"""Of a Newton step that makes the residual grow or turns an element inside out."""
GROWTH = 2.0
"""Of the residual in a step, above which it is shortened."""
NOISE = 1e-14
"""Forces of rounding, by those of the stiffest law."""
LOOSE = 1e-2
"""Of the forces, at most what the linear system of a step may leave."""
SAFE = 1e-3
"""Of the forces that may be left in balance, what it need not fall below."""
NEAR = 5e-3
"""Fall of the forces in a step below which the matrix is taken to have hardly changed."""
TIGHT = 1e-8
"""Of forces, what the linear systems of the mean tangent leave: its own error is the square."""
INF = float("inf")


class Micro(NamedTuple):
    """Cells in balance."""

    stress: Tensor
    """Mean first Piola stress [Pa], for small strains the stress, shape (w, 3, 3)."""
    tangent: Tensor | None
    """Its derivative by the mean deformation gradient [Pa], shape (w, 3, 3, 3, 3)."""
    fluctuation: Tensor
    """Free unknowns [m], of a cell in modes their coefficients; shape (w, size)."""
    internal: Tensor
    """History at the end, shape (w, p * memory)."""
    iterations: Tensor
    """Of Newton's method, shape (w,), int64."""
    residual: Tensor
    """Norm of the forces that are left, by that of the elements' forces; shape (w,)."""
    point_stress: Tensor
    """As `stress`, at the quadrature points [Pa], shape (w, p, 3, 3)."""
    point_F: Tensor
    """Deformation gradients there, 1 + strain for small strains; shape (w, p, 3, 3)."""
    moved: Tensor | None = None
    """Derivative of the fluctuation by the components of the mean deformation, shears of small
    strains as angles [m], shape (w, size, c); there where the tangent is."""

    def hill_mandel(self, F_bar: Tensor, points: Points) -> Tensor:
        """|⟨P:(F − 1)⟩ − S:(F̄ − 1)| / |S:(F̄ − 1)|, shape (w,): 0 where the cell is in balance."""
        eye = torch.eye(3).to(F_bar)
        local = points.mean((self.point_stress * (self.point_F - eye)).sum((2, 3)))
        whole = (self.stress * (F_bar - eye)).sum((1, 2))
        return (local - whole).abs() / whole.abs().clamp_min(torch.finfo(whole.dtype).tiny)

    def guess(self, F_bar: Tensor) -> Tensor:
        """What `Worlds.predicted` starts from under other mean deformations, shape (w, ...)."""
        assert self.moved is not None
        return torch.cat([self.fluctuation, self.moved.flatten(1), F_bar.flatten(1)], 1)


class Worlds(ABC):
    """Something that is solved for many mean deformations, several at once."""

    cell: Cell
    """What it is."""
    points: Points
    """Where its laws are asked."""
    size: int
    """Unknowns of a world."""
    symmetric: bool
    """Whether their matrices are."""
    most: int
    """Iterations of Newton's method."""

    @property
    def n_internal(self) -> int:
        """Numbers of history of a cell."""
        return self.points.n_internal

    def rest_internal(self, worlds: int, like: Tensor) -> Tensor:
        """History of cells at rest, shape (w, n_internal)."""
        return self.points.rest_internal(worlds, like)

    @torch.no_grad()
    def solve(
        self,
        F_bar: Tensor,
        internal: Tensor,
        dt: float,
        *,
        guess: Tensor | None = None,
        tangent: bool = True,
    ) -> Micro:
        """Put cells in balance.

        Args:
            F_bar: Mean deformation gradients, shape (w, 3, 3); 1 + mean strain for small strains.
            internal: History at the start, shape (w, n_internal).
            dt: Length of the step [s].
            guess: Fluctuations to start from, shape (w, size), such as `predicted` gives from a
                `Micro.guess`; None: zero.
            tangent: Whether the mean tangent is wanted.

        Raises:
            NewtonFailure: A cell finds no balance; says under which deformation.
        """
        worlds = len(F_bar)
        start = F_bar.new_zeros(worlds, self.size) if guess is None else guess
        several = max(1, POINTS // len(self.points))
        parts = [
            self._solve(F_bar[at], internal[at], dt, start[at].clone(), tangent)
            for at in torch.arange(worlds, device=F_bar.device).split(several)
        ]
        if len(parts) == 1:
            return parts[0]
        columns = zip(*parts, strict=True)
        return Micro(*(None if c[0] is None else torch.cat(c) for c in columns))  # type: ignore[arg-type]

    def _failed(self, F_bar: Tensor, reason: str) -> str:
        H = (F_bar - torch.eye(3).to(F_bar)).tolist()
        rows = "; ".join(", ".join(f"{value:.4g}" for value in row) for row in H)
        return f"a cell found no balance under the mean displacement gradient [{rows}]: {reason}"

    @property
    def guess_size(self) -> int:
        """Numbers of a guess of a world."""
        return self.size * (1 + len(self.points.columns)) + 9

    def predicted(self, guess: Tensor, F_bar: Tensor) -> Tensor:
        """Fluctuations (w, size) to start from, along the tangent from where a guess was made.

        Args:
            guess: See `Micro.guess`, shape (w, guess_size); zero is no guess.
            F_bar: Mean deformation gradients, shape (w, 3, 3).
        """
        c = len(self.points.columns)
        w, moved, before = guess.split([self.size, self.size * c, 9], 1)
        H = F_bar - before.unflatten(1, (3, 3))
        H = (H + H.mT) / (1.0 + torch.eye(3).to(H)) if self.points.small else H
        return w + (moved.unflatten(1, (-1, c)) @ H.flatten(1)[:, self.points.column, None])[..., 0]

    def _solve(self, F_bar: Tensor, internal: Tensor, dt: float, w: Tensor, tangent: bool) -> Micro:
        """As `solve`, of as many as the memory holds; w is where to start and is changed."""
        worlds = len(F_bar)
        out = empty(F_bar, self, tangent)
        active = torch.arange(worlds, device=F_bar.device)
        step, part, before = torch.zeros_like(w), w.new_ones(worlds), w.new_full((worlds,), INF)
        kept = Kept(worlds, F_bar.device)
        for count in range(self.most + 1):
            F = self.deformation(w[active], F_bar[active])
            P, history, A = self.points.linearize(F, internal[active], dt)
            force, scale = self.forces(P)
            norm, goal = force.norm(dim=1), self.goal(scale)
            sound = torch.isfinite(norm) & (self.points.least(F) > 0)
            if not count and bool((poor := ~sound & w.any(1)).any()):
                w[poor] = 0.0  # a guess that went astray
                continue
            fall = norm / before[active]
            done = sound & (norm <= goal)
            if bool(done.any()):
                at = active[done]
                out.fluctuation[at], out.internal[at] = w[at], history[done]
                out.point_stress[at], out.point_F[at] = P[done], F[done]
                out.stress[at], out.iterations[at] = self.points.mean(P[done]), count
                out.residual[at] = (norm / scale.clamp_min(torch.finfo(scale.dtype).tiny))[done]
                if out.tangent is not None and out.moved is not None:
                    near = bool((fall[done] < NEAR).all())
                    own = self.system(A[done], kept.of(at) if near else None)
                    out.tangent[at], out.moved[at] = self.condensed(A[done], own)
            if bool(done.all()):
                return out
            grown = ~done & (~sound | (fall > GROWTH)) & torch.isfinite(before[active])
            fresh = ~done & ~grown
            stuck = grown & (part[active] < 0.5**HALVINGS)
            self._check(F_bar[active], stuck, fresh & ~sound)
            back = active[grown]
            part[back] *= 0.5
            w[back] -= part[back, None] * step[back]
            ahead = active[fresh]
            if bool(fresh.any()):
                near = bool((fall[fresh] < NEAR).all())
                own = self.system(A[fresh], kept.of(ahead) if near else None)
                share = torch.maximum(0.5 * fall.square(), SAFE * goal / norm).clamp_max(LOOSE)
                step[ahead] = -own.solve(force[fresh][..., None], share[fresh])[..., 0]
                part[ahead], before[ahead] = 1.0, norm[fresh]
                w[ahead] += step[ahead]
                kept.put(own, ahead)
            active, left = active[~done], (norm / goal)[~done]
        reason = f"{self.most} iterations left {float(left[0]):.2g} tolerances"
        raise NewtonFailure(self._failed(F_bar[active[0]], reason))

    def _check(self, F_bar: Tensor, stuck: Tensor, unsound: Tensor) -> None:
        reasons = {
            "it turns inside out somewhere, or the forces grow along each step": stuck,
            "it is inside out somewhere, or a law failed, before the first step": unsound,
        }
        for reason, which in reasons.items():
            if bool(which.any()):
                raise NewtonFailure(self._failed(F_bar[which][0], reason))

    def condensed(self, A: Tensor, system: System) -> tuple[Tensor, Tensor]:
        """Mean tangents (w, 3, 3, 3, 3) of tangents (w, p, r, c), and `Micro.moved`.

        With x near K⁻¹ L and r = L − K x, Lᵀ K⁻¹ L = Lᵀ x + xᵀ r up to the square of x's error.
        """
        weighted = self.points.weight[:, None, None] * A
        c = A.shape[3]
        by_rows = self.gathered(weighted.mT)  # what stress does w make
        if self.symmetric:
            solved = system.solve(by_rows, TIGHT)
            own = solved[..., :c]
            rest = by_rows[..., :c] - system.product(own)
            taken = by_rows.mT @ own + solved.mT @ rest
        else:
            solved = system.solve(self.gathered(weighted[:, :, :c]))
            taken = by_rows.mT @ solved
        return self.points.full(weighted.sum(1) - taken), -solved[..., :c]

    @abstractmethod
    def deformation(self, w: Tensor, F_bar: Tensor) -> Tensor:
        """At the points, shape (w, p, 3, 3), of unknowns (w, size)."""

    @abstractmethod
    def forces(self, P: Tensor) -> tuple[Tensor, Tensor]:
        """On the unknowns, (w, size), of stresses (w, p, 3, 3); and a norm to measure by, (w,)."""

    @abstractmethod
    def goal(self, scale: Tensor) -> Tensor:
        """Norm of forces in balance, shape (w,), by the second of `forces`."""

    @abstractmethod
    def gathered(self, stresses: Tensor) -> Tensor:
        """Forces (w, size, s) of s fields of weighted stresses by components, (w, p, c, s)."""

    @abstractmethod
    def system(self, A: Tensor, before: System | None = None) -> System:
        """The matrices of tangents (w, p, r, c), and those they follow, if these may serve."""


class Kept:
    """The systems solved last, of each world."""

    def __init__(self, worlds: int, device: torch.device) -> None:
        self.system: System | None = None
        self.place = torch.full((worlds,), -1, dtype=torch.int64, device=device)

    def put(self, system: System, worlds: Tensor) -> None:
        """Keep those of some worlds, (k,), and no others."""
        self.system = system
        self.place.fill_(-1)
        self.place[worlds] = torch.arange(len(worlds), device=worlds.device)

    def of(self, worlds: Tensor) -> System | None:
        """Those of some worlds; None if they are not all there."""
        place = self.place[worlds]
        if self.system is None or bool((place < 0).any()):
            return None
        return self.system if len(place) == len(self.system) else self.system.pick(place)


class CellProblem(Worlds):
    """Solves one cell under many mean deformations."""

    def __init__(
        self, cell: Cell, like: Tensor, *, tolerance: float = 1e-10, iterations: int = 25
    ) -> None:
        """Lay out.

        Args:
            cell: The cell.
            like: Gives device and precision.
            tolerance: Norm of the forces that may be left, by that of the elements' forces.
            iterations: Of Newton's method, at most.
        """
        self.cell, self.tolerance, self.most = cell, tolerance, iterations
        self.layout: Layout = layout(cell, like)
        self.points, self.size = self.layout.points, self.layout.size
        own = self.layout
        self.elements, self.q, self.c, self.k = own.B.shape
        self.symmetric = cell.symmetric
        self.B = own.B.flatten(1, 2).contiguous()  # (e, q c, k)
        moduli = [law.wave_modulus() for law in cell.laws.values()]
        share = 1.0 / self.elements
        across = share ** ((cell.dim - 1) / cell.dim) / cell.volume ** (1 / cell.dim)
        self.noise = NOISE * max(moduli) * across * own.size**0.5

    def strain(self, w: Tensor) -> Tensor:
        """Components at the points, shape (w, p, c), of the gradient of fluctuations (w, size).

        They are those of `Layout.columns`; shears of small strains count twice.
        """
        padded = torch.cat([w, w.new_zeros(len(w), 1)], 1)
        own = padded[:, self.layout.unknowns].permute(1, 2, 0)  # (e, k, w)
        return (self.B @ own).permute(2, 0, 1).reshape(len(w), -1, self.c)

    def deformation(self, w: Tensor, F_bar: Tensor) -> Tensor:
        """See `Worlds.deformation`."""
        return self.points.deformation(self.strain(w), F_bar)

    def forces(self, P: Tensor) -> tuple[Tensor, Tensor]:
        """On free unknowns, shape (w, size), and the norm of the elements' own, shape (w,).

        By the volume of the box [N/m³], of stresses at the points (w, p, 3, 3).
        """
        worlds, points = len(P), self.points
        own = points.weight[:, None] * P.flatten(2)[:, :, points.column]
        each = self.B.mT @ own.reshape(worlds, self.elements, -1).permute(1, 2, 0)  # (e, k, w)
        total = P.new_zeros(self.layout.size + 1, worlds)
        total = total.index_add(0, self.layout.unknowns.reshape(-1), each.flatten(0, 1))
        return total[:-1].T, each.square().sum((0, 1)).sqrt()

    def goal(self, scale: Tensor) -> Tensor:
        """See `Worlds.goal`."""
        return self.tolerance * scale + self.noise

    def system(self, A: Tensor, before: System | None = None) -> Stiffness:
        """See `Worlds.system`."""
        worlds, own = len(A), self.layout
        D = (self.points.weight[:, None, None] * A[:, :, : self.c]).permute(1, 0, 2, 3)[..., None]
        B = own.B.flatten(0, 1)[:, None]  # (p, 1, c, k)
        DB = A.new_empty(len(self.points), self.c, worlds, self.k)
        for r in range(self.c):
            row = D[:, :, r, 0] * B[:, :, 0]
            for c in range(1, self.c):
                row.addcmul_(D[:, :, r, c], B[:, :, c])
            DB[:, r] = row
        columns = DB.reshape(self.elements, self.q * self.c, worlds * self.k)
        each = (self.B.mT @ columns).unflatten(2, (worlds, self.k)).transpose(1, 2).transpose(0, 1)
        kept = before.kept if isinstance(before, Stiffness) else None
        return Stiffness(own, each.contiguous(), self.symmetric, kept)

    def gathered(self, stresses: Tensor) -> Tensor:
        """See `Worlds.gathered`."""
        worlds, _, _, s = stresses.shape
        own = stresses.permute(1, 2, 0, 3).reshape(self.elements, self.q * self.c, worlds * s)
        each = (self.B.mT @ own).flatten(0, 1)
        total = stresses.new_zeros(self.layout.size + 1, worlds * s)
        total = total.index_add(0, self.layout.unknowns.reshape(-1), each)[:-1]
        return total.unflatten(1, (worlds, s)).transpose(0, 1)


def empty(like: Tensor, problem: Worlds, tangent: bool) -> Micro:
    """Room for the results of cells under as many deformations as `like` has, (w, 3, 3)."""
    worlds, points = len(like), len(problem.points)
    count = torch.zeros(worlds, dtype=torch.int64, device=like.device)
    c = len(problem.points.columns)
    return Micro(
        stress=like.new_empty(worlds, 3, 3),
        tangent=like.new_empty(worlds, 3, 3, 3, 3) if tangent else None,
        fluctuation=like.new_empty(worlds, problem.size),
        internal=like.new_empty(worlds, problem.n_internal),
        iterations=count,
        residual=like.new_empty(worlds),
        point_stress=like.new_empty(worlds, points, 3, 3),
        point_F=like.new_empty(worlds, points, 3, 3),
        moved=like.new_empty(worlds, problem.size, c) if tangent else None,
    )
