# SPDX-License-Identifier: Apache-2.0
"""Finite elements as a solver: numerical choices, steps and roll-outs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from ..law_groups import recorded_history, rest_internal, with_fields
from ..restarts import Estimate
from ..scene import Scene
from ..solver import Checkpoint, Rollout, Solver
from ..state import State
from . import energies, marks, restarts, stresses
from .advance import Advance
from .discretize import discretize
from .integrators import Integrator, Static
from .linear import Method
from .model import FEModel


@dataclass(frozen=True)
class FESolver(Solver):
    """Total Lagrangian finite elements: static load steps, implicit or explicit dynamics."""

    size: float | None = None
    """Edge length of the elements that shapes are cut into [m]; meshes stay as they are. None: an
    eighth of the shortest side of each body's bounding box."""
    elements: str | None = None
    """Kind of the elements; None: that of the mesh, hex8 for shapes."""
    integrator: Integrator = field(default_factory=Static)
    mean_dilatation: bool = False
    """Whether hex8 and quad4 average volume changes, so that nearly incompressible solids do not
    lock."""
    contact: float | None = None
    """Stiffness of contact, by the modulus of the law over the size of an element; None: 10, and 1
    for explicit steps, which a stiff contact shortens. Gradients hold that stiffness constant."""
    linear: Method = "auto"
    """How systems of equations are solved."""
    tolerance: float = 1e-8
    """Residual that counts as balance, by the largest of the external forces, the reactions and the
    forces of inertia."""
    iterations: int = 25
    """Of Newton's method in a step."""
    cuts: int = 6
    """How often a step that fails is halved."""
    precision: Literal["float32", "float64"] = "float64"
    device: str = "cpu"
    scratch: dict[int, Advance] = field(default_factory=dict, repr=False, compare=False, init=False)
    """Memory of the last model; never state."""

    def __post_init__(self) -> None:
        """Refuse numbers that make no mesh and no step."""
        if self.size is not None and not self.size > 0.0:
            raise ValueError(f"the element size must be positive [m]; got {self.size:g}")
        if not 0.0 < self.tolerance < 1.0:
            raise ValueError(f"got tolerance={self.tolerance:g}, expected 0 to 1, such as 1e-8")

    @property
    def dtype(self) -> torch.dtype:
        """The torch type of `precision`."""
        return {"float32": torch.float32, "float64": torch.float64}[self.precision]

    @property
    def dt(self) -> float | None:
        """Step of the integrator [s]; None where it follows from the scene."""
        return getattr(self.integrator, "dt", None)

    @property
    def static(self) -> bool:
        """See `Solver.static`."""
        return isinstance(self.integrator, Static)

    def at_step(self, dt: float) -> FESolver:
        """See `Solver.at_step`.

        Raises:
            ValueError: The integrator is static.
        """
        if self.static:
            raise ValueError(
                f"got a step of {dt:g} s for load steps, in which time only orders equilibria: "
                "take Static(steps=...), or a dynamic integrator"
            )
        return replace(self, integrator=replace(self.integrator, dt=dt))  # type: ignore[call-arg]

    def summary(self, model: FEModel, state: State) -> Mapping[str, Any]:
        """See `Solver.summary`: how Newton's method went, energies [J], and what laws tell."""
        energies = {"energies": dict(self.energies(model, state)), **marks.summary(model, state)}
        if self.integrator.explicit:
            return energies
        run = self.advance(model)
        return {"newton_iterations": run.iterations, "residual": run.residual, **energies}

    @property
    def contact_factor(self) -> float:
        """Stiffness of contact that is used; see `contact`."""
        if self.contact is not None:
            return self.contact
        return 1.0 if self.integrator.explicit else 10.0

    def discretize(self, scenes: Scene | Sequence[Scene]) -> FEModel:
        """See `Solver.discretize`; nodes keep the order of scenes, then bodies."""
        model = discretize(self, [scenes] if isinstance(scenes, Scene) else list(scenes))
        return replace(model, lumped=self.integrator.explicit)

    def start(self, model: FEModel) -> State:
        """The state at time 0: bodies undeformed, moving as they were told."""
        eye = torch.eye(3, dtype=model.x0.dtype, device=model.x0.device)
        internal = rest_internal(model.groups, model.points, model.x0)
        F = eye.repeat(model.points, 1, 1)
        return self.restart(model, State(0, 0.0, model.x0, model.v0, F, internal))

    def segments(self, model: FEModel, starts: Sequence[int], length: int) -> FEModel:
        """See `Solver.segments`."""
        still = self.timeless(model)
        return self.discretize(restarts.stretches(model.scenes, starts, model.dt, still))

    def timeless(self, model: FEModel) -> bool:
        """See `Solver.timeless`."""
        return restarts.timeless(model)

    def estimator(self, model: FEModel, step: Tensor, x: Tensor) -> Estimate:
        """See `Solver.estimator`."""
        return restarts.estimator(model, step, x)

    def restart(self, model: FEModel, state: State) -> State:
        """See `Solver.restart`: accelerations follow from the balance there.

        Constant fields in the history become those of the model.
        """
        internal = with_fields(model.groups, state.internal)
        zero = torch.zeros_like(model.x0)
        F = state.F
        carry = {
            "a": zero, "net": zero, "reaction": zero, "resisting": zero,
            "tau": torch.zeros_like(F), "work": zero.new_zeros(model.worlds, energies.COLUMNS),
        }  # fmt: skip
        v = state.v.masked_fill(model.fixed, 0.0)
        return self.advance(model).begun(replace(state, v=v, internal=internal, carry=carry))

    def advance(self, model: FEModel) -> Advance:
        """What takes steps of a model; the last one is kept."""
        found = self.scratch.get(id(model))
        if found is None or found.model is not model:
            self.scratch.clear()
            found = self.scratch[id(model)] = Advance(self, model)
        return found

    def rollout(
        self,
        model: FEModel,
        state: State,
        steps: int,
        *,
        observe: Sequence[int] = (),
        adjoint: Checkpoint | None = None,
    ) -> Rollout:
        """See `Solver.rollout`; `Rollout.fields` has the reactions.

        Raises:
            SimulationError: A step has no equilibrium that can be found, or a number became
                non-finite; says where, at which load, and what to try.
        """
        advance = self.advance(model)
        advance.forget()
        chunk = steps if adjoint is None else adjoint.chunk(steps, advance.bytes_a_step)
        seen = {name: [] for name in ("x", "v", "reaction")}
        with torch.set_grad_enabled(adjoint is not None):
            for first in range(0, steps, chunk):
                count = min(chunk, steps - first)
                wanted = [o - first for o in observe if first < o <= first + count]
                state, kept = _chunk(advance, state, count, wanted, chunk < steps)
                for name, values in kept.items():
                    seen[name] += values
        empty = model.x0.new_zeros(0, model.n, 3)
        stacked = {name: torch.stack(v) if v else empty for name, v in seen.items()}
        x, v = stacked.pop("x"), stacked.pop("v")
        return Rollout(x, v, state, stacked)

    def fields(self, model: FEModel, state: State) -> Mapping[str, Tensor]:
        """See `Solver.fields`: reactions at nodes [N] and Cauchy stress there [Pa]."""
        stress = stresses.of_nodes(model, state)
        return {"reaction": state.carry["reaction"], "nodal_stress": stress}

    def cell_fields(self, model: FEModel, state: State) -> Mapping[str, Tensor]:
        """See `Solver.cell_fields`: Cauchy stress [Pa], (e, 3, 3), elastic energy [J/m³], (e,).

        And what laws mark, as the most of an element's points, and tell of their history, as the
        mean, (e,).
        """
        energy = energies.of_elements(model, state)
        found = {"stress": stresses.of_elements(model, state), **marks.of_elements(model, state)}
        weight = model.geometry(model.x0.detach()).weight
        for name, values in recorded_history(model.groups, state.internal).items():
            found[name] = (values.view_as(weight) * weight).sum(1) / weight.sum(1)
        return found if energy is None else {**found, "elastic_energy": energy}

    def more_cell_fields(self, model: FEModel, state: State) -> Mapping[str, Tensor]:
        """See `Solver.more_cell_fields`: Cauchy stress at the points [Pa], (e, q, 3, 3)."""
        return {"point_stress": stresses.at_points(model, state)[0]}

    def totals(self, model: FEModel, state: State) -> Mapping[str, float]:
        """See `Solver.totals`: energies [J]."""
        return self.energies(model, state)

    def energies(self, model: FEModel, state: State) -> Mapping[str, float]:
        """Where the energy is and went [J]; see `energies.energies`."""
        return energies.energies(model, state)


def _chunk(
    advance: Advance, state: State, count: int, wanted: Sequence[int], recompute: bool
) -> tuple[State, dict[str, list[Tensor]]]:
    """Some steps and what is observed of them; recomputed on the way back if asked for."""
    names = list(state.carry)
    first = state.step

    def run(*tensors: Tensor) -> tuple[Tensor, ...]:
        advance.forget()
        now = _unpacked(advance.model, first, names, tensors)
        out: list[Tensor] = []
        for k in range(1, count + 1):
            now = advance.step(now)
            if k in wanted:
                out += [now.x, now.v, now.carry["reaction"]]
        advance.verify()
        return (*out, *_packed(now, names))

    tensors = _packed(state, names)
    if recompute and torch.is_grad_enabled():
        found = checkpoint(run, *tensors, use_reentrant=False)
    else:
        found = run(*tensors)
    seen = 3 * len(wanted)
    kept = {name: list(found[i:seen:3]) for i, name in enumerate(("x", "v", "reaction"))}
    return _unpacked(advance.model, first + count, names, found[seen:]), kept


def _packed(state: State, names: Sequence[str]) -> tuple[Tensor, ...]:
    carried = (state.carry[name] for name in names)
    return (state.x, state.v, state.F, state.internal, *carried)


def _unpacked(model: FEModel, step: int, names: Sequence[str], tensors: Sequence[Tensor]) -> State:
    x, v, F, internal, *carried = tensors
    carry = dict(zip(names, carried, strict=True))
    return State(step, step * model.dt, x, v, F, internal, carry)
