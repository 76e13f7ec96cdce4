# SPDX-License-Identifier: Apache-2.0
"""A network whose gradient is a stress, with first and second derivatives in closed form.

    ψ(z) = ½ z·C₀ z + N(z) − N(0) − ∇N(0)·z

so that rest is free of stress and has the tangent C₀, whatever the weights. N is a perceptron of
swish layers. The passes carry derivatives along with values, a stack of rows a point: the value,
d first derivatives and, where asked for, the d (d + 1) / 2 second ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations_with_replacement, pairwise

import torch
from torch import Tensor, nn


class SmoothPerceptron(nn.Module):
    """Swish layers with biases, and their derivatives by the inputs."""

    def __init__(self, n_in: int, n_out: int, widths: Sequence[int], seed: int = 0) -> None:
        """Draw weights from Glorot's normal distribution, in float64; biases from a unit normal."""
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.n_in, self.n_out, self.widths = n_in, n_out, tuple(widths)
        sizes = [n_in, *widths, n_out]
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for columns, rows in pairwise(sizes):
            drawn = torch.randn(rows, columns, generator=generator, dtype=torch.float64)
            self.weights.append(nn.Parameter(drawn * (2.0 / (rows + columns)) ** 0.5))
            bias = torch.randn(rows, generator=generator, dtype=torch.float64)
            self.biases.append(nn.Parameter(bias))
        self.places = [(i, j) for i, j in combinations_with_replacement(range(n_in), 2)]

    def forward(self, x: Tensor) -> Tensor:
        """Outputs (q, n_out) of inputs (q, n_in)."""
        *hidden, last = zip(self.weights, self.biases, strict=True)
        for weight, bias in hidden:
            x = nn.functional.silu(nn.functional.linear(x, weight, bias))
        return nn.functional.linear(x, *last)

    def derivatives(self, x: Tensor, second: bool = True) -> tuple[Tensor, Tensor, Tensor | None]:
        """Outputs (q, n), first (q, d, n) and second derivatives (q, s, n), the last as `places`.

        Everything is differentiable in the weights.
        """
        q, d = x.shape
        weight, bias = self.weights[0], self.biases[0]
        z = nn.functional.linear(x, weight, bias)
        first = weight.T.expand(q, d, -1)
        i, j = (torch.tensor([p[k] for p in self.places], device=x.device) for k in (0, 1))
        more: Tensor | None = None
        for weight, bias in zip(list(self.weights)[1:], list(self.biases)[1:], strict=True):
            gate = torch.sigmoid(z)
            flat = gate * (1.0 - gate)
            slope = gate + z * flat
            value = z * gate
            if second:
                bend = flat * (2.0 + z * (1.0 - 2.0 * gate))
                squares = bend[:, None] * (first[:, i] * first[:, j])
                more = squares if more is None else squares + slope[:, None] * more
            first = slope[:, None] * first
            z = nn.functional.linear(value, weight, bias)
            first = first @ weight.T
            more = None if more is None else more @ weight.T
        return z, first, more


class Potential(nn.Module):
    """ψ and further numbers of a vector z, exact at rest to first order and second.

    Args:
        scale: Inputs are divided by these, shape (d,).
        rest_tangent: C₀ [Pa], shape (d, d).
        rest_slopes: Derivatives of the further numbers at rest [Pa], shape (m, d).
        unit: Stress of which the network's numbers are multiples [Pa].
        widths: Of the hidden layers.
        seed: Of the weights.
    """

    def __init__(
        self, scale: Tensor, rest_tangent: Tensor, rest_slopes: Tensor, unit: float,
        widths: Sequence[int] = (32, 32), seed: int = 0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.unit = unit
        for name, value in (
            ("scale", scale), ("rest_tangent", rest_tangent), ("rest_slopes", rest_slopes),
        ):  # fmt: skip
            self.register_buffer(name, value.detach().double().clone())
        self.network = SmoothPerceptron(len(scale), 1 + len(rest_slopes), widths, seed)

    scale: Tensor
    rest_tangent: Tensor
    rest_slopes: Tensor

    def energy(self, z: Tensor) -> Tensor:
        """ψ [J/m³], shape (q,)."""
        zero = z.new_zeros(1, z.shape[1])
        base, slope, _ = self.network.derivatives(zero, second=False)
        x = z / self.scale
        raw = self.network(x)[:, 0] - base[0, 0] - x @ slope[0, :, 0]
        return 0.5 * ((z @ self.rest_tangent) * z).sum(1) + self.unit * self.scale.mean() * raw

    def stress(
        self, z: Tensor, tangent: bool = True
    ) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
        """Derivatives of ψ and the further numbers, with theirs.

        Args:
            z: Shape (q, d).
            tangent: Whether the last two are wanted.

        Returns:
            ∂ψ/∂z [Pa], (q, d); further numbers [Pa], (q, m); ∂²ψ/∂z² (q, d, d); and the
            derivatives of the further numbers, (q, m, d).
        """
        zero = z.new_zeros(1, z.shape[1])
        base, rest, _ = self.network.derivatives(zero, second=False)
        x = z / self.scale
        value, first, second = self.network.derivatives(x, second=tangent)
        share = self.unit * self.scale.mean()
        slope = share * (first[:, :, 0] - rest[0, :, 0]) / self.scale + z @ self.rest_tangent
        more = value[:, 1:] - base[0, 1:] - x @ rest[0, :, 1:]
        numbers = self.unit * more + z @ self.rest_slopes.T
        if not tangent:
            return slope, numbers, None, None
        assert second is not None
        d = z.shape[1]
        full = z.new_empty(len(z), d, d)
        for k, (i, j) in enumerate(self.network.places):
            full[:, i, j] = full[:, j, i] = second[:, k, 0] / (self.scale[i] * self.scale[j])
        C = share * full + self.rest_tangent
        moved = (first[:, :, 1:] - rest[0, :, 1:]) / self.scale[:, None]
        return slope, numbers, C, self.unit * moved.mT + self.rest_slopes
