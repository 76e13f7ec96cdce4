# SPDX-License-Identifier: Apache-2.0
"""Train an operator by which a thousand points carry a motion.

DATASET is a folder of rheograd dataset. The operator is written as one .safetensors file with what
it was trained for and how far it is off motions it has not seen; beside it a folder keeps the
checkpoint, so that a training that was stopped goes on with --resume, and metrics.jsonl. A scene
runs with it by rheograd run SCENE --reduced FILE. Several processes share the work under torchrun.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..options import Parser, converter, count, parameters
from ..outputs import read_by, require_new
from ..progress import Progress, say

if TYPE_CHECKING:
    from rheograd.engine.fit.run_folder import RunFolder
    from rheograd.engine.fit.team import Team
    from rheograd.engine.reduced.dataset import Dataset
    from rheograd.engine.reduced.network import Architecture
    from rheograd.engine.reduced.operator import ReducedOperator
    from rheograd.engine.reduced.training import Recipe
    from rheograd.engine.scene import Scene

RANK = 10
WORDS = ("small", "published", "dense", "tiny")


def main(parser: Parser, tokens: Sequence[str]) -> int:
    """Run the command."""
    parser.add_argument("dataset", type=Path, metavar="DATASET", help="folder of rheograd dataset")
    sizes, _ = converter(Literal[WORDS])  # type: ignore[valid-type]
    parser.add_argument(
        "--size", type=sizes, default="small", metavar="|".join(WORDS),
        help="of the network: small (default) learns something useful in ten minutes of two"
        " cores, published has the sizes of GIOROM and is for a GPU, dense is message passing"
        " alone, to compare with, tiny is for trying things out",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help=".safetensors")
    parser.add_argument("--epochs", type=count, metavar="N", help="in place of the size's own")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of all that is random")
    parser.add_argument(
        "--threads", type=count, default=2, metavar="N", help="on a CPU (default: 2)"
    )
    parser.add_argument("--device", default="cpu", metavar="DEVICE", help="cpu, cuda or cuda:N")
    parser.add_argument("--resume", action="store_true", help="go on with a training")
    parser.add_argument("--force", action="store_true", help="start afresh, replacing --out")
    parser.add_argument("--json", type=Path, metavar="FILE", help="errors and cost, as numbers")
    found = parser.read(tokens)
    if found.resume and found.force:
        raise ValueError("got --resume and --force, expected one of them: go on, or start afresh")
    if found.out.suffix != ".safetensors":
        raise ValueError(f"--out: got {found.out}, expected a name that ends in .safetensors")
    inputs = read_by(found, ("json", "out"))
    require_new((found.json,), force=True, inputs=inputs)
    require_new((found.out,), force=found.force or found.resume, inputs=inputs)
    return train(found)


def train(found: argparse.Namespace) -> int:
    """Read, train, write, tell."""
    import torch

    from ..selection import require_device
    from ..user_files import start_engine

    start_engine()
    from rheograd.engine.fit.team import Team
    from rheograd.engine.reduced.dataset import Dataset
    from rheograd.engine.reduced.training import SIZES

    torch.set_num_threads(1)
    require_device(found.device)
    dataset = Dataset.load(found.dataset)
    shape, recipe = SIZES[found.size]
    if found.epochs is not None:
        recipe = dataclasses.replace(recipe, epochs=found.epochs)
    config = {
        "dataset": str(found.dataset), "trajectories": len(dataset), "scene": dataset.scene,
        "size": found.size, "architecture": dataclasses.asdict(shape),
        "recipe": dataclasses.asdict(recipe), "seed": found.seed,
    }  # fmt: skip
    with Team.here(found.device) as team:
        folder = team.led(lambda: opened(found, config))
        if done := team.led(lambda: complete(found, folder, recipe)):
            if team.leads:
                _write_summary(found, done, folder)
            say(f"{found.out} is complete, of {recipe.epochs} epochs: --force trains it afresh")
            return 0
        operator = _trained(found, dataset, shape, recipe, folder, team)
        if team.leads:
            operator.to("cpu").save(found.out)
            _tell(operator)
            _write_summary(found, operator, folder)
            say(f"wrote {found.out}")
    return 0


def complete(
    found: argparse.Namespace, folder: RunFolder, recipe: Recipe
) -> ReducedOperator | None:  # fmt: skip
    """What a training wrote in the end, if nothing of it is left to do."""
    from rheograd.engine.reduced.operator import ReducedOperator

    last = folder.checkpoint
    if not (found.resume and found.out.is_file() and last.is_file()):
        return None
    written = found.out.stat().st_mtime_ns >= last.stat().st_mtime_ns
    if not written or len(folder.metrics()) < recipe.epochs:
        return None
    return ReducedOperator.load(found.out)


def _write_summary(
    found: argparse.Namespace, operator: ReducedOperator, folder: RunFolder
) -> None:  # fmt: skip
    """Errors and cost for programs, where that is asked for."""
    if found.json is None:
        return
    summary = {
        "errors": operator.plain_errors, "parameters": operator.parameters_count,
        "epochs": folder.metrics(), "out": str(found.out), **folder.config,
    }  # fmt: skip
    found.json.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")


def opened(found: argparse.Namespace, config: Mapping[str, Any]) -> RunFolder:
    """The folder beside --out; what an older training left there goes with --force.

    Raises:
        ValueError: It holds a training that is neither to be gone on with nor to be replaced.
    """
    from rheograd.engine.fit.run_folder import RunFolder

    path = found.out.with_suffix(".training")
    if found.force:
        for name in ("config.json", "metrics.jsonl", "checkpoint.safetensors"):
            (path / name).unlink(missing_ok=True)
    if (path / "config.json").is_file():
        _require_same(path, config, resume=found.resume)
    elif found.resume:
        say(f"{path} holds no training to go on with: it starts afresh")
    return RunFolder(path, config, resume=found.resume)


def _require_same(path: Path, config: Mapping[str, Any], *, resume: bool) -> None:
    """Refuse a folder with another training, or with one that is not to be gone on with."""
    from rheograd.engine.fit.run_folder import difference

    before, now = json.loads((path / "config.json").read_text()), json.loads(json.dumps(config))
    holds = f"{path} holds a training of {before['recipe']['epochs']} epochs"
    if not resume:
        raise ValueError(f"{holds}: --resume goes on with it, --force starts afresh")
    if before == now:
        return
    if {**before, "recipe": {**before["recipe"], "epochs": now["recipe"]["epochs"]}} == now:
        raise ValueError(
            f"{holds}, got {now['recipe']['epochs']}: its rate falls over all of them, so that"
            " another number is a training afresh: --force"
        )
    raise ValueError(
        f"{holds} with {difference(before, now)}: give the settings that it was begun with, start"
        " afresh with --force, or choose another --out"
    )


def _trained(
    found: argparse.Namespace, dataset: Dataset, shape: Architecture, recipe: Recipe,
    folder: RunFolder, team: Team,
) -> ReducedOperator:  # fmt: skip
    """The operator, with what became of each epoch shown as it ends."""
    from rheograd.engine.reduced.reduction import Reduction

    before = len(folder.metrics()) if found.resume else 0
    progress = Progress(f"reduce {dataset.scene}", recipe.epochs, done=before, unit="epochs")
    with progress if team.leads else contextlib.nullcontext():

        def tell(metrics: Mapping[str, Any]) -> None:
            if not team.leads:
                return
            off = metrics["validation"]
            words = "it diverges" if off is None else f"{100 * off:.1f} % off"
            progress.to(metrics["epoch"] + 1, f"loss {metrics['loss']:.3g}, roll-outs {words}")

        try:
            return Reduction(
                dataset, builder(dataset), shape, recipe, folder, seed=found.seed,
                device=team.device, threads=found.threads, team=team, tell=tell,
            ).run()  # fmt: skip
        except KeyboardInterrupt:
            done = len(folder.metrics())
            raise KeyboardInterrupt(
                f"after {done} of {recipe.epochs} epochs, which are in {folder.path}; --resume goes"
                " on"
            ) from None


def builder(dataset: Dataset) -> Callable[[Mapping[str, Any]], Scene]:
    """What builds the scene of a trajectory of a data set from its options."""
    from ..catalog import load_script

    script = load_script(dataset.script)
    takes = {p.name for p in parameters(script.build)}  # others are of its solver

    def build(options: Mapping[str, Any]) -> Scene:
        return script.build(None, **{k: v for k, v in options.items() if k in takes})

    return build


def _tell(operator: ReducedOperator) -> None:
    print("off the motions that were simulated, in percent of the distance travelled")
    for name, value in operator.errors.items():
        print(f"  {name:<52}{100 * value:8.2f}")
    if operator.doubt:
        say(f"warning: {operator.doubt}")
