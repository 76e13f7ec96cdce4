# SPDX-License-Identifier: Apache-2.0
"""Videos that are written are read again; what is no video says so."""

import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rheograd.engine.vision.video import VideoWriter, open_video, read_picture


def pictures(count: int = 5) -> list[np.ndarray]:
    ramp = np.stack(np.meshgrid(np.arange(64), np.arange(48)), -1).sum(-1)
    return [np.repeat((ramp + 12 * k)[..., None], 3, -1).astype(np.uint8) for k in range(count)]


def film(path: Path, count: int = 5, rate: float = 25.0, crf: int = 1) -> Path:
    with VideoWriter(path, (64, 48), rate, crf=crf) as writer:
        for picture in pictures(count):
            writer.write(picture)
    return path


@pytest.mark.parametrize("rate", [25.0, 30000 / 1001, 240.0])
def test_a_film_is_read_as_it_was_written(tmp_path: Path, rate: float) -> None:
    video = open_video(film(tmp_path / "a.mp4", rate=rate))
    assert (video.size, video.frames) == ((64, 48), 5)
    assert video.frame_rate == pytest.approx(rate, rel=1e-4)
    assert video.time == pytest.approx(np.arange(5) / rate, rel=1e-4)
    for found, expected in zip(video.rgb(), pictures(), strict=True):
        assert np.abs(found.astype(int) - expected).mean() < 3
    # brightness is coded from 16 to 235
    for found, expected in zip(video.grey(), pictures(), strict=True):
        coded = 16 + expected[..., 0].astype(float) * 219 / 255
        assert np.abs(found - coded).mean() < 2
    assert open_video(tmp_path / "a.mp4", frame_rate=1000.0).time[-1] == pytest.approx(0.004)


def test_a_folder_of_pictures_is_a_video(tmp_path: Path) -> None:
    for number, picture in enumerate(pictures(3)):
        Image.fromarray(picture).save(tmp_path / f"{number:03d}.png")
    with pytest.raises(ValueError, match="--frame-rate"):
        open_video(tmp_path)
    video = open_video(tmp_path, frame_rate=10.0)
    assert video.frames == 3 and video.time[-1] == pytest.approx(0.2)
    for found, grey, expected in zip(video.rgb(), video.grey(), pictures(3), strict=True):
        assert (found == expected).all() and (grey == expected[..., 0]).all()
    Image.fromarray(pictures(1)[0][:20]).save(tmp_path / "004.png")
    with pytest.raises(ValueError, match="frames of 2 sizes"):
        open_video(tmp_path, frame_rate=10.0)


def test_deep_pictures_keep_their_order_of_brightness(tmp_path: Path) -> None:
    deep = (np.arange(48 * 64).reshape(48, 64) * 20).astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.tif")
    found = read_picture(tmp_path / "deep.tif")
    assert found.shape == (48, 64, 3) and found[0, 0, 0] == 0
    assert (np.diff(found[..., 0].astype(int).ravel()) >= 0).all() and found.max() > 200


def test_what_is_no_video_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no video"):
        open_video(tmp_path / "none.mp4")
    (tmp_path / "text.mp4").write_text("not a film")
    with pytest.raises(ValueError, match=r"text\.mp4 cannot be read as a video"):
        open_video(tmp_path / "text.mp4")
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(ValueError, match="cannot be read"):
        open_video(tmp_path / "empty.mp4")
    with pytest.raises(ValueError, match="holds 1 frames"):
        open_video(film(tmp_path / "one.mp4", count=1))
    with pytest.raises(ValueError, match="frame rate of -1"):
        open_video(film(tmp_path / "two.mp4", count=2), frame_rate=-1.0)


def uneven(path: Path) -> Path:
    """A film whose frames come at 0, 33, 120 and 133 ms."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        base = Fraction(1, 1000)
        stream.time_base = stream.codec_context.time_base = base
        for picture, time in zip(pictures(4), (0, 33, 120, 133), strict=True):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = time, base
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def test_uneven_times_are_refused(tmp_path: Path) -> None:
    path = uneven(tmp_path / "uneven.mp4")
    with pytest.raises(ValueError, match=r"13 to 87 ms apart.*ffmpeg"):
        open_video(path)
    assert open_video(path, frame_rate=30.0).frames == 4


def test_a_broken_recording_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), VideoWriter(tmp_path / "b.mp4", (64, 48), 30.0) as writer:
        writer.write(pictures(1)[0])
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match="even numbers"):
        VideoWriter(tmp_path / "c.mp4", (63, 48), 30.0)
    with pytest.raises(ValueError, match=r"ends in \.mp4"):
        VideoWriter(tmp_path / "c.avi", (64, 48), 30.0)


def displayed(path: Path, matrix: tuple[int, int, int, int]) -> Path:
    """A film with (a, b, c, d) as the display matrix of its track (ISO/IEC 14496-12, 8.3.2)."""
    data = bytearray(film(path).read_bytes())
    at = data.find(b"tkhd") + 44
    a, b, c, d = (n << 16 for n in matrix)
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("matrix", "shown"),
    [
        ((1, 0, 0, 1), lambda p: p),
        ((0, 1, -1, 0), lambda p: np.rot90(p, -1)),  # clockwise: a phone held upright
        ((0, -1, 1, 0), lambda p: np.rot90(p, 1)),
        ((-1, 0, 0, -1), lambda p: np.rot90(p, 2)),
        ((-1, 0, 0, 1), lambda p: p[:, ::-1]),
        ((1, 0, 0, -1), lambda p: p[::-1]),
        ((0, 1, 1, 0), lambda p: p.swapaxes(0, 1)),
    ],
)
def test_a_film_is_read_as_a_player_shows_it(
    tmp_path: Path, matrix: tuple[int, int, int, int], shown: Callable[[np.ndarray], np.ndarray]
) -> None:
    video = open_video(displayed(tmp_path / "a.mp4", matrix))
    plain = open_video(film(tmp_path / "b.mp4"))
    assert video.size == ((64, 48) if matrix[0] else (48, 64))
    for found, expected in zip(video.rgb(), plain.rgb(), strict=True):
        assert (found == shown(expected)).all()
    for found, expected in zip(video.grey(), plain.grey(), strict=True):
        assert found.shape == video.size[::-1] and (found == shown(expected)).all()


def test_a_film_that_is_shown_aslant_is_refused(tmp_path: Path) -> None:
    data = bytearray(displayed(tmp_path / "a.mp4", (1, 0, 0, 1)).read_bytes())
    at = data.find(b"tkhd") + 44
    data[at : at + 20] = struct.pack(">5i", 65273, 5701, 0, -5701, 65273)
    (tmp_path / "a.mp4").write_bytes(data)
    with pytest.raises(ValueError, match=r"a\.mp4: its frames.*no right angle"):
        open_video(tmp_path / "a.mp4")


def test_a_picture_is_turned_as_it_asks_for(tmp_path: Path) -> None:
    picture = pictures(1)[0]
    exif = Image.Exif()
    exif[0x0112] = 6  # turn it clockwise
    Image.fromarray(picture).save(tmp_path / "a.png", exif=exif)
    found = read_picture(tmp_path / "a.png")
    assert (found == np.rot90(picture, -1)).all()
    assert found.flags.writeable  # overlays are drawn into it


def test_a_picture_that_is_cut_off_is_named(tmp_path: Path) -> None:
    Image.fromarray(pictures(1)[0]).save(tmp_path / "a.png")
    whole = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"a\.png is damaged or cut off"):
        read_picture(tmp_path / "a.png")
    with pytest.raises(FileNotFoundError):
        read_picture(tmp_path / "none.png")


def test_a_camera_of_another_rate_is_refused(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", rate=240.0)
    assert open_video(path, camera_rate=239.0).frame_rate == pytest.approx(240.0)
    said = r"a\.mp4 has 240 frames a second, cam\.toml says 30 a second: choose by --frame-rate"
    with pytest.raises(ValueError, match=said):
        open_video(path, camera_rate=30.0, camera="cam.toml")
    assert open_video(path, frame_rate=60.0, camera_rate=30.0).frame_rate == 60.0
    with pytest.raises(ValueError, match=r"13 to 87 ms apart, cam\.toml says 30 a second"):
        open_video(uneven(tmp_path / "u.mp4"), camera_rate=30.0, camera="cam.toml")
    for number, picture in enumerate(pictures(3)):
        Image.fromarray(picture).save(tmp_path / f"{number:03d}.png")
    assert open_video(tmp_path, camera_rate=30.0).frame_rate == 30.0
