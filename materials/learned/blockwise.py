# SPDX-License-Identifier: Apache-2.0
"""Laws that answer without an autograd graph, block by block, where no graph is asked for.

A block of points passes through all kernels and matrix products before the next one is begun, so
that it stays in the cache. The buffers of a block belong to the thread that runs it; all results go
into tensors of the call.
"""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor, nn

from ..arrays import plain
from ..law import ConstitutiveLaw, Response

T = TypeVar("T")

ROWS = {"cpu": 4096, "cuda": 1 << 17}
"""Points in a block: on a CPU the buffers of two networks then fill 9 MB in float32."""

MOST_SPACES = 16
"""Workspaces that a thread keeps."""

_own = threading.local()


def reused(key: tuple[Any, ...], like: Tensor, make: Callable[[int], T]) -> T:
    """What `make` returns for the number of rows of a block, made once for each thread and key.

    On CUDA it is made anew, which costs nothing there and suits streams and graph capture.
    """
    rows = ROWS[like.device.type]
    if like.is_cuda:
        return make(min(rows, len(like)))
    spaces = _own.__dict__.setdefault("spaces", {})
    key = (*key, rows, like.dtype)
    if key not in spaces:
        if len(spaces) >= MOST_SPACES:
            spaces.pop(next(iter(spaces)))
        spaces[key] = make(rows)
    return spaces[key]


def blocks(like: Tensor, share: int = 1) -> Iterator[tuple[int, int]]:
    """First point and number of points of every block of a batch.

    Args:
        like: The batch, shape (q, ...).
        share: Into how many a block of `ROWS` is cut, where a point takes several rows.
    """
    points = like.shape[0]
    rows = ROWS[like.device.type] // share
    for start in range(0, points, rows):
        yield start, min(rows, points - start)


def traced(module: nn.Module, *inputs: Tensor) -> bool:
    """Whether an autograd graph is asked for."""
    return torch.is_grad_enabled() and (
        any(t.requires_grad for t in inputs) or any(p.requires_grad for p in module.parameters())
    )


class BlockwiseLaw(ConstitutiveLaw):
    """A law whose `update_into` and `pullback` go block by block and need no graph."""

    capturable: ClassVar[bool] = True

    @abstractmethod
    def _with_graph(self, F_trial: Tensor, internal: Tensor, dt: float) -> Response:
        """`update` through autograd."""

    def update(self, F_trial: Tensor, internal: Tensor, dt: float) -> Response:
        """See `ConstitutiveLaw.update`; without a graph where none is asked for."""
        if traced(self, F_trial, internal):
            return self._with_graph(F_trial, internal, dt)
        (F_trial,) = plain(F_trial)
        out = Response(torch.empty_like(F_trial), torch.empty_like(F_trial), internal)
        self.update_into(F_trial, internal, dt, out)
        return out
