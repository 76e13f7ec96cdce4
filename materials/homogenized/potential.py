# SPDX-License-Identifier: Apache-2.0
"""A network whose gradient is a stress, with first and second derivatives in closed form.

    ψ(z) = ½ z·C₀ z + N(z) − N(0) − ∇N(0)·z − ½ z·∇²N(0) z

so that rest is free of stress and has the tangent C₀, whatever the weights; N is a perceptron of
swish layers. The passes carry derivatives along with values, a stack of rows a point: the value, d
first derivatives and, where asked for, the d (d + 1) / 2 second ones.

N may depend on further inputs x, parameters of the phases of a cell; then so does C₀, and what is
taken off at rest is that of the same x. Derivatives by them are left to automatic differentiation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import combinations_with_replacement, pairwise

import torch
from torch import Tensor, nn

from .phase_parameters import polynomials

ROUND = 0.05
"""δ of a norm, by the half-width of a box."""
NORMS = 8
"""Norms of the strain that a network is given."""
SPREAD = 0.5
"""Of the entries of R, about those of the known norms."""


class SmoothPerceptron(nn.Module):
    """Swish layers with biases, and their derivatives by the inputs.

    Beside its inputs x it is given norms, n² = x·G x + δ², or where it is an energy their cubes,
    (n³ − δ³)/3 − δ x·G x/2, which have no value, slope or curvature at rest. A law that bends with
    a norm of the strain has such terms, and polynomials and networks of x alone converge slowly to
    them: an energy of it has no third derivative at rest. Their G = RᵀR are learned, for each place
    in a cell has a norm of the mean strain of its own.

    Args:
        n_in: Inputs d.
        n_out: Outputs.
        widths: Of the hidden layers.
        roots: R of each norm to start from, shape (m, d, d).
        cubes: Whether the norms are given as cubes.
        seed: Of the weights: Glorot's normal distribution; biases from a unit normal.
        further: Number of inputs of which no derivatives are carried. The first layer is given
            them, and the products of each with each of the others.
    """

    def __init__(
        self, n_in: int, n_out: int, widths: Sequence[int], roots: Tensor, *,
        cubes: bool, seed: int = 0, further: int = 0,
    ) -> None:  # fmt: skip
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.n_in, self.n_out, self.widths, self.cubes = n_in, n_out, tuple(widths), cubes
        self.roots = nn.Parameter(roots.detach().double().clone())
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        own = n_in + len(roots)
        for columns, rows in pairwise([own * (1 + further) + further, *widths, n_out]):
            drawn = torch.randn(rows, columns, generator=generator, dtype=torch.float64)
            self.weights.append(nn.Parameter(drawn * (2.0 / (rows + columns)) ** 0.5))
            bias = torch.randn(rows, generator=generator, dtype=torch.float64)
            self.biases.append(nn.Parameter(bias))
        self.places = list(combinations_with_replacement(range(n_in), 2))
        self.register_buffer("pairs", torch.tensor(self.places).T.contiguous(), persistent=False)
        self.learned = [name for name, _ in self.named_parameters()]

    pairs: Tensor
    """`places` by rows and columns, shape (2, s), int64."""

    def freeze(self, frozen: bool = True) -> None:
        """Make buffers of what is learned, not to be taken for a material's parameters; or undo it.

        Buffers are not trained.
        """
        for path in self.learned:
            place, _, name = path.rpartition(".")
            module = self.get_submodule(place)
            value = getattr(module, name).detach()
            delattr(module, name)
            if frozen:
                module.register_buffer(name, value)
            else:
                module.register_parameter(name, nn.Parameter(value))

    @contextmanager
    def learning(self) -> Iterator[None]:
        """Within it what is learned are parameters, also of a network that is frozen."""
        frozen = not any(True for _ in self.parameters())
        if frozen:
            self.freeze(False)
        try:
            yield
        finally:
            if frozen:
                self.freeze()

    def forward(self, x: Tensor, further: Tensor | None = None) -> Tensor:
        """Outputs (q, n_out) of inputs (q, n_in)."""
        return self.derivatives(x, order=0, further=further)[0]

    def derivatives(
        self, x: Tensor, order: int = 2, further: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Outputs (q, n), first (q, d, n) and second derivatives (q, s, n), the last as `places`.

        Everything is differentiable in inputs and weights. Derivatives above `order` are None; the
        further inputs, shape (f,), are those of all points.
        """
        value, first, more = self._inputs(x, order)
        if further is not None:
            value, first, more = _multiplied(value, first, more, further)
        i, j = self.pairs
        layers = list(zip(self.weights, self.biases, strict=True))
        for depth, (weight, bias) in enumerate(layers):
            z = nn.functional.linear(value, weight, bias)
            first = None if first is None else first @ weight.T
            more = None if more is None else more @ weight.T
            if depth == len(layers) - 1:
                break
            gate = torch.sigmoid(z)
            value = z * gate
            if first is None:
                continue
            flat = gate * (1.0 - gate)
            slope = gate + z * flat
            if more is not None:
                bend = flat * (2.0 + z * (1.0 - 2.0 * gate))
                more = bend[:, None] * (first[:, i] * first[:, j]) + slope[:, None] * more
            first = slope[:, None] * first
        return z, first, more

    def _inputs(self, x: Tensor, order: int) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """X and its norms, shape (q, d + m), with derivatives."""
        q, d = x.shape
        G = self.roots.mT @ self.roots
        along = torch.einsum("mij,qj->qmi", G, x)
        square = (along * x[:, None]).sum(2)
        norm = (square + ROUND**2).sqrt()
        # slope and curvature of each number by half of the square
        if self.cubes:
            numbers = (norm**3 - ROUND**3) / 3.0 - 0.5 * ROUND * square
            rate, change = norm - ROUND, 1.0 / norm
        else:
            numbers = norm - ROUND
            rate, change = 1.0 / norm, -1.0 / norm**3
        value = torch.cat([x, numbers], 1)
        if not order:
            return value, None, None
        first = torch.cat([torch.eye(d).to(x).expand(q, d, d), (rate[..., None] * along).mT], 2)
        if order == 1:
            return value, first, None
        i, j = self.pairs
        turned = change[..., None] * along[..., i] * along[..., j]
        bend = (rate[..., None] * G[:, i, j] + turned).mT
        return value, first, torch.cat([x.new_zeros(q, len(i), d), bend], 2)


class Potential(nn.Module):
    """ψ and further numbers of a vector z, exact at rest up to second and first derivatives.

    Args:
        scale: Inputs are divided by these, shape (d,).
        rest_tangent: C₀ [Pa], shape (d, d); with parameters one for each of `polynomials` of them.
        rest_slopes: Derivatives of the further numbers at rest [Pa], shape (m, d); likewise.
        unit: Stress of which the network's numbers are multiples [Pa].
        widths: Of the hidden layers.
        seed: Of the weights.
        parameters: Number of parameters x of phases, each from -1 to 1.
    """

    def __init__(
        self, scale: Tensor, rest_tangent: Tensor, rest_slopes: Tensor, unit: float,
        widths: Sequence[int] = (32,), seed: int = 0, parameters: int = 0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.unit = unit
        for name, value in (
            ("scale", scale), ("rest_tangent", rest_tangent), ("rest_slopes", rest_slopes),
        ):  # fmt: skip
            self.register_buffer(name, value.detach().double().clone())
        self.network = SmoothPerceptron(
            len(scale), 1 + rest_slopes.shape[-2], widths, norms(scale.double(), seed=seed),
            cubes=True, seed=seed, further=parameters,
        )  # fmt: skip
        square = torch.zeros(len(scale), len(scale), dtype=torch.int64)
        for k, (i, j) in enumerate(self.network.places):
            square[i, j] = square[j, i] = k
        self.register_buffer("square", square, persistent=False)

    scale: Tensor
    rest_tangent: Tensor
    rest_slopes: Tensor
    square: Tensor
    """Which of the network's `places` each entry of a symmetric matrix is, shape (d, d), int64."""

    def rest(self, parameters: Tensor | None) -> tuple[Tensor, Tensor]:
        """C₀ and the slopes of the further numbers [Pa], shapes (d, d) and (m, d)."""
        if parameters is None:
            return self.rest_tangent, self.rest_slopes
        share = polynomials(parameters)
        C, slopes = (torch.tensordot(share, t, 1) for t in (self.rest_tangent, self.rest_slopes))
        return 0.5 * (C + C.mT), slopes

    def energy(self, z: Tensor, parameters: Tensor | None = None) -> Tensor:
        """ψ [J/m³], shape (q,)."""
        base, slope, bend = self._rest(z, parameters)
        C_rest, _ = self.rest(parameters)
        x = z / self.scale
        raw = (
            self.network(x, parameters)[:, 0]
            - base[0]
            - x @ slope[:, 0]
            - 0.5 * ((x @ bend) * x).sum(1)
        )
        return 0.5 * ((z @ C_rest) * z).sum(1) + self.unit * self.scale.mean() * raw

    def stress(
        self, z: Tensor, tangent: bool = True, parameters: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
        """Derivatives of ψ and the further numbers, with theirs.

        Args:
            z: Shape (q, d).
            tangent: Whether the last two are wanted.
            parameters: x of the phases, the same for all points, shape (n,).

        Returns:
            ∂ψ/∂z [Pa], (q, d); further numbers [Pa], (q, m); ∂²ψ/∂z² (q, d, d); and the
            derivatives of the further numbers, (q, m, d).
        """
        base, rest, bend = self._rest(z, parameters)
        C_rest, slopes_rest = self.rest(parameters)
        x = z / self.scale
        value, first, second = self.network.derivatives(x, 2 if tangent else 1, parameters)
        assert first is not None
        share = self.unit * self.scale.mean()
        slope = share * (first[:, :, 0] - rest[:, 0] - x @ bend) / self.scale
        slope = slope + z @ C_rest
        numbers = self.unit * (value[:, 1:] - base[1:] - x @ rest[:, 1:]) + z @ slopes_rest.T
        if not tangent:
            return slope, numbers, None, None
        assert second is not None
        full = second[:, self.square, 0] - bend
        C = share * full / (self.scale * self.scale[:, None]) + C_rest
        moved = (first[:, :, 1:] - rest[:, 1:]) / self.scale[:, None]
        return slope, numbers, C, self.unit * moved.mT + slopes_rest

    def _rest(self, like: Tensor, parameters: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """The network at rest: (n,), its slopes (d, n) and the curvature (d, d) of the first."""
        zero = like.new_zeros(1, like.shape[1])
        base, slope, bend = self.network.derivatives(zero, 2, parameters)
        assert slope is not None
        assert bend is not None
        return base[0], slope[0], bend[0, self.square, 0]


def _multiplied(
    value: Tensor, first: Tensor | None, more: Tensor | None, further: Tensor
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Inputs, their products with the further ones (f,), and these; with derivatives."""
    factors = torch.cat([torch.ones_like(further[:1]), further])[:, None]
    pad = (0, len(further))
    each = [
        None if t is None else (factors * t[..., None, :]).flatten(-2) for t in (value, first, more)
    ]
    products, slopes, bends = (None if t is None else nn.functional.pad(t, pad) for t in each)
    assert products is not None
    own = products.new_zeros(products.shape[1])
    return products + torch.cat([own[: -len(further)], further]), slopes, bends


def norms(scale: Tensor, count: int = NORMS, seed: int = 0) -> Tensor:
    """Of strains z = scale x, to start from: R with RᵀR = G, shape (count, d, d).

    The first two are the norms of x and of the strain's deviator, the others are drawn about them.
    """
    d = len(scale)
    eye = torch.eye(d).to(scale)
    dim = 2 if d == 3 else 3
    squares = torch.ones_like(scale)
    squares[dim:] = 0.5  # shears count twice as gamma, half in the square
    trace = torch.zeros_like(scale)
    trace[:dim] = 1.0
    deviator = torch.diag(squares) - torch.outer(trace, trace) / 3.0
    scaled = deviator * scale * scale[:, None] / scale.square().mean()
    sizes, axes = torch.linalg.eigh(scaled)
    known = torch.stack([eye, (axes * sizes.clamp_min(0.0).sqrt()) @ axes.T])
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(count, d, d, generator=generator, dtype=torch.float64)
    drawn[: len(known)] = 0.0
    return known[torch.arange(count) % len(known)] + SPREAD * drawn.to(scale)
