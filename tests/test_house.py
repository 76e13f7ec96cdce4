# SPDX-License-Identifier: Apache-2.0
"""The installed project: its import name, its command, its style."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LAYERS = ("kernels", "materials", "engine", "viewer", "scenes")

HELP = """
import sys
sys.argv = ["rheograd", "--help"]
from rheograd.scenes.cli import main
try:
    status = main()
except SystemExit as end:
    status = end.code
heavy = {"torch", "warp", "scipy", "h5py", "pyvista", "vtk", "vtkmodules", "matplotlib", "trimesh",
         "meshio", "cv2", "av", "ezc3d", "imageio", "safetensors"} & set(sys.modules)
sys.exit(f"imported {sorted(heavy)}" if heavy else status)
"""


@pytest.mark.parametrize("layer", LAYERS)
def test_import_name_is_the_folder(layer: str) -> None:
    module = importlib.import_module(f"rheograd.{layer}")
    assert Path(module.__path__[0]).resolve() == ROOT / layer


def test_there_is_one_copy_of_each_package() -> None:
    """Nothing has imported a package by its folder's name."""
    for layer in LAYERS:
        module = sys.modules.get(layer)
        path = getattr(module, "__file__", None) or ""
        assert not path.startswith(str(ROOT)), (
            f"{path} is loaded as {layer}: write rheograd.{layer}"
        )


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    """`rheograd --help` has to answer at once; a clock would depend on the machine."""
    done = subprocess.run(
        [sys.executable, "-c", HELP], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    for command in ("run", "fit", "view", "demo", "bench"):
        assert command in done.stdout


def test_command_is_installed() -> None:
    (script,) = importlib.metadata.entry_points(group="console_scripts", name="rheograd")
    assert script.value == "rheograd.scenes.cli:main"


@pytest.mark.parametrize("arguments", [["check"], ["format", "--check"]], ids=["lint", "format"])
def test_style(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ruff", *arguments, "--no-cache", "."],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_wheel_holds_every_module(tmp_path: Path) -> None:
    source = tmp_path / "source"
    skip = shutil.ignore_patterns("__pycache__")
    for layer in LAYERS:
        shutil.copytree(ROOT / layer, source / layer, ignore=skip)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = "import sys, setuptools.build_meta as b; b.build_wheel(sys.argv[1])"
    subprocess.run(
        [sys.executable, "-c", build, str(tmp_path)], cwd=source, check=True, capture_output=True
    )
    (wheel,) = tmp_path.glob("*.whl")
    held = {name for name in zipfile.ZipFile(wheel).namelist() if "dist-info" not in name}
    files = [path for layer in LAYERS for path in (source / layer).rglob("*") if path.is_file()]
    assert held == {f"rheograd/{path.relative_to(source).as_posix()}" for path in files}


def test_old_python_is_refused_with_a_remedy(tmp_path: Path) -> None:
    if shutil.which("make") is None:
        pytest.skip("no make")
    python = tmp_path / "python3"
    python.write_text('#!/bin/sh\ntest "$1" = --version && echo Python 3.9.2 && exit\nexit 1\n')
    python.chmod(0o755)
    done = subprocess.run(
        ["make", "test", f"PYTHON={python}", f"VENV={tmp_path / 'venv'}"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert "Python 3.9.2" in done.stderr
    assert "3.11 or newer" in done.stderr
    assert "make PYTHON=" in done.stderr


def test_continuous_integration_runs_the_documented_command() -> None:
    documented = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "make test" in documented
    assert "make test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
