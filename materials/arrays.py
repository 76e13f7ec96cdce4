# SPDX-License-Identifier: Apache-2.0
"""Torch tensors seen as Warp arrays."""

import functools
from typing import Any

import warp as wp
from torch import Tensor

from rheograd.kernels.dtypes import building


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


@functools.cache
def ready(kernel: wp.Kernel, device: str) -> wp.Kernel:
    """`kernel`, built and loaded for `device`, so that any thread may launch it."""
    with building:
        kernel.module.load(wp.get_device(device))
    return kernel
