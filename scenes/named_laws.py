# SPDX-License-Identifier: Apache-2.0
"""Laws by their own names, with the arguments of their constructors as options."""

from __future__ import annotations

import argparse
import inspect
import typing
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .options import Parameter

if TYPE_CHECKING:
    from torch import nn

    from rheograd.materials.law import ConstitutiveLaw

PREFIX = "scene_"
"""Of what an option is called once it is read."""
BASES = {"snow": "corotated", "fluid-reset": "volumetric"}
"""Elasticity of a flow that is named alone; of others hencky."""


@dataclass(frozen=True)
class Named:
    """A law that a name stands for: of a class, or a flow with an elasticity of two moduli."""

    kind: type[nn.Module]
    """Of the law, or of the flow."""
    base: type[ConstitutiveLaw] | None = None
    """Of the elasticity, for a flow."""

    @property
    def kinds(self) -> list[type[Any]]:
        """Whose arguments are options, the law's or the flow's own first."""
        return [self.kind, *([self.base] if self.base else [])]

    def example(self) -> ConstitutiveLaw:
        """Of ordinary numbers."""
        return self.law([kind.example() for kind in self.kinds])

    def law(self, parts: Sequence[Any]) -> ConstitutiveLaw:
        """Of one instance of each of the kinds."""
        from rheograd.materials.composition import ElastoPlastic

        return ElastoPlastic(parts[1], parts[0]) if self.base else parts[0]


def named() -> dict[str, Named]:
    """The project's laws that can be made from numbers, by name; flows too, with an elasticity."""
    from rheograd.materials.files import registered
    from rheograd.materials.law import ConstitutiveLaw
    from rheograd.materials.plastic import AnalyticPlasticity

    found, kinds = {}, registered()
    for name, kind in sorted(kinds.items()):
        if not kind.__module__.startswith("rheograd.materials."):
            continue
        if issubclass(kind, ConstitutiveLaw):
            found[name] = Named(kind)
        elif issubclass(kind, AnalyticPlasticity):
            found[name] = Named(kind, kinds[BASES.get(name, "hencky")])  # type: ignore[arg-type]
    return found


def add_options(group: Any, law: Named, taken: Collection[str]) -> list[Parameter]:
    """Make the numbers that a law is made of options, with those of its example as defaults.

    Args:
        group: Of a parser.
        law: The law.
        taken: Flags that mean something else.
    """
    found: list[Parameter] = []
    for kind in law.kinds:
        example, hints = kind.example(), typing.get_type_hints(kind.__init__)
        for name in inspect.signature(kind).parameters:
            value, hint = _value(example, name), hints.get(name)
            if typing.get_origin(hint) is not None and isinstance(value, tuple):
                whole = all(isinstance(v, int) for v in value)
                hint = tuple[int, ...] if whole else tuple[float, ...]
                value = None  # its length is free
            if hint not in (float, int, bool, str, tuple[int, ...], tuple[float, ...]):
                continue
            parameter = Parameter(name, hint, value, "")
            if parameter.flag not in taken:
                parameter.add_to(group)
                found.append(parameter)
    return found


def made(law: Named, found: argparse.Namespace, options: Sequence[Parameter]) -> ConstitutiveLaw:
    """The law with the options that were given, and the values of its example for the others.

    Raises:
        ValueError: A value is out of range.
    """
    given = {
        p.name: getattr(found, PREFIX + p.name) for p in options if hasattr(found, PREFIX + p.name)
    }
    parts = []
    for kind in law.kinds:
        example, names = kind.example(), inspect.signature(kind).parameters
        own = {name: value for name, value in given.items() if name in names}
        parts.append(kind(**{**{n: _value(example, n) for n in names}, **own}) if own else example)
    return law.law(parts)


def _value(law: Any, name: str) -> Any:
    """An argument as the law keeps it."""
    from torch import Tensor

    value = getattr(law, name, None)
    if isinstance(value, Tensor):
        value = value.tolist()
    return tuple(value) if isinstance(value, list) else value
