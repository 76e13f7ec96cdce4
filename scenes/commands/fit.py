# SPDX-License-Identifier: Apache-2.0
"""Find out what a material is made of from how it moves.

With --law, a learned law is trained inside the simulation on the positions of all particles; with
--parameters, named numbers of the scene are fitted to particles or to motion-capture markers. The
folder --out gets the law or the numbers, metrics.jsonl, report.html and report.json; a fit that
was stopped goes on with --resume, to the same result.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import selection
from ..options import Parser, count, number

if TYPE_CHECKING:
    from rheograd.engine.fit.recipe import Recipe
    from rheograd.materials.law import ConstitutiveLaw

    from ..catalog import Script

RANK = 2
LAWS = ("invariant-smooth", "invariant-full")


def main(parser: Parser, tokens: Sequence[str]) -> int:
    """Run the command."""
    parser.epilog = f"{selection.scene_list()}\n\n{parser.epilog}"
    selection.add_scene_argument(parser)
    parser.add_argument("observation", type=Path, help="what was seen: .npz, .vtkhdf or .c3d")
    what = parser.add_argument_group("what is fitted")
    what.add_argument("--law", metavar="LAW", help=f"{', '.join(LAWS)}, or a law.safetensors")
    what.add_argument("--parameters", metavar="A,B", help="numbers of the scene, such as young")
    what.add_argument("--stress-scale", type=number, metavar="PA", help="start of a learned law")
    how = parser.add_argument_group("how")
    how.add_argument(
        "--states", choices=("recorded", "positions"), default="recorded",
        help="restart segments from states of the scene's own material (the default), or use"
        " nothing but positions",
    )  # fmt: skip
    how.add_argument("--epochs", type=count, metavar="N", help="passes over the motion")
    how.add_argument("--recipe", choices=("rheograd", "published"), default="rheograd",
                     help="of the training; published: Ma et al. 2023")  # fmt: skip
    how.add_argument("--hold-out", type=number, metavar="SHARE", help="kept to judge the fit")
    how.add_argument("--seed", type=int, default=0)
    how.add_argument("--threads", type=count, default=os.cpu_count() or 1, metavar="N")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--resume", action="store_true", help="go on with the fit in --out")
    found, script = selection.read(parser, tokens)
    assert script is not None
    if (found.law is None) == (found.parameters is None):
        raise ValueError(
            "expected one of --law (train a learned law) and --parameters (fit numbers)"
        )
    if not found.observation.is_file():
        raise FileNotFoundError(f"no observation {found.observation}: give a file that exists")
    return _learn(found, script)


def _learn(found: argparse.Namespace, script: Script) -> int:
    import torch

    from rheograd.engine.fit.learn import fit
    from rheograd.engine.observation import Positions
    from rheograd.engine.trajectory import Trajectory

    from ..progress import Progress

    torch.set_num_threads(1)  # the parts of a batch are what runs side by side
    options = selection.chosen_options(found)
    solver: Any = selection.make_solver(script, found)
    observation = Positions(Trajectory.load(found.observation, dt=solver.dt))
    recipe = _recipe(found)
    recorded = found.states == "recorded"
    truth = selection.make_scene(script, None, options) if recorded else None
    law = _law(found)
    scene = selection.make_scene(script, law, options)
    with Progress(f"fit {scene.name}", recipe.epochs, unit="epochs") as progress:

        def tell(metrics: Mapping[str, Any]) -> None:
            if "note" in metrics:
                print(metrics["note"], file=sys.stderr, flush=True)
            else:
                progress.to(metrics["epoch"] + 1)

        report = fit(
            scene, solver, observation, folder=found.out, truth=truth, states=found.states,
            recipe=recipe, hold_out=found.hold_out, seed=found.seed, threads=found.threads,
            resume=found.resume, source=str(found.observation), tell=tell,
        )  # fmt: skip
    for name, error in report.errors.items():
        before = report.start_errors[name]
        share = f"{error / before:.2g} of {before:.2g} before the fit" if before else ""
        rms = f"{1e3 * math.sqrt(error):.3g} mm" if math.isfinite(error) else "diverged"
        print(f"{name}: {error:.2g} m² ({rms}), {share}", file=sys.stderr)
    print(f"{found.out / 'law.safetensors'}, {found.out / 'report.html'}", file=sys.stderr)
    return 0 if math.isfinite(report.errors["reconstruction"]) else 1


def _recipe(found: argparse.Namespace) -> Recipe:
    from rheograd.engine.fit.recipe import Recipe

    if found.recipe == "published":
        return Recipe.published(found.epochs or 300)
    return Recipe().with_epochs(found.epochs) if found.epochs else Recipe()


def _law(found: argparse.Namespace) -> ConstitutiveLaw:
    """A new learned law of a name, or the one in a file.

    Raises:
        ValueError: The word is neither.
    """
    from rheograd.materials.invariant import InvariantFull, InvariantSmooth

    if found.law == "invariant-smooth":
        return InvariantSmooth(found.stress_scale or 1e5, seed=found.seed)
    if found.law == "invariant-full" and found.recipe == "published":
        return InvariantFull(seed=found.seed)
    if found.law == "invariant-full":
        return InvariantFull(found.stress_scale or 1e5, seed=found.seed)
    if found.law.endswith(".safetensors"):
        law = selection.load_law(Path(found.law), found)
        assert law is not None
        return law
    raise ValueError(
        f"--law: got {found.law!r}, expected {' or '.join(LAWS)}, or a .safetensors file"
    )
