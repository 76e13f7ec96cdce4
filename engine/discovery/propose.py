# SPDX-License-Identifier: Apache-2.0
"""Formulas that come from outside, fitted inside: a hook for a proposer of one's own.

A proposer is any function

    def propose(history: Sequence[Attempt]) -> str | None

that is given what was tried so far (empty at first) and returns the text of an energy density ψ, or
None to stop. A person, a genetic search or a language model can be behind it; this package has none
of them. The text is in the language of materials/energies/expression.py and in the invariants
I1bar, I2bar and J and stretch(alpha); every other name in it is a constant that is fitted, such as

    c1*(I1bar - 3) + c2*(I2bar - 3)**2

The search is bilevel: formulas outside, numbers inside. Numbers are fitted by least squares with
derivatives by automatic differentiation, from several starts. A text that is refused (not a
formula, under stress at rest, unstable, no answer) is an attempt with `refused` set, which the
proposer reads in the history: nothing is raised. Where a formula does not hold the volume, an
energy of it is added, which tests at constant volume do not see. Formulas are never evaluated by
Python: they are read against a whitelist. The file of the proposer, of course, is run.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from rheograd.materials.energies.expression import FUNCTIONS, parse
from rheograd.materials.energies.symbolic import INVARIANTS, Constant, Symbolic

from ..fit.stress.task import Task
from .formula import STIFF, VOLUME
from .from_stress import StressEquations

STARTS = (0.0, -3.0, 2.0, 4.0)
"""Logarithms by which numbers that are no weights start off 1, in turn."""
BULK = "bulk_of_volume"


@dataclass(frozen=True)
class Attempt:
    """One entry of the history."""

    expression: str
    """As it was proposed."""
    error: float
    """Root mean square error relative to that of the stresses [-]; inf if it was refused."""
    parameters: Mapping[str, float] = field(default_factory=dict)
    """Fitted numbers by name, of weights in Pa."""
    refused: str = ""
    """Why, in one sentence; "" if it was fitted."""


Propose = Callable[[Sequence[Attempt]], str | None]


@dataclass(frozen=True, eq=False)
class Proposed:
    """What came out of a search."""

    history: tuple[Attempt, ...]
    law: Symbolic | None
    """Of the best attempt; None if all were refused."""

    @property
    def best(self) -> Attempt | None:
        """The attempt of the least error."""
        fitted = [a for a in self.history if not a.refused]
        return min(fitted, key=lambda a: a.error) if fitted else None


def search(
    propose: Propose, task: Task, *, budget: int = 20, target: float = 0.0,
    bulk: float | None = None, tell: Callable[[Attempt], None] = lambda attempt: None,
) -> Proposed:  # fmt: skip
    """Ask for formulas and fit them, until the budget is spent, the target is met, or None comes.

    Args:
        propose: See the module.
        task: Stress tests.
        budget: Most proposals, refused ones too.
        target: Error at which it ends.
        bulk: Bulk modulus where a formula has no J [Pa]; None: 1000 shear moduli of the tests.
        tell: Is told each attempt.

    Raises:
        ValueError: The budget is not 1 or more.
    """
    if budget < 1:
        raise ValueError(f"got a budget of {budget} proposals, expected 1 or more")
    history: list[Attempt] = []
    best: Symbolic | None = None
    while len(history) < budget:
        text = propose(tuple(history))
        if text is None:
            break
        attempt, law = tried(text, task, bulk)
        if law is not None and attempt.error < min((a.error for a in history), default=math.inf):
            best = law
        history.append(attempt)
        tell(attempt)
        if attempt.error <= target:
            break
    return Proposed(tuple(history), best)


def tried(text: object, task: Task, bulk: float | None = None) -> tuple[Attempt, Symbolic | None]:
    """Fit one formula; what is wrong with it is said in the attempt."""
    said = text if isinstance(text, str) else repr(text)
    try:
        law, error = fitted(said if isinstance(text, str) else text, task, bulk)  # type: ignore[arg-type]
    except (ValueError, TypeError) as refusal:
        return Attempt(said[:2000], math.inf, {}, " ".join(str(refusal).split())), None
    values = {n: float(v.detach()) for n, v in law.values().items() if n != BULK}
    return Attempt(said, error, values), law


def constants_of(text: str) -> list[str]:
    """Names of a formula that are neither invariants nor functions, in their order.

    Raises:
        TypeError: The text is no string.
        ValueError: It is no expression.
    """
    taken = {*INVARIANTS, *FUNCTIONS, "stretch"}
    nodes = [node for node in ast.walk(parse(text)) if isinstance(node, ast.Name)]
    nodes.sort(key=lambda node: (node.lineno, node.col_offset))
    return [n for n in dict.fromkeys(node.id for node in nodes) if n not in taken]


def fitted(text: str, task: Task, bulk: float | None = None) -> tuple[Symbolic, float]:
    """The law of a formula with its numbers fitted, and its error relative to the stresses.

    Raises:
        TypeError: The text is no string.
        ValueError: It is no such formula, or has no answer for any start.
    """
    names = constants_of(text)
    used = {node.id for node in ast.walk(parse(text)) if isinstance(node, ast.Name)}
    shear = task.scales().shear
    weights = [n for n in names if _is_weight(text, n)]
    fixed: list[Constant] = []
    if not used & {"J", "I1", "I2", "I3"}:
        text = f"{text} + {VOLUME.replace('K', BULK, 1)}"
        fixed = [Constant(BULK, bulk or STIFF * shear, "Pa", 0.0)]
    best: tuple[float, Symbolic] | None = None
    refusal = ""
    for start in STARTS:
        rows = [
            Constant(n, 0.5 * shear, "Pa") if n in weights else Constant(n, math.exp(start), "")
            for n in names
        ]
        try:
            found = _descended(Symbolic(text, [*rows, *fixed]), rows, task)
        except ValueError as error:
            refusal = str(error)
            continue
        if best is None or found[0] < best[0]:
            best = found
        if len(weights) == len(names):
            break
    if best is None:
        raise ValueError(refusal)
    return best[1], best[0]


def _is_weight(text: str, name: str) -> bool:
    """Whether a constant enters as a factor of a sum, so that it is a stress: ψ has its unit."""
    tree = parse(text)
    factors: set[str] = set()

    def walk(node: ast.expr) -> None:
        if isinstance(node, ast.Name):
            factors.add(node.id)
        elif isinstance(node, ast.UnaryOp):
            walk(node.operand)
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
            walk(node.left)
            walk(node.right)
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult | ast.Div):
            inner: ast.expr = node
            while isinstance(inner, ast.BinOp) and isinstance(inner.op, ast.Mult | ast.Div):
                inner = inner.left
            walk(inner)

    walk(tree)
    return name in factors


def _descended(law: Symbolic, rows: Sequence[Constant], task: Task) -> tuple[float, Symbolic]:
    """Least squares over the trained numbers of a law.

    Raises:
        ValueError: It has no finite stress where it starts, or the fitted law is unstable.
    """
    from scipy.optimize import least_squares

    count = len(rows)

    asked = _Residual(law, task)

    def residual(x: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        free = torch.from_numpy(x.copy()).requires_grad_()
        shifts = torch.cat([free, free.new_zeros(len(law.shifts) - count)])
        return torch.func.functional_call(asked, {"law.shifts": shifts}, ()), free

    def values(x: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            found = residual(x)[0].numpy()
        return np.where(np.isfinite(found), found, 1e3)

    def slopes(x: np.ndarray) -> np.ndarray:
        found, free = residual(x)
        rows = [torch.autograd.grad(r, free, retain_graph=True)[0] for r in found]
        J = torch.stack(rows).numpy()
        return np.where(np.isfinite(J), J, 0.0)

    start = np.zeros(count)
    if not np.isfinite(residual(start)[0].detach().numpy()).all():
        raise ValueError("the formula has no finite stress at some stretch of the tests")
    if count:
        found = least_squares(values, start, jac=slopes, x_scale="jac", max_nfev=200)  # type: ignore[arg-type]
        start = found.x
    with torch.no_grad():
        law.shifts[:count] = torch.from_numpy(start)
        values_of = [float(v) for v in law.values().values()]
    moved = [c._replace(value=v) for c, v in zip(law.constants, values_of, strict=True)]
    final = Symbolic(law.text, moved)
    F = torch.cat([t.F for t in task.tests])
    if not bool(torch.isfinite(final.energy(F, final.rest_internal(len(F), F))).all()):
        raise ValueError(
            "the formula has no finite energy at some stretch of the tests: they are beyond a limit"
            " that it has"
        )
    seen = StressEquations(task).seen
    return math.sqrt(float(task.misfit(final).detach()) / float(np.mean(seen**2))), final


class _Residual(torch.nn.Module):
    """The residual of a law in a task, for calls with other numbers."""

    def __init__(self, law: Symbolic, task: Task) -> None:
        super().__init__()
        self.law, self.task = law, task

    def forward(self) -> torch.Tensor:
        """Shape (m,)."""
        return self.task.residual(self.law)
