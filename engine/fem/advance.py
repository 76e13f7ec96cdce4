# SPDX-License-Identifier: Apache-2.0
"""Steps of one model: increments with cut-back, and explicit steps."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..errors import SimulationError
from ..state import State
from . import energies
from .assembler import Assembler
from .equilibrium import Balance, Increment, balance, inertia
from .forces import Moment, Place
from .geometry import determinant, nodal_masses
from .increment import Task, solve
from .integrators import CentralDifferences, Implicit, Motion, Static
from .linear import LinearSolver
from .masses import accelerations
from .model import FEModel
from .newton import Newton, NewtonFailure, Tolerance

if TYPE_CHECKING:
    from .solver import FESolver


WATCH = 64
"""Explicit steps on a device between two looks at whether all is well."""


class Advance:
    """Takes steps of a model; holds the memory for it."""

    def __init__(self, solver: FESolver, model: FEModel) -> None:
        """Lay out."""
        self.solver, self.model = replace(solver), model  # a copy: the solver itself holds this
        self.assembler = Assembler(model)
        self.iterations = 0
        """Of Newton's method since the start of a run."""
        self.residual = 0.0
        """Largest residual that an increment since then ended with, by the forces."""
        self.lost: Tensor | None = None
        """First explicit step that went wrong on a device, not yet told; -1: none."""

    @property
    def damping(self) -> float:
        """Mass-proportional [1/s]."""
        return getattr(self.solver.integrator, "mass_damping", 0.0)

    @property
    def bytes_a_step(self) -> int:
        """What a step keeps for its adjoint."""
        columns = max(law.n_internal for group in self.model.groups for law in group.laws)
        numbers = 4 * self.model.points * (9 + columns) + 40 * self.model.n
        return numbers * self.model.x0.element_size()

    @cached_property
    @torch.no_grad()
    def newton(self) -> Newton:
        """Made with the first implicit step."""
        model = self.model
        linear = LinearSolver(
            self.assembler.pattern, self.solver.linear, model.symmetric, model.fixed
        )
        modulus = max(law.wave_modulus() for group in model.groups for law in group.laws)
        volume = float(self.assembler.weight.sum()) / len(model.nodes)
        per_world = torch.bincount(model.world, minlength=model.worlds).to(model.x0)
        scale = modulus * volume ** (2 / 3) * per_world.sqrt()
        tolerance = Tolerance(self.solver.tolerance, self.solver.iterations)
        return Newton(self.assembler, linear, tolerance, scale)

    def forget(self) -> None:
        """Drop what is kept of earlier steps, so that a run goes on as it would from a file."""
        if not self.solver.integrator.explicit:
            self.newton.kept = None
            self.assembler.forget()

    def begun(self, state: State) -> State:
        """A state at rest positions, with the accelerations that its loads cause."""
        self.iterations, self.residual = 0, 0.0
        if isinstance(self.solver.integrator, Static):
            return state
        model, m = self.model, self.damping
        found = self._now(state, model.moment(0.0, 0.0))
        v, a = self._held(0.0, model.dt, state.v, torch.zeros_like(state.v))
        net = found.net
        if model.lumped:
            a = torch.where(model.fixed, a, -net / self._masses()[:, None] - m * v)
        else:
            masses = model.masses(model.x0, model.density)
            w = torch.where(model.fixed, a + m * v, torch.zeros_like(v))  # w = a + m v
            forces = -net - inertia(model, masses, model.added_mass, w)
            free = accelerations(model, masses, model.added_mass, forces) - m * v
            a = torch.where(model.fixed, a, free)
        work = state.carry["work"].clone()
        work[:, energies.BEGUN] = energies.kinetic_energies(model, v.detach())
        carry = {
            **state.carry, "a": a, "net": net, "tau": found.tau.detach(),
            "resisting": found.resisting.detach(), "work": work,
        }  # fmt: skip
        return State(state.step, state.time, state.x, v, state.F, state.internal, carry)

    def step(self, state: State) -> State:
        """The next step.

        Raises:
            SimulationError: It cannot be taken; says why and what to try.
        """
        model, integrator = self.model, self.solver.integrator
        if isinstance(integrator, CentralDifferences):
            return self._explicit(integrator, state)
        done, part, smallest = 0.0, 1.0, 0.5**self.solver.cuts
        begin = state.step
        while done < 1.0:
            start, length = (begin + done) * model.dt, part * model.dt
            try:
                state = self._increment(state, start, length)
            except NewtonFailure as failure:
                part *= 0.5
                if part < smallest:
                    raise SimulationError(self._failed(failure, start), begin + 1) from failure
                continue
            done += part
            part = min(2.0 * part, 1.0 - done) if done < 1.0 else part
        time = (begin + 1) * model.dt
        return State(begin + 1, time, state.x, state.v, state.F, state.internal, state.carry)

    def _failed(self, failure: NewtonFailure, time: float) -> str:
        model = self.model
        where = f"{time:.4g} s"
        remedy = "a smaller dt"
        if model.ramp > 0.0:
            where = f"{100 * time / model.ramp:.4g} % of the load"
            remedy = "more load steps, a load that is smaller or that grows as a function of time"
            names = {law.name for group in model.groups for law in group.laws if law.yields}
            if names:
                where += f" ({', '.join(sorted(names))} yields and bears no more than its strength)"
                remedy += ", a Displacement in place of a force, which goes on beyond the strength"
        return (
            f"no equilibrium beyond {where}, with steps down to 1/{2**self.solver.cuts}: {failure};"
            f" try {remedy}, a finer mesh where it deforms most, or a dynamic integrator for a body"
            " that snaps through; what converged before is kept"
        )

    def _increment(self, state: State, start: float, dt: float) -> State:
        model, integrator = self.model, self.solver.integrator
        at = model.moment(start, start + dt)
        motion = Motion(state.x, state.v, state.carry["a"], state.carry["net"])
        terms = integrator.terms(motion, dt)
        places = model.places(at)
        if isinstance(integrator, Implicit):
            zero = torch.zeros_like(state.x)
            v, a = self._held(start + dt, dt, zero, zero)
            Y = torch.where(
                model.fixed, integrator.held(motion, v, a) - terms.A * (places - state.x), terms.Y
            )
            terms = terms._replace(Y=Y)
        values = model.load_values(at)
        laws = tuple(tuple(group.tensors()) for group in model.groups)
        increment = Increment(
            state.x, state.F, state.internal, model.x0, model.density, model.stiffness,
            model.gravity * at.share, model.added_mass, places, terms.Y, terms.Z,
        )  # fmt: skip
        guess = integrator.guess(motion, dt).detach()
        task = Task(
            newton=self.newton, guess=guess, dt=dt, factors=(terms.A, terms.s),
            reference=self._reference(increment, guess, at, dt, terms.A),
            values=len(values), laws=tuple(len(tensors) for tensors in laws),
        )  # fmt: skip
        x, net, residual, F, internal = solve(task, increment, values, laws)
        if task.report is not None:
            self.iterations += task.report.iterations
            self.residual = max(self.residual, task.report.residual)
        v, a = self._held(start + dt, dt, *integrator.rates(motion, x, dt))
        reaction = torch.where(model.fixed, residual, torch.zeros_like(residual))
        assert task.seen is not None
        carry = {"a": a, "net": net, "reaction": reaction}
        carry |= {"tau": task.seen[0], "resisting": task.seen[1]}
        return self._worked(state, State(state.step, start + dt, x, v, F, internal, carry))

    @torch.no_grad()
    def _reference(
        self, start: Increment, guess: Tensor, at: Moment, dt: float, A: float
    ) -> Tensor:
        """Norm of the full loads, or of the force that would stop the motion in a step.

        It is at least what rounding of the positions makes of the forces of inertia.
        """
        model = self.model
        whole = at._replace(share=1.0)
        place = Place(guess, start.before, start.x0)
        loads = inertia(model, self.assembler.masses, model.added_mass, model.gravity[model.world])
        for force, value in zip(model.forces, model.load_values(whole), strict=True):
            loads = loads + force.on_nodes(place, value)
        norm = self.newton.norms(self.newton.free(loads))
        if model.ramp > 0.0:
            return norm
        moved = inertia(
            model, self.assembler.masses, model.added_mass, (guess - start.before) / dt**2
        )
        norm = torch.maximum(norm, self.newton.norms(self.newton.free(moved)))
        rounding = 4.0 * torch.finfo(guess.dtype).eps * A * guess.abs()
        noise = self.newton.norms(inertia(model, self.assembler.masses, model.added_mass, rounding))
        return norm + noise / self.solver.tolerance

    def _inertia(self, a: Tensor) -> Tensor:
        """Forces of inertia [N], shape (n, 3), by the masses that the integrator uses."""
        if self.model.lumped:
            return self.lumped[:, None] * a
        return inertia(self.model, self.assembler.masses, self.model.added_mass, a)

    @cached_property
    def lumped(self) -> Tensor:
        """Masses of nodes without a gradient [kg], shape (n,)."""
        with torch.no_grad():
            return self._nodal_masses()

    def _masses(self) -> Tensor:
        """Lumped, of each node [kg], shape (n,); differentiable."""
        return self._nodal_masses() if torch.is_grad_enabled() else self.lumped

    def _nodal_masses(self) -> Tensor:
        model = self.model
        matrices = model.masses(model.x0, model.density)
        return nodal_masses(matrices, model.nodes, model.added_mass)

    def _now(self, state: State, at: Moment, dt: float = 1.0) -> Balance:
        """The balance where a state is, by kernels unless it is differentiated."""
        model = self.model
        values = model.load_values(at)
        laws = tuple(tuple(group.tensors()) for group in model.groups)
        zero = torch.zeros_like(state.x)
        start = Increment(
            state.carry.get("before", state.x), state.F, state.internal, model.x0, model.density,
            model.stiffness, model.gravity * at.share, model.added_mass, model.x0, zero, zero,
        )  # fmt: skip
        if torch.is_grad_enabled():
            return balance(model, start, values, laws, state.x, dt, (0.0, 1.0))
        self.assembler.begin(start, laws, dt)
        return self.assembler.balance(state.x, values, (0.0, 1.0), tangent=False)

    def _explicit(self, integrator: CentralDifferences, state: State) -> State:
        model, dt = self.model, self.model.dt
        half = state.v + 0.5 * dt * state.carry["a"]
        step = state.step + 1
        at = model.moment(state.step * dt, step * dt)
        x = torch.where(model.fixed, model.places(at), state.x + dt * half)
        moved = State(step, step * dt, x, half, state.F, state.internal, {"before": state.x})
        found = self._now(moved, at, dt)
        self._watch(found, step)
        masses, m = self._masses()[:, None], integrator.mass_damping
        pushed = -found.net / masses
        v = (half + 0.5 * dt * pushed) / (1.0 + 0.5 * dt * m)
        v, a = self._held(step * dt, dt, v, pushed - m * v)
        reaction = found.net + masses * (a + m * v)
        reaction = torch.where(model.fixed, reaction, torch.zeros_like(x))
        carry = {"a": a, "net": found.net, "reaction": reaction}
        carry |= {"tau": found.tau.detach(), "resisting": found.resisting.detach()}
        return self._worked(state, State(step, step * dt, x, v, found.F, found.internal, carry))

    def _watch(self, found: Balance, step: int) -> None:
        """Raise if an explicit step went wrong; on a device only now and then, as that waits."""
        J = determinant(found.F.detach())
        sound = torch.isfinite(found.net.sum().detach()) & (J.min() > 0)
        if not J.is_cuda:
            if not bool(sound):
                bad = (~(J > 0)).nonzero()
                point = int(bad[0]) if len(bad) else None
                raise self._lost(step, point)
            return
        if self.lost is None:
            self.lost = torch.full((), -1, device=J.device)
        self.lost = torch.where(sound | (self.lost >= 0), self.lost, step)
        if step % WATCH == 0:
            self.verify()

    def verify(self) -> None:
        """Raise SimulationError if an explicit step went wrong since the last call."""
        first = -1 if self.lost is None else int(self.lost)
        self.lost = None
        if first >= 0:
            raise self._lost(first, None)

    def _lost(self, step: int, point: int | None) -> SimulationError:
        where = "an element"
        if point is not None:
            where = self.model.describe(point // self.assembler.size[1])
        return SimulationError(
            f"at step {step}, {where} turned inside out or lost its position; take a smaller dt,"
            " larger elements or an implicit integrator",
            step,
        )

    def _held(self, time: float, dt: float, v: Tensor, a: Tensor) -> tuple[Tensor, Tensor]:
        """Velocities and accelerations, at prescribed components those of the prescription."""
        model = self.model
        if model.ramp > 0.0:
            return v, a
        moved = model.held_motion(time, dt)
        if moved is None:
            return v.masked_fill(model.fixed, 0.0), a.masked_fill(model.fixed, 0.0)
        return torch.where(model.fixed, moved[0], v), torch.where(model.fixed, moved[1], a)

    @torch.no_grad()
    def _worked(self, old: State, new: State) -> State:
        """The new state with the work done until then."""
        model, m = self.model, self.damping
        inertial = damping = None
        if model.ramp <= 0.0:
            if m > 0.0:
                damping = m * self._inertia(old.v + new.v)
            if model.moves:
                inertial = self._inertia(old.carry["a"] + new.carry["a"])
                inertial = inertial if damping is None else inertial + damping
        work = energies.work(model, old, new, inertial, damping)
        carry = {**new.carry, "work": work}
        return State(new.step, new.time, new.x, new.v, new.F, new.internal, carry)
