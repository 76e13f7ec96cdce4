# SPDX-License-Identifier: Apache-2.0
"""The command that does a finished job again."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path


def repeated(program: str, tokens: Sequence[str], out: Path) -> str:
    """The same command line, from the start and into a folder that is not there yet.

    Args:
        program: Such as "rheograd fit".
        tokens: What followed it.
        out: The folder that it wrote to.
    """
    kept, skip = [], False
    for token in tokens:
        if skip or token == "--out":
            skip = not skip
        elif token != "--resume" and not token.startswith("--out="):
            kept.append(token)
    name, number = f"{out.name}-again", 2
    while out.with_name(name).exists():
        name, number = f"{out.name}-again-{number}", number + 1
    return shlex.join([*program.split(), *kept, "--out", str(out.with_name(name))])
