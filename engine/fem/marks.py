# SPDX-License-Identifier: Apache-2.0
"""What laws tell of their points and of themselves: see `ConstitutiveLaw.marks` and `account`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..state import State
from .model import FEModel

MOST = 5
"""Places that are named."""


@torch.no_grad()
def of_points(model: FEModel, state: State) -> dict[str, Tensor]:
    """Marks at all points, shape (p,) each; 0 where a law has no such mark."""
    found: dict[str, Tensor] = {}
    for law, index in (piece for group in model.groups for piece in group.points()):
        marks = law.marks(state.F[index].detach(), state.internal[index, : law.n_internal])
        for name, values in marks.items():
            found.setdefault(name, state.F.new_zeros(model.points))[index] = values.to(state.F)
    return found


def of_elements(model: FEModel, state: State) -> dict[str, Tensor]:
    """The most at the points of each element, shape (e,) each."""
    count = len(model.nodes)
    return {
        name: v.unflatten(0, (count, -1)).amax(1) for name, v in of_points(model, state).items()
    }


def summary(model: FEModel, state: State) -> dict[str, Any]:
    """How many points are marked, how much and where; and what laws have done.

    Returns:
        Nothing, or "micro" with the law's own numbers, and for each mark "points" that have it,
        "of" all, the "largest" and "where" [m]: centres at rest of the elements that have most.
    """
    told: dict[str, Any] = {}
    for law in {id(law): law for group in model.groups for law in group.laws}.values():
        for name, value in law.account().items():
            told[name] = told.get(name, 0) + value
    for name, values in of_points(model, state).items():
        most = values.unflatten(0, (len(model.nodes), -1)).amax(1)
        order = most.argsort(descending=True)[:MOST]
        worst = order[most[order] > 0]
        centres = model.x0.detach()[model.nodes[worst]].mean(1)
        told[name] = {
            "points": int((values > 0).sum()), "of": model.points, "largest": float(values.max()),
            "where": centres.tolist(),
        }  # fmt: skip
    return {"micro": told} if told else {}
