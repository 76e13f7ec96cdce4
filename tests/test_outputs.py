# SPDX-License-Identifier: Apache-2.0
"""No command writes over what it reads, and none replaces a file unasked."""

from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import pytest

from rheograd.scenes.outputs import read_by, require_new

COMMANDS = (
    "track a.mp4 --out t.npz --overlay a.mp4",
    "track a.mp4 --mask m.png --strain m.png",
    "track a.mp4 --mask m.png --out ./../{here}/t.npz --points t.npz",
    "track pictures --frame-rate 30 --strain pictures/0.png",
    "shape m.png --camera c.toml --kind box --overlay m.png",
    "shape m.png m.png --camera c.toml c.toml --kind box --json c.toml",
    "calibrate a.mp4 --camera c.toml --out c.toml",
    "calibrate --camera c.toml --points p.csv --out c.toml",
    "calibrate pictures --frame-rate 30 --out d.toml --print pictures/0.png",
    "render t.npz --camera a.camera.toml --out a.mp4",
    "run drop --law law.safetensors --out law.safetensors",
    "run drop --law law.py:Law --json law.py",
    "run drop --mesh body.ply --out body.ply",
    "run drop --micro fe2:body.ply --json body.ply",
    "rve body.ply --strain 0,0,0 --json body.ply",
    "rve cell --strain 0,0,0 --json cell/nodes.csv",
)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    names = "a.mp4 m.png t.npz c.toml p.csv a.camera.toml law.safetensors law.py body.ply"
    for folder in ("pictures", "cell"):
        (tmp_path / folder).mkdir()
    for name in (*names.split(), "pictures/0.png", "cell/nodes.csv"):
        (tmp_path / name).write_text(f"kept: {name}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS)
def test_what_a_command_reads_is_never_written_over(
    command: str, files: Path, refuse: Callable[..., str]
) -> None:
    words = command.format(here=files.name).split()
    forced = [] if words[0] == "rve" else ["--force"]
    assert "read by this command" in refuse(*words, *forced)
    for file in files.rglob("*.*"):
        assert file.read_text() == f"kept: {file.relative_to(files)}"


def test_a_fit_does_not_write_over_the_law_that_it_starts_from(
    files: Path, refuse: Callable[..., str]
) -> None:
    words = ("fit", "drop", "t.npz", "--law", "law.safetensors", "--out", ".")
    assert "law.safetensors is read by this command" in refuse(*words)


def test_a_file_is_known_by_any_name(files: Path) -> None:
    (files / "link.mp4").symlink_to(files / "a.mp4")
    (files / "hard.mp4").hardlink_to(files / "a.mp4")
    for name in ("link.mp4", "hard.mp4", "pictures/../a.mp4"):
        with pytest.raises(ValueError, match="read by this command"):
            require_new([files / name], force=True, inputs=[Path("a.mp4")])
    require_new([files / "pictures" / "new.png"], force=False, inputs=[files / "pictures"])
    with pytest.raises(ValueError, match="written twice"):
        require_new([files / "b.mp4", Path("b.mp4")], force=True)
    with pytest.raises(ValueError, match="pictures is a folder"):
        require_new([files / "pictures"], force=True)


def test_words_that_name_files_are_found(files: Path) -> None:
    found = Namespace(out=Path("o.npz"), law="law.py:law.safetensors", masks=[Path("m.png")],
                      phase=["matrix=body.ply"], camera="front", n=3)  # fmt: skip
    named = {path.name for path in read_by(found, ("out",))}
    assert named == {"law.py", "law.safetensors", "m.png", "body.ply"}
