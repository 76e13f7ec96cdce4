# SPDX-License-Identifier: Apache-2.0
"""Discs with soft rims splatted on pictures: what of each pixel they cover together.

A disc of radius R covers k = t³ (10 − 15 t + 6 t²) of a pixel at distance d from its centre, with
t = (R + w − d) / 2w between 0 and 1: all of it within R − w, nothing beyond R + w. Together discs
cover 1 − prod (1 − k), the probability that at least one of independent ones does.
"""

from typing import Any, NamedTuple

import warp as wp

from .dtypes import factory, types


class DiscKernels(NamedTuple):
    """Of one precision; a thread is a disc of a picture."""

    splat: wp.Kernel
    adjoint: wp.Kernel


@factory
def disc_kernels(dtype: Any) -> DiscKernels:
    """Make them.

    Pictures lie one after another: disc k of picture p is row p of `centre` (pictures, discs, 2).
    """
    t = types(dtype)
    scalar = t.scalar
    opaque = scalar(1.0 - 1.0e-6)

    @wp.func
    def share(d: scalar, radius: scalar, rim: scalar) -> scalar:  # type: ignore[valid-type]
        s = wp.clamp((radius + rim - d) / (scalar(2.0) * rim), scalar(0.0), scalar(1.0))
        k = s * s * s * (scalar(10.0) + s * (scalar(6.0) * s - scalar(15.0)))
        return wp.min(k, opaque)

    @wp.func
    def slope(d: scalar, radius: scalar, rim: scalar) -> scalar:  # type: ignore[valid-type]
        """Change of the share with the radius; with the distance it is the negative of that."""
        s = wp.clamp((radius + rim - d) / (scalar(2.0) * rim), scalar(0.0), scalar(1.0))
        k = s * s * s * (scalar(10.0) + s * (scalar(6.0) * s - scalar(15.0)))
        change = scalar(30.0) * s * s * (scalar(1.0) - s) * (scalar(1.0) - s)
        if k >= opaque:
            change = scalar(0.0)
        return change / (scalar(2.0) * rim)

    @wp.kernel(module=f"rheograd.discs_{t.suffix}", enable_backward=False)
    def splat(
        centre: wp.array3d[scalar],  # type: ignore[valid-type]
        radius: wp.array2d[scalar],  # type: ignore[valid-type]
        rim: scalar,  # type: ignore[valid-type]
        bare_out: wp.array3d[scalar],  # type: ignore[valid-type]
    ):
        """Adds up the logarithm of what each disc leaves bare, (pictures, height, width)."""
        p, k = wp.tid()
        r = radius[p, k]
        if r <= scalar(0.0):
            return
        x, y = centre[p, k, 0], centre[p, k, 1]
        reach = r + rim
        rows, columns = bare_out.shape[1], bare_out.shape[2]
        top = wp.max(int(wp.ceil(wp.max(y - reach, scalar(-1.0)))), 0)
        left = wp.max(int(wp.ceil(wp.max(x - reach, scalar(-1.0)))), 0)
        bottom = wp.min(int(wp.floor(wp.min(y + reach, scalar(rows)))), rows - 1)
        right = wp.min(int(wp.floor(wp.min(x + reach, scalar(columns)))), columns - 1)
        for j in range(top, bottom + 1):
            dy = scalar(j) - y
            for i in range(left, right + 1):
                dx = scalar(i) - x
                d = wp.sqrt(dx * dx + dy * dy)
                if d < reach:
                    wp.atomic_add(bare_out, p, j, i, wp.log(scalar(1.0) - share(d, r, rim)))

    @wp.kernel(module=f"rheograd.discs_{t.suffix}", enable_backward=False)
    def adjoint(
        centre: wp.array3d[scalar],  # type: ignore[valid-type]
        radius: wp.array2d[scalar],  # type: ignore[valid-type]
        rim: scalar,  # type: ignore[valid-type]
        bare: wp.array3d[scalar],  # type: ignore[valid-type]
        cover_bar: wp.array3d[scalar],  # type: ignore[valid-type]
        centre_bar_out: wp.array3d[scalar],  # type: ignore[valid-type]
        radius_bar_out: wp.array2d[scalar],  # type: ignore[valid-type]
    ):
        """Derivatives by centres and radii, from those by the cover, exp(bare) being known."""
        p, k = wp.tid()
        r = radius[p, k]
        if r <= scalar(0.0):
            return
        x, y = centre[p, k, 0], centre[p, k, 1]
        reach = r + rim
        rows, columns = bare.shape[1], bare.shape[2]
        top = wp.max(int(wp.ceil(wp.max(y - reach, scalar(-1.0)))), 0)
        left = wp.max(int(wp.ceil(wp.max(x - reach, scalar(-1.0)))), 0)
        bottom = wp.min(int(wp.floor(wp.min(y + reach, scalar(rows)))), rows - 1)
        right = wp.min(int(wp.floor(wp.min(x + reach, scalar(columns)))), columns - 1)
        x_bar, y_bar, r_bar = scalar(0.0), scalar(0.0), scalar(0.0)
        for j in range(top, bottom + 1):
            dy = scalar(j) - y
            for i in range(left, right + 1):
                dx = scalar(i) - x
                d = wp.sqrt(dx * dx + dy * dy)
                if d < reach and d > r - rim:
                    others = wp.exp(bare[p, j, i]) / (scalar(1.0) - share(d, r, rim))
                    g = cover_bar[p, j, i] * others * slope(d, r, rim)
                    r_bar += g
                    if d > scalar(1.0e-12):
                        x_bar += g * dx / d
                        y_bar += g * dy / d
        centre_bar_out[p, k, 0] = x_bar
        centre_bar_out[p, k, 1] = y_bar
        radius_bar_out[p, k] = r_bar

    return DiscKernels(splat, adjoint)
