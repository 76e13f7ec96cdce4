# SPDX-License-Identifier: Apache-2.0
"""The scene of the window, in a page of a browser: drawn here, looked at from anywhere."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import itertools
import secrets
import signal
from collections.abc import Callable, Mapping
from typing import Any, Unpack

import numpy as np

from .. import keys
from ..display import DisplayError, require_renderer
from ..drawing.images import drawn
from ..drawing.strip import TimeStrip
from ..picked.clicks import Clicks
from ..playback import SPEEDS, Playback, Shown
from ..presentation import Presentation, Presented
from ..stage import Stage, plotter_for, quickly_drawn
from . import connection, look_controls
from . import layout as page
from .stream import Stream, png

_TICK = 0.008
_CALM = 0.25
_READING = 0.012
_QUICK = 0.05
_TURN = 0.4
_NEARER = 1.1
_LEAST, _MOST = 64, 4096
_PRESETS = ("corner", "front", "side", "above")
_ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E"
    "%3Ccircle cx='8' cy='8' r='7' fill='%232c6fb3'/%3E%3C/svg%3E"
)
_names = itertools.count()


def serve(
    trajectories: Any,
    presentation: Presentation | None = None,
    *,
    paused: bool = False,
    frame: int = 0,
    host: str = "127.0.0.1",
    port: int = 0,
    open_browser: bool = True,
    ready: Callable[[str], None] | None = None,
    watch: Callable[[Shown], None] | None = None,
    **presented: Unpack[Presented],
) -> None:
    """Show a run in a page of a browser; returns when that is ended from the page or by SIGTERM.

    Pictures are drawn here, so the browser may be on another machine and needs no WebGL. All pages
    show the same. Who does not know the address, with the key in it, is not let in.

    Args:
        trajectories: one trajectory or path, or several to be seen side by side with one camera.
        presentation: how they are shown at first.
        paused: wait for the space key.
        frame: place on the timeline to start from.
        host: name or address of this machine to listen at, ``"0.0.0.0"`` for all that it has.
        port: to listen at; 0 for any that is free.
        open_browser: open the page in a browser of this machine, where it has a display.
        ready: called with the address of the page once it can be opened.
        watch: called with what is shown whenever that has changed and is drawn.
        **presented: fields of the presentation, such as ``field="speed"``.

    Raises:
        DisplayError: where nothing can be drawn, or trame is not installed.
        RuntimeError: within an event loop, such as that of a notebook.
        OSError: where it cannot listen at that host and port.
        ValueError: for a field, frame or number that there is not.
    """
    asked = Presentation.of(presentation, **presented)
    playback = asked.playback(trajectories, frame, playing=not paused)
    _require_trame()
    _require_no_loop()
    require_renderer()
    plotter = plotter_for(playback.view, asked.size, off_screen=True)
    try:
        site = Site(playback, plotter, watch)
        asyncio.run(site.run(host, port, open_browser, ready))
    finally:
        plotter.close()


def _require_trame() -> None:
    """Raise DisplayError unless there is what serves the page."""
    try:
        for needed in ("trame.app", "trame_rca.widgets.rca"):
            importlib.import_module(needed)
    except ImportError as error:
        raise DisplayError(
            f"a browser cannot be served: got no {error.name}, expected trame and trame-rca; "
            "install them by `pip install trame trame-rca`"
        ) from None


def _require_no_loop() -> None:
    """Raise RuntimeError inside a running event loop, such as that of a notebook."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError(
        "a page cannot be served from here: got an event loop that runs (a notebook?), expected "
        "none; call this from a script, or run `rheograd view FILE --browser`"
    )


class Site:
    """A view that is played in the pages of browsers.

    Keys, controls and mouse change what is to be shown; one loop draws it and sends it on, as fast
    as the pages take it.

    Args:
        playback: what is to be seen, and when.
        plotter: off screen.
        watch: called with what is shown whenever that has changed and is drawn.
    """

    def __init__(
        self,
        playback: Playback,
        plotter: Any,
        watch: Callable[[Shown], None] | None = None,
    ) -> None:
        from trame.app import get_server

        self._playback, self._plotter, self._watch = playback, plotter, watch
        self._stage = self._new_stage()
        self._preset, self._turned = playback.view.facing, False
        self._due, self._still = True, False
        self._shown: Shown | None = None
        self._drag: tuple[str, float, float] | None = None
        self._pinch = 1.0
        self._ended = asyncio.Event()
        self._stream = Stream(self._fit, self._move)
        self._server: Any = get_server(f"rheograd-{next(_names)}", client_type="vue3")
        self._build()

    def _new_stage(self) -> Stage:
        """A stage for the view that is played, which keys and clicks know of."""
        view = self._playback.view
        bottom = self._plotter.renderers[len(view.sources)]
        strip = self._strip = TimeStrip(bottom, view, 1, timeline=False)
        strip.tell_time(False)  # the page does
        stage = Stage(self._plotter, view, most=quickly_drawn(view), strip=strip)
        self._playback.toward = stage.toward
        self._clicks = Clicks(self._playback, stage)
        return stage

    # what the page is made of

    def _build(self) -> None:
        """The page, and what it may call."""
        from trame.ui.html import DivLayout
        from trame.widgets import client, html
        from trame_rca.widgets.rca import RemoteControlledArea

        server, view = self._server, self._playback.view
        state = server.state
        state.update({
            "fields": list(view.fields), "speeds": list(SPEEDS),
            "presets": list(_PRESETS), "keys": [list(line) for line in keys.listed(keys.PAGE)],
            "stroke": keys.labels(keys.PAGE),
            "held": -1, "ending": False, "trame__favicon": _ICON,
            "trame__template_error": f"<trame-style :css='style'/>{page.GONE}", "style": page.STYLE,
        })  # fmt: skip
        title = ", ".join(source.title for source in view.sources if source.title)
        state.trame__title = f"rheograd: {title}" if title else "rheograd"
        state.client_only("held", "ending")
        state.looked = look_controls.offered(view)
        self._tell()
        server.controller.trigger("act")(self._act)
        server.controller.trigger("picture")(self._picture)
        server.controller.trigger("values")(self._values)
        server.controller.trigger("shape")(self._shape)
        with DivLayout(server, classes="page"):
            client.Style(page.STYLE)
            client.Style(look_controls.STYLE)
            client.Script(page.keyboard())
            with html.Div(classes="picture"):
                area = RemoteControlledArea(
                    name=self._stream.area_name,
                    display="image",
                    image_style=("{width: '100%', height: '100%'}",),
                    event_throttle_ms=16,
                    monitor=1,
                    stats=(self._stream.arrived, "[$event.st]"),
                )
                area.add_view_handler(self._stream)
                html.Div(page.OVER)
            html.Div(page.CONTROLS)
            row = f'<div class="row">{look_controls.CONTROLS}{page.END}</div>'
            html.Div(row, classes="bar looks")

    def _tell(self) -> None:
        """Let the pages know what is shown."""
        shown, times = self._playback.shown, self._playback.view.times
        digits = self._playback.view.decimals
        words = [
            f"{times[shown.frame]:.{digits}f} of {times[-1]:.{digits}f} s",
            f"{shown.frame + 1} / {len(times)}",
        ]
        self._server.state.update({
            "last": self._playback.last,
            "frame": shown.frame, "playing": shown.playing, "field": shown.field,
            "speed": shown.speed, "paces": [self._playback.pace_at(one) for one in SPEEDS],
            "loop": shown.loop, "help": shown.help,
            "picked": len(shown.picked), "chart": shown.chart,
            "remark": shown.remark or self._stage.remark,
            "preset": -1 if self._turned else self._preset,
            "clock": ", ".join(words),
            "looks": look_controls.told(shown.looks, self._playback.view),
        })  # fmt: skip

    # what pages do

    def _act(self, what: str, *values: Any) -> None:
        """Do what a control or key stands for; what makes no sense is not done."""
        playback = self._playback
        if what == "do" and values[0] in self.acts:
            self.acts[values[0]]()
        elif what == "do":
            playback.act(str(values[0]))
        elif what in ("hold", "release"):
            playback.held = what == "hold"
            playback.go(int(values[0]))
        elif what == "colour" and values[0] in playback.view.fields:
            playback.change(field=values[0])
        elif what == "pace" and values[0] in SPEEDS:
            playback.change(speed=float(values[0]))
        elif what == "loop":
            playback.change(loop=bool(values[0]))
        elif what == "set":
            playback.choose(str(values[0]), values[1])
        elif what == "look":
            self._look(int(values[0]))
        elif what == "end":
            self._ended.set()
        self._due = True

    @property
    def acts(self) -> Mapping[str, Callable[[], None]]:
        """The actions that are for the pages, and not done in them, by name."""
        return {
            "next side": lambda: self._look(self._preset + 1),
            "reset camera": lambda: self._look(self._playback.view.facing),
        }

    def _look(self, preset: int) -> None:
        """Look from one of the sides."""
        self._preset, self._turned = preset % len(_PRESETS), False
        self._stage.look(self._preset)

    def _move(self, event: dict[str, Any]) -> None:
        """Turn, move and zoom by mouse or fingers."""
        kind = str(event.get("type", ""))
        x, y = float(event.get("x", 0)), float(event.get("y", 0))
        scale = self._stage.size[0] / max(float(event.get("w", 0)), 1.0)
        place = (scale * x, scale * y - 1)  # its lowest row is 1
        if kind == "LeftButtonPress" and self._clicks.press(*place):
            self._drag = None
        elif kind.endswith("ButtonPress"):
            self._drag = (self._grip(kind, event), x, y)
        elif kind.endswith("ButtonRelease"):
            self._drag = None
            if kind.startswith("Left"):
                self._clicks.release(*place, bool(event.get("shiftKey")))
        elif kind == "MouseMove" and self._clicks.move(place[0]):
            pass
        elif kind == "MouseMove" and self._drag is not None:
            how, x0, y0 = self._drag
            self._drag = (how, x, y)
            if how == "turn":
                self._stage.turn(_TURN * (x0 - x), _TURN * (y0 - y))
            elif how == "move":
                self._stage.move(scale * (x - x0), scale * (y - y0))
            else:
                self._stage.approach(_NEARER ** ((y - y0) / 10))
        elif kind in ("StartMouseWheel", "MouseWheel"):
            self._stage.approach(_NEARER ** -float(np.clip(event.get("spinY", 0), -3, 3)))
        elif kind == "StartPinch":
            self._pinch = float(event.get("factor", 1)) or 1.0
        elif kind == "Pinch":
            factor = float(event.get("factor", 1)) or 1.0
            self._stage.approach(float(np.clip(factor / self._pinch, 0.2, 5)))
            self._pinch = factor
        else:
            return
        self._due = True
        dragged = self._drag is not None or kind != "MouseMove"
        self._turned |= dragged and not kind.startswith("Start") and "Button" not in kind

    @staticmethod
    def _grip(kind: str, event: dict[str, Any]) -> str:
        """What a drag does that starts so."""
        if kind.startswith("Left"):
            return "move" if event.get("shiftKey") or event.get("controlKey") else "turn"
        return "move" if kind.startswith("Middle") else "zoom"

    def _fit(self, width: int, height: int) -> None:
        """Draw in the size of the page."""
        size = tuple(int(np.clip(side, _LEAST, _MOST)) for side in (width, height))
        if size != self._stage.size:
            self._plotter.render_window.SetSize(*size)
            self._stage.lay_out()
            self._shown = None
        self._due = True

    def _picture(self) -> bytes:
        """What is shown now, as a .png."""
        self._strip.tell_time(True)
        self._draw()
        picture = png(drawn(self._plotter.render_window))
        self._strip.tell_time(False)
        self._due = True
        return picture

    def _values(self) -> str:
        """What is charted, as CSV."""
        return self._stage.inspector.table()

    def _shape(self) -> bytes:
        """The frame shown now, as a .glb."""
        from ..files.export import frame_bytes

        shown = self._playback.shown
        return frame_bytes(self._playback.view, shown.frame, shown.field)

    # drawing

    async def _play(self) -> None:
        """Draw and send whatever is due, until this is cancelled.

        A pause follows as long as drawing took beyond `_QUICK`: pages load and ask meanwhile.
        """
        loop = asyncio.get_running_loop()
        sent, rest = loop.time(), _TICK
        while True:
            await asyncio.sleep(rest)
            began, rest = loop.time(), _TICK
            if not self._stream.free:
                continue
            more = self._stage.inspector.read(_READING)
            if self._playback.advance() or self._due or more:
                self._draw()
                self._stream.send(drawn(self._plotter.render_window), still=False)
                self._still, sent = True, loop.time()
            elif self._still and loop.time() - sent > _CALM:
                self._still = False
                self._stream.send(drawn(self._plotter.render_window), still=True)
            rest = max(_TICK, loop.time() - began - _QUICK)

    def _draw(self) -> None:
        """Draw what is shown and tell the pages and who watches."""
        shown, self._due = self._playback.shown, False
        if self._stage.view is not (view := self._playback.view):
            self._stage.clear()
            self._stage = self._new_stage()
            self._server.state.fields = list(view.fields)
            self._server.state.looked = look_controls.offered(view)
        if shown != self._shown:
            self._stage.field = shown.field
            self._stage.dress(shown.looks)
            self._stage.inspector.picked = shown.picked
            self._stage.inspector.charted = shown.chart
            self._stage.show(shown.frame)
            if self._watch is not None:
                self._watch(shown)
            self._shown = shown
        with self._server.state:
            self._tell()
        self._plotter.render_window.Render()

    # serving

    async def run(
        self, host: str, port: int, open_browser: bool, ready: Callable[[str], None] | None
    ) -> None:
        """Serve until it is ended."""
        asyncio.get_running_loop().set_exception_handler(connection.untold)
        key = secrets.token_urlsafe(12)
        self._server.controller.on_server_bind.add(
            lambda bound: bound.app.middlewares.append(connection.locked(key))
        )
        with connection.arguments():
            start = self._server.start(
                host=host,
                port=port,
                timeout=0,
                thread=True,
                open_browser=False,
                show_connection_info=False,
                disable_logging=True,
                exec_mode="coroutine",
            )
        serving = asyncio.ensure_future(start)
        try:
            await asyncio.wait(
                [serving, asyncio.ensure_future(self._server.ready)],
                return_when=asyncio.FIRST_COMPLETED,
            )
            if serving.done():
                connection.refuse(serving, host, port)
            url = f"http://{connection.reached(host)}:{self._server.port}/?key={key}"
            if ready is not None:
                ready(url)
            if open_browser:
                connection.open_page(url)
            await self._until_ended()
        finally:
            self._stream.close()
            if not serving.done():
                await self._server.stop()
                await serving

    async def _until_ended(self) -> None:
        """Play until a page or SIGTERM ends it; raises what fails."""
        loop = asyncio.get_running_loop()
        with contextlib.suppress(NotImplementedError, ValueError, RuntimeError):
            loop.add_signal_handler(signal.SIGTERM, self._ended.set)
        tasks = [loop.create_task(self._play()), loop.create_task(self._ended.wait())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
