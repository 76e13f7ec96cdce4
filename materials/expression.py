# SPDX-License-Identifier: Apache-2.0
"""Formulas given as text: read against a whitelist, differentiated, and run as torch operations.

    mu/2*(I1 - 3 - 2*log(J)) + lam/2*log(J)**2

Python's `ast` reads the text, and of its nodes only numbers, known names, + - * / ** and calls of
`FUNCTIONS` are taken; nothing is ever evaluated by Python or handed to sympy as text. Lengths,
depths, the size of numbers and of exponents are bounded, so that no text is long in reading. Sympy
gives the derivatives and LaTeX; what runs is a list of operations in which no value is computed
twice.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

if TYPE_CHECKING:
    import sympy

FUNCTIONS = ("log", "exp", "sqrt", "sinh", "cosh", "tanh")
LONGEST = 2000
"""Characters of a text."""
DEEPEST = 32
"""Operations within operations; a sum or a product of many counts once."""
MOST_OPERATIONS = 200
"""Of a text."""
MOST_STEPS = 4000
"""Operations of a formula with its derivatives."""
LARGEST_POWER = 64
"""Exponents that are numbers."""
LARGEST = 1e30
"""Numbers, also those that numbers make."""
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,31}")
OPERATORS: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
    ast.Pow: lambda a, b: a**b,
}


def parse(text: str, positive: Collection[str], real: Collection[str] = ()) -> sympy.Expr:
    """A formula as sympy has it.

    Args:
        text: The formula.
        positive: Names of what is above 0.
        real: Further names.

    Raises:
        TypeError: The text is no string.
        ValueError: It is no formula in these names; the message says what is not understood.
    """
    if not isinstance(text, str):
        raise TypeError(f"got a formula of {type(text).__name__}, expected text")
    if len(text) > LONGEST:
        raise ValueError(
            f"got a formula of {len(text)} characters, expected at most {LONGEST}: shorten it"
        )
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ValueError(
            f"got {_short(text)}, expected a formula such as mu/2*(I1 - 3): check signs and"
            " brackets, and write a name other than Python's words, such as lam for lambda"
        ) from None
    return _Reader(text.strip(), positive, real).read(tree)


class _Reader:
    """From the syntax tree to sympy, node by node."""

    def __init__(self, text: str, positive: Collection[str], real: Collection[str]) -> None:
        from sympy import Symbol

        self.text = text

        self.symbols = {name: Symbol(name, real=True) for name in real}
        self.symbols.update({name: Symbol(name, positive=True) for name in positive})
        self.operations = 0

    def read(self, tree: ast.expr) -> sympy.Expr:
        """The whole of a formula.

        Raises:
            ValueError: A node is of no formula.
        """
        from sympy import nan, oo, zoo

        found = self._node(tree, 0)
        if found.has(nan, oo, -oo, zoo) or found.is_real is False:
            raise ValueError("the formula divides by zero or is not real: mend it")
        return found

    def _node(self, node: ast.expr, depth: int) -> sympy.Expr:
        self.operations += not isinstance(node, ast.Constant | ast.Name)
        if depth > DEEPEST or self.operations > MOST_OPERATIONS:
            raise ValueError(
                f"the formula has more than {MOST_OPERATIONS} operations or {DEEPEST} within one"
                " another: take a simpler one"
            )
        found = self._known(node, depth)
        if found.is_number:
            self._bounded(found)
        return found

    def _known(self, node: ast.expr, depth: int) -> sympy.Expr:
        if isinstance(node, ast.Constant):
            return _number(node.value)
        if isinstance(node, ast.Name):
            if node.id in self.symbols:
                return self.symbols[node.id]
            known = ", ".join([*self.symbols, *FUNCTIONS])
            raise ValueError(f"the formula has the name {node.id[:40]!r}, expected of {known}")
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
            inner = self._node(node.operand, depth + 1)
            return -inner if isinstance(node.op, ast.USub) else inner
        if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
            same = isinstance(node.left, ast.BinOp) and _group(node.left) == _group(node)
            left = self._node(node.left, depth + (not same))
            right = self._node(node.right, depth + 1)
            if isinstance(node.op, ast.Pow) and right.is_number:
                self._power(right)
            return OPERATORS[type(node.op)](left, right)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            return self._call(node, node.func.id, depth)
        remedy = "write a power as **" if _is_caret(node) else "write it with + - * / ** and calls"
        part = ast.get_source_segment(self.text, node) or type(node).__name__
        raise ValueError(
            f"the formula has {_short(part)},"
            f" expected numbers, names and functions ({', '.join(FUNCTIONS)}): {remedy}"
        )

    def _call(self, node: ast.Call, name: str, depth: int) -> sympy.Expr:
        if name not in FUNCTIONS or len(node.args) != 1 or node.keywords:
            raise ValueError(
                f"the formula calls {name[:40]!r} with {len(node.args) + len(node.keywords)}"
                f" arguments, expected one argument of {', '.join(FUNCTIONS)}"
            )
        import sympy

        return getattr(sympy, name)(self._node(node.args[0], depth + 1))

    def _power(self, exponent: sympy.Expr) -> None:
        if not abs(float(exponent)) <= LARGEST_POWER:
            raise ValueError(
                f"the formula has the exponent {float(exponent):g}, expected at most"
                f" {LARGEST_POWER} in size"
            )

    def _bounded(self, found: sympy.Expr) -> None:
        try:
            size = abs(float(found))
        except (TypeError, OverflowError, ValueError):
            size = math.nan
        if not size <= LARGEST:
            raise ValueError(
                f"the formula has a number that is not real or beyond {LARGEST:g} in size"
            )


def _number(value: object) -> sympy.Expr:
    from sympy import Float, Integer

    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"the formula has {_short(repr(value))}, expected real numbers")
    if not abs(value) <= LARGEST:
        raise ValueError(f"the formula has a number beyond {LARGEST:g} in size")
    return Integer(value) if isinstance(value, int) or value.is_integer() else Float(value)


def _group(node: ast.BinOp) -> type[ast.operator]:
    """Of sums, of products, or of powers."""
    return {ast.Sub: ast.Add, ast.Div: ast.Mult}.get(type(node.op), type(node.op))


def _is_caret(node: ast.expr) -> bool:
    return isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitXor)


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")


class Step(NamedTuple):
    """One operation of a program."""

    word: str
    """Of `OPERATIONS`, or "number" or "name"."""
    arguments: tuple[int, ...] = ()
    """Places of the steps whose values it takes."""
    given: float | str = 0.0
    """A number, a name, or the exponent of a power."""


OPERATIONS: Mapping[str, Callable[[Sequence[Any], Any], Any]] = {
    "add": lambda a, _: _total(a),
    "mul": lambda a, _: _product(a),
    "square": lambda a, _: a[0] * a[0],
    "inverse": lambda a, _: 1 / a[0],
    "power": lambda a, p: a[0] ** p,
    "powers": lambda a, _: a[0] ** a[1],
    "log": lambda a, _: torch.log(a[0]),
    "exp": lambda a, _: torch.exp(a[0]),
    "sqrt": lambda a, _: torch.sqrt(a[0]),
    "sinh": lambda a, _: torch.sinh(a[0]),
    "cosh": lambda a, _: torch.cosh(a[0]),
    "tanh": lambda a, _: torch.tanh(a[0]),
}


def _total(values: Sequence[Any]) -> Any:
    out = values[0]
    for value in values[1:]:
        out = out + value
    return out


def _product(values: Sequence[Any]) -> Any:
    out = values[0]
    for value in values[1:]:
        out = out * value
    return out


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


def compiled(expressions: Sequence[sympy.Expr]) -> Program:
    """A program whose results are the expressions'.

    Raises:
        ValueError: It takes more than `MOST_STEPS` operations.
    """
    steps: list[Step] = []
    places: dict[Any, int] = {}
    work = 0

    def place(expression: Any) -> int:
        nonlocal work
        if expression not in places:
            step = _step(expression, place)
            work += max(1, len(step.arguments) - 1)
            if work > MOST_STEPS:
                raise ValueError(
                    f"the formula's derivatives take more than {MOST_STEPS} operations: simplify it"
                )
            places[expression] = len(steps)
            steps.append(step)
        return places[expression]

    outputs = tuple(place(e) for e in expressions)
    return Program(tuple(steps), outputs)


def _step(e: Any, place: Callable[[Any], int]) -> Step:
    if e.is_number:
        return Step("number", given=float(e))
    if e.is_Symbol:
        return Step("name", given=e.name)
    if e.is_Add or e.is_Mul:
        return Step("add" if e.is_Add else "mul", tuple(place(a) for a in e.args))
    if e.is_Pow:
        if not e.exp.is_number:
            return Step("powers", (place(e.base), place(e.exp)))
        power = float(e.exp)
        word = {2.0: "square", -1.0: "inverse"}.get(power, "power")
        return Step(word, (place(e.base),), power)
    name = type(e).__name__
    if name not in FUNCTIONS:
        raise ValueError(f"the formula's derivatives have {name}, which is not known: rewrite it")
    return Step(name, tuple(place(a) for a in e.args))
