# SPDX-License-Identifier: Apache-2.0
"""How densely points lie, on the nodes of a grid: each point is shared among the eight around it.

Beside it goes a number carried by the points, so that nodes know its mean. Forward only.
"""

from typing import Any, NamedTuple

import warp as wp

from ..dtypes import factory, types


class DensityKernels(NamedTuple):
    """Of one precision of the points; a thread is a point, but where it says otherwise."""

    gather: wp.Kernel
    """From points to nodes."""
    sample: wp.Kernel
    """From nodes to points."""
    smooth: wp.Kernel
    """Along an axis; a thread is a node."""


@factory
def density_kernels(dtype: Any) -> DensityKernels:
    """Make them for points in wp.float32 or wp.float64; nodes are in float32.

    Node i, j, k of the grid is at origin + width (i, j, k) and has the place [k, j, i] in arrays.
    """
    t = types(dtype)
    vec3, scalar = t.vec3, t.scalar
    module = f"rheograd.density_{t.suffix}"

    @wp.func
    def place(x: vec3, origin: vec3, width: scalar):  # type: ignore[valid-type]
        """In cells from the origin."""
        o = (x - origin) / width
        return wp.vec3(float(o[0]), float(o[1]), float(o[2]))

    @wp.func
    def within(p: wp.vec3, size: wp.vec3i):
        """Whether the eight nodes around are all of the grid; not where p is not finite."""
        return (
            p[0] >= 0.0
            and p[1] >= 0.0
            and p[2] >= 0.0
            and p[0] < float(size[0] - 1)
            and p[1] < float(size[1] - 1)
            and p[2] < float(size[2] - 1)
        )

    @wp.kernel(module=module, enable_backward=False)
    def gather(
        x: wp.array[vec3],
        values: wp.array[float],
        origin: vec3,
        width: scalar,  # type: ignore[valid-type]
        size: wp.vec3i,
        weight_out: wp.array3d[float],
        known_out: wp.array3d[float],
        sum_out: wp.array3d[float],
    ):
        """Add up points, those whose value is finite, and their values.

        The last two are left out where there are no values, the second also where it is empty.
        """
        i = wp.tid()
        p = place(x[i], origin, width)
        if not within(p, size):
            return
        a, b, c = int(p[0]), int(p[1]), int(p[2])
        f = wp.vec3(p[0] - float(a), p[1] - float(b), p[2] - float(c))
        valued = values.shape[0] > 0 and wp.isfinite(values[wp.min(i, values.shape[0] - 1)])
        for n in range(8):
            da, db, dc = n & 1, (n >> 1) & 1, n >> 2
            w = wp.where(da == 1, f[0], 1.0 - f[0])
            w *= wp.where(db == 1, f[1], 1.0 - f[1])
            w *= wp.where(dc == 1, f[2], 1.0 - f[2])
            wp.atomic_add(weight_out, c + dc, b + db, a + da, w)
            if valued:
                if known_out.shape[0] > 0:
                    wp.atomic_add(known_out, c + dc, b + db, a + da, w)
                wp.atomic_add(sum_out, c + dc, b + db, a + da, w * values[i])

    @wp.kernel(module=module, enable_backward=False)
    def sample(
        x: wp.array[vec3],
        nodes: wp.array3d[float],
        origin: vec3,
        width: scalar,  # type: ignore[valid-type]
        size: wp.vec3i,
        values_out: wp.array[float],
        largest_out: wp.array[float],
    ):
        """What nodes (k, j, i) hold, mixed at points, and the largest around; 0 off the grid."""
        i = wp.tid()
        p = place(x[i], origin, width)
        total, largest = float(0.0), float(0.0)
        if within(p, size):
            a, b, c = int(p[0]), int(p[1]), int(p[2])
            f = wp.vec3(p[0] - float(a), p[1] - float(b), p[2] - float(c))
            for n in range(8):
                da, db, dc = n & 1, (n >> 1) & 1, n >> 2
                w = wp.where(da == 1, f[0], 1.0 - f[0])
                w *= wp.where(db == 1, f[1], 1.0 - f[1])
                w *= wp.where(dc == 1, f[2], 1.0 - f[2])
                node = nodes[c + dc, b + db, a + da]
                total += w * node
                largest = wp.max(largest, node)
        values_out[i] = total
        largest_out[i] = largest

    @wp.kernel(module=module, enable_backward=False)
    def smooth(
        nodes: wp.array3d[float],
        along: wp.vec3i,
        nodes_out: wp.array3d[float],
    ):
        """The binomial filter (1, 2, 1) / 4 along an axis of the array; the ends stay."""
        k, j, i = wp.tid()
        a, b, c = k - along[0], j - along[1], i - along[2]
        d, e, f = k + along[0], j + along[1], i + along[2]
        node = nodes[k, j, i]
        inside = d < nodes.shape[0] and e < nodes.shape[1] and f < nodes.shape[2]
        if a >= 0 and b >= 0 and c >= 0 and inside:
            node = 0.25 * (nodes[a, b, c] + 2.0 * node + nodes[d, e, f])
        nodes_out[k, j, i] = node

    return DensityKernels(gather, sample, smooth)
