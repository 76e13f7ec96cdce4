# SPDX-License-Identifier: Apache-2.0
"""`rheograd discover --propose FILE.py:FUNCTION`: formulas of the user's own, fitted to tests."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import stress_fit
from .progress import say
from .stress_fit import unit_notes
from .user_files import import_file


def from_proposals(found: argparse.Namespace, folder: Path, again: str) -> int:
    """Ask, fit and write; `again` is the command that does the same once more.

    Raises:
        ValueError: There is no such function, or every proposal was refused.
    """
    import torch

    from rheograd.engine.discovery.files import proposals_json, write_discovery
    from rheograd.engine.discovery.judged import r2_of
    from rheograd.engine.discovery.proposals_page import proposals_page
    from rheograd.engine.discovery.propose import search
    from rheograd.engine.discovery.proposed import judged_proposals
    from rheograd.engine.fit.report_files import environment
    from rheograd.engine.fit.stress.page import r_squared
    from rheograd.engine.fit.stress.task import Task

    propose = function(found.propose)
    torch.set_num_threads(1)
    found.rate = None
    files = stress_fit.read(found)
    tests = stress_fit.named(found.file, files)
    task = Task(stress_fit.chosen(found.train, tests), {}, found.error == "relative")
    result = search(propose, task, budget=found.budget, bulk=found.bulk, tell=tell)
    if result.best is None:
        last = result.history[-1].refused if result.history else "it proposed nothing"
        raise ValueError(f"--propose {found.propose}: no formula was fitted; the last: {last}")
    one = judged_proposals(result, task, tests)
    told = {
        "files": ", ".join(map(str, found.file)),
        "set": found.chosen or "–",
        "found in": ", ".join(t.name for t in task.tests),
        "held out": ", ".join(t.name for t in one.comparison.held) or "–",
        "proposer": found.propose,
        "budget": found.budget,
        "error": found.error,
        "bulk": "1000 shear moduli" if found.bulk is None else found.bulk,
    }
    notes = unit_notes([f.unit for f in files if f.assumed])
    surroundings = environment()
    content = proposals_json(one, told, surroundings, again, notes)
    html = proposals_page(one, told, surroundings, again, notes)
    write_discovery(folder, one.formula, told, content, html)
    say(f"best: {one.formula.law.text}; error {100 * one.best.error:.2g} %")
    say(f"{one.formula.numbers}; R² {r_squared(r2_of(one.comparison))} over all points")
    say(f"wrote {folder / 'law.safetensors'} and {folder / 'report.html'}")
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
