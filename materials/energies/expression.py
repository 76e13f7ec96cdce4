# SPDX-License-Identifier: Apache-2.0
"""Formulas given as text: read against a whitelist, differentiated, and run as torch operations.

    mu/2*(I1 - 3 - 2*log(J)) + lam/2*log(J)**2

Python's `ast` reads the text, and of its nodes only numbers, known names, + - * / ** and calls of
`FUNCTIONS` are taken; nothing is ever evaluated by Python. What is read becomes a list of
operations in which no value is computed twice; derivatives are appended to it in reverse order
(Griewank and Walther 2008), a few operations for each of the formula's, whatever it is: no text
takes long. Lengths, depths, numbers and exponents are bounded as well.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

FUNCTIONS = ("log", "exp", "sqrt", "sinh", "cosh", "tanh")
LONGEST = 2000
"""Characters of a text."""
DEEPEST = 32
"""Operations within operations; a sum or a product of many counts once."""
MOST_OPERATIONS = 200
"""Of a text."""
LARGEST_POWER = 64
"""Exponents that are numbers."""
LARGEST = 1e30
"""Numbers, also those that numbers make."""
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,31}")


class Step(NamedTuple):
    """One operation of a program."""

    word: str
    """Of `OPERATIONS`, or "number" or "name"."""
    arguments: tuple[int, ...] = ()
    """Places of the steps whose values it takes."""
    given: float | str = 0.0
    """A number, a name, or the exponent of a power."""


OPERATIONS: Mapping[str, Callable[[Sequence[Any], Any], Any]] = {
    "add": lambda a, _: a[0] + a[1],
    "subtract": lambda a, _: a[0] - a[1],
    "multiply": lambda a, _: a[0] * a[1],
    "divide": lambda a, _: a[0] / a[1],
    "power": lambda a, p: a[0] ** p,
    "powers": lambda a, _: a[0] ** a[1],
    "log": lambda a, _: torch.log(a[0]),
    "exp": lambda a, _: torch.exp(a[0]),
    "sqrt": lambda a, _: torch.sqrt(a[0]),
    "sinh": lambda a, _: torch.sinh(a[0]),
    "cosh": lambda a, _: torch.cosh(a[0]),
    "tanh": lambda a, _: torch.tanh(a[0]),
}
OF_NUMBERS: Mapping[str, Callable[..., float]] = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "divide": operator.truediv,
    "powers": math.pow,
    **{name: getattr(math, name) for name in FUNCTIONS},
}
OPERATORS: Mapping[type[ast.operator], str] = {
    ast.Add: "add",
    ast.Sub: "subtract",
    ast.Mult: "multiply",
    ast.Div: "divide",
    ast.Pow: "powers",
}
GROUPS: Mapping[str, int] = {"add": 0, "subtract": 0, "multiply": 1, "divide": 1, "powers": 2}


@dataclass(frozen=True)
class Program:
    """Operations, each on the values of those before it; plain data."""

    steps: tuple[Step, ...]
    outputs: tuple[int, ...]
    """Places of the results."""

    def __call__(self, values: Mapping[str, Tensor]) -> list[Any]:
        """The results: tensors, or numbers where nothing enters.

        Args:
            values: By name, of shapes that go together.
        """
        found: list[Any] = []
        for step in self.steps:
            if step.word == "number":
                found.append(step.given)
            elif step.word == "name":
                found.append(values[str(step.given)])
            else:
                arguments = [found[place] for place in step.arguments]
                found.append(OPERATIONS[step.word](arguments, step.given))
        return [found[place] for place in self.outputs]


def parse(text: str) -> ast.expr:
    """The syntax tree of a formula, of which nothing is known yet but that it is one expression.

    Raises:
        TypeError: The text is no string.
        ValueError: It is no expression, or too long.
    """
    if not isinstance(text, str):
        raise TypeError(f"got a formula of {type(text).__name__}, expected text")
    if len(text) > LONGEST:
        raise ValueError(
            f"got a formula of {len(text)} characters, expected at most {LONGEST}: shorten it"
        )
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ValueError(
            f"got {_short(text)}, expected a formula such as mu/2*(I1 - 3): check signs and"
            " brackets, and write a name other than Python's words, such as lam for lambda"
        ) from None


def compiled(
    text: str, names: Collection[str], by: Sequence[str], squares: Mapping[str, str] | None = None
) -> Program:
    """A program that gives the formula, then its derivatives by names.

    Args:
        text: The formula.
        names: What it may hold.
        by: Names, as if they were independent.
        squares: Names that are squares of others, such as {"I3": "J"}.

    Raises:
        TypeError: The text is no string.
        ValueError: It is no formula in these names; the message says what is not understood.
    """
    tree, writer = parse(text), _Writer()
    place = _Reader(text.strip(), names, squares or {}, writer).read(tree)
    slopes = writer.slopes(place, by)
    return Program(tuple(writer.steps), (place, *slopes))


class _Writer:
    """Appends operations; each once, and none on numbers alone."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.places: dict[Step, int] = {}

    def put(self, step: Step) -> int:
        """The place of an operation."""
        if step not in self.places:
            self.places[step] = len(self.steps)
            self.steps.append(step)
        return self.places[step]

    def number(self, value: float) -> int:
        """The place of a number.

        Raises:
            ValueError: It is too large.
        """
        if not abs(value) <= LARGEST:
            raise ValueError(
                f"the formula has a number that is not real or beyond {LARGEST:g} in size"
            )
        return self.put(Step("number", given=float(value)))

    def value(self, place: int) -> float | None:
        """The number at a place, if it is one."""
        step = self.steps[place]
        return float(step.given) if step.word == "number" else None

    def apply(self, word: str, *arguments: int) -> int:
        """The place of an operation on others.

        Raises:
            ValueError: It is one on numbers that has no real result, or too large a one.
        """
        known = [self.value(a) for a in arguments]
        numbers = [v for v in known if v is not None]
        if len(numbers) == len(known):
            try:
                return self.number(OF_NUMBERS[word](*numbers))
            except (ValueError, OverflowError, ZeroDivisionError):
                return self.number(math.nan)
        if word == "multiply" and 0.0 in known:
            return self.number(0.0)
        if word == "multiply" and 1.0 in known:
            return arguments[1 - known.index(1.0)]
        if word == "add" and 0.0 in known:
            return arguments[1 - known.index(0.0)]
        if word == "powers" and known[1] is not None:
            return self.power(arguments[0], known[1])
        return self.put(Step(word, arguments))

    def power(self, base: int, exponent: float) -> int:
        """The place of a power by a number."""
        if exponent in (0.0, 1.0):
            return base if exponent else self.number(1.0)
        return self.put(Step("power", (base,), exponent))

    def slopes(self, output: int, by: Sequence[str]) -> list[int]:
        """Places of the derivatives of the value at a place by names."""
        wanted = [Step("name", given=name) for name in by]
        moving = [False] * (output + 1)
        for place, step in enumerate(self.steps[: output + 1]):
            moving[place] = step in wanted or any(moving[a] for a in step.arguments)
        bars: dict[int, int] = {output: self.number(1.0)}
        for place in range(output, -1, -1):
            if place not in bars or not moving[place]:
                continue
            for argument, factor in self._factors(place, moving):
                slope = self.apply("multiply", bars[place], factor)
                before = bars.get(argument)
                bars[argument] = slope if before is None else self.apply("add", before, slope)
        zero = self.number(0.0)
        return [bars.get(self.places.get(name, -1), zero) for name in wanted]

    def _factors(self, place: int, moving: Sequence[bool]) -> list[tuple[int, int]]:
        """Places of an operation's arguments, and of its derivatives by those that move."""
        word, arguments, given = self.steps[place]
        return [
            (argument, self._factor(word, arguments, n, given, place))
            for n, argument in enumerate(arguments)
            if moving[argument]
        ]

    def _factor(
        self, word: str, arguments: tuple[int, ...], n: int, given: float | str, place: int
    ) -> int:
        one, first = self.number(1.0), arguments[0]
        if word in ("add", "subtract"):
            return self.number(-1.0) if word == "subtract" and n else one
        if word == "multiply":
            return arguments[1 - n]
        if word == "divide":
            inverse = self.apply("divide", one, arguments[1])
            ratio = self.apply("multiply", self.number(-1.0), place)
            return self.apply("multiply", ratio, inverse) if n else inverse
        if word == "power":
            p = float(given)
            return self.apply("multiply", self.number(p), self.power(first, p - 1.0))
        if word == "powers":
            if n:
                return self.apply("multiply", place, self.apply("log", first))
            lower = self.apply("subtract", arguments[1], one)
            return self.apply("multiply", arguments[1], self.apply("powers", first, lower))
        if word == "log":
            return self.apply("divide", one, first)
        if word == "sqrt":
            return self.apply("divide", self.number(0.5), place)
        if word == "tanh":
            return self.apply("subtract", one, self.power(place, 2.0))
        return place if word == "exp" else self.apply({"sinh": "cosh", "cosh": "sinh"}[word], first)


class _Reader:
    """From the syntax tree to operations, node by node."""

    def __init__(
        self, text: str, names: Collection[str], squares: Mapping[str, str], writer: _Writer
    ) -> None:
        self.text, self.names, self.squares, self.writer = text, names, squares, writer
        self.operations = 0

    def read(self, node: ast.expr, depth: int = 0) -> int:
        """The place of a node's value.

        Raises:
            ValueError: It is of no formula.
        """
        self.operations += not isinstance(node, ast.Constant | ast.Name)
        if depth > DEEPEST or self.operations > MOST_OPERATIONS:
            raise ValueError(
                f"the formula has more than {MOST_OPERATIONS} operations or {DEEPEST} within one"
                " another: take a simpler one"
            )
        if isinstance(node, ast.Constant):
            return self._number(node.value)
        if isinstance(node, ast.Name):
            return self._name(node.id)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
            inner = self.read(node.operand, depth + 1)
            if isinstance(node.op, ast.UAdd):
                return inner
            return self.writer.apply("multiply", self.writer.number(-1.0), inner)
        if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
            return self._binary(node, depth)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            return self._call(node, node.func.id, depth)
        caret = isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitXor)
        part = ast.get_source_segment(self.text, node) or type(node).__name__
        raise ValueError(
            f"the formula has {_short(part)}, expected numbers, names and functions"
            f" ({', '.join(FUNCTIONS)}):"
            f" {'write a power as **' if caret else 'write it with + - * / ** and calls'}"
        )

    def _number(self, value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"the formula has {_short(repr(value))}, expected real numbers")
        return self.writer.number(value)

    def _name(self, name: str) -> int:
        if name not in self.names:
            known = ", ".join([*self.names, *FUNCTIONS])
            raise ValueError(f"the formula has the name {name[:40]!r}, expected of {known}")
        if name in self.squares:
            return self.writer.power(self._name(self.squares[name]), 2.0)
        return self.writer.put(Step("name", given=name))

    def _binary(self, node: ast.BinOp, depth: int) -> int:
        word = OPERATORS[type(node.op)]
        inner = OPERATORS.get(type(node.left.op), "") if isinstance(node.left, ast.BinOp) else ""
        chained = word != "powers" and GROUPS.get(inner) == GROUPS[word]
        left = self.read(node.left, depth + (not chained))
        right = self.read(node.right, depth + 1)
        exponent = self.writer.value(right) if word == "powers" else None
        if exponent is not None and not abs(exponent) <= LARGEST_POWER:
            raise ValueError(
                f"the formula has the exponent {exponent:g}, expected at most {LARGEST_POWER} in"
                " size"
            )
        return self.writer.apply(word, left, right)

    def _call(self, node: ast.Call, name: str, depth: int) -> int:
        count = len(node.args) + len(node.keywords)
        if name not in FUNCTIONS or len(node.args) != 1 or node.keywords:
            raise ValueError(
                f"the formula calls {name[:40]!r} with {count} arguments, expected one argument of"
                f" {', '.join(FUNCTIONS)}"
            )
        return self.writer.apply(name, self.read(node.args[0], depth + 1))


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")
