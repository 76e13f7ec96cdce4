# SPDX-License-Identifier: Apache-2.0
"""One network for twenty materials, and a new one identified by its code alone.

    python tests/benchmarks/material_family.py --epochs 60 --out runs/family

Ten jellies (Young's modulus varied) and ten plasticines (yield stress varied), a cube of each, are
thrown to the floor on one tray. One `ConditionalIsotropic` with two numbers of a code for each
material, learned together with the weights, is fitted to where the particles went. Then cubes of
materials that lie between those are thrown in the same way. Each is identified twice: by two
numbers of its code, the weights frozen, from the code among the twenty that comes nearest; and by
an `Isotropic` law of its own from nothing. Errors [m²] are mean squared coordinate differences over
every fifth frame: of the motion that was seen, and of another throw over twice the time.
"""

from __future__ import annotations

import argparse
import json
import math
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rheograd.engine.boundaries import Vector
from rheograd.engine.errors import SimulationError
from rheograd.engine.fit.experiment import Experiment
from rheograd.engine.fit.learn import fit
from rheograd.engine.fit.least_squares import fit_parameters
from rheograd.engine.fit.parameter import Parameter
from rheograd.engine.fit.recipe import Recipe
from rheograd.engine.mpm import MPMSolver
from rheograd.engine.observations.observation import Positions
from rheograd.engine.scene import Body, Domain, Scene
from rheograd.engine.shapes import Box
from rheograd.engine.simulate import simulate
from rheograd.materials.composition import ElastoPlastic
from rheograd.materials.elastic import Corotated, Hencky
from rheograd.materials.law import ConstitutiveLaw
from rheograd.materials.learned.code_book import CodeBook
from rheograd.materials.learned.isotropic import ConditionalIsotropic, Isotropic
from rheograd.materials.plastic import VonMises

CELL, STEP = 0.05, 1e-3
EVERY = 5
SIDE, APART, ROW = 0.15, 0.4, 5
"""Of a cube, and between the middles of two [m]; cubes of a row."""
YOUNG, YIELD = (5e4, 3e5), (1e3, 1e4)
"""Of the softest and the stiffest jelly, of the weakest and the strongest plasticine [Pa]."""
THROW = ((0.3, -3.0, 0.2), (4.0, 2.0, 3.0))
"""Velocity [m/s] and spin [rad/s] of the motion that is seen."""
OTHER = ((-0.4, -3.5, 0.1), (1.0, -3.0, 2.0))
"""Likewise, of the throw that judges."""
STRESS, FLOW, STRAIN = 1e5, 1e-2, 0.1
"""Scales of the laws: of stress [Pa], of flow and of strain [-]."""


def jelly(young: float) -> ConstitutiveLaw:
    """One of the first half of the family."""
    return Corotated(young=young, poisson=0.2)


def plasticine(yield_stress: float) -> ConstitutiveLaw:
    """One of the second half."""
    return ElastoPlastic(Hencky(young=2e5, poisson=0.25), VonMises(yield_stress=yield_stress))


def members(count: int) -> list[ConstitutiveLaw]:
    """Jellies, then as many plasticines, evenly spaced by the logarithm."""
    shares = torch.linspace(0, 1, count // 2, dtype=torch.float64).tolist()

    def between(ends: tuple[float, float], share: float) -> float:
        return ends[0] * (ends[1] / ends[0]) ** share

    soft = [jelly(between(YOUNG, s)) for s in shares]
    return soft + [plasticine(between(YIELD, s)) for s in shares]


def new_materials() -> dict[str, ConstitutiveLaw]:
    """Materials that are in no training, by what the table calls them."""
    return {
        "jelly, E = 120 kPa": jelly(1.2e5),
        "plasticine, yield stress 3.2 kPa": plasticine(3.2e3),
    }


def tray(
    laws: Sequence[ConstitutiveLaw],
    fields: Callable[[int], dict[str, Tensor]] = lambda k: {},
    throw: tuple[Vector, Vector] = THROW,
) -> Scene:
    """Cubes of some laws in rows, thrown alike; they do not touch one another."""
    bodies = []
    for k, law in enumerate(laws):
        middle = (APART * (0.5 + k % ROW), 0.02 + 0.5 * SIDE, APART * (0.5 + k // ROW))
        box = Box((SIDE, SIDE, SIDE), middle)
        bodies.append(Body(box, law, 1e3, *throw, name=f"cube {k}", fields=fields(k)))
    upper = (APART * min(len(laws), ROW), 0.5, APART * math.ceil(len(laws) / ROW))
    return Scene(bodies, duration=1.0, domain=Domain((0.0, 0.0, 0.0), upper), name="tray")


def seen(scene: Scene, steps: int) -> Positions:
    """Where the particles of a scene go."""
    return Positions(simulate(scene, MPMSolver(CELL, STEP), steps=steps, every=EVERY))


def errors(scene: Scene, true: Scene, steps: int) -> list[float]:
    """Of each body [m²]; infinite where the motion diverges."""
    solver = MPMSolver(CELL, STEP)
    try:
        gap = seen(scene, steps).trajectory.x - seen(true, steps).trajectory.x
    except SimulationError:
        return [math.inf] * len(scene.bodies)
    body = solver.discretize(true).body
    squares = gap.double().square().mean((0, 2))
    return [float(squares[body == k].mean()) for k in range(len(scene.bodies))]


def learn(options: argparse.Namespace) -> tuple[CodeBook, dict[str, Any]]:
    """Fit weights and codes to the tray."""
    laws = members(options.members)
    true = tray(laws)
    law = ConditionalIsotropic(
        2, STRESS, FLOW, elastic_strain=STRAIN, plastic_strain=STRAIN, seed=0
    )  # fmt: skip
    book = CodeBook(law, len(laws), seed=0)

    def own(k: int) -> dict[str, Tensor]:
        return {"membership": book.member(k)}

    scene = tray([book] * len(laws), own)
    untrained = errors(scene, true, options.steps)
    recipe = Recipe(epochs=options.epochs, updates=4, least=2, from_start=True, shortest=50,
                    rate_elasticity=1e-2, rate_plasticity=3e-3)  # fmt: skip
    spent = time.process_time()
    fit(
        scene, MPMSolver(CELL, STEP), seen(true, options.steps), folder=options.out / "family",
        hold_out=0.0, recipe=recipe, threads=options.threads, resume=True,
        source="python tests/benchmarks/material_family.py",
        tell=lambda m: print(m, flush=True) if "note" in m or not m.get("epoch", 1) % 10 else None,
    )  # fmt: skip
    elsewhere = tray(laws, throw=OTHER), tray([book] * len(laws), own, OTHER)
    return book, {
        "untrained": untrained,
        "seen": errors(scene, true, options.steps),
        "other throw": errors(elsewhere[1], elsewhere[0], 2 * options.steps),
        "CPU-seconds": time.process_time() - spent,
        "codes": book.codes.tolist(),
    }


def judged(law: ConstitutiveLaw, true: ConstitutiveLaw, steps: int, code: Tensor | None) -> Any:
    """Errors of the motion that was seen and of the other throw [m²]."""
    found = {}
    for name, throw, count in (("seen", THROW, steps), ("other throw", OTHER, 2 * steps)):
        fields = {} if code is None else {"code": code}
        scene = tray([law], lambda k, own=fields: own, throw)
        (found[name],) = errors(scene, tray([true], throw=throw), count)
    return found


def by_code(book: CodeBook, true: ConstitutiveLaw, name: str, options: Any) -> dict[str, Any]:
    """Two numbers of a code, the weights frozen."""
    began, spent = time.perf_counter(), time.process_time()
    law, codes = book.law.freeze(), book.codes.detach()
    observed = seen(tray([true]), options.steps)
    every = tray([law] * len(codes), lambda k: {"code": codes[k]})
    near = errors(every, tray([true] * len(codes)), options.steps)
    start = codes[min(range(len(codes)), key=near.__getitem__)]

    def build() -> Scene:
        return tray([law], lambda k: {"code": start})

    unknown = {f"code.{k}": Parameter(float(c), scale=1.0) for k, c in enumerate(start)}
    fitted = fit_parameters(build, MPMSolver(CELL, STEP), [Experiment(observed)], unknown,
                            folder=options.out / f"code of {name}")  # fmt: skip
    times = time.perf_counter() - began, time.process_time() - spent
    code = torch.tensor([fitted.values[name] for name in unknown])
    return {
        "nearest of the family": min(near), "code": code.tolist(), "seconds": times[0],
        "CPU-seconds": times[1], **judged(law, true, options.steps, code),
    }  # fmt: skip


def in_full(true: ConstitutiveLaw, name: str, options: argparse.Namespace) -> dict[str, Any]:
    """All weights of a law of its own."""
    law = Isotropic(STRESS, FLOW, elastic_strain=STRAIN, plastic_strain=STRAIN, seed=0)
    began, spent = time.perf_counter(), time.process_time()
    observed = seen(tray([true]), options.steps)
    recipe = Recipe(epochs=options.full_epochs, updates=4, least=2, from_start=True, shortest=50,
                    rate_elasticity=1e-2, rate_plasticity=3e-3)  # fmt: skip
    fit(tray([law]), MPMSolver(CELL, STEP), observed, folder=options.out / f"all of {name}",
        hold_out=0.0, recipe=recipe, threads=options.threads, resume=True)  # fmt: skip
    times = time.perf_counter() - began, time.process_time() - spent
    return {
        "seconds": times[0], "CPU-seconds": times[1], **judged(law, true, options.steps, None),
    }  # fmt: skip


def table(found: dict[str, Any]) -> str:
    """What is printed."""
    family, half = found["family"], len(found["family"]["seen"]) // 2
    lines = ["| of the family | untrained | seen | other throw |", "|---|---|---|---|"]
    for name, part in (("jellies", slice(half)), ("plasticines", slice(half, None))):
        columns = [family[k][part] for k in ("untrained", "seen", "other throw")]
        cells = " | ".join(f"{sum(c) / len(c):.1e} (worst {max(c):.1e})" for c in columns)
        lines.append(f"| {name} | {cells} |")
    lines += ["", "| new material | fitted | seen | other throw | CPU-s |", "|---|---|---|---|---|"]
    for name, ways in found["new"].items():
        for way, one in ways.items():
            figures = f"{one['seen']:.1e} | {one['other throw']:.1e} | {one['CPU-seconds']:.0f}"
            lines.append(f"| {name} | {way} | {figures} |")
    return "\n".join(lines)


def main() -> None:
    """Learn the family, then identify what is new."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--members", type=int, default=20, help="even")
    parser.add_argument("--steps", type=int, default=160, help="of the motion that is seen")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--full-epochs", type=int, default=60, help="of the laws of their own")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("runs/family"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", message=".*particles a cell")
    book, family = learn(options)
    found: dict[str, Any] = {"family": family, "new": {}}
    for name, true in new_materials().items():
        found["new"][name] = {
            "code alone": by_code(book, true, name, options),
            "all weights": in_full(true, name, options),
        }
    (options.out / "family.json").write_text(json.dumps(found, indent=2) + "\n")
    print(table(found))


if __name__ == "__main__":
    main()
