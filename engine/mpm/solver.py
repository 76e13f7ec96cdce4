# SPDX-License-Identifier: Apache-2.0
"""MPM as a solver: numerical choices, discretization with its checks, roll-outs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

import torch
from torch import Tensor

from ..law_groups import recorded_history, rest_internal, with_fields
from ..restarts import Estimate
from ..scene import Scene
from ..solver import Checkpoint, Rollout, Solver
from ..state import State
from .discretize import discretize
from .estimation import estimated, kinematics
from .model import MPMModel
from .rollout import NAMES, Job, check, law_tensors, model_inputs, run
from .segments import segments
from .workspace import Workspace


@dataclass(frozen=True)
class MPMSolver(Solver):
    """MLS-MPM with APIC transfers, quadratic B-splines and explicit steps."""

    cell: float
    """Cell length [m]."""
    dt: float | None = None
    """Step [s]; None takes `cfl` of the acoustic limit."""
    particles_per_cell: int = 8
    """Of a body at rest; the particle spacing is cell / particles_per_cell^(1/3)."""
    precision: Literal["float32", "float64"] = "float32"
    device: str = "cpu"
    cfl: float = 0.3
    """Share of the acoustic limit cell / c that an automatic step takes."""
    margin: int = 2
    """Cells of grid outside the walls."""
    mass_offset: float = 0.0
    """Added to the mass of every node [kg]; the published NCLaw experiment has 1e-7."""
    scratch: dict[tuple[int, int, bool], Workspace] = field(
        default_factory=dict, repr=False, compare=False, init=False
    )
    """Memory of the last model, kept for its next roll-out; never state."""

    def __post_init__(self) -> None:
        """Refuse numbers that make no grid or no step."""
        if not self.cell > 0.0:
            raise ValueError(f"the cell length must be positive [m]; got {self.cell}")
        if self.dt is not None and not self.dt > 0.0:
            raise ValueError(f"the step dt must be positive [s]; got {self.dt}")
        if self.particles_per_cell < 1:
            raise ValueError(
                f"at least one particle a cell is needed; got {self.particles_per_cell}"
            )

    @property
    def dtype(self) -> torch.dtype:
        """The torch type of `precision`."""
        return {"float32": torch.float32, "float64": torch.float64}[self.precision]

    def at_step(self, dt: float) -> MPMSolver:
        """See `Solver.at_step`."""
        return replace(self, dt=dt)

    def discretize(self, scenes: Scene | Sequence[Scene]) -> MPMModel:
        """See `Solver.discretize`; particles keep the order of scenes, then bodies."""
        return discretize(self, [scenes] if isinstance(scenes, Scene) else list(scenes))

    def start(self, model: MPMModel) -> State:
        """The state at time 0: bodies undeformed, moving as they were told."""
        eye = torch.eye(3, dtype=model.x0.dtype, device=model.x0.device)
        return self.state(model, model.x0, model.v0, F=eye.repeat(model.n, 1, 1))

    def state(
        self,
        model: MPMModel,
        x: Tensor,
        v: Tensor,
        F: Tensor,
        C: Tensor | None = None,
        internal: Tensor | None = None,
        step: int = 0,
    ) -> State:
        """A state from recorded fields; stresses follow from F by the laws.

        Args:
            model: What the particles are.
            x: Positions [m], shape (n, 3).
            v: Velocities [m/s], shape (n, 3).
            F: Elastic deformation gradients, shape (n, 3, 3).
            C: Affine velocities [1/s], shape (n, 3, 3); zero if None.
            internal: History, shape (n, m), in which constant fields become those of the model; the
                laws' rest value if None.
            step: Steps taken before.
        """
        if C is None:
            C = x.new_zeros(model.n, 3, 3)
        tau = x.new_zeros(model.n, 3, 3)
        if internal is None:
            internal = rest_internal(model.groups, model.n, x)
        else:
            internal = with_fields(model.groups, internal)
        for law, i in (piece for group in model.groups for piece in group.points()):
            tau = tau.index_put((i,), law.stress(F[i], internal[i, : law.n_internal]))
        return State(step, step * model.dt, x, v, F, internal, {"C": C, "tau": tau})

    restarted: ClassVar[tuple[str, ...]] = ("C",)

    def segments(self, model: MPMModel, starts: Sequence[int], length: int) -> MPMModel:
        """See `Solver.segments`."""
        return segments(model, starts, length)

    def timeless(self, model: MPMModel) -> bool:
        """See `Solver.timeless`: nothing moves as prescribed, and all particles live."""
        return len(model.colliders.position) == 1 and bool((model.life[:, 0] == 0).all())

    def restart(self, model: MPMModel, state: State) -> State:
        """See `Solver.restart`."""
        C = state.carry["C"]
        return self.state(model, state.x, state.v, state.F, C=C, internal=state.internal)

    def estimator(self, model: MPMModel, step: Tensor, x: Tensor) -> Estimate:
        """See `Solver.estimator`: velocities by a spline, F carried along the motion."""
        motion = kinematics(self, model, step, x)
        return lambda now: estimated(now, step, x, motion)

    def workspace(self, model: MPMModel, slots: int, adjoint: bool) -> Workspace:
        """Scratch memory for `slots` steps of `model`; the last few are kept."""
        key = (id(model), slots, adjoint)
        found = self.scratch.pop(key, None)
        if found is None or found.model is not model:
            stale = [k for k, space in self.scratch.items() if space.model is not model]
            for k in stale + list(self.scratch)[:-2]:
                self.scratch.pop(k, None)
            found = Workspace(model, slots, adjoint)
        self.scratch[key] = found
        return found

    def fields(self, model: MPMModel, state: State) -> Mapping[str, Tensor]:
        """See `Solver.fields`: what laws tell of their history, (n,) each."""
        return recorded_history(model.groups, state.internal)

    def rollout(
        self,
        model: MPMModel,
        state: State,
        steps: int,
        *,
        observe: Sequence[int] = (),
        adjoint: Checkpoint | None = None,
    ) -> Rollout:
        """See `Solver.rollout`."""
        carry = state.carry
        now = (state.x, state.v, carry["C"], state.F, carry["tau"], state.internal)
        if adjoint is None:
            return self._forward(model, state.step, now, steps, sorted(observe))
        chunk = adjoint.chunk(steps, Workspace.bytes_a_step(model))
        space = self.workspace(model, chunk, adjoint=True)
        job = Job(space, state.step, steps, chunk, tuple(sorted(observe)))
        x, v, *last = run(job, [*now, *model_inputs(model), *law_tensors(model)])
        return Rollout(x, v, pack(model, state.step + steps, last))

    @torch.no_grad()
    def _forward(
        self,
        model: MPMModel,
        first: int,
        now: Sequence[Tensor],
        steps: int,
        observe: Sequence[int],
    ) -> Rollout:
        space = self.workspace(model, 0, adjoint=False)
        space.load(now, model_inputs(model), law_tensors(model), first)
        xs, vs, done = [], [], 0
        for stop in [*observe, steps] if not observe or observe[-1] != steps else observe:
            space.forward(stop - done)
            done = stop
            check(space, 0, f"after step {first + stop}")
            if stop in observe:
                xs.append(space.state.x[0].clone())
                vs.append(space.state.v[0].clone())
        empty = model.x0.new_zeros(0, model.n, 3)
        final = [history[0].clone() for history in space.state]
        return Rollout(
            torch.stack(xs) if xs else empty,
            torch.stack(vs) if vs else empty,
            pack(model, first + steps, final),
        )


def pack(model: MPMModel, step: int, values: Sequence[Tensor]) -> State:
    """A state from x, v, C, F, tau and internal."""
    named: Mapping[str, Tensor] = dict(zip(NAMES, values, strict=True))
    carry = {"C": named["C"], "tau": named["tau"]}
    return State(step, step * model.dt, named["x"], named["v"], named["F"], named["internal"],
                 carry)  # fmt: skip
