# SPDX-License-Identifier: Apache-2.0
"""Formulas of learned energies as text and as LaTeX.

The text is in the language of expression.py.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping

from .expression import parse

GREEK = ("alpha", "beta", "gamma", "delta", "eta", "kappa", "mu", "nu", "rho", "sigma", "tau")
SIGNS = {"I1bar": r"\bar I_1", "I2bar": r"\bar I_2", "lam": r"\lambda"}
LEAST_RATE = 1e-12
"""b [-] below which an exponential or a logarithm is its argument, to rounding."""
TOP = 4
"""How tightly a sign, a number or a call binds: sums 1, products 2, powers 3."""


def number(value: float, digits: int, *, latex: bool = False) -> str:
    """A number with so many digits, with a power of ten as LaTeX has it if asked for."""
    text = f"{value:.{digits}g}"
    mantissa, e, exponent = text.partition("e")
    if not latex or not e:
        return text
    return rf"{mantissa} \cdot 10^{{{int(exponent)}}}"


def cann_formula(
    terms: Mapping[str, tuple[float, float | None]], bulk: float, *, latex: bool, digits: int
) -> str:
    """ψ of a CANN.

    Args:
        terms: By name as in `CANN.terms`, weight [Pa] and rate or exponent [-].
        bulk: K [Pa].
        latex: Whether as LaTeX.
        digits: Of the numbers.
    """
    parts = [_term(name, *term, latex, digits) for name, term in terms.items()]
    K = number(bulk / 4, digits, latex=latex)
    if latex:
        parts.append(rf"{K} \left(J^2 - 1 - 2 \log J\right)")
    else:
        parts.append(f"{K}*(J**2 - 1 - 2*log(J))")
    return " + ".join(parts).replace("+ -", "- ")


def _term(name: str, weight: float, rate: float | None, latex: bool, digits: int) -> str:
    def write(value: float) -> str:
        return number(value, digits, latex=latex)

    kind, _, inner = name.rstrip(")").rpartition("(")
    if kind == "stretch":
        assert rate is not None
        factor, power = write(2 * weight / rate**2), write(rate)
        if latex:
            sums = " + ".join(rf"\bar\lambda_{i}^{{{power}}}" for i in (1, 2, 3))
            return rf"{factor} \left({sums} - 3\right)"
        sums = " + ".join(f"lambda{i}bar**{power}" for i in (1, 2, 3))
        return f"{factor}*({sums} - 3)"
    invariant, squared = inner[:2], inner.endswith("^2")
    if latex:
        y = rf"\left(\bar I_{invariant[1]} - 3\right)" + ("^2" if squared else "")
    else:
        y = f"({invariant}bar - 3)" + ("**2" if squared else "")
    if rate is None or rate < LEAST_RATE:
        return f"{write(weight)} {y}" if latex else f"{write(weight)}*{y}"
    factor, b = write(weight / rate), write(rate)
    if kind == "exp":
        if latex:
            return rf"{factor} \left(\exp\left({b} {y}\right) - 1\right)"
        return f"{factor}*(exp({b}*{y}) - 1)"
    if latex:
        return rf"-{factor} \log\left(1 - {b} {y}\right)"
    return f"-{factor}*log(1 - {b}*{y})"


def latex(text: str) -> str:
    """A formula of expression.py, which has read it, as LaTeX.

    Raises:
        ValueError: It is no expression.
    """
    return _written(parse(text))[0]


def _written(node: ast.expr) -> tuple[str, int]:
    """LaTeX, and how tightly it binds."""
    if isinstance(node, ast.Constant):
        return number(float(node.value), 6, latex=True), TOP  # type: ignore[arg-type]
    if isinstance(node, ast.Name):
        return _sign(node.id), TOP
    if isinstance(node, ast.UnaryOp):
        return f"-{_within(node.operand, 2)}", 1
    if isinstance(node, ast.Call):
        assert isinstance(node.func, ast.Name)
        inner = _written(node.args[0])[0]
        if node.func.id == "stretch":
            sums = " + ".join(rf"\bar\lambda_{i}^{{{inner}}}" for i in (1, 2, 3))
            return rf"\left({sums} - 3\right)", TOP
        if node.func.id == "sqrt":
            return rf"\sqrt{{{inner}}}", TOP
        return rf"\{node.func.id}\left({inner}\right)", TOP
    assert isinstance(node, ast.BinOp)
    if isinstance(node.op, ast.Div):
        return rf"\frac{{{_written(node.left)[0]}}}{{{_written(node.right)[0]}}}", 2
    if isinstance(node.op, ast.Pow):
        return f"{{{_within(node.left, TOP)}}}^{{{_written(node.right)[0]}}}", 3
    if isinstance(node.op, ast.Mult):
        right = _within(node.right, 2)
        dot = r" \cdot " if right[0].isdigit() else " "
        return f"{_within(node.left, 2)}{dot}{right}", 2
    minus = isinstance(node.op, ast.Sub)
    return f"{_within(node.left, 1)} {'-' if minus else '+'} {_within(node.right, 1 + minus)}", 1


def _within(node: ast.expr, least: int) -> str:
    """LaTeX in brackets, unless it binds tightly enough."""
    text, binds = _written(node)
    return text if binds >= least else rf"\left({text}\right)"


def _sign(name: str) -> str:
    if name in SIGNS:
        return SIGNS[name]
    letters, digits = re.fullmatch(r"(.*?)_?(\d*)", name).groups()  # type: ignore[union-attr]
    if letters in GREEK:
        letters = "\\" + letters
    elif len(letters) > 1:
        letters = rf"\mathrm{{{letters}}}".replace("_", r"\_")
    return f"{letters}_{{{digits}}}" if digits else letters
