# SPDX-License-Identifier: Apache-2.0
"""Cells of a microstructure as a command line names them: a mesh, and a law for each phase."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rheograd.engine.suggestion import did_you_mean

if TYPE_CHECKING:
    from rheograd.engine.homogenize.cell import Cell
    from rheograd.materials.law import ConstitutiveLaw

UNITS = {"Pa": 1.0, "kPa": 1e3, "MPa": 1e6, "GPa": 1e9}
"""Pascals in each unit of stress."""
SOLVED = "fe2:"
"""Before the mesh of a cell, where a law is asked for."""


def read_cell(path: Path, phases: Mapping[str, str] | None = None, norm: str = "3d") -> Cell:
    """A cell of a mesh; phases that no law is given for are those published.

    Args:
        path: A mesh file, or a folder of two tables.
        phases: Laws as --law takes them, by the phase, matrix or fibre, or by region of the mesh:
            then one for each.
        norm: Of the strain in the published matrix: 3d or plane.

    Raises:
        FileNotFoundError: There is no mesh, or no law.
        ValueError: It is not a cell, or a phase is unknown.
    """
    from rheograd.engine.homogenize.cell import Cell
    from rheograd.engine.homogenize.cell_files import load
    from rheograd.engine.homogenize.cell_files import phases as regions_of

    from . import laws

    mesh = load(path)
    try:
        if phases and set(phases) == set(mesh.regions):
            return Cell(mesh, {name: laws.load(word) for name, word in phases.items()})
        regions = regions_of(mesh)
        given = published(norm)
        for name, word in (phases or {}).items():
            if name not in given:
                raise ValueError(
                    f"--phase: got {name!r}{did_you_mean(name, given)}, expected one of "
                    f"{', '.join(given)}, as in --phase matrix=law.safetensors"
                )
            given[name] = laws.load(word)
        return Cell(mesh, {regions[name]: law for name, law in given.items()})
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def published(norm: str = "3d") -> dict[str, ConstitutiveLaw]:
    """The phases of Eivazi et al. 2025, "EquiNO": glass fibres in a resin whose shear saturates."""
    from rheograd.materials.small_strain import Hyperbolic, LinearElastic

    if norm not in ("3d", "plane"):
        raise ValueError(f"--norm: got {norm!r}, expected 3d or plane")
    matrix = Hyperbolic(4.78e9, 50e6, 0.06, norm)  # type: ignore[arg-type]
    return {"matrix": matrix, "fibre": LinearElastic(73e9, 0.22)}


def phase_laws(words: Sequence[str]) -> dict[str, str]:
    """What --phase gives, by the phase.

    Raises:
        ValueError: A word is no NAME=LAW.
    """
    out = {}
    for word in words:
        name, equals, law = word.partition("=")
        if not equals or not law:
            raise ValueError(
                f"--phase: got {word!r}, expected NAME=LAW, as in matrix=law.safetensors"
            )
        out[name] = law
    return out


def micro(word: str, phases: Mapping[str, str] | None = None) -> ConstitutiveLaw:
    """The law that --micro names: fe2:MESH, or a trained cell, which is solved beyond its box.

    Args:
        word: See above.
        phases: Of the mesh, as in `read_cell`.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no cell and no law of one.
    """
    from rheograd.engine.homogenize.fe2 import FE2
    from rheograd.engine.homogenize.hybrid import trusted
    from rheograd.materials.homogenized.equino import EquiNO
    from rheograd.materials.law import ConstitutiveLaw

    if word.startswith(SOLVED):
        return FE2(read_cell(Path(word.removeprefix(SOLVED)), phases))
    if phases:
        raise ValueError("--phase is for --micro fe2:MESH; a trained cell has its own phases")
    if not word.endswith(".safetensors"):
        raise ValueError(
            f"--micro: got {word!r}, expected fe2:MESH, or the law.safetensors of rheograd rve "
            "--train"
        )
    law = ConstitutiveLaw.load(Path(word))
    if not isinstance(law, EquiNO):
        raise ValueError(f"--micro: {word} holds the law {law.name!r}, expected a cell: take --law")
    return trusted(law)


def micro_digest(word: str | None) -> str | None:
    """What tells whether --micro names the same; None without one."""
    import hashlib

    if word is None:
        return None
    if not word.startswith(SOLVED):
        return hashlib.sha256(Path(word).read_bytes()).hexdigest()
    from rheograd.engine.homogenize.cell_files import digest, load

    return SOLVED + digest(load(Path(word.removeprefix(SOLVED))))


def phases_of(law: ConstitutiveLaw) -> dict[str, str]:
    """Laws of the phases of a law that is solved as a cell, in words; else nothing."""
    from rheograd.engine.homogenize.fe2 import FE2
    from rheograd.engine.homogenize.hybrid import Hybrid

    exact = law.exact if isinstance(law, Hybrid) else law
    if not isinstance(exact, FE2):
        return {}
    return {name: str(own) for name, own in exact.cell.laws.items()}


def beyond(told: Mapping[str, Any]) -> str | None:
    """A line about points of a run that left what their law was trained for; None: none did.

    Args:
        told: What the solver tells of laws; see engine/fem/marks.py.
    """
    box = told.get("outside_box")
    if not box or not box["points"]:
        return None
    line = (
        f"{box['points']} of {box['of']} points are outside the box that the law was trained for, "
        f"by up to {100 * box['largest']:.3g} % of its half-width: "
    )
    if "cells_solved" not in told:
        return f"{line}there it is not to be trusted; with --micro the cell is solved there"
    return f"{line}there the cell was solved ({told['cells_solved']} times in all)"


def numbers(word: str, expected: Sequence[int], what: str) -> list[float]:
    """Numbers parted by commas, of one of the counts expected.

    Raises:
        ValueError: It is something else.
    """
    try:
        found = [float(piece) for piece in word.split(",")]
    except ValueError:
        found = []
    if len(found) not in expected or not all(abs(value) < float("inf") for value in found):
        counts = " or ".join(str(count) for count in expected)
        raise ValueError(f"{what}: got {word!r}, expected {counts} numbers parted by commas")
    return found
