# SPDX-License-Identifier: Apache-2.0
"""The interactive window: play, pause, scrub and colour by field."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .display import require_window
from .drawing.flat import INK, PALE, draw, drawing, text
from .files.numbered import new_file
from .held_window import HeldWindow
from .looks import Looks
from .picked.clicks import Clicks
from .picked.history import write_new
from .picked.picking import PICK_KEYS, picks_of
from .playback import KEYS, Playback, Shown
from .stage import Stage, plotter_for, quickly_drawn
from .view import describe

_TICK = 16
_TURN = 0.4
_READING = 0.012
_KEY_INK = (0.17, 0.44, 0.70)
_KEYS = (
    *KEYS,
    *PICK_KEYS,
    ("shift-x", "save the values of the chart in this folder"),
    ("x", "save a picture in this folder"),
    ("w, shift-w", "save the shape as .glb, or its data for VTK"),
    ("h", "show or hide this help"),
    ("escape, q", "pick nothing, then close; q closes at once"),
    ("mouse", "drag turns, shift-drag moves, wheel zooms"),
)


def play(
    trajectories: Any,
    *,
    field: str | None = None,
    titles: Sequence[str] | None = None,
    limits: tuple[float, float] | None = None,
    up: str | None = None,
    paused: bool = False,
    frame: int = 0,
    size: tuple[int, int] = (1280, 720),
    looks: Looks | None = None,
    picked: Sequence[int] = (),
    watch: Callable[[Shown], None] | None = None,
) -> None:
    """Open a window and play a run; returns when it is closed. Press h for the keys.

    Args:
        trajectories: one trajectory or path, or several to be seen side by side with one camera.
        field: what to colour by at first, by default the speed.
        titles: names shown above the panels.
        limits: range of that field in SI units.
        up: axis that points up, for example ``"z"`` or ``"-x"``.
        paused: wait for the space key.
        frame: place on the timeline to start from.
        size: width and height [pixels].
        looks: how bodies are drawn at first.
        picked: numbers of particles, or of nodes or elements, that are picked at first.
        watch: called with what is shown whenever that has changed and is drawn.

    Raises:
        DisplayError: where no window can be opened.
        ValueError: for a field, frame or number that there is not.
    """
    view = describe(trajectories, field=field, titles=titles, limits=limits, up=up)
    playback = Playback(view, frame, not paused, looks)
    playback.change(moved=False, picked=picks_of(view, picked))
    require_window()
    Window(playback, size, watch).run()


class Window:
    """A window on a view that is played.

    Keys and mouse change what is to be shown; the timer draws it, once all that came in since
    it drew last has been answered. So a slow picture delays what is done by one picture at most.

    Args:
        playback: what is to be seen, and when.
        size: width and height [pixels].
        watch: called with what is shown whenever that has changed and is drawn.
    """

    keys: tuple[tuple[str, str], ...] = _KEYS
    """Keys and what they do, as the help lists them."""
    finish: Callable[[], None] | None = None
    """Called where the display is lost, with which the process ends."""

    def __init__(
        self,
        playback: Playback,
        size: tuple[int, int],
        watch: Callable[[Shown], None] | None = None,
    ) -> None:
        view = playback.view
        self._playback, self._watch = playback, watch
        self._plotter = plotter_for(view, size, off_screen=False)
        self._window = self._plotter.render_window
        self._stage = Stage(self._plotter, view, most=quickly_drawn(view))
        self._take_over()
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

    def _restage(self) -> None:
        """Show another view than before in the same window."""
        view = self._playback.view
        self._stage.clear()
        self._stage = Stage(self._plotter, view, most=quickly_drawn(view))
        self._take_over()
        self._hang_up()

    def _take_over(self) -> None:
        """Have what answers keys and clicks know of the stage."""
        self._playback.toward = self._stage.toward
        self._clicks = Clicks(self._playback, self._stage)

    def run(self) -> None:
        """Show it until it is closed."""
        self._listen()
        interactor = self._plotter.iren.interactor
        interactor.Initialize()
        title = ", ".join(source.title for source in self._playback.view.sources if source.title)
        self._window.SetWindowName(f"rheograd: {title}" if title else "rheograd")
        self._fit()
        self._change()
        self._draw()
        interactor.CreateRepeatingTimer(_TICK)
        with HeldWindow(self._window, self.finish) as self._held:
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

    def _change(self, *, moved: bool = True, **values: Any) -> None:
        """Change what is shown; with `moved`, time runs on from here."""
        self._playback.change(moved=moved, **values)
        self._ask()

    def _draw(self) -> None:
        """Draw what is shown and tell who watches."""
        shown, self._due = self._playback.shown, False
        if self._stage.view is not self._playback.view:
            self._restage()
        if shown != self._drawn:
            self._drawn = shown
            strip, pace = self._stage.strip, self._playback.pace
            strip.playing = shown.playing
            strip.note = f",  {pace}" if pace else ""
            self._stage.field = shown.field
            self._stage.dress(shown.looks)
            self._place_keys()
            inspector = self._stage.inspector
            inspector.picked, inspector.charted = shown.picked, shown.chart
            inspector.covered = shown.help
            self._stage.show(shown.frame)
            for actor in self._help:
                actor.SetVisibility(shown.help)
            self._hint.SetVisibility(not shown.help)
        self._window.Render()
        if self._watch is not None and shown != self._told:
            self._told = shown
            self._watch(shown)

    def _on_timer(self, _: Any) -> None:
        """Draw what has changed since the last time, and the frame that is due."""
        if self._lost():
            return
        self._fit()
        more = self._stage.inspector.read(_READING)
        if self._playback.advance() or self._due or more:
            self._draw()

    def _on_key(self, interactor: Any) -> None:
        """Do what a key stands for."""
        key = interactor.GetKeySym()
        if self._playback.press(key, bool(interactor.GetShiftKey())):
            if key == "l":
                self._say("plays in a loop" if self._playback.shown.loop else "plays once")
            self._ask()
        elif key in ("v", "r"):
            self._preset = self._preset + 1 if key == "v" else self._playback.view.facing
            self._stage.look(self._preset)
            self._ask()
        elif key == "x":
            self._say(f"saved {self._save()}")
        elif key == "X":
            self._say(self._save_values())
        elif key in ("w", "W"):
            self._say(self._export(numbers=key == "W" or bool(interactor.GetShiftKey())))
        elif key in ("Escape", "q"):
            self._close()

    def _on_press(self, style: Any) -> None:
        """Take hold of the timeline, press its button, or turn the view."""
        interactor = self._plotter.iren.interactor
        x, y = interactor.GetEventPosition()
        strip = self._stage.strip
        frame = strip.frame_at(x, y)
        if self._clicks.press(x, y):
            self._ask()
        elif frame is not None:
            self._playback.held = True
            self._change(frame=frame)
        elif strip.on_button(x, y):
            self._playback.toggle()
            self._ask()
        elif interactor.GetShiftKey() or interactor.GetControlKey():
            style.OnLeftButtonDown()
        elif not strip.covers(y):
            self._turning = (x, y)

    def _on_move(self, style: Any) -> None:
        if self._clicks.move(self._plotter.iren.interactor.GetEventPosition()[0]):
            self._ask()
        elif self._playback.held:
            x, _ = self._plotter.iren.interactor.GetEventPosition()
            frame = self._stage.strip.frame_near(x)
            if frame != self._playback.shown.frame:
                self._change(frame=frame)
        elif self._turning is not None:
            x, y = self._plotter.iren.interactor.GetEventPosition()
            self._stage.turn(_TURN * (self._turning[0] - x), _TURN * (self._turning[1] - y))
            self._turning = (x, y)
            self._ask()
        else:
            style.OnMouseMove()

    def _on_release(self, style: Any) -> None:
        interactor = self._plotter.iren.interactor
        x, y = interactor.GetEventPosition()
        self._clicks.release(x, y, bool(interactor.GetShiftKey()))
        if self._playback.shown.remark:
            self._say(self._playback.shown.remark)
        self._ask()
        if self._playback.held:
            self._playback.held = False
            self._change()
        elif self._turning is not None:
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
        for actor, words in zip(columns, zip(*self.keys, strict=True), strict=True):
            actor.SetInput("\n".join(words))
            actor.GetTextProperty().SetLineSpacing(1.35)
        self._board = board
        return [board.actor, *columns]

    def _place_keys(self) -> None:
        """Put the list of keys and the hint at the upper left."""
        top = self._stage.top - 58
        self._hint.SetPosition(24, 8 if self._stage.view.bare else top)
        part = min(1.0, (top - 8) / (18 * len(self.keys) + 30))  # smaller where they do not fit
        high, wide = part * (18 * len(self.keys) + 30), 470
        low = top - high
        for column in self._help[1:]:
            column.GetTextProperty().SetFontSize(int(14 * part))
        corners = np.array([(24, low), (24 + wide, low), (24 + wide, top), (24, top)], float)
        draw(self._board, [(corners, (255, 255, 255))])
        for actor, x in zip(self._help[1:], (44, 172), strict=True):
            actor.SetPosition(x, low + 16 * part)

    def _save_values(self) -> str:
        """Write what is charted to a new file in the working folder; its name, in words."""
        if not self._playback.shown.picked:
            return "nothing is picked: click on a particle, node or element first"
        self._draw()
        return f"saved {write_new('rheograd', self._stage.inspector.table())}"

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
