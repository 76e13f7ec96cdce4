# SPDX-License-Identifier: Apache-2.0
"""CUDA graphs: the launches of a chunk, of Warp and of torch, replayed as one.

Small scenes are bound by launches on a GPU: a step takes some fifty of them with a learned law, a
few microseconds each. A capture runs nothing, so the work is run as it is the first time, which
also loads all modules, captured the second time, and replayed from then on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable

import torch

capturing = threading.Lock()
"""Torch captures one graph at a time."""


def capture(work: Callable[[], None], device: torch.device) -> torch.cuda.CUDAGraph:
    """A graph of what `work` launches on torch's current stream of `device`; does not run it."""
    graph = torch.cuda.CUDAGraph()
    side = torch.cuda.Stream(device)
    with (
        capturing, torch.cuda.device(device),
        torch.cuda.graph(graph, stream=side, capture_error_mode="thread_local"),
    ):  # fmt: skip
        work()
    return graph


class Replays:
    """Graphs by key; without a GPU the work is simply done.

    The work of a key must be the same each time, on the same memory, and must not wait for the
    device.
    """

    def __init__(self, device: torch.device, *, possible: bool = True) -> None:
        """Use graphs if `device` is a GPU and everything that will run can be captured."""
        self.device = device
        self.capture = capture if possible and device.type == "cuda" else None
        self.graphs: dict[Hashable, torch.cuda.CUDAGraph | None] = {}
        self.memory: object = None

    def expect(self, memory: object) -> None:
        """Forget all graphs if what they read lies elsewhere now, such as a law's parameters."""
        if memory != self.memory:
            self.graphs.clear()
        self.memory = memory

    def run(self, key: Hashable, work: Callable[[], None]) -> None:
        """Do `work`, from its graph if there is one."""
        if self.capture is None or key not in self.graphs:
            work()
            self.graphs[key] = None
            return
        graph = self.graphs[key]
        if graph is None:
            graph = self.graphs[key] = self.capture(work, self.device)
        graph.replay()
