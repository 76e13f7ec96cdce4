# SPDX-License-Identifier: Apache-2.0
"""What all tests share: seeds, threads, the gpu marker and the reference data."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from command_line import SMALL

ROOT = Path(__file__).resolve().parent.parent

os.environ.setdefault("MPLBACKEND", "Agg")
if "PYTEST_XDIST_WORKER" in os.environ:
    torch.set_num_threads(1)
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # started in the background of a script: what tests start would be deaf to Ctrl-C too
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests marked gpu on a machine without one."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if marked and not torch.cuda.is_available():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Every test starts from the same random state, whatever ran before it."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def reference_data() -> Callable[[str], Path]:
    """A function from a name such as "nclaw/jelly.npz" to its path; skips where there is no data.

    The folder is RHEOGRAD_REFERENCE_DATA, by default ../shared/data beside the repository.
    """
    folder = Path(os.environ.get("RHEOGRAD_REFERENCE_DATA", ROOT.parent / "shared" / "data"))

    def path(name: str) -> Path:
        found = folder / name
        if not found.exists():
            pytest.skip(f"no reference data {found}: set RHEOGRAD_REFERENCE_DATA to their folder")
        return found

    return path


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of six small bodies of jelly that fall on a floor."""
    from rheograd.scenes.cli import main

    out = tmp_path_factory.mktemp("reduced") / "data"
    words = "dataset drop --n 6 --frames 16 --duration 0.32 --cell 0.0625 --processes 1 --seed 3"
    assert main([*words.split(), "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="session")
def tiny_operator(tiny_data: Path) -> Path:
    """An operator that was trained on that for a second."""
    from rheograd.scenes.cli import main

    out = tiny_data.with_name("tiny.safetensors")
    assert main(["reduce", str(tiny_data), "--size", "tiny", "--out", str(out)]) == 0
    return out


@pytest.fixture
def small(tmp_path: Path) -> str:
    """A scene of one's own that takes milliseconds."""
    path = tmp_path / "small.py"
    path.write_text(SMALL)
    return str(path)


@pytest.fixture
def refuse(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a command that must end with 2 (or `code`), and give its one sentence."""

    from rheograd.scenes.cli import main

    def run(*words: object, code: int = 2) -> str:
        status = main([str(word) for word in words])
        said = capsys.readouterr()
        assert status == code, said.err
        before = ("warning:", "small:", "opening ")
        lines = [n for n in said.err.splitlines() if not n.startswith(before)]
        assert len(lines) == 1, said.err
        assert lines[0].startswith("error: ")
        return lines[0].removeprefix("error: ")

    return run
