# SPDX-License-Identifier: Apache-2.0
"""Points drawn as small lit spheres: in each pixel of a picture the nearest of them.

A pixel holds a key of 64 bits, in the high ones how far behind the near plane the sphere's surface
is (the bits of a positive float32 have its order), in the low ones which point it is, and takes the
least key: what is seen depends neither on the order of the points nor on threads.

A ray hits the sphere of radius r around c where |q - s d| = r, with q the pixel's offset from c in
the plane through c that the camera faces, s the depth in front of that plane, and d = u + q / z the
ray for a unit of depth, u the one through c at the depth z. A sphere narrower than a pixel and a
half is the pixel that its centre is in.

Most points of a body are hidden. So they come in rounds, first those that the picture before
showed, then samples of all: after each the farthest key in each tile of pixels is found, and what
lies behind all of a tile's is left out.

Pictures are flat, row by row from the bottom, each with SPARE keys behind. Forward only.
"""

from typing import Any, NamedTuple

import warp as wp

from ..dtypes import factory, types

BLOCK = 16
"""Points of a thread, a power of two; each round takes some of every block."""
TILE = 8
"""Pixels along the side of a tile."""
RUN = 32
"""Pixels of a thread that colours them."""
EMPTY = 2**63 - 1
"""Key of a pixel without a point."""
UNSEEN, SEEN, ALL = 0, 1, 2
"""Which points are drawn: by whether a picture before showed them."""
NOWHERE = -1
"""Index where there is no point."""
LIGHTS = 64
"""Normals along each axis of a table of lights."""
SMALL = 0.75
"""Half-width up to which a sphere is one pixel [pixels]; from 0.71 on its own is always covered."""
SPARE = 8
"""Keys behind those of a picture: what is written eight at a time may rewrite them as they are."""

_FILL = """
    const float across = 1.0f / at[2], along = 1.0f / at[3], square = radius * radius;
#if defined(__CUDA_ARCH__)
    for (int row = low[1]; row <= high[1]; ++row) {
        const float y = (row + 0.5f - at[1]) * along, v = u[1] + k * y;
        wp::int64* keys = keys_out.data + offset + row * width;
        for (int column = low[0]; column <= high[0]; ++column) {
            const float x = (column + 0.5f - at[0]) * across, w = u[0] + k * x;
            const float m = x * w + y * v, a = 1.0f + w * w + v * v;
            const float rest = m * m + a * (square - y * y - x * x);
            if (rest <= 0.0f) continue;
            const float depth = fmaxf(behind - (m + sqrtf(rest)) / a, 0.0f);
            const wp::int64 key = (wp::int64(__float_as_int(depth)) << 32) | index;
            if (key < keys[column]) wp::atomic_min(keys + column, key);
        }
    }
#else
    typedef float V __attribute__((ext_vector_type(8)));
    typedef int I __attribute__((ext_vector_type(8)));
    typedef wp::int64 K __attribute__((ext_vector_type(8), aligned(8)));
    typedef decltype(K{} < K{}) L;
    const I lanes = {0, 1, 2, 3, 4, 5, 6, 7};
    const V places = {0.5f, 1.5f, 2.5f, 3.5f, 4.5f, 5.5f, 6.5f, 7.5f};
    for (int row = low[1]; row <= high[1]; ++row) {
        const float y = (row + 0.5f - at[1]) * along, v = u[1] + k * y;
        wp::int64* keys = keys_out.data + offset + row * width;
        for (int column = low[0]; column <= high[0]; column += 8) {
            const V x = (places + (column - at[0])) * across, w = u[0] + k * x;
            const V m = x * w + y * v, a = 1.0f + v * v + w * w;
            const V rest = m * m + a * (square - y * y - x * x);
            const I hit = (rest > 0.0f) & (lanes <= high[0] - column);
            const V s = m + __builtin_elementwise_sqrt(__builtin_elementwise_max(rest, V(0.0f)));
            const V depth = __builtin_elementwise_max(behind - s / a, V(0.0f));
            const K key = (__builtin_convertvector((I)depth, K) << 32) | wp::int64(index);
            K* old = reinterpret_cast<K*>(keys + column);
            const L nearer = (key < *old) & __builtin_convertvector(hit, L);
            if (__builtin_reduce_or(nearer)) *old = nearer ? key : *old;
        }
    }
#endif
"""
"""Draws a sphere, which lies in the pixels from low to high, by the formula above.

`at` is its centre, and how many pixels a metre is there; k is 1 / z, or 0 without perspective, and
`behind` how far the centre is behind the near plane. On a CPU eight pixels of a row at once, into a
picture that no other thread draws into.
"""


class SplatKernels(NamedTuple):
    """Of one precision of the points."""

    Camera: Any
    """Struct: a view of them, see `splat_kernels`."""
    splat: wp.Kernel
    """Thread i draws points of block first + i."""
    bound: wp.Kernel
    """A thread is a tile, as in the next."""
    spread: wp.Kernel
    """Tells each tile of those around it."""
    shade: wp.Kernel
    """A thread is `RUN` pixels, one after another."""


@factory
def splat_kernels(dtype: Any) -> SplatKernels:
    """Make them for points in wp.float32 or wp.float64; only their offsets are rounded."""
    t = types(dtype)
    vec3 = t.vec3
    module = f"rheograd.splatting_{t.suffix}"
    block, tile = wp.constant(BLOCK), wp.constant(TILE)
    run, lights, spare = wp.constant(RUN), wp.constant(LIGHTS), wp.constant(SPARE)
    turned = wp.constant(wp.uint32(2654435761))  # by Knuth: high bits that look random
    rest = wp.constant(wp.uint32(32 - (BLOCK.bit_length() - 1)))
    empty = wp.constant(wp.int64(EMPTY))

    @wp.struct
    class Camera:
        origin: vec3  # near the points [m]; what follows is about offsets from it
        turn: wp.mat33  # to axes right, up and away along the line of sight
        shift: wp.vec3  # the origin in these [m]
        scale: wp.vec2  # pixels for a metre, at a depth of 1 m where far things are smaller
        centre: wp.vec2  # what is straight ahead [pixels]
        near: float  # distance of the near and the far plane [m]
        far: float
        depth: wp.vec2  # in OpenGL's buffer a + b z; in perspective a + b / z
        perspective: int  # whether far things are smaller
        width: int  # [pixels]
        height: int

    @wp.func
    def seen(camera: Camera, x: vec3):
        """Right, up, and distance along the line of sight [m]."""
        o = x - camera.origin
        return camera.turn * wp.vec3(float(o[0]), float(o[1]), float(o[2])) + camera.shift

    @wp.func
    def shrink(camera: Camera, distance: float):
        return wp.where(camera.perspective == 1, 1.0 / distance, 1.0)

    @wp.func
    def outline(camera: Camera, p: wp.vec3):
        """A sphere in pixels: its centre, and how many a metre is there in both directions."""
        k = shrink(camera, p[2])
        across, along = camera.scale[0] * k, camera.scale[1] * k
        return wp.vec4(
            camera.centre[0] + across * p[0], camera.centre[1] + along * p[1], across, along
        )

    @wp.func
    def fan(camera: Camera, distance: float):
        """How fast rays part, by the distance [1/m]."""
        return wp.where(camera.perspective == 1, 1.0 / distance, 0.0)

    @wp.func
    def hidden(
        bounds: wp.array[wp.uint32], tiles: int, low: wp.vec2i, high: wp.vec2i, front: wp.uint32
    ):
        """Whether all pixels from low to high show something in front of this depth."""
        for row in range(low[1] // tile, high[1] // tile + 1):
            for column in range(low[0] // tile, high[0] // tile + 1):
                if bounds[row * tiles + column] >= front:
                    return False
        return True

    @wp.func
    def put(keys_out: wp.array[wp.int64], at: int, depth: float, index: int):
        bits = wp.cast(depth, wp.uint32)
        key = (wp.int64(bits) << wp.int64(32)) | wp.int64(index)
        if key < keys_out[at]:
            wp.atomic_min(keys_out, at, key)

    @wp.func_native(_FILL)
    def fill(
        low: wp.vec2i, high: wp.vec2i, at: wp.vec4, u: wp.vec2, k: wp.float32, radius: wp.float32,
        behind: wp.float32, index: wp.int32, width: wp.int32, offset: wp.int32,
        keys_out: wp.array[wp.int64],
    ): ...  # fmt: skip

    @wp.func
    def behind_all(
        camera: Camera,
        p: wp.vec3,
        k: float,
        reach: float,
        radius: float,
        around: wp.array[wp.uint32],
        tiles: wp.vec2i,
        front: wp.uint32,
    ):
        """Whether a sphere is hidden by all of its tile and those next to it: soon found out."""
        if reach * k > wp.static(float(TILE)) or radius * fan(camera, p[2]) > 0.1:
            return False
        x = (camera.centre[0] + camera.scale[0] * k * p[0]) * wp.static(1.0 / TILE)
        y = (camera.centre[1] + camera.scale[1] * k * p[1]) * wp.static(1.0 / TILE)
        column = int(wp.clamp(x, 0.0, float(tiles[0] - 1)))
        row = int(wp.clamp(y, 0.0, float(tiles[1] - 1)))
        return around[row * tiles[0] + column] < front

    @wp.func
    def draw(
        camera: Camera,
        x: vec3,
        radius: float,
        reach: float,
        tiles: wp.vec2i,
        bounds: wp.array[wp.uint32],
        around: wp.array[wp.uint32],
        index: int,
        offset: int,
        keys_out: wp.array[wp.int64],
    ):
        """Draw a point, if it is between the planes and anything of it in the picture."""
        p = seen(camera, x)
        if not (p[2] >= camera.near and p[2] <= camera.far):
            return
        behind = p[2] - camera.near
        front = wp.max(behind - radius, 0.0)
        if behind_all(
            camera, p, shrink(camera, p[2]), reach, radius, around, tiles, wp.cast(front, wp.uint32)
        ):
            return
        k = fan(camera, p[2])
        u = wp.vec2(k * p[0], k * p[1])
        part = k * radius
        if part >= 1.0:  # the eye is within
            return
        # from rim to rim the rays that touch the sphere
        scale = 1.0 / (1.0 - part * part)
        at = outline(camera, p)
        across = scale * at[2] * radius * wp.sqrt(1.0 + u[0] * u[0] - part * part)
        along = scale * at[3] * radius * wp.sqrt(1.0 + u[1] * u[1] - part * part)
        middle = wp.vec2(
            camera.centre[0] + scale * at[2] * p[0], camera.centre[1] + scale * at[3] * p[1]
        )
        small = wp.max(across, along) < wp.static(SMALL)
        if small:
            across, along = 0.0, 0.0
            middle = wp.vec2(at[0], at[1])
        wide, tall = float(camera.width), float(camera.height)
        if not (
            middle[0] + across >= 0.0
            and middle[0] - across < wide
            and middle[1] + along >= 0.0
            and middle[1] - along < tall
        ):
            return
        # pixel i covers from i to i + 1
        low = wp.vec2i(int(wp.max(middle[0] - across, 0.0)), int(wp.max(middle[1] - along, 0.0)))
        high = wp.vec2i(
            int(wp.min(middle[0] + across, wide - 1.0)), int(wp.min(middle[1] + along, tall - 1.0))
        )
        if hidden(bounds, tiles[0], low, high, wp.cast(front, wp.uint32)):
            return
        if small:
            put(keys_out, offset + low[1] * camera.width + low[0], front, index)
        else:
            fill(low, high, at, u, k, radius, behind, index, camera.width, offset, keys_out)

    @wp.kernel(module=module, enable_backward=False)
    def splat(
        camera: Camera,
        x: wp.array[vec3],
        radius: float,
        reach: float,
        seen: wp.array[wp.uint8],
        which: int,
        first: int,
        start: int,
        stop: int,
        bounds: wp.array[wp.uint32],
        around: wp.array[wp.uint32],
        offset: int,
        keys_out: wp.array[wp.int64],
    ):
        """Draw of each block the points start to stop - 1 of BLOCK, in an order by chance.

        A point that is not finite is left out. `which` are drawn: ALL, or those that `seen` (n,)
        holds this number for, UNSEEN or SEEN. `reach` is the most pixels from a centre to the rim,
        at a depth of 1 m in perspective; `offset` is where the picture starts in keys_out.
        """
        k = first + wp.tid()
        turn = int((wp.uint32(k) * turned) >> rest)
        tiles = wp.vec2i((camera.width + tile - 1) // tile, (camera.height + tile - 1) // tile)
        for j in range(start, stop):
            index = block * k + (j ^ turn)
            if index < x.shape[0] and (which == ALL or int(seen[index]) == which):
                draw(
                    camera, x[index], radius, reach, tiles, bounds, around, index, offset, keys_out
                )

    @wp.func
    def least(keys: wp.array[wp.int64], parts: int, size: int, at: int):
        key = keys[at]
        for part in range(1, parts):
            key = wp.min(key, keys[part * (size + spare) + at])
        return key

    @wp.kernel(module=module, enable_backward=False)
    def bound(
        width: int,
        height: int,
        parts: int,
        keys: wp.array[wp.int64],
        first: int,
        bounds_out: wp.array[wp.uint32],
    ):
        """The farthest of what the pixels of tile first + i show; of several pictures the least."""
        i = first + wp.tid()
        tiles = (width + tile - 1) // tile
        row, column = tile * (i // tiles), tile * (i % tiles)
        farthest = wp.uint32(0)
        for y in range(row, wp.min(row + tile, height)):
            for x in range(column, wp.min(column + tile, width)):
                key = least(keys, parts, width * height, y * width + x)
                farthest = wp.max(farthest, wp.uint32(key >> wp.int64(32)))
        bounds_out[i] = farthest

    @wp.kernel(module=module, enable_backward=False)
    def spread(
        tiles: wp.vec2i,
        bounds: wp.array[wp.uint32],
        around_out: wp.array[wp.uint32],
    ):
        """The farthest of a tile and the up to eight next to it."""
        i = wp.tid()
        row, column = i // tiles[0], i % tiles[0]
        farthest = wp.uint32(0)
        for y in range(wp.max(row - 1, 0), wp.min(row + 2, tiles[1])):
            for x in range(wp.max(column - 1, 0), wp.min(column + 2, tiles[0])):
                farthest = wp.max(farthest, bounds[y * tiles[0] + x])
        around_out[i] = farthest

    @wp.struct
    class Sight:
        """From a pixel and a depth to a place in a table of lights, for a point."""

        scale: wp.vec2
        shift: wp.vec2
        slope: wp.vec2
        fan: float  # [1/m]
        behind: float  # of its centre [m]

    @wp.func
    def sight(camera: Camera, x: vec3, inverse: float):
        """`inverse` is of the radius: normals have length 1."""
        p = seen(camera, x)
        at = outline(camera, p)
        half = wp.static(0.5 * LIGHTS) * inverse
        out = Sight()
        out.scale = wp.vec2(half / at[2], half / at[3])
        out.shift = wp.vec2((0.5 - at[0]) * out.scale[0], (0.5 - at[1]) * out.scale[1])
        out.fan = fan(camera, p[2])
        out.slope = wp.vec2(half * out.fan * p[0], half * out.fan * p[1])
        out.behind = p[2] - camera.near
        return out

    @wp.func
    def window_depth(camera: Camera, behind: float):
        """Of what is so far behind the near plane, as in OpenGL's buffer: from 0 to 1."""
        z = camera.near + behind
        depth = camera.depth[0] + camera.depth[1] * wp.where(camera.perspective == 1, 1.0 / z, z)
        return wp.clamp(depth, 0.0, 0.9999999)

    @wp.func
    def place(point: Sight, behind: float, column: int, row: int):
        """Where in a table of lights the normal at a pixel is."""
        s = point.behind - behind
        near, half = 1.0 - s * point.fan, wp.static(0.5 * LIGHTS)
        u = near * (point.shift[0] + float(column) * point.scale[0]) - s * point.slope[0]
        v = near * (point.shift[1] + float(row) * point.scale[1]) - s * point.slope[1]
        last = wp.static(LIGHTS - 1.0)
        i, j = int(wp.clamp(half + u, 0.0, last)), int(wp.clamp(half + v, 0.0, last))
        return j * lights + i

    @wp.func
    def point_of(key: wp.int64):
        """Which point a key tells of."""
        return wp.where(key == empty, NOWHERE, int(key & wp.int64(0xFFFFFFFF)))

    @wp.func
    def level(value: float):
        return float(int(wp.clamp(value, 0.0, 255.0) + 0.5))

    @wp.func
    def packed(red: float, green: float, blue: float):
        """Three numbers from 0 to 255 in one; a float32 holds it exactly."""
        return (level(red) * 256.0 + level(green)) * 256.0 + level(blue)

    @wp.func
    def lit(colour: wp.vec3, at: int, gain: wp.array[wp.vec3], shine: wp.array[wp.vec3]):
        c = wp.cw_mul(colour, gain[at]) + shine[at]
        return packed(c[0], c[1], c[2])

    @wp.func
    def paint(
        k: int,
        colours: wp.array2d[wp.uint8],
        values: wp.array[float],
        limits: wp.vec2,
        table: wp.array[wp.vec3],
        missing: wp.vec3,
    ):
        """Colour of a point, by its value where there is a table."""
        if table.shape[0] == 0:
            return wp.vec3(float(colours[k, 0]), float(colours[k, 1]), float(colours[k, 2]))
        if not wp.isfinite(values[k]):
            return missing
        size = float(table.shape[0])
        unit = (values[k] - limits[0]) / (limits[1] - limits[0])
        return table[int(wp.clamp(unit * size, 0.0, size - 1.0))]

    @wp.kernel(module=module, enable_backward=False)
    def shade(
        camera: Camera,
        x: wp.array[vec3],
        radius: float,
        colours: wp.array2d[wp.uint8],
        values: wp.array[float],
        limits: wp.vec2,
        table: wp.array[wp.vec3],
        missing: wp.vec3,
        gain: wp.array[wp.vec3],
        shine: wp.array[wp.vec3],
        parts: int,
        keys: wp.array[wp.int64],
        first: int,
        seen_out: wp.array[wp.uint8],
        picture_out: wp.array[wp.vec3],
    ):
        """Of each pixel the depth in the window, the packed colour and the opacity, 1 or 0.

        The colour is the point's (n, 3), or where there is a table (k, 3) that of its value (n,)
        between the limits, of which the ends' hold beyond, and `missing` if it is not finite. It
        is multiplied by `gain` and added to `shine`, each (LIGHTS^2,), of the normal. The points
        that show are marked as SEEN.
        """
        start = run * (first + wp.tid())
        size = camera.width * camera.height
        i, stop = start, wp.min(start + run, size)
        while i < stop:
            key = least(keys, parts, size, i)
            k = point_of(key)
            if k == NOWHERE:
                picture_out[i] = wp.vec3(1.0, 0.0, 0.0)
                i += 1
            else:
                seen_out[k] = wp.uint8(SEEN)
                colour = paint(k, colours, values, limits, table, missing)
                point = sight(camera, x[k], 1.0 / radius)
                while i < stop and point_of(key) == k:  # neighbours often show the same
                    behind = wp.cast(wp.uint32(key >> wp.int64(32)), float)
                    at = place(point, behind, i % camera.width, i // camera.width)
                    code = lit(colour, at, gain, shine)
                    picture_out[i] = wp.vec3(window_depth(camera, behind), code, 1.0)
                    i += 1
                    if i < stop:
                        key = least(keys, parts, size, i)

    return SplatKernels(Camera, splat, bound, spread, shade)
