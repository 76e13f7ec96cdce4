# SPDX-License-Identifier: Apache-2.0
"""The interactive window: what any has, and the one in which a run is played and picked from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Unpack

import numpy as np

from . import keys
from .display import require_window
from .drawing.flat import INK, PALE, draw, drawing, text
from .drawing.strip import TimeStrip
from .files.numbered import new_file
from .held_window import HeldWindow
from .picked.clicks import Clicks
from .picked.history import write_new
from .playback import Playback, Player, Shown
from .presentation import Presentation, Presented
from .stage import Stage, plotter_for, quickly_drawn

_TICK = 16
_TURN = 0.4
_READING = 0.012
_KEY_INK = (0.17, 0.44, 0.70)


def play(
    trajectories: Any,
    presentation: Presentation | None = None,
    *,
    paused: bool = False,
    frame: int = 0,
    watch: Callable[[Shown], None] | None = None,
    **presented: Unpack[Presented],
) -> None:
    """Open a window and play a run; returns when it is closed. Press h for the keys.

    Args:
        trajectories: one trajectory or path, or several to be seen side by side with one camera.
        presentation: how they are shown at first.
        paused: wait for the space key.
        frame: place on the timeline to start from.
        watch: called with what is shown whenever that has changed and is drawn.
        **presented: fields of the presentation, such as ``field="speed"``.

    Raises:
        DisplayError: where no window can be opened.
        ValueError: for a field, frame or number that there is not.
    """
    asked = Presentation.of(presentation, **presented)
    playback = asked.playback(trajectories, frame, playing=not paused)
    require_window()
    PlayWindow(playback, asked.size, watch).run()


class Window(ABC):
    """A window on a view: its keys, its help, its camera, and when it draws.

    Keys and mouse change what is to be shown; the timer draws it, once all that came in since
    it drew last has been answered. So a slow picture delays what is done by one picture at most.

    Args:
        playback: what is to be seen, and when.
        size: width and height [pixels].
        watch: called with what is shown whenever that has changed and is drawn.
        finish: called where the display is lost, with which the process ends.
    """

    def __init__(
        self,
        playback: Player,
        size: tuple[int, int],
        watch: Callable[[Shown], None] | None = None,
        finish: Callable[[], None] | None = None,
    ) -> None:
        view = playback.view
        self._playback, self._watch, self._finish = playback, watch, finish
        self._keys = keys.listed(playback.place)
        self._plotter = plotter_for(view, size, off_screen=False)
        self._window = self._plotter.render_window
        self._stage = self._new_stage()
        self._preset = view.facing
        self._turning: tuple[int, int] | None = None
        self._due = True
        self._drawn: Shown | None = None
        self._told: Shown | None = None
        self._failure: Exception | None = None
        self._held: HeldWindow | None = None
        self._hang_up()

    def _hang_up(self) -> None:
        """Put up the list of keys and the hint."""
        self._help = self._list_keys()
        self._hint = text(self._plotter.renderers[0], 1, 12, PALE)
        self._say(";  ".join(filter(None, ("h lists the keys", self._stage.remark))))

    @abstractmethod
    def _new_stage(self) -> Stage:
        """A stage for the view that is played, in the plotter."""

    def run(self) -> None:
        """Show it until it is closed."""
        self._listen()
        interactor = self._plotter.iren.interactor
        interactor.Initialize()
        title = ", ".join(source.title for source in self._playback.view.sources if source.title)
        self._window.SetWindowName(f"rheograd: {title}" if title else "rheograd")
        self._fit()
        self._playback.change()  # time runs from here
        self._draw()
        interactor.CreateRepeatingTimer(_TICK)
        with HeldWindow(self._window, self._finish) as self._held:
            interactor.Start()
            self._plotter.close()
        if self._failure is not None:
            raise self._failure

    def _listen(self) -> None:
        """Take keys, mouse and timer from VTK."""
        from vtkmodules.vtkInteractionStyle import vtkInteractorStyleTrackballCamera

        wrapped = self._plotter.iren
        wrapped.clear_key_event_callbacks()
        wrapped.untrack_click_position("left")  # a double click would bring PyVista's style back
        interactor = wrapped.interactor
        style: Any = vtkInteractorStyleTrackballCamera()
        interactor.SetInteractorStyle(style)
        style.AddObserver("CharEvent", lambda *_: None)
        for event, handler in (
            ("LeftButtonPressEvent", self._on_press),
            ("MouseMoveEvent", self._on_move),
            ("LeftButtonReleaseEvent", self._on_release),
        ):
            style.AddObserver(event, self._guarded(handler))
        interactor.AddObserver("KeyPressEvent", self._guarded(self._on_key))
        interactor.AddObserver("TimerEvent", self._guarded(self._on_timer))
        interactor.EnableRenderOff()  # what VTK would draw at once, such as a zoom, only asks
        interactor.AddObserver("RenderEvent", self._guarded(self._ask))

    def _guarded(self, handler: Callable[[Any], None]) -> Callable[..., None]:
        """A VTK observer that closes the window where `handler` fails, to raise from `run`."""

        def observe(caller: Any, _: str) -> None:
            try:
                handler(caller)
            except Exception as error:
                self._failure = error
                self._close()

        return observe

    def _lost(self) -> bool:
        """Whether X has taken the window away, upon which this ends like one that is closed."""
        if self._held is None or not self._held.gone():
            return False
        self._close()
        return True

    def _close(self) -> None:
        self._plotter.iren.interactor.TerminateApp()

    def _ask(self, _: Any = None) -> None:
        """Have the picture drawn anew."""
        self._due = True

    def _draw(self) -> None:
        """Draw what is shown and tell who watches."""
        shown, self._due = self._playback.shown, False
        if shown != self._drawn:
            self._drawn = shown
            strip, pace = self._stage.strip, self._playback.pace
            strip.playing = shown.playing
            strip.note = f",  {pace}" if pace else ""
            self._stage.field = shown.field
            self._dress(shown)
            self._place_keys()
            self._stage.show(shown.frame)
            for actor in self._help:
                actor.SetVisibility(shown.help)
            self._hint.SetVisibility(not shown.help)
        self._window.Render()
        if self._watch is not None and shown != self._told:
            self._told = shown
            self._watch(shown)

    def _dress(self, shown: Shown) -> None:  # noqa: B027 (a live run has no looks)
        """Have the stage draw bodies, and what is picked, as they are asked for."""

    def _on_timer(self, _: Any) -> None:
        """Draw what has changed since the last time, unless the window is gone."""
        if not self._lost():
            self._fit()
            self._go_on()

    @abstractmethod
    def _go_on(self) -> None:
        """Let time go on, and draw what has changed."""

    @property
    def acts(self) -> Mapping[str, Callable[[], None]]:
        """The actions that are for the window, by name."""
        return {
            "next side": lambda: self._look(self._preset + 1),
            "reset camera": lambda: self._look(self._playback.view.facing),
            "save picture": lambda: self._say(f"saved {self._save()}"),
            "save shape": lambda: self._say(self._export(numbers=False)),
            "save data": lambda: self._say(self._export(numbers=True)),
            "leave": self._close,
            "close": self._close,
        }

    def _on_key(self, interactor: Any) -> None:
        """Do what a key stands for."""
        shift = bool(interactor.GetShiftKey())
        action = keys.action(self._playback.place, interactor.GetKeySym(), shift)
        if action:
            self._act(action)

    def _act(self, action: str) -> None:
        """Do what an action is called."""
        if self._playback.act(action):
            self._ask()
        else:
            self.acts[action]()

    def _look(self, preset: int) -> None:
        """Look from one of the sides."""
        self._preset = preset
        self._stage.look(preset)
        self._ask()

    @abstractmethod
    def _on_press(self, style: Any) -> None:
        """Answer the left button."""

    def _on_move(self, style: Any) -> None:
        if self._turning is not None:
            x, y = self._plotter.iren.interactor.GetEventPosition()
            self._stage.turn(_TURN * (self._turning[0] - x), _TURN * (self._turning[1] - y))
            self._turning = (x, y)
            self._ask()
        else:
            style.OnMouseMove()

    def _on_release(self, style: Any) -> None:
        if self._turning is not None:
            self._turning = None
        else:
            style.OnLeftButtonUp()

    def _fit(self) -> None:
        """Lay the picture out anew where the window has another size than before."""
        size = tuple(self._window.GetSize())
        if self._stage.size == size:
            return
        self._stage.lay_out()
        self._place_keys()
        self._drawn = None
        self._ask()

    def _say(self, words: str) -> None:
        """Write a line below the title."""
        self._hint.SetInput(words)
        self._place_keys()
        self._ask()

    def _list_keys(self) -> list[Any]:
        """The keys and what they do, over the first panel; hidden at first."""
        renderer = self._plotter.renderers[0]
        board = drawing(renderer)
        columns = [text(renderer, 1, 14, colour) for colour in (_KEY_INK, INK)]
        for actor, words in zip(columns, zip(*self._keys, strict=True), strict=True):
            actor.SetInput("\n".join(words))
            actor.GetTextProperty().SetLineSpacing(1.35)
        self._board = board
        return [board.actor, *columns]

    def _place_keys(self) -> None:
        """Put the list of keys and the hint at the upper left."""
        top = self._stage.top - 58
        self._hint.SetPosition(24, 8 if self._stage.view.bare else top)
        part = min(1.0, (top - 8) / (18 * len(self._keys) + 30))  # smaller where they do not fit
        high, wide = part * (18 * len(self._keys) + 30), 470
        low = top - high
        for column in self._help[1:]:
            column.GetTextProperty().SetFontSize(int(14 * part))
        corners = np.array([(24, low), (24 + wide, low), (24 + wide, top), (24, top)], float)
        draw(self._board, [(corners, (255, 255, 255))])
        for actor, x in zip(self._help[1:], (44, 172), strict=True):
            actor.SetPosition(x, low + 16 * part)

    def _export(self, *, numbers: bool) -> str:
        """Write the frame shown for other programs, to new files in the working folder; in words.

        What is too large is told instead.
        """
        from .files.export import export_frame

        shown = self._playback.shown
        view = self._playback.view
        try:
            names = export_frame(view, shown.frame, shown.field, "rheograd", numbers=numbers)
        except ValueError as error:
            return f"not saved: {error}"
        return f"saved {', '.join(names)}"

    def _save(self) -> str:
        """Write what is shown to a new file in the working folder; its name."""
        from vtkmodules.vtkIOImage import vtkPNGWriter
        from vtkmodules.vtkRenderingCore import vtkWindowToImageFilter

        self._draw()
        path = str(new_file("rheograd", ".png"))
        grab, writer = vtkWindowToImageFilter(), vtkPNGWriter()
        grab.SetInput(self._window)
        grab.ReadFrontBufferOff()
        writer.SetInputConnection(grab.GetOutputPort())
        writer.SetFileName(path)
        writer.Write()
        return path


class PlayWindow(Window):
    """A window on a view that is played: time is scrubbed, and what is clicked on is picked.

    Args:
        playback: what is to be seen, and when.
        size: width and height [pixels].
        watch: called with what is shown whenever that has changed and is drawn.
        finish: called where the display is lost, with which the process ends.
    """

    _playback: Playback

    def _new_stage(self) -> Stage:
        """See `Window._new_stage`; what answers keys and clicks knows of it."""
        view = self._playback.view
        self._strip = TimeStrip(self._plotter.renderers[len(view.sources)], view, 1)
        stage = Stage(self._plotter, view, most=quickly_drawn(view), strip=self._strip)
        self._playback.toward = stage.toward
        self._clicks = Clicks(self._playback, stage)
        return stage

    def _change(self, **values: Any) -> None:
        """Change what is shown; time runs on from here."""
        self._playback.change(**values)
        self._ask()

    def _draw(self) -> None:
        """See `Window._draw`; another view than before comes in the same window."""
        if self._stage.view is not self._playback.view:
            self._stage.clear()
            self._stage = self._new_stage()
            self._hang_up()
        super()._draw()

    def _dress(self, shown: Shown) -> None:
        """See `Window._dress`."""
        self._stage.dress(shown.looks)
        inspector = self._stage.inspector
        inspector.picked, inspector.charted = shown.picked, shown.chart
        inspector.covered = shown.help

    def _go_on(self) -> None:
        """See `Window._go_on`; what is charted is read meanwhile."""
        more = self._stage.inspector.read(_READING)
        if self._playback.advance() or self._due or more:
            self._draw()

    @property
    def acts(self) -> Mapping[str, Callable[[], None]]:
        """See `Window.acts`."""
        return {**super().acts, "save values": lambda: self._say(self._save_values())}

    def _act(self, action: str) -> None:
        """See `Window._act`."""
        super()._act(action)
        if action == "loop":
            self._say("plays in a loop" if self._playback.shown.loop else "plays once")

    def _on_press(self, style: Any) -> None:
        """Take hold of the timeline, press its button, or turn the view."""
        interactor = self._plotter.iren.interactor
        x, y = interactor.GetEventPosition()
        frame = self._strip.frame_at(x, y)
        if self._clicks.press(x, y):
            self._ask()
        elif frame is not None:
            self._playback.held = True
            self._change(frame=frame)
        elif self._strip.on_button(x, y):
            self._playback.toggle()
            self._ask()
        elif interactor.GetShiftKey() or interactor.GetControlKey():
            style.OnLeftButtonDown()
        elif not self._strip.covers(y):
            self._turning = (x, y)

    def _on_move(self, style: Any) -> None:
        x, _ = self._plotter.iren.interactor.GetEventPosition()
        if self._clicks.move(x):
            self._ask()
        elif self._playback.held:
            frame = self._strip.frame_near(x)
            if frame != self._playback.shown.frame:
                self._change(frame=frame)
        else:
            super()._on_move(style)

    def _on_release(self, style: Any) -> None:
        interactor = self._plotter.iren.interactor
        x, y = interactor.GetEventPosition()
        before = self._playback.shown
        self._clicks.release(x, y, bool(interactor.GetShiftKey()))
        if self._playback.shown is not before and self._playback.shown.remark:
            self._say(self._playback.shown.remark)
        self._ask()
        if self._playback.held:
            self._playback.held = False
            self._change()
        else:
            super()._on_release(style)

    def _save_values(self) -> str:
        """Write what is charted to a new file in the working folder; its name, in words."""
        if not self._playback.shown.picked:
            return "nothing is picked: click on a particle, node or element first"
        self._draw()
        return f"saved {write_new('rheograd', self._stage.inspector.table())}"
