# SPDX-License-Identifier: Apache-2.0
"""What came out of a fit, as report.json for programs and report.html for people."""

from __future__ import annotations

import json
import math
import os
import platform
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import torch

from rheograd.materials.law import ConstitutiveLaw

from ..atomic import replacing
from .curves import RATE, STEP, Curve, simple_shear, uniaxial, volumetric

SQUEEZED = 0.01
"""Share of the volume taken away before the second shear curve [-]."""
PACKAGES = ("rheograd", "torch", "warp-lang", "numpy")

Law = ConstitutiveLaw | Path | str


def command_line() -> str:
    """How this process was started, as one would type it."""
    program, *arguments = sys.argv
    script = ["python", program] if program.endswith(".py") else [Path(program).name]
    return shlex.join([*script, *arguments])


@dataclass(frozen=True)
class FittedParameter:
    """One number of an analytic law, scene or body, with how well the data knows it."""

    name: str
    value: float
    """In `unit`."""
    unit: str
    """SI, "-" for none."""
    std: float | None = None
    """Standard deviation in `unit`, None if not estimated."""
    low95: float | None = None
    """Lower end of the 95 % band in `unit`."""
    high95: float | None = None
    """Its upper end."""
    determined: bool = True
    """Whether the data determines it at all."""
    start: float | None = None
    """Value before the fit, in `unit`."""


@dataclass(frozen=True)
class FitReport:
    """All that a fit has to say.

    Errors are means of squared coordinate differences over particles and frames [m²].

    Raises:
        ValueError: The pieces do not go together.
    """

    kind: Literal["law", "parameters"]
    """Whether a learned law or named parameters were fitted."""
    scene: str
    observation: str
    """Path of what was seen."""
    settings: Mapping[str, Any]
    """What was asked, by name."""
    errors: Mapping[str, float]
    """Error of a simulation with the fitted law [m²], by motion; infinite if it diverged."""
    losses: Sequence[float | None]
    """By epoch; None where an epoch gave none."""
    seconds: float
    """Duration of the fit [s]."""
    start_errors: Mapping[str, float] = field(default_factory=dict)
    """Errors [m²] of the same motions before the fit, as far as known."""
    trained: tuple[str, ...] = ("reconstruction",)
    """Names in `errors` of motions that the fit was trained on."""
    size: float | None = None
    """Largest extent of the body at rest [m], to compare errors with."""
    loss_unit: str = ""
    segments: Sequence[int] = ()
    """Steps between restarts in each epoch; losses of different lengths do not compare."""
    parameters: tuple[FittedParameter, ...] = ()
    correlation: Sequence[Sequence[float]] | None = None
    """Of the parameters' errors, in their order, shape (p, p)."""
    law_fitted: Law | None = None
    law_start: Law | None = None
    law_truth: Law | None = None
    """The law behind the observation, where it is known."""
    step: float = STEP
    """Length of a time step [s]: a learned flow acts once a step."""
    stretches: tuple[float, float] | None = None
    """Range of principal stretches that the observed motion went through [-]."""
    pictures: Mapping[str, Path] = field(default_factory=dict)
    """Paths of .png or .jpg files by caption."""
    notes: tuple[str, ...] = ()
    """Sentences on what happened, such as rejected steps."""
    command: str = field(default_factory=command_line)
    """Command line that does it again."""
    resume: str = ""
    """Command line that goes on after an interruption."""

    def __post_init__(self) -> None:
        """Refuse pieces that do not go together."""
        if self.kind not in ("law", "parameters"):
            raise ValueError(f"got kind = {self.kind!r}, expected 'law' or 'parameters'")
        if not self.errors:
            raise ValueError("got no errors, expected at least one motion with its error [m²]")
        unknown = [n for n in self.start_errors if n not in self.errors]
        if unknown:
            raise ValueError(
                f"start_errors names {unknown[0]!r}, which errors lacks: give both for a motion"
            )
        if self.segments and len(self.segments) != len(self.losses):
            raise ValueError(
                f"got {len(self.segments)} segment lengths for {len(self.losses)} losses: "
                "give one an epoch"
            )
        p = len(self.parameters)
        rows = None if self.correlation is None else [len(row) for row in self.correlation]
        if rows is not None and rows != [p] * p:
            raise ValueError(
                f"got a correlation with rows of {rows} for {p} parameters: give shape ({p}, {p})"
            )

    @property
    def main(self) -> str:
        """The motion in `errors` that the headline speaks of: the first trained one."""
        return next((n for n in self.errors if n in self.trained), next(iter(self.errors)))


def distance(mean_square: float) -> float:
    """RMS distance between points [m], from a mean squared coordinate error [m²]."""
    return math.sqrt(3.0 * mean_square) if mean_square >= 0 else math.nan


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
    from .page import page

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
        simple_shear(law, dt=dt, rate=rate),
        simple_shear(law, compression=SQUEEZED, dt=dt, rate=rate),
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
            "mean_square_m2": value,
            "rms_coordinate_m": distance(value) / math.sqrt(3.0),
            "rms_distance_m": distance(value),
            "start_mean_square_m2": report.start_errors.get(name),
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
        "curves": [_curve_json(label, curve) for label, group in curves.items() for curve in group],
        "pictures": {caption: str(path) for caption, path in report.pictures.items()},
        "notes": list(report.notes),
        "settings": dict(report.settings),
        "environment": dict(surroundings),
        "command": report.command,
        "resume": report.resume,
    }
    return _plain(content)


def _curve_json(label: str, curve: Curve) -> dict[str, Any]:
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


def _plain(value: Any) -> Any:
    """`value` in the types of JSON."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if hasattr(value, "tolist"):  # arrays, tensors and their scalars
        return _plain(value.tolist())
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
