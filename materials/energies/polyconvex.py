# SPDX-License-Identifier: Apache-2.0
"""A learned energy that is polyconvex whatever its weights.

    ψ = E { s/2 (Ī₁ − 3) + κ [N(x) − N(0) − ∂N/∂x₃(0) x₃] } + K/4 (J² − 1 − 2 log J)

    x₁ ∝ Ī₁^(3/4) − 3^(3/4),   x₂ ∝ Ī₂^(3/2) − 3^(3/2),   x₃ ∝ J − 1

N is convex in x and does not fall with x₁ and x₂ (input-convex network, Amos et al. 2017; for
energies: Klein et al. 2022, Linden et al. 2023). The weights by which x₁, x₂ and hidden units enter
are squares of the parameters, those of x₃ are free, and softplus is convex and rises.

Ī₁^(3/4) = |F|^(3/2) J^(−1/2) and Ī₂^(3/2) = |cof F|³ J^(−2) are convex in (F, J) and (cof F, J):
a^p y^(−m) is so for p ≥ m + 1 (Hartmann and Neff 2003), and these are the lowest powers for which
it holds. The lower power is why the law can soften under shear as well as stiffen. J, what is taken
off at rest included, enters linearly or by a convex function. A sum of such terms is polyconvex,
so elliptic: waves run in every direction, and boundary value problems have minimizers (Ball 1977).

ψ(I) = 0 and P(I) = 0, for the isochoric invariants are stationary at rest and the slope in J is
taken off. Elsewhere ψ ≥ E s/2 (Ī₁ − 3) + K/4 (J² − 1 − 2 log J), as the bracket is not negative
(it rises with x₁ and x₂ from where it touches its tangent): with s and K positive by construction
ψ grows without bound as J → 0, J → ∞ or |F| → ∞.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, softplus

from ..invariants import Invariants, equibiaxial, uniaxial
from ..learned.perceptron import hidden_widths
from ..rubber import volume_energy, volume_pressure
from ..scales import above_zero
from .invariant_energy import InvariantEnergy, Slopes

KINKS = 2.0
"""Units of the first layer bend at 0 to this many times the strain scale at first."""
LINEAR = 40.0
"""Where softplus is its asymptote to the last bit of float64."""


class ConvexNetwork(nn.Module):
    """N(x) of three inputs, convex, not falling with the first two; and its gradient written out.

    Each layer takes the inputs and the layer before; softplus between them; the last layer sums.

    Args:
        widths: Of the hidden layers.
        seed: Of the weights; None takes torch's global generator.

    Raises:
        ValueError: A width is not between 1 and 4096, or there are none or more than 16.
    """

    def __init__(self, widths: Sequence[int], seed: int | None = None) -> None:
        super().__init__()
        widths = hidden_widths(widths)
        generator = None if seed is None else torch.Generator().manual_seed(seed)

        def drawn(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.rand(*shape, generator=generator))

        self.inputs = nn.ParameterList(drawn(w, 3) for w in widths)
        """Roots of the weights of x₁ and x₂, and the weights of x₃; shape (width, 3) a layer."""
        self.biases = nn.ParameterList(drawn(w) for w in widths)
        """Shape (width,) a layer."""
        self.layers = nn.ParameterList(drawn(after, w) for w, after in pairwise(widths))
        """Roots of the weights between hidden layers, shape (width after, width)."""
        self.output = drawn(widths[-1])
        """Roots of the weights of the sum, shape (width,)."""
        with torch.no_grad():
            for weight, bias in zip(self.inputs, self.biases, strict=True):
                weight[:, 2].mul_(2).sub_(1)
                bias.mul_(-KINKS)
            for weight in self.layers:
                weight.mul_((3 / weight.shape[1]) ** 0.5)

    def forward(self, x: Tensor) -> Tensor:
        """N, shape (q,), of inputs (q, 3)."""
        z, _, _ = self._hidden(x)
        return softplus(z[-1], threshold=LINEAR) @ self.output.square().to(x)

    def gradient(self, x: Tensor) -> Tensor:
        """∂N/∂x, shape (q, 3)."""
        z, first, between = self._hidden(x)
        bar = self.output.square().to(x) * z[-1].sigmoid()
        out = bar @ first[-1]
        for below, weight, passed in zip(z[-2::-1], first[-2::-1], between[::-1], strict=True):
            bar = (bar @ passed) * below.sigmoid()
            out = out + bar @ weight
        return out

    def _hidden(self, x: Tensor) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """Sums into the units (q, width), and the weights as used; one a layer."""
        first = [torch.cat([w[:, :2].square(), w[:, 2:]], 1).to(x) for w in self.inputs]
        between = [w.square().to(x) for w in self.layers]
        z = [linear(x, first[0], self.biases[0].to(x))]
        for weight, bias, passed in zip(first[1:], list(self.biases)[1:], between, strict=True):
            h = softplus(z[-1], threshold=LINEAR)
            z.append(linear(x, weight, bias.to(x)) + linear(h, passed))
        return z, first, between


class Polyconvex(InvariantEnergy):
    """The energy of this module; new, it is nearly neo-Hookean with an energy of the volume.

    The shear modulus at rest is then energy_scale exactly, of which the network holds a share.

    Args:
        energy_scale: E > 0 [Pa], the shear modulus to begin with.
        bulk: K > 0 at the start [Pa]; None: 5/3 of E, Poisson's ratio 0.25.
        strain_scale: Strain [-] at which hidden units bend at first.
        share: Of the shear modulus at rest that is the network's at first, between 0 and 1 [-].
        widths: Of the hidden layers.
        seed: Of the weights; None takes torch's global generator.

    Raises:
        ValueError: An argument is out of its range.
    """

    name: ClassVar[str] = "polyconvex"

    def __init__(
        self, energy_scale: float = 1e5, bulk: float | None = None, *, strain_scale: float = 0.3,
        share: float = 0.02, widths: Sequence[int] = (16, 16), seed: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        bulk = 5 / 3 * energy_scale if bulk is None else bulk
        self.energy_scale = above_zero("energy_scale", energy_scale, "[Pa]")
        """E [Pa]"""
        self.bulk = above_zero("bulk", bulk, "[Pa]")
        """K at the start [Pa]"""
        self.strain_scale = above_zero("strain_scale", strain_scale, "[-]")
        """[-]"""
        if not 0 < share < 1:
            raise ValueError(f"got share = {share:g}, expected one between 0 and 1 [-]")
        self.share = share
        """[-]"""
        self.widths, self.seed = tuple(widths), seed
        I1, I2 = uniaxial(1 + self.strain_scale)[0], equibiaxial(1 + self.strain_scale)[1]
        self.spans = (I1**0.75 - 3**0.75, I2**1.5 - 3**1.5, self.strain_scale)
        """What makes x 1 [-]: a pull along one axis x₁, along two x₂, which grows most there."""
        self.gain = I1 - 3
        """κ [-]"""
        self.network = ConvexNetwork(self.widths, seed)
        self.log_share = nn.Parameter(torch.zeros(()))
        """log s [-], scalar."""
        self.log_bulk = nn.Parameter(torch.zeros(()))
        """log of K by what it was at the start [-], scalar."""
        self._start()

    @torch.no_grad()
    def _start(self) -> None:
        """Give the network its share of the shear modulus at rest, 2 (ψ₁ + ψ₂)."""
        rest = torch.zeros(1, 3, dtype=torch.float64)
        I = torch.tensor([3.0], dtype=torch.float64)
        one, two = self._by_invariants(self.network.gradient(rest), Invariants(I, I, I))
        self.network.output.mul_((self.share / (2 * (one + two))).sqrt().to(self.network.output))
        self.log_share.fill_(math.log(1 - self.share))

    def bulk_modulus(self) -> Tensor:
        """K of the energy of the volume [Pa], scalar; the network adds to it at rest."""
        return self.bulk * self.log_bulk.exp()

    def penalty(self) -> Tensor:
        """Mean weight of x₂ where it enters the network [-], scalar, at least 0.

        Added to what is minimized it leaves Ī₂ out where the data do not ask for it.
        """
        return torch.cat([weight[:, 1] for weight in self.network.inputs]).square().mean()

    def density(self, at: Invariants) -> Tensor:
        """ψ [J/m³], shape (q,)."""
        x = self._inputs(at)
        N, slope = self.network(x), self.network.gradient(x[-1:])[0, 2]
        learned = N[:-1] - N[-1] - slope * x[:-1, 2]
        shear = 0.5 * self.log_share.exp().to(x) * (at.I1 - 3)
        volume = volume_energy(self.bulk_modulus().to(x), at.J)
        return self.energy_scale * (shear + self.gain * learned) + volume

    def slopes(self, at: Invariants) -> Slopes:
        """See `InvariantEnergy.slopes`."""
        slope = self.network.gradient(self._inputs(at))
        one, two = self._by_invariants(slope[:-1], at)
        three = self.gain / self.spans[2] * (slope[:-1, 2] - slope[-1, 2])
        share = 0.5 * self.log_share.exp().to(one)
        pressure = volume_pressure(self.bulk_modulus().to(one), at.J)
        E = self.energy_scale
        return Slopes(E * (share + one), E * two, E * at.J * three + pressure)

    def _inputs(self, at: Invariants) -> Tensor:
        """X of the points, and below that of rest: shape (q + 1, 3)."""
        one, two, three = self.spans
        x = torch.stack(
            [
                (at.I1.pow(0.75) - 3**0.75) / one,
                (at.I2.pow(1.5) - 3**1.5) / two,
                (at.J - 1) / three,
            ],
            1,
        )
        return nn.functional.pad(x, (0, 0, 0, 1))

    def _by_invariants(self, slope: Tensor, at: Invariants) -> tuple[Tensor, Tensor]:
        """∂(κ N)/∂Ī₁ and ∂(κ N)/∂Ī₂ [-], shape (q,), of ∂N/∂x, shape (q, 3)."""
        one, two, _ = self.spans
        first = 0.75 * self.gain / one * slope[:, 0] * at.I1.pow(-0.25)
        return first, 1.5 * self.gain / two * slope[:, 1] * at.I2.sqrt()

    @classmethod
    def example(cls) -> Self:
        """A soft solid, half of whose modulus is the network's."""
        return cls(1e5, strain_scale=0.1, share=0.5, seed=1)

    def extra_repr(self) -> str:
        """Scales, for print()."""
        return (
            f"energy_scale={self.energy_scale:.6g} Pa, bulk={self.bulk:.6g} Pa,"
            f" strain_scale={self.strain_scale:g}"
        )
