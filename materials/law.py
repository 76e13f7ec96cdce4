# SPDX-License-Identifier: Apache-2.0
"""The constitutive law: the one seam between physics and discretization.

A law maps a trial deformation gradient to a stress and to the elastic deformation that remains
after plastic flow. The same form serves a return mapping in MPM, history in finite elements and
a homogenized cell.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple, Self

import torch
from torch import Tensor, nn

from .provenance import Provenance


@dataclass(frozen=True)
class Response:
    """What a law answers to a trial deformation."""

    tau: Tensor
    """Kirchhoff stress [Pa], shape (q, 3, 3)."""
    F_elastic: Tensor
    """Elastic deformation gradient [-], shape (q, 3, 3)."""
    internal: Tensor
    """History variables, shape (q, m)."""
    guess: Tensor | None = None
    """What `ConstitutiveLaw.linearize` may start from next time, a row a point, shape (q, ...);
    None: it does not iterate."""


class Twin(NamedTuple):
    """The names under which kernels/laws/update.py builds the device form of an analytic law."""

    elasticity: str
    plasticity: str = "none"
    damped: bool = False


class Pullback(NamedTuple):
    """Gradients of a scalar with respect to the inputs of `ConstitutiveLaw.update`."""

    F_trial: Tensor
    """Shape (q, 3, 3)."""
    internal: Tensor
    """Shape (q, m)."""
    parameters: tuple[Tensor, ...]
    """One per entry of `law.parameters()`, of that parameter's shape."""


class ConstitutiveLaw(nn.Module, ABC):
    """Stress and plastic flow of one material, as a torch module.

    Subclasses set `name` (the word used in files and on the command line) and implement `stress`,
    `update` and `example`; all else has a default.
    """

    name: ClassVar[str]
    revision: ClassVar[int] = 1
    """Of the formula: one more where it changes, so that numbers fitted to another are refused."""
    n_internal: int = 0
    """Numbers per material point: constant fields, then history variables."""
    fields: Mapping[str, int] = MappingProxyType({})
    """Constant fields by name, with the numbers that each has at a point: the first columns of the
    history. A Body gives their values, `update` hands them on as they are."""
    axes: tuple[str, ...] = ()
    """Fields that are directions of the body at rest, of no sense: but for them it is isotropic."""
    objective: bool = True
    """Whether the stress turns with the body, τ(Q F) = Q τ(F) Qᵀ for rotations Q."""
    kinematics: ClassVar[str] = "finite"
    """"finite", or "small": F_trial is then F_elastic at the start of the step plus the gradient of
    the displacement since, and tau is the stress on the undeformed area. Finite elements only."""
    symmetric: bool = False
    """Whether dP/dF of the first Piola stress has the major symmetry of an energy's: a solver then
    needs half the matrix."""
    dim: ClassVar[int | None] = None
    """2: it answers in plane strain alone, 3: in space alone; None: in both."""
    smooth_at_rest: bool = True
    """Whether the stress has a derivative at F = I, as implicit solvers need."""
    yields: bool = False
    """Whether a flow limits its stress, so that a larger force finds no equilibrium; not said of
    learned laws."""
    conservative: bool = False
    """Whether all work of its stress is kept in `energy`."""
    capturable: ClassVar[bool] = False
    """Whether a CUDA graph may hold `update_into` and `pullback`: no wait for the device in them,
    and the same operations on the same memory each time."""
    provenance: Provenance | None = None
    """What it was fitted to, which its file keeps; None: not known, or not fitted."""

    @abstractmethod
    def stress(self, F_elastic: Tensor, internal: Tensor) -> Tensor:
        """Kirchhoff stress [Pa], shape (q, 3, 3), of a given elastic state (no flow, no rate)."""

    @abstractmethod
    def update(self, F_trial: Tensor, internal: Tensor, dt: float) -> Response:
        """Answer to a step.

        Args:
            F_trial: Deformation gradient before plastic flow [-], shape (q, 3, 3).
            internal: History variables at the start of the step, shape (q, n_internal).
            dt: Step length [s].
        """

    def energy(self, F_elastic: Tensor, internal: Tensor) -> Tensor | None:
        """Elastic energy per volume at rest ψ [J/m³], shape (q,); None: the stress is that of none.

        It is tau = dψ/dF Fᵀ, or dψ/dF for small strains.
        """
        return None

    @classmethod
    @abstractmethod
    def example(cls) -> ConstitutiveLaw:
        """An instance with ordinary parameters, which the property tests use."""

    @property
    def twin(self) -> Twin | None:
        """The device form, or None for a law that runs as batched torch."""
        return None

    def coefficients(self) -> Tensor:
        """What the device form is given, shape (c,), differentiable in the parameters.

        Raises:
            TypeError: The law has no device form.
        """
        raise TypeError(f"{type(self).__name__} has no device form and so no coefficients")

    def rest_internal(self, q: int, like: Tensor) -> Tensor:
        """History variables of `q` points at rest, shape (q, n_internal), typed as `like`.

        Constant fields are zero in it; a solver puts those of its bodies there.
        """
        return torch.zeros(q, self.n_internal, dtype=like.dtype, device=like.device)

    def pullback(
        self,
        F_trial: Tensor,
        internal: Tensor,
        dt: float,
        tau_bar: Tensor,
        F_bar: Tensor,
        internal_bar: Tensor,
        *,
        kept: Any = None,
        F_elastic: Tensor | None = None,
        out: Tensor | None = None,
    ) -> Pullback:
        """Gradients of `update` given those of its outputs; by autograd unless overridden.

        Those of frozen parameters are zero.

        Args:
            F_trial: As in `update`.
            internal: As in `update`.
            dt: As in `update`.
            tau_bar: Gradient with respect to tau, shape (q, 3, 3).
            F_bar: Gradient with respect to F_elastic, shape (q, 3, 3).
            internal_bar: Gradient with respect to the new history, shape (q, n_internal).
            kept: What `update_into` kept at the same F_trial, to save work; see `new_kept`.
            F_elastic: What `update_into` gave.
            out: Memory for the gradient with respect to F_trial, possibly F_bar itself.
        """
        with torch.enable_grad():
            F_in = F_trial.detach().requires_grad_()
            h_in = internal.detach().requires_grad_()
            found = self.update(F_in, h_in, dt)
            grads = torch.autograd.grad(
                (found.tau, found.F_elastic, found.internal),
                (F_in, h_in, *free(self)),
                (tau_bar, F_bar, internal_bar),
                allow_unused=True,
                materialize_grads=True,
            )
        F_trial_bar = grads[0] if out is None else out.copy_(grads[0])
        return Pullback(F_trial_bar, grads[1], with_frozen(self, grads[2:]))

    def new_kept(self, q: int, like: Tensor) -> Any:
        """Memory in which `update_into` keeps what shortens `pullback`; None: nothing to keep."""
        return None

    @torch.no_grad()
    def update_into(
        self, F_trial: Tensor, internal: Tensor, dt: float, out: Response, kept: Any = None
    ) -> None:
        """`update` without a graph, into the tensors of `out`.

        Args:
            F_trial: As in `update`.
            internal: As in `update`.
            dt: As in `update`.
            out: Where the result goes.
            kept: From `new_kept`.
        """
        found = self.update(F_trial, internal, dt)
        out.tau.copy_(found.tau)
        out.F_elastic.copy_(found.F_elastic)
        out.internal.copy_(found.internal)

    def tangent(self, F_trial: Tensor, internal: Tensor, dt: float) -> Tensor:
        """Consistent tangent dτ/dF_trial [Pa], shape (q, 3, 3, 3, 3), by automatic differentiation.

        Entry [p, i, j, k, l] is the derivative of τ_ij with respect to F_kl at point p.
        """
        return self.linearize(F_trial, internal, dt)[1]

    def linearize(
        self, F_trial: Tensor, internal: Tensor, dt: float, guess: Tensor | None = None
    ) -> tuple[Response, Tensor]:
        """`update` and `tangent` at once, without a graph.

        Args:
            F_trial: As in `update`.
            internal: As in `update`.
            dt: As in `update`.
            guess: What a law that iterates starts from: `Response.guess` of an earlier answer, kept
                by its caller and never part of a result.
        """
        F_in = F_trial.detach().requires_grad_()
        with torch.enable_grad():
            found = self.update(F_in, internal, dt)
            rows = [
                torch.autograd.grad(
                    found.tau[:, i, j].sum(), F_in, retain_graph=True, materialize_grads=True
                )[0]
                for i in range(3)
                for j in range(3)
            ]
        tangent = torch.stack(rows, dim=1).reshape(-1, 3, 3, 3, 3)
        outputs = (found.tau, found.F_elastic, found.internal)
        return Response(*(t.detach() for t in outputs)), tangent

    def marks(self, F_elastic: Tensor, internal: Tensor) -> Mapping[str, Tensor]:
        """What a user should know of points, by name: above 0 where it holds; shape (q,) each.

        Such as how far a learned law is asked beyond what it was trained for.
        """
        return {}

    def recorded(self, internal: Tensor) -> Mapping[str, Tensor]:
        """What trajectories hold of the history, by name, shape (q,) each.

        Args:
            internal: Shape (q, n_internal).
        """
        return {}

    def account(self) -> Mapping[str, int]:
        """Numbers of what it has done so far, by name, for the summary of a run."""
        return {}

    def wave_modulus(self) -> float:
        """Stiffest longitudinal modulus at rest [Pa]: ρ c² of the fastest acoustic wave.

        The largest diagonal entry dτ_ii/dF_ii of the tangent at F = I; analytic laws override it
        with λ + 2μ.
        """
        reference = next(self.parameters(), torch.zeros(()))
        identity = torch.eye(3, dtype=reference.dtype, device=reference.device)[None]
        return self._modulus(identity, self.rest_internal(1, identity))

    def stiffest(self, fields: Tensor) -> float:
        """Largest wave modulus at rest [Pa] over points with these constant fields.

        Args:
            fields: Shape (q, k), k the numbers of all `fields`.
        """
        if not self.fields:
            return self.wave_modulus()
        reference = next(self.parameters(), fields)
        rows = torch.unique(fields.detach().to(reference), dim=0)
        found = []
        for part in rows.split(4096):
            eye = torch.eye(3, dtype=part.dtype, device=part.device).repeat(len(part), 1, 1)
            internal = self.rest_internal(len(part), part)
            internal[:, : part.shape[1]] = part
            found.append(self._modulus(eye, internal))
        return max(found)

    def _modulus(self, identity: Tensor, internal: Tensor) -> float:
        tangent = self.tangent(identity, internal, 1.0)
        return float(torch.stack([tangent[:, i, i, i, i] for i in range(3)]).max())

    def freeze(self) -> Self:
        """Keep all parameters as they are: what is fitted is then a field such as a code."""
        self.requires_grad_(False)
        return self

    def viscosity(self) -> float:
        """Longitudinal viscosity at rest [Pa s]: of the stress that goes with the rate of strain.

        It limits explicit steps as the wave modulus does.
        """
        return 0.0

    def save(self, path: Path | str) -> None:
        """Write the law to a .safetensors file with its architecture and units."""
        from .files import save_law

        save_law(self, path)

    @staticmethod
    def load(path: Path | str) -> ConstitutiveLaw:
        """Read a law from a .safetensors file; see `rheograd.materials.files.load_law`."""
        from .files import load_law

        return load_law(path)

    @staticmethod
    def from_material(name: str) -> ConstitutiveLaw:
        """A published law of a common material, such as "pdms"; see `rheograd.materials.known`."""
        from .known import known_law

        return known_law(name)


class Elasticity(ConstitutiveLaw):
    """A law without plastic flow: the trial deformation is the elastic one.

    Its numbers of a point, if it has any, are constant fields; one that has history besides says so
    by `conservative`.
    """

    conservative = True

    def update(self, F_trial: Tensor, internal: Tensor, dt: float) -> Response:
        """See `ConstitutiveLaw.update`."""
        return Response(self.stress(F_trial, internal), F_trial, internal)


class Plasticity(nn.Module, ABC):
    """A return mapping: which elastic deformation is left of a trial deformation."""

    name: ClassVar[str]
    revision: ClassVar[int] = 1
    """See `ConstitutiveLaw.revision`."""

    @abstractmethod
    def return_map(self, F_trial: Tensor) -> Tensor:
        """Elastic deformation gradient, shape (q, 3, 3), of a trial one of the same shape."""

    def pullback(
        self, F_trial: Tensor, F_bar: Tensor, out: Tensor | None = None
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Gradients of `return_map` given that of its result; by autograd unless overridden.

        Args:
            F_trial: As in `return_map`.
            F_bar: Gradient with respect to the result, shape (q, 3, 3).
            out: Memory for the gradient with respect to F_trial, possibly F_bar itself.

        Returns:
            That by F_trial, shape (q, 3, 3), and one per entry of `parameters()`.
        """
        with torch.enable_grad():
            F_in = F_trial.detach().requires_grad_()
            by_F, *found = torch.autograd.grad(
                self.return_map(F_in), (F_in, *free(self)), F_bar, allow_unused=True,
                materialize_grads=True,
            )  # fmt: skip
        return by_F if out is None else out.copy_(by_F), with_frozen(self, found)


def free(module: nn.Module) -> list[nn.Parameter]:
    """The parameters that a gradient is asked for."""
    return [p for p in module.parameters() if p.requires_grad]


def with_frozen(module: nn.Module, found: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Gradients of all parameters: those of `free`, and zeros."""
    own = iter(found)
    return tuple(next(own) if p.requires_grad else torch.zeros_like(p) for p in module.parameters())


def without_frozen(module: nn.Module, found: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Gradients of all parameters, with zeros in place of those of frozen ones."""
    pairs = zip(module.parameters(), found, strict=True)
    return tuple(bar if p.requires_grad else torch.zeros_like(p) for p, bar in pairs)


def carried(F_bar: Tensor, out: Tensor | None) -> Tensor:
    """Memory for the gradient by F_trial of a `pullback`, which holds that by F_elastic at first.

    Args:
        F_bar: Gradient with respect to F_elastic, shape (q, 3, 3).
        out: The memory, contiguous, possibly F_bar itself; None: new memory.
    """
    total = torch.empty_like(F_bar, memory_format=torch.contiguous_format) if out is None else out
    if total is not F_bar:
        total.copy_(F_bar)
    return total
