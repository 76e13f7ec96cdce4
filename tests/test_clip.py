# SPDX-License-Identifier: Apache-2.0
"""Clips that are filmed of a trajectory, and the truth beside them."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from rheograd.engine.carrying import Carried
from rheograd.engine.moving_surface import MovingSurface
from rheograd.engine.shapes import Box, Sphere, Surface
from rheograd.engine.simulate import simulate
from rheograd.engine.trajectory import Trajectory
from rheograd.engine.vision.camera import Camera
from rheograd.engine.vision.camera_files import load_camera, save_camera
from rheograd.engine.vision.filming import Film, film_clip
from rheograd.engine.vision.tracker import Tracker
from rheograd.engine.vision.tracks import Tracks
from rheograd.engine.vision.video import VideoWriter, open_video
from rheograd.scenes import cantilever, cli, drop

A = torch.tensor([[1.1, 0.2, 0.0], [-0.1, 0.9, 0.05], [0.0, 0.1, 1.05]], dtype=torch.float64)
SHIFT = torch.tensor([0.02, -0.05, 0.01], dtype=torch.float64)
SIZE = (320, 240)


def box(frames: int = 6) -> Trajectory:
    """A box of particles that is stretched and turned evenly by A; cells of it are squares."""
    shape = Box((0.2, 0.2, 0.2), (0.5, 0.3, 0.5))
    rest = shape.sample(0.02).points
    shares = torch.linspace(0, 1, frames, dtype=torch.float64)[:, None, None]
    moved = (rest - 0.5) @ A.T + 0.5 + SHIFT
    vertices, triangles = shape.surface()
    told = [{"vertices": vertices.tolist(), "faces": triangles.tolist()}]
    metadata = {"surfaces": json.dumps(told), "domain": "[[0, 0, 0], [1, 1, 1]]"}
    return Trajectory(shares[:, 0, 0] * 0.1, rest + shares * (moved - rest), metadata=metadata)


def front(frame_rate: float | None = None) -> Camera:
    low, high = (0.3, 0.1, 0.3), (0.7, 0.5, 0.7)
    return Camera.preset("front", low, high, size=SIZE, frame_rate=frame_rate)


def test_points_are_carried_affinely_and_by_few_particles() -> None:
    rest = box().x[0]
    points = torch.tensor([[0.6, 0.35, 0.52], [0.5, 0.4, 0.6], [0.43, 0.31, 0.47]]).double()
    carried = Carried.by(points, rest)
    assert torch.allclose(carried.at(rest), points, atol=1e-7)
    assert torch.allclose(carried.at(rest @ A.T + SHIFT), points @ A.T + SHIFT, atol=1e-6)
    near = (rest[carried.carriers] - points[:, None]).norm(dim=2)
    assert float(near.max()) < 0.06
    x = rest.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda y: carried.at(y), (x[:1].expand(len(x), 3) + rest,))
    with pytest.raises(ValueError, match=f"expected {len(rest)}"):
        carried.at(rest[1:])
    flat = rest.clone()
    flat[:, 1] = 0.3
    with pytest.raises(ValueError, match=r"plane or a line.*more finely"):
        Carried.by(points, flat)
    with pytest.raises(ValueError, match="four or more"):
        Carried.by(points, rest[:3])


def test_the_surface_of_particles_follows_them_and_knows_its_bodies() -> None:
    shapes = [Box((0.2, 0.1, 0.1), (0.2, 0.2, 0.2)), Sphere(0.1, (0.6, 0.6, 0.6))]
    samples = [shape.sample(0.02).points for shape in shapes]
    rest = torch.cat(samples)
    body = torch.cat([torch.full((len(s),), k) for k, s in enumerate(samples)])
    surface = MovingSurface.of_particles([shape.surface() for shape in shapes], rest, body)
    # only the second moves
    moved = rest.clone()
    moved[body == 1] += SHIFT
    gone = surface.vertices(moved) - surface.rest
    assert torch.allclose(gone[surface.body == 0], torch.zeros(3, dtype=torch.float64), atol=1e-9)
    assert torch.allclose(gone[surface.body == 1], SHIFT.expand(1, 3), atol=1e-7)
    corners = surface.rest[surface.triangles]
    across = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    volume = (corners[:, 0] * across).sum() / 6
    assert float(volume) == pytest.approx(0.002 + 4 / 3 * np.pi * 0.1**3, rel=0.01)


def test_the_surface_of_a_mesh_is_its_nodes() -> None:
    run = simulate(cantilever.build(), cantilever.solver(n=2), frames=2)
    surface = MovingSurface.of(run)
    moved = surface.vertices(run.x[-1].double())
    corners = surface.rest[surface.triangles]
    across = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert float((corners[:, 0] * across).sum() / 6) == pytest.approx(4.0)
    assert float(moved[:, 2].min()) == float(run.x[-1][:, 2].min())


def test_a_clip_and_its_truth(tmp_path: Path) -> None:
    run = box()
    done: list[tuple[int, int]] = []
    clip = film_clip(
        run, front(), tmp_path / "a.mp4", film=Film(samples=3, crf=1), points=40,
        masks=tmp_path / "masks.mp4", progress=lambda k, n: done.append((k, n)),
    )  # fmt: skip
    assert done == [(k, 6) for k in range(1, 7)]
    camera = clip.tracks.camera
    assert camera is not None
    # tracks are projections of the points at rest, moved by the closed form
    for frame, share in enumerate(np.linspace(0, 1, 6)):
        moved = clip.places + share * ((clip.places - 0.5) @ A.T + 0.5 + SHIFT - clip.places)
        truth = camera.project(moved).at.numpy()
        seen = np.isfinite(clip.tracks.pixels[frame]).all(-1)
        assert clip.tracks.pixels[frame][seen] == pytest.approx(truth[seen], abs=0.01)
    assert clip.tracks.seen[0].all()
    on_face = (clip.places - torch.tensor([0.5, 0.3, 0.5])).abs().amax(1)
    assert on_face.numpy() == pytest.approx(0.1, abs=1e-6)
    # the mask is the projection of the box: its area by the corners' hull
    from scipy.spatial import ConvexHull

    corners = Box((0.2, 0.2, 0.2), (0.5, 0.3, 0.5)).surface().vertices
    ends = (corners - 0.5) @ A.T + 0.5 + SHIFT
    hulls = [ConvexHull(camera.project(x).at.numpy()).volume for x in (corners, ends)]
    assert clip.mask.sum() == pytest.approx(hulls[0], rel=0.01)
    masks = [frame > 127 for frame in open_video(tmp_path / "masks.mp4").grey()]
    assert (masks[0] == clip.mask).mean() > 0.999
    assert masks[-1].sum() == pytest.approx(hulls[1], rel=0.01)
    # and the tracker sees what is true
    pixels, _ = Tracker().follow(open_video(tmp_path / "a.mp4"), clip.tracks.pixels[0], clip.mask)
    error = np.linalg.norm(pixels - clip.tracks.pixels, axis=-1)
    assert np.isfinite(error).mean() > 0.7
    assert np.nanmedian(error) < 0.1


def test_a_hidden_point_has_no_track(tmp_path: Path) -> None:
    """A second box passes before the first; its points go out of sight, and only then."""
    run = box(5)
    rest = run.x[0]
    hider = rest + torch.tensor([-0.25, 0.0, 0.25])
    shares = torch.linspace(0, 1, 5, dtype=torch.float64)[:, None, None]
    moving = hider + shares * torch.tensor([0.5, 0.0, 0.0])
    x = torch.cat([rest.expand(5, -1, -1), moving], 1)
    shape = json.loads(run.metadata["surfaces"])[0]
    other = dict(shape, vertices=[[a - 0.25, b, c + 0.25] for a, b, c in shape["vertices"]])
    body = torch.cat([torch.zeros(len(rest)), torch.ones(len(rest))]).long()
    metadata = {**run.metadata, "surfaces": json.dumps([shape, other])}
    both = Trajectory(run.time, x, body=body, metadata=metadata)
    camera = Camera.look_at((0.5, 0.3, 3.0), (0.5, 0.3, 0.5), size=SIZE, frame_rate=40.0)
    clip = film_clip(both, camera, tmp_path / "h.mp4", film=Film(samples=1), points=80)
    mine = (clip.places[:, 2] < 0.6001).numpy()
    ahead = (clip.places[:, 2] > 0.8499).numpy()
    seen = clip.tracks.seen
    assert mine.sum() > 10 and ahead.sum() > 10
    assert seen[:4, ahead].all(), "nothing hides the one before"
    assert seen[0, mine].all() and not seen[2, mine].all()
    assert seen[2, mine].sum() <= 0.35 * mine.sum()
    assert seen[4, mine].sum() > seen[2, mine].sum()


def test_blur_noise_and_contrast_do_what_they_say(tmp_path: Path) -> None:
    run = box(3)

    def first(name: str, **film: float) -> np.ndarray:
        path = tmp_path / f"{name}.mp4"
        film_clip(run, front(), path, film=Film(samples=2, crf=1, **film), points=20)  # type: ignore[arg-type]
        return np.stack(list(open_video(path).grey())).astype(float)

    plain = first("plain")
    noisy = first("noisy", noise=8.0) - plain
    assert noisy.std() == pytest.approx(8.0 * 219 / 255, rel=0.15)
    body = front().project(run.x[0]).at.round().long().numpy()
    flat = first("flat", contrast=0.0)
    spots = (slice(None), body[:, 1], body[:, 0])
    assert flat[spots].std() < 0.6 * plain[spots].std()
    blurred = first("blurred", shutter=1.0)
    sharpness = [np.abs(np.diff(f[1], axis=1)).mean() for f in (plain, blurred)]
    assert sharpness[1] < 0.9 * sharpness[0]


def test_what_cannot_be_filmed_is_refused(tmp_path: Path) -> None:
    run = box()
    away = Camera.look_at((0.5, 0.3, 3.0), (0.5, 0.3, 9.0), size=SIZE)
    with pytest.raises(ValueError, match="does not see the body"):
        film_clip(run, away, tmp_path / "a.mp4")
    with pytest.raises(ValueError, match="expected two or more: film it faster"):
        film_clip(run, front(2.0), tmp_path / "a.mp4")
    bare = Trajectory(run.time, run.x)
    with pytest.raises(ValueError, match="what its bodies look like"):
        film_clip(bare, front(), tmp_path / "a.mp4")
    for bad in ({"shutter": 1.5}, {"samples": 0}, {"noise": -1.0}, {"crf": 60}, {"contrast": 2.0}):
        with pytest.raises(ValueError, match="expected"):
            Film(**bad)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_a_simulation_tells_what_its_bodies_look_like() -> None:
    run = simulate(drop.build(shape="sphere"), drop.solver(), frames=1)
    told = json.loads(run.metadata["surfaces"])
    surface = Surface(torch.tensor(told[0]["vertices"]), torch.tensor(told[0]["faces"]))
    assert (surface.vertices.amax(0) - surface.vertices.amin(0)).tolist() == pytest.approx(
        [0.25] * 3, rel=0.01
    )
    assert len(MovingSurface.of(run).triangles) >= len(surface.triangles)


def test_render_and_track_work_as_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, clip = tmp_path / "drop.npz", tmp_path / "clip.mp4"
    box().save(run)
    command = ["render", str(run), "--camera", "front", "--out", str(clip), "--samples", "2"]
    assert cli.main([*command, "--size", "480,360", "--contrast", "0.9"]) == 0
    for name in ("clip.mp4", "clip.camera.toml", "clip.mask.png", "clip.tracks.npz"):
        assert (tmp_path / name).is_file(), name
    camera = load_camera(tmp_path / "clip.camera.toml")
    assert camera.frame_rate == pytest.approx(50.0)
    mask = np.asarray(Image.open(tmp_path / "clip.mask.png"))
    assert mask.shape == (360, 480) and set(np.unique(mask)) == {0, 255}
    assert cli.main(command) == 2
    assert "add --force" in capsys.readouterr().err
    tracks = tmp_path / "tracks.npz"
    follow = ["track", str(clip), "--mask", str(tmp_path / "clip.mask.png"), "--out", str(tracks)]
    more = ["--camera", str(tmp_path / "clip.camera.toml"), "--overlay", str(tmp_path / "o.mp4")]
    assert cli.main([*follow, *more, "--strain", str(tmp_path / "s.png")]) == 0
    found = Tracks.load(tracks)
    assert found.camera is not None and found.time[-1] == pytest.approx(0.1)
    assert open_video(tmp_path / "o.mp4").frames == 6
    given = ["--points", str(tmp_path / "clip.tracks.npz"), "--force"]
    assert cli.main([*follow, *given]) == 0
    truth, found = Tracks.load(tmp_path / "clip.tracks.npz"), Tracks.load(tracks)
    assert found.pixels.shape == truth.pixels.shape
    assert np.nanmedian(np.linalg.norm(found.pixels - truth.pixels, axis=-1)) < 0.1


def test_a_camera_of_another_rate_is_not_believed(
    tmp_path: Path, refuse: Callable[..., str]
) -> None:
    """Calibrated at 30 Hz, filmed at 240: times would be wrong by 8, a stiffness by 64."""
    clip, told = tmp_path / "clip.mp4", tmp_path / "camera.toml"
    film_clip(box(), front(), clip, film=Film(samples=1))
    save_camera(front(400.0), told)
    words = ["track", clip, "--camera", told, "--grid", "6", "--out", tmp_path / "t.npz"]
    said = refuse(*words)
    assert "clip.mp4 has 50 frames" in said and "camera.toml says 400" in said
    assert cli.main([str(word) for word in [*words, "--frame-rate", "50"]]) == 0
    assert Tracks.load(tmp_path / "t.npz").time[1] == pytest.approx(0.02)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("track a.mp4 --camera a.mp4 --out t.npz", "a.mp4 is not a camera: expected a .toml"),
        ("track a.mp4 --camera . --out t.npz", ". is a folder, expected the .toml"),
        ("track a.mp4 --points a.vtkhdf --out t.npz", "a.vtkhdf is not a file of tracks: exp"),
        ("track a.mp4 --gate 7 --out t.npz", "got a gate of 7, expected a likeness between"),
        ("track a.mp4 --half 2 --out t.npz", "got patches of half 2 px, expected half 4 px"),
        ("track a.mp4 --half 500 --out t.npz", "no place for a patch of 1001 px in the pict"),
        ("track a.mp4 --half 4 --grid 5000 --out t.npz", "ask for 54 or fewer"),
        ("track a.mp4 --features 5000 --out t.npz", "got 5000 features, expected 4000 at most"),
        ("track a.mp4 --out t.txt", "got --out t.txt, expected a file that ends in .npz"),
        ("track a.mp4 --overlay o.gif", "got --overlay o.gif, expected a file that ends in"),
        ("calibrate --camera c.toml --points a.mp4 --out d.toml", "a.mp4 is not a table"),
        ("run drop --mesh a.mp4", "a.mp4 is not a readable mesh: it is damaged or of an unk"),
        ("render a.vtkhdf --out r.mp4 --size 0,0", "--size: got a picture of 0 x 0 px"),
        ("render a.vtkhdf --out r.mp4 --size 321,240", "--size: got a picture of 321 x 240 px"),
        ("render a.vtkhdf --out r.mp4 --frame-rate 0", "--frame-rate: got 0, expected it pos"),
        ("render a.vtkhdf --out r.mp4 --masks r.mp4", "r.mp4 would be written twice"),
        ("render a.vtkhdf --out r.mp4 --masks m.png", "got --masks m.png, expected a file"),
    ],
)  # fmt: skip
def test_bad_files_and_numbers_end_in_a_readable_sentence(
    words: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    refuse: Callable[..., str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    box().save("a.vtkhdf")
    save_camera(front(), "c.toml")
    with VideoWriter("a.mp4", SIZE, 30.0) as writer:
        for number in range(3):
            draw = np.random.default_rng(number)
            writer.write(draw.integers(0, 255, (SIZE[1], SIZE[0], 3), dtype=np.uint8))
    assert said in refuse(*words.split())
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.mp4", "a.vtkhdf", "c.toml"]


def test_masks_that_cannot_be_written_leave_no_clip(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"ends in \.mp4"):
        film_clip(box(), front(), tmp_path / "a.mp4", masks=tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match=r"size = \(0, 0\), expected width"):
        Camera.preset("front", (0, 0, 0), (1, 1, 1), size=(0, 0))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["track", "none.mp4", "--out", "t.npz"], "no video none.mp4"),
        (["track", "none.mp4"], "nothing would be kept"),
        (["track", "none.mp4", "--out", "nowhere/t.npz"], "no folder nowhere"),
        (["render", "none.npz", "--out", "a.mp4"], "none.npz"),
        (["calibrate"], "BOARD-CLIP"),
        (["calibrate", "none.mp4", "--out", "c.toml", "--board", "7by5"], "squares such as 7x5"),
        (["calibrate", "none.mp4", "--out", "c.toml"], "no video none.mp4"),
    ],
)
def test_bad_commands_end_in_a_sentence(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert cli.main(words) == 2
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
