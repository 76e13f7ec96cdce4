# SPDX-License-Identifier: Apache-2.0
"""Points drawn by Warp: which of them a pixel shows, its colour and depth, and beside VTK's own."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from rheograd.kernels.pictures.splatting import LIGHTS
from rheograd.viewer import display, screenshot
from rheograd.viewer.drawing import bodies
from rheograd.viewer.drawing.bodies import Cloud, Particles
from rheograd.viewer.drawing.shading import light
from rheograd.viewer.drawing.splats import Splats, Viewpoint, normals, rgba
from rheograd.viewer.drawing.splatter import Splatter
from rheograd.viewer.palettes import MISSING, sequential
from rheograd.viewer.stage import Stage, plotter_for
from rheograd.viewer.view import describe

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
NEAR, FAR = 1.0, 21.0
EVEN = np.ones((LIGHTS**2, 3)), np.zeros((LIGHTS**2, 3))
"""Light that leaves colours as they are."""


def ahead(size: tuple[int, int] = (40, 30), scale: float = 10.0, **changes: Any) -> Viewpoint:
    """From the origin along -z, without perspective, `scale` pixels a metre."""
    wide, high = size
    projection = np.diag([2 * scale / wide, 2 * scale / high, -2 / (FAR - NEAR), 1.0])
    projection[2, 3] = -(FAR + NEAR) / (FAR - NEAR)
    return Viewpoint(
        **{
            "view": np.eye(4), "projection": projection, "near": NEAR, "far": FAR, "size": size,
            **changes,
        }
    )  # fmt: skip


def perspective(size: tuple[int, int] = (40, 30), scale: float = 40.0) -> Viewpoint:
    """The same with `scale` pixels a metre at a depth of 1 m."""
    wide, high = size
    projection = np.zeros((4, 4))
    projection[0, 0], projection[1, 1], projection[3, 2] = 2 * scale / wide, 2 * scale / high, -1
    projection[2, 2] = -(FAR + NEAR) / (FAR - NEAR)
    projection[2, 3] = -2 * FAR * NEAR / (FAR - NEAR)
    return ahead(size, projection=projection)


def numbered(count: int) -> np.ndarray:
    """Colours (count, 3), uint8, that tell which point has which."""
    number = np.arange(1, count + 1)
    return np.stack([number >> 16, (number >> 8) & 255, number & 255], -1).astype(np.uint8)


def which(picture: np.ndarray) -> np.ndarray:
    """Of `numbered` points, which each pixel shows (height, width), under EVEN light; -1: none."""
    red, green, blue, _ = np.moveaxis(rgba(picture).astype(int), -1, 0)
    return (red * 256 + green) * 256 + blue - 1


def splats(x: Any, colours: Any, radius: float, **how: Any) -> Splats:
    out = Splats(device="cpu", **how)
    out.light(*EVEN)
    out.place(np.array(x, np.float32).reshape(-1, 3), radius)
    out.paint(np.array(colours, np.uint8).reshape(-1, 3))
    return out


class TestSplats:
    @pytest.mark.parametrize("order", [(0, 1), (1, 0)])
    @pytest.mark.parametrize("viewpoint", [ahead(), perspective()], ids=["parallel", "perspective"])
    def test_the_nearer_of_two_is_in_front(
        self, viewpoint: Viewpoint, order: tuple[int, int]
    ) -> None:
        x, colours = np.array([[0, 0, -5], [0.0, 0, -4]]), np.array([RED, GREEN])
        drawn = splats(x[list(order)], colours[list(order)], 0.2)
        picture = rgba(drawn.draw(viewpoint))
        np.testing.assert_array_equal(picture[15, 20], [*GREEN, 255])
        assert not (picture[..., 0] > 0).any()

    def test_spheres_that_cross_each_hide_the_other_in_part(self) -> None:
        shown = which(splats([[-0.3, 0, -5], [0.3, 0, -5]], numbered(2), 0.6).draw(ahead()))
        assert shown[15, [8, 14, 19, 20, 25, 31]].tolist() == [-1, 0, 0, 1, 1, -1]

    def test_of_two_in_one_place_the_first_shows(self) -> None:
        for threads in (1, 2):
            drawn = splats([[0, 0, -5]] * 40, [RED] + [GREEN] * 39, 0.2, threads=threads)
            assert rgba(drawn.draw(ahead()))[15, 20].tolist() == [*RED, 255]

    @pytest.mark.parametrize("radius", [0.3, 0.55, 0.07])
    def test_footprint_and_depth_of_a_sphere(self, radius: float) -> None:
        centre = np.array([0.314, -0.223, -6.0])
        picture = splats(centre, [BLUE], radius).draw(ahead())
        j, i = np.mgrid[0:30, 0:40]
        x, y = (i + 0.5 - 20) / 10, (j + 0.5 - 15) / 10
        square = radius**2 - (x - centre[0]) ** 2 - (y - centre[1]) ** 2
        inside = square > 0
        if radius < 0.075:  # narrower than a pixel and a half
            inside = (np.floor(10 * x) == 3) & (np.floor(10 * y) == -3)
            square = np.full_like(square, radius**2)
        np.testing.assert_array_equal(picture[..., 2] == 1, inside)
        distance = 6.0 - np.sqrt(np.maximum(square, 0))
        expected = np.where(inside, (distance - NEAR) / (FAR - NEAR), 1.0)
        np.testing.assert_allclose(picture[..., 0], expected, atol=1e-6)

    def test_a_sphere_in_perspective_is_where_rays_hit_it(self) -> None:
        centre, radius = np.array([1.4, 0.9, -6.0]), 0.3
        viewpoint = perspective((200, 160), 300.0)
        picture = splats(centre, [BLUE], radius).draw(viewpoint)
        j, i = np.mgrid[0:160, 0:200]
        ray = np.stack([(i + 0.5 - 100) / 300, (j + 0.5 - 80) / 300, -np.ones(i.shape)], -1)
        a, b = (ray**2).sum(-1), ray @ centre
        square = b**2 - a * (centre @ centre - radius**2)
        hit = square > 0
        seen = picture[..., 2] == 1
        assert hit.sum() > 600
        assert (hit != seen).sum() <= 2  # by rounding
        both = hit & seen
        distance = ((b - np.sqrt(np.maximum(square, 0))) / a)[both]
        depth = (FAR * (distance - NEAR)) / (distance * (FAR - NEAR))
        error = np.abs(picture[..., 0][both] - depth) * distance**2 * (FAR - NEAR) / (FAR * NEAR)
        assert np.quantile(error, 0.99) < 1e-4 * radius

    def test_colours_are_those_of_the_light_on_the_normal(self) -> None:
        drawn = splats([[0, 0, -5]], [[200, 100, 50]], 1.0)
        drawn.light(0.5 + 0.5 * normals()[:, :1] * [1, 1, 1], np.full((LIGHTS**2, 3), 10.0))
        picture = rgba(drawn.draw(ahead()))
        for i in (12, 20, 27):
            gain = 0.5 + 0.5 * (i + 0.5 - 20) / 10
            expected = 10 + gain * np.array([200, 100, 50])
            np.testing.assert_allclose(picture[15, i, :3], expected, atol=3)

    def test_values_are_coloured_as_by_the_palette(self) -> None:
        values = np.array([-1.0, 0.0, 0.5, 2.0, np.nan])
        x = [[k - 2.0, 0, -5] for k in range(5)]
        drawn = splats(x, np.zeros((5, 3)), 0.2)
        table = sequential()
        drawn.paint_by(values, table, (0.0, 1.0))
        picture = rgba(drawn.draw(ahead((60, 30))))
        seen = picture[15, [10, 20, 30, 40, 50], :3]
        np.testing.assert_array_equal(seen, [table[0], table[0], table[128], table[-1], MISSING])

    @pytest.mark.parametrize(
        "x",
        [
            [0, 0, 5],
            [0, 0, 0],
            [0, 0, -0.5],
            [0, 0, -22],
            [3, 0, -5],
            [-3, 0, -5],
            [0, 2.5, -5],
            [0, -2.5, -5],
            [np.nan, 0, -5],
            [0, np.inf, -5],
        ],
    )
    @pytest.mark.parametrize("viewpoint", [ahead(), perspective()], ids=["parallel", "perspective"])
    def test_what_is_not_before_the_camera_is_not_drawn(
        self, x: list[float], viewpoint: Viewpoint
    ) -> None:
        if viewpoint.projection[3, 2] and abs(x[0]) + abs(x[1]) > 2:
            x = [*(2 * np.array(x[:2])), x[2]]
        drawn = splats([x], [RED], 0.2)
        assert not drawn.draw(viewpoint)[..., 2].any()

    def test_a_sphere_at_the_rim_is_cut(self) -> None:
        for x, y in ((2, 0), (-2, 0), (0, 1.5), (0, -1.5), (2, 1.5)):
            picture = splats([[x, y, -5]], [RED], 0.5).draw(ahead())[..., 2]
            whole = np.pi * 5**2
            assert picture.sum() == pytest.approx(whole / (4 if x and y else 2), rel=0.1)

    def test_none_at_all(self) -> None:
        drawn = Splats(device="cpu")
        picture = drawn.draw(ahead())
        assert picture.shape == (30, 40, 3)
        assert not rgba(picture).any()

    @pytest.mark.parametrize(("dtype", "far"), [(np.float32, 4096.0), (np.float64, 1e7)])
    def test_far_from_the_origin(self, dtype: Any, far: float) -> None:
        """Where the points' own precision allows it, the picture is as near the origin."""
        rng = np.random.default_rng(1)
        x = (np.round(rng.uniform(-1, 1, (50, 3)) * 64) / 64 - [0, 0, 6]).astype(dtype)
        colours, shift = rng.integers(0, 256, (50, 3)), np.array([far, -far, far])
        drawn = splats(x, colours, 0.15)
        near = drawn.draw(perspective())
        view = np.eye(4)
        view[:3, 3] = -shift
        drawn.place((x + shift).astype(dtype), 0.15)
        moved = drawn.draw(ahead(projection=perspective().projection, view=view))
        np.testing.assert_array_equal(moved, near)

    @pytest.mark.parametrize("radius", [0.01, 0.06, 0.4])
    def test_what_is_left_out_as_hidden_changes_nothing(self, radius: float) -> None:
        """Against the nearest sphere of all by NumPy, in pixels that rims do not cross."""
        rng = np.random.default_rng(2)
        x = rng.uniform([-2.2, -1.7, -8], [2.2, 1.7, -4], (3000, 3)).astype(np.float32)
        drawn = splats(x, numbered(len(x)), radius)
        viewpoint = ahead((80, 60), 20.0)
        pictures = [drawn.draw(viewpoint).copy() for _ in range(2)]
        np.testing.assert_array_equal(pictures[0], pictures[1])
        j, i = np.mgrid[0:60, 0:80]
        flat = np.stack([(i + 0.5 - 40) / 20, (j + 0.5 - 30) / 20], -1)[:, :, None]
        square = radius**2 - ((flat - x[:, :2]) ** 2).sum(-1)
        if radius == 0.01:
            inside = (np.floor(20 * flat) == np.floor(20 * x[:, :2])).all(-1)
            distance = np.where(inside, -x[:, 2] - radius, np.inf)
        else:
            distance = np.where(square > 0, -x[:, 2] - np.sqrt(np.maximum(square, 0)), np.inf)
        seen = np.where(np.isfinite(distance.min(-1)), distance.argmin(-1), -1)
        assert (which(pictures[1]) != seen).mean() < 1e-3

    def test_threads_and_frames_before_change_nothing(self) -> None:
        rng = np.random.default_rng(3)
        first, second = rng.uniform([-2, -1.5, -9], [2, 1.5, -3], (2, 40_000, 3)).astype(np.float32)
        colours = rng.integers(0, 256, (40_000, 3))
        one, two = (splats(first, colours, 0.04, threads=k) for k in (1, 2))
        for x in (first, second, first):
            pictures = []
            for drawn in (one, two, splats(x, colours, 0.04, threads=1)):
                drawn.place(x, 0.04)
                pictures.append(drawn.draw(ahead((160, 120), 40.0)).copy())
            np.testing.assert_array_equal(pictures[0], pictures[1])
            np.testing.assert_array_equal(pictures[0], pictures[2])

    def test_refusals(self) -> None:
        drawn = Splats(device="cpu")
        with pytest.raises(ValueError, match=r"got x of shape \(4, 2\) with radius 1, expected"):
            drawn.place(np.zeros((4, 2)), 1.0)
        with pytest.raises(ValueError, match="a positive radius"):
            drawn.place(np.zeros((4, 3)), 0.0)
        drawn.place(np.zeros((4, 3)), 1.0)
        with pytest.raises(ValueError, match="colours of points: got 0, expected one for each of"):
            drawn.draw(ahead())
        drawn.paint(np.zeros((4, 3)))
        with pytest.raises(ValueError, match=r"got float32 of shape \(40, 30, 3\), expected"):
            drawn.draw(ahead(), np.zeros((40, 30, 3), np.float32))


@pytest.fixture
def drawing() -> None:
    """Skip where nothing can be drawn."""
    if not display.render_window():
        pytest.skip("nothing can be drawn here: install libegl1 and libgl1-mesa-dri, or libosmesa6")


def spheres(x: np.ndarray, colours: np.ndarray, radius: float) -> Any:
    """The same by VTK."""
    import pyvista
    from vtkmodules.vtkRenderingCore import vtkActor
    from vtkmodules.vtkRenderingOpenGL2 import vtkOpenGLSphereMapper

    data: Any = pyvista.PolyData(x)
    data.point_data["colour"] = colours
    data.point_data["radius"] = np.full(len(x), radius, np.float32)
    data.GetPointData().SetActiveScalars("colour")
    mapper, actor = vtkOpenGLSphereMapper(), vtkActor()
    mapper.SetInputData(data)
    mapper.SetScaleArray("radius")
    mapper.SetColorModeToDirectScalars()
    actor.SetMapper(mapper)
    return actor


def scene(x: np.ndarray, colours: np.ndarray, radius: float, *, splatted: bool) -> tuple[Any, Any]:
    """A plotter of two panels with points, a solid box and a pale sheet in the right one."""
    import pyvista

    plotter: Any = pyvista.Plotter(
        off_screen=True, notebook=False, shape=(1, 2), window_size=[400, 240], border=False
    )
    plotter.render_window.SetMultiSamples(0)
    plotter.subplot(0, 1)
    renderer = plotter.renderer
    renderer.SetBackground(1, 1, 1)
    plotter.add_mesh(pyvista.Box((-0.2, 0.2, -0.2, 0.2, -0.2, 0.2)), color="grey")
    plotter.add_mesh(pyvista.Plane(direction=(1, 0, 0)), color="blue", opacity=0.4)
    splatter = None
    if splatted:
        splatter = Splatter(renderer)
        splatter.place(x, radius)
        splatter.paint(colours)
    actor = splatter.actor if splatter is not None else spheres(x, colours, radius)
    light(actor)
    renderer.AddActor(actor)
    plotter.camera_position = [(1.5, 1.0, 2.2), (0, 0, 0), (0, 1, 0)]
    plotter.camera.view_angle = 26
    renderer.ResetCameraClippingRange(-1, 1, -1, 1, -1, 1)
    return plotter, splatter


def drawn(plotter: Any) -> np.ndarray:
    """The right panel, (height, width, 3), and the plotter stays open."""
    plotter.render_window.Render()
    return np.asarray(plotter.screenshot(return_img=True))[:, 200:].astype(int)


@pytest.mark.usefixtures("drawing")
class TestBesideVTK:
    @pytest.mark.parametrize("parallel", [False, True])
    @pytest.mark.parametrize("radius", [0.02, 0.08])
    def test_the_picture_is_that_of_spheres(self, radius: float, parallel: bool) -> None:
        rng = np.random.default_rng(0)
        x = rng.uniform(-0.5, 0.5, (120, 3)).astype(np.float32)
        colours = rng.integers(0, 256, (120, 3)).astype(np.uint8)
        pictures = []
        for splatted in (False, True):
            plotter, _ = scene(x, colours, radius, splatted=splatted)
            plotter.camera.parallel_projection = parallel
            plotter.camera.parallel_scale = 0.7
            pictures.append(drawn(plotter))
            plotter.close()
        difference = np.abs(pictures[0] - pictures[1]).max(-1)
        covered = (pictures[0] != 255).any(-1)
        assert np.median(difference[covered]) <= 2
        # of a rim, one pixel may be on the other side
        assert (difference[covered] > 40).mean() < 0.005
        assert _thickest(difference > 40) <= 1

    def test_it_follows_camera_points_colours_and_size(self) -> None:
        x = np.array([[0.0, 0.35, 0.0]], np.float32)
        plotter, splatter = scene(x, np.array([RED], np.uint8), 0.1, splatted=True)
        counts = []

        def red(picture: np.ndarray) -> int:
            return int((picture[..., 0] - picture[..., 1:].max(-1) > 40).sum())

        counts.append(red(drawn(plotter)))
        plotter.camera.zoom(1.2)
        counts.append(red(drawn(plotter)))
        assert counts[1] == pytest.approx(1.44 * counts[0], rel=0.1)
        splatter.paint(np.array([BLUE], np.uint8))
        assert red(drawn(plotter)) == 0
        splatter.paint(np.array([RED], np.uint8))
        splatter.place(x, 0.05)
        assert red(drawn(plotter)) == pytest.approx(counts[1] / 4, rel=0.1)
        plotter.render_window.SetSize(400, 480)
        plotter.render_window.Render()
        assert splatter.splats._size == (200, 480)
        splatter.actor.SetVisibility(False)
        assert red(drawn(plotter)) == 0
        plotter.close()


def _thickest(picture: np.ndarray) -> int:
    """How often the set pixels can be worn off from all sides before none is left, less one."""
    from scipy.ndimage import binary_erosion

    for count in range(20):
        if not picture.any():
            return count
        picture = binary_erosion(picture)
    return 20


def dam(side: int) -> SimpleNamespace:
    """A cube of particles that moves, beside a collider."""
    line = (np.arange(side) + 0.5) / side * 0.4 + 0.3
    rest = np.stack(np.meshgrid(line, line, line, indexing="ij"), -1).reshape(-1, 3)
    x = np.stack([rest - [0, 0.05 * k, 0] for k in range(3)]).astype(np.float32)
    metadata = {
        "domain": "[[0, 0, 0], [1, 1, 1]]",
        "gravity": "[0, -9.8, 0]",
        "spacing": str(0.4 / side),
        "colliders": json.dumps([{"kind": "sphere", "centre": [0.6, 0.3, 0.8], "radius": 0.12}]),
    }
    v = np.broadcast_to(rest.astype(np.float32), x.shape)
    return SimpleNamespace(x=x, v=v, time=np.arange(3.0), metadata=metadata)


@pytest.mark.usefixtures("drawing")
class TestViewer:
    def test_a_picture_of_a_cloud_is_that_of_spheres(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(bodies, "without_gpu", lambda: True)
        run, pictures = dam(24), []
        for many in (10**9, 1000):
            monkeypatch.setattr(bodies, "_MANY", many)
            pictures.append(screenshot(run, frame=1, size=(320, 240)).astype(int))
        difference = np.abs(pictures[0] - pictures[1]).max(-1)
        assert (pictures[0] != pictures[1]).any()
        assert (difference > 24).mean() < 0.01
        assert difference.mean() < 1

    def test_many_are_a_cloud_where_there_is_no_gpu(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(bodies, "_MANY", 500)
        view, kinds = describe(dam(8)), []
        for software, most in ((True, None), (False, None), (False, 200), (True, 600)):
            monkeypatch.setattr(bodies, "without_gpu", lambda software=software: software)
            plotter = plotter_for(view, (200, 150), off_screen=True)
            body = Stage(plotter, view, most=most).bodies[0]
            kinds.append((type(body), body.share))
            plotter.close()
        assert kinds == [(Cloud, 1.0), (Particles, 1.0), (Particles, 200 / 512), (Cloud, 1.0)]

    def test_particles_out_of_sight(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(bodies, "_MANY", 100)
        monkeypatch.setattr(bodies, "without_gpu", lambda: True)
        base = dam(8)
        hidden = base.x.copy()
        hidden[1, ::2] = np.nan
        assert screenshot(SimpleNamespace(**{**vars(base), "x": hidden}), frame=1).any()
        hidden[1] = np.nan
        gone = screenshot(SimpleNamespace(**{**vars(base), "x": hidden}), frame=1, size=(320, 240))
        there = screenshot(base, frame=1, size=(320, 240))
        assert (gone != there).any(-1).mean() > 0.01


class TestWithoutGPU:
    @pytest.mark.parametrize(
        ("driver", "expected"),
        [
            ("llvmpipe (LLVM 15.0.6, 256 bits)", True),
            ("softpipe", True),
            ("NVIDIA H100/PCIe/SSE2", False),
            ("Mesa Intel(R) UHD Graphics 620 (KBL GT2)", False),
        ],
    )
    def test_is_told_by_the_driver(
        self, driver: str, expected: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        told = f"render window: vtkEGLRenderWindow\\nOpenGL renderer string:  {driver}"
        monkeypatch.setattr(display, "_PROBE", f"print('{told}')")
        display._probe.cache_clear()
        assert display.without_gpu() is expected
        assert display.render_window() == "vtkEGLRenderWindow"
        display._probe.cache_clear()
