# SPDX-License-Identifier: Apache-2.0
"""Warp starts without a word about a machine that has no GPU, and with every other word."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from rheograd.kernels.start import ABSENT, without_line


def test_only_that_line_is_left_out(capfd: pytest.CaptureFixture[str]) -> None:
    with without_line(ABSENT):
        os.write(2, b"first\nWarp CUDA warning: " + ABSENT + b". And so on.\nlast\n")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "first\nlast\nafter\n"


def test_an_error_meanwhile_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError), without_line(ABSENT):
        os.write(2, b"why\n")
        raise RuntimeError
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "why\nafter\n"


def test_a_program_starts_in_silence() -> None:
    code = "import os, rheograd.kernels.dtypes; os.write(2, b'here')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"", b"here")


def test_without_a_standard_error() -> None:
    code = "import os; os.close(2); import rheograd.kernels.dtypes as d; print(d.types.__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout == b"types\n"
