# SPDX-License-Identifier: Apache-2.0
"""Patches of a first picture found again in a later one, to a few hundredths of a pixel.

Each patch is warped affinely until the zero-mean normalised squared difference is least: inverse
compositional Gauss-Newton (Baker and Matthews 2004; Pan, Li and Tong 2013), all patches at once,
intensities by cubic B-splines. Brightness and contrast may change.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

STEPS = 30
CONVERGED = 2e-3
"""Change of a patch's place [px] that ends its search."""
FLAT = 5.0
"""Standard deviation of brightness [grey levels] below which a patch shows nothing."""
BELL = 0.6
"""Standard deviation of the weight of a patch's pixels, in halves of the patch."""
SMALLEST = 40
"""Pixels that a patch needs within the mask."""
Array = Any
"""Of numpy."""


class Found(NamedTuple):
    """Patches in a picture."""

    warp: Array
    """From offsets in the first picture to pixels in this one, shape (k, 2, 3)."""
    correlation: Array
    """Zero-mean normalised cross-correlation with the first picture, shape (k,); 0 where lost."""
    converged: Array
    """Shape (k,), bool."""

    @property
    def at(self) -> Array:
        """Centres [px], shape (k, 2)."""
        return self.warp[:, :, 2]


class Spline:
    """A picture as a cubic B-spline."""

    def __init__(self, picture: Array) -> None:
        """Shape (height, width), any type."""
        from scipy import ndimage

        self.shape = picture.shape
        kind: Any = np.float32
        self._coefficients = ndimage.spline_filter(
            np.asarray(picture, kind), 3, output=kind, mode="mirror"
        )

    def __call__(self, at: Array) -> Array:
        """Brightness at pixels (..., 2), right and down; mirrored beyond the edges."""
        from scipy import ndimage

        found = ndimage.map_coordinates(
            self._coefficients, [at[..., 1], at[..., 0]], order=3, prefilter=False, mode="mirror",
            output=np.float32,
        )  # fmt: skip
        return found


@dataclass(frozen=True)
class Patches:
    """Square pieces of the first picture around k points."""

    at: Array
    """Centres [px], shape (k, 2)."""
    offsets: Array
    """Of their pixels from the centre [px], shape (p, 2)."""
    weight: Array
    """Of their pixels, a bell about the centre; 0 beyond the object, shape (k, p)."""
    template: Array
    """Brightness less its mean, times the root of the weights, of norm 1, shape (k, p)."""
    steepest: Array
    """Change of the template with the six parameters of an affine warp, shape (k, p, 6)."""
    inverse: Array
    """Of the normal matrix, shape (k, 6, 6)."""
    usable: Array
    """Whether a patch shows enough to be found again, shape (k,), bool."""

    @classmethod
    def cut(cls, picture: Array, at: Array, half: int, mask: Array | None = None) -> Patches:
        """Cut patches.

        Args:
            picture: Brightness, shape (height, width).
            at: Centres [px], shape (k, 2).
            half: A patch is 2 half + 1 pixels wide and high.
            mask: Where the object is, shape (height, width), bool; None: everywhere.
        """
        line = np.arange(-half, half + 1, dtype=np.float32)
        offsets = np.stack(np.meshgrid(line, line), -1).reshape(-1, 2)
        spline, places = Spline(picture), at[:, None] + offsets
        height, width = picture.shape
        weight = ((places >= 0) & (places <= (width - 1, height - 1))).all(-1)
        if mask is not None:
            import cv2

            # pixels of the rim are partly of what is behind
            mask = cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
            near = np.rint(places).astype(int)
            columns = near[..., 0].clip(0, width - 1)
            weight &= mask[near[..., 1].clip(0, height - 1), columns]
        inside = weight.sum(1)
        bell = np.exp(-0.5 * np.square(offsets / (BELL * half)).sum(1))
        weight = weight * bell.astype(np.float32)
        values = spline(places)
        template, spread = _normalised(values, weight)
        step = np.eye(2, dtype=np.float32)
        slopes = [0.5 * (spline(places + axis) - spline(places - axis)) for axis in step]
        gradient = np.stack(slopes, -1) / np.maximum(spread, 1e-6)[:, None, None]
        terms = np.concatenate([np.ones((len(offsets), 1), np.float32), offsets], 1)
        steepest = (gradient[..., None] * terms[None, :, None, :]).reshape(*values.shape, 6)
        # neither brightness nor contrast tells where a patch is
        count = np.maximum(weight.sum(1), 1e-6)
        steepest = (
            steepest - (weight[..., None] * steepest).sum(1, keepdims=True) / count[:, None, None]
        )
        steepest = steepest * np.sqrt(weight)[..., None]
        steepest -= template[..., None] * np.einsum("kp,kpi->ki", template, steepest)[:, None]
        normal = np.einsum("kpi,kpj->kij", steepest, steepest).astype(np.float64)
        scale = np.sqrt(np.maximum(np.einsum("kii->ki", normal), 1e-30))
        scaled = normal / scale[:, :, None] / scale[:, None, :]
        usable = (spread > FLAT * np.sqrt(count)) & (inside >= SMALLEST)
        usable &= np.linalg.eigvalsh(scaled)[:, 0] > 1e-4
        scaled[~usable] = np.eye(6)
        inverse = np.linalg.inv(scaled) / scale[:, :, None] / scale[:, None, :]
        return cls(at, offsets, weight, template, steepest, inverse, usable)

    def __len__(self) -> int:
        return len(self.at)

    def find(self, picture: Spline, start: Array, which: Array) -> Found:
        """Find patches in a picture.

        Args:
            picture: The later one.
            start: Warps from which the search begins, shape (k, 2, 3).
            which: Numbers of the patches that are looked for, shape (m,); others count as lost.
        """
        warp = np.array(start, np.float64)
        correlation, converged = np.zeros(len(self)), np.zeros(len(self), bool)
        active = which[self.usable[which]]
        for _ in range(STEPS):
            if not len(active):
                break
            places = self._places(warp, active)
            values, spread = _normalised(picture(places), self.weight[active])
            correlation[active] = (values * self.template[active]).sum(1)
            slope = (self.template[active] - values)[:, None] @ self.steepest[active]
            change = -np.einsum("kij,kj->ki", self.inverse[active], slope[:, 0])
            lost = (
                (spread < 1e-3) | ~np.isfinite(change).all(1) | (np.abs(change[:, ::3]) > 20).any(1)
            )
            still = np.hypot(change[:, 0], change[:, 3]) < CONVERGED
            good = active[~lost]
            warp[good] = _composed(warp[good], change[~lost])
            converged[active[still & ~lost]] = True
            correlation[active[lost]] = 0.0
            active = active[~still & ~lost]
        ends = warp[:, :, 2]
        height, width = picture.shape
        inside = ((ends >= 0) & (ends <= (width - 1, height - 1))).all(1)
        turned = np.linalg.det(warp[:, :, :2])
        converged &= inside & (turned > 0.2) & (turned < 5.0)
        return Found(warp, np.where(converged, correlation, 0.0), converged)

    def _places(self, warp: Array, which: Array) -> Array:
        """Pixels of the later picture under those of patches, shape (m, p, 2)."""
        linear = warp[which][:, :, :2].astype(np.float32)
        return self.offsets @ linear.transpose(0, 2, 1) + warp[which][:, None, :, 2]


def at_rest(at: Array) -> Array:
    """Warps that move nothing, shape (k, 2, 3)."""
    warp = np.zeros((len(at), 2, 3))
    warp[:, :, :2] = np.eye(2)
    warp[:, :, 2] = at
    return warp


def _normalised(values: Array, weight: Array) -> tuple[Array, Array]:
    """Less their mean, by root weights, of norm 1, (k, p), and the norm before, (k,)."""
    count = np.maximum(weight.sum(1, keepdims=True), 1e-6)
    centred = (values - (weight * values).sum(1, keepdims=True) / count) * np.sqrt(weight)
    norm = np.sqrt(np.square(centred).sum(1, keepdims=True))
    return centred / np.maximum(norm, 1e-6), norm[:, 0]


def _composed(warp: Array, change: Array) -> Array:
    """A warp after the inverse of a small one, (m, 2, 3) and (m, 6)."""
    small = np.zeros((len(change), 3, 3))
    small[:] = np.eye(3)
    rows = change.reshape(-1, 2, 3)
    small[:, :2, 2] += rows[:, :, 0]
    small[:, :2, :2] += rows[:, :, 1:]
    return warp @ np.linalg.inv(small)
