# SPDX-License-Identifier: Apache-2.0
"""The command line: one file a command in commands/, found by walking it.

Exit codes: 0 done, 1 failed, 2 bad input, 130 stopped from the keyboard. An error is one sentence
on stderr; --debug shows the traceback.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import sys
import traceback
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from rheograd.engine.suggestion import did_you_mean

from .options import Parser

DONE, FAILED, BAD_INPUT, STOPPED = 0, 1, 2, 130

NOTE = "exit codes: 0 done, 1 failed, 2 bad input; --debug shows where an error came from"


def commands() -> dict[str, ModuleType]:
    """Every command by name; none imports anything heavy on load."""
    folder = Path(__file__).with_name("commands")
    names = sorted(module.name for module in pkgutil.iter_modules([str(folder)]))
    found = {n: importlib.import_module(f"rheograd.scenes.commands.{n}") for n in names}
    return dict(sorted(found.items(), key=lambda item: item[1].RANK))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    Args:
        arguments: Words of the command line; those of the process if None.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    try:
        with warnings.catch_warnings():
            warnings.showwarning = Warner()
            return _dispatch(words)
    except SystemExit as end:  # --help and --version of argparse
        return int(end.code or 0)
    except KeyboardInterrupt as stop:
        if not _leads():
            return STOPPED
        return _say(str(stop) or "stopped", debug, STOPPED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except (ValueError, OSError) as error:
        return _say(_sentence(error), debug, BAD_INPUT)
    except Exception as error:
        return _say(_sentence(error), debug, FAILED)


def _leads() -> bool:
    """Whether this process is alone, or the one of several that speaks."""
    return os.environ.get("WORLD_SIZE", "1") == "1" or os.environ.get("RANK", "0") == "0"


def _dispatch(words: Sequence[str]) -> int:
    if not words or words[0] in ("-h", "--help"):
        print(_overview(), end="")
        return DONE if words else BAD_INPUT
    if words[0] == "--version":
        from importlib.metadata import version

        print(f"rheograd {version('rheograd')}")
        return DONE
    known = commands()
    if words[0] not in known:
        raise ValueError(
            f"unknown command {words[0]!r}{did_you_mean(words[0], known)}: there are"
            f" {', '.join(known)}; see rheograd --help"
        )
    command = known[words[0]]
    parser = Parser(prog=f"rheograd {words[0]}", description=command.__doc__, epilog=NOTE)
    return int(command.main(parser, list(words[1:])) or DONE)


def _overview() -> str:
    lines = [
        "usage: rheograd COMMAND ...",
        "",
        "A differentiable simulation engine with learned constitutive laws.",
        "",
        "commands:",
    ]
    found = commands()
    width = max(map(len, found)) + 2
    for name, module in found.items():
        lines.append(f"  {name:<{width}}{(module.__doc__ or '').partition(chr(10))[0].rstrip('.')}")
    lines += ["", "rheograd COMMAND --help tells more.", NOTE, ""]
    return "\n".join(lines)


def _sentence(error: BaseException) -> str:
    text = " ".join(str(error).split())
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    expected = (ValueError, OSError, RuntimeError, AssertionError)
    if not isinstance(error, expected) or not text:
        text = f"{type(error).__name__}: {text} (unexpected: run again with --debug to see where)"
    return text


def _say(text: str, debug: bool, status: int) -> int:
    if debug:
        traceback.print_exc()
    label = "stopped" if status == STOPPED else "error"
    print(text if text == label else f"{label}: {text}", file=sys.stderr)
    return status


class Warner:
    """Prints a warning as a line, each once."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def __call__(self, message: Warning | str, *where: Any, **more: Any) -> None:
        """Take the place of `warnings.showwarning`."""
        text = " ".join(str(message).split())
        if text not in self._said:
            self._said.add(text)
            print(f"warning: {text}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
