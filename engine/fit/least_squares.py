# SPDX-License-Identifier: Apache-2.0
"""A few numbers of a scene fitted to an observed motion by the method of Levenberg and Marquardt.

Any keyword of a scene's build() can be fitted: moduli, damping, density, friction, velocity; and
what any scene and any camera has (`Experiment`). Several experiments are fitted together. Every
parameter is fitted in a coordinate without bounds (`Parameter`), so no kernel sees one that is out
of range. The trial point and its neighbours for central differences, 2p + 1 scenes, run as worlds
of one model. A diverging simulation is a rejected step.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import SimulationError
from ..observations.observation import Observation
from .experiment import Build, Experiment, comparable, require_known
from .numerical_error import Numerics, check, numerical_error
from .parameter import Parameter
from .report import FittedParameter
from .run_folder import RunFolder, Tell
from .team import Team
from .trials import Trials
from .uncertainty import Uncertainty, entangled, estimate

DIFFERENCE = {torch.float32: 4e-3, torch.float64: 1e-4}
"""Half a central difference in a free coordinate, by the solver's precision."""
EXACT = {torch.float32: 1e-5, torch.float64: 1e-10}
"""Residuals of this size beside their change by a unit of a coordinate are rounding."""
LONGEST = 1.0
"""Largest change of a free coordinate in one step."""
SHORTEST = 1e-8
"""A step that changes no coordinate by more than this ends a fit."""
SLACK = 2.0
"""How far the step length may exceed the automatic one before it is shortened: another step is
another motion, by its numerical damping."""
REJECTIONS = 8
"""Rejected steps in a row that end a fit."""
SEARCH = 3
"""Points on either side of the start that are tried first, along each parameter in turn."""
UNLIKELY = 3.0
"""Residuals that are this many times the stated noise are not explained by it."""
ROUGH = 100.0
"""Rejected steps that promised a gain of no more tolerances than this met the noise of rounding."""


@dataclass(frozen=True)
class ParameterFit:
    """What came out."""

    parameters: tuple[FittedParameter, ...]
    correlation: tuple[tuple[float, ...], ...]
    """Of the errors of the free coordinates, shape (p, p)."""
    misfit: float
    """Mean squared residual component at the end, in the observations' unit squared."""
    start_misfit: float
    """Of the parameters as they were given."""
    losses: tuple[float, ...]
    """Misfit after each iteration."""
    converged: bool
    """Whether it ended because nothing was left to gain."""
    by_track: bool
    """Whether errors along a track were taken together in the uncertainty."""
    steps: tuple[float, ...]
    """Length of a step of each experiment's simulations [s]."""
    notes: tuple[str, ...]
    """Sentences on what happened, such as rejected steps."""
    seconds: float
    warnings: tuple[str, ...] = ()
    """Sentences on how far it is to be trusted."""
    excess: float | None = None
    """How many times the noise what is left is, if it is too much for bands to hold."""

    @property
    def values(self) -> dict[str, float]:
        """Fitted values by name, in SI units."""
        return {p.name: p.value for p in self.parameters}


def fit_parameters(
    build: Build,
    solver: Any,
    observation: Observation | Sequence[Experiment],
    parameters: Mapping[str, Parameter],
    *,
    given: Mapping[str, Any] | None = None,
    max_iterations: int = 20,
    tolerance: float = 1e-5,
    search: int = SEARCH,
    numerics: Numerics | None = None,
    folder: Path | str | None = None,
    resume: bool = False,
    predict: float = 0.0,
    team: Team | None = None,
    tell: Tell = lambda metrics: None,
) -> ParameterFit:
    """Fit parameters of a scene.

    Args:
        build: Makes the scene from keywords; scenes differ in parameters only.
        solver: How it is simulated; without a step of its own it takes one that meets the
            observed times.
        observation: What was seen, in time from the start of the simulation; or experiments, with
            what of theirs differs.
        parameters: What is fitted, by keyword of build(), velocity.x being the first of three, or
            by a name of `Experiment`.
        given: Other keywords of build(), of all experiments.
        max_iterations: Steps at most, rejected ones included.
        tolerance: Relative gain of the misfit below which it ends.
        search: Points on either side of the start, 20 % apart, that are tried first along each
            parameter in turn; a motion that repeats itself has many local optima.
        numerics: What is simulated in the end to learn how far the parameters depend on the
            particles and the grid; None: the bands hold the scatter along tracks and no more.
        folder: Gets config.json, metrics.jsonl and a checkpoint after each iteration; None writes
            nothing.
        resume: Go on from the checkpoint in the folder, to the same result to the last bit on a
            CPU.
        predict: Seconds between two predictions of the first experiment that are written to the
            folder for those who watch it; 0 for none.
        team: Processes that share the experiments, to the same result; by default this one alone.
        tell: Is given what metrics.jsonl gets.

    Raises:
        ValueError: A parameter, the scene or the observation is not as it must be.
        SimulationError: The simulation diverges with the parameters as they start.
    """
    if not parameters:
        raise ValueError("got no parameters to fit, expected one or more names with a start")
    given = dict(given or {})
    if isinstance(observation, Observation):
        observation = [Experiment(observation)]
    experiments = comparable(
        [replace(e, given={**given, **e.given}) for e in observation]
    )  # fmt: skip
    require_known(parameters, experiments)
    team = team or Team()
    trials = Trials(build, solver, experiments, dict(parameters), team)
    if numerics is not None:
        check(trials, np.array([p.free(p.start) for p in parameters.values()]))
    run = None
    if folder is not None:
        config = _config(trials, search, tolerance)
        opened = team.led(lambda: RunFolder(folder, config, resume=resume, predict=predict))
        run = opened if team.leads else None
    return _Fit(trials, tolerance, tell, run, numerics).run(max_iterations, search)


def _config(trials: Trials, search: int, tolerance: float) -> dict[str, Any]:
    """What makes it another fit if it changes."""
    return {
        "kind": "parameters",
        "parameters": {
            name: {word: repr(getattr(p, word)) for word in ("start", "lower", "upper", "unit")}
            for name, p in trials.parameters.items()
        },
        "solver": repr(trials.solver),
        "experiments": [
            {
                "name": e.name,
                "given": {name: repr(value) for name, value in e.given.items()},
                "observation": {
                    "kind": type(e.observation).__name__, "frames": len(e.observation.time),
                    "last time": repr(float(e.observation.time[-1])),
                    "noise": repr(e.observation.noise),
                },
            }
            for e in trials.experiments
        ],
        "search": search,
        "tolerance": tolerance,
    }  # fmt: skip


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
        self, trials: Trials, tolerance: float, tell: Tell, folder: RunFolder | None,
        numerics: Numerics | None,
    ) -> None:  # fmt: skip
        self.trials, self.parameters, self.tolerance = trials, trials.parameters, tolerance
        self.tell, self.folder, self.numerics = tell, folder, numerics
        self.clock = time.perf_counter()
        self.doing = "start"
        self.point: _Point
        self.counters: dict[str, Any] = {
            "iteration": 0, "caution": 1e-3, "in_a_row": 0, "steps": [], "start_misfit": math.nan,
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
        self._predict(last=True)
        return self._result()

    # ---- evaluations

    def _told(self, share: float, scenes: int) -> None:
        self.tell({"doing": self.doing, "share": share, "scenes": scenes})

    def _evaluate(self, free: np.ndarray) -> _Point:
        """Residual and central differences."""
        step, p = DIFFERENCE[self.trials.solver.dtype], len(free)
        moves = np.concatenate([np.zeros((1, p)), step * np.eye(p), -step * np.eye(p)])
        rows = self.trials.residuals(list(free + moves), self.counters["steps"], self._told)
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
            misfits = self.trials.misfits(points, self._told)
            if axis == 0:
                c["start_misfit"] = misfits[0]
            free = points[int(np.argmin(misfits))]
            c["searched"] = axis + 1
            if self.folder is not None:
                self.folder.save({"found": torch.from_numpy(free)}, c)
        c["steps"] = self.trials.steps([free])
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
        left = max(float(point.residual @ point.residual), 1e-300)
        expected = -(2 * gradient @ step + step @ normal @ step) / left
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
            rough = expected < ROUGH * self.tolerance or self._exact()
            c["converged"] = bool(trial is not None and rough)
        self._finish(accepted)

    def _exact(self) -> bool:
        """Whether what is left is rounding."""
        least = EXACT[self.trials.solver.dtype] * np.linalg.norm(self.point.jacobian, axis=0).max()
        return bool(np.linalg.norm(self.point.residual) < least)

    def _try(self, free: np.ndarray) -> _Point | None:
        """The trial point; None if it cannot be simulated. May shorten the step for all."""
        c = self.counters
        try:
            wanted = self.trials.steps([free])
            pairs = zip(c["steps"], wanted, strict=True)
            if self.trials.solver.dt is None and any(dt > SLACK * new for dt, new in pairs):
                c["steps"] = wanted
                self._note(f"time step shortened to {min(wanted):.3g} s for stiffer parameters")
                self.point = self._evaluate(self.point.free)
            return self._evaluate(free)
        except (SimulationError, ValueError) as error:
            tried = ", ".join(f"{n} = {v:.4g}" for n, v in self.trials.values(free).items())
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
            "caution": c["caution"], "dt": min(c["steps"]), "seconds": seconds,
            **self.trials.values(self.point.free), "bands": self._bands(),
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
        self._predict()

    def _predict(self, *, last: bool = False) -> None:
        """Let those who watch the folder see the motion with the parameters as they are."""
        if self.folder is not None:
            at = partial(self.trials.predicted, self.point.free, self.counters["steps"])
            self.folder.predictions.offer(self.counters["iteration"], at, last=last)

    def _resumed(self) -> bool:
        folder = self.folder  # of the leader; the others hear from it
        saved = self.trials.team.led(lambda: None if folder is None else folder.load())
        if saved is None:
            return False
        tensors, self.counters = saved
        if "found" in tensors:  # the search was not at its end
            self.found = tensors["found"].numpy()
            if folder is not None:
                folder.rewind(0)
            return False
        self.point = _Point(*(tensors[name].numpy() for name in ("free", "residual", "jacobian")))
        if folder is not None:
            folder.rewind(self.counters["iteration"])
        return True

    def _uncertainty(self) -> Uncertainty:
        return estimate(self.point.jacobian, self.point.residual, self.trials.groups)

    def _bands(self) -> dict[str, list[float] | None]:
        """The 95 % band of each parameter as far as it is known now."""
        return {
            row.name: None if row.low95 is None or row.high95 is None else [row.low95, row.high95]
            for row in self._rows(self._uncertainty())
        }

    def _rows(
        self, found: Uncertainty, coarse: np.ndarray | None = None
    ) -> list[FittedParameter]:  # fmt: skip
        """What is known of each parameter; of a coarse one the grid alone leaves it open."""
        rows = []
        for i, (name, p) in enumerate(self.parameters.items()):
            z, spread = float(self.point.free[i]), float(found.std[i])
            known, reach = bool(found.determined[i]), float(found.reach[i])
            rough = coarse is not None and bool(coarse[i])
            parts = {cause: float(std[i]) * p.slope(z) for cause, std in found.parts.items()}
            parts = {cause: std for cause, std in parts.items() if math.isfinite(std)}
            rows.append(
                FittedParameter(
                    name, p.value(z), p.unit, spread * p.slope(z) if known else None,
                    p.value(z - reach) if known else None, p.value(z + reach) if known else None,
                    known, p.start, parts if known or rough else {}, rough,
                )
            )  # fmt: skip
        return rows

    def _result(self) -> ParameterFit:
        c, point = self.counters, self.point
        scatter = found = self._uncertainty()
        if self.numerics is not None:
            self.tell({"doing": "numerical error", "share": 0.0, "scenes": self.numerics.scenes})
            found = numerical_error(
                self.trials, point.free, c["steps"], point.residual, point.jacobian,
                found.determined, self.numerics,
            ).added_to(found)  # fmt: skip
        coarse = scatter.determined & ~found.determined
        noise = self.trials.noise
        excess = math.sqrt(point.misfit) / noise if noise else 0.0
        unlikely = excess if excess > UNLIKELY else None
        correlation = tuple(tuple(float(v) for v in row) for row in found.correlation)
        return ParameterFit(
            tuple(self._rows(found, coarse)), correlation, point.misfit, c["start_misfit"],
            tuple(c["losses"]), bool(c["converged"]), found.by_track, tuple(c["steps"]),
            tuple(c["notes"]), c["seconds"], tuple(self._warnings(found, coarse, unlikely)),
            unlikely,
        )  # fmt: skip

    def _warnings(
        self, found: Uncertainty, coarse: np.ndarray, excess: float | None
    ) -> Iterator[str]:
        """How far the result is to be trusted."""
        if excess is not None:
            yield (
                f"what is left is {excess:.2g} times the noise of {' and '.join(self._noises())} a"
                " coordinate, large residuals tempered: the law or the scene is not that of what"
                " was seen, and the 95 % bands do not hold"
            )
        for name, is_coarse in zip(self.parameters, coarse, strict=True):
            if is_coarse:
                yield (
                    f"other particles or half the cell would change {name} by more than a factor"
                    " of e: take smaller cells, or a motion that it matters more to"
                )
        if not found.by_track and found.determined.any():
            yield (
                "no more tracks than parameters: the uncertainty takes every frame as independent,"
                " which is optimistic"
            )
        yield from entangled(found, list(self.parameters))

    def _noises(self) -> Iterator[str]:
        """What noise was stated or assumed, each once."""
        found = [words for e in self.trials.experiments for words in e.observation.noises()]
        yield from dict.fromkeys(found)
