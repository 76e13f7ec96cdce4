# SPDX-License-Identifier: Apache-2.0
"""Pictures of a learned cell for its report, as SVG: phases, modes, fields, errors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ..fit.plots import FITTED, INK, MUTED, STYLE, svg
from ..mesh.sides import corners
from .problem import CellProblem

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TRUTH = "#e69f00"
PHASES = ("#d6dee5", "#7a8f9f", "#b8a99a", "#5a6875")


def phases(problem: CellProblem) -> str:
    """The elements of a plane cell by phase."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    mesh = problem.cell.mesh
    shade = np.zeros(len(mesh.cells), int)
    for number, name in enumerate(problem.cell.laws):
        shade[mesh.regions[name].numpy()] = number
    with rc_context(STYLE):
        figure = Figure(figsize=(3.6, 3.6), layout="constrained")
        axes = figure.subplots()
        colours = [PHASES[k % len(PHASES)] for k in shade]
        _cells(axes, problem, facecolors=colours, edgecolors="#ffffff", linewidths=0.3)
        return svg(figure, "The cell and its phases")


def singular_values(values: tuple[Tensor, Tensor], kept: tuple[int, int]) -> str:
    """Of strain and stress, by the largest; logarithmic."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        figure = Figure(figsize=(4.5, 3.1), layout="constrained")
        axes = figure.subplots()
        for own, name, colour in zip(values, ("strain", "stress"), (FITTED, TRUTH), strict=True):
            axes.semilogy(np.arange(1, len(own) + 1), own.numpy(), color=colour, label=name)
        for count, colour in zip(kept, (FITTED, TRUTH), strict=True):
            axes.axvline(count + 0.5, color=colour, linewidth=0.8, linestyle=(0, (4, 3)))
        axes.set_xlabel("mode")
        axes.set_title("singular value, by the largest", loc="left", fontsize=10, color=MUTED)
        axes.set_ylim(1e-7, 2)
        axes.legend(frameon=False)
        return svg(figure, "Singular values of the snapshots")


def fields(
    problem: CellProblem, values: Sequence[Tensor], titles: Sequence[str], meaning: str
) -> str:
    """Numbers of elements (e,) of a plane cell side by side, each with its own scale."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        figure = Figure(figsize=(2.9 * len(values), 2.9), layout="constrained")
        panels = figure.subplots(1, len(values), squeeze=False)[0]
        for axes, own, title in zip(panels, values, titles, strict=True):
            drawn = _cells(axes, problem, array=own.numpy(), cmap="viridis", linewidths=0.0,
                           edgecolors="face")  # fmt: skip
            bar = figure.colorbar(drawn, ax=axes, shrink=0.85)
            bar.outline.set_visible(False)  # type: ignore[operator]
            bar.ax.tick_params(labelsize=8)
            axes.set_title(title, loc="left", fontsize=10, color=INK)
        return svg(figure, meaning)


def spread(errors: dict[str, Tensor], meaning: str) -> str:
    """Share of load cases whose error is below a value, of several errors [-]."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    styles = [(FITTED, "-"), (TRUTH, "-"), (MUTED, "--")]
    with rc_context(STYLE):
        figure = Figure(figsize=(4.5, 3.1), layout="constrained")
        axes = figure.subplots()
        for (name, own), (colour, line) in zip(errors.items(), styles, strict=False):
            x = 100 * np.sort(own.numpy())
            axes.step(x, np.arange(1, len(x) + 1) / len(x) * 100, color=colour, linestyle=line,
                      where="post", label=name)  # fmt: skip
        axes.set_xscale("log")
        axes.set_xlabel("relative error [%]")
        axes.set_title("load cases below [%]", loc="left", fontsize=10, color=MUTED)
        axes.legend(frameon=False, loc="lower right")
        return svg(figure, meaning)


def of_elements(problem: CellProblem, values: Tensor) -> Tensor:
    """Means over the points of each element, shape (e,), of numbers at the points (p,)."""
    shape = (problem.elements, problem.q)
    weight = problem.points.weight.reshape(shape)
    return (values.reshape(shape) * weight).sum(1) / weight.sum(1)


def shear(problem: CellProblem, stress: Tensor) -> Tensor:
    """Norm of the deviator [Pa] at the points, shape (p,), of components (p, s)."""
    full = stress.new_zeros(len(stress), 9)
    full[:, problem.points.row] = stress
    S = full.unflatten(1, (3, 3))
    if problem.cell.small:  # shears are kept once
        S = torch.triu(S) + torch.triu(S, 1).mT
    mean = S.diagonal(dim1=1, dim2=2).mean(1)
    return (S - mean[:, None, None] * torch.eye(3).to(S)).flatten(1).norm(dim=1)


def _cells(axes: Axes, problem: CellProblem, **style: Any) -> Any:
    from matplotlib.collections import PolyCollection

    mesh = problem.cell.mesh
    at = mesh.nodes.numpy()[mesh.cells.numpy()[:, : corners(mesh.element)], :2]
    drawn = PolyCollection(list(at), **style)
    axes.add_collection(drawn)
    axes.autoscale_view()
    axes.set_aspect("equal")
    axes.axis("off")
    return drawn
