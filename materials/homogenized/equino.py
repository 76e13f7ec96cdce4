# SPDX-License-Identifier: Apache-2.0
"""EquiNO: the law of a periodic cell, learned from cells that were solved.

After Eivazi et al. 2025, "EquiNO: A physics-informed neural operator for multiscale simulations":
the fields in the cell are combinations of modes of strain, which are periodic, and of modes of
stress, which are in balance, and a network gives their coefficients from the mean strain.

Here the mean stress is moreover the gradient of a learned potential ψ(z), so that its tangent is
symmetric; for small strains the coefficients of stress are corrected by the smallest change with
which the modes have that mean. z is the strain, or for finite strains Green and Lagrange's E, with
the second Piola stress S = ∂ψ/∂E and τ = F S Fᵀ: the law does not see rotations.

Numbers of the phases' laws, such as the modulus of the fibres, may be further inputs. They are then
the parameters of the law, and its weights are none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from ..law import ConstitutiveLaw, Response
from .phase_parameters import PhaseParameter, laws_of, polynomials, powers
from .potential import Potential, SmoothPerceptron, norms
from .strain_vectors import NAMES, strain_vector, tensor_of_stress

CHUNK = 1024
"""Points that a CPU computes at once, so that the numbers stay in its cache."""


class EquiNO(ConstitutiveLaw):
    """A learned cell; `rheograd.engine.homogenize.training` makes one.

    Args:
        small: Whether strains are small.
        lower: Least mean strains of the box that it was trained for [-]; components as in
            strain_vectors.py, 3 in plane strain or 6 in space.
        upper: Largest ones [-].
        unit: A stress of the size of the cell's [Pa].
        widths: Of the hidden layers of the potential.
        branch: Of the hidden layers of the network for the coefficients.
        modes: Number of modes of strain, and of stress.
        sizes: Free unknowns of the cell, and quadrature points.
        cell: What the cell is, in words and numbers, so that it can be solved again: kind of
            element, phases, digest of the mesh.
        errors: Of the validation, in percent, by name.
        mesh: Number of nodes, elements and nodes of an element.
        varied: Phase, name, least and largest value of each parameter of the phases that is an
            input. `phases` then has the laws of the phases with these as their only parameters.

    Raises:
        ValueError: The box has another number of strains, or there is no such parameter.
    """

    name: ClassVar[str] = "equino"
    symmetric = True

    def __init__(
        self,
        small: bool,
        lower: Sequence[float],
        upper: Sequence[float],
        unit: float,
        widths: Sequence[int] = (32,),
        branch: Sequence[int] = (48, 48),
        modes: Sequence[int] = (16, 16),
        sizes: Sequence[int] = (0, 0),
        mesh: Sequence[int] = (0, 0, 0),
        cell: Sequence[Any] = (),
        errors: Sequence[Any] = (),
        varied: Sequence[Sequence[Any]] = (),
    ) -> None:
        super().__init__()
        self.small, self.unit = small, unit
        self.lower, self.upper = tuple(lower), tuple(upper)
        if len(self.lower) not in (3, 6) or len(self.lower) != len(self.upper):
            raise ValueError(
                f"got a box of {len(self.lower)} and {len(self.upper)} strains, expected 3 (xx, "
                "yy, gamma_xy) or 6 of each"
            )
        self.widths, self.branch, self.modes = tuple(widths), tuple(branch), tuple(modes)
        self.sizes, self.mesh = tuple(sizes), tuple(mesh)
        self.cell, self.errors = list(cell), list(errors)
        self.varied = [list(v) for v in varied]
        self.inputs = tuple(PhaseParameter(*v) for v in self.varied)
        self.phases = laws_of(self.cell[2], self.inputs) if self.inputs else nn.ModuleDict()
        d, n = len(self.lower), len(self.inputs)
        terms = (len(powers(n)),) if n else ()
        extra = 1 if d == 3 else 0
        box = torch.tensor([self.lower, self.upper], dtype=torch.float64)
        zero = torch.zeros(*terms, d, d, dtype=torch.float64)
        self.potential = Potential(
            box.abs().amax(0), zero, zero[..., :extra, :], unit, self.widths, parameters=n
        )
        self.coefficients_of = SmoothPerceptron(
            d, sum(self.modes), self.branch, norms(self.potential.scale, seed=1), cubes=False,
            seed=1, further=n,
        )  # fmt: skip
        if n:
            self.potential.network.freeze()
            self.coefficients_of.freeze()
        rows = d + extra if small else (5 if d == 3 else 9)
        columns = d if small else (4 if d == 3 else 9)
        empty = {
            "sizes_of_modes": (sum(self.modes),), "rest_slopes": (*terms, sum(self.modes), d),
            "fluctuation_modes": (self.sizes[0], self.modes[0]),
            "strain_modes": (self.sizes[1], columns, self.modes[0]),
            "stress_modes": (self.sizes[1], rows, self.modes[1]),
            "mean_modes": (rows, self.modes[1]), "nodes": (self.mesh[0], 3),
        }  # fmt: skip
        for name, shape in empty.items():
            self.register_buffer(name, torch.zeros(shape, dtype=torch.float64))
        self.register_buffer("cells", torch.zeros(self.mesh[1:], dtype=torch.int64))
        self.register_buffer("phase", torch.zeros(self.mesh[1], dtype=torch.int64))

    sizes_of_modes: Tensor
    rest_slopes: Tensor
    fluctuation_modes: Tensor
    strain_modes: Tensor
    stress_modes: Tensor
    mean_modes: Tensor
    nodes: Tensor
    cells: Tensor
    phase: Tensor

    @property
    def kinematics(self) -> str:  # type: ignore[override]
        """Of the cell."""
        return "small" if self.small else "finite"

    @property
    def dim(self) -> int:  # type: ignore[override]
        """Of the cell."""
        return 2 if len(self.lower) == 3 else 3

    def phase_inputs(self) -> Tensor | None:
        """Parameters of the phases scaled to their ranges, shape (n,); None where none vary.

        Raises:
            ValueError: One is not finite, or not positive where its range is.
        """
        if not self.inputs:
            return None
        return torch.stack([v.scaled(v.of(self.phases)) for v in self.inputs])

    def at(self, values: Mapping[str, float]) -> Self:
        """The law with other parameters of the phases, of the same networks.

        Args:
            values: By names such as fibre.young; those not named stay.

        Raises:
            ValueError: A name is not that of a parameter that varies.
        """
        known = {v.label: v for v in self.inputs}
        out = deepcopy(self, {id(buffer): buffer for buffer in self.buffers()})
        for label, value in values.items():
            if label not in known:
                raise ValueError(
                    f"got a value of {label}, expected parameters that the law was trained for: "
                    f"{', '.join(known) or 'it has none'}"
                )
            known[label].of(out.phases).data.fill_(value)
        return out

    def strain(self, F: Tensor) -> Tensor:
        """Mean strains z, shape (q, d), of deformation gradients (q, 3, 3)."""
        eye = torch.eye(3).to(F)
        E = 0.5 * (F + F.mT) - eye if self.small else 0.5 * (F.mT @ F - eye)
        return strain_vector(E, self.dim)

    def outside(self, F: Tensor) -> Tensor:
        """How far mean strains are out of the box, by its half-width; shape (q,), at most 0 within.

        Where parameters of the phases are farther out of their ranges, how far these are.

        Args:
            F: Deformation gradients, shape (q, 3, 3).
        """
        z = self.strain(F)
        low, high = z.new_tensor(self.lower), z.new_tensor(self.upper)
        centre, half = 0.5 * (low + high), 0.5 * (high - low)
        out = ((z - centre).abs() / half).amax(1) - 1.0
        x = self.phase_inputs()
        return out if x is None else out.maximum(x.detach().abs().amax().to(out) - 1.0)

    def stretches(self) -> tuple[float, float]:
        """Least and largest stretch along an axis within the box [-]."""
        low, high = min(self.lower[: self.dim]), max(self.upper[: self.dim])
        if self.small:
            return 1 + low, 1 + high
        return (1 + 2 * low) ** 0.5, (1 + 2 * high) ** 0.5

    def marks(self, F_elastic: Tensor, internal: Tensor) -> Mapping[str, Tensor]:
        """See `ConstitutiveLaw.marks`: "outside_box", by the half-width of the box.

        And "outside_parameters", of all points alike, where parameters of the phases vary.
        """
        out = {"outside_box": self.outside(F_elastic).clamp_min(0.0)}
        x = self.phase_inputs()
        if x is not None:
            beyond = float((x.detach().abs().amax() - 1.0).clamp_min(0.0))
            out["outside_parameters"] = torch.full_like(out["outside_box"], beyond)
        return out

    def stress(self, F_elastic: Tensor, internal: Tensor) -> Tensor:
        """Kirchhoff stress, or for small strains the stress [Pa], shape (q, 3, 3)."""
        F = F_elastic.to(self.potential.scale)
        s, more, _, _ = self.potential.stress(self.strain(F), False, self.phase_inputs())
        return self._whole(F, s, more).to(F_elastic)

    def energy(self, F_elastic: Tensor, internal: Tensor) -> Tensor:
        """ψ [J/m³]."""
        F = F_elastic.to(self.potential.scale)
        return self.potential.energy(self.strain(F), self.phase_inputs()).to(F_elastic)

    def update(self, F_trial: Tensor, internal: Tensor, dt: float) -> Response:
        """See `ConstitutiveLaw.update`."""
        return Response(self.stress(F_trial, internal), F_trial, internal)

    @torch.no_grad()
    def linearize(
        self, F_trial: Tensor, internal: Tensor, dt: float, guess: Tensor | None = None
    ) -> tuple[Response, Tensor]:
        """See `ConstitutiveLaw.linearize`; in closed form."""
        own = F_trial.detach().to(self.potential.scale)
        several = len(own) if own.is_cuda else CHUNK
        parts = [self._linearized(F) for F in own.split(max(1, several))]
        tau, tangent = (torch.cat(t).to(F_trial) for t in zip(*parts, strict=True))
        return Response(tau, F_trial, internal), tangent

    def _linearized(self, F: Tensor) -> tuple[Tensor, Tensor]:
        s, more, C, moved = self.potential.stress(self.strain(F), True, self.phase_inputs())
        assert C is not None
        assert moved is not None
        units = tensor_of_stress(torch.eye(s.shape[1]).to(s)).flatten(1)  # (d, 9)
        D = units.T @ C @ units
        if more.shape[1]:
            D[:, 8] += moved[:, 0] @ units
        D = D.unflatten(1, (3, 3)).unflatten(3, (3, 3))
        tau = self._whole(F, s, more)
        if self.small:
            return tau, D
        # tau = F S Fᵀ, dE = sym(Fᵀ dF)
        S = self._second_piola(s, more)
        push = torch.einsum("piA,pjB,pABCL,pkC->pijkL", F, F, D, F)
        SF = S @ F.mT
        eye = torch.eye(3).to(F)
        push = push + torch.einsum("ik,pLj->pijkL", eye, SF)
        return tau, push + torch.einsum("jk,pLi->pijkL", eye, SF)

    def _second_piola(self, s: Tensor, more: Tensor) -> Tensor:
        S = tensor_of_stress(s)
        if more.shape[1]:
            S[:, 2, 2] = more[:, 0]
        return S

    def _whole(self, F: Tensor, s: Tensor, more: Tensor) -> Tensor:
        S = self._second_piola(s, more)
        return S if self.small else F @ S @ F.mT

    def mode_coefficients(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Of the modes of strain (k, r) and of stress (k, s), of mean strains (k, d).

        For small strains those of stress are such that the modes' mean is the law's.
        """
        x = self.phase_inputs()
        a, b = self.learned_coefficients(z, x).split(list(self.modes), 1)
        if self.small:
            s, more, _, _ = self.potential.stress(z, False, x)
            missing = torch.cat([s, more], 1) - b @ self.mean_modes.T
            b = b + missing @ torch.linalg.pinv(self.mean_modes).T
        return a, b

    def learned_coefficients(self, z: Tensor, inputs: Tensor | None = None) -> Tensor:
        """Coefficients as the network gives them, shape (k, r + s); zero at rest.

        Args:
            z: Mean strains, shape (k, d).
            inputs: What `phase_inputs` gives.
        """
        x, at_rest = z / self.potential.scale, torch.zeros_like(z[:1])
        base, slope, _ = self.coefficients_of.derivatives(at_rest, 1, inputs)
        assert slope is not None
        raw = self.coefficients_of(x, inputs) - base - x @ slope[0]
        slopes = self.rest_slopes
        if inputs is not None:
            slopes = torch.tensordot(polynomials(inputs), slopes, 1)
        return z @ slopes.T + self.sizes_of_modes * raw

    def local_fields(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Local fields under mean strains z, shape (k, d).

        Returns:
            Free unknowns of the fluctuations [m], (k, size); strains at the points that come on top
            of the mean (k, p, c), and stresses there [Pa], (k, p, s), by components of the cell.
        """
        a, b = self.mode_coefficients(z)
        strain = torch.einsum("kr,pcr->kpc", a, self.strain_modes)
        return (
            a @ self.fluctuation_modes.T,
            strain,
            torch.einsum("kr,psr->kps", b, self.stress_modes),
        )

    def extra_repr(self) -> str:
        """The box, for print()."""
        pieces = zip(NAMES[self.dim], self.lower, self.upper, strict=True)
        box = ", ".join(f"{name} {a:g} to {b:g}" for name, a, b in pieces)
        own = (
            f", {v.label}={v.of(self.phases).item():.6g} ({v.lower:g} to {v.upper:g})"
            for v in self.inputs
        )
        return f"{self.kinematics} strain, {box}{''.join(own)}"

    @classmethod
    def example(cls) -> Self:
        """A cell in space under finite strain, stiff as a rubber at rest and not trained."""
        out = cls(False, (-0.3,) * 6, (0.3,) * 6, 1e5, (8, 8), (8,), (1, 1))
        mu, lam = 4e5, 1e6
        C = torch.diag(torch.tensor([2 * mu] * 3 + [mu] * 3, dtype=torch.float64))
        C[:3, :3] += lam
        out.potential.rest_tangent.copy_(C)
        with torch.no_grad():  # what is not trained must not outweigh it
            out.potential.network.weights[-1] *= 0.1
        return out
