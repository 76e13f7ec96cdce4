# SPDX-License-Identifier: Apache-2.0
"""Controls of the page for how bodies are looked at, over the state that `told` keeps."""

from __future__ import annotations

from typing import Any

from ..looks import AROUND, AXES, SPANS, Looks, shapes
from ..view import View

CONTROLS = """
  <label>as
    <select id="shape" :value="looks.shape"
        @change="trigger('act', ['set', 'shape', $event.target.value])">
      <option v-for="one in looked.shapes" :key="one" :value="one">{{ one }}</option>
    </select>
  </label>
  <label v-if="looked.meshes"><input id="edges" type="checkbox" :checked="looks.edges"
      @change="trigger('act', ['set', 'edges', $event.target.checked])">edges</label>
  <label>clip
    <select id="clip-axis" :value="looks.axis"
        @change="trigger('act', ['set', 'axis', $event.target.value])">
      <option value="">none</option>
      <option v-for="one in looked.axes" :key="one" :value="one">{{ one }}</option>
    </select>
    <input id="clip-place" type="range" min="0" max="1" step="0.0125" aria-label="clip plane"
        :value="looks.place" :disabled="!looks.axis"
        @input="trigger('act', ['set', 'place', Number($event.target.value)])">
    <output id="clip-words">{{ looks.clip }}</output>
  </label>
  <label>range
    <select id="span" :value="looks.span"
        @change="trigger('act', ['set', 'span', $event.target.value])">
      <option v-for="one in looked.spans" :key="one" :value="one">{{ one }}</option>
    </select>
  </label>
  <label>around
    <select id="around" :value="looks.around"
        @change="trigger('act', ['set', 'around', $event.target.value])">
      <option v-for="one in looked.around" :key="one" :value="one">{{ one }}</option>
    </select>
  </label>
  <label><input id="axes" type="checkbox" :checked="looks.axes"
      @change="trigger('act', ['set', 'axes', $event.target.checked])">axes</label>
  <label v-if="looked.several"><input id="overlay" type="checkbox" :checked="looks.overlay"
      @change="trigger('act', ['set', 'overlay', $event.target.checked])">overlay</label>
"""
"""In a row of the bar below the picture."""

STYLE = """
.bar.looks { border-top: none; padding-top: 0; }
#clip-place { width: 110px; accent-color: #2c6fb3; }
#clip-words { min-width: 62px; font-variant-numeric: tabular-nums; white-space: nowrap; }
"""


def offered(view: View) -> dict[str, Any]:
    """What there is to choose from, for the page."""
    return {
        "shapes": list(shapes(view)),
        "axes": list(AXES),
        "spans": list(SPANS),
        "around": list(AROUND),
        "meshes": any(source.cells is not None for source in view.sources),
        "several": len(view.sources) > 1,
    }


def told(looks: Looks, view: View) -> dict[str, Any]:
    """The looks, for the page; the place of the clip plane as a part of the scene."""
    clip, place = looks.clip, 0.5
    if clip is not None:
        low, high = (float(end[clip.axis]) for end in view.extent)
        place = (clip.place - low) / (high - low) if high > low else 0.5
    return {
        "shape": looks.shape,
        "edges": looks.edges,
        "axis": "" if clip is None else AXES[clip.axis],
        "place": place,
        "clip": "" if clip is None else f"{clip.place:.3g} m",
        "span": looks.span,
        "around": looks.around,
        "axes": looks.axes,
        "overlay": looks.overlay,
    }
