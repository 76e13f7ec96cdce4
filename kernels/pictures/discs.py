# SPDX-License-Identifier: Apache-2.0
"""Discs with soft rims splatted on pictures: what of each pixel the most covering one covers.

A disc of radius R covers k = t³ (10 − 15 t + 6 t²) of a pixel at distance d from its centre, with
t = (R + w − d) / 2w between 0 and 1: all of it within R − w, nothing beyond R + w. The largest of
them is taken smoothly, as the norm m = (sum k^8)^(1/8), which unlike a product of what is left bare
hardly moves the outline where many rims lie over one another.
"""

from typing import Any, NamedTuple

import warp as wp

from ..dtypes import factory, types


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

    @wp.func
    def within(d: scalar, radius: scalar, rim: scalar) -> scalar:  # type: ignore[valid-type]
        """How far inside the rim a pixel is, from 0 to 1."""
        return wp.clamp((radius + rim - d) / (scalar(2.0) * rim), scalar(0.0), scalar(1.0))

    @wp.func
    def share(s: scalar) -> scalar:  # type: ignore[valid-type]
        return s * s * s * (scalar(10.0) + s * (scalar(6.0) * s - scalar(15.0)))

    @wp.func
    def eighth(k: scalar) -> scalar:  # type: ignore[valid-type]
        square = k * k
        return square * square * square * square

    @wp.func
    def window(x: scalar, reach: scalar, count: int) -> wp.vec2i:  # type: ignore[valid-type]
        """First and last line that a disc touches, of `count`."""
        low = wp.max(int(wp.ceil(wp.max(x - reach, scalar(-1.0)))), 0)
        high = wp.min(int(wp.floor(wp.min(x + reach, scalar(count)))), count - 1)
        return wp.vec2i(low, high)

    @wp.kernel(module=f"rheograd.discs_{t.suffix}", enable_backward=False)
    def splat(
        centre: wp.array3d[scalar],  # type: ignore[valid-type]
        radius: wp.array2d[scalar],  # type: ignore[valid-type]
        rim: scalar,  # type: ignore[valid-type]
        total_out: wp.array3d[scalar],  # type: ignore[valid-type]
    ):
        """Adds up k^8 in each pixel, (pictures, height, width); discs of radius 0 are left out."""
        p, k = wp.tid()
        r = radius[p, k]
        if r <= scalar(0.0):
            return
        x, y = centre[p, k, 0], centre[p, k, 1]
        rows = window(y, r + rim, total_out.shape[1])
        columns = window(x, r + rim, total_out.shape[2])
        for j in range(rows[0], rows[1] + 1):
            dy = scalar(j) - y
            for i in range(columns[0], columns[1] + 1):
                dx = scalar(i) - x
                s = within(wp.sqrt(dx * dx + dy * dy), r, rim)
                if s > scalar(0.0):
                    wp.atomic_add(total_out, p, j, i, eighth(share(s)))

    @wp.kernel(module=f"rheograd.discs_{t.suffix}", enable_backward=False)
    def adjoint(
        centre: wp.array3d[scalar],  # type: ignore[valid-type]
        radius: wp.array2d[scalar],  # type: ignore[valid-type]
        rim: scalar,  # type: ignore[valid-type]
        total: wp.array3d[scalar],  # type: ignore[valid-type]
        norm_bar: wp.array3d[scalar],  # type: ignore[valid-type]
        centre_bar_out: wp.array3d[scalar],  # type: ignore[valid-type]
        radius_bar_out: wp.array2d[scalar],  # type: ignore[valid-type]
    ):
        """Derivatives by centres and radii from those by m: dm/dk = (k^8 / sum)^(7/8)."""
        p, k = wp.tid()
        r = radius[p, k]
        if r <= scalar(0.0):
            return
        x, y = centre[p, k, 0], centre[p, k, 1]
        rows = window(y, r + rim, total.shape[1])
        columns = window(x, r + rim, total.shape[2])
        x_bar, y_bar, r_bar = scalar(0.0), scalar(0.0), scalar(0.0)
        for j in range(rows[0], rows[1] + 1):
            dy = scalar(j) - y
            for i in range(columns[0], columns[1] + 1):
                dx = scalar(i) - x
                d = wp.sqrt(dx * dx + dy * dy)
                s = within(d, r, rim)
                whole = eighth(share(s))
                if s < scalar(1.0) and whole > scalar(0.0):
                    slope = scalar(15.0) * s * s * (scalar(1.0) - s) * (scalar(1.0) - s) / rim
                    mine = wp.pow(whole / total[p, j, i], scalar(0.875))
                    g = norm_bar[p, j, i] * mine * slope
                    r_bar += g
                    if d > scalar(1.0e-12):
                        x_bar += g * dx / d
                        y_bar += g * dy / d
        centre_bar_out[p, k, 0] = x_bar
        centre_bar_out[p, k, 1] = y_bar
        radius_bar_out[p, k] = r_bar

    return DiscKernels(splat, adjoint)
