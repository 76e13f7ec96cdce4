# SPDX-License-Identifier: Apache-2.0
"""The window that drives a running simulation: sliders, a hand that pulls, pause, reset."""

from __future__ import annotations

import textwrap
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from rheograd.engine.live import LiveRecorder, LiveRun, size_in_words

from .. import keys
from ..display import require_window
from ..drawing.flat import draw, drawing, text
from ..drawing.strip import Strip
from ..looks import settled
from ..playback import Player, Shown
from ..ranges import RollingRanges
from ..stage import Stage, quickly_drawn
from ..view import View
from ..window import Window
from .hand import Hand
from .present import NOW, put_colliders, view_of
from .sliders import Sliders
from .strip import LiveStrip

_PICTURE = 1 / 30
_MOST = 0.05
_AHEAD = 0.1
_MEASURED = 1.0
_TWICE, _NEAR = 0.4, 5.0
_WARNING = (0.70, 0.16, 0.12)
_NARROWEST = 2.2


@dataclass(frozen=True, kw_only=True)
class LiveShown(Shown):
    """What is shown of a live run; `speed` is how fast it may be at most, by real time."""

    time: float
    """Of the run [s]."""
    step: int
    """Steps taken."""
    values: dict[str, float]
    """Of all that can be changed, by name, in SI units."""
    held: str
    """The slider or body that is held, by name."""
    sliders: bool
    """Whether they are shown."""
    failure: str
    """Why the run cannot go on; empty while it can."""


class LivePlayback(Player):
    """What is shown of a live run; time runs as fast as it can, and no faster than asked for.

    Args:
        view: of the run.
        run: that is shown.
        playing: whether it goes on at first.
    """

    place = keys.LIVE
    shown: LiveShown

    def __init__(self, view: View, run: LiveRun, playing: bool) -> None:
        super().__init__(view, LiveShown(
            NOW, playing, view.field, 1.0, False, False, settled(None, view), frames=2,
            time=0.0, step=0, values=dict(run.values), held="", sliders=True, failure="",
        ))  # fmt: skip
        self.run = run
        self.budget = _PICTURE / 2
        """Time that the run may take for a picture [s]."""
        self._clock = time.perf_counter()
        self._credit = 0.0
        self._past: deque[tuple[float, float]] = deque()

    @property
    def pace(self) -> str:
        """Seconds of the run that pass in one of the clock, in words; empty while none is known."""
        if len(self._past) < 2 or not self.shown.playing:
            return ""
        (first, begun), (last, ended) = self._past[0], self._past[-1]
        return f"{(ended - begun) / max(last - first, 1e-9):.2g}x"

    def told(self, **values: Any) -> None:
        """Show the run as it is now."""
        run = self.run
        self.change(
            time=run.time, step=run.state.step, values=dict(run.values), failure=run.failure,
            **values,
        )  # fmt: skip

    def advance(self) -> bool:
        """Let the run go on for a picture; whether it did."""
        now = time.perf_counter()
        elapsed, self._clock = now - self._clock, now
        shown, run = self.shown, self.run
        if not shown.playing or run.failure:
            self._past.clear()
            return False
        most = max(_AHEAD * shown.speed, run.dt)
        self._credit = min(self._credit + elapsed * shown.speed, most)
        gone = run.advance(self.budget, self._credit)
        if not gone and not run.failure:
            return False
        self._credit -= gone
        self._past.append((now, run.time))
        while now - self._past[0][0] > _MEASURED:
            self._past.popleft()
        self.told(playing=not run.failure)
        return True

    def toggle(self) -> None:
        """Go on or pause."""
        if not self.run.failure:
            self.told(playing=not self.shown.playing)

    def restart(self, *, knobs: bool) -> None:
        """Go back to the start, with `knobs` in all that can be changed; what failed goes on."""
        failed = bool(self.run.failure)
        self.run.reset(knobs=knobs)
        self._past.clear()
        self.told(held="", **({"playing": True} if failed else {}))

    def frame(self) -> None:
        """Go on by one frame, and pause."""
        self.run.frame()
        self.told(playing=False)

    @property
    def acts(self) -> Mapping[str, Callable[[], None]]:
        """See `Player.acts`."""
        return {
            **super().acts,
            "frame": self.frame,
            "restart": lambda: self.restart(knobs=False),
            "restart with sliders": lambda: self.restart(knobs=True),
            "sliders": lambda: self.told(sliders=not self.shown.sliders),
        }


class LiveWindow(Window):
    """A window on a run that goes on, with its sliders at the right.

    Args:
        playback: what is shown.
        size: width and height [pixels].
        watch: called with what is shown whenever that has changed and is drawn.
        finish: called where the display is lost, with which the process ends.
    """

    _playback: LivePlayback

    def __init__(
        self,
        playback: LivePlayback,
        size: tuple[int, int],
        watch: Callable[[Shown], None] | None = None,
        finish: Callable[[], None] | None = None,
    ) -> None:
        self._live = playback.run
        self._ranges = RollingRanges(playback.view)
        super().__init__(playback, size, watch, finish)
        self._hand = Hand(self._plotter.renderers[0], self._live, playback.view)
        self._sliders = self._column()
        self._behind = drawing(self._plotter.renderers[0])
        self._alarm = text(self._plotter.renderers[0], 1, 14, _WARNING)
        self._knob: Any = None
        self._stopped: KeyboardInterrupt | None = None
        self._clicked = ("", 0.0, 0.0)
        self._docked: object = None
        self._cost = 0.0
        self._say("h lists the keys;  drag a body to pull it")

    def _new_stage(self) -> Stage:
        """See `Window._new_stage`."""
        view = self._playback.view
        self._bottom = LiveStrip(self._plotter.renderers[len(view.sources)], view, 1)
        return Stage(self._plotter, view, most=quickly_drawn(view), strip=self._bottom)

    def _column(self) -> Sliders:
        """The sliders in a panel of their own."""
        from vtkmodules.vtkRenderingCore import vtkRenderer

        renderer = vtkRenderer()
        self._window.AddRenderer(renderer)
        return Sliders(renderer, self._live.knobs)

    def run(self) -> None:
        """Show it until it is closed; Ctrl-C closes it as well, and is then raised."""
        super().run()
        if self._stopped is not None:
            raise self._stopped

    def _guarded(self, handler: Callable[[Any], None]) -> Callable[..., None]:
        """See `Window._guarded`."""

        def stoppable(caller: Any) -> None:
            try:
                handler(caller)
            except KeyboardInterrupt as stop:
                self._stopped = stop
                self._close()

        return super()._guarded(stoppable)

    def _listen(self) -> None:
        """See `Window._listen`; the right button and the wheel as well."""
        super()._listen()
        style = self._plotter.iren.interactor.GetInteractorStyle()
        for event, handler in (
            ("RightButtonPressEvent", self._on_turn),
            ("RightButtonReleaseEvent", self._on_release),
            ("MouseWheelForwardEvent", lambda style: self._on_wheel(style, -1)),
            ("MouseWheelBackwardEvent", lambda style: self._on_wheel(style, 1)),
        ):
            style.AddObserver(event, self._guarded(handler))

    def _go_on(self) -> None:
        """See `Window._go_on`; the run takes what time there is."""
        playback = self._playback
        playback.budget = max(_PICTURE - self._cost, min(self._cost, _MOST))
        if playback.advance() or self._due:
            begun = time.perf_counter()
            self._draw()
            self._cost = 0.7 * self._cost + 0.3 * (time.perf_counter() - begun)

    def _draw(self) -> None:
        """See `Window._draw`."""
        shown = self._playback.shown
        self._fit()
        self._bottom.time, self._bottom.status = shown.time, self._status(shown)
        if shown != self._drawn:
            self._ranges.follow(shown.field)
            put_colliders(self._playback.view, self._live)
            self._sliders.show(shown.values, shown.held)
            self._warn(shown.failure)
        self._hand.show()
        super()._draw()

    def _status(self, shown: LiveShown) -> str:
        """What goes on, below the time."""
        if shown.failure:
            return "stopped"
        if not shown.playing:
            return "paused"
        pace = self._playback.pace
        sink = self._live.sink
        told = f", {size_in_words(sink.written)}" if isinstance(sink, LiveRecorder) else ""
        return (f"{pace} real time" if pace else "running") + told

    def _say(self, words: str) -> None:
        """See `Window._say`."""
        self._words = words
        super()._say(words)

    def _warn(self, failure: str) -> None:
        """Say why the run stopped."""
        self._hint.SetInput("" if failure else self._words)
        self._alarm.SetVisibility(bool(failure))
        self._behind.actor.SetVisibility(bool(failure))
        if not failure:
            return
        width, _ = self._scene
        lines = textwrap.wrap(f"The run stopped {failure}.", max(int((width - 80) / 7.2), 24))
        self._alarm.SetInput(
            "\n".join([*lines, "home goes back to the start, shift-home with sliders"])
        )
        self._alarm.GetTextProperty().SetLineSpacing(1.25)
        size = [0.0, 0.0]
        self._alarm.GetSize(self._plotter.renderers[0], size)
        low = self._stage.top - 64 - size[1]
        self._alarm.SetPosition(40, low)
        a, b, right, top = 24, low - 14, 56 + size[0], low + size[1] + 14
        corners = np.array([(a, b), (right, b), (right, top), (a, top)], float)
        draw(self._behind, [(corners, (253, 240, 238))])

    @property
    def _beside(self) -> float:
        """Width of the sliders by that of the window; 0 where they are hidden or do not fit."""
        width, _ = self._stage.size
        fits = width >= _NARROWEST * Sliders.WIDTH
        return Sliders.WIDTH / width if self._playback.shown.sliders and fits else 0.0

    @property
    def _scene(self) -> tuple[int, int]:
        """Width and height of the scene [screen pixels]."""
        return tuple(self._plotter.renderers[0].GetSize())

    def _fit(self) -> None:
        """See `Window._fit`; the sliders take their part of the width."""
        super()._fit()
        width, height = self._stage.size
        beside = self._beside
        if self._docked == (width, height, beside):
            return
        first, self._docked = self._docked is None, (width, height, beside)
        below = min(Strip.HEIGHT / height, 0.5)
        self._plotter.renderers[0].SetViewport(0.0, below, 1.0 - beside, 1.0)
        column = self._sliders.renderer
        column.SetDraw(beside > 0)
        column.SetViewport(1.0 - (beside or 0.001), below, 1.0, 1.0)
        self._sliders.lay_out(round(beside * width), round((1.0 - below) * height))
        if first:
            self._stage.look(self._preset)
        self._drawn = None
        self._ask()

    def _act(self, action: str) -> None:
        """See `Window._act`; who starts over holds nothing."""
        if action.startswith("restart"):
            self._let_go()
            self._ranges.forget()
        super()._act(action)

    def _in_column(self, x: int, y: int) -> tuple[float, float] | None:
        """The place in the column of sliders, None beside it."""
        width, _ = self._stage.size
        left = width * (1.0 - self._beside)
        if not self._beside or x < left or self._bottom.covers(y):
            return None
        return x - left, y - self._bottom.height

    def _on_press(self, style: Any) -> None:
        """Take hold of a slider or a body, press the button, or turn the view."""
        interactor = self._plotter.iren.interactor
        x, y = interactor.GetEventPosition()
        place = self._in_column(x, y)
        if place is not None:
            self._take(self._sliders.at(*place), place[0])
        elif self._bottom.on_button(x, y):
            self._playback.toggle()
            self._ask()
        elif interactor.GetShiftKey():
            style.OnLeftButtonDown()
        elif not self._bottom.covers(y):
            name = self._hand.take(x, y)
            self._turning = None if name else (x, y)
            self._tell(held=name)

    def _on_turn(self, _: Any) -> None:
        """Turn the view by the right button, wherever it is pressed."""
        x, y = self._plotter.iren.interactor.GetEventPosition()
        if not self._bottom.covers(y) and self._in_column(x, y) is None:
            self._turning = (x, y)

    def _on_wheel(self, style: Any, by: int) -> None:
        """Zoom, or go on in the column of sliders."""
        place = self._in_column(*self._plotter.iren.interactor.GetEventPosition())
        if place is not None:
            self._sliders.scroll(by)
            self._drawn = None
            self._ask()
        elif by < 0:
            style.OnMouseWheelForward()
        else:
            style.OnMouseWheelBackward()

    def _take(self, knob: Any, x: float) -> None:
        """Take hold of a slider; by a double click put it back."""
        if knob is None:
            return
        now, (before, where, when) = time.perf_counter(), self._clicked
        self._clicked = (knob.name, x, now)
        if before == knob.name and abs(x - where) < _NEAR and now - when < _TWICE:
            self._clicked = ("", 0.0, 0.0)
            self._live.set(knob.name, knob.start)
            self._tell()
            return
        self._knob = knob
        self._slide(x)

    def _slide(self, x: float) -> None:
        """Set the slider that is held."""
        self._live.set(self._knob.name, self._sliders.value_at(self._knob, x))
        self._tell(held=self._knob.name)

    def _tell(self, **values: Any) -> None:
        """Show the run as it is now."""
        self._playback.told(**values)
        self._ask()

    def _on_move(self, style: Any) -> None:
        x, y = self._plotter.iren.interactor.GetEventPosition()
        if self._knob is not None:
            self._slide(x - self._stage.size[0] * (1.0 - self._beside))
        elif self._hand.holds:
            self._hand.move(x, y)
            self._ask()
        else:
            super()._on_move(style)

    def _on_release(self, style: Any) -> None:
        if self._knob is not None or self._hand.holds:
            self._let_go()
        else:
            super()._on_release(style)

    def _let_go(self) -> None:
        """Let go of what is held."""
        self._knob = None
        self._hand.let_go()
        self._tell(held="")


def drive(
    run: LiveRun,
    *,
    field: str | None = None,
    up: str | None = None,
    paused: bool = False,
    size: tuple[int, int] = (1280, 720),
    watch: Callable[[Shown], None] | None = None,
    finish: Callable[[], None] | None = None,
) -> None:
    """Open a window on a live run and let it go on; returns when it is closed. h lists the keys.

    Args:
        run: from where it is.
        field: what to colour by at first, by default the speed.
        up: axis that points up, for example ``"z"``; by default against gravity.
        paused: wait for the space key.
        size: width and height [pixels].
        watch: called with what is shown whenever that has changed and is drawn.
        finish: called where the display is lost, with which the process ends.

    Raises:
        DisplayError: where no window can be opened.
        ValueError: for a field that there is not.
    """
    require_window()
    playback = LivePlayback(view_of(run, field, up), run, not paused)
    LiveWindow(playback, size, watch, finish).run()
