# SPDX-License-Identifier: Apache-2.0
"""The network of a cell as published, ours, and what each choice between them is worth.

python tests/benchmarks/equino.py CELL [--norm plane] [--rows a,b,...] [--snapshots FILE]
    [--published-iterations N]

CELL is a mesh, or the folder of a published cell. Snapshots (100, 25 and 100 load cases within 4 %
strain) are made, or read from the file. Every row is validated on the same 100 load cases: medians
of relative errors in the L2 norm, in percent; u is the displacement from the middle of the cell, w
its periodic part. Processor time on one core, without the snapshots.

"published" is Eivazi et al. 2025, "EquiNO": proper orthogonal modes without weights, two networks
of four layers of 64 swish units, no labels, but the mean square of law(strain of the modes) less
stress of the modes at all points, by Adam (1000 steps of 10 load cases, rate 1e-3), then L-BFGS
over all load cases (50 pairs).
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn

from rheograd.engine.homogenize import training
from rheograd.engine.homogenize.load_space import LoadSpace
from rheograd.engine.homogenize.modes import Modes, modes
from rheograd.engine.homogenize.problem import CellProblem
from rheograd.engine.homogenize.reduced import ReducedProblem
from rheograd.engine.homogenize.snapshots import Snapshots, make
from rheograd.engine.homogenize.training import Recipe
from rheograd.engine.homogenize.validation import (
    displacement_errors,
    errors,
    relative,
    stress_errors,
)
from rheograd.scenes.cells import read_cell

MODES, EXTENT = 16, 0.04
COLUMNS = ("u_x", "u_y", "σ_xx", "σ_yy", "σ_xy", "w_x", "w_y", "mean stress", "tangent")
PUBLISHED = {
    "grid2": (0.70, 0.80, 1.41, 1.54, 6.36),
    "grid3": (0.92, 3.24, 0.70, 0.58, 6.35),
}
"""Read off the figures of the paper, in percent."""
Found = tuple[dict[str, float], float]


class Plain(nn.Module):
    """Two networks of swish layers from scaled strains to coefficients of the modes."""

    def __init__(self, scale: Tensor, sizes: Tensor, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.scale, self.sizes = scale, sizes
        self.parts = nn.ModuleList(self._one(len(scale), len(sizes) // 2) for _ in range(2))

    @staticmethod
    def _one(n_in: int, n_out: int) -> nn.Sequential:
        layers: list[nn.Module] = []
        for columns, rows in pairwise([n_in, 64, 64, 64, 64]):
            layers += [nn.Linear(columns, rows), nn.SiLU()]
        return nn.Sequential(*layers, nn.Linear(64, n_out)).double()

    def forward(self, z: Tensor) -> Tensor:
        """Coefficients (k, r + s) of mean strains (k, d)."""
        return self.sizes * torch.cat([part(z / self.scale) for part in self.parts], 1)


class Study:
    """One cell, its snapshots, and the rows of the table."""

    def __init__(self, problem: CellProblem, space: LoadSpace, shots: dict[str, Snapshots]):
        self.problem, self.space, self.shots = problem, space, shots
        self.scale = torch.tensor(space.upper, dtype=torch.float64)

    def unweighted(self) -> Modes:
        """Modes as published: every node and every point counts alike, whatever its volume."""
        shots, problem = self.shots["training"], self.problem
        strain = problem.strain(shots.fluctuation)
        moved = problem.layout.displacement(shots.fluctuation).flatten(1)
        bases = []
        for rows in (moved, shots.point_stress.flatten(1)):
            squares, vectors = torch.linalg.eigh(rows @ rows.T)
            bases.append((vectors / squares.clamp_min(1e-300).sqrt()).flip(1)[:, :MODES])
        a, b = bases
        weight = problem.points.weight
        stress = torch.einsum("kps,kr->psr", shots.point_stress, b)
        strains = torch.einsum("kpc,kr->pcr", strain, a)
        own = modes(problem, shots, MODES)
        return replace(own, fluctuation=shots.fluctuation.T @ a, strain=strains, stress=stress,
                       weight=weight)  # fmt: skip

    def residual_loss(self, own: Modes, net: Plain, points: Tensor | None) -> Callable[..., Tensor]:
        """Mean square of law(strain of the modes) less stress of the modes, by typical stress."""
        places = self.problem.points
        strain, stress = own.strain, own.stress
        if points is not None:
            places = places.pick(points, places.weight[points])
            strain, stress = strain[points], stress[points]
        rest = places.rest_internal(1, strain)
        typical = self.shots["training"].point_stress.square().mean().sqrt()

        def loss(z: Tensor) -> Tensor:
            a, b = net(z).split(MODES, 1)
            local = torch.einsum("kr,pcr->kpc", a, strain)
            F = places.deformation(local, self.space.deformation(z))
            P, _ = places.respond(F, rest.expand(len(z), -1), 1.0)
            found = P.flatten(2)[..., places.row]
            return ((found - torch.einsum("kr,psr->kps", b, stress)) / typical).square().mean()

        return loss

    def plain(self, own: Modes, *, labels: bool, few: bool, iterations: int) -> Found:
        """The networks as published, in given modes: with or without labels, points all or few."""
        shots = self.shots["training"]
        clock = time.process_time()
        a = torch.linalg.lstsq(own.fluctuation, shots.fluctuation.T).solution.T
        flat = own.stress.flatten(0, 1)
        b = torch.linalg.lstsq(flat, shots.point_stress.flatten(1).T).solution.T
        known = torch.cat([a, b], 1)
        sizes = torch.cat([a.std(0).max().expand(MODES), b.std(0).max().expand(MODES)])
        net = Plain(self.scale, sizes)
        points = training.magic_points(self.problem, own, shots, tolerance=2e-5) if few else None
        of = self.residual_loss(own, net, points.index if points else None)

        def loss() -> Tensor:
            if not labels:
                return of(shots.strain)
            return ((net(shots.strain) - known) / sizes).square().mean()

        if not labels:
            self._adam(net, of, shots.strain)
        training.minimise(
            net, loss, lambda: float(loss().detach()), iterations,
            lambda done, error: None,
        )  # fmt: skip
        return self._of_coefficients(own, net), time.process_time() - clock

    @staticmethod
    def _adam(net: Plain, loss: Callable[[Tensor], Tensor], z: Tensor) -> None:
        optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
        order = torch.Generator().manual_seed(0)
        for step in range(1000):
            if step % 10 == 0:
                batches = torch.randperm(len(z), generator=order).split(10)
            optimizer.zero_grad()
            loss(z[batches[step % 10]]).backward()
            optimizer.step()

    @torch.no_grad()
    def _of_coefficients(self, own: Modes, net: Plain) -> dict[str, float]:
        """Medians, the mean stress being that of the modes and its tangent that of the network."""
        test, points = self.shots["test"], self.problem.points
        a, b = net(test.strain).split(MODES, 1)
        stress = torch.einsum("kr,psr->kps", b, own.stress)
        i, j = torch.tensor(points.columns).T
        at = [points.rows.index(pair) for pair in points.columns]
        mean = torch.einsum("p,kps->ks", points.weight, stress)[:, at]
        means = torch.einsum("p,psr->sr", points.weight, own.stress)[at]
        slopes = torch.func.vmap(torch.func.jacrev(lambda z: net(z[None])[0, MODES:]))(test.strain)
        found = {
            **displacement_errors(
                self.problem,
                self.space.deformation(test.strain),
                a @ own.fluctuation.T,
                test.fluctuation,
            ),
            **stress_errors(self.problem, stress, test.point_stress),
            "mean stress": relative(mean, test.stress[:, i, j]),
            "tangent": relative(means @ slopes, test.tangent[:, i, j][:, :, i, j]),
        }
        return {name: 100.0 * float(value.median()) for name, value in found.items()}

    def ours(self, recipe: Recipe) -> Found:
        """As `rheograd rve --train` does it."""
        clock = time.process_time()
        law = training.train(self.problem, self.space, self.shots, recipe).law
        clock = time.process_time() - clock
        return errors(law, self.problem, self.space, self.shots["test"]).median(), clock

    def basis(self) -> Found:
        """What the modes allow: Galerkin's method at all points, stresses by the best fit."""
        clock = time.process_time()
        own, test = modes(self.problem, self.shots["training"], MODES), self.shots["test"]
        reduced = ReducedProblem(self.problem, own)
        F = self.space.deformation(test.strain)
        micro = reduced.solve(F, reduced.rest_internal(len(F), F), 1.0)
        assert micro.tangent is not None
        i, j = torch.tensor(self.problem.points.columns).T
        stress = own.stress_coefficients(test.point_stress) @ own.stress.flatten(0, 1).T
        w = micro.fluctuation @ own.fluctuation.T
        found = {
            **displacement_errors(self.problem, F, w, test.fluctuation),
            **stress_errors(self.problem, stress.view_as(test.point_stress), test.point_stress),
            "mean stress": relative(micro.stress[:, i, j], test.stress[:, i, j]),
            "tangent": relative(
                micro.tangent[:, i, j][:, :, i, j], test.tangent[:, i, j][:, :, i, j]
            ),
        }
        medians = {name: 100.0 * float(value.median()) for name, value in found.items()}
        return medians, time.process_time() - clock


def rows(study: Study, iterations: int) -> dict[str, tuple[str, Callable[[], Found]]]:
    """Each row: what it is, and how it is found."""
    few = 20 * iterations
    return {
        "published": (
            f"as published, L-BFGS stopped at {iterations}",
            lambda: study.plain(study.unweighted(), labels=False, few=False, iterations=iterations),
        ),
        "points": (
            f"+ loss at magic points alone, L-BFGS to {few}",
            lambda: study.plain(study.unweighted(), labels=False, few=True, iterations=few),
        ),
        "weights": (
            "+ modes weighted by volume, of strain and displacement",
            lambda: study.plain(own(study), labels=False, few=True, iterations=few),
        ),
        "labels": (
            f"the same modes, networks taught the snapshots' coefficients, L-BFGS to {few}",
            lambda: study.plain(own(study), labels=True, few=False, iterations=few),
        ),
        "cases100": (
            "potential by Levenberg and Marquardt, 100 load cases",
            lambda: study.ours(Recipe(cases=100)),
        ),
        "wide": (
            "1500 load cases solved in the modes, potential of two layers of 24",
            lambda: study.ours(Recipe(widths=(24, 24))),
        ),
        "ours": ("ours: one layer of 32", lambda: study.ours(Recipe())),
        "basis": ("what 16 modes allow", study.basis),
    }


def own(study: Study) -> Modes:
    """Our modes."""
    return modes(study.problem, study.shots["training"], MODES)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("cell", type=Path)
    parser.add_argument("--norm", default="3d")
    parser.add_argument(
        "--rows", default="published,points,weights,labels,cases100,wide,ours,basis"
    )
    parser.add_argument("--snapshots", type=Path, default=None)
    parser.add_argument("--published-iterations", type=int, default=200)
    found = parser.parse_args()
    torch.set_num_threads(1)
    cell = read_cell(found.cell, None, found.norm)
    space = LoadSpace.cube(cell.dim, EXTENT, small=cell.small)
    problem = CellProblem(cell, torch.zeros((), dtype=torch.float64))
    path = found.snapshots or Path(f"snapshots-{found.cell.stem}-{found.norm}.h5")
    study = Study(problem, space, make(problem, space, path))
    print(f"{found.cell}, norm {found.norm}: {len(problem.points)} points; medians in percent")
    print(f"{'':<72}" + "".join(f"{name:>12}" for name in COLUMNS) + f"{'CPU-s':>8}")
    if found.cell.name in PUBLISHED:
        numbers = "".join(f"{value:12.3g}" for value in PUBLISHED[found.cell.name])
        print(f"{'published figures':<72}{numbers}")
    table = rows(study, found.published_iterations)
    for name in found.rows.split(","):
        what, call = table[name]
        medians, seconds = call()
        numbers = "".join(f"{medians[column]:12.3g}" for column in COLUMNS)
        print(f"{what:<72}{numbers}{seconds:8.0f}", flush=True)


if __name__ == "__main__":
    main()
