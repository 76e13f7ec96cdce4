# SPDX-License-Identifier: Apache-2.0
"""Two inverse problems on meshes: an inclusion found, and a cantilever shaped to bend as wanted.

python tests/benchmarks/inverse_problems.py [--elements N] [--picture FILE]

The first finds the modulus of each element of a stretched plate from noisy displacements of its
surface. The second finds the height of a cantilever along its length such that its axis becomes a
parabola under a force at its end; by beam theory h^3 = 12 P (L - x) / (E' k), with k the wanted
curvature and E' = E / (1 - nu^2) in plane strain. docs/finite_elements.md quotes what is printed.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rheograd.engine.fem.integrators import Static
from rheograd.engine.fem.solver import FESolver
from rheograd.engine.fit.descent import Descent, descend
from rheograd.engine.fit.field import FieldFit, fit_stiffness
from rheograd.engine.loads import Fixed, PointForce, Traction
from rheograd.engine.mesh.elevation import mapped
from rheograd.engine.mesh.generators import box
from rheograd.engine.mesh.volume_mesh import VolumeMesh
from rheograd.engine.scene import Body, Scene
from rheograd.engine.simulate import simulate
from rheograd.engine.solver import Checkpoint
from rheograd.engine.trajectory import Trajectory
from rheograd.materials.elastic import NeoHookean

FACTOR, CENTRE, RADIUS = 4.0, (0.55, 0.45), 0.2
"""How much stiffer the inclusion is [-], its centre and radius [m]."""
NOISE = 2e-4
"""Standard deviation of each observed displacement [m]; they are up to 80 mm."""

LENGTH, THICK, YOUNG, POISSON = 1.0, 0.1, 1e6, 0.3
FORCE, CURVATURE = 1.0, 0.1
"""Force at the end per depth [N/m], wanted curvature [1/m]."""
STATIONS = torch.linspace(0.0, 0.8 * LENGTH, 5, dtype=torch.float64)
"""Where heights are sought [m]; from the last one on they fall to half of it."""


@dataclass(frozen=True)
class Inclusion:
    """What was hidden and what was found."""

    mesh: VolumeMesh
    true: Tensor
    """Factor of each element [-], shape (e,)."""
    found: FieldFit


def inclusion(
    n: int, tell: Callable[[float, float], None] = lambda weight, left: None
) -> Inclusion:
    """Hide a stiff disc in a plate of n x n elements, stretch it, and look for it."""
    mesh = box((1.0, 1.0), (n, n), element="quad4", corner=(0.0, 0.0))
    middle = mesh.nodes[mesh.cells].mean(1)
    away = (middle[:, :2] - torch.tensor(CENTRE, dtype=torch.float64)).norm(dim=1)
    true = torch.where(away < RADIUS, FACTOR, 1.0).double()
    law = NeoHookean(1e4, 0.3)
    solver = FESolver(integrator=Static(1))

    def plate(stiffness: Any) -> Scene:
        loads = [
            Fixed("x-", "x"), Fixed("y-", "y"),
            Traction("x+", (1000.0, 0.0, 0.0)), Traction("y+", (0.0, 500.0, 0.0)),
        ]  # fmt: skip
        body = Body(mesh, law, 1e3, stiffness=stiffness, name="plate")
        return Scene([body], loads, gravity=(0.0, 0.0, 0.0))

    seen = simulate(plate(true), solver).x[-1]
    draw = torch.Generator().manual_seed(0)
    seen = seen + NOISE * torch.randn(seen.shape, dtype=seen.dtype, generator=draw)

    def residual(motion: Trajectory) -> Tensor:
        return (motion.x[-1] - seen)[:, :2]

    return Inclusion(mesh, true, fit_stiffness(plate(1.0), solver, residual, NOISE, tell=tell))


def interpolated(heights: Tensor, x: Tensor) -> Tensor:
    """Heights at the stations and at the end, linear between them."""
    whole = torch.cat([heights, 0.5 * heights[-1:]])
    place = (x / LENGTH * len(heights)).clamp(0.0, len(heights) - 1e-9)
    low = place.floor().long()
    part = place - low
    return whole[low] * (1.0 - part) + whole[low + 1] * part


def bent(heights: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """Places of a cantilever's axis at rest and under the force [m], shape (k, 2)."""
    flat = box((LENGTH, 1.0), (5 * n, 2), element="quad8", center=(LENGTH / 2, 0.0))
    mesh = mapped(
        flat,
        lambda X: torch.stack([X[:, 0], X[:, 1] * interpolated(heights, X[:, 0]), X[:, 2]], 1),
    )
    loads = [Fixed("x-"), PointForce("x+", (0.0, -FORCE, 0.0))]
    body = Body(mesh, NeoHookean(YOUNG, POISSON), 1e3, name="cantilever")
    scene = Scene([body], loads, gravity=(0.0, 0.0, 0.0))
    solver = FESolver(integrator=Static(1), tolerance=1e-11)
    moved = simulate(scene, solver, adjoint=Checkpoint())
    axis = flat.nodes[:, 1].abs() < 1e-9
    return mesh.nodes[axis, :2].detach(), moved.x[-1, axis, :2]


def theory(x: Tensor) -> Tensor:
    """Heights by beam theory [m]."""
    modulus = YOUNG / (1.0 - POISSON**2)
    return (12.0 * FORCE * (LENGTH - x) / (modulus * CURVATURE)) ** (1.0 / 3.0)


def shape(n: int = 4, iterations: int = 200) -> Descent:
    """Heights at the stations [m] for which the axis becomes a parabola, up to the last station."""
    inner = float(STATIONS[-1]) + 1e-9

    def loss(scaled: Tensor) -> Tensor:
        rest, now = bent(THICK * scaled.exp(), n)
        wanted = -0.5 * CURVATURE * rest[:, 0] ** 2
        judged = rest[:, 0] <= inner
        return ((now[:, 1] - wanted)[judged] / (CURVATURE * LENGTH**2)).square().mean() * 1e4

    start = torch.zeros(len(STATIONS), dtype=torch.float64)
    found = descend(loss, start, iterations=iterations, tolerance=1e-13, bounds=(-2.0, 1.0))
    return Descent(THICK * found.values.exp(), found.losses, found.reason)


def draw(path: Path, first: Inclusion, second: Descent) -> None:
    """Both results as one picture."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(11.0, 3.2), constrained_layout=True)
    n = round(len(first.true) ** 0.5)
    for axis, values, title in zip(
        axes, (first.true, first.found.stiffness), ("hidden", "found"), strict=False
    ):
        image = axis.imshow(values.reshape(n, n).T, origin="lower", extent=(0, 1, 0, 1), vmin=1,
                            vmax=FACTOR, cmap="viridis")  # fmt: skip
        axis.set_title(f"modulus, {title}")
        axis.set_xticks([])
        axis.set_yticks([])
    figure.colorbar(image, ax=axes[1], label="factor")
    x = torch.linspace(0.0, LENGTH, 200, dtype=torch.float64)
    axes[2].plot(x, 1e3 * theory(x), label="beam theory")
    axes[2].plot(STATIONS, 1e3 * second.values, "o-", label="found")
    axes[2].set(xlabel="x [m]", ylabel="height [mm]", title="cantilever that bends to a parabola")
    axes[2].legend()
    figure.savefig(path, dpi=110)


def main() -> None:
    """Both, with what they cost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--elements", type=int, default=24)
    parser.add_argument("--picture", type=Path)
    found = parser.parse_args()
    begun = time.process_time()
    first = inclusion(found.elements, lambda w, left: print(f"  weight {w:.3g}: {left:.3f} noises"))
    inside = first.true > 1.0
    stiffness = first.found.stiffness
    error = float((stiffness / first.true).log().square().mean().sqrt())
    print(
        f"inclusion, {found.elements} x {found.elements} elements: factor"
        f" {float(stiffness[inside].mean()):.3f} inside ({FACTOR:g} hidden),"
        f" {float(stiffness[~inside].mean()):.3f} outside; rms of the logarithm {error:.3f};"
        f" {sum(len(losses) for losses in first.found.losses)} iterations,"
        f" {time.process_time() - begun:.0f} CPU-s"
    )
    begun = time.process_time()
    second = shape()
    off = second.values / theory(STATIONS) - 1.0
    print(
        "shape, heights against beam theory at x = 0, 0.2, ...: "
        + ", ".join(f"{100 * float(value):+.1f} %" for value in off)
        + f"; loss {second.losses[0]:.3g} to {second.losses[-1]:.3g} in {len(second.losses) - 1}"
        f" iterations, {time.process_time() - begun:.0f} CPU-s"
    )
    if found.picture is not None:
        draw(found.picture, first, second)


if __name__ == "__main__":
    main()
