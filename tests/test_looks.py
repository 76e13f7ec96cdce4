# SPDX-License-Identifier: Apache-2.0
"""How bodies are looked at: words, keys, ranges of colours, and the pictures of all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import imageio.v3
import numpy as np
import pytest
from test_mesh_viewer import block, close_to
from test_viewer import BOX, drawing, falling

from rheograd.scenes.cli import BAD_INPUT, main
from rheograd.viewer import Clip, Looks, movie, screenshot
from rheograd.viewer.drawing import bodies
from rheograd.viewer.drawing.overlay import COLOURS
from rheograd.viewer.keys import WINDOW
from rheograd.viewer.keys import action as keyed
from rheograd.viewer.looks import AROUND, SHAPES, SPANS, acted, chosen, clipped, settled
from rheograd.viewer.playback import Playback
from rheograd.viewer.ranges import Ranges
from rheograd.viewer.view import describe

__all__ = ["drawing"]
SMALL = (320, 240)
CORNER = np.array([0.85, 0.42, 1.0])


def press(keys: str, looks: Looks, view: Any, toward: np.ndarray = CORNER) -> Looks:
    """The looks after keys, separated by blanks."""
    for key in keys.split():
        action = keyed(WINDOW, key, key.isupper())
        looks = acted(action, looks, view, toward, ("speed", 0.0, 2.0))
    return looks


class TestWords:
    @pytest.mark.parametrize(
        ("text", "clip"),
        [("x=0.1", Clip(0, 0.1)), ("-z=-2e-3", Clip(2, -0.002, -1)), (" y = 4", Clip(1, 4.0))],
    )
    def test_a_clip_plane(self, text: str, clip: Clip) -> None:
        assert Clip.parse(text) == clip
        assert Clip.parse(clip.words) == clip

    @pytest.mark.parametrize("text", ["", "x", "w=1", "x=", "x=one", "x=nan", "--x=1", "x=1,2"])
    def test_none(self, text: str) -> None:
        with pytest.raises(ValueError, match="expected an axis and a place in metres such as x=0"):
            Clip.parse(text)

    def test_what_a_plane_keeps(self) -> None:
        x = np.array([[0.0, 0, 0], [1, 0, 0]])
        np.testing.assert_allclose(Clip(0, 0.25).depth(x), [0.25, -0.75])
        np.testing.assert_allclose(Clip(0, 0.25, -1).depth(x), [-0.25, 0.75])

    @pytest.mark.parametrize("bad", [{"shape": "sphere"}, {"span": "all"}, {"around": "boxes"}])
    def test_an_unknown_word_is_one_sentence(self, bad: dict[str, str]) -> None:
        with pytest.raises(ValueError, match=r"of looks: got '.*, expected one of"):
            Looks(**bad)  # type: ignore[arg-type]

    def test_meshes_are_surfaces_by_nature(self) -> None:
        assert settled(None, describe(block())).shape == "surface"
        assert settled(None, describe([block(), falling()])).shape == "spheres"
        with pytest.raises(ValueError, match="got one, expected two or more"):
            settled(Looks(overlay=True), describe(falling()))


class TestKeys:
    def test_words_go_round(self) -> None:
        view, looks = describe(falling()), settled(None, describe(falling()))
        for key, name, words in (
            ("m", "shape", SHAPES), ("b", "around", AROUND), ("g", "span", tuple(SPANS)),
        ):  # fmt: skip
            seen = [looks]
            for _ in words:
                seen.append(press(key, seen[-1], view))
            assert [getattr(one, name) for one in seen] == [*words, words[0]]
        assert press("g g", looks, view).locked == ("speed", 0.0, 2.0)
        assert press("g g g", looks, view) == looks
        assert press("a e", looks, view) == replace(looks, axes=True, edges=False)
        assert press("o", looks, view) == looks  # there is no other
        both = describe([falling(), falling()])
        assert press("o", looks, both).overlay
        assert press("m", settled(None, describe(block())), describe(block())).shape == "points"

    def test_the_plane_is_across_the_line_of_sight_and_open_to_the_eye(self) -> None:
        view, looks = describe(falling()), Looks()
        assert press("k", looks, view).clip == Clip(2, 0.5)
        assert press("k", looks, view, -CORNER).clip == Clip(2, 0.5, -1)
        assert press("k k", looks, view) == looks
        assert [press(keys, looks, view).clip for keys in ("K", "k K", "k K K")] == [
            Clip(2, 0.5), Clip(0, 0.5), Clip(1, 0.5),
        ]  # fmt: skip

    def test_the_plane_moves_and_stays_in_the_scene(self) -> None:
        view, looks = describe(falling()), Looks(clip=Clip(0, 0.5))
        assert press("bracketright", looks, view).clip == Clip(0, 0.525)
        assert press("bracketleft bracketright", looks, view).clip == Clip(0, 0.5)
        assert press("bracketright " * 40, looks, view).clip == Clip(0, 1.0)
        other = replace(looks, clip=Clip(0, 0.5, -1))
        assert press("bracketright", other, view).clip == Clip(0, 0.475, -1)

    def test_controls(self) -> None:
        view = describe([falling(), falling()])
        given = (view, CORNER, ("speed", 0.0, 2.0))
        looks = Looks(shape="spheres")
        for name, value in (("axis", "y"), ("place", 0.25), ("overlay", True), ("shape", "points")):
            looks = chosen(name, value, looks, *given)
        clip = replace(clipped(view, 1, CORNER), place=0.25)
        assert looks == Looks(shape="points", clip=clip, overlay=True)
        assert chosen("axis", "", looks, *given).clip is None
        for name, value in (("axis", "w"), ("shape", "cubes"), ("colour", "red")):
            with pytest.raises(ValueError, match="got"):
                chosen(name, value, looks, *given)

    def test_what_makes_no_sense_is_not_set(self) -> None:
        playback = Playback(describe(falling()), 0, False)
        before = playback.shown
        for name, value in (("shape", "cubes"), ("overlay", True), ("place", "far")):
            playback.choose(name, value)
        assert playback.shown == before
        playback.choose("shape", "surface")
        assert playback.shown.looks.shape == "surface"


class TestRanges:
    def test_of_the_run_a_frame_or_locked(self) -> None:
        view = describe(falling())
        ranges, run, frame = Ranges(view), Looks(), Looks(span="frame")
        assert ranges.scale("speed", 3, run).limits == view.scale("speed").limits == (0.0, 2.0)
        early, late = (ranges.scale("speed", k, frame).limits for k in (3, 10))
        # it falls with g t: 0.59 m/s at the third frame, 1.86 m/s by differences at the last
        assert 0.5 < early[1] < 0.8 < 1.8 < late[1] <= 2.0
        locked = Looks(span="locked", locked=("speed", 0.0, 0.7))
        assert ranges.scale("speed", 10, locked).limits == (0.0, 0.7)
        assert ranges.scale("displacement", 10, locked) is view.scale("displacement")

    def test_the_legend_says_which(self) -> None:
        ranges = Ranges(describe(falling(), limits=(0.0, 1.0)))
        locked = Looks(span="locked", locked=("speed", 0.0, 0.7))
        assert ranges.words("speed", Looks()) == "range given"
        assert ranges.words("displacement", Looks()) == "over the whole run"
        assert ranges.words("speed", Looks(span="frame")) == "in this frame"
        assert ranges.words("speed", locked) == "range locked"
        assert ranges.words("displacement", locked) == "over the whole run"

    def test_a_key_locks_what_is_shown(self) -> None:
        playback = Playback(describe(falling()), 3, False)
        for _ in range(2):
            assert playback.press("g", False)
        name, low, high = playback.shown.looks.locked or ("", 0.0, 0.0)
        assert (name, low) == ("speed", 0.0) and 0.5 < high < 0.8


def seen(run: Any, looks: Looks, frame: int = 0, **how: Any) -> np.ndarray:
    """A small picture above the strip, as whole numbers."""
    return screenshot(run, frame=frame, looks=looks, size=SMALL, **how)[:-84].astype(int)


def coloured(picture: np.ndarray) -> int:
    """Pixels on bodies: the surroundings are grey, or nearly, or the pink of a clip plane."""
    red, green, blue = np.moveaxis(picture.astype(int), -1, 0)
    pink = (red > blue + 15) & (blue > green + 15)
    return int(((np.ptp(picture, axis=-1) > 60) & ~pink).sum())


@pytest.fixture(params=["spheres of OpenGL", "splats"])
def drawn_by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways to draw particles."""
    monkeypatch.setattr(bodies, "without_gpu", lambda: request.param == "splats")
    monkeypatch.setattr(bodies, "_MANY", 100)


@pytest.mark.usefixtures("drawing")
@pytest.mark.filterwarnings("ignore:clip plane:UserWarning")
class TestPictures:
    @pytest.mark.usefixtures("drawn_by")
    def test_particles_as_points_spheres_and_a_surface(self) -> None:
        run = falling(side=8)
        spheres, points, surface = (
            seen(run, Looks(shape=one), field="initial height")
            for one in ("spheres", "points", "surface")
        )
        assert coloured(points) < 0.6 * coloured(spheres)
        assert 0.75 * coloured(spheres) < coloured(surface) < 1.1 * coloured(spheres)
        rows, columns = np.nonzero(np.ptp(surface, axis=-1) > 60)
        inner = np.s_[
            int(np.percentile(rows, 40)) : int(np.percentile(rows, 60)),
            int(np.percentile(columns, 40)) : int(np.percentile(columns, 60)),
        ]
        rough = [np.abs(np.diff(one[inner].sum(-1), axis=1)).mean() for one in (spheres, surface)]
        assert rough[1] < 0.5 * rough[0]

    @pytest.mark.usefixtures("drawn_by")
    @pytest.mark.parametrize("shape", SHAPES)
    def test_particles_are_clipped_with_their_shadow(self, shape: str) -> None:
        run = falling(side=8)
        whole = seen(run, Looks(shape=shape), field="initial height")
        half = seen(run, Looks(shape=shape, clip=Clip(1, 0.5)), field="initial height")
        assert coloured(half) < 0.8 * coloured(whole)
        gone = seen(run, Looks(shape=shape, clip=Clip(0, 0.1)), field="initial height")
        assert coloured(gone) == 0
        floor = np.s_[-50:]  # lighter without a shadow
        assert gone[floor].sum() > half[floor].sum() + 1000

    def test_a_mesh_is_cut_open_and_shows_its_inside(self) -> None:
        run = block(across=4)
        looks = Looks(clip=Clip(0, 2.5), edges=False)
        pictures = [seen(run, one, field="heat") for one in (Looks(edges=False), looks)]
        third, last = describe(run).scale("heat").field.table[[int(256 * 2.5 / 3.5), -1]]
        counts = [[close_to(one, colour) for one in pictures] for colour in (third, last)]
        assert counts[0][1] > 1.5 * counts[0][0] > 100  # its cut face is as large as its side
        assert counts[1][0] > 100 and counts[1][1] == 0

    def test_edges_and_nodes_of_a_mesh(self) -> None:
        run = block(across=4)
        with_edges, without = (seen(run, Looks(edges=one), field="heat") for one in (True, False))
        assert 50 < (np.abs(with_edges - without).max(-1) > 20).sum() < 4000
        nodes = seen(run, Looks(shape="points"), field="heat")
        assert 20 < coloured(nodes) < 0.4 * coloured(without)

    def test_surroundings_and_axes(self) -> None:
        ball = '[{"kind": "sphere", "centre": [0.5, 0.15, 0.8], "radius": 0.12}]'
        run = falling(metadata={**BOX, "colliders": ball})
        shown = {one: seen(run, Looks(around=one)) for one in AROUND}
        for one, other in (("all", "box"), ("box", "none"), ("colliders", "none")):
            assert (np.abs(shown[one] - shown[other]).max(-1) > 12).sum() > 150
        cross = np.abs(seen(run, Looks(axes=True)) - shown["all"]).max(-1) > 60
        assert cross[-110:, :110].sum() > 60
        cross[-110:, :110] = False
        assert not cross.any()

    @pytest.mark.usefixtures("drawn_by")
    @pytest.mark.parametrize("shape", SHAPES)
    def test_one_run_over_another(self, shape: str) -> None:
        run = falling(side=6)
        moved = falling(side=6, x=run.x + np.array([0.25, 0.0, 0.0]))
        looks = Looks(shape=shape, overlay=True)
        both, alone = seen([run, moved], looks), seen(run, Looks(shape=shape))
        warm = both[..., 0] - both[..., 2]  # the ghost is orange; what is behind it shows through
        assert (warm > 40).sum() > 150 > 5 > (alone[..., 0] - alone[..., 2] > 40).sum()
        ghost = both[warm > 40].mean(0)
        assert 20 < np.abs(ghost - COLOURS[0]).mean() < 120
        # where both are alike, the first is what is seen
        same = seen([run, run], looks)[40:]
        assert (same[..., 0] - same[..., 2] > 40).sum() < 30

    def test_a_mesh_over_particles(self) -> None:
        run = block(across=2, frames=11)
        other = falling(side=3, metadata={})
        got = seen([other, run], Looks(overlay=True, clip=Clip(0, 1.0)))
        assert (got[..., 0] - got[..., 2] > 40).sum() > 300

    def test_a_movie_is_drawn_so(self, tmp_path: Path) -> None:
        run, file = falling(frames=3), tmp_path / "run.mp4"
        counts = []
        for clip in (None, Clip(0, 0.1)):
            looks = Looks(shape="surface", clip=clip)
            assert movie(run, file, field="initial height", size=SMALL, looks=looks) == 3
            frames = imageio.v3.imread(file, plugin="pyav")
            counts.append([coloured(one[:-84]) for one in frames])
        assert min(counts[0]) > 300 and max(counts[1]) == 0


class TestCommand:
    @pytest.mark.usefixtures("drawing")
    def test_options_reach_the_picture(self, tmp_path: Path) -> None:
        run = falling()
        np.savez(tmp_path / "run.npz", x=run.x, time=run.time)
        words = ["view", str(tmp_path / "run.npz"), "--size", "320,240", "--screenshot"]
        common = ["--colour", "initial height", "--frame", "0", "--as", "surface"]
        plain, looked = tmp_path / "plain.png", tmp_path / "looked.png"
        assert main([*words, str(plain), *common]) == 0
        options = ["--clip", "-x=0.5", "--axes", "--around", "none"]
        assert main([*words, str(looked), *common, *options]) == 0
        before, after = (imageio.v3.imread(file)[:156] for file in (plain, looked))
        assert coloured(after[:, 110:]) < 0.95 * coloured(before[:, 110:])
        assert coloured(before[-60:, :60]) == 0 < coloured(after[-60:, :60])

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["--clip", "w=1"], "got 'w=1', expected an axis and a place"),
            (["--as", "cubes"], "invalid choice: 'cubes'"),
            (["--overlay"], "--overlay: got one file, expected two or more"),
            (["--range", "frame", "--limits", "0,1"], "got --limits too, expected one of them"),
        ],
    )
    def test_bad_options(
        self, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["view", "none.npz", *words]) == BAD_INPUT
        said = capsys.readouterr().err
        assert message in said and len(said.splitlines()) == 1


def test_functions_say_what_is_wrong(drawing: None) -> None:
    cases: list[Callable[[], Any]] = [
        lambda: screenshot(falling(), looks=Looks(overlay=True)),
        lambda: Playback(describe(falling()), 0, False, Looks(overlay=True)),
    ]
    for case in cases:
        with pytest.raises(ValueError, match="expected two or more"):
            case()
