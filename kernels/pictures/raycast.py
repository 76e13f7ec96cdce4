# SPDX-License-Identifier: Apache-2.0
"""Pictures of textured surfaces by rays, lit by a lamp and the sky.

A surface is coloured by noise in its rest coordinates, so that its texture sticks to the material;
it stands on an even floor in front of a plain wall, and casts a shadow. Forward only.
"""

from typing import NamedTuple

import warp as wp

from ..dtypes import factory

MISSED = -1
"""Face of a ray that hits no surface."""
BIAS = 1.0e-4
"""From where a ray to the lamp starts [m]."""


class RayKernels(NamedTuple):
    """A thread is a ray."""

    shade: wp.Kernel
    hit: wp.Kernel


@factory
def ray_kernels() -> RayKernels:
    """Make them, in float32: that is what Warp's meshes are."""

    @wp.func
    def lattice(i: int, j: int, k: int) -> float:
        """A number from 0 to 1 that looks random, of a point of a lattice."""
        return wp.randf(wp.rand_init(i * 7919 + j * 104729, k))

    @wp.func
    def noise(x: wp.vec3) -> float:
        """Smooth between random values at whole numbers, from 0 to 1."""
        fi, fj, fk = wp.floor(x[0]), wp.floor(x[1]), wp.floor(x[2])
        i, j, k = int(fi), int(fj), int(fk)
        u, v, w = x[0] - fi, x[1] - fj, x[2] - fk
        u = u * u * (3.0 - 2.0 * u)
        v = v * v * (3.0 - 2.0 * v)
        w = w * w * (3.0 - 2.0 * w)
        a = wp.lerp(lattice(i, j, k), lattice(i + 1, j, k), u)
        b = wp.lerp(lattice(i, j + 1, k), lattice(i + 1, j + 1, k), u)
        c = wp.lerp(lattice(i, j, k + 1), lattice(i + 1, j, k + 1), u)
        d = wp.lerp(lattice(i, j + 1, k + 1), lattice(i + 1, j + 1, k + 1), u)
        return wp.lerp(wp.lerp(a, b, v), wp.lerp(c, d, v), w)

    @wp.func
    def speckle(x: wp.vec3, grain: float) -> float:
        """Dark and bright spots about a grain wide, from 0 to 1."""
        y = x / grain + wp.vec3(17.3, 41.7, 29.1)
        # turned, so that no face of a box lies along the lattice
        z = wp.vec3(
            0.36 * y[0] + 0.48 * y[1] - 0.8 * y[2],
            -0.8 * y[0] + 0.6 * y[1],
            0.48 * y[0] + 0.64 * y[1] + 0.6 * y[2],
        )
        s = 0.65 * noise(z) + 0.35 * noise(2.1 * z)
        s = wp.clamp(0.5 + 2.2 * (s - 0.5), 0.0, 1.0)
        return s * s * (3.0 - 2.0 * s)

    @wp.kernel(module="rheograd.raycast", enable_backward=False)
    def shade(
        mesh: wp.uint64,
        rest: wp.array[wp.vec3],
        triangles: wp.array[int],
        colour: wp.array[wp.vec3],
        eye: wp.vec3,
        ray: wp.array[wp.vec3],
        lamp: wp.vec3,
        up: wp.vec3,
        floor: float,
        far: float,
        grain: float,
        contrast: float,
        picture_out: wp.array[wp.vec3],
        face_out: wp.array[int],
    ):
        """Brightness of each ray from 0 to 1, and the face it hits.

        `lamp` is a direction of length 1, `floor` the height of the ground along `up`, `far` how
        far a ray goes.
        """
        n = wp.tid()
        d = ray[n]
        found = wp.mesh_query_ray(mesh, eye, d, far)
        if found.result:
            f = found.face
            a, b, c = triangles[3 * f], triangles[3 * f + 1], triangles[3 * f + 2]
            u, v = found.u, found.v
            material = u * rest[a] + v * rest[b] + (1.0 - u - v) * rest[c]
            normal = found.normal
            if wp.dot(normal, d) > 0.0:
                normal = -normal
            light = 0.42 + 0.12 * wp.dot(normal, up)
            facing = wp.dot(normal, lamp)
            if facing > 0.0:
                p = eye + found.t * d + BIAS * normal
                shadow = wp.mesh_query_ray(mesh, p, lamp, far)
                if not shadow.result:
                    light += 0.5 * facing
            s = 1.0 - contrast * (1.0 - speckle(material, grain))
            picture_out[n] = light * s * (u * colour[a] + v * colour[b] + (1.0 - u - v) * colour[c])
            face_out[n] = f
            return
        face_out[n] = MISSED
        fall = wp.dot(d, up)
        height = wp.dot(eye, up) - floor
        sky = wp.vec3(0.80, 0.83, 0.86) - 0.10 * fall * wp.vec3(1.0, 1.0, 1.0)
        if fall < -1.0e-6 and height > 0.0:
            t = -height / fall
            if t < far:
                p = eye + t * d
                light = float(0.88)
                shadow = wp.mesh_query_ray(mesh, p + BIAS * up, lamp, far)
                if shadow.result:
                    light = 0.62
                blend = wp.clamp(2.0 * t / far - 1.0, 0.0, 1.0)
                sky = wp.lerp(light * wp.vec3(0.86, 0.84, 0.80), sky, blend)
        picture_out[n] = sky

    @wp.kernel(module="rheograd.raycast", enable_backward=False)
    def hit(
        mesh: wp.uint64,
        eye: wp.vec3,
        ray: wp.array[wp.vec3],
        far: float,
        face_out: wp.array[int],
        weights_out: wp.array[wp.vec3],
        distance_out: wp.array[float],
    ):
        """The face that each ray hits first, the weights of its corners, and how far that is."""
        n = wp.tid()
        found = wp.mesh_query_ray(mesh, eye, ray[n], far)
        face_out[n] = MISSED
        distance_out[n] = far
        if found.result:
            face_out[n] = found.face
            weights_out[n] = wp.vec3(found.u, found.v, 1.0 - found.u - found.v)
            distance_out[n] = found.t

    return RayKernels(shade, hit)
