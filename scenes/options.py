# SPDX-License-Identifier: Apache-2.0
"""Parameters of a function as options of the command line, and the parser that reads them."""

from __future__ import annotations

import argparse
import inspect
import math
import re
import types
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn

from rheograd.engine.suggestion import did_you_mean

UNITED = (typing.Union, types.UnionType)


class Parser(argparse.ArgumentParser):
    """A parser that raises ValueError with one sentence, and takes --spin -1,2,0 as it is meant."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(
            allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **settings
        )

    def error(self, message: str) -> NoReturn:
        """Raise instead of exiting."""
        raise ValueError(f"{message}; see {self.prog} --help")

    def read(self, tokens: Sequence[str]) -> argparse.Namespace:
        """Parse all tokens.

        Raises:
            ValueError: Something is unknown, missing or not of its type.
        """
        found, rest = self.parse_known_args(join_negative(tokens))
        if not rest:
            return found
        word = rest[0].partition("=")[0]
        if not word.startswith("-"):
            self.error(f"unexpected argument {word!r}")
        self.error(f"unknown option {word}{did_you_mean(word, self._option_string_actions)}")


def join_negative(tokens: Sequence[str]) -> list[str]:
    """`--spin -1.3,2` as `--spin=-1.3,2`, for argparse takes what starts with - for an option.

    So is what starts with an axis turned round, as in `--clip -x=0.1`.
    """
    joined: list[str] = []
    for token in tokens:
        previous = joined[-1] if joined else ""
        if re.match(r"-(\.?\d|[xyz]=)", token) and re.fullmatch(r"--[\w-]+", previous):
            joined[-1] = f"{previous}={token}"
        else:
            joined.append(token)
    return joined


@dataclass(frozen=True)
class Parameter:
    """A keyword parameter of a function."""

    name: str
    kind: Any
    """Its annotation."""
    default: Any
    help: str

    @property
    def flag(self) -> str:
        """As it is written on the command line."""
        return "--" + self.name.replace("_", "-")

    def add_to(self, group: Any) -> None:
        """Make it an option; absent from the result unless given."""
        settings: dict[str, Any] = {"dest": f"scene_{self.name}", "default": argparse.SUPPRESS}
        shown = _shown(self.default)
        settings["help"] = f"{self.help} (default: {shown})" if shown else self.help
        settings["help"] = settings["help"].replace("%", "%%")
        if self.kind is bool:
            group.add_argument(self.flag, action=argparse.BooleanOptionalAction, **settings)
            return
        convert, metavar = converter(self.kind, self.default)
        group.add_argument(self.flag, type=convert, metavar=metavar, **settings)


def parameters(function: Callable[..., Any]) -> list[Parameter]:
    """The keyword-only parameters of a function, with types from annotations or defaults.

    Raises:
        ValueError: One has neither an annotation nor a default that tells its type.
    """
    hints = typing.get_type_hints(function)
    said = _described(inspect.getdoc(function) or "")
    found = []
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
            continue
        default = None if parameter.default is inspect.Parameter.empty else parameter.default
        kind = hints.get(name, type(default))
        found.append(Parameter(name, kind, default, said.get(name, "")))
        if kind is not bool:
            converter(kind, default)
    return found


def converter(kind: Any, default: Any = None) -> tuple[Callable[[str], Any], str]:
    """How to read a value of a type, and how help writes it.

    Raises:
        ValueError: The type has no form on a command line.
    """
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in UNITED:
        options = [k for k in inner if k is not type(None)]
        plain = [k for k in options if k in (int, float, str, Path) or typing.get_origin(k)]
        return converter(plain[0] if plain else options[0], default)
    if origin is Literal:
        return _choice(tuple(str(i) for i in inner)), "|".join(map(str, inner))
    if origin is tuple or kind is tuple:
        many = len(default) if default else len(inner) if Ellipsis not in inner else None
        return _numbers(int if inner and inner[0] is int else float, many), _letters(many)
    if kind is float:
        return number, "X"
    if kind is int:
        return _whole, "N"
    if kind is Path:
        return Path, "FILE"
    if kind is str:
        return str, "NAME"
    raise ValueError(
        f"a parameter of type {kind!r} cannot be an option: annotate it as int, float, bool, str,"
        " Path, Literal or a tuple of numbers"
    )


def number(text: str) -> float:
    """A finite number.

    Raises:
        argparse.ArgumentTypeError: It is none.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a number")
    return value


def count(text: str) -> int:
    """A whole number from 1.

    Raises:
        argparse.ArgumentTypeError: It is none.
    """
    value = _whole(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"got {text}, expected 1 or more")
    return value


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a whole number") from None


def _choice(words: tuple[str, ...]) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in words:
            raise argparse.ArgumentTypeError(
                f"got {text!r}{did_you_mean(text, words)}, expected one of {', '.join(words)}"
            )
        return text

    return read


def _numbers(kind: type, many: int | None) -> Callable[[str], tuple[Any, ...]]:
    expected = f"{many or 'some'} numbers separated by commas"

    def read(text: str) -> tuple[Any, ...]:
        parts = text.split(",")
        try:
            values = tuple(kind(part) for part in parts)
        except ValueError:
            values = ()
        if len(values) != (many or len(parts)) or not all(map(math.isfinite, values)):
            raise argparse.ArgumentTypeError(f"got {text!r}, expected {expected}")
        return values

    return read


def _letters(many: int | None) -> str:
    return ",".join("XYZ") if many == 3 else ",".join(["N"] * many) if many else "N,N,..."


def _shown(default: Any) -> str:
    if default is None:
        return ""
    if isinstance(default, tuple):
        return ",".join(f"{v:g}" for v in default)
    return f"{default:g}" if isinstance(default, float) else str(default)


def _described(docstring: str) -> dict[str, str]:
    """Texts of the Args section of a Google docstring, by parameter."""
    section = re.search(r"^Args:\n((?:[ \t]+.*\n?|\n)+)", docstring, re.MULTILINE)
    said: dict[str, str] = {}
    name = ""
    for line in section.group(1).splitlines() if section else ():
        start = re.match(r"    (\w+): (.*)", line)
        if start:
            name = start.group(1)
            said[name] = start.group(2).strip()
        elif name and line.strip():
            said[name] += " " + line.strip()
    return {key: text.rstrip(".") for key, text in said.items()}
