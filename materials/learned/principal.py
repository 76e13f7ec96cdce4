# SPDX-License-Identifier: Apache-2.0
"""The work of laws in principal stretches: blocks of points through kernels and networks.

Formulas are in kernels/learned/principal.py. There is one decomposition for plasticity and
elasticity together, as the flow keeps the axes. Values and gradients are computed without an
autograd graph; `update` and `stress` of a law give the gradients to autograd by one operation of
their own.

A material code c of k numbers is read beside the strains as the products x_a c_b, so that the
network is asked 4 (1 + k) numbers that all vanish at rest: whatever its weights and the code, a
body at rest is free of stress and does not flow.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from rheograd.kernels.dtypes import building, types
from rheograd.kernels.learned.principal import INPUTS, PrincipalKernels, principal_kernels

from ..arrays import Launcher, matrices, plain, precision, view
from . import perceptron
from .blockwise import blocks, reused
from .featured import empty_measured, kernels_of
from .perceptron import Block, Packed, Perceptron

SOFT_STRESS, SOFT_FLOW = 1.0, 0.1
"""Shares of the strain scale by which the corner of the deviator's norm is rounded off, wide in an
elasticity, whose stress has no corner. Of a part that is missing it is this, not 0, which would be
divided by."""
SHARE = 2
"""Blocks are by this factor smaller than those of laws that ask a network once a point."""


class StretchNetwork(nn.Module):
    """phi: a perceptron from the strain of an axis, symmetric functions and a code to a number."""

    def __init__(self, codes: int, widths: Sequence[int], seed: int | None):
        """See the class.

        Args:
            codes: Numbers of the material code, 0 for none.
            widths: Of the hidden layers.
            seed: Of the weights; None draws them from torch's global generator.

        Raises:
            ValueError: `codes` is not from 0 to 64, or a width is out of range.
        """
        super().__init__()
        if not isinstance(codes, int) or not 0 <= codes <= 64:
            raise ValueError(f"got codes = {codes}, expected 0 to 64 numbers of a material code")
        self.codes = codes
        self.perceptron = Perceptron(INPUTS * (1 + codes), 1, widths, seed)

    def start_linear(self, own: float, shared: float, gain: float) -> None:
        """Weights with which phi is own e_a + shared (e1 + e2 + e3), for any code.

        Args:
            own: Factor of the strain of the axis.
            shared: Factor of the sum of strains.
            gain: Factor on the random weights of the first layer.
        """
        target = torch.zeros(1, self.perceptron.n_in)
        target[0, 0], target[0, 1] = own, shared
        self.perceptron.start_linear(target, gain)


class Part(NamedTuple):
    """One of the two networks of a law."""

    network: StretchNetwork
    scale: float
    """Unit of the network's output."""
    strain: float
    """Strain at which hidden units bend at first [-]."""


class _Asked:
    """Buffers of one network for one block: what it is asked, answers, and their derivatives."""

    def __init__(self, network: StretchNetwork, rows: int, like: Tensor):
        scalar, own = precision(like), network.perceptron
        self.codes = network.codes
        self.x = like.new_empty(3 * rows, INPUTS)
        self.whole = self.x if not self.codes else like.new_empty(3 * rows, own.n_in)
        self.block = Block(own, 3 * rows, like)
        self.weights = Packed(own, like)
        self.heads = like.new_empty(3 * rows, 1)
        coded = bool(self.codes)
        self.slopes = like.new_empty(3 * rows, INPUTS) if coded else self.block.x_bar
        self.x_view, self.y_view = view(self.x, scalar), view(self.block.y, scalar)
        self.slopes_view, self.heads_view = view(self.slopes, scalar), view(self.heads, scalar)
        self.zs: list[Tensor] = []
        self.narrow = self.block
        """The rows of the present block."""

    def ask(self, points: int, codes: Tensor) -> None:
        """Answers y of a block whose x is there; codes of its points, shape (points, k)."""
        rows = 3 * points
        if len(self.narrow.y) != rows:
            self.narrow = self.block if len(self.block.y) == rows else self.block.narrow(rows)
        if self.codes:
            own = self.x[:rows].view(points, 3, 1, INPUTS)
            whole = self.whole[:rows].view(points, 3, 1 + self.codes, INPUTS)
            whole[:, :, :1].copy_(own)
            torch.mul(own, codes[:, None, :, None], out=whole[:, :, 1:])
        self.zs = perceptron.forward(self.weights, self.whole[:rows], self.narrow)

    def differentiate(self, codes: Tensor, *, heads: bool) -> Tensor | None:
        """Slopes of y by x after `ask`; with heads also the gradients by weights and codes.

        Returns:
            The gradient by the codes, shape (points, k), with heads and a code.
        """
        rows, points = len(self.narrow.y), len(self.narrow.y) // 3
        own = self.heads[:rows] if heads else None
        perceptron.slopes(self.weights, self.whole[:rows], self.zs, self.narrow, own)
        if not self.codes:
            return None
        shape = (points, 3, 1 + self.codes, INPUTS)
        by_whole = self.narrow.x_bar[:, : self.whole.shape[1]].unflatten(1, shape[2:])
        by_whole = by_whole.unflatten(0, shape[:2])
        slopes = self.slopes[:rows].view(points, 3, INPUTS)
        coded = by_whole[:, :, 1:]
        torch.add(by_whole[:, :, 0], (coded * codes[:, None, :, None]).sum(2), out=slopes)
        if own is None:
            return None
        x = self.x[:rows].view(points, 3, 1, INPUTS)
        return (own.view(points, 3, 1, 1) * x * coded).sum((1, 3))


class _Space:
    """Buffers of a law for one block."""

    def __init__(self, networks: Sequence[StretchNetwork | None], rows: int, like: Tensor):
        scalar = precision(like)
        self.measured = empty_measured("full", rows, like)
        self.R, self.e, self.V = self.measured.views()
        self.strains, self.F = like.new_empty(rows, 3), like.new_empty(rows, 3, 3)
        self.g, self.unused_F = view(self.strains, types(scalar).vec3), matrices(self.F)
        self.asked = [None if n is None else _Asked(n, rows, like) for n in networks]
        self.zeros, self.x = (like.new_zeros(3 * rows, INPUTS) for _ in range(2))
        self.none, self.unused_x = view(self.zeros, scalar), view(self.x, scalar)


def kernels_for(like: Tensor) -> PrincipalKernels:
    """The kernels in the precision of `like`."""
    with building:
        return principal_kernels(precision(like))


class PrincipalPass:
    """Plasticity, then elasticity, of a batch of F, block by block and without a graph.

    Either may be missing: there is no flow then, or no stress. A block goes through `answer`, and
    for derivatives through `pull` or `tangent`.
    """

    def __init__(
        self,
        flow: Part | None,
        stress: Part | None,
        F: Tensor,
        codes: Tensor,
        *,
        R: Tensor | None = None,
        backward: bool = False,
    ):
        """See the class.

        Args:
            flow: The plasticity.
            stress: The elasticity.
            F: The batch, contiguous, shape (q, 3, 3).
            codes: Material codes, shape (q, k); k = 0 without.
            R: Where the rotations of the whole batch are kept; None forgets them.
            backward: Whether derivatives follow.
        """
        parts = (flow, stress)
        networks = [None if part is None else part.network for part in parts]
        key = tuple(n and (n.codes, n.perceptron.widths) for n in networks)
        self.launch, self.kernels = Launcher(F), kernels_for(F)
        self.measures = kernels_of("full", F)
        self.space = reused(
            ("principal", *key), F, lambda rows: _Space(networks, -(-rows // SHARE), F)
        )
        self.flow, self.stress = self.space.asked
        self.parts = [part for part in (stress, flow) if part is not None]
        scales = [0.0 if part is None else part.scale for part in (stress, flow)]
        shares = (SOFT_STRESS, SOFT_FLOW)
        self.soft = [
            share if part is None else share * part.strain
            for part, share in zip((stress, flow), shares, strict=True)
        ]
        self.scales = types(precision(F)).vec4(*scales, *self.soft)
        for asked, network in zip(self.space.asked, networks, strict=True):
            if asked is not None and network is not None:
                asked.weights.load(network.perceptron, backward=backward)
        self.whole = R is not None
        self.R = self.space.R if R is None else matrices(R)
        self.F, self.codes = matrices(F), codes

    def _frame(self, start: int) -> list[Any]:
        """First point, first row of R, R and V of a block, as most kernels begin."""
        return [start, start if self.whole else 0, self.R, self.space.V]

    def answer(
        self,
        start: int,
        points: int,
        F_out: Any = None,
        tau_out: Any = None,
        *,
        known: bool = False,
    ) -> None:
        """Decompose a block and ask the networks.

        Args:
            start: Its first point.
            points: Its number of points.
            F_out: Where F goes, an array over all points; None: nowhere.
            tau_out: Where tau goes; None: nowhere.
            known: Whether the rotations are kept from an earlier call.
        """
        s, k, codes = self.space, self.kernels, self.codes[start : start + points]
        frame = self._frame(start)
        self.launch(
            self.measures.recall if known else self.measures.measure,
            -(-points // self.measures.lanes),
            [start, frame[1], points, self.F, self.R, s.e, s.V],
        )
        y = s.none
        if self.flow is not None:
            self.launch(k.inputs, points, [s.e, self.soft[1], self.flow.x_view])
            self.flow.ask(points, codes)
            y = self.flow.y_view
        x = s.unused_x if self.stress is None else self.stress.x_view
        place, F = (0, s.unused_F) if F_out is None else (start, F_out)
        self.launch(k.flow, points, [place, *frame[1:], s.e, y, self.scales, F, s.g, x])
        if self.stress is not None:
            self.stress.ask(points, codes)
            if tau_out is not None:
                known_here = [*frame, s.g, self.stress.y_view, self.scales]
                self.launch(k.stress, points, [*known_here, tau_out])

    def _slopes(self) -> list[Any]:
        """Outputs and slopes of the elasticity, slopes of the plasticity, scales."""
        none, flow, stress = self.space.none, self.flow, self.stress
        y, slopes = (none, none) if stress is None else (stress.y_view, stress.slopes_view)
        return [y, slopes, none if flow is None else flow.slopes_view, self.scales]

    def pull(self, start: int, points: int, tau_bar: Any, F_bar: Any) -> Tensor | None:
        """After `answer`: turn the gradient by F into that by F_trial, in place.

        Returns:
            The gradient by the codes, shape (points, k); None without a code.
        """
        s, k, codes = self.space, self.kernels, self.codes[start : start + points]
        frame, found = self._frame(start), []
        if self.stress is not None:
            heads = self.stress.heads_view
            known = [*frame, s.g, self.scales, tau_bar, heads]
            self.launch(k.stress_heads, points, known)
            found.append(self.stress.differentiate(codes, heads=True))
        y, slopes, *_ = self._slopes()
        if self.flow is not None:
            known = [*frame, s.g, y, slopes, self.scales, tau_bar, F_bar, self.flow.heads_view]
            self.launch(k.flow_heads, points, known)
            found.append(self.flow.differentiate(codes, heads=True))
        self.launch(k.pull, points, [*frame, s.e, s.g, *self._slopes(), tau_bar, F_bar])
        coded = [gradient for gradient in found if gradient is not None]
        return sum(coded[1:], coded[0]) if coded else None

    def tangent(self, start: int, points: int, out: Any) -> None:
        """After `answer`: the derivative of tau, an array (q, 9) of matrices over all points."""
        codes = self.codes[start : start + points]
        for asked in (self.stress, self.flow):
            if asked is not None:
                asked.differentiate(codes, heads=False)
        s, frame = self.space, self._frame(start)
        known = [*frame, s.e, s.g, *self._slopes()]
        self.launch(self.kernels.tangent, 9 * points, [*known, out])

    def parameter_gradients(self) -> tuple[Tensor, ...]:
        """One for each parameter of the elasticity, then of the plasticity, over all blocks."""
        asked = [a for a in (self.stress, self.flow) if a is not None]
        pairs = zip(asked, self.parts, strict=True)
        return tuple(g for a, p in pairs for g in a.weights.finished(p.network.perceptron))


@torch.no_grad()
def answer(
    flow: Part | None,
    stress: Part | None,
    F: Tensor,
    codes: Tensor,
    *,
    F_out: Tensor | None = None,
    tau_out: Tensor | None = None,
    R: Tensor | None = None,
) -> None:
    """F and tau of a batch into contiguous tensors, those that are given.

    Args:
        flow: The plasticity, if any.
        stress: The elasticity, if any.
        F: Trial deformation gradients, shape (q, 3, 3).
        codes: Shape (q, k).
        F_out: Takes the elastic deformation gradients, shape (q, 3, 3); not F itself.
        tau_out: Takes the Kirchhoff stresses [Pa], shape (q, 3, 3).
        R: Takes the rotations, shape (q, 3, 3).
    """
    F, codes = plain(F, codes)
    work = PrincipalPass(flow, stress, F, codes, R=R)
    to = [None if t is None else matrices(t) for t in (F_out, tau_out)]
    for start, points in blocks(F, SHARE):
        work.answer(start, points, *to)


@torch.no_grad()
def pull(
    flow: Part | None,
    stress: Part | None,
    F: Tensor,
    codes: Tensor,
    tau_bar: Tensor,
    F_bar: Tensor,
    *,
    R: Tensor | None = None,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Gradients of `answer`: that by F into F_bar, those by the codes (q, k) and the weights.

    R are the rotations that `answer` left, if they were kept.
    """
    F, codes, tau_bar = plain(F, codes, tau_bar)
    work = PrincipalPass(flow, stress, F, codes, R=R, backward=True)
    given, out = matrices(tau_bar), matrices(F_bar)
    codes_bar = torch.zeros_like(codes)
    for start, points in blocks(F, SHARE):
        work.answer(start, points, known=R is not None)
        by_code = work.pull(start, points, given, out)
        if by_code is not None:
            codes_bar[start : start + points] = by_code
    return codes_bar, work.parameter_gradients()


@torch.no_grad()
def linearize(
    flow: Part | None, stress: Part, F: Tensor, codes: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Tau and F, shape (q, 3, 3), and dtau/dF_trial, shape (q, 3, 3, 3, 3)."""
    F, codes = plain(F, codes)
    work = PrincipalPass(flow, stress, F, codes, backward=True)
    tau, elastic = torch.empty_like(F), torch.empty_like(F)
    tangent = F.new_empty(len(F), 9, 3, 3)
    out, to = view(tangent, types(precision(F)).mat33), [matrices(elastic), matrices(tau)]
    for start, points in blocks(F, SHARE):
        work.answer(start, points, *to)
        work.tangent(start, points, out)
    return tau, elastic, tangent.unflatten(1, (3, 3))


class _Answer(torch.autograd.Function):
    """`answer` to autograd; the weights are arguments so that they get their gradients."""

    @staticmethod
    def forward(
        ctx: Any,
        parts: tuple[Part | None, Part | None],
        F: Tensor,
        codes: Tensor,
        *_weights: Tensor,
    ) -> tuple[Tensor, Tensor]:
        (own,) = plain(F)
        elastic, tau = torch.empty_like(own), torch.zeros_like(own)
        answer(*parts, own, codes, F_out=elastic, tau_out=tau)
        ctx.parts = parts
        ctx.save_for_backward(F, codes)
        return elastic, tau

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, F_bar: Tensor, tau_bar: Tensor) -> tuple[Any, ...]:
        F, codes = ctx.saved_tensors
        total = F_bar.clone(memory_format=torch.contiguous_format)
        flow, stress = ctx.parts
        codes_bar, weights = pull(flow, stress, F, codes, tau_bar, total)
        return None, total, codes_bar, *weights


def answered(
    flow: Part | None, stress: Part | None, F: Tensor, codes: Tensor
) -> tuple[Tensor, Tensor]:
    """F and tau of a batch, shape (q, 3, 3), differentiable once; tau is 0 with flow alone."""
    weights = [w for p in (stress, flow) if p is not None for w in p.network.parameters()]
    return _Answer.apply((flow, stress), F, codes, *weights)  # type: ignore[no-any-return]
