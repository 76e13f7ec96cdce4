# SPDX-License-Identifier: Apache-2.0
"""Stretches of one run as worlds of one model, so that they run side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ..law_groups import LawGroup
from .model import FOREVER, Colliders, MPMModel, Walls


def segments(model: MPMModel, starts: Sequence[int], length: int) -> MPMModel:
    """A model whose world w is `model` from step `starts[w]` on.

    Args:
        model: Of one world.
        starts: Step at which each new world starts; its own clock starts at 0.
        length: Steps that will be taken, which bounds the prescribed motions that are kept.

    Raises:
        ValueError: `model` has several worlds already.
    """
    if model.worlds != 1:
        raise ValueError(f"segments are cut from a model of one world; got {model.worlds}")
    count = len(starts)
    shift = torch.tensor(starts, dtype=torch.int32, device=model.x0.device)
    life = model.life.repeat(count, 1) - shift.repeat_interleave(model.n)[:, None]
    life[model.life.repeat(count, 1) == FOREVER] = FOREVER
    worlds = torch.arange(count, dtype=torch.int32, device=model.x0.device)
    return replace(
        model,
        x0=model.x0.repeat(count, 1),
        v0=model.v0.repeat(count, 1),
        density=model.density.repeat(count),
        volume=model.volume.repeat(count),
        gravity=model.gravity.repeat(count, 1),
        world=worlds.repeat_interleave(model.n),
        body=model.body.repeat(count),
        life=life,
        walls=Walls(model.walls.mode.repeat(count, 1), model.walls.friction.repeat(count, 1)),
        colliders=_shifted(model.colliders, starts, length),
        groups=[_tiled(group, count, model.n) for group in model.groups],
    )


def _shifted(c: Colliders, starts: Sequence[int], length: int) -> Colliders:
    poses = len(c.position)
    rows = 1 if poses == 1 else length

    def cut(value: Tensor) -> Tensor:
        steps = [torch.arange(s, s + rows).clamp(max=poses - 1) for s in starts]
        return torch.cat([value[s.to(value.device)] for s in steps], 1).contiguous()

    count = len(starts)
    return Colliders(
        shape=c.shape.repeat(count, 1),
        mode=c.mode.repeat(count, 1),
        mesh=c.mesh.repeat(count, 1),
        size=c.size.repeat(count, 1, 1),
        friction=c.friction.repeat(count, 1),
        position=cut(c.position),
        rotation=cut(c.rotation),
        velocity=cut(c.velocity),
        spin=cut(c.spin),
        keep=c.keep,
    )


def _tiled(group: LawGroup, count: int, n: int) -> LawGroup:
    shifts = n * torch.arange(count, dtype=torch.int32, device=group.index.device)
    index = (group.index[None] + shifts[:, None]).reshape(-1)
    fields = None if group.fields is None else group.fields.repeat(count, 1)
    return replace(group, index=index, row=group.row.repeat(count), fields=fields)
