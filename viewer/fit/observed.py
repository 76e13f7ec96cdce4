# SPDX-License-Identifier: Apache-2.0
"""What was observed of a motion, drawn over the motion that a fit predicts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..drawing.flat import INK, text
from ..drawing.skin import skin
from ..extra import Extra
from ..source import Source, numpy_of

if TYPE_CHECKING:
    from ..stage import Stage

COLOUR = (0.90, 0.55, 0.05)
WORDS = "orange: observed"
_MOST = 2000
_POINT = 0.008
_SEED = 7


class ObservedMotion(Extra):
    """The points that were observed as orange balls, or the edges of a mesh as orange lines.

    Of particles that are predicted as well some are drawn, a little smaller than those: they come
    out where the two are apart. Of markers and tracks all are, a little larger.

    Args:
        source: What was observed.
        radius: Of a predicted particle [m]; 0 for a mesh.
        size: Length of the diagonal of all that moves [m].
    """

    def __init__(self, source: Source, radius: float, size: float) -> None:
        self.source = source
        count = source.particles
        generator = np.random.default_rng(_SEED)
        chosen = generator.choice(count, min(count, _MOST), replace=False)
        self._kept = np.sort(chosen)
        self._radius = 0.8 * radius or _POINT * size
        if "markers" in source.metadata:  # else particles
            large = max(1.25 * radius, _POINT * size)
            self._radius = float(np.clip(0.5 * source.spacing, 0.5 * large, large))
        self._points: Any = None

    def begin(self, stage: Stage) -> None:
        """See `Extra.begin`."""
        renderer = stage.plotter.renderers[0]
        self._words = text(renderer, stage.pixels, 12, INK)
        self._words.SetPosition(24 * stage.pixels, 12 * stage.pixels)
        if self.source.cells is not None:
            renderer.AddActor(self._edges(stage.pixels))
        else:
            renderer.AddActor(self._balls())

    def _edges(self, pixels: int) -> Any:
        import pyvista
        from vtkmodules.vtkRenderingCore import vtkActor, vtkPolyDataMapper

        cells = self.source.cells
        found = skin(cells.kind, numpy_of(cells.nodes))
        self._kept, self._radius = found.points, 0.0
        data = pyvista.PolyData(
            np.zeros((len(found.points), 3), np.float32),
            lines=np.insert(found.edges, 0, 2, axis=1).ravel(),
        )
        self._points, self._data, self._sizes = np.asarray(data.points), data, None
        mapper, actor = vtkPolyDataMapper(), vtkActor()
        mapper.SetInputData(data)
        actor.SetMapper(mapper)
        style = actor.GetProperty()
        style.SetColor(*COLOUR)
        style.SetLineWidth(1.5 * pixels)
        style.LightingOff()
        return actor

    def _balls(self) -> Any:
        import pyvista
        from vtkmodules.vtkRenderingCore import vtkActor
        from vtkmodules.vtkRenderingOpenGL2 import vtkOpenGLSphereMapper

        data = pyvista.PolyData(np.zeros((len(self._kept), 3), np.float32))
        data.point_data["radius"] = np.full(len(self._kept), self._radius, np.float32)
        self._points, self._data = np.asarray(data.points), data
        self._sizes = np.asarray(data.point_data["radius"])
        mapper, actor = vtkOpenGLSphereMapper(), vtkActor()
        mapper.SetInputData(data)
        mapper.SetScaleArray("radius")
        mapper.ScalarVisibilityOff()
        actor.SetMapper(mapper)
        style = actor.GetProperty()
        style.SetColor(*COLOUR)
        style.SetAmbient(0.5)
        style.SetDiffuse(0.6)
        return actor

    def show(self, stage: Stage) -> None:
        """See `Extra.show`."""
        self._words.SetInput(short_of(stage.view.times, self.source.times))
        now = stage.view.times[stage.frame]
        x = self.source.positions(int(np.abs(self.source.times - now).argmin()))[self._kept]
        seen = np.asarray(np.isfinite(x).all(-1))
        middle = x[seen].mean(0) if seen.any() else np.zeros(3)
        self._points[:] = np.where(seen[:, None], x, middle)
        if self._sizes is not None:
            self._sizes[:] = np.where(seen, self._radius, 0.0)
            self._data.GetPointData().GetArray("radius").Modified()
        self._data.GetPoints().Modified()
        self._data.Modified()


def short_of(predicted: np.ndarray, observed: np.ndarray) -> str:
    """That the prediction ends a frame or more before what was observed, in words; else empty.

    Args:
        predicted: Times of the prediction [s], shape (k,).
        observed: Times of what was observed [s], shape (t,).
    """
    lapse = float(np.median(np.diff(observed))) if len(observed) > 1 else 0.0
    if observed[-1] - predicted[-1] < max(0.99 * lapse, 1e-9):
        return ""
    return f"predicted until {predicted[-1]:.3g} s, observed until {observed[-1]:.3g} s"
