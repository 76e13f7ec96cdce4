# SPDX-License-Identifier: Apache-2.0
"""Strain of specimens in a picture, and what it tells without a force, on motions that are known.

The bar in tension is that of the section theory: F = A₀(X) σ(ε) exp(-ε) in each section, solved
here by itself, with an elastic return where F falls.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from scipy.optimize import brentq

from rheograd.engine.vision.seeds import grid, textured
from rheograd.engine.vision.strain import body, neck, strain
from rheograd.engine.vision.strain_picture import draw, mapped
from rheograd.engine.vision.tension import AREAS, Tension, _filled, tension
from rheograd.engine.vision.tracker import Tracker
from rheograd.engine.vision.tracks import Tracks
from rheograd.engine.vision.video import Video, VideoWriter, open_video
from rheograd.scenes import cli
from rheograd.scenes.commands.track import tell_neck

LENGTH, WIDTH, GAP = 1600.0, 200.0, 25.0
"""Of the bar, and between its points [px]."""
MIDDLE, HALF = 700.0, 130.0
"""Of the weak piece, and half its length [px]."""
N, POISSON, IMPERFECTION, YIELD = 0.15, 0.45, 0.006, 2e-3
"""Exponent, ratio, lack of area in the weak piece, σ/E at the largest force."""


def log_force(strain: float, n: float) -> float:
    """ln(F/A₀) of a power law, up to a constant."""
    return n * np.log(strain) - strain


def root(function: Callable[[float], float], low: float, high: float) -> float:
    found: Any = brentq(function, low, high)
    return float(found)


def strains_of_bar(
    last: float, n: float = N, lack: float = IMPERFECTION, frames: int = 80
) -> tuple[np.ndarray, np.ndarray]:
    """Of the weak piece and of the rest in each frame, (t,); the weak one grows evenly."""
    weak = np.linspace(0.0, last, frames)
    rest, best = np.zeros(frames), -np.inf
    for t, inner in enumerate(weak[1:], start=1):
        force = log_force(inner, n) + np.log(1 - lack)
        if force >= best:
            best, rest[t] = force, root(lambda e, f=force: log_force(e, n) - f, 1e-12, n)
            stopped = rest[t]
        else:
            rest[t] = stopped - YIELD * (1 - np.exp(force - best))
    return weak, rest


def bar(weak: np.ndarray, rest: np.ndarray, noise: float = 0.03, seed: int = 3) -> np.ndarray:
    """Tracks (t, k, 2) of a bar along y whose piece around MIDDLE has another strain."""
    x, y = np.meshgrid(np.arange(0, WIDTH + 1, GAP), np.arange(0, LENGTH + 1, GAP))
    at = np.column_stack([x.ravel(), y.ravel()])
    fine = np.arange(0.0, LENGTH + 0.5)
    inside = np.abs(fine - MIDDLE) <= HALF
    dice = np.random.default_rng(seed)
    out = []
    for inner, outer in zip(weak, rest, strict=True):
        along = np.where(inside, inner, outer)
        stretch = np.exp(along)
        place = np.concatenate([[0.0], np.cumsum(0.5 * (stretch[1:] + stretch[:-1]))])
        thin = np.exp(-POISSON * np.interp(at[:, 1], fine, along))
        out.append(
            np.column_stack([(at[:, 0] - WIDTH / 2) * thin, np.interp(at[:, 1], fine, place)])
        )
    moved = np.stack(out)
    moved[1:] += dice.normal(0.0, noise, moved[1:].shape)
    return moved


def told(pixels: np.ndarray) -> Tension:
    return tension(pixels, strain(pixels))


def test_a_power_law_is_told_by_its_neck() -> None:
    """n = ε_u and the ratio lie in their bands of 95 %, and the bands are narrow."""
    weak, rest = strains_of_bar(0.3)
    found = told(bar(weak, rest))
    assert found.onset is not None
    assert found.ratio.low <= POISSON <= found.ratio.high
    assert found.ratio.high - found.ratio.low < 0.01
    assert found.onset.neck.low <= N <= found.onset.neck.high
    assert found.onset.neck.high - found.onset.neck.low < 0.2 * N
    stopped = float(rest.max())
    assert stopped < 0.8 * N, "the imperfection counts"
    assert found.onset.outside.low - 1e-4 <= stopped <= found.onset.outside.high + 1e-4
    assert found.onset.power_law and found.onset.power.low <= N <= found.onset.power.high
    assert found.onset.imperfection == pytest.approx(-np.log(1 - IMPERFECTION), abs=0.003)
    assert found.lankford == pytest.approx(POISSON / (1 - POISSON), abs=0.02)


def test_what_comes_after_the_largest_force() -> None:
    """The neck goes on, the rest returns a little, shorter and wider."""
    weak, rest = strains_of_bar(0.5)
    found = told(bar(weak, rest, noise=0.0))
    assert found.neck_strain == pytest.approx(weak[-1], rel=0.05)
    assert found.neck_ratio == pytest.approx(POISSON, abs=0.03)
    assert found.onset is not None
    assert weak[found.onset.frame] == pytest.approx(found.onset.neck.value, abs=weak[1])
    back = rest[-1] - rest.max()
    assert found.onset.back.value == pytest.approx(back, rel=0.3) and back < 0.0
    assert found.onset.back_across.value == pytest.approx(-POISSON * back, rel=0.3)


def test_a_ratio_that_grows_with_the_strain() -> None:
    even = np.linspace(0.0, 0.1, 40)
    pixels = bar(even, even, noise=0.0)
    pixels[..., 0] *= np.exp((POISSON - (0.3 + 2.0 * even)) * even)[:, None]
    found = told(pixels).ratio_by_strain
    assert len(found) == 5 and found[-1][0] - found[0][0] > 0.05
    for strained, ratio in found:
        assert ratio.value == pytest.approx(0.3 + 2.0 * strained, abs=0.01)


def test_gaps_are_filled_in_time_but_not_at_the_end() -> None:
    values = np.arange(10.0)[:, None] * [1.0, 2.0, 3.0]
    values[3:5, 0] = values[9, 1] = values[1:5, 2] = np.nan
    found = _filled(values)
    assert found[:, 0].tolist() == list(range(10))
    assert np.isnan(found[:, 1:]).sum(0).tolist() == [1, 4]


@pytest.mark.slow
@pytest.mark.parametrize("lack", [0.002, 0.02])
def test_bands_hold_the_truth_as_often_as_they_say(lack: float) -> None:
    """Of 20 draws of noise; a band of 95 % misses more than three times in one case of 60."""
    strains = strains_of_bar(0.3, lack=lack, frames=40)
    found = [told(bar(*strains, noise=0.05, seed=seed)) for seed in range(20)]
    assert sum(f.ratio.low <= POISSON <= f.ratio.high for f in found) >= 17
    onsets = [f.onset for f in found if f.onset is not None]
    assert sum(o.neck.low <= N <= o.neck.high for o in onsets) >= 17


@pytest.mark.parametrize("n", [0.08, 0.25])
def test_the_strain_at_onset_follows_the_exponent(n: float) -> None:
    found = told(bar(*strains_of_bar(2.2 * n, n)))
    assert found.onset is not None
    assert found.onset.neck.value == pytest.approx(n, rel=0.1)


def test_the_relative_flow_curve_holds_the_law() -> None:
    """σ(neck)/σ(outside) at the same force, within the doubt about the areas."""
    found = told(bar(*strains_of_bar(0.3)))
    assert len(found.flow) > 20
    for outer, inner, ratio in found.flow:
        assert ratio.low <= (inner / outer) ** N <= ratio.high
        assert ratio.high / ratio.low < np.exp(2.5 * AREAS)


def test_a_law_that_is_no_power_law_is_told() -> None:
    """Linear, σ = 1 + h ε: the force hardly varies, and ε of equal areas do not fit n = ε_u."""
    h, lack = 1.17, 0.004

    def force(e: float) -> float:
        return np.log(1 + h * e) - e

    weak = np.linspace(0.0, 0.3, 80)
    peak = 1 - 1 / h
    rest = np.zeros_like(weak)
    for t, inner in enumerate(weak[1:], start=1):
        goal = force(min(inner, peak)) - lack
        rest[t] = 0.0 if goal < 0 else root(lambda e, f=goal: force(e) - f, 0.0, peak)
    found = told(bar(weak, rest))
    assert found.onset is not None
    assert found.onset.neck.value == pytest.approx(peak, rel=0.1)
    assert not found.onset.power_law
    assert found.onset.imperfection > 2 * lack


def test_what_is_not_there_is_not_told() -> None:
    """No onset in a uniform bar, nor where the clip ends before the largest force."""
    even = np.linspace(0.0, 0.1, 40)
    uniform = told(bar(even, even))
    assert uniform.onset is None and uniform.flow == []
    assert uniform.ratio.value == pytest.approx(POISSON, abs=0.005)
    assert "no onset" in "\n".join(uniform.lines())
    early = told(bar(*strains_of_bar(0.9 * N, lack=0.02)))
    assert early.onset is None
    pixels = bar(even, even)
    with pytest.raises(ValueError, match=r"sections outside the neck.*--grid"):
        told(pixels[:, :14])
    with pytest.raises(ValueError, match="nothing is stretched"):
        told(np.repeat(pixels[:1], 5, 0))


def test_distance_to_the_camera_moves_the_ratio_but_not_its_slope_within_frames() -> None:
    """A magnification of 0.3 % at the end: the two ratios part, and tell."""
    weak, rest = strains_of_bar(0.14, lack=0.02)
    along = np.linspace(0.85, 1.15, 65)  # the rest of the bar is not quite uniform
    pixels = bar(weak, rest, noise=0.0)
    x, y = pixels[0, :, 0], pixels[0, :, 1]
    shape = np.interp(y, np.linspace(0, LENGTH, 65), along)
    for t, strained in enumerate(rest):
        stretch = np.exp(
            strained * np.interp(np.arange(LENGTH + 1), np.linspace(0, LENGTH, 65), along)
        )
        place = np.concatenate([[0.0], np.cumsum(stretch)[:-1]])
        grow = np.exp(0.003 * t / len(rest))
        pixels[t, :, 0] = grow * x * np.exp(-POISSON * strained * shape)
        pixels[t, :, 1] = grow * np.interp(y, np.arange(LENGTH + 1), place)
    found = told(pixels)
    assert found.ratio.value < POISSON - 0.03
    assert found.ratio_within.value == pytest.approx(POISSON, abs=0.01)


def lattice(low: tuple[float, float], high: tuple[float, float], gap: float = 20.0) -> np.ndarray:
    x, y = np.meshgrid(np.arange(low[0], high[0] + 1, gap), np.arange(low[1], high[1] + 1, gap))
    return np.column_stack([x.ravel(), y.ravel()])


@pytest.mark.parametrize("way", [(0.0, 0.0), (3.0, -40.0)], ids=["still", "carried"])
def test_background_and_grips_are_left_out(way: tuple[float, float]) -> None:
    """A strip pulled at its lower end, a still backdrop, and a grip that moves on its own."""
    strip = lattice((300, 100), (400, 700))
    backdrop = np.concatenate([lattice((0, 0), (280, 800)), lattice((420, 0), (700, 800))])
    grip = lattice((300, 0), (400, 80))
    F = np.array([[0.93, 0.02], [0.0, 1.2]])
    frames = np.linspace(0.0, 1.0, 6)[:, None, None]
    foot = np.array([350.0, 720.0])
    moved = (strip - foot) @ F.T + foot
    parts = [
        strip + frames * (moved - strip), backdrop + 0 * frames, grip + frames * np.array(way)
    ]  # fmt: skip
    pixels = np.concatenate(parts, 1)
    pixels[1:] += np.random.default_rng(1).normal(0, 0.02, pixels[1:].shape)
    kept = body(pixels)
    assert (np.flatnonzero(kept) == np.arange(len(strip))).all()
    values = np.linalg.eigvalsh(strain(pixels[:, kept]).hencky[-1])
    exact = 0.5 * np.log(np.linalg.eigvalsh(F.T @ F))
    assert np.abs(values - exact).max() < 5e-3
    everything = strain(pixels).principal[-1, :, 0]
    assert np.nanmax(np.abs(everything)) > 2 * exact[1], "the background spoils it"


def test_a_larger_thing_that_moves_as_one_is_not_the_body() -> None:
    strip, plate = lattice((300, 100), (400, 700)), lattice((480, 0), (900, 800))
    foot = np.array([350.0, 720.0])
    pixels = np.stack([
        np.concatenate([strip, plate]),
        np.concatenate([(strip - foot) * (0.95, 1.1) + foot, plate + np.array([3.0, -40.0])]),
    ])  # fmt: skip
    assert len(plate) > len(strip)
    assert np.flatnonzero(body(pixels)).tolist() == list(range(len(strip)))


def test_a_body_without_background_is_kept_whole() -> None:
    """Turned and stretched about its own middle, which is at rest; one point is never seen."""
    at = lattice((0, 0), (200, 300))
    angle = 0.4
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    F = turn @ np.diag([1.1, 0.95])
    pixels = np.stack([at, (at - (100, 160)) @ F.T + (100, 160)])
    assert (np.abs(pixels[1] - pixels[0]).max(1) < 1e-9).sum() == 1
    pixels[1:, 7] = np.nan
    kept = body(pixels)
    assert not kept[7] and kept.sum() == len(at) - 1


def spots(shape: tuple[int, int], seed: int = 2) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=shape)
    fine = ndimage.gaussian_filter(noise, 1.7)
    return 128 + 45 * fine / fine.std()


def test_texture_is_found_without_a_mask() -> None:
    picture = np.full((300, 240), 200.0) + np.linspace(0, 40, 240)
    picture[:, 80:160] = spots((300, 80))
    found = textured(picture.clip(0, 255).astype(np.uint8), 10)
    columns = np.flatnonzero(found[20:280].mean(0) > 0.5)
    assert abs(int(columns[0]) - 80) <= 5 and abs(int(columns[-1]) - 159) <= 5
    assert found[:, 90:150].all() and not found[:, :70].any() and not found[:, 170:].any()
    assert textured(np.full((50, 60), 90, np.uint8)).all(), "none at all: everywhere"


def test_a_place_that_strains_more_is_no_neck_while_the_rest_goes_on() -> None:
    """Twice the strain in a weak piece of a solid that does not yield, and a specimen's neck."""
    even = np.linspace(0.0, 0.1, 40)
    elastic = bar(2 * even, even)
    thin, found = neck(elastic, strain(elastic)), told(elastic)
    assert thin.found and not found.necked
    said = tell_neck(thin, found)
    assert said.startswith("no neck found: strain is most at (")
    assert abs(float(thin.place[1]) - MIDDLE) < HALF
    assert tell_neck(thin, None) == said
    plastic = bar(*strains_of_bar(0.3))
    said = tell_neck(neck(plastic, strain(plastic)), told(plastic))
    assert said.startswith("a neck at (")


class Pulled(Video):
    """A textured strip stretched evenly along y before a plain wall."""

    def stretch(self, frame: int) -> tuple[float, float]:
        along = 0.1 * frame / (self.frames - 1)
        return float(np.exp(-0.5 * along)), float(np.exp(along))

    def rgb(self) -> Iterator[np.ndarray]:
        strip = spots((420, 100))
        width, height = self.size
        x, y = np.meshgrid(np.arange(width), np.arange(height))
        for frame in range(self.frames):
            a, b = self.stretch(frame)
            rows, columns = (y - 20.0) / b + 20, (x - 0.5 * width) / a + 50
            seen = ndimage.map_coordinates(strip, [rows, columns], order=3, mode="nearest")
            inside = (columns >= 0) & (columns <= 99)
            grey = np.where(inside, seen, 205.0 + 10.0 * y / height)
            yield np.repeat(grey.round().clip(0, 255).astype(np.uint8)[..., None], 3, -1)


def test_track_draws_and_tells_the_strain_without_a_mask(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = Pulled(tmp_path, (260, 400), 12, 20.0)
    with VideoWriter(tmp_path / "clip.mp4", clip.size, 20.0, crf=10) as writer:
        for picture in clip.rgb():
            writer.write(picture)
    names = [str(tmp_path / name) for name in ("clip.mp4", "s.png", "t.json", "t.npz")]
    command = ["track", names[0], "--grid", "7", "--half", "9", "--strain", names[1]]
    assert cli.main([*command, "--json", names[2], "--out", names[3]]) == 0
    said = capsys.readouterr().err
    assert "no neck" in said and "no stress in Pa" in said
    tracks = Tracks.load(names[3])
    assert (np.abs(tracks.pixels[0, :, 0] - 130) <= 50).all(), "only on the strip"
    report = json.loads(Path(names[2]).read_text())
    assert report["ratio"]["value"] == pytest.approx(0.5, abs=0.02)
    assert report["onset"] is None and report["neck"]["median"] == pytest.approx(0.1, abs=2e-3)
    with Image.open(names[1]) as picture:
        assert picture.size[0] > 1000
    assert cli.main(["track", names[0], "--json", names[2], "--force"]) == 2
    assert "--strain" in capsys.readouterr().err


def test_the_picture_covers_the_body_alone(tmp_path: Path) -> None:
    """Cells of the map stay within reach of points, and carry their strain."""

    left, right = lattice((0, 0), (60, 200)), lattice((0, 140), (200, 200))
    at = np.unique(np.concatenate([left, right]), axis=0)
    F = np.diag([0.95, 1.1])
    pixels = np.stack([at, at @ F.T])
    place, values, corners = mapped(pixels, strain(pixels).principal[-1, :, 0])
    assert values == pytest.approx(np.log(1.1), abs=1e-9)
    rest = place @ np.linalg.inv(F).T
    hollow = (rest[corners].mean(1) > (90, -99)).all(1) & (rest[corners].mean(1) < (999, 110)).all(
        1
    )
    assert not hollow.any(), "no cell across the corner of the L"
    edges = rest[corners] - rest[np.roll(corners, 1, 1)]
    assert np.linalg.norm(edges, axis=-1).max() < 20
    draw(np.zeros((240, 240, 3), np.uint8), pixels, strain(pixels), tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 10_000


@pytest.mark.slow
def test_the_tensile_specimen_tells_its_ratio_and_its_onset(
    reference_data: Callable[[str], Path],
) -> None:
    """Two grids tell the same within the band of the coarser, and a second tracker agrees."""
    video = open_video(reference_data("tensile/tensile_86_frames.mp4"))
    given = np.load(reference_data("tensile/tracks_108_points.npz"))["tracks"].astype(float)
    first = next(video.grey())
    mask = textured(first)
    pixels, _ = Tracker().follow(video, grid(first, mask, 12), mask)
    kept = pixels[:, body(pixels)]
    found, field = told(kept), strain(kept)
    thin = neck(kept, field)
    assert thin.found and thin.place[1] == pytest.approx(1265, abs=40)
    assert thin.median == pytest.approx(0.035, abs=0.002)
    assert found.ratio.low <= told(given).ratio.value <= found.ratio.high
    assert found.onset is not None and 55 <= found.onset.frame <= 66
    assert found.onset.neck.value > 2 * found.onset.outside.value
    assert not found.onset.power_law
