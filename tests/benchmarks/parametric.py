# SPDX-License-Identifier: Apache-2.0
"""A learned cell whose phases have parameters: errors, gradients, and parameters from forces.

python tests/benchmarks/parametric.py [--law FILE] [--save FILE]

The cell is a round fibre in a resin whose shear saturates (quad4, plane strain). Trained over mean
strains and parameters together, it is compared with the cell over both; in an L-shaped bracket the
derivatives of a reaction by the load and by each parameter are compared with central differences
and with those of FE²; and parameters are recovered from the reactions of the bracket by FE².
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from rheograd.engine.fem.integrators import Static
from rheograd.engine.fem.solver import FESolver
from rheograd.engine.fit.experiment import Experiment
from rheograd.engine.fit.least_squares import fit_parameters
from rheograd.engine.fit.parameter import Parameter
from rheograd.engine.homogenize import parametric
from rheograd.engine.homogenize.cell import Cell
from rheograd.engine.homogenize.embedding import embedded
from rheograd.engine.homogenize.fe2 import FE2
from rheograd.engine.homogenize.load_space import LoadSpace
from rheograd.engine.homogenize.microstructures import round_inclusion
from rheograd.engine.loads import Displacement, Fixed
from rheograd.engine.observations.force_curve import ForceCurve
from rheograd.engine.observations.joint import Joint
from rheograd.engine.scene import Body, Scene
from rheograd.engine.simulate import simulate
from rheograd.engine.solver import Checkpoint
from rheograd.engine.trajectory import Trajectory
from rheograd.materials.homogenized.equino import EquiNO
from rheograd.materials.homogenized.phase_parameters import PhaseParameter
from rheograd.materials.law import ConstitutiveLaw
from rheograd.materials.small_strain import Hyperbolic, LinearElastic
from rheograd.scenes.bracket import SIDE, bracket

VARIED = (
    PhaseParameter("fibre", "young", 20e9, 80e9),
    PhaseParameter("matrix", "bulk", 3e9, 8e9),
    PhaseParameter("matrix", "limit", 30e6, 80e6),
)
SPACE = LoadSpace.cube(2, 0.04, small=True)
MESH = bracket("quad8", 1)
SETS = {"training": (150, 0), "validation": (40, 1), "test": (100, 2)}
PLACES = (
    {},
    {"fibre.young": 28e9, "matrix.bulk": 6e9, "matrix.limit": 70e6},
    {"fibre.young": 72e9, "matrix.bulk": 3.5e9, "matrix.limit": 35e6},
)
"""Parameters for which gradients are compared."""
DOWN = (2e-4, 1e-3)
"""How far the end of the arm is moved for gradients [m]; nearly all points stay in the box."""
MOVES = {
    "down": ((0.0, -1e-3, 0.0), "y"), "along": ((1e-3, 0.0, 0.0), "x"),
    "down, held": ((0.0, -1e-3, 0.0), "xy"),
}  # fmt: skip
"""Of the end of the arm [m], along which axes it is held: one experiment each."""
NOISE = 100.0
"""Of a reaction that is counted as exact [N]."""
TRUTHS = (
    {"fibre.young": 29e9, "matrix.limit": 62e6},
    {"matrix.bulk": 6.3e9, "matrix.limit": 38e6},
)
"""Parameters that are looked for, from those of the published cell."""


def family() -> parametric.Family:
    """The cell of Eivazi et al. 2025, "EquiNO", with one fibre, and what varies."""
    mesh = round_inclusion(0.3, (4, 2, 3), element="quad4")
    laws = {"matrix": Hyperbolic(4.78e9, 50e6, 0.06), "fibre": LinearElastic(73e9, 0.22)}
    return parametric.Family(Cell(mesh, laws), VARIED)


def trained(own: parametric.Family) -> EquiNO:
    """Snapshots and training, with the seconds of each part."""
    started = time.perf_counter()
    sets = {name: parametric.solve(own, SPACE, *SETS[name]) for name in ("training", "validation")}
    print(f"snapshots {time.perf_counter() - started:.0f} s")
    made = parametric.train(own, SPACE, sets["training"], sets["validation"])
    print(", ".join(f"{what} {seconds:.0f} s" for what, seconds in made.seconds.items()))
    return made.law


def scene(law: ConstitutiveLaw, move: Tensor | tuple[float, ...], axes: str = "y") -> Scene:
    """The bracket, its end moved along some axes and free along the others."""
    boundaries = [Fixed("top"), Displacement("end", move, axes)]  # type: ignore[arg-type]
    return Scene([Body(MESH, law, 1.2e3)], boundaries, (0.0, 0.0, 0.0), name="bracket")


def end(x: Tensor) -> Tensor:
    """Which places are at the end of the arm."""
    return x[:, 0] > SIDE * (1 - 1e-6)


def reaction(law: ConstitutiveLaw, down: Tensor) -> Tensor:
    """Force that holds the end down, after two load steps [N]."""
    solver = FESolver(integrator=Static(2), tolerance=1e-11)
    move = torch.stack([0.0 * down, -down, 0.0 * down])
    found = simulate(scene(law, move), solver, frames=1, adjoint=Checkpoint())
    return -found.fields["reaction"][-1][end(found.x[0]), 1].sum()


def logarithmic(law: ConstitutiveLaw, down: Tensor) -> tuple[float, list[float]]:
    """A reaction and its derivatives d log / d log, by the load and by each parameter."""
    down = down.detach().requires_grad_()
    force = reaction(law, down)
    by = [down, *law.parameters()]
    slopes = torch.autograd.grad(force, by)
    return force.item(), [(g * p / force).item() for g, p in zip(slopes, by, strict=True)]


def differences(law: ConstitutiveLaw, down: Tensor) -> list[float]:
    """The same by central differences."""
    found, own = [], down.clone()
    for parameter in (own, *law.parameters()):
        h, sides = 1e-5 * float(parameter.detach()), []
        for step in (h, -h):
            with torch.no_grad():
                parameter += step
                sides.append(float(reaction(law, own).detach()))
                parameter -= step
        found.append((sides[0] - sides[1]) / (sides[0] + sides[1]) / 1e-5)
    return found


def compare_gradients(law: EquiNO) -> None:
    """Of the surrogate by its adjoint and by differences, and of FE²."""
    names = ["load", *(f"{name}" for name, _ in law.named_parameters())]
    for values in PLACES:
        own = law.at(values)
        exact = FE2(embedded(own))  # type: ignore[arg-type]
        for size in DOWN:
            down = torch.tensor(size, dtype=torch.float64)
            force, slopes = logarithmic(own, down)
            true, expected = logarithmic(exact, down)
            own_differences = differences(own, down)
            place = ", ".join(f"{v.label} = {v.of(own.phases).item():.4g}" for v in VARIED)
            print(f"{place}, {size:g} m down: force {100 * (force / true - 1):+.3f} %")
            print(f"  points outside the box: {outside(own, size)}")
            for name, a, b, c in zip(names, slopes, own_differences, expected, strict=True):
                print(
                    f"  {name}: d log R / d log = {a:.6f}, off by {abs(a / b - 1):.1e} from "
                    f"differences, {100 * (a / c - 1):+.2f} % from FE² ({c:.6f})"
                )


def outside(law: EquiNO, down: float) -> str:
    """How many points of the bracket are, and how far."""
    solver = FESolver(integrator=Static(2))
    model = solver.discretize(scene(law, (0.0, -down, 0.0)))
    state = solver.rollout(model, solver.start(model), 2).last
    told = solver.summary(model, state)["micro"]["outside_box"]
    return f"{told['points']} of {told['of']}, by up to {told['largest']:.2f} of a half-width"


def measured(law: ConstitutiveLaw, move: tuple[float, ...], axes: str) -> Trajectory:
    """The bracket in four load steps."""
    return simulate(scene(law, move, axes), FESolver(integrator=Static(4)), frames=4)


def observed(found: Trajectory, axes: str) -> Joint:
    """Components of the reaction at the end, against the share of the load."""
    held = found.fields["reaction"][:, end(found.x[0])].sum(1)
    units = {"x": (1.0, 0.0, 0.0), "y": (0.0, 1.0, 0.0)}
    curves = [
        ForceCurve.bind(
            found.time, held[:, "xy".index(a)], found.x[0], end, axis=units[a], noise=NOISE
        )
        for a in axes
    ]
    return Joint(tuple(curves))


def recover(law: EquiNO, truth: Mapping[str, float]) -> None:
    """Parameters from reactions by FE² of other ones, through the surrogate."""
    exact = FE2(embedded(law.at(truth)))  # type: ignore[arg-type]
    clock = time.perf_counter()
    experiments = [
        Experiment(observed(measured(exact, move, axes), axes), {"move": move, "axes": axes}, name)
        for name, (move, axes) in MOVES.items()
    ]
    once = (time.perf_counter() - clock) / len(MOVES)
    runs = 0

    def build(*, young: float = 0.0, bulk: float = 0.0, limit: float = 0.0,
              move: tuple[float, ...] = (0.0,) * 3, axes: str = "y") -> Scene:  # fmt: skip
        nonlocal runs
        runs += 1
        given = {"fibre.young": young, "matrix.bulk": bulk, "matrix.limit": limit}
        return scene(law.at({name: value for name, value in given.items() if value}), move, axes)

    parameters = {
        v.name: Parameter(v.of(law.phases).item(), v.lower, v.upper, unit="Pa")
        for v in VARIED
        if v.label in truth
    }
    clock = time.perf_counter()
    found = fit_parameters(
        build, FESolver(integrator=Static(4)), experiments, parameters, search=0
    )  # fmt: skip
    seconds = time.perf_counter() - clock
    for name, value in truth.items():
        p = parameters[name.partition(".")[2]]
        got = found.values[name.partition(".")[2]]
        print(
            f"  {name}: from {p.start:g}, true {value:g}, found {got:.5g} "
            f"({100 * (got / value - 1):+.2f} %)"
        )
    print(
        f"  {seconds:.0f} s, {runs} scenes; one by FE² takes {once:.1f} s, so that FE² would take "
        f"about {runs * once:.0f} s"
    )


def main() -> None:
    """Print all figures."""
    words = argparse.ArgumentParser()
    words.add_argument("--law", type=Path, help="a law that --save has written; else one is made")
    words.add_argument("--save", type=Path)
    given = words.parse_args()
    torch.set_num_threads(1)
    own = family()
    law = trained(own) if given.law is None else ConstitutiveLaw.load(given.law)
    assert isinstance(law, EquiNO)
    if given.save:
        law.save(given.save)
    held = parametric.solve(own, SPACE, *SETS["test"])
    errors = parametric.errors(law, own, SPACE, held)
    print("errors over strains and parameters [%], median and largest:")
    for name, value in errors.median().items():
        print(f"  {name}: {value:.3f} {errors.largest()[name]:.3f}")
    compare_gradients(law)
    for truth in TRUTHS:
        print(f"looked for: {', '.join(truth)}")
        recover(law, truth)


if __name__ == "__main__":
    main()
