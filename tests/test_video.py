# SPDX-License-Identifier: Apache-2.0
"""Videos that are written are read again; what is no video says so."""

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


def test_uneven_times_are_refused(tmp_path: Path) -> None:
    import av

    path = tmp_path / "uneven.mp4"
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
