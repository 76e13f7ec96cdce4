# SPDX-License-Identifier: Apache-2.0
"""The report of a fit as report.json for programs and report.html for people."""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from rheograd.materials.law import ConstitutiveLaw

from ..atomic import replacing
from ..curves import RATE, STEP, Curve, simple_shears, uniaxial, volumetric
from .page import page
from .report import FitReport
from .strains import Run, fitted_to, seen_strains

SQUEEZED = 0.01
"""Share of the volume taken away before the second shear curve [-]."""
PACKAGES = ("rheograd", "torch", "warp-lang", "numpy")


def write_report(folder: Path | str, report: FitReport) -> Path:
    """Write report.json and report.html, each in one go.

    Args:
        folder: Where; created if it does not exist.
        report: What.

    Returns:
        Path of report.html, one file that needs no other.

    Raises:
        FileNotFoundError: A law is given by a path that does not exist.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    surroundings = environment()
    laws = _laws(report)
    dt, rate = pace(laws.values(), report.step)
    curves = {label: law_curves(law, dt, rate) for label, law in laws.items()}
    names = {label: law_words(law) for label, law in laws.items()}
    content = to_json(report, curves, names, surroundings)
    with replacing(folder / "report.json") as draft:
        draft.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    with replacing(folder / "report.html") as draft:
        draft.write_text(page(report, curves, names, surroundings), encoding="utf-8")
    return folder / "report.html"


def deliver(
    folder: Path | str, report: FitReport, law: ConstitutiveLaw, runs: Sequence[Run]
) -> FitReport:
    """Save a fitted law with what it was fitted to, and write the report.

    Args:
        folder: Gets law.safetensors, report.json and report.html.
        report: What came out.
        law: The law.
        runs: The motions that it was fitted to.

    Returns:
        The report, with the stretches that the law went through.
    """
    strains = seen_strains(runs)
    law.provenance = fitted_to(
        report.observation, report.scene, report.command, report.step, strains
    )  # fmt: skip
    law.save(Path(folder) / "law.safetensors")
    report = replace(report, stretches=None if strains is None else strains.stretch)
    write_report(folder, report)
    return report


def pace(laws: Iterable[ConstitutiveLaw], step: float) -> tuple[float, float]:
    """Loading step [s] and strain rate [1/s] of the curves.

    A learned flow acts once a step, so that the step has to be that of the simulation; a short
    one takes a higher rate, or the loading would have no end.

    Args:
        laws: What is to be loaded.
        step: Of the simulation [s].
    """
    if all(law.twin is not None for law in laws):
        return STEP, RATE
    return step, max(RATE, RATE * STEP / step)


def law_curves(law: ConstitutiveLaw, dt: float, rate: float) -> list[Curve]:
    """The curves of a report.

    Args:
        law: The law.
        dt: Loading step [s].
        rate: Strain rate [1/s].
    """
    return [
        uniaxial(law, dt=dt, rate=rate),
        volumetric(law, dt=dt, rate=rate),
        *simple_shears(law, (0.0, SQUEEZED), dt=dt, rate=rate),
    ]


def law_words(law: ConstitutiveLaw) -> str:
    """The kind of a law, such as "hencky with von-mises, damped"."""
    inner = getattr(law, "law", None)
    if isinstance(inner, ConstitutiveLaw):
        return f"{law_words(inner)}, {law.name}"
    parts = [getattr(law, part, None) for part in ("elasticity", "plasticity")]
    if law.name == "elasto-plastic" and all(parts):
        return " with ".join(part.name for part in parts if part is not None)
    return law.name


def environment() -> dict[str, str]:
    """Versions, date and machine, by name."""
    found = {"date": datetime.now().astimezone().isoformat(" ", "seconds")}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed as a package"
    found["python"] = platform.python_version()
    found["system"] = f"{platform.system()} {platform.release()} {platform.machine()}"
    found["processor"] = f"{_processor()}, {os.cpu_count()} cores"
    if torch.cuda.is_available():
        found["graphics"] = torch.cuda.get_device_name()
    return found


def to_json(
    report: FitReport,
    curves: Mapping[str, Sequence[Curve]],
    names: Mapping[str, str],
    surroundings: Mapping[str, str],
) -> dict[str, Any]:
    """The report as JSON values; what is not finite becomes null.

    Args:
        report: The report.
        curves: Of each law, by "fitted", "start" and "truth".
        names: Kind of each law.
        surroundings: What `environment` found.
    """
    errors = [
        {
            "name": name,
            "trained": name in report.trained,
            f"mean_square_{report.unit}2": value,
            f"rms_coordinate_{report.unit}": math.sqrt(value) if value >= 0 else math.nan,
            f"rms_distance_{report.unit}": report.rms(value),
            f"start_mean_square_{report.unit}2": report.start_errors.get(name),
        }
        for name, value in report.errors.items()
    ]
    correlation = report.correlation
    content = {
        "format": "rheograd fit report",
        "version": 1,
        "kind": report.kind,
        "scene": report.scene,
        "observation": str(report.observation),
        "errors": errors,
        "parameters": [asdict(parameter) for parameter in report.parameters],
        "correlation": None if correlation is None else [list(map(float, r)) for r in correlation],
        "losses": {
            "unit": report.loss_unit,
            "by_epoch": list(report.losses),
            "segment_steps": list(report.segments),
        },
        "seconds": report.seconds,
        "body_size_m": report.size,
        "laws": dict(names),
        "step_s": report.step,
        "stretches": report.stretches,
        "curves": [curve_json(label, curve) for label, group in curves.items() for curve in group],
        "pictures": {caption: str(path) for caption, path in report.pictures.items()},
        "movies": {caption: str(path) for caption, path in report.movies.items()},
        "warnings": list(report.warnings),
        "excess_over_noise": report.excess,
        "notes": list(report.notes),
        "settings": dict(report.settings),
        "environment": dict(surroundings),
        "command": report.command,
        "resume": report.resume,
    }
    return plain(content)


def curve_json(label: str, curve: Curve) -> dict[str, Any]:
    """A curve as JSON values, in six digits.

    Args:
        label: Of its law.
        curve: The curve; stresses that are not known stay not-a-number.
    """

    def rounded(values: torch.Tensor) -> list[float]:
        return [float(f"{v:.6g}") for v in values.tolist()]

    return {
        "law": label,
        "name": curve.name,
        "loading": curve.loading,
        "step_s": curve.dt,
        "rate_per_s": curve.rate,
        "x": {"label": curve.labels[0], "unit": curve.units[0], "values": rounded(curve.x)},
        "y": {"label": curve.labels[1], "unit": curve.units[1], "values": rounded(curve.y)},
    }


def plain(value: Any) -> Any:
    """`value` in the types of JSON; numbers that are not finite become None."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if hasattr(value, "tolist"):  # arrays, tensors and their scalars
        return plain(value.tolist())
    return str(value)


def _laws(report: FitReport) -> dict[str, ConstitutiveLaw]:
    given = {"fitted": report.law_fitted, "start": report.law_start, "truth": report.law_truth}
    return {
        label: law if isinstance(law, ConstitutiveLaw) else ConstitutiveLaw.load(law)
        for label, law in given.items()
        if law is not None
    }


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown processor"
