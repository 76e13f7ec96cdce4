# SPDX-License-Identifier: Apache-2.0
"""Which law holds at which material point: particles, or the quadrature points of elements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from rheograd.materials.law import ConstitutiveLaw, Twin


@dataclass(frozen=True)
class LawGroup:
    """The points that one launch or one batched call serves."""

    laws: tuple[ConstitutiveLaw, ...]
    """Laws with one device form, a row of coefficients each; or a single law of torch."""
    twin: Twin | None
    """The device form, or None for torch."""
    index: Tensor
    """Points, shape (m,), int32."""
    row: Tensor
    """Row of coefficients of every point of the model, shape (n,), int32."""
    everything: bool
    """Whether `index` is all points in order."""
    fields: Tensor | None = None
    """Constant fields of the points of `index`, shape (m, w); may carry a gradient."""

    def points(self) -> list[tuple[ConstitutiveLaw, Tensor]]:
        """Each law with its points, shape (k,), int64."""
        return self._points

    @cached_property
    def _points(self) -> list[tuple[ConstitutiveLaw, Tensor]]:
        index = self.index.long()
        rows = self.row.long()[index]
        return [(law, index[rows == row]) for row, law in enumerate(self.laws)]

    def constants(self) -> list[tuple[Tensor, Tensor]]:
        """Points of each law with constant fields, shape (k,), int64, and those, shape (k, w)."""
        if self.fields is None:
            return []
        rows = self.row.long()[self.index.long()]
        return [(i, self.fields[rows == row]) for row, (_, i) in enumerate(self._points)]

    def tensors(self) -> list[Tensor]:
        """What gradients flow into: rows of coefficients (rows, c), or the law's parameters."""
        if self.twin is not None:
            return [torch.stack([law.coefficients() for law in self.laws])]
        return list(self.laws[0].parameters())


def group_laws(
    laws: Sequence[ConstitutiveLaw],
    counts: Sequence[int],
    like: Tensor,
    fields: Sequence[Tensor | None],
) -> list[LawGroup]:
    """Groups of points that lie piece after piece.

    Laws with one device form share a launch; each law of torch has a call of its own.

    Args:
        laws: Of each piece.
        counts: Points of each piece.
        like: Gives device and precision.
        fields: Constant ones of each piece, shape (count, w), or None.
    """
    starts = [0]
    for count in counts:
        starts.append(starts[-1] + count)
    keys: dict[object, list[int]] = {}
    for piece, law in enumerate(laws):
        keys.setdefault(law.twin or id(law), []).append(piece)
    groups = []
    for pieces in keys.values():
        members = list({id(laws[p]): laws[p] for p in pieces}.values())
        order = {id(law): row for row, law in enumerate(members)}
        row = torch.zeros(starts[-1], dtype=torch.int32)
        for p in pieces:
            row[starts[p] : starts[p + 1]] = order[id(laws[p])]
        index = torch.cat(
            [torch.arange(starts[p], starts[p + 1], dtype=torch.int32) for p in pieces]
        )
        everything = len(index) == starts[-1]
        twin = members[0].twin
        if twin is None:
            members[0].to(like.device)
        given = [values for p in pieces if (values := fields[p]) is not None]
        groups.append(
            LawGroup(
                tuple(members), twin, index.to(like.device), row.to(like.device), everything,
                torch.cat(given).to(like) if given else None,
            )
        )  # fmt: skip
    return groups


def recorded_history(groups: Sequence[LawGroup], internal: Tensor) -> dict[str, Tensor]:
    """What laws tell of the history of all points, shape (n,) each; 0 where a law has none such.

    Args:
        groups: Of the model.
        internal: Shape (n, m).
    """
    found: dict[str, Tensor] = {}
    for law, index in (piece for group in groups for piece in group.points()):
        for name, values in law.recorded(internal[index, : law.n_internal].detach()).items():
            found.setdefault(name, internal.new_zeros(len(internal)))[index] = values
    return found


def rest_internal(groups: Sequence[LawGroup], points: int, like: Tensor) -> Tensor:
    """History variables of all points at rest, shape (n, m), typed as `like`; m is the most."""
    columns = max(law.n_internal for group in groups for law in group.laws)
    internal = like.new_zeros(points, columns)
    for law, i in (piece for group in groups for piece in group.points()):
        if law.n_internal:
            internal[i, : law.n_internal] = law.rest_internal(len(i), like)
    return with_fields(groups, internal)


def with_fields(groups: Sequence[LawGroup], internal: Tensor) -> Tensor:
    """History with the constant fields of the points in place, shape (n, m); differentiable."""
    for index, values in (piece for group in groups for piece in group.constants()):
        columns = torch.arange(values.shape[1], device=internal.device)
        internal = internal.index_put((index[:, None], columns), values.to(internal))
    return internal
