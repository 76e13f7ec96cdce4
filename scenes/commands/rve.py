# SPDX-License-Identifier: Apache-2.0
"""Solve a periodic cell of a microstructure.

MESH is a mesh (.msh, .vtu, ...) with a region for each phase, or a folder with the two tables of a
published cell. With --strain or --deformation the cell is solved: mean stress and tangent. Shears
are those of engineers: gamma_xy = 2 E_xy. A scene computes with cells by rheograd run SCENE --micro
fe2:MESH.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import cells
from ..options import Parser
from ..outputs import require_new
from ..progress import say

if TYPE_CHECKING:
    from torch import Tensor

    from rheograd.engine.homogenize.cell import Cell

RANK = 8


def main(parser: Parser, tokens: Sequence[str]) -> int:
    """Run the command."""
    parser.add_argument("mesh", type=Path, metavar="MESH", help="mesh of the cell, or its folder")
    parser.add_argument("--unit", default="Pa", metavar="UNIT",
                        help="of the stresses written: Pa (default), kPa, MPa or GPa")  # fmt: skip
    parser.add_argument("--phase", action="append", default=[], metavar="NAME=LAW",
                        help="law of the matrix or the fibre: law.safetensors, or FILE.py:CLASS;"
                        " else those of the published cells")  # fmt: skip
    parser.add_argument("--norm", default="3d", metavar="NORM",
                        help="of the strain in the published matrix: 3d (default), or plane as in"
                        " the published program")  # fmt: skip
    parser.add_argument("--json", type=Path, metavar="FILE", help="what is found, as numbers")
    parser.add_argument("--force", action="store_true", help="replace --out if it is there")
    one = parser.add_argument_group("one mean deformation")
    one.add_argument("--strain", metavar="E,...",
                     help="mean strain: E11,E22,gamma12 in the plane; E11,E22,E33,gamma23,gamma13,"
                     "gamma12 in space")  # fmt: skip
    one.add_argument("--deformation", metavar="F,...",
                     help="mean deformation gradient row by row, 4 or 9 numbers, for phases of"
                     " finite strain")  # fmt: skip
    found = parser.read(tokens)
    if found.unit not in cells.UNITS:
        raise ValueError(f"--unit: got {found.unit!r}, expected one of {', '.join(cells.UNITS)}")
    require_new((found.json,), force=True)
    if (found.strain is None) == (found.deformation is None):
        raise ValueError(
            "expected one of --strain and --deformation: the mean that the cell is under"
        )
    return run(found)


def run(found: argparse.Namespace) -> int:
    """Solve, print, write."""
    import torch

    from ..user_files import start_engine

    start_engine()
    from rheograd.engine.homogenize.problem import CellProblem

    torch.set_num_threads(1)
    cell = cells.read_cell(found.mesh, _phases(found.phase), found.norm)
    F = mean(cell, found.strain, found.deformation)
    problem = CellProblem(cell, torch.zeros((), dtype=torch.float64))
    say(describe(cell, problem.layout.size))
    micro = problem.solve(F[None], problem.rest_internal(1, F), 1.0)
    assert micro.tangent is not None
    result = {
        **told(cell, micro.stress[0], micro.tangent[0], found.unit),
        "hill_mandel": float(micro.hill_mandel(F[None], problem.points)[0]),
        "newton_iterations": int(micro.iterations[0]),
        "deformation": F.tolist(),
        **({"strain": found.strain} if found.strain else {}),
        "mesh": str(found.mesh),
        "nodes": len(cell.mesh.nodes),
        "unknowns": problem.layout.size,
        "shares": cell.shares(),
        "laws": {name: str(law) for name, law in cell.laws.items()},
    }
    print("\n".join(lines(result)))
    if found.json is not None:
        found.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
        say(f"wrote {found.json}")
    return 0


def _phases(words: Sequence[str]) -> dict[str, str]:
    out = {}
    for word in words:
        name, equals, law = word.partition("=")
        if not equals or not law:
            raise ValueError(
                f"--phase: got {word!r}, expected NAME=LAW, as in matrix=law.safetensors"
            )
        out[name] = law
    return out


def mean(cell: Cell, strain: str | None, deformation: str | None) -> Tensor:
    """The mean deformation gradient that was asked for, shape (3, 3).

    Raises:
        ValueError: It does not suit the cell; says what does.
    """
    import torch

    from rheograd.engine.homogenize.cell import mean_strain

    if (deformation is not None) == cell.small:
        kind, flag = ("small", "--strain") if cell.small else ("finite", "--deformation")
        raise ValueError(f"the laws of the phases are of {kind} strain: give {flag}")
    if strain is not None:
        order = {
            2: "E11,E22,gamma12", 3: "E11,E22,E33,gamma23,gamma13,gamma12",
        }[cell.dim]  # fmt: skip
        values = cells.numbers(strain, (3 if cell.dim == 2 else 6,), f"--strain ({order})")
        names = ("xx", "yy", "gamma_xy")
        if cell.dim == 3:
            names = ("xx", "yy", "zz", "gamma_yz", "gamma_xz", "gamma_xy")
        return mean_strain(**dict(zip(names, values, strict=True)))
    assert deformation is not None
    values = cells.numbers(deformation, (4 if cell.dim == 2 else 9,), "--deformation")
    F = torch.eye(3, dtype=torch.float64)
    F[: cell.dim, : cell.dim] = torch.tensor(values, dtype=torch.float64).reshape(cell.dim, -1)
    return F


def describe(cell: Cell, unknowns: int) -> str:
    """The cell in a line."""
    shares = ", ".join(f"{name} {100 * share:.2f} %" for name, share in cell.shares().items())
    where = "in plane strain" if cell.dim == 2 else "in space"
    mesh = f"{len(cell.mesh.cells)} {cell.mesh.element} elements"
    return f"{mesh} {where}, {unknowns} unknowns; {shares}"


def told(cell: Cell, stress: Tensor, tangent: Tensor, unit: str) -> dict[str, Any]:
    """Stress and tangent as vectors and matrices in a unit."""
    import torch

    scale = cells.UNITS[unit]
    if cell.small:
        from rheograd.materials.strain_vectors import PAIRS

        pairs = PAIRS[cell.dim]
        measure = "stress"
    else:
        pairs = tuple((i, j) for i in range(cell.dim) for j in range(cell.dim))
        measure = "first Piola stress"
    i, j = torch.tensor(pairs).T
    order = ["xyz"[a] + "xyz"[b] for a, b in pairs]
    found = {
        "unit": unit, "measure": measure, "order": order,
        "stress": (stress[i, j] / scale).tolist(),
        "tangent": (tangent[i, j][:, i, j] / scale).tolist(),
    }  # fmt: skip
    if cell.dim == 2:
        found["stress_zz"] = float(stress[2, 2]) / scale
    return found


def lines(result: dict[str, Any]) -> list[str]:
    """What is printed."""
    unit, order = result["unit"], result["order"]
    own = [f"mean {result['measure']} [{unit}]"]
    own += [f"  {name}  {value:14.6g}" for name, value in zip(order, result["stress"], strict=True)]
    if "stress_zz" in result:
        own.append(f"  zz  {result['stress_zz']:14.6g}")
    shear = ", by the angle gamma of a shear" if result["measure"] == "stress" else ""
    own.append(f"tangent [{unit}]{shear}")
    for name, row in zip(order, result["tangent"], strict=True):
        own.append(f"  {name}" + "".join(f"{value:14.6g}" for value in row))
    own.append(
        f"{result['newton_iterations']} iterations; Hill and Mandel's condition holds to "
        f"{result['hill_mandel']:.1e}"
    )
    return own
