# SPDX-License-Identifier: Apache-2.0
"""A bias-free perceptron, and its passes forward and backward without an autograd graph.

The graph-free passes work on a block of points that fits the cache, in buffers that the caller
owns, so that any number of threads may run the same network. Matrix products with few columns are
padded to `PAD`: twice as fast with MKL (53 to 28 ns a point for 64 x 9 in float32).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, linear, pad

PAD = 16
WIDEST = 4096
DEEPEST = 16


class Perceptron(nn.Module):
    """Linear layers without biases, GELU between them: zero is mapped to zero.

    The weights of a layer, shape (n_out, n_in), are drawn from Glorot's uniform distribution.
    """

    def __init__(self, n_in: int, n_out: int, widths: Sequence[int], seed: int | None = None):
        """See the class.

        Args:
            n_in: Inputs.
            n_out: Outputs.
            widths: Of the hidden layers, at least one.
            seed: Of the weights; None draws them from torch's global generator.

        Raises:
            ValueError: There are not 1 to 16 widths, or one is not between 1 and 4096.
        """
        super().__init__()
        possible = all(isinstance(w, int) and 1 <= w <= WIDEST for w in widths)
        if not possible or not 1 <= len(widths) <= DEEPEST:
            raise ValueError(
                f"1 to {DEEPEST} hidden layers need widths from 1 to {WIDEST}; got "
                f"{str(list(widths))[:80]}: give for example widths=(64, 64)"
            )
        sizes = [n_in, *widths, n_out]
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        self.weights = nn.ParameterList(
            nn.init.xavier_uniform_(torch.empty(rows, columns), generator=generator)
            for columns, rows in pairwise(sizes)
        )

    @property
    def n_in(self) -> int:
        """Inputs."""
        return self.weights[0].shape[1]

    @property
    def n_out(self) -> int:
        """Outputs."""
        return self.weights[-1].shape[0]

    @property
    def widths(self) -> tuple[int, ...]:
        """Of the hidden layers."""
        return tuple(weight.shape[0] for weight in self.weights[:-1])

    def forward(self, x: Tensor) -> Tensor:
        """Outputs, shape (q, n_out), of inputs (q, n_in), computed in the precision of `x`."""
        *hidden, last = (weight.to(x.dtype) for weight in self.weights)
        for weight in hidden:
            x = gelu(linear(x, weight))
        return linear(x, last)

    def packed(self, like: Tensor) -> Packed:
        """The weights as the graph-free passes need them, in the precision of `like`."""
        plain = tuple(weight.detach().to(like.dtype) for weight in self.weights)
        first = pad(plain[0], (0, padded(self.n_in) - self.n_in))
        last = pad(plain[-1], (0, 0, 0, padded(self.n_out) - self.n_out))
        return Packed(plain, first, last)

    @torch.no_grad()
    def start_linear(self, target: Tensor, gain: float = 1.0) -> None:
        """Choose weights with which the network is the linear map `target`, exactly.

        As gelu(z) - gelu(-z) = z, units in pairs of opposite weights pass on what they get. The
        directions of the pairs stay random, so training makes of them what it needs.

        Args:
            target: Shape (n_out, n_in).
            gain: Factor on the random weights of the first layer.

        Raises:
            ValueError: A width is odd, or too narrow to carry n_in numbers.
        """
        if any(w % 2 or w // 2 < self.n_in for w in self.widths):
            raise ValueError(
                f"a linear start needs even widths of at least {2 * self.n_in}; got {self.widths}"
            )
        self.weights[0].mul_(gain)
        carried = torch.eye(self.n_in, dtype=torch.float64)  # what the first of each pair receives
        for depth, weight in enumerate(self.weights[:-1]):
            half = weight.shape[0] // 2
            if depth == 0:
                block = weight[:half]
                weight[half:] = -block
            else:
                block = weight[:half, : weight.shape[1] // 2]
                weight.copy_(
                    torch.cat([torch.cat([block, -block], 1), torch.cat([-block, block], 1)])
                )
            carried = block.double().cpu() @ carried
        out = target.double().cpu() @ torch.linalg.pinv(carried)
        self.weights[-1].copy_(torch.cat([out, -out], 1))


class Packed(NamedTuple):
    """Weights of one precision."""

    plain: tuple[Tensor, ...]
    """Each of shape (n_out, n_in)."""
    first: Tensor
    """Of the first layer, shape (width, padded n_in)."""
    last: Tensor
    """Of the last layer, shape (padded n_out, width)."""


def padded(columns: int) -> int:
    """The next multiple of PAD."""
    return -(-columns // PAD) * PAD


class Block:
    """What the passes over up to `rows` points write."""

    def __init__(self, network: Perceptron, rows: int, like: Tensor):
        """See the class; buffers are typed as `like`."""

        def empty(columns: int) -> Tensor:
            return torch.empty(rows, columns, dtype=like.dtype, device=like.device)

        self.z = [empty(width) for width in network.widths]
        """Inputs of the activations, shape (rows, width) each."""
        self.h = [empty(width) for width in network.widths]
        """Outputs of the activations."""
        self.slope = [empty(width) for width in network.widths]
        """Gradients with respect to z."""
        self.y = empty(padded(network.n_out))
        """Outputs, then padding, shape (rows, padded n_out)."""
        self.y_bar = empty(network.n_out)
        """Gradients with respect to the outputs, shape (rows, n_out)."""
        self.x_bar = empty(padded(network.n_in))
        """Gradients with respect to the inputs, then padding, shape (rows, padded n_in)."""

    def narrow(self, rows: int) -> Block:
        """The first rows of each buffer."""
        part = Block.__new__(Block)
        for name, value in vars(self).items():
            many = isinstance(value, list)
            setattr(part, name, [v[:rows] for v in value] if many else value[:rows])
        return part


def forward(weights: Packed, x: Tensor, block: Block) -> None:
    """Fill z, h and y of a block for the inputs `x`, shape (rows, n_in)."""
    for weight, z, h in zip(weights.plain[:-1], block.z, block.h, strict=True):
        torch.mm(x, weight.t(), out=z)
        torch.ops.aten.gelu.out(z, out=h)
        x = h
    torch.mm(x, weights.last.t(), out=block.y)


def backward(
    weights: Packed, x: Tensor, block: Block, gradients: Sequence[Tensor], *, add: bool
) -> None:
    """Fill x_bar of a block from y_bar and what `forward` left; likewise the weights' gradients.

    Args:
        weights: As in `forward`.
        x: As in `forward`.
        block: As `forward` left it.
        gradients: From `gradient_buffers`.
        add: Whether to add to the gradients or to overwrite them.
    """
    beta = 1.0 if add else 0.0

    def accumulate(out: Tensor, left: Tensor, right: Tensor) -> None:
        torch.addmm(out, left.t(), right, beta=beta, out=out)

    accumulate(gradients[-1], block.y_bar, block.h[-1])
    above, matrix = block.y_bar, weights.plain[-1]
    for k in range(len(block.z) - 1, -1, -1):
        slope = torch.mm(above, matrix, out=block.slope[k])
        torch.ops.aten.gelu_backward.grad_input(slope, block.z[k], grad_input=slope)
        if k:
            accumulate(gradients[k], slope, block.h[k - 1])
        above, matrix = slope, weights.plain[k]
    accumulate(gradients[0], x, above)
    torch.mm(above, weights.first, out=block.x_bar)


def gradient_buffers(weights: Packed) -> list[Tensor]:
    """One buffer per layer for `backward`, zero; that of the first layer is transposed."""
    return [w.new_zeros(w.shape if k else w.t().shape) for k, w in enumerate(weights.plain)]


def finished(gradients: Sequence[Tensor], network: Perceptron) -> tuple[Tensor, ...]:
    """The buffers as gradients of `network.weights`."""
    oriented = [gradients[0].t().contiguous(), *gradients[1:]]
    return tuple(g.to(weight.dtype) for g, weight in zip(oriented, network.weights, strict=True))
