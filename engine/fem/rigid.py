# SPDX-License-Identifier: Apache-2.0
"""Bodies that nothing holds: which rigid motion a static problem leaves free."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

from .linear import rigid_motions
from .model import FEModel

NAMES = (
    "translation along x", "translation along y", "translation along z",
    "rotation about x", "rotation about y", "rotation about z",
)  # fmt: skip
SLACK = 1e-6
"""Of the largest singular value, below which a motion counts as free."""


def refuse_rigid_motion(model: FEModel) -> None:
    """Raise ValueError if a connected piece of a mesh can move without resistance.

    Whatever depends on the deformation (springs, contact) is taken to hold a piece.
    """
    cells = model.nodes.cpu().numpy()
    pairs = np.stack([np.repeat(cells[:, 0], cells.shape[1] - 1), cells[:, 1:].reshape(-1)])
    graph = sp.coo_matrix((np.ones(pairs.shape[1], bool), tuple(pairs)), shape=(model.n, model.n))
    _, part = connected_components(graph, directed=False)
    held = np.zeros(model.n, bool)
    for force in model.forces:
        if force.follows and hasattr(force, "nodes"):
            held[force.nodes.cpu().numpy()] = True  # type: ignore[attr-defined]
    fixed = model.fixed.cpu().numpy()
    for piece in np.unique(part):
        own = np.flatnonzero(part == piece)
        if held[own].any():
            continue
        x = model.x0.detach()[own]
        size = float((x - x.mean(0)).norm(dim=1).max())
        modes = rigid_motions(x)
        modes[:, 3:] /= size
        constraints = np.concatenate([modes[fixed[own].reshape(-1)], np.zeros((6, 6))])
        _, values, directions = np.linalg.svd(np.linalg.qr(constraints, mode="r"))
        free = directions[values <= SLACK * max(values.max(), 1.0)]
        if len(free):
            name = model.body_names[int(model.body[own[0]])]
            raise ValueError(
                f"{name} is not held: {_describe(free)} free; a static problem has no solution "
                "then; hold it by Fixed or Displacement on a part of it, by a Spring, or take a "
                "dynamic integrator"
            )


def _describe(free: np.ndarray) -> str:
    """Names of the axes' motions within a space, or of the nearest where it is askew."""
    shares = (free**2).sum(0)
    whole = [name for name, share in zip(NAMES, shares, strict=True) if share > 1 - 1e-6]
    if len(whole) == len(free):
        return f"{', '.join(whole)} {'is' if len(whole) == 1 else 'are'}"
    main = [NAMES[int(abs(row).argmax())] for row in free]
    count, verb = ("1 motion", "is") if len(free) == 1 else (f"{len(free)} motions", "are")
    return f"{count}, mainly {', '.join(dict.fromkeys(main))}, {verb}"
