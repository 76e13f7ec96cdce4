# SPDX-License-Identifier: Apache-2.0
"""Find out what a material is made of from how it moves.

With --law, a learned law is trained inside the simulation; with --parameters, named numbers of the
scene are fitted, with error bars. Either is to one or more files of what was seen: particles,
tracks in pixels, motion-capture markers, masks, point clouds, or a .toml that says more of them.
The folder --out gets law.safetensors, metrics.jsonl, report.html and report.json, and what --resume
needs to go on after a kill, to the same result. torchrun -m rheograd.scenes.cli fit shares it.

rheograd fit stress FILE fits laws to stress tests of a specimen: see rheograd fit stress --help.

With --states recorded, invariant-full (and any law by --recipe published or polish) is trained on
segments that restart from full states, simulated as the scene's options say (--material of nclaw).
Otherwise nothing but what is in the files is used, from the start of the motion on.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rheograd.engine.suggestion import did_you_mean

from .. import catalog, laws, reduced, selection, stress_fit
from ..experiments import judged, named, observed
from ..fit_progress import FitProgress, sum_up
from ..options import Parser, converter, count, number
from ..outputs import read_by, require_new
from ..progress import say
from ..repeat import repeated

if TYPE_CHECKING:
    from rheograd.engine.fit.experiment import Experiment
    from rheograd.engine.fit.numerical_error import Numerics
    from rheograd.engine.fit.recipe import Recipe
    from rheograd.engine.fit.team import Team
    from rheograd.engine.observations.observation import Observation
    from rheograd.engine.scene import Scene
    from rheograd.materials.law import ConstitutiveLaw

    from ..catalog import Script
    from ..experiments import Named

RANK = 2
WRITTEN = (
    "config.json", "metrics.jsonl", "checkpoint.safetensors", "law_start.safetensors",
    "law.safetensors", "report.json", "report.html", "predicted.vtkhdf", "observed.vtkhdf",
)  # fmt: skip
"""Files of the folder of a fit."""
ITERATIONS = 20
"""Of a fit of parameters, unless told otherwise."""
STRESS = 1e5
"""Stress that a new law is made for unless told otherwise [Pa]."""


def main(parser: Parser, tokens: Sequence[str]) -> int:
    """Run the command."""
    if tokens[:1] == ["stress"]:
        return stress_fit.main(tokens[1:])
    word = next(iter(tokens), "")
    guess = did_you_mean(word, ["stress"]) if word.isalpha() else ""  # not an option, nor a file
    if guess and word not in catalog.scene_files():
        raise ValueError(
            f"got {word!r}{guess}, expected a scene, or fit stress FILE, which fits laws to stress"
            " tests"
        )
    parser.epilog = f"{selection.scene_list()}\n\n{parser.epilog}"
    add_arguments(parser)
    add_watching(parser)
    found, script = selection.read(parser, tokens)
    assert script is not None
    folder = found.out or Path("runs") / script.name
    if folder.is_dir():
        kept = [folder / name for name in WRITTEN]
        require_new(kept, force=True, inputs=read_by(found, ("out",)))
    again = repeated(parser.prog, tokens, folder)
    if found.parameters is None and found.reduced is not None:
        raise ValueError("--reduced needs --parameters: an operator fits numbers, not laws")
    if found.parameters is None:
        return fit_law(found, script, folder, again)
    if found.law is not None:
        script = laws.fixed(script, found.law)
    return fit_numbers(found, script, folder, again)


def add_arguments(parser: Parser) -> None:
    """All but the scene's own options."""
    selection.add_scene_argument(parser)
    states, _ = converter(Literal["recorded", "positions"])
    recipe, _ = converter(Literal["rheograd", "published", "polish"])
    parser.add_argument(
        "observation", type=Path, nargs="+", metavar="OBSERVATION",
        help=".npz or .vtkhdf, markers .c3d, tracks .npz, masks .mp4, point clouds, or a .toml of"
        " experiments; several are fitted together",
    )  # fmt: skip
    parser.add_argument(
        "--law",
        metavar="NAME|FILE|FILE.py:CLASS",
        help="invariant-smooth (default), invariant-full, isotropic, polyconvex, cann, polar"
        ", spline, ...; a saved law; your own class. With --parameters: that which stays as it is",
    )
    parser.add_argument(
        "--parameters", metavar="A,B=X", help="numbers of the scene, such as young, from X on"
    )
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="(default: runs/SCENE)")
    parser.add_argument(
        "--states", type=states, metavar="recorded|positions",
        help="where segments restart (default: recorded with --material, else positions)",
    )  # fmt: skip
    parser.add_argument(
        "--epochs", type=count, metavar="N",
        help="passes over the motion (default: 60; --recipe published 300, polish 40)",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of weights and batches")
    parser.add_argument("--resume", action="store_true", help="go on with the fit in --out")
    group = parser.add_argument_group("training")
    group.add_argument(
        "--recipe", type=recipe, default="rheograd", metavar="rheograd|published|polish",
        help="published: of Ma et al. 2023; polish: for a law that it has trained, see --law",
    )  # fmt: skip
    group.add_argument("--updates", type=count, metavar="N", help="optimizer steps an epoch")
    group.add_argument("--rate", type=number, metavar="X", help="learning rate")
    group.add_argument("--longest", type=count, metavar="N", help="steps of the last segments")
    group.add_argument("--stress-scale", type=number, metavar="PA", help="expected stress [Pa]")
    group.add_argument("--flow-scale", type=number, metavar="X", help="expected flow a step")
    group.add_argument(
        "--hold-out", type=number, metavar="SHARE", help="end of the motion kept to judge the fit"
    )
    group.add_argument("--threads", type=count, default=os.cpu_count() or 1, metavar="N")
    group.add_argument(
        "--reduced", type=Path, metavar="FILE",
        help="with --parameters: first by an operator of rheograd reduce, from there on in full",
    )  # fmt: skip
    group = parser.add_argument_group("what was seen")
    group.add_argument("--camera", type=Path, metavar="FILE", help=".toml, if the file has none")
    group.add_argument(
        "--noise", type=number, metavar="X",
        help="standard deviation, in px of tracks (default: 0.3), m, N, or shares of pixels",
    )  # fmt: skip
    group.add_argument(
        "--numerics", action=argparse.BooleanOptionalAction,
        help="simulate again with other particles and half the cell, for bands with those errors"
        " (default: where tracks are fitted by particles)",
    )  # fmt: skip
    group = parser.add_argument_group("files that do not say")
    group.add_argument("--frame-rate", type=number, metavar="HZ", help="frames per second")
    group.add_argument("--units", metavar="UNIT", help="of length: m, cm, mm, ...")


def add_watching(parser: Parser) -> None:
    """What is written for those who watch."""
    parser.add_argument(
        "--predict", type=number, default=5.0, metavar="S",
        help="seconds between two predictions of the motion that are written to --out, for"
        " rheograd view FOLDER (default: 5; 0: none)",
    )  # fmt: skip


def fit_law(found: argparse.Namespace, script: Script, folder: Path, again: str) -> int:
    """Train a learned law; `again` is the command that does the same once more."""
    import torch

    from rheograd.engine.fit.follow import at_recorded_step
    from rheograd.engine.fit.learn import fit
    from rheograd.engine.fit.run_folder import require_folder

    require_folder(folder)
    torch.set_num_threads(1)  # the parts of a batch are what runs side by side
    options = selection.chosen_options(found)
    states = found.states or ("recorded" if "material" in options else "positions")
    known = states == "recorded" or "material" in options
    team, solver = together(script, found)
    read = named(found, script, solver)
    solver = at_recorded_step(solver, [m for e in read for m in e.motions])

    def scenes(law: ConstitutiveLaw | None) -> list[Scene]:
        return [selection.make_scene(script, law, found, e.options) for e in read]

    truths = scenes(None)
    seen = [observed(e, solver, scene) for e, scene in zip(read, truths, strict=True)]
    with team:
        stress = partial(expected_stress, found, scenes, solver, seen, team)
        law = starting_law(found, folder, known, stress).to(solver.device, solver.dtype)
        recipe = chosen_recipe(found, law, states, seen)
        with FitProgress(script.name, recipe.epochs, "epochs", shown=team.leads) as progress:
            report = fit(
                scenes(law), solver, seen, folder=folder, states=states, recipe=recipe,
                truth=truths if known else None, names=[e.name for e in read],
                hold_out=found.hold_out, seed=found.seed, threads=found.threads, team=team,
                resume=found.resume, predict=found.predict, source=sources(found),
                command=again, tell=progress,
            )  # fmt: skip
    return sum_up(report, folder) if progress.shown else 0


def expected_stress(
    found: argparse.Namespace,
    scenes: Callable[[ConstitutiveLaw | None], list[Scene]],
    solver: Any,
    seen: Sequence[Observation],
    team: Team,
) -> float:
    """Stress that a new law is made for [Pa]: as given, or as what cameras saw asks for."""
    from rheograd.engine.fit.expected import expected_young
    from rheograd.engine.fit.quantity import quantity
    from rheograd.engine.observations.observation import Positions

    if found.stress_scale is not None:
        return found.stress_scale
    if all(isinstance(o, Positions) for o in seen):
        return STRESS
    young = expected_young(scenes, solver, seen, team=team)
    say(f"it moves about like an elastic solid of {quantity(young, 'Pa')}: the law starts there")
    return young


def fit_numbers(found: argparse.Namespace, script: Script, folder: Path, again: str) -> int:
    """Fit named numbers of the scene; `again` is the command that does the same once more."""
    from rheograd.engine.fit.follow import at_recorded_step
    from rheograd.engine.fit.identify import identify
    from rheograd.engine.fit.parameter import choose
    from rheograd.engine.fit.run_folder import require_folder

    require_folder(folder)
    given = selection.chosen_options(found)
    team, solver = together(script, found)
    begin = starts(found.parameters)
    read = named(found, script, solver, begin)
    solver = at_recorded_step(solver, [m for e in read for m in e.motions])
    seen = [judged(e, found, script, solver) for e in read]
    parameters = choose(script.build, begin, given)
    if found.reduced is not None:
        begun = reduced.begun_with(folder, parameters) if found.resume else None
        parameters = begun or reduced.started_by_operator(
            found.reduced, script.build, solver, seen, parameters, given=given, team=team
        )
    iterations = found.epochs or ITERATIONS
    with team, FitProgress(
        script.name, iterations, "iterations", parameters, shown=team.leads
    ) as progress:  # fmt: skip
        report = identify(
            script.build, solver, seen, parameters, folder=folder, given=given,
            max_iterations=iterations, numerics=numerics(found, solver, seen),
            resume=found.resume, predict=found.predict, source=sources(found), command=again,
            settings=cameras(read), team=team, tell=progress,
        )  # fmt: skip
    return sum_up(report, folder) if progress.shown else 0


def cameras(read: Sequence[Named]) -> dict[str, str]:
    """Where the cameras come from, for the report; nothing if there are none."""
    seen = [s for e in read for s in e.sources if s.kind in ("tracks", "silhouettes")]
    said = [str(s.camera) if s.camera else f"as {s.path.name} tells" for s in seen]
    return {"cameras": ", ".join(dict.fromkeys(said))} if said else {}


def together(script: Script, found: argparse.Namespace) -> tuple[Team, Any]:
    """The processes that torchrun started, and the solver on the device of this one."""
    from rheograd.engine.fit.team import Team

    solver: Any = selection.make_solver(script, found)
    team = Team.here(solver.device)
    return team, dataclasses.replace(solver, device=team.device)


def sources(found: argparse.Namespace) -> str:
    """Paths of what was seen, for the report."""
    return ", ".join(map(str, found.observation))


def numerics(
    found: argparse.Namespace, solver: Any, experiments: Sequence[Experiment]
) -> Numerics | None:
    """What is simulated for the numerical error: as asked, or for tracks and particles."""
    from rheograd.engine.fit.numerical_error import Numerics
    from rheograd.engine.mpm import MPMSolver
    from rheograd.engine.observations.joint import Joint
    from rheograd.engine.observations.pixel_tracks import PixelTracks

    seen = [e.observation for e in experiments]
    parts = [p for o in seen for p in (o.parts if isinstance(o, Joint) else (o,))]
    suits = all(isinstance(p, PixelTracks) for p in parts) and isinstance(solver, MPMSolver)
    return Numerics() if (suits if found.numerics is None else found.numerics) else None


def starts(words: str) -> dict[str, float | None]:
    """Names with where they start: `young,damping=1e-3` leaves young to the scene.

    Raises:
        ValueError: A start is not a number, or a name comes twice.
    """
    named: dict[str, float | None] = {}
    for word in filter(None, words.split(",")):
        name, _, start = word.partition("=")
        if name in named:
            raise ValueError(f"--parameters: got {name!r} twice, expected each name once")
        try:
            named[name.replace("-", "_")] = number(start) if start else None
        except argparse.ArgumentTypeError as error:
            raise ValueError(f"--parameters: {name}: {error}") from None
    return named


def starting_law(
    found: argparse.Namespace, folder: Path, recorded: bool, stress: Callable[[], float]
) -> ConstitutiveLaw:
    """The law before the fit: that of the folder when resuming, of a file, or a new one.

    Args:
        found: What was given.
        folder: Of the fit.
        recorded: Whether segments restart from recorded states; else a new law has to run the
            motion from its start, and starts as an elastic solid.
        stress: Finds out for what stress a new law is made [Pa].

    Raises:
        ValueError: There is no such law, or it could not be saved.
    """
    from rheograd.materials.law import ConstitutiveLaw
    from rheograd.materials.learned.invariant import InvariantFull

    name = found.law or "invariant-smooth"
    laws.import_script(name)
    begun = folder / "law_start.safetensors"
    if found.resume and begun.is_file():
        return ConstitutiveLaw.load(begun)
    kinds = laws.learned()
    if name in laws.ENERGY_LAWS:
        return laws.energy_law(name, found.stress_scale or stress(), found.seed)
    if name not in kinds:
        law = laws.load(name, [*kinds, *laws.ENERGY_LAWS])
        laws.require_savable(law)
        return law
    bare = found.recipe in ("published", "polish") or (kinds[name] is InvariantFull and recorded)
    scale = found.stress_scale or (1.0 if bare else stress())
    law = kinds[name](scale, found.flow_scale or 1e-3, seed=found.seed)
    if isinstance(law, InvariantFull) and not bare:
        law.elasticity.start_elastic()
        law.plasticity.start_still()
    return law


def chosen_recipe(
    found: argparse.Namespace, law: ConstitutiveLaw, states: str, seen: Sequence[Observation]
) -> Recipe:
    """The recipe with what was asked for otherwise."""
    from rheograd.engine.fit.recipe import Recipe
    from rheograd.engine.observations.observation import Positions

    recipes = {"published": Recipe.published, "polish": Recipe.polish}
    pixels = not all(isinstance(o, Positions) for o in seen)
    suited = partial(Recipe.suited, law, states="pixels" if pixels else states)
    start = recipes.get(found.recipe, suited)()
    changes: dict[str, Any] = {
        "epochs": found.epochs, "updates": found.updates, "longest": found.longest,
        "rate_elasticity": found.rate, "rate_plasticity": found.rate,
    }  # fmt: skip
    given = {name: value for name, value in changes.items() if value is not None}
    return dataclasses.replace(start, **given)
