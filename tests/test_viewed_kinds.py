# SPDX-License-Identifier: Apache-2.0
"""Each kind of run opens in the viewer: meshes, plane cells, reduced runs, markers alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import imageio.v3
import numpy as np
import pytest
from test_ghosts import WATCHED
from test_window import opened

from rheograd.engine.trajectory import open_trajectory
from rheograd.scenes.cli import DONE, main
from rheograd.viewer import display
from rheograd.viewer.view import describe

RUNS = {
    "plane cells": "run rve --across 1 --kind quad4 --out run.vtkhdf",
    "mesh": "run cantilever --elements hex8 --n 3 --out run.vtkhdf",
}
FIELDS = {"plane cells": "von Mises stress", "mesh": "von Mises stress"}


def made(
    kind: str, folder: Path, request: pytest.FixtureRequest, data: Callable[[str], Path]
) -> Path:
    """A file of a kind."""
    if kind == "markers":
        return data("beam/beam_gravity_V2_a.c3d")
    words = RUNS.get(kind, "").split()
    if kind == "reduced run":
        law = request.getfixturevalue("tiny_operator")
        words = f"run drop --reduced {law} --points 3000 --duration 0.3 --frames 6".split()
        words += ["--out", "run.vtkhdf"]
    assert main(words) == DONE
    return folder / "run.vtkhdf"


@pytest.mark.parametrize("kind", ["plane cells", "mesh", "reduced run", "markers"])
def test_opens(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch,
    reference_data: Callable[[str], Path],
) -> None:  # fmt: skip
    if not display.render_window():
        pytest.skip("nothing can be drawn here: install libegl1 and libgl1-mesa-dri, or libosmesa6")
    monkeypatch.chdir(tmp_path)
    file = made(kind, tmp_path, request, reference_data)
    field = FIELDS.get(kind, "displacement")
    words = ["view", str(file), "--colour", field, "--size", "640,480"]
    assert main([*words, "--screenshot", "last.png"]) == DONE
    shown = imageio.v3.imread("last.png")[:380]
    colours = np.ptp(shown.astype(int), axis=-1) > 60
    assert colours.sum() > (300 if kind == "markers" else 1000)
    tall, wide = (int(np.ptp(np.flatnonzero(colours.any(axis)))) for axis in (1, 0))
    if kind == "plane cells":  # seen face to face: a square, but for its strain
        assert wide / tall == pytest.approx(1.02 / 0.99, abs=0.02)
    with opened(tmp_path, WATCHED.format(words=words)) as window:
        assert window.until(lambda told: told["frame"] == 0)["field"] == field
        before = window.seen()
        window.do("key", "End")
        last = len(open_trajectory(file)) - 1
        window.until(lambda told: told["frame"] == last)
        window.until_seen_otherwise(before)
        window.do("key", "Escape")
        assert window.process.wait(10) == 0
        said = window.log.with_suffix(".err").read_text().splitlines()
        said = [line for line in said if not line.startswith("Warp CUDA warning")]
        assert said == [f"opening {file} ..."]


def test_what_stands_still_is_coloured_by_its_displacement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(RUNS["plane cells"].split()) == DONE
    view = describe("run.vtkhdf")
    assert (view.field, view.facing) == ("displacement", 1)
    assert view.scale("displacement").limits[1] > 0
