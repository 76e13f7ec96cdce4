# SPDX-License-Identifier: Apache-2.0
"""Torch tensors seen as Warp arrays, and launches of kernels on them."""

from __future__ import annotations

import threading
from typing import Any

import torch
import warp as wp
from torch import Tensor

from rheograd.kernels.dtypes import building, types

SCALARS = {torch.float32: wp.float32, torch.float64: wp.float64}

MOST_VIEWS = 4096
"""Views that are remembered, as making one takes five microseconds."""

_views: dict[Any, Any] = {}
_own = threading.local()
_streams: dict[tuple[torch.device, int], wp.Stream] = {}


def precision(F: Tensor) -> Any:
    """The Warp scalar type of `F`.

    Raises:
        TypeError: It is neither float32 nor float64.
    """
    if F.dtype not in SCALARS:
        raise TypeError(
            f"laws compute in torch.float32 or torch.float64; got F of {F.dtype}: convert it"
        )
    return SCALARS[F.dtype]


def plain(*tensors: Tensor) -> tuple[Tensor, ...]:
    """The tensors without graph, contiguous."""
    return tuple(t.detach().contiguous() for t in tensors)


def as_warp(tensor: Tensor, dtype: Any) -> wp.array:
    """A Warp array on the memory of `tensor`, without gradient; the caller keeps the tensor alive.

    Args:
        tensor: Contiguous; its last axes are the components of `dtype` (none for a scalar).
        dtype: A Warp scalar, vector, matrix or quaternion type of the tensor's precision.

    Raises:
        ValueError: The tensor is not contiguous.
    """
    if not tensor.is_contiguous():
        raise ValueError(f"a Warp view needs a contiguous tensor; got strides {tensor.stride()}")
    components = getattr(dtype, "_shape_", ())
    shape = tuple(tensor.shape[: tensor.ndim - len(components)])
    return wp.array(
        ptr=tensor.data_ptr(),
        dtype=dtype,
        shape=shape,
        device=wp.device_from_torch(tensor.device),
        copy=False,
    )


def view(tensor: Tensor, dtype: Any) -> Any:
    """A contiguous tensor as kernels take it; the caller keeps the tensor alive.

    It holds a place and a shape only, so it serves all tensors that will ever be there.
    """
    key = (tensor.data_ptr(), tensor.shape, tensor.stride(), dtype)
    array = _views.get(key)
    if array is None:
        array = wp.from_torch(tensor, dtype, requires_grad=False, return_ctype=True)
        array._ref = None  # a recorded launch would hold on to the tensor
        if len(_views) >= MOST_VIEWS:
            _views.clear()
        _views[key] = array
    return array


def matrices(tensor: Tensor) -> Any:
    """As `view`, of a contiguous tensor of shape (q, 3, 3)."""
    return view(tensor, types(precision(tensor)).mat33)


def current_stream(device: torch.device) -> wp.Stream | None:
    """Torch's current stream on a device, on which all kernels run; None on a CPU.

    One Warp stream is kept for each: when one of two on the same handle dies, Warp forgets the
    other as well.
    """
    if device.type != "cuda":
        return None
    key = (torch.device(device), torch.cuda.current_stream(device).cuda_stream)
    if key not in _streams:
        _streams[key] = wp.stream_from_torch(device)
    return _streams[key]


class Launcher:
    """Launches kernels on the current stream of a tensor's device.

    Each thread records a launch of each kernel and only changes its arguments: 9 instead of 35
    microseconds a launch. Warp compiles and loads modules while recording, which only one thread
    at a time may do.
    """

    def __init__(self, like: Tensor):
        """See the class."""
        self.device = wp.device_from_torch(like.device)
        self.stream = current_stream(like.device)
        launches = _own.__dict__.setdefault("launches", {})
        self.recorded = launches.setdefault(self.device.alias, {})

    def __call__(self, kernel: wp.Kernel, points: int, arguments: list[Any]) -> None:
        """Launch a forward kernel over `points`.

        Args:
            kernel: The kernel.
            points: Threads; with none nothing happens.
            arguments: Numbers, arrays from `view`, or None for an array that is not used.
        """
        if not points:
            return
        if kernel not in self.recorded:
            with building:
                command = wp.launch(kernel, points, arguments, device=self.device, record_cmd=True)
            self.recorded[kernel] = (command, [points])
        command, size = self.recorded[kernel]
        if size[0] != points:
            command.set_dim(points)
            size[0] = points
        for index, argument in enumerate(arguments):
            if argument is not None:
                command.set_param_at_index_from_ctype(index, argument)
        command.launch(self.stream)
