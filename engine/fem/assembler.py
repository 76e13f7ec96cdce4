# SPDX-License-Identifier: Apache-2.0
"""The balance of equilibrium.py and its derivative, computed by kernels without a graph."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import warp as wp
from torch import Tensor

from rheograd.kernels.dtypes import types
from rheograd.kernels.elements.assembly import LANES, AssemblyKernels, assembly_kernels
from rheograd.kernels.laws.tangents import linearize_kernel, piola_kernels
from rheograd.kernels.laws.update import law_kernels
from rheograd.materials.arrays import Launcher, matrices, precision, view

from ..law_groups import LawGroup
from . import dilatation
from .equilibrium import Balance, Increment, deformation, inertia, nodal_forces
from .forces import Place
from .geometry import invert
from .model import FEModel
from .piola import piola_tangent

CHUNK = 16_384
"""Points of a law of torch whose tangent is taken at once."""
DENSE = 128 * LANES
"""Elements with mean dilatation whose stiffness is computed at once, which bounds the memory."""


class Pattern(NamedTuple):
    """Which blocks of the matrix there are, in block rows."""

    rows: Tensor
    """Where each row starts, shape (n + 1,), int32."""
    columns: Tensor
    """Of each block, ascending within a row, shape (z,), int32."""
    row: Tensor
    """Of each block, shape (z,), int64."""
    diagonal: Tensor
    """The block of each node with itself, shape (n,), int64."""
    slots: Tensor
    """Block of each pair of an element's nodes, shape (e, a, a), int32."""


def pattern(nodes: Tensor, n: int) -> Pattern:
    """Of elements with given nodes (e, a) among n."""
    keys = nodes[:, :, None] * n + nodes[:, None, :]
    kept, slots = torch.unique(keys, return_inverse=True)
    row, column = kept // n, kept % n
    own = torch.arange(n, device=nodes.device)
    rows = torch.searchsorted(row, torch.arange(n + 1, device=nodes.device))
    diagonal = torch.searchsorted(kept, own * n + own)
    return Pattern(rows.int(), column.int(), row, diagonal, slots.int())


def in_lanes(values: Tensor) -> Tensor:
    """Numbers of elements (e, ...) as (blocks, ..., LANES); spare lanes repeat the first."""
    spare = -len(values) % LANES
    padded = torch.cat([values, values[:1].expand(spare, *values.shape[1:])])
    return padded.unflatten(0, (-1, LANES)).movedim(1, -1).contiguous()


def out_of_lanes(values: Tensor, elements: int) -> Tensor:
    """Undo `in_lanes`."""
    return values.movedim(-1, 1).flatten(0, 1)[:elements]


class Assembler:
    """Buffers and kernels of one model."""

    def __init__(self, model: FEModel) -> None:
        """Lay out; the rest positions are those of the model."""
        self.model = model
        x0 = model.x0.detach()
        self.own = model.geometry(x0)
        self.masses = model.masses(x0, model.density.detach())
        self.pattern = pattern(model.nodes, model.n)
        elements, q, a = self.own.gradient.shape[:3]
        self.size = (elements, q, a)
        blocks = -(-elements // LANES)
        self.blocks = blocks
        self.cells = in_lanes(model.nodes.int())
        self.gradient = in_lanes(self.own.gradient)
        self.slots = in_lanes(self.pattern.slots)
        self.weight = self.own.weight.reshape(-1)
        self.P = x0.new_zeros(blocks, q, 9, LANES)
        self.A: Tensor | None = None
        self.F = self.F_before = x0.new_empty(elements * q, 3, 3)
        self.G = torch.eye(3).to(x0).repeat(elements * q, 1, 1)
        self.guesses: dict[tuple[int, int], Tensor] = {}
        """What laws that iterate start from, of each group of laws."""
        self.kept: dict[tuple[int, int], Tensor] = {}
        """The same at the end of the last increment that converged."""
        self.kernels: AssemblyKernels = assembly_kernels(a, q, precision(x0), not x0.is_cuda)
        fixed = model.fixed
        self.weighs = bool(model.gravity.detach().any())
        self.held_at = torch.nonzero(fixed, as_tuple=True)
        self.touched = torch.nonzero(
            fixed.any(1)[self.pattern.row] | fixed.any(1)[self.pattern.columns.long()]
        )[:, 0]

    def begin(self, start: Increment, laws: tuple[tuple[Tensor, ...], ...], dt: float) -> None:
        """Keep what an increment starts from."""
        self.start = Increment(*(t.detach() for t in start))
        self.laws = tuple(tuple(t.detach() for t in tensors) for tensors in laws)
        self.dt = dt
        self.guesses = dict(self.kept)
        self.weight = (self.own.weight * self.start.stiffness[:, None]).reshape(-1)
        self.dead: tuple[tuple[Tensor, ...], Tensor] | None = None
        if self.model.remembers:
            self.F_before = self.deformation(self.start.before)
            self.G = (invert(self.F_before)[1] @ self.start.F).contiguous()

    def keep(self) -> None:
        """The increment has converged: the next one starts its laws' iterations from here."""
        self.kept = dict(self.guesses)

    def forget(self) -> None:
        """Start the laws' iterations from nothing."""
        self.kept = {}

    def deformation(self, x: Tensor) -> Tensor:
        """Deformation gradients that laws see, shape (p, 3, 3)."""
        u = (x - self.start.x0).contiguous()
        if self.model.mean_dilatation:
            return deformation(self.model, self.own, u[self.model.nodes])
        F = torch.empty_like(self.F)
        vec3 = types(precision(u)).vec3
        self._launch(
            self.kernels.deform, self.blocks,
            [self.size[0], view(u, vec3), self._ints(self.cells), self._flat(self.gradient),
             matrices(F)],
        )  # fmt: skip
        return F

    def balance(
        self, x: Tensor, values: tuple[Tensor, ...], factors: tuple[float, float], tangent: bool
    ) -> Balance:
        """As `equilibrium.balance`; with `tangent`, `matrix` may follow."""
        self.F = F = self.deformation(x)
        tau, elastic, internal = self._respond(F, tangent)
        start, model = self.start, self.model
        resisting = self._nodal(x, F)
        place = Place(x, start.before, start.x0)
        net = resisting - self._dead_loads(place, values)
        for force, value in zip(model.forces, values, strict=True):
            if force.follows:
                net -= force.on_nodes(place, value)
        moved = start.Z
        if factors[0]:  # else statics, or the forces alone
            a = factors[0] * (x - start.before) + start.Y
            moved = moved + inertia(model, self.masses, start.added_mass, a)
        residual = factors[1] * net + moved
        return Balance(net, residual, elastic, internal, tau, resisting)

    def _dead_loads(self, place: Place, values: tuple[Tensor, ...]) -> Tensor:
        """Weight and the loads that do not follow the deformation [N], once an increment."""
        if self.dead is None or self.dead[0] is not values:
            start, model = self.start, self.model
            total = torch.zeros_like(place.x)
            if self.weighs:
                weighed = start.gravity[model.world]
                total = inertia(model, self.masses, start.added_mass, weighed)
            for force, value in zip(model.forces, values, strict=True):
                if not force.follows:
                    total = total + force.on_nodes(place, value)
            self.dead = (values, total)
        return self.dead[1]

    def matrix(self, x: Tensor, values: tuple[Tensor, ...], factors: tuple[float, float]) -> Tensor:
        """Blocks of dr/dx [N/m], shape (z, 3, 3), after `balance` at x.

        Rows and columns of prescribed components are those of the identity times a typical
        diagonal entry.
        """
        A, s = factors
        model, n = self.model, self.model.n
        blocks = self._stiffness(x)
        place = Place(x, self.start.before, self.start.x0)
        for force, value in zip(model.forces, values, strict=True):
            if force.follows:
                nodes, dense = force.derivative(place, value)
                keys = nodes[:, :, None] * n + nodes[:, None, :]
                where = torch.searchsorted(
                    self.pattern.row * n + self.pattern.columns, keys.reshape(-1)
                )
                blocks.index_add_(0, where, -dense.transpose(2, 3).reshape(-1, 3, 3))
        if s != 1.0:
            blocks *= s
        if A:
            eye = torch.eye(3, dtype=blocks.dtype, device=blocks.device)
            slots = self.pattern.slots.reshape(-1).long()
            blocks.index_add_(0, slots, A * self.masses.reshape(-1, 1, 1) * eye)
            blocks[self.pattern.diagonal] += A * self.start.added_mass[:, None, None] * eye
        return self._held(blocks)

    def _held(self, blocks: Tensor) -> Tensor:
        fixed, p = self.model.fixed, self.pattern
        if not len(self.touched):
            return blocks
        diagonal = blocks[p.diagonal].diagonal(dim1=1, dim2=2)
        typical = diagonal.abs().mean()
        keep_rows = ~fixed[p.row[self.touched]]
        keep_columns = ~fixed[p.columns[self.touched].long()]
        blocks[self.touched] *= keep_rows[:, :, None] & keep_columns[:, None, :]
        node, axis = self.held_at
        blocks[p.diagonal[node], axis, axis] = typical
        return blocks

    def _stiffness(self, x: Tensor) -> Tensor:
        assert self.A is not None
        elements, _q, a = self.size
        blocks = x.new_zeros(len(self.pattern.columns), 3, 3)
        if self.model.mean_dilatation:
            for first in range(0, elements, DENSE):
                self._dilated(x, first, min(first + DENSE, elements), blocks)
            return blocks
        laws = [law for group in self.model.groups for law in group.laws]
        symmetric = all(law.symmetric for law in laws)
        kernel = self.kernels.symmetric if symmetric else self.kernels.stiffness
        self._launch(
            kernel, self.blocks * a,
            [self._flat(self.gradient), self._flat(self.A), self._ints(self.slots),
             self._flat(blocks)],
        )  # fmt: skip
        return blocks

    def _dilated(self, x: Tensor, first: int, last: int, blocks: Tensor) -> None:
        """Add the stiffness of some elements with mean dilatation."""
        assert self.A is not None
        lanes = slice(first // LANES, -(-last // LANES))
        gradient, weight = (t[first:last] for t in self.own)
        u = (x - self.start.x0)[self.model.nodes[first:last]]
        F = torch.eye(3).to(u) + torch.einsum("eai,eqaj->eqij", u, gradient)
        P = out_of_lanes(self.P[lanes], last - first).unflatten(2, (3, 3))
        A = out_of_lanes(self.A[lanes], last - first).unflatten(2, (3, 3, 3, 3))
        K = dilatation.stiffness(F, weight, gradient, P, A)
        dense = K.transpose(2, 3).reshape(-1, 3, 3)
        blocks.index_add_(0, self.pattern.slots[first:last].reshape(-1).long(), dense)

    def _nodal(self, x: Tensor, F: Tensor) -> Tensor:
        if self.model.mean_dilatation:
            P = out_of_lanes(self.P, self.size[0]).reshape(-1, 3, 3)
            u = (x - self.start.x0)[self.model.nodes]
            return nodal_forces(self.model, self.own, u, F, P)
        out = torch.zeros_like(x)
        vec3 = types(precision(x)).vec3
        self._launch(
            self.kernels.forces, self.blocks,
            [self._ints(self.cells), self._flat(self.gradient), self._flat(self.P),
             view(out, vec3)],
        )  # fmt: skip
        return out

    def _respond(self, F: Tensor, tangent: bool) -> tuple[Tensor, Tensor, Tensor]:
        """Stress, elastic part and history; P, and A if asked for, into their lanes."""
        if tangent and self.A is None:
            self.A = self.P.new_zeros(*self.P.shape[:2], 81, LANES)
        tau, elastic = torch.empty_like(F), torch.empty_like(F)
        internal = self.start.internal.clone()
        for number, (group, tensors) in enumerate(zip(self.model.groups, self.laws, strict=True)):
            if group.twin is None:
                self._torch_law(number, group, F, tangent, tau, elastic, internal)
            else:
                self._twin(group, tensors[0], F, tangent, tau, elastic, internal)
        return tau, elastic, internal

    def _twin(
        self, group: LawGroup, coefficients: Tensor, F: Tensor, tangent: bool,
        tau: Tensor, elastic: Tensor, internal: Tensor,
    ) -> None:  # fmt: skip
        assert group.twin is not None
        scalar = precision(F)
        coefficients = coefficients.to(F).contiguous()
        before = self.start.internal.contiguous()
        index, row, history = self._ints(group.index), self._ints(group.row), view(before, scalar)
        table, q = view(coefficients, scalar), self.size[1]
        out = [matrices(tau), matrices(elastic), view(internal, scalar)]
        if tangent:
            assert self.A is not None
            Launcher(F)(
                linearize_kernel(*group.twin, scalar), len(group.index),
                [index, q, matrices(F), matrices(self.G), history, self.dt, row, table,
                 view(self.weight, scalar), *out, self._flat(self.P), self._flat(self.A)],
            )  # fmt: skip
            return
        trial = F @ self.G if self.model.remembers else F
        Launcher(F)(
            law_kernels(*group.twin, scalar).update, len(group.index),
            [index, matrices(trial), history, self.dt, row, table, *out],
        )  # fmt: skip
        self._put_stress(group, F, tau)

    def _torch_law(
        self, number: int, group: LawGroup, F: Tensor, tangent: bool,
        tau: Tensor, elastic: Tensor, internal: Tensor,
    ) -> None:  # fmt: skip
        law = group.laws[0]
        m = law.n_internal
        parts = torch.arange(len(group.index), device=F.device).split(CHUNK)
        for place, at in enumerate(parts):
            guess = self.guesses.get((number, place))
            index = group.index[at].long()
            history = self.start.internal[index, :m]
            if self.model.small:
                trial = self.start.F[index] + F[index] - self.F_before[index]
            else:
                trial = F[index] @ self.G[index] if self.model.remembers else F[index]
            if tangent or guess is not None:  # with a guess the tangent costs less than without
                found, D = law.linearize(trial, history, self.dt, guess)
                if found.guess is not None:
                    self.guesses[number, place] = found.guess
                if tangent:
                    self._put_tangent(index, F[index], found.tau, D)
            else:
                with torch.no_grad():
                    found = law.update(trial, history, self.dt)
            tau[index], elastic[index] = found.tau, found.F_elastic
            internal[index, :m] = found.internal
            if self.model.small:
                self._put(self.P, index, found.tau.detach())
        if not self.model.small:
            self._put_stress(group, F, tau)

    def _put(self, lanes: Tensor, index: Tensor, values: Tensor) -> None:
        """Weighted numbers of some points into their lanes."""
        element, q = index // self.size[1], index % self.size[1]
        weighted = self.weight[index][:, None] * values.reshape(len(index), -1)
        lanes[element // LANES, q, :, element % LANES] = weighted

    def _put_stress(self, group: LawGroup, F: Tensor, tau: Tensor) -> None:
        scalar = precision(F)
        Launcher(F)(
            piola_kernels(scalar).stress, len(group.index),
            [self._ints(group.index), self.size[1], matrices(F), matrices(tau),
             view(self.weight, scalar), self._flat(self.P)],
        )  # fmt: skip

    def _put_tangent(self, index: Tensor, F: Tensor, tau: Tensor, D: Tensor) -> None:
        """Weighted dP/dF of some points, from dtau/dF_trial, into lanes."""
        assert self.A is not None
        if not self.model.small:
            D = torch.einsum("pijmn,pkn->pijmk", D, self.G[index])
            D = piola_tangent(F, tau, D)
        self._put(self.A, index, D)

    def _launch(self, kernel: wp.Kernel, blocks: int, arguments: list[Any]) -> None:
        Launcher(self.weight)(kernel, self.kernels.threads(blocks), arguments)

    def _flat(self, values: Tensor) -> Any:
        return view(values.view(-1), precision(values))

    def _ints(self, values: Tensor) -> Any:
        return view(values.view(-1), wp.int32)
