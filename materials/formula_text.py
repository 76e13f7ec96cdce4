# SPDX-License-Identifier: Apache-2.0
"""Formulas of learned energies as text and as LaTeX.

The text is in the language of materials/expression.py.
"""

from __future__ import annotations

from collections.abc import Mapping


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
    if rate is None:
        return f"{write(weight)} {y}" if latex else f"{write(weight)}*{y}"
    factor, b = write(weight / rate), write(rate)
    if kind == "exp":
        if latex:
            return rf"{factor} \left(\exp\left({b} {y}\right) - 1\right)"
        return f"{factor}*(exp({b}*{y}) - 1)"
    if latex:
        return rf"-{factor} \log\left(1 - {b} {y}\right)"
    return f"-{factor}*log(1 - {b}*{y})"
