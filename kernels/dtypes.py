# SPDX-License-Identifier: Apache-2.0
"""The Warp types of one precision: every kernel factory starts from these."""

from typing import Any, NamedTuple

import warp as wp

wp.config.log_level = wp.LOG_WARNING


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
