# SPDX-License-Identifier: Apache-2.0
"""The measured silicone beam: E and damping from one release, the other releases predicted.

python tests/benchmarks/real_beam.py [--cells MM ...] [--tilt DEGREES ...] [--poisson NU ...]
                                     [--no-load] [--json FILE]
python tests/benchmarks/real_beam.py --solver fe [--sizes MM ...] [--elements KIND] [--dt MS] ...

Prints a line for each fit (the first half second of gravity a) and each prediction (the first
second of each recording); docs/beam.md quotes them. The recordings are looked for in
RHEOGRAD_REFERENCE_DATA, by default ../shared/data beside the repository.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rheograd.engine.fit.follow import follow
from rheograd.engine.fit.least_squares import ParameterFit, fit_parameters
from rheograd.engine.fit.parameter import Parameter, place
from rheograd.engine.observations.markers import EXACT, Freedom, Markers, Pose
from rheograd.engine.trajectory import Trajectory
from rheograd.scenes import beam

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
RECORDINGS = ("gravity_V2_a", "gravity_V2_b", "load52_V2_a")
NEAR = {"gravity_V2_a": 7.5, "gravity_V2_b": 7.5, "load52_V2_a": 4.3}
"""Where to look for the frequency [Hz]."""
SETTLED = 0.05
"""From when on the first mode is alone [s]."""
CLOCK = Freedom(rotation=0.0, position=0.0, arm=0.0, clock=5e-3)
"""Another release on the same rig."""
SEATED_AGAIN = Freedom(rotation=math.radians(1.0), position=5e-3, arm=0.0, clock=5e-3)
"""The rig was moved between the recordings with and without the load."""
LOAD, SEATS = 0.052, (0.0025, 0.005, 0.010)
"""Mass [kg] and distances of its centre from the end face [m]."""


@dataclass(frozen=True)
class Comparison:
    """A simulated swing beside the measured one."""

    measured: float
    """Frequency [Hz]."""
    simulated: float
    """Frequency [Hz]."""
    measured_decay: float
    """[1/s]"""
    simulated_decay: float
    """[1/s]"""
    path: float
    """RMS distance of the mean of the markers [m]."""
    amplitude: float
    """Distance of that mean from where it finally rests, at the release [m]."""
    clock: float
    """Estimated beginning of the recording [s]."""

    @property
    def off(self) -> float:
        """Relative error of the frequency."""
        return self.simulated / self.measured - 1.0

    @property
    def share(self) -> float:
        """Path error by the initial amplitude."""
        return self.path / self.amplitude


@dataclass(frozen=True)
class Study:
    """A fit to gravity a, and what it takes to predict the others."""

    fit: ParameterFit
    solver: Any
    given: dict[str, Any]
    markers: Markers
    """Of gravity a, the half second that was fitted."""
    pose: Pose
    """The setup estimated from it."""


def load(name: str, folder: Path) -> Trajectory:
    """A recording."""
    return Trajectory.load(folder / "beam" / f"beam_{name}.c3d")


def study(folder: Path, solver: Any, seconds: float = 0.5, search: int = 0, **given: Any) -> Study:
    """Fit E and damping to the beginning of gravity a.

    Args:
        folder: Of the reference data.
        solver: How the beam is simulated.
        seconds: How much of the swing.
        search: As in `fit_parameters`.
        given: Other parameters of the scene.
    """
    rest = solver.discretize(beam.build(**given)).x0
    options = {"tilt": given["tilt"]} if "tilt" in given else {}
    markers = beam.observe(load("gravity_V2_a", folder), rest, seconds=seconds, **options)
    starts = {
        "young": Parameter(3e5, 1.0, math.inf, "Pa"),
        "damping": Parameter(2e-3, 0.0, math.inf, "s"),
    }
    fit = fit_parameters(beam.build, solver, markers, starts, given=given, search=search)
    motion = follow(
        [beam.build(**place(fit.values, given, beam.build))], solver, markers, dt=fit.steps[0]
    )[0]
    return Study(fit, solver, given, markers, markers.pose(motion))


def predict(done: Study, name: str, folder: Path, **changes: Any) -> Comparison:
    """The first second of a recording, with the setup of gravity a.

    Args:
        done: The fit.
        name: Of the recording.
        folder: Of the reference data.
        changes: Parameters of the scene that differ, such as the load.
    """
    tip = beam.let_go(load(name, folder))
    scene = beam.build(**{**done.given, **done.fit.values, **changes})
    rest = done.solver.discretize(scene).x0.double()
    markers = replace(done.markers, rest=rest)
    if name == RECORDINGS[0]:
        markers = replace(markers.known(done.pose, EXACT), recording=tip)
    else:
        freedom = SEATED_AGAIN if name.startswith("load") else CLOCK
        markers = markers.known(done.pose, freedom, tip)
    markers = markers.between(0.0, 1.0)
    motion = follow([scene], done.solver, markers, dt=done.fit.steps[0])[0]
    pose = markers.pose(motion)
    found = markers.predicted(motion, pose).mean(1)
    seen = markers.recording.x.double().mean(1)
    rest_at = tip.x[-100:].double().mean((0, 1))
    clock = markers.recording.time
    late = clock >= SETTLED - 1e-9
    ours, theirs = (beam.swing(clock[late], x[late, 0], NEAR[name]) for x in (found, seen))
    return Comparison(
        measured=theirs.frequency, simulated=ours.frequency,
        measured_decay=theirs.decay, simulated_decay=ours.decay,
        path=float((found - seen).square().sum(1).mean().sqrt()),
        amplitude=float((seen[0] - rest_at).norm()), clock=float(pose.clock),
    )  # fmt: skip


def _solver(found: argparse.Namespace, length: float) -> Any:
    if found.solver == "mpm":
        return replace(beam.solver(), cell=length)
    solver = replace(beam.fe_solver(), size=length, elements=found.elements)
    return solver.at_step(found.dt * 1e-3)


def main() -> None:
    """Run all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--solver", choices=("mpm", "fe"), default="mpm")
    parser.add_argument("--cells", type=float, nargs="+", default=[10.0, 7.5])
    parser.add_argument("--sizes", type=float, nargs="+", default=[12.5, 6.25])
    parser.add_argument("--elements", default="hex20")
    parser.add_argument("--dt", type=float, default=2.5)
    parser.add_argument("--tilt", type=float, nargs="+", default=[0.0])
    parser.add_argument("--poisson", type=float, nargs="+", default=[0.45])
    parser.add_argument("--no-load", action="store_true")
    parser.add_argument("--json", type=Path)
    found = parser.parse_args()
    folder = Path(os.environ.get("RHEOGRAD_REFERENCE_DATA", DATA))
    rows = []
    lengths = found.cells if found.solver == "mpm" else found.sizes
    for length, tilt, poisson in itertools.product(lengths, found.tilt, found.poisson):
        begun = time.perf_counter()
        done = study(folder, _solver(found, length * 1e-3), tilt=tilt, poisson=poisson)
        row: dict[str, Any] = {
            "solver": found.solver, "length_mm": length, "tilt": tilt, "poisson": poisson,
            "dt": done.fit.steps[0],
            "seconds": time.perf_counter() - begun, "rms": math.sqrt(done.fit.misfit),
            "parameters": [asdict(p) for p in done.fit.parameters],
        }  # fmt: skip
        print(f"\n{found.solver}, {length:g} mm, tilt {tilt:g}°, ν {poisson:g},"
              f" dt {1e6 * row['dt']:.0f} µs, fitted in {row['seconds']:.0f} s")  # fmt: skip
        for p in done.fit.parameters:
            print(f"  {p.name} {p.value:.6g} {p.unit} ({p.low95:.6g} to {p.high95:.6g})")
        cases = [(name, name, {}) for name in RECORDINGS[:2]]
        if not found.no_load:
            name = RECORDINGS[2]
            cases += [
                (f"{name}, mass centre {1e3 * s:g} mm out", name, {"load": LOAD, "seat": s})
                for s in SEATS
            ]
        for label, name, changes in cases:
            one = predict(done, name, folder, **changes)
            row[label] = asdict(one)
            print(
                f"  {label}: {one.measured:.3f} Hz seen, {one.simulated:.3f} Hz simulated"
                f" ({100 * one.off:+.2f} %); decay {one.measured_decay:.2f},"
                f" {one.simulated_decay:.2f} 1/s; path {1e3 * one.path:.3f} mm,"
                f" {100 * one.share:.1f} % of {1e3 * one.amplitude:.2f} mm;"
                f" clock {1e3 * one.clock:+.1f} ms",
                flush=True,
            )
        rows.append(row)
    if found.json is not None:
        found.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
