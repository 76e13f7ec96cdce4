# SPDX-License-Identifier: Apache-2.0
"""How surfaces answer light, and take their colours from values."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..fields import Scale
from ..palettes import MISSING

EDGE = (0.10, 0.13, 0.16)
"""Colour of the edges of cells."""
_EDGE_OPACITY = 0.45
_BEHIND = 4.0


def light(actor: Any, *, flat: bool = False) -> None:
    """Have an actor look as bodies do; flat, it has its colours whatever the light."""
    surface = actor.GetProperty()
    surface.SetAmbient(1.0 if flat else 0.42)
    surface.SetDiffuse(0.0 if flat else 0.72)
    surface.SetSpecular(0.0 if flat else 0.16)
    surface.SetSpecularPower(24)


def coloured(mapper: Any, scale: Scale, *, on_cells: bool) -> None:
    """Have a mapper take the colours of a scale, mixed between points as values, not as colours."""
    import pyvista

    table: Any = pyvista.LookupTable()
    opaque = np.full((len(scale.field.table), 1), 255, np.uint8)
    table.values = np.concatenate([scale.field.table, opaque], 1)
    table.scalar_range = scale.limits
    table.nan_color = tuple(int(c) for c in MISSING)
    mapper.SetLookupTable(table)
    mapper.UseLookupTableScalarRangeOn()
    mapper.SetInterpolateScalarsBeforeMapping(not scale.field.labels)
    if on_cells:
        mapper.SetScalarModeToUseCellData()
    else:
        mapper.SetScalarModeToUsePointData()


def outline(actor: Any, pixels: int) -> None:
    """Have lines be thin and dark, so many screen pixels wide."""
    style = actor.GetProperty()
    style.SetColor(*EDGE)
    style.SetOpacity(_EDGE_OPACITY)
    style.SetLineWidth(pixels)
    style.LightingOff()


def ghostly(actor: Any, colour: tuple[int, int, int], opacity: float) -> None:
    """Have a surface be a translucent ghost of one colour [of 255].

    Where it lies on another surface, that is what is seen.
    """
    actor.GetMapper().ScalarVisibilityOff()
    actor.GetMapper().SetRelativeCoincidentTopologyPolygonOffsetParameters(_BEHIND, _BEHIND)
    surface = actor.GetProperty()
    surface.SetColor(*(part / 255 for part in colour))
    surface.SetOpacity(opacity)
    surface.BackfaceCullingOn()
