# SPDX-License-Identifier: Apache-2.0
"""Several processes of one program, as torchrun starts them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

STRICT = (
    sys.executable,
    *("-W", "error"),
    *("-W", "ignore:Implicitly cleaning up <TemporaryDirectory:ResourceWarning"),
)
"""Python that warns by failing, but for what Warp leaves where it compiles: headers, at the end."""


class Ended(NamedTuple):
    """How a process ended."""

    code: int
    out: str
    err: str


def start(program: Path, size: int, words: Sequence[str] = ()) -> list[subprocess.Popen[str]]:
    """The processes of a team, each running the program."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {
        **os.environ, "WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    return [
        subprocess.Popen(
            [sys.executable, str(program), *words], text=True,
            env={**common, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for rank in range(size)
    ]  # fmt: skip


def ends(processes: Sequence[subprocess.Popen[str]], seconds: float = 120.0) -> list[Ended]:
    """Wait for all; kill those that do not end."""
    try:
        said = [process.communicate(timeout=seconds) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [Ended(p.returncode, *words) for p, words in zip(processes, said, strict=True)]
