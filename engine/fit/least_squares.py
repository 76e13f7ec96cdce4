# SPDX-License-Identifier: Apache-2.0
"""A few numbers of a scene fitted to an observed motion by the method of Levenberg and Marquardt.

Any keyword of a scene's build() can be fitted: moduli, damping, density, friction, velocity. Every
parameter is fitted in a coordinate without bounds (`Parameter`), so no kernel sees one that is out
of range. The trial point and its neighbours for central differences, 2p + 1 scenes, run as worlds
of one model. A diverging simulation is a rejected step.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import SimulationError
from ..observation import Observation
from ..scene import Scene
from .follow import fitting_step, follow
from .parameter import Parameter, place
from .report import FittedParameter
from .run_folder import RunFolder, Tell
from .uncertainty import estimate

DIFFERENCE = {torch.float32: 4e-3, torch.float64: 1e-4}
"""Half a central difference in a free coordinate, by the solver's precision."""
LONGEST = 1.0
"""Largest change of a free coordinate in one step."""
SHORTEST = 1e-8
"""A step that changes no coordinate by more than this ends a fit."""
SLACK = 1.2
"""How far the step length may exceed the automatic one before it is shortened."""
REJECTIONS = 8
"""Rejected steps in a row that end a fit."""
SEARCH = 3
"""Points on either side of the start that are tried first, along each parameter in turn."""
ROUGH = 100.0
"""Rejected steps that promised a gain of no more tolerances than this met the noise of rounding."""


@dataclass(frozen=True)
class ParameterFit:
    """What came out."""

    parameters: tuple[FittedParameter, ...]
    correlation: tuple[tuple[float, ...], ...]
    """Of the errors of the free coordinates, shape (p, p)."""
    misfit: float
    """Mean squared residual component at the end, in the observation's unit squared."""
    start_misfit: float
    """Of the parameters as they were given."""
    losses: tuple[float, ...]
    """Misfit after each iteration."""
    converged: bool
    """Whether it ended because nothing was left to gain."""
    by_track: bool
    """Whether errors along a track were taken together in the uncertainty."""
    dt: float
    """Step of the simulations [s]."""
    notes: tuple[str, ...]
    """Sentences on what happened, such as rejected steps."""
    seconds: float

    @property
    def values(self) -> dict[str, float]:
        """Fitted values by name, in SI units."""
        return {p.name: p.value for p in self.parameters}


def fit_parameters(
    build: Callable[..., Scene],
    solver: Any,
    observation: Observation,
    parameters: Mapping[str, Parameter],
    *,
    given: Mapping[str, Any] | None = None,
    max_iterations: int = 20,
    tolerance: float = 1e-5,
    search: int = SEARCH,
    folder: Path | str | None = None,
    resume: bool = False,
    tell: Tell = lambda metrics: None,
) -> ParameterFit:
    """Fit parameters of a scene.

    Args:
        build: Makes the scene from keywords; scenes differ in parameters only.
        solver: How it is simulated; without a step of its own it takes one that meets the
            observed times.
        observation: What was seen, in time from the start of the simulation.
        parameters: What is fitted, by keyword of build(); velocity.x is the first of three.
        given: Other keywords of build().
        max_iterations: Steps at most, rejected ones included.
        tolerance: Relative gain of the misfit below which it ends.
        search: Points on either side of the start, 20 % apart, that are tried first along each
            parameter in turn; a motion that repeats itself has many local optima.
        folder: Gets config.json, metrics.jsonl and a checkpoint after each iteration; None writes
            nothing.
        resume: Go on from the checkpoint in the folder, to the same result to the last bit on a
            CPU.
        tell: Is given what metrics.jsonl gets.

    Raises:
        ValueError: A parameter, the scene or the observation is not as it must be.
        SimulationError: The simulation diverges with the parameters as they start.
    """
    if not parameters:
        raise ValueError("got no parameters to fit, expected one or more names with a start")
    return _Fit(
        build, solver, observation, dict(parameters), dict(given or {}), tolerance, tell,
        _folder(folder, resume, solver, observation, parameters, given, search, tolerance),
    ).run(max_iterations, search)  # fmt: skip


def _folder(
    path: Path | str | None,
    resume: bool,
    solver: Any,
    observation: Observation,
    parameters: Mapping[str, Parameter],
    given: Mapping[str, Any] | None,
    search: int,
    tolerance: float,
) -> RunFolder | None:
    if path is None:
        return None
    time = observation.time
    config = {
        "kind": "parameters",
        "parameters": {
            name: [repr(v) for v in (p.start, p.lower, p.upper, p.unit)]
            for name, p in parameters.items()
        },
        "given": {name: repr(value) for name, value in (given or {}).items()},
        "solver": repr(solver),
        "observation": [type(observation).__name__, len(time), repr(float(time[-1]))],
        "search": search,
        "tolerance": tolerance,
    }
    return RunFolder(path, config, resume=resume)


@dataclass
class _Point:
    """Residual and derivatives at some free coordinates."""

    free: np.ndarray
    """Shape (p,)."""
    residual: np.ndarray
    """Of all that was seen, shape (m,)."""
    jacobian: np.ndarray
    """Shape (m, p)."""

    @property
    def misfit(self) -> float:
        return float(self.residual @ self.residual) / len(self.residual)


class _Fit:
    """One fit: everything that changes is in the checkpoint."""

    def __init__(
        self, build: Callable[..., Scene], solver: Any, observation: Observation,
        parameters: dict[str, Parameter], given: dict[str, Any], tolerance: float, tell: Tell,
        folder: RunFolder | None,
    ) -> None:  # fmt: skip
        self.build, self.solver, self.observation = build, solver, observation
        self.parameters, self.given, self.tolerance = parameters, given, tolerance
        self.tell, self.folder = tell, folder
        self.seen = observation.seen().cpu()
        self.clock = time.perf_counter()
        self.doing = "start"
        self.point: _Point
        self.counters: dict[str, Any] = {
            "iteration": 0, "caution": 1e-3, "in_a_row": 0, "dt": 0.0, "start_misfit": math.nan,
            "losses": [], "notes": [], "converged": False, "seconds": 0.0, "searched": 0,
        }  # fmt: skip
        self.found: np.ndarray | None = None

    def run(self, max_iterations: int, search: int) -> ParameterFit:
        """Search, iterate, sum up."""
        if not self._resumed():
            self._begin(search)
        c = self.counters
        while c["iteration"] < max_iterations and not c["converged"] and c["in_a_row"] < REJECTIONS:
            self._iterate()
        if c["in_a_row"] >= REJECTIONS:
            self._note(f"ended after {REJECTIONS} rejected steps, with the last good parameters")
        return self._result()

    # ---- evaluations

    def _values(self, free: np.ndarray) -> dict[str, float]:
        pairs = zip(self.parameters.items(), free, strict=True)
        return {name: p.value(float(z)) for (name, p), z in pairs}

    def _scenes(self, points: list[np.ndarray]) -> list[Scene]:
        keywords = [place(self._values(free), self.given, self.build) for free in points]
        return [self.build(**words) for words in keywords]

    def _residuals(self, points: list[np.ndarray], dt: float) -> list[np.ndarray]:
        """Residuals at several points, which run as worlds of one model."""

        def tell(share: float) -> None:
            self.tell({"doing": self.doing, "share": share, "scenes": len(points)})

        with torch.no_grad():
            motions = follow(self._scenes(points), self.solver, self.observation, dt=dt, tell=tell)
            found = [self.observation.residual(motion)[self.seen] for motion in motions]
        return [r.reshape(-1).double().cpu().numpy() for r in found]

    def _misfits(self, points: list[np.ndarray]) -> list[float]:
        """Of several points at once; if that fails one by one, infinite where it still does."""
        try:
            dt = fitting_step(self.solver, self._scenes(points), self.observation)
            rows = self._residuals(points, dt)
        except (SimulationError, ValueError):
            if len(points) == 1:
                raise
            return [self._misfits(points[:1])[0], *(self._or_infinite(p) for p in points[1:])]
        return [float(r @ r) / len(r) for r in rows]

    def _or_infinite(self, point: np.ndarray) -> float:
        try:
            return self._misfits([point])[0]
        except (SimulationError, ValueError):
            return math.inf

    def _evaluate(self, free: np.ndarray) -> _Point:
        """Residual and central differences."""
        step, p = DIFFERENCE[self.solver.dtype], len(free)
        moves = np.concatenate([np.zeros((1, p)), step * np.eye(p), -step * np.eye(p)])
        rows = self._residuals(list(free + moves), self.counters["dt"])
        columns = [(rows[1 + i] - rows[1 + p + i]) / (2 * step) for i in range(p)]
        point = _Point(free, rows[0], np.stack(columns, 1))
        if not np.isfinite(point.residual).all() or not np.isfinite(point.jacobian).all():
            raise SimulationError("a residual is not finite; take a smaller step dt")
        return point

    # ---- the course of a fit

    def _begin(self, search: int) -> None:
        """Start values, then the best of their neighbours along each parameter in turn."""
        c = self.counters
        free = self.found
        if free is None:
            free = np.array([p.free(p.start) for p in self.parameters.values()])
        widths = np.array([p.width for p in self.parameters.values()])
        names = list(self.parameters)
        for axis in range(c["searched"], len(free)) if search else ():
            self.doing = f"search along {names[axis]}"
            moves = [k * widths[axis] for k in (0, *range(-search, 0), *range(1, search + 1))]
            points = [free + np.eye(len(free))[axis] * move for move in moves]
            misfits = self._misfits(points)
            if axis == 0:
                c["start_misfit"] = misfits[0]
            free = points[int(np.argmin(misfits))]
            c["searched"] = axis + 1
            if self.folder is not None:
                self.folder.save({"found": torch.from_numpy(free)}, c)
        c["dt"] = fitting_step(self.solver, self._scenes([free]), self.observation)
        self.doing = "start"
        self.point = self._evaluate(free)
        self.doing = "iteration"
        if not search:
            c["start_misfit"] = self.point.misfit
        self._finish(accepted=True)

    def _iterate(self) -> None:
        c, point = self.counters, self.point
        normal = point.jacobian.T @ point.jacobian
        weights = np.maximum(np.diag(normal), 1e-12 * np.diag(normal).max())
        if not weights.max() > 0:
            self._note("the motion does not depend on any of the parameters: nothing to fit")
            c["converged"] = True
            self._finish(accepted=False)
            return
        gradient = point.jacobian.T @ point.residual
        step = -np.linalg.solve(normal + c["caution"] * np.diag(weights), gradient)
        step *= min(1.0, LONGEST / max(np.abs(step).max(), 1e-300))
        expected = -(2 * gradient @ step + step @ normal @ step) / (point.residual @ point.residual)
        if not expected > self.tolerance or np.abs(step).max() < SHORTEST:
            c["converged"] = True
            self._finish(accepted=False)
            return
        trial = self._try(point.free + step)
        accepted = trial is not None and trial.misfit < self.point.misfit
        if accepted:
            assert trial is not None
            self.point = trial
            c["caution"] = max(c["caution"] / 10, 1e-9)
            c["in_a_row"] = 0
        else:
            c["caution"] = min(c["caution"] * 10, 1e6)
            c["in_a_row"] += 1
            c["converged"] = bool(trial is not None and expected < ROUGH * self.tolerance)
        self._finish(accepted)

    def _try(self, free: np.ndarray) -> _Point | None:
        """The trial point; None if it cannot be simulated. May shorten the step for all."""
        c = self.counters
        try:
            wanted = fitting_step(self.solver, self._scenes([free]), self.observation)
            if self.solver.dt is None and c["dt"] > SLACK * wanted:
                c["dt"] = wanted
                self._note(f"time step shortened to {wanted:.3g} s for stiffer parameters")
                self.point = self._evaluate(self.point.free)
            return self._evaluate(free)
        except (SimulationError, ValueError) as error:
            tried = ", ".join(f"{n} = {v:.4g}" for n, v in self._values(free).items())
            why = str(error).split(";")[0]
            self._note(f"step to {tried} rejected, the next is more cautious: {why}")
            return None

    def _note(self, text: str) -> None:
        iteration = self.counters["iteration"]
        self.counters["notes"].append(f"iteration {iteration}: {text}")
        self.tell({"epoch": iteration, "note": self.counters["notes"][-1]})

    def _finish(self, accepted: bool) -> None:
        """Record an iteration and save."""
        c, now = self.counters, time.perf_counter()
        seconds, self.clock = now - self.clock, now
        c["losses"].append(self.point.misfit)
        c["seconds"] += seconds
        metrics = {
            "epoch": c["iteration"], "loss": self.point.misfit, "accepted": accepted,
            "caution": c["caution"], "dt": c["dt"], **self._values(self.point.free),
            "seconds": seconds,
        }  # fmt: skip
        c["iteration"] += 1
        if self.folder is not None:
            tensors = {
                name: torch.from_numpy(np.ascontiguousarray(getattr(self.point, name)))
                for name in ("free", "residual", "jacobian")
            }
            self.folder.report_epoch(metrics)
            self.folder.save(tensors, c)
        self.tell(metrics)

    def _resumed(self) -> bool:
        saved = None if self.folder is None else self.folder.load()
        if saved is None or self.folder is None:
            return False
        tensors, self.counters = saved
        if "found" in tensors:  # the search was not at its end
            self.found = tensors["found"].numpy()
            self.folder.rewind(0)
            return False
        self.point = _Point(*(tensors[name].numpy() for name in ("free", "residual", "jacobian")))
        self.folder.rewind(self.counters["iteration"])
        return True

    def _result(self) -> ParameterFit:
        c, point = self.counters, self.point
        track = self._tracks()
        found = estimate(point.jacobian, point.residual, track)
        rows = []
        for i, (name, p) in enumerate(self.parameters.items()):
            z, spread = float(point.free[i]), float(found.std[i])
            known = bool(found.determined[i])
            reach = found.quantile * spread
            rows.append(
                FittedParameter(
                    name, p.value(z), p.unit, spread * p.slope(z) if known else None,
                    p.value(z - reach) if known else None, p.value(z + reach) if known else None,
                    known, p.start,
                )
            )  # fmt: skip
        if not found.by_track and found.determined.any():
            c["notes"].append(
                "no more tracks than parameters: the uncertainty takes every frame as independent,"
                " which is optimistic"
            )
        correlation = tuple(tuple(float(v) for v in row) for row in found.correlation)
        return ParameterFit(
            tuple(rows), correlation, point.misfit, c["start_misfit"], tuple(c["losses"]),
            bool(c["converged"]), found.by_track, c["dt"], tuple(c["notes"]), c["seconds"],
        )  # fmt: skip

    def _tracks(self) -> np.ndarray:
        """Track of each entry of the residual, shape (m,)."""
        t, k = self.seen.shape
        numbers = torch.arange(k).expand(t, k)[self.seen].numpy()
        return np.repeat(numbers, len(self.point.residual) // len(numbers))
