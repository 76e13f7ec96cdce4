# SPDX-License-Identifier: Apache-2.0
"""Solve a periodic cell of a microstructure, or train a law of it.

MESH is a mesh (.msh, .vtu, ...) with a region for each phase, or a folder with the two tables of a
published cell. With --strain or --deformation the cell is solved: mean stress and tangent, beside
those of a law that was learned of it if --law gives one. With --train it is solved under many mean
strains, and a law is learned from that; a run that was stopped goes on where it was. Shears are
those of engineers: gamma_xy = 2 E_xy. A scene computes with cells by
rheograd run SCENE --micro law.safetensors, or fe2:MESH.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import cells
from ..options import Parser, count, number
from ..outputs import read_by, require_new
from ..progress import Progress, say

if TYPE_CHECKING:
    from torch import Tensor

    from rheograd.engine.homogenize.cell import Cell
    from rheograd.materials.homogenized.equino import EquiNO
    from rheograd.materials.provenance import Provenance

RANK = 8
FEW = 20
"""Load cases, below which errors are hardly known."""


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
    one.add_argument("--law", type=Path, metavar="FILE",
                     help="law.safetensors of --train, told beside the cell")  # fmt: skip
    many = parser.add_argument_group("a law of the cell")
    many.add_argument("--train", action="store_true", help="learn a law of the cell")
    many.add_argument("--out", type=Path, metavar="FILE", help="law.safetensors; snapshots.h5 and"
                      " report.html come beside it")  # fmt: skip
    many.add_argument("--modes", type=count, default=16, metavar="N",
                      help="modes of strain and of stress (default: 16)")  # fmt: skip
    many.add_argument("--extent", type=number, metavar="E",
                      help="mean strains of the box, either way (default: 0.04; of finite strain,"
                      " Green and Lagrange's: 0.15)")  # fmt: skip
    many.add_argument("--cases", default="100,25,100", metavar="N,N,N",
                      help="load cases to train, check and test (default: 100,25,100)")  # fmt: skip
    found = parser.read(tokens)
    if found.unit not in cells.UNITS:
        raise ValueError(f"--unit: got {found.unit!r}, expected one of {', '.join(cells.UNITS)}")
    if found.train and found.law is not None:
        raise ValueError("--law is told beside one mean deformation: give --strain, not --train")
    inputs = read_by(found, ("json", "out"))
    asked = [found.strain is not None, found.deformation is not None, found.train]
    if sum(asked) != 1:
        given = " and ".join(
            name for name, is_ in zip(("--strain", "--deformation", "--train"), asked, strict=True)
            if is_
        )  # fmt: skip
        raise ValueError(
            f"got {given or 'none of them'}, expected one of --strain and --deformation, the mean "
            "of the cell, or --train"
        )
    if not found.train:
        if found.out is not None:
            raise ValueError("--out is the file of a law that --train makes: add --train")
        require_new((found.json,), force=True, inputs=inputs)
        return run(found)
    if found.out is None or found.out.suffix != ".safetensors":
        raise ValueError(f"--train: got --out {found.out}, expected --out FILE.safetensors")
    found.out.parent.mkdir(parents=True, exist_ok=True)
    require_new((found.json,), force=True, inputs=inputs)
    require_new((found.out,), force=found.force, inputs=inputs)
    return train(found)


def run(found: argparse.Namespace) -> int:
    """Solve, print, write."""
    import torch

    from ..user_files import start_engine

    start_engine()
    from rheograd.engine.homogenize.problem import CellProblem

    torch.set_num_threads(1)
    cell = cells.read_cell(found.mesh, cells.phase_laws(found.phase), found.norm)
    F = mean(cell, found.strain, found.deformation)
    law = None if found.law is None else learned(found.law, cell)
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
    if law is not None:
        result["learned"] = beside(law, cell, F, result["stress"], found.unit)
        print("\n".join(lines(result["learned"])))
    if found.json is not None:
        found.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
        say(f"wrote {found.json}")
    return 0


def learned(path: Path, cell: Cell) -> EquiNO:
    """The law of a file, which was learned of this cell.

    Raises:
        FileNotFoundError: There is no file.
        ValueError: It holds another law, or one of another mesh or other phases.
    """
    from rheograd.engine.homogenize.embedding import check_mesh, check_phases
    from rheograd.materials.homogenized.equino import EquiNO
    from rheograd.materials.law import ConstitutiveLaw

    law = ConstitutiveLaw.load(path)
    if not isinstance(law, EquiNO):
        raise ValueError(f"--law: {path} holds the law {law.name!r}, expected one of rve --train")
    try:
        check_mesh(law, cell.mesh)
        check_phases(law, cell)
    except ValueError as error:
        raise ValueError(f"--law: {path}: {error}") from error
    return law


def beside(
    law: EquiNO, cell: Cell, F: Tensor, stress: Sequence[float], unit: str
) -> dict[str, Any]:
    """What a learned law says, and how far it is off the cell's stress in that unit."""
    import torch

    from rheograd.engine.homogenize.validation import mean_response

    P, A = mean_response(law, F[None])
    out = told(cell, P[0], A[0], unit)
    own = torch.tensor(stress, dtype=torch.float64)
    gap = (torch.tensor(out["stress"], dtype=torch.float64) - own).norm()
    off = float(gap / own.norm()) if bool(own.any()) else 0.0
    return {**out, "off_percent": 100 * off, "outside_box": max(0.0, float(law.outside(F[None])))}


def learned_from(found: argparse.Namespace, law: EquiNO) -> Provenance:
    """What is kept of where a law comes from."""
    from rheograd.engine.fit.report import command_line
    from rheograd.materials.provenance import Provenance, now

    low, high = law.stretches()
    return Provenance(
        str(found.mesh), "mean deformations of a cell, in a box of strains", command_line(), now(),
        (low, high),
    )  # fmt: skip


def train(found: argparse.Namespace) -> int:
    """Solve snapshots, learn, validate, write."""
    import torch

    from ..user_files import start_engine

    start_engine()
    from rheograd.engine.homogenize import snapshots, training
    from rheograd.engine.homogenize.hybrid import LARGEST
    from rheograd.engine.homogenize.load_space import LoadSpace
    from rheograd.engine.homogenize.problem import CellProblem
    from rheograd.engine.homogenize.report import write_report
    from rheograd.engine.homogenize.validation import errors

    torch.set_num_threads(1)
    sizes = [int(value) for value in cells.numbers(found.cases, (3,), "--cases")]
    if min(sizes) < 1:
        raise ValueError(f"--cases: got {found.cases!r}, expected at least 1 of each")
    cell = cells.read_cell(found.mesh, cells.phase_laws(found.phase), found.norm)
    extent = found.extent or (0.04 if cell.small else 0.15)
    if not extent > 0:
        raise ValueError(f"--extent: got {extent:g}, expected a positive strain")
    space = LoadSpace.cube(cell.dim, extent, small=cell.small)
    problem = CellProblem(cell, torch.zeros((), dtype=torch.float64))
    if problem.n_internal:
        raise ValueError("a phase has a memory, which the learned law has not: use fe2:MESH")
    say(describe(cell, problem.layout.size))
    sets = {
        name: (size, seed)
        for size, (name, (_, seed)) in zip(sizes, snapshots.SETS.items(), strict=True)
    }
    with Progress("snapshots", sum(sizes), unit="load cases") as progress:
        shots = snapshots.make(
            problem, space, found.out.parent / "snapshots.h5", sets=sets,
            told=lambda done, total: progress.to(done),
        )  # fmt: skip
    recipe = training.Recipe(modes=min(found.modes, sizes[0]))
    if sizes[0] < found.modes or sizes[2] < FEW:
        say(f"few load cases: {recipe.modes} modes, and {sizes[2]} to tell the errors by")
    trained = training.train(problem, space, shots, recipe, _tell)
    off = errors(trained.law, problem, space, shots["test"])
    median, largest = off.median(), off.largest()
    trained.law.provenance = learned_from(found, trained.law)
    trained.law.errors = [*map(list, median.items()), [LARGEST, largest["residual"]]]
    trained.law.save(found.out)
    report = found.out.with_name("report.html")
    write_report(
        report, trained.law, problem, space, trained.modes, shots["test"], off, trained.seconds,
        (found.unit, cells.UNITS[found.unit]),
    )  # fmt: skip
    print("off the cell on load cases it was not taught, in percent: median, largest")
    print("\n".join(f"  {name:<12}{median[name]:10.3g}{largest[name]:10.3g}" for name in median))
    if found.json is not None:
        result = {
            "median_percent": median, "largest_percent": largest, "seconds": trained.seconds,
            "box": {"lower": space.lower, "upper": space.upper}, "cases": sizes,
            "modes": trained.law.modes, "law": str(found.out), "mesh": str(found.mesh),
            "magic_points": None if trained.magic is None else len(trained.magic.index),
            "points": len(problem.points),
        }  # fmt: skip
        found.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    say(f"wrote {found.out} and {report}")
    return 0


def _tell(what: str, done: int, total: int, error: float) -> None:
    """A line now and then."""
    if done == total or done % max(1, total // 5 // 10 * 10) == 0:
        say(f"{what}: {done} of {total}, validation {100 * error:.3g} %")


def mean(cell: Cell, strain: str | None, deformation: str | None) -> Tensor:
    """The mean deformation gradient that was asked for, shape (3, 3).

    Raises:
        ValueError: It does not suit the cell; says what does.
    """
    import torch

    from rheograd.engine.homogenize.cell import mean_strain
    from rheograd.materials.homogenized.strain_vectors import NAMES

    if (deformation is not None) == cell.small:
        kind, flag = ("small", "--strain") if cell.small else ("finite", "--deformation")
        raise ValueError(f"the laws of the phases are of {kind} strain: give {flag}")
    if strain is not None:
        order = {
            2: "E11,E22,gamma12", 3: "E11,E22,E33,gamma23,gamma13,gamma12",
        }[cell.dim]  # fmt: skip
        names = NAMES[cell.dim]
        values = cells.numbers(strain, (len(names),), f"--strain ({order})")
        return mean_strain(**dict(zip(names, values, strict=True)))
    assert deformation is not None
    values = cells.numbers(deformation, (4 if cell.dim == 2 else 9,), "--deformation")
    F = torch.eye(3, dtype=torch.float64)
    F[: cell.dim, : cell.dim] = torch.tensor(values, dtype=torch.float64).reshape(cell.dim, -1)
    return F


def describe(cell: Cell, unknowns: int) -> str:
    """The cell in a line."""
    shares = "; ".join(
        f"{name} {100 * share:.2f} %, {cell.laws[name]}" for name, share in cell.shares().items()
    )
    where = "in plane strain" if cell.dim == 2 else "in space"
    mesh = f"{len(cell.mesh.cells)} {cell.mesh.element} elements"
    return f"{mesh} {where}, {unknowns} unknowns; {shares}"


def told(cell: Cell, stress: Tensor, tangent: Tensor, unit: str) -> dict[str, Any]:
    """Stress and tangent as vectors and matrices in a unit."""
    import torch

    scale = cells.UNITS[unit]
    if cell.small:
        from rheograd.materials.homogenized.strain_vectors import PAIRS

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
    if "off_percent" in result:
        beyond = result["outside_box"]
        where = f"outside its box by {100 * beyond:.3g} %" if beyond else "inside its box"
        return ["learned:", *own, f"off the cell by {result['off_percent']:.2g} %, {where}"]
    own.append(
        f"{result['newton_iterations']} iterations; Hill and Mandel's condition holds to "
        f"{result['hill_mandel']:.1e}"
    )
    return own
