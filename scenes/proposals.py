# SPDX-License-Identifier: Apache-2.0
"""`rheograd discover --propose FILE.py:FUNCTION`: formulas of the user's own, fitted to tests."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from . import stress_fit
from .progress import say
from .user_files import import_file


def from_proposals(found: argparse.Namespace, folder: Path, again: str) -> int:
    """Ask, fit and write; `again` is the command that does the same once more.

    Raises:
        ValueError: There is no such function, or every proposal was refused.
    """
    import torch

    from rheograd.engine.atomic import replacing
    from rheograd.engine.discovery.propose import search
    from rheograd.engine.fit.report_files import environment, plain
    from rheograd.engine.fit.stress.task import Task

    propose = function(found.propose)
    torch.set_num_threads(1)
    found.rate = None
    files = stress_fit.read(found)
    tests = stress_fit.named(found.file, files)
    task = Task(stress_fit.chosen(found.train, tests), {}, found.error == "relative")
    result = search(propose, task, budget=found.budget, bulk=found.bulk, tell=tell)
    best = result.best
    if best is None or result.law is None:
        last = result.history[-1].refused if result.history else "it proposed nothing"
        raise ValueError(f"--propose {found.propose}: no formula was fitted; the last: {last}")
    folder.mkdir(parents=True, exist_ok=True)
    result.law.save(folder / "law.safetensors")
    config = {"kind": "discovery", "proposer": found.propose, "budget": found.budget}
    content = {
        "format": "rheograd proposals report",
        "version": 1,
        "best": asdict(best),
        "history": [asdict(a) for a in result.history],
        "settings": config,
        "environment": environment(),
        "command": again,
    }
    for name, told in (("config.json", config), ("report.json", content)):
        with replacing(folder / name) as draft:
            draft.write_text(json.dumps(plain(told), indent=1) + "\n", encoding="utf-8")
    say(f"best: {result.law.formula()}; error {100 * best.error:.2g} %")
    say(f"wrote {folder / 'law.safetensors'} and {folder / 'report.json'}")
    return 0


def tell(attempt: Any) -> None:
    """One line an attempt."""
    if attempt.refused:
        say(f"refused: {attempt.expression[:80]}: {attempt.refused}")
        return
    numbers = ", ".join(f"{n} = {v:.4g}" for n, v in attempt.parameters.items())
    say(f"error {100 * attempt.error:.2g} %: {attempt.expression}; {numbers}")


def function(word: str) -> Callable[..., Any]:
    """The function of FILE.py:FUNCTION, whose file is run.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It has no such function.
    """
    file, _, name = word.rpartition(":")
    path = Path(file)
    if not file.endswith(".py") or not name:
        raise ValueError(f"--propose: got {word!r}, expected FILE.py:FUNCTION")
    module = import_file(path, "propose(history)")
    found = getattr(module, name, None)
    if not callable(found):
        raise ValueError(f"--propose: {path} has no function {name!r}, expected propose(history)")
    return found
