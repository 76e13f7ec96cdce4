# SPDX-License-Identifier: Apache-2.0
"""What a fit to stress tests leaves: config.json, laws, report.html and report.json."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from rheograd.materials.elastic import det3
from rheograd.materials.provenance import Provenance, now

from ...atomic import replacing
from ...observations.stress_test import KINDS
from ..report_files import environment, plain
from ..run_folder import require_folder
from .compare import Comparison
from .judge import FittedLaw
from .page import stress_page


def require_free(folder: Path, *, force: bool) -> None:
    """Refuse a folder that holds a fit; before any work is done.

    Raises:
        ValueError: It does, and `force` is not set; or it is a file.
    """
    require_folder(folder)
    if (folder / "config.json").is_file() and not force:
        raise ValueError(
            f"{folder} already holds a fit: add --force to replace it, or choose another folder"
        )


def law_file(name: str) -> str:
    """The file of a law that is not the best, by its name."""
    return f"law-{re.sub(r'[^a-zA-Z0-9-]+', '-', name).strip('-')}.safetensors"


def write_stress_fit(
    folder: Path, comparison: Comparison, settings: Mapping[str, Any], command: str,
    notes: tuple[str, ...] = (),
) -> None:  # fmt: skip
    """Write all files, each in one go.

    Args:
        folder: Where; created if it does not exist.
        comparison: What came out.
        settings: What was asked, by name.
        command: Command line that does it again.
        notes: Sentences on what was assumed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config = {"kind": "stress tests", **plain(settings)}
    with replacing(folder / "config.json") as draft:
        draft.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    places = (str(settings.get(word, "–")) for word in ("files", "set"))
    data = " ".join(place for place in places if place != "–")
    known = fitted_over(comparison, data, command)
    for k, law in enumerate(comparison.laws):
        saved = law.law
        saved.provenance = known
        saved.save(folder / (law_file(law.name) if k else "law.safetensors"))
    surroundings = environment()
    content = stress_json(comparison, settings, surroundings, command, notes)
    with replacing(folder / "report.json") as draft:
        draft.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    with replacing(folder / "report.html") as draft:
        text = stress_page(comparison, settings, surroundings, command, notes)
        draft.write_text(text, encoding="utf-8")


def fitted_over(comparison: Comparison, data: str, command: str) -> Provenance:
    """What is kept with laws that were fitted just now.

    Principal stretches are those of all loadings that were fitted to, volume ratios those where the
    tests changed the volume.

    Args:
        comparison: What came out.
        data: Where the tests are from.
        command: Command line that does it again.
    """
    tests = comparison.task.tests
    F = torch.cat([test.F for test in tests])
    stretches = torch.linalg.svdvals(F)
    volume = None
    if not (comparison.task.incompressible or all(test.isochoric for test in tests)):
        J = det3(F)
        volume = (min(1.0, float(J.min())), max(1.0, float(J.max())))
    return Provenance(
        data=data, loading=", ".join(KINDS.get(t.kind, t.name) for t in tests), command=command,
        date=now(), volume=volume,
        stretch=(min(1.0, float(stretches.min())), max(1.0, float(stretches.max()))),
    )  # fmt: skip


def stress_json(
    comparison: Comparison, settings: Mapping[str, Any], surroundings: Mapping[str, str],
    command: str, notes: tuple[str, ...] = (),
) -> dict[str, Any]:  # fmt: skip
    """The report as JSON values in SI units; what is not finite becomes null."""
    trained = {test.name for test in comparison.task.tests}
    tests = [
        {
            "name": test.name, "kind": test.kind, "trained": test.name in trained,
            "weight": comparison.task.weights.get(test.name, 1.0),
            "amount": test.amount, "F": test.F, "first_piola_Pa": test.stress,
            "time_s": test.times,
        }
        for test in comparison.tests
    ]  # fmt: skip
    content = {
        "format": "rheograd stress fit report",
        "version": 1,
        "best": comparison.best.name,
        "laws": [_law_json(law, k == 0) for k, law in enumerate(comparison.laws)],
        "tests": tests,
        "shear_modulus_estimate_Pa": comparison.scales.shear,
        "notes": list(notes),
        "settings": dict(settings),
        "environment": dict(surroundings),
        "command": command,
    }
    return dict(plain(content))


def _law_json(law: FittedLaw, best: bool) -> dict[str, Any]:
    formula = getattr(law.law, "formula", None)
    return {
        "name": law.name,
        "file": "law.safetensors" if best else law_file(law.name),
        "class": law.law.name,
        "numbers": law.count,
        "parameters": [asdict(p) for p in law.parameters],
        "correlation": law.correlation,
        "formula": formula() if callable(formula) else None,
        "mean_square_residual": law.misfit,
        "rms_trained_Pa": law.rms,
        "rms_held_out_Pa": law.held_rms,
        "aicc": law.aicc,
        "bic": law.bic,
        "scores": {name: asdict(score) for name, score in law.scores.items()},
        "curves": {
            name: {"amount": line.x, "first_piola_Pa": line.y, "band95_Pa": line.band}
            for name, line in law.lines.items()
        },
        "members": law.members,
        "losses": law.losses,
        "warnings": law.warnings,
        "seconds": law.seconds,
    }
