# SPDX-License-Identifier: Apache-2.0
"""Every key that is listed acts, and every one that acts is listed: window, page, live window."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from test_viewer import falling

from rheograd.viewer import keys
from rheograd.viewer.keys import LIVE, PAGE, WINDOW
from rheograd.viewer.live.window import LivePlayback, LiveWindow
from rheograd.viewer.page import layout
from rheograd.viewer.page.browser import Site
from rheograd.viewer.picked.picking import Pick
from rheograd.viewer.playback import Playback
from rheograd.viewer.view import describe
from rheograd.viewer.window import PlayWindow

PLACES = (WINDOW, PAGE, LIVE)


def played() -> Playback:
    """Two runs in the middle of which something is picked."""
    playback = Playback(describe([falling(), falling()]), 5, False)
    playback.pick(Pick(0, 1), add=False)
    return playback


class Run:
    """A live run that notes what is asked of it."""

    def __init__(self) -> None:
        self.done: list[Any] = []
        self.time, self.dt, self.failure, self.values = 0.0, 1e-3, "", {}
        self.state = SimpleNamespace(step=0, x=torch.zeros(1, 3))

    def frame(self) -> None:
        self.done.append("frame")

    def reset(self, *, knobs: bool) -> None:
        self.done.append(("reset", knobs))


def live() -> tuple[LivePlayback, Run]:
    run: Any = Run()
    return LivePlayback(describe(falling()), run, True), run


def own(kind: Any) -> Mapping[str, Any]:
    """The actions of a window or page itself, which needs no display to name them."""
    return kind.__new__(kind).acts


@pytest.mark.parametrize("place", PLACES)
def test_a_stroke_has_one_action_and_each_line_is_told_once(place: str) -> None:
    strokes = [s for key in keys.KEYS if place in key.places for s in (*key.strokes, *key.also)]
    assert len(strokes) == len(set(strokes)) == len(keys.actions(place))
    labels = [label for label, _ in keys.listed(place)]
    assert len(labels) == len(set(labels)) and all(labels)
    assert all(bool(key.gesture) != bool(key.strokes) for key in keys.KEYS)


@pytest.mark.parametrize(
    ("place", "there"),
    [
        (WINDOW, lambda: {*played().acts, *own(PlayWindow)}),
        (PAGE, lambda: {*played().acts, *own(Site), *layout.DOWNLOADS}),
        (LIVE, lambda: {*live()[0].acts, *own(LiveWindow)}),
    ],
)
def test_what_can_be_done_is_what_keys_stand_for(place: str, there: Any) -> None:
    assert set(keys.actions(place).values()) == there()


def test_what_is_not_listed_is_a_second_name_or_told_by_the_meaning() -> None:
    for key in keys.KEYS:
        for stroke, action in key.also.items():
            told = "with shift" in key.meaning and stroke.startswith("shift-")
            assert told or action in key.strokes.values()


@pytest.mark.parametrize("action", sorted(played().acts))
def test_every_action_of_a_run_that_is_played_shows(action: str) -> None:
    playback = played()
    before = playback.shown
    assert playback.act(action) and playback.shown != before


def test_every_action_of_a_live_run_shows_or_drives_it() -> None:
    for action in live()[0].acts:
        playback, run = live()
        before = playback.shown
        assert playback.act(action)
        assert playback.shown != before or run.done, action
    for stroke, shift, done in (
        ("period", False, "frame"),
        ("Home", False, ("reset", False)),
        ("Home", True, ("reset", True)),
    ):
        playback, run = live()
        assert playback.press(stroke, shift) and run.done == [done]
    assert not live()[0].press("m", False) and not live()[0].press("r", False)


@pytest.mark.parametrize(
    ("name", "shift", "action"),
    [
        ("c", False, "next field"), ("C", True, "previous field"), ("C", False, "previous field"),
        ("c", True, "previous field"), ("L", True, ""), ("l", False, "loop"),
        ("Left", True, "ten back"), ("Left", False, "back"), ("space", True, "play"),
        ("question", True, "help"), ("F1", False, "help"), ("T", True, "chart"),
        ("W", True, "save data"), ("F12", False, ""), ("Shift_L", True, ""),
    ],
)  # fmt: skip
def test_shift_makes_another_key_of_a_letter(name: str, shift: bool, action: str) -> None:
    assert keys.action(WINDOW, name, shift) == action


def test_the_page_knows_the_same_keys_and_has_a_button_for_what_it_downloads() -> None:
    script = layout.keyboard()
    told = re.search(r"names = (\{.*?\}), actions = (\{.*?\}), downloads = (\{.*?\});", script)
    assert told is not None
    names, actions, downloads = (json.loads(part) for part in told.groups())
    assert names["ArrowLeft"] == "Left" and actions == keys.actions(PAGE)
    for button in downloads.values():
        assert f'id="{button}"' in layout.CONTROLS
    done = re.findall(r"\['do', '([^']+)'\]", layout.CONTROLS)
    named = re.findall(r"stroke\['([^']+)'\]", layout.CONTROLS)
    assert len(done) >= 6 and {*done, *named} <= keys.labels(PAGE).keys()


def test_the_manual_names_keys_that_there_are() -> None:
    text = (Path(__file__).parents[1] / "docs" / "viewer.md").read_text(encoding="utf-8")
    listed = {one for place in PLACES for one in keys.labels(place).values()}
    named = {shift + key for shift, key in re.findall(r"(shift-)?(?<!`)`([^\s`])`(?!`)", text)}
    assert len(named) > 15 and named <= listed
