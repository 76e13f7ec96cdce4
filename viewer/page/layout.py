# SPDX-License-Identifier: Apache-2.0
"""The page that a browser shows: its controls, their style, and the keys.

The controls are a Vue template over the state that `browser` keeps: frame, last, playing, field,
fields, speed, speeds, paces (what these are, in words), loop, help, keys, stroke (the keys of an
action), clock, remark, preset, presets, picked (how many are) and chart; and over what only the
page knows: held, the place where the slider is held, and ending, whether it asks if the program is
to end. All of them call the trigger ``act``, with ``do`` and an action where a key does the same;
``picture``, ``values`` and ``shape`` are what is downloaded. More is in the row of
`look_controls`.
"""

from __future__ import annotations

import json

from .. import keys

CONTROLS = """
<div class="bar">
  <div class="row">
    <button id="play" class="main" :title="`${playing ? 'pause' : 'play'} (${stroke['play']})`"
        @click="trigger('act', ['do', 'play'])">
      <svg v-if="playing" viewBox="0 0 24 24"><path d="M6 4h4v16H6zM14 4h4v16h-4z"/></svg>
      <svg v-else viewBox="0 0 24 24"><path d="M7 4l13 8-13 8z"/></svg>
    </button>
    <button id="back" :title="`one frame back (${stroke['back']})`"
        @click="trigger('act', ['do', 'back'])">
      <svg viewBox="0 0 24 24"><path d="M5 5h3v14H5zM19 5v14l-10-7z"/></svg>
    </button>
    <button id="on" :title="`one frame on (${stroke['on']})`"
        @click="trigger('act', ['do', 'on'])">
      <svg viewBox="0 0 24 24"><path d="M16 5h3v14h-3zM5 5l10 7L5 19z"/></svg>
    </button>
    <input id="timeline" type="range" min="0" :max="last" step="1" aria-label="time"
        :value="held < 0 ? frame : held" :disabled="last == 0"
        @input="held = Number($event.target.value); trigger('act', ['hold', held])"
        @change="held = -1; trigger('act', ['release', Number($event.target.value)])">
    <output id="clock">{{ clock }}</output>
  </div>
  <div class="row">
    <label>colour
      <select id="field" :value="field" @change="trigger('act', ['colour', $event.target.value])">
        <option v-for="one in fields" :key="one" :value="one">{{ one }}</option>
      </select>
    </label>
    <label>speed
      <select id="speed" :value="speed"
          @change="trigger('act', ['pace', Number($event.target.value)])">
        <option v-for="(one, k) in speeds" :key="one" :value="one">{{ paces[k] }}</option>
      </select>
    </label>
    <label><input id="loop" type="checkbox" :checked="loop"
        @change="trigger('act', ['loop', $event.target.checked])">loop</label>
    <span class="group">
      <button v-for="(one, k) in presets" :key="one" :id="'look-' + one"
          :title="'look from ' + one" :class="{chosen: k == preset}"
          @click="trigger('act', ['look', k])">{{ one }}</button>
      <button id="reset" :title="`reset the camera (${stroke['reset camera']})`"
          @click="trigger('act', ['do', 'reset camera'])">reset</button>
    </span>
    <span class="space"></span>
    <button id="chart" :disabled="!picked" :class="{chosen: picked && chart}"
        :title="`show or hide the chart of what is picked (${stroke['chart']})`"
        @click="trigger('act', ['do', 'chart'])">chart</button>
    <span class="group">save
      <button id="save" :title="`download this picture (${stroke['save picture']})`"
          @click="utils.download('rheograd.png', trigger('picture'), 'image/png')">
        picture</button>
      <button id="save-shape"
          :title="`download the shape shown, for other programs (${stroke['save shape']})`"
          @click="utils.download('rheograd.glb', trigger('shape'), 'model/gltf-binary')">
        shape</button>
      <button id="values" :disabled="!picked"
          :title="`download the values of the chart of what is picked (${stroke['save values']})`"
          @click="utils.download('rheograd.csv', trigger('values'), 'text/csv')">values</button>
    </span>
    <button id="help" :title="`list the keys (${stroke['help']})`" :class="{chosen: help}"
        @click="trigger('act', ['do', 'help'])">help</button>
  </div>
</div>
"""
"""Below the picture."""

END = """
<span class="end">
  <button id="end" v-if="!ending" title="end the program that serves this page, for everybody"
      @click="ending = true">stop server</button>
  <template v-else>end it for everybody?
    <button id="end-yes" class="warns" @click="trigger('act', ['end'])">yes, stop</button>
    <button id="end-no" @click="ending = false">no</button>
  </template>
</span>
"""
"""Apart from all other controls, as it cannot be undone."""

OVER = """
<p v-if="remark" class="remark">{{ remark }}</p>
<div v-if="help" class="help"><div class="keys">
  <p v-for="[key, meaning] in keys" :key="key"><b>{{ key }}</b>{{ meaning }}</p>
</div></div>
"""
"""Over the picture."""

GONE = """
<div class="gone"><p>This viewer has ended, or the connection to it is lost.</p>
<button onclick="location.reload()">try again</button></div>
"""
"""Instead of all that, once nobody answers."""

DOWNLOADS = {"save picture": "save", "save values": "values", "save shape": "save-shape"}
"""Buttons that do what a page does by itself, by action."""

_KEYBOARD = """
(() => {
  if (window.rheogradKeys) return;
  window.rheogradKeys = true;
  const names = NAMES, actions = ACTIONS, downloads = DOWNLOADS;
  const stands = (event) => {
    const name = names[event.key] || event.key, letter = /^[A-Za-z]$/.test(name);
    const shift = event.shiftKey || (letter && name != name.toLowerCase());
    const key = letter ? name.toLowerCase() : name;
    return (shift && actions["shift-" + key]) || (shift && letter ? undefined : actions[key]);
  };
  window.addEventListener("keydown", (event) => {
    const action = stands(event), at = event.target;
    if (event.ctrlKey || event.altKey || event.metaKey || !action) return;
    if (at.tagName == "SELECT") return;
    const pressed = ["BUTTON", "INPUT"].includes(at.tagName) && at.type != "range";
    if (event.key == " " && pressed) return;
    event.preventDefault();
    const button = downloads[action];
    if (button) document.getElementById(button)?.click();
    else window.trame.trigger("act", ["do", action]);
  });
  // what was clicked does not keep the keyboard
  window.addEventListener("mousedown", (event) => {
    if (event.target.closest("button")) event.preventDefault();
  });
  window.addEventListener("change", (event) => event.target.blur());
})();
"""


def keyboard() -> str:
    """A script that does in a page what keys stand for there, or has it done."""
    told = {"NAMES": keys.BROWSER, "ACTIONS": keys.actions(keys.PAGE), "DOWNLOADS": DOWNLOADS}
    script = _KEYBOARD
    for name, values in told.items():
        script = script.replace(f"= {name}", f"= {json.dumps(values)}")
    return script


STYLE = """
html, body, #app { margin: 0; height: 100%; }
.page { position: fixed; inset: 0; display: flex; flex-direction: column; background: #fff;
        font: 14px/1.3 system-ui, "Segoe UI", Arial, sans-serif; color: #26303b; }
.picture { flex: 1; min-height: 0; position: relative; overflow: hidden; cursor: grab; }
.picture:active { cursor: grabbing; }
.bar { border-top: 1px solid #dbe2e9; padding: 8px 14px 10px; background: #f7f9fb; }
.row { display: flex; flex-wrap: wrap; align-items: center; gap: 8px 14px; }
.row + .row { margin-top: 8px; }
.row label { display: inline-flex; align-items: center; gap: 6px; color: #566371; }
.space { flex: 1; }
.group { display: inline-flex; gap: 4px; align-items: center; color: #566371; }
.bar button:disabled { color: #a9b3bd; background: #f7f9fb; cursor: default; }
.end { margin-left: auto; display: inline-flex; gap: 6px; align-items: center; color: #9c2a1f; }
.bar .end button { color: #9c2a1f; border-color: #dfb9b4; }
.bar .end button.warns { color: #fff; background: #b3382b; border-color: #b3382b; }
.bar button, .gone button, .bar select { font: inherit; color: #26303b; background: #fff;
  border: 1px solid #c9d2db; border-radius: 6px; padding: 4px 10px; height: 30px; }
.bar button:hover, .gone button:hover { background: #eaf1f8; }
.bar button.chosen { background: #dde9f5; border-color: #7ba7d3; }
.bar button svg { width: 16px; height: 16px; fill: #2c6fb3; display: block; }
.bar button.main { border-radius: 50%; width: 36px; height: 36px; padding: 0 9px;
  background: #2c6fb3; border-color: #2c6fb3; }
.bar button.main svg { fill: #fff; }
#timeline { flex: 1; min-width: 120px; accent-color: #2c6fb3; }
#clock { font-variant-numeric: tabular-nums; color: #566371; white-space: nowrap; }
.remark { position: absolute; left: 24px; top: 40px; margin: 0; font-size: 12px; color: #6b7885;
  pointer-events: none; }
.help { position: absolute; left: 20px; top: 52px; background: #fffffff2; border-radius: 8px;
  padding: 10px 14px; box-shadow: 0 2px 12px #26303b2e; overflow: auto; box-sizing: border-box;
  max-height: calc(100% - 62px); max-width: calc(100% - 40px); }
.keys { columns: 2 360px; column-gap: 36px; }
.keys p { break-inside: avoid; display: flex; margin: 0; padding: 2px 0; }
.help b { flex: none; width: 104px; color: #2c6fb3; font-weight: 600; }
.gone { position: fixed; inset: 0; display: flex; flex-direction: column; align-items: center;
  justify-content: center; font: 16px system-ui, Arial, sans-serif; color: #26303b; }
"""
