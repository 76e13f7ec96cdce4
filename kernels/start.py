# SPDX-License-Identifier: Apache-2.0
"""Warp started once, in the thread that imports, without the line on a machine that has no GPU.

Warp's native library writes that line to the file descriptor of the standard error, whatever the
log level is; all else that comes meanwhile is written out afterwards.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import warp as wp

ABSENT = b"Could not find or load the NVIDIA CUDA driver"
"""What is no news on a machine without a GPU; who asks for one is refused by the device's name."""
STDERR = 2


@contextmanager
def without_line(words: bytes) -> Iterator[None]:
    """Leave out lines with these words of what is written to the standard error meanwhile."""
    try:
        kept = os.dup(STDERR)
    except OSError:  # it is closed
        yield
        return
    try:
        held = tempfile.TemporaryFile()
    except OSError:  # there is no place for it, which is no reason not to start
        os.close(kept)
        yield
        return
    with held:
        os.dup2(held.fileno(), STDERR)
        try:
            yield
        finally:
            os.dup2(kept, STDERR)
            os.close(kept)
            held.seek(0)
            lines = [line for line in held.read().splitlines(True) if words not in line]
            if lines:
                os.write(STDERR, b"".join(lines))


def start() -> None:
    """Initialize Warp, which then tells of warnings, but not of what it finds on the machine."""
    wp.config.log_level = wp.LOG_ERROR
    with without_line(ABSENT):
        wp.init()
    wp.config.log_level = wp.LOG_WARNING
