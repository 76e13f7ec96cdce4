# SPDX-License-Identifier: Apache-2.0
"""Simulate a scene and write its frames.

Frames are written as they are made, so a run that is stopped keeps them; with --resume it goes on
to the same result, to the last bit on a CPU. Without --out nothing is written. With --live a window
opens in which it runs: gravity, materials and colliders have sliders, and bodies can be pulled.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import cells, fields, laws, live, reduced, selection
from ..clock import Clock
from ..options import Parser, count, number
from ..outputs import read_by, require_new
from ..results import Gradients, named_results

if TYPE_CHECKING:
    from torch import Tensor

    from rheograd.engine.simulate import Schedule
    from rheograd.engine.state import State
    from rheograd.engine.trajectory import Trajectory

    from ..catalog import Script
    from ..recording import Recording

RANK = 1


def main(parser: Parser, tokens: Sequence[str]) -> int:
    """Run the command."""
    parser.epilog = f"{selection.scene_list()}\n\n{parser.epilog}"
    selection.add_scene_argument(parser)
    parser.add_argument(
        "--law", metavar="NAME|FILE|FILE.py:CLASS",
        help="a law or flow by its name, a law.safetensors, or a class of your own",
    )  # fmt: skip
    parser.add_argument(
        "--constant", action="append", default=[], metavar="NAME=X,Y",
        help="constant field that the law reads, such as fibre=1,0,0 or code=0.2,-0.1",
    )  # fmt: skip
    parser.add_argument(
        "--micro", metavar="LAW|fe2:MESH",
        help="each point is a periodic cell: a trained one, or a mesh that is solved there",
    )  # fmt: skip
    parser.add_argument(
        "--phase", action="append", default=[], metavar="NAME=LAW",
        help="law of a phase of fe2:MESH, as in rheograd rve",
    )  # fmt: skip
    reduced.add_arguments(parser)
    parser.add_argument("--steps", type=count, metavar="N", help="time steps to take")
    parser.add_argument("--duration", type=number, metavar="S", help="time to simulate [s]")
    parser.add_argument("--every", type=count, metavar="K", help="steps between frames")
    parser.add_argument("--frames", type=count, metavar="N", help="frames after the first, about")
    parser.add_argument("--out", "--record", type=Path, metavar="FILE", help=".npz or .vtkhdf")
    parser.add_argument(
        "--fields",
        metavar="A,B",
        help="recorded beside positions: v (default), F, tau, C of particles; v, F, tau of"
        " points that an operator moves; all (default) of v, reaction, nodal_stress, stress, ... of"
        " finite elements; point_stress of theirs only if named",
    )
    parser.add_argument("--resume", action="store_true", help="go on with a run that was stopped")
    parser.add_argument("--force", action="store_true", help="replace --out if it is there")
    parser.add_argument("--check", action="store_true", help="hold the motion to the scene's check")
    parser.add_argument("--json", type=Path, metavar="FILE", help="a summary of the run")
    parser.add_argument(
        "--gradient",
        metavar="A,B",
        help="adds to the summary the derivative of the scene's first"
        " result by parameters of its law, such as young",
    )
    live.add_arguments(parser)
    found, script = selection.read(parser, tokens)
    assert script is not None
    live.check(found)
    if found.resume and found.out is None:
        raise ValueError("--resume needs --out: the file of the run to go on with")
    if found.resume and found.force:
        raise ValueError("got --resume and --force, expected one of them: go on, or start afresh")
    if found.law is not None and found.micro is not None:
        raise ValueError("got --law and --micro, expected one of them")
    if found.phase and found.micro is None:
        raise ValueError("--phase needs --micro fe2:MESH: the cell whose phase it is")
    if found.gradient and found.json is None:
        raise ValueError("--gradient needs --json: the file that the derivatives go to")
    if found.steps is not None and found.duration is not None:
        raise ValueError("got --steps and --duration, expected one of them")
    if found.live:
        return live.drive(found, *_scene_and_solver(found, script))
    return Run(found, script).go()


def _scene_and_solver(found: argparse.Namespace, script: Script) -> tuple[Any, Any]:
    """What is simulated, and how.

    Raises:
        ValueError: A choice does not fit.
    """
    operator = reduced.solver(found)
    solver: Any = operator or selection.make_solver(script, found)
    if found.micro is None:
        law = laws.load_for(found.law, solver)
    else:
        law = cells.micro(found.micro, cells.phase_laws(found.phase))
    scene = laws.with_constants(selection.make_scene(script, law, found), found.constant)
    if found.duration is not None:
        if not found.duration > 0:
            raise ValueError(f"--duration must be positive [s]; got {found.duration:g}")
        scene = dataclasses.replace(scene, duration=found.duration)
    if operator is not None:
        if found.steps is not None:
            scene = dataclasses.replace(scene, duration=found.steps * operator.dt)
        if scene.name == operator.operator.scope.scene:
            reduced.warn_of_options(operator, script, found)
    return scene, solver


class Run:
    """One call of the command, prepared."""

    def __init__(self, found: argparse.Namespace, script: Script) -> None:
        """Build, discretize and check; the heavy packages are imported here.

        Raises:
            ValueError: The scene cannot be run as asked for.
        """
        import torch

        from rheograd.engine.simulate import Schedule

        from ..recording import require_free

        self.found, self.script = found, script
        self.options = selection.chosen_options(found)
        inputs = read_by(found, ("out", "json"))
        require_new((found.out, found.json), force=True, inputs=inputs)
        if found.out is not None and not (found.resume or found.force):
            require_free(found.out)
        scene, self.solver = _scene_and_solver(found, script)
        self.scene = scene
        self.model: Any = self.solver.discretize(scene)
        self.clock = Clock()  # the first frames of a reduced motion are simulated at its start
        with torch.no_grad():
            self.begin: State = self.solver.start(self.model)
        self.reached = self.begin
        self.fields, self.cell_fields = fields.chosen(
            found.fields, self.solver, self.model, self.begin
        )
        self.gradients = Gradients(script, self.solver, scene, found.gradient or "")
        self.schedule: Schedule = Schedule.of(
            scene, self.model.dt, found.steps, found.every, found.frames, whole=self._loaded
        )

    @property
    def identity(self) -> dict[str, object]:
        """What a run that is resumed must have in common with its beginning."""
        return {
            "scene": self.scene.name,
            **{f"--{name}": repr(value) for name, value in self.options.items()},
            "--law": laws.digest(self.found.law),
            **({"--micro": cells.micro_digest(self.found.micro)} if self.found.micro else {}),
            **({"--phase": self._phases} if self.found.phase else {}),
            **reduced.identity(self.found),
            "--dt": repr(self.model.dt),
            "--every": self.schedule.every,
            "--fields": ",".join([*self.fields, *self.cell_fields]),
            "solver": repr(dataclasses.replace(self.solver, device="cpu")),
            "particles": self.model.n,
        }

    def go(self) -> int:
        """Simulate, write, check, sum up."""
        import torch

        from rheograd.engine.errors import SimulationError
        from rheograd.engine.simulate import simulate

        from ..progress import Progress

        torch.set_num_threads(1)  # learned laws work in blocks that suit one core

        start = self._resumed()
        done = 0 if start is None else start.step
        if self._complete(start):
            if self.found.json is not None:
                raise ValueError(
                    f"{self.found.out} is complete, and --json is written along with a run: add"
                    " --force, without --resume, to run it again"
                )
            self._tell(f"{self.found.out} is complete")
            return 0
        self._announce(done)
        recording = self._recording(start)
        clock = self.clock
        clock.begun = done
        try:
            with Progress(self.scene.name, self.schedule.steps, done=done) as progress:

                def sink(state: State) -> None:
                    if recording is not None:
                        recording(state)
                    self.reached = state
                    progress.to(state.step)
                    clock.to(state.step)

                trajectory = simulate(
                    self.scene, self.solver, steps=self.schedule.steps,
                    every=self.schedule.every, sink=sink, start=start, model=self.model,
                    begin=self.begin,
                    keep=(self.found.check or self.script.results is not None) and start is None,
                )  # fmt: skip
        except KeyboardInterrupt:
            raise KeyboardInterrupt(self._stopped(recording)) from None
        except SimulationError as failure:
            if recording is not None:
                recording.close(finished=True)
            self._write_summary(clock, {**self._solved(), "ended": str(failure)})
            raise
        except BaseException:
            if recording is not None:
                recording.close(finished=True)
            raise
        if recording is not None:
            recording.close(finished=True)
        if self.found.check:
            self._check(trajectory)
        self._tell_pace(clock)
        results = self._results(trajectory)
        if line := cells.beyond(results.get("micro", {})):
            self._tell(line)
        self._write_summary(clock, results)
        return 0

    def _results(self, trajectory: Trajectory) -> dict[str, Any]:
        """What the scene says of its motion, and what the solver does of the run."""
        found = {**self._solved(), "ended": f"all steps were taken{self._share}"}
        if self.script.results is None:
            return found
        whole = self._whole(trajectory)
        try:
            own = named_results(self.script, whole, self.options)
        except KeyError as missing:
            if not self.found.resume:
                raise
            self._tell(
                f"no results: {self.script.name} needs {missing}, which {self.found.out} does not"
                " have: name it in --fields, or run without --resume"
            )
            own = {}
        if self.gradients.parameters:
            self._tell("derivatives: the run once more, forth and back")
        return {**found, **own, **self.gradients.take(self.model, self.schedule)}

    def _solved(self) -> dict[str, Any]:
        return dict(self.solver.summary(self.model, self.reached))

    @property
    def _loaded(self) -> bool:
        """Whether steps raise a load."""
        return getattr(self.model, "ramp", 0.0) > 0.0

    @property
    def _share(self) -> str:
        """How much of the load that is, where it is not all."""
        if not self._loaded:
            return ""
        share = self.schedule.steps * self.model.dt / self.model.ramp
        return f", to {100 * share:.4g} % of the load" if share < 1 - 1e-9 else ""

    @property
    def _last(self) -> int:
        """The step of the last frame."""
        return self.schedule.steps

    def _resumed(self) -> State | None:
        if not self.found.resume:
            return None
        from ..recording import saved

        return saved(self.found.out, self.identity, getattr(self.solver, "device", "cpu"))

    def _complete(self, start: State | None) -> bool:
        if start is not None or not self.found.resume:
            return start is not None and start.step >= self._last
        from ..recording import unfinished

        return not unfinished(self.found.out, self._last, self.identity)

    @property
    def _sizes(self) -> dict[str, int]:
        """How many of what."""
        if not hasattr(self.model, "cells"):
            return {"particles": self.model.n}
        return {"nodes": self.model.n, "elements": len(self.model.nodes)}

    def _announce(self, done: int) -> None:
        dt, steps = self.model.dt, self.schedule.steps
        laws = ", ".join(dict.fromkeys(body.law.name for body in self.scene.bodies))
        points = f"{self.model.n} {getattr(self.model, 'noun', 'particles')}"
        if hasattr(self.model, "cells"):
            nodes, elements = self._sizes.values()
            points = f"{nodes} nodes, {elements} {self.model.kind.name} elements"
        length = f"steps of {1e3 * dt:.3g} ms"
        if self._loaded:
            length = f"load step{'s' * (steps > 1)}{self._share}"
        x = getattr(self.model, "full", self.model).x0  # of the bodies, however few points follow
        size = (x.amax(0) - x.amin(0)).tolist()
        across = " x ".join(f"{metres:.3g}" for metres in size)
        self._tell(
            f"{self.scene.name}: {points} ({laws}) in {across} m, {steps} {length}"
            + (f", from step {done}" if done else "")
        )
        if (self.found.frames or 0) > steps:
            self._tell(
                f"--frames {self.found.frames}: there are {steps} steps, so there are"
                f" {steps} frames after the first"
            )
        if line := reduced.fewer(self.found, self.model):
            self._tell(line)

    def _recording(self, start: State | None) -> Recording | None:
        if self.found.out is None:
            return None
        from rheograd.engine.simulate import describe

        from ..recording import Recording

        metadata = {
            **describe(self.scene, self.model, self.schedule),
            "steps": str(self.schedule.steps),
            "run": json.dumps(self.identity, sort_keys=True),
            "options": json.dumps(self.options, default=str),
        }
        return Recording(
            self.found.out, self.model.n, body=self.model.body.cpu(), metadata=metadata,
            identity=self.identity, fields=self.fields, cell_fields=self.cell_fields,
            cells=getattr(self.model, "cells", None), more=self._more, resumed=start,
            totals=tuple(self.solver.totals(self.model, self.begin)),
            expected=self._last // self.schedule.every + 1,
        )  # fmt: skip

    def _more(self, state: State) -> dict[str, Tensor | float]:
        """What the solver records of a state beside what is in it."""
        names = [*self.fields, *self.cell_fields]
        return fields.recorded(names, self.solver, self.model, state)

    def _stopped(self, recording: Recording | None) -> str:
        if recording is None:
            return "stopped"
        frames = recording.frames
        recording.close(finished=False)
        if not frames:
            return "before the first frame"
        step = recording.step
        return f"at step {step}; {frames} frames are in {self.found.out}, --resume goes on"

    def _check(self, trajectory: Any) -> None:
        check = self.script.check
        if check is None:
            raise ValueError(f"{self.script.name} has no check()")
        selection.run_check(check, self._whole(trajectory), self.options)
        self._tell("check passed")

    def _whole(self, trajectory: Trajectory) -> Trajectory:
        """All frames, of a resumed run from its file."""
        from rheograd.engine.trajectory import Trajectory

        if self.found.resume and len(trajectory) < self._last // self.schedule.every + 1:
            return Trajectory.load(self.found.out)
        return trajectory

    @property
    def _frames(self) -> int:
        """Frames so far."""
        return self.reached.step // self.schedule.every + 1

    def _tell_pace(self, clock: Clock) -> None:
        taken = self.reached.step - clock.begun
        where = f"{self.found.out}: {self._frames} frames, " if self.found.out else ""
        rate = clock.rate
        pace = f"{taken / max(clock.wall, 1e-9):.0f} steps/s, the start included"
        if rate is not None:
            pace = f"{rate:.0f} steps/s once under way"
        self._tell(f"{where}{taken} steps in {clock.wall:.1f} s ({pace})")

    @property
    def _phases(self) -> dict[str, str]:
        """Laws of the phases of cells that are solved."""
        return {k: v for body in self.scene.bodies for k, v in cells.phases_of(body.law).items()}

    def _write_summary(self, clock: Clock, results: dict[str, Any]) -> None:
        if self.found.json is None:
            return
        summary = {
            "scene": self.scene.name,
            "options": {name: str(value) for name, value in self.options.items()},
            "laws": [body.law.name for body in self.scene.bodies],
            "law_file": self.found.law or self.found.micro,
            **({"phases": self._phases} if self._phases else {}),
            **self._sizes,
            "dt": self.model.dt,
            "steps": self.schedule.steps,
            "steps_taken": self.reached.step,
            "every": self.schedule.every,
            "frames": self._frames,
            "resumed_at": clock.begun,
            "wall_seconds": clock.wall,
            "steps_per_second": clock.rate,
            "precision": getattr(self.solver, "precision", None),
            "device": getattr(self.solver, "device", None),
            "checked": bool(self.found.check),
            "out": None if self.found.out is None else str(self.found.out),
        }
        if twice := sorted({*summary} & {*results}):
            raise ValueError(
                f"{self.script.name}: results() gives {', '.join(twice)}, which the summary of a"
                " run has already: give it another name"
            )
        summary |= results
        self.found.json.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")

    def _tell(self, line: str) -> None:
        print(line, file=sys.stderr, flush=True)
