# SPDX-License-Identifier: Apache-2.0
"""The Warp types of one precision: every kernel factory starts from these."""

import functools
import threading
from collections.abc import Callable
from typing import Any, NamedTuple, ParamSpec, TypeVar

import warp as wp

from .start import start

P = ParamSpec("P")
R = TypeVar("R")

start()  # in the thread that imports: later two threads could do it at once

building = threading.RLock()
"""Held while kernels are made, and while one is launched or recorded for the first time: Warp then
builds and loads its module, which only one thread at a time may do."""


def factory(make: Callable[P, R]) -> Callable[P, R]:
    """Decorates a function that makes kernels: the same arguments give the same kernels, once."""
    cached = functools.cache(make)

    @functools.wraps(make)
    def locked(*args: P.args, **kwargs: P.kwargs) -> R:
        with building:
            return cached(*args, **kwargs)  # type: ignore[arg-type]

    return locked


class Types(NamedTuple):
    """Scalar, vector and matrix types of one precision."""

    scalar: Any
    vec3: Any
    vec4: Any
    quat: Any
    mat33: Any
    suffix: str
    """Ends the name of the Warp module that holds this precision's kernels: "f32" or "f64"."""


def types(dtype: Any) -> Types:
    """The types of `dtype`.

    Args:
        dtype: wp.float32 or wp.float64.

    Raises:
        TypeError: `dtype` is anything else.
    """
    if dtype is wp.float32:
        return Types(wp.float32, wp.vec3f, wp.vec4f, wp.quatf, wp.mat33f, "f32")
    if dtype is wp.float64:
        return Types(wp.float64, wp.vec3d, wp.vec4d, wp.quatd, wp.mat33d, "f64")
    raise TypeError(f"kernels exist for wp.float32 and wp.float64; got {dtype!r}")
