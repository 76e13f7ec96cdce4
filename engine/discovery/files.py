# SPDX-License-Identifier: Apache-2.0
"""What a discovery leaves: config.json, law.safetensors, report.html and report.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..atomic import replacing
from ..fit.report_files import plain
from .discover import Discovery
from .formula import Formula
from .judged import r2_of
from .proposed import JudgedProposals


def write_discovery(
    folder: Path, formula: Formula, settings: Mapping[str, Any], content: Mapping[str, Any],
    html: str,
) -> None:  # fmt: skip
    """Write all files, each in one go.

    Args:
        folder: Where; created if it does not exist.
        formula: What was found.
        settings: What was asked, by name.
        content: Of report.json, SI units.
        html: Of report.html.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config = {"kind": "discovery", **plain(dict(settings))}
    with replacing(folder / "config.json") as draft:
        draft.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    formula.law.save(folder / "law.safetensors")
    with replacing(folder / "report.json") as draft:
        text = json.dumps(plain(dict(content)), indent=1, allow_nan=False) + "\n"
        draft.write_text(text, encoding="utf-8")
    with replacing(folder / "report.html") as draft:
        draft.write_text(html, encoding="utf-8")


def proposals_json(
    found: JudgedProposals, settings: Mapping[str, Any], surroundings: Mapping[str, str],
    command: str, notes: tuple[str, ...],
) -> dict[str, Any]:  # fmt: skip
    """The report on proposals as values that become JSON."""
    scores = found.comparison.best.scores
    return {
        "format": "rheograd proposals report",
        "version": 1,
        "formula": found.formula.text,
        "numbers": found.formula.numbers,
        "latex": found.formula.latex,
        "law": {"text": found.formula.law.text, "file": "law.safetensors"},
        "parameters": [asdict(p) for p in found.formula.parameters],
        "covariance": found.formula.covariance.tolist(),
        "best": asdict(found.best),
        "history": [asdict(a) for a in found.history],
        "r2": r2_of(found.comparison),
        "r2_by_loading": {name: score.r2 for name, score in scores.items()},
        "notes": list(notes),
        "settings": dict(settings),
        "environment": dict(surroundings),
        "command": command,
    }


def discovery_json(
    discovery: Discovery, formula: Formula, settings: Mapping[str, Any],
    surroundings: Mapping[str, str], command: str, notes: tuple[str, ...],
) -> dict[str, Any]:  # fmt: skip
    """The report as values that become JSON."""
    return {
        "format": "rheograd discovery report",
        "version": 1,
        "formula": formula.text,
        "numbers": formula.numbers,
        "latex": formula.latex,
        "law": {"text": formula.law.text, "file": "law.safetensors"},
        "parameters": [asdict(p) for p in formula.parameters],
        "covariance": formula.covariance.tolist(),
        "terms": discovery.size,
        "candidates": discovery.library,
        "path": [
            {
                "terms": [str(p) for p in step.chosen.parts],
                "weights_Pa": step.chosen.weights.tolist(),
                "error": step.error,
                "points_held_back": step.within,
                "loadings_held_back": step.left_out,
                "ebic": step.ebic,
            }
            for step in discovery.path
        ],
        "inclusion": discovery.inclusion,
        "notes": list(notes),
        "settings": dict(settings),
        "environment": dict(surroundings),
        "command": command,
    }
