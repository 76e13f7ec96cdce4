# SPDX-License-Identifier: Apache-2.0
"""The tracker on pictures whose motion is known, and on the reference clips."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from rheograd.engine.vision.registration import Patches, Spline, at_rest
from rheograd.engine.vision.seeds import features, grid, read_mask
from rheograd.engine.vision.strain import neck, strain
from rheograd.engine.vision.tracker import PATIENCE, SELDOM, Tracker
from rheograd.engine.vision.tracks import Tracks
from rheograd.engine.vision.video import Video, open_video

DATA = Path(__file__).parents[2] / "shared" / "data"
SIZE = (240, 180)
MIDDLE = np.array([120.0, 90.0])


def speckle(at: np.ndarray) -> np.ndarray:
    """A band-limited texture, known everywhere: brightness at pixels (..., 2)."""
    draw = np.random.default_rng(5)
    waves = draw.normal(0.0, 0.45, (60, 2))
    phases = draw.uniform(0, 2 * np.pi, 60)
    return 128 + 18 * np.cos(at @ waves.T + phases).sum(-1) / np.sqrt(60) * 2


def pixels_of(size: tuple[int, int] = SIZE) -> np.ndarray:
    return np.stack(np.meshgrid(np.arange(size[0]), np.arange(size[1])), -1).astype(float)


class Shown(Video):
    """Pictures of the texture moved affinely: x = A (X − c) + c + b."""

    def motion(self, frame: int) -> tuple[np.ndarray, np.ndarray]:
        s = frame / 10
        angle = 0.25 * s
        stretch = np.diag([1 + 0.12 * s, 1 - 0.08 * s])
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        return turn @ stretch, np.array([23.0, -11.0]) * s

    def truth(self, at: np.ndarray) -> np.ndarray:
        motions = [self.motion(frame) for frame in range(self.frames)]
        return np.stack([(at - MIDDLE) @ A.T + MIDDLE + b for A, b in motions])

    def grey(self) -> Iterator[np.ndarray]:
        for frame in range(self.frames):
            A, b = self.motion(frame)
            rest = (pixels_of() - MIDDLE - b) @ np.linalg.inv(A).T + MIDDLE
            gain = 1 - 0.03 * frame
            yield (gain * speckle(rest) + 2 * frame).round().clip(0, 255).astype(np.uint8)


def shown(frames: int = 11) -> Shown:
    return Shown(Path("made"), SIZE, frames, 30.0)


def test_a_patch_is_found_where_it_went() -> None:
    """Registration alone, from a start that is off by some pixels and without the turn."""
    video = shown(4)
    at = np.array([[90.3, 80.6], [140.2, 101.7], [120.0, 60.5]])
    first, *_, last = video.grey()
    patches = Patches.cut(first, at, 12)
    truth = video.truth(at)[-1]
    start = at_rest(truth + np.array([1.5, -1.0]))
    found = patches.find(Spline(last), start, np.arange(3))
    assert found.converged.all() and (found.correlation > 0.99).all()
    assert found.at == pytest.approx(truth, abs=0.03)
    A, _ = video.motion(3)
    assert found.warp[:, :, :2] == pytest.approx(np.broadcast_to(A, (3, 2, 2)), abs=0.01)


def test_points_are_followed_through_turn_stretch_and_changing_light() -> None:
    video = shown()
    at = grid(next(video.grey()), None, 5, half=110)
    pixels, quality = Tracker().follow(video, at)
    error = np.linalg.norm(pixels - video.truth(at), axis=-1)
    assert np.isfinite(error).all()
    assert np.sqrt((error**2).mean()) < 0.03
    assert quality.min() > 0.98 and (quality[0] == 1).all()


class Hidden(Shown):
    """The same with a plain bar before it for some frames."""

    def grey(self) -> Iterator[np.ndarray]:
        for frame, picture in enumerate(super().grey()):
            if 3 <= frame <= 6:
                picture = picture.copy()
                picture[:, 100:150] = 90
            yield picture


def test_hidden_points_are_left_out_and_come_back() -> None:
    video = Hidden(Path("made"), SIZE, 11, 30.0)
    at = grid(next(video.grey()), None, 5, half=110)
    pixels, quality = Tracker().follow(video, at)
    truth = video.truth(at)
    seen = np.isfinite(pixels).all(-1)
    behind = np.zeros_like(seen)
    behind[3:7] = (truth[3:7, :, 0] > 104) & (truth[3:7, :, 0] < 146)
    assert behind.sum() > 12
    assert not (seen & behind).any()
    assert (quality[~seen] == 0).all()
    assert seen[-1].all(), "all come back"
    error = np.linalg.norm(pixels - truth, axis=-1)
    beside = np.zeros_like(seen)  # the bar may cover a part of the patch
    beside[3:7] = np.abs(truth[3:7, :, 0] - 125) < 25 + 18
    assert error[seen & ~beside].max() < 0.05
    assert error[seen & beside].max() < 1.0


def test_points_that_were_hidden_for_long_come_back() -> None:
    """They are looked for seldom, but are: all within a few frames after the bar has gone."""

    class Long(Shown):
        def motion(self, frame: int) -> tuple[np.ndarray, np.ndarray]:
            return np.eye(2), np.array([0.8 * frame, 0.3 * frame])

        def grey(self) -> Iterator[np.ndarray]:
            for frame, picture in enumerate(super().grey()):
                if 2 <= frame < 2 + PATIENCE + 6:
                    picture = picture.copy()
                    picture[:, 90:150] = 90
                yield picture

    frames = 2 + PATIENCE + 6 + SELDOM
    video = Long(Path("made"), SIZE, frames, 30.0)
    at = grid(next(video.grey()), None, 6, half=60)
    pixels, _ = Tracker().follow(video, at)
    error = np.linalg.norm(pixels - video.truth(at), axis=-1)
    behind = np.abs(at[:, 0] - 120) < 25
    assert behind.sum() >= 4
    assert np.isnan(error[2 + PATIENCE, behind]).all() and np.isfinite(error[-1]).all()
    assert error[-1].max() < 0.05


def test_a_point_beyond_the_picture_is_not_seen() -> None:
    class Leaving(Shown):
        def motion(self, frame: int) -> tuple[np.ndarray, np.ndarray]:
            return np.eye(2), np.array([12.0 * frame, 0.0])

    video = Leaving(Path("made"), SIZE, 9, 30.0)
    at = np.array([[40.0, 60.0], [90.0, 90.0], [200.0, 60.0], [205.0, 120.0], [60.0, 130.0]])
    pixels, _ = Tracker().follow(video, at)
    outside = video.truth(at)[..., 0] > SIZE[0] - 1
    assert outside[-1, 2:4].all()
    assert not (np.isfinite(pixels).all(-1) & outside).any()
    assert np.isfinite(pixels[:, :2]).all()


def test_flat_pictures_are_refused() -> None:
    class Plain(Shown):
        def grey(self) -> Iterator[np.ndarray]:
            for _ in range(self.frames):
                yield np.full(SIZE[::-1], 120, np.uint8)

    video = Plain(Path("plain.mp4"), SIZE, 3, 30.0)
    with pytest.raises(ValueError, match=r"none of 1 points shows enough.*plain\.mp4"):
        Tracker().follow(video, np.array([[50.0, 50.0]]))
    with pytest.raises(ValueError, match="found 0 features in the picture"):
        features(next(video.grey()), None)
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"half": 2}, "half 4 px or more"), ({"gate": 1.0}, "between 0 and 1"),
        ({"window": 1}, "5 px or more"), ({"levels": -1}, "levels from 0"),
    ]  # fmt: skip
    for bad, said in wrong:
        with pytest.raises(ValueError, match=said):
            Tracker(**bad)


def test_seeds_keep_within_the_mask() -> None:
    picture = next(shown().grey())
    mask = np.zeros(SIZE[::-1], bool)
    mask[40:140, 60:200] = True
    inner = ndimage.binary_erosion(mask, iterations=5)
    for found in (features(picture, mask, 40), grid(picture, mask, 5)):
        near = np.rint(found).astype(int)
        assert len(found) > 10 and inner[near[:, 1], near[:, 0]].all()
    rows = grid(picture, mask, 5)
    assert len(np.unique(rows[:, 1])) == 5
    with pytest.raises(ValueError, match="no place for a patch"):
        grid(picture, np.zeros_like(mask), 5)


def test_masks_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    from PIL import Image

    with pytest.raises(FileNotFoundError, match="no mask"):
        read_mask(tmp_path / "none.png", SIZE)
    for name, values, said in (
        ("small.png", np.full((9, 9), 255), "is 9 x 9 px, the video 240 x 180"),
        ("dark.png", np.zeros(SIZE[::-1]), "dark all over"),
    ):
        Image.fromarray(values.astype(np.uint8)).save(tmp_path / name)
        with pytest.raises(ValueError, match=said):
            read_mask(tmp_path / name, SIZE)
    with pytest.raises(ValueError, match=r"a picture of the camera front.toml 240 x 180"):
        read_mask(tmp_path / "small.png", SIZE, camera="front.toml")
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(ValueError, match="cannot be read as a picture"):
        read_mask(tmp_path / "text.png", SIZE)


def test_strain_of_an_affine_motion_is_exact() -> None:
    """Hencky strain of F = R U is log U whatever the rotation."""
    at = np.stack(np.meshgrid(np.arange(8.0), np.arange(10.0)), -1).reshape(-1, 2) * 9
    A, b = shown().motion(8)
    pixels = np.stack([at, at @ A.T + b])
    found = strain(pixels)
    assert found.gradient[1] == pytest.approx(np.broadcast_to(A, (80, 2, 2)), abs=1e-12)
    logs = np.log([1 + 0.12 * 0.8, 1 - 0.08 * 0.8])
    assert found.hencky[1] == pytest.approx(np.broadcast_to(np.diag(logs), (80, 2, 2)), abs=1e-12)
    assert found.principal[1] == pytest.approx(np.broadcast_to(logs, (80, 2)))
    assert not neck(pixels, found).found
    pixels[1, 11] = np.nan
    part = strain(pixels)
    assert np.isnan(part.hencky[1, 11]).all()
    assert part.gradient[1, 12] == pytest.approx(A, abs=1e-12)
    with pytest.raises(ValueError, match="six or more"):
        strain(pixels[:, :5])


def test_a_neck_is_found_where_the_strain_is() -> None:
    """Stretch 1 + a exp(−(y − y0)²/2s²) along y, integrated."""
    from scipy.special import erf

    at = np.stack(np.meshgrid(np.arange(7.0), np.arange(60.0)), -1).reshape(-1, 2) * 10
    a, y0, s = 0.6, 380.0, 50.0

    def drawn(y: np.ndarray) -> np.ndarray:
        return 1.02 * y + a * s * np.sqrt(np.pi / 2) * erf((y - y0) / (np.sqrt(2) * s))

    moved = at.copy()
    moved[:, 1] = drawn(at[:, 1])
    pixels = np.stack([at, moved])
    found = neck(pixels, strain(pixels))
    assert found.found and abs(found.axis[1]) == pytest.approx(1.0)
    assert found.place[1] == pytest.approx(y0, abs=10)
    assert found.strain == pytest.approx(np.log(1.02 + a), rel=0.05)
    assert found.median == pytest.approx(np.log(1.02), abs=0.02)


def test_tracks_go_to_a_file_and_back(tmp_path: Path) -> None:
    pixels = np.full((3, 4, 2), 7.5)
    pixels[1, 2] = np.nan
    tracks = Tracks(pixels, np.array([0.0, 0.1, 0.2]), SIZE, np.ones((3, 4)), None, "clip.mp4")
    tracks.save(tmp_path / "a.npz")
    back = Tracks.load(tmp_path / "a.npz")
    assert np.array_equal(back.pixels, pixels, equal_nan=True)
    assert back.size == SIZE and back.source == "clip.mp4" and back.camera is None
    assert (back.seen == np.isfinite(pixels).all(-1)).all()
    with pytest.raises(FileNotFoundError, match="rheograd track"):
        Tracks.load(tmp_path / "b.npz")
    np.savez(tmp_path / "c.npz", x=pixels)
    with pytest.raises(ValueError, match="lacks pixels, time, size"):
        Tracks.load(tmp_path / "c.npz")
    (tmp_path / "d.npz").write_text("no")
    with pytest.raises(ValueError, match="not a file of tracks"):
        Tracks.load(tmp_path / "d.npz")
    bad: list[tuple[dict[str, Any], str]] = [
        ({"pixels": pixels[..., 0]}, "expected .frames, points, 2."),
        ({"time": np.array([0.0, 0.1, 0.1])}, "times that grow"),
        ({"pixels": np.full_like(pixels, np.nan)}, "no point is seen"),
        ({"quality": np.ones((2, 4))}, "quality of shape"),
    ]
    for change, said in bad:
        with pytest.raises(ValueError, match=said):
            Tracks(**{"pixels": pixels, "time": tracks.time, "size": SIZE, **change})


@pytest.mark.skipif(not DATA.is_dir(), reason="no reference data beside the project")
@pytest.mark.slow
def test_the_reference_clip_is_followed_to_7_hundredths_of_a_pixel() -> None:
    video = open_video(DATA / "tracking" / "synthetic_box_960x720_30fps.mp4")
    truth = np.load(DATA / "tracking" / "synthetic_box_groundtruth.npz")["gt_pixels"]
    pixels, _ = Tracker().follow(video, truth[0])
    assert np.isfinite(pixels).all(), "all 104 points are kept"
    assert np.sqrt(np.square(pixels - truth).sum(-1).mean()) < 0.07


@pytest.mark.skipif(not DATA.is_dir(), reason="no reference data beside the project")
@pytest.mark.slow
def test_the_tensile_specimen_is_followed_and_its_neck_found() -> None:
    given = np.load(DATA / "tensile" / "tracks_108_points.npz")
    video = open_video(DATA / "tensile" / "tensile_86_frames.mp4")
    pixels, _ = Tracker().follow(video, given["points0"].astype(float))
    off = np.linalg.norm(pixels - given["tracks"], axis=-1)
    assert np.isfinite(off).all() and np.median(off[1:]) < 0.1
    found, expected = (neck(p, strain(p)) for p in (pixels, given["tracks"].astype(float)))
    assert found.found and expected.found
    assert found.place == pytest.approx(expected.place, abs=1.0)
    assert found.strain == pytest.approx(expected.strain, rel=0.02)
