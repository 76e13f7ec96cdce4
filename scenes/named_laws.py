# SPDX-License-Identifier: Apache-2.0
"""Laws by their own names, with the arguments of their constructors as options."""

from __future__ import annotations

import argparse
import inspect
import typing
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from .options import Parameter

if TYPE_CHECKING:
    from rheograd.materials.law import ConstitutiveLaw

PREFIX = "scene_"
"""Of what an option is called once it is read."""


def named() -> dict[str, type[ConstitutiveLaw]]:
    """The project's laws that can be made from numbers, by name."""
    from rheograd.materials.files import registered
    from rheograd.materials.law import ConstitutiveLaw

    return {
        name: kind
        for name, kind in sorted(registered().items())
        if issubclass(kind, ConstitutiveLaw) and kind.__module__.startswith("rheograd.materials.")
    }


def add_options(group: Any, kind: type[ConstitutiveLaw], taken: Collection[str]) -> list[Parameter]:
    """Make the numbers that a law is made of options, with those of its example as defaults.

    Args:
        group: Of a parser.
        kind: The law.
        taken: Flags that mean something else.
    """
    example, found = kind.example(), []
    hints = typing.get_type_hints(kind.__init__)
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


def made(
    kind: type[ConstitutiveLaw], found: argparse.Namespace, options: Sequence[Parameter]
) -> ConstitutiveLaw:
    """The law with the options that were given, and the values of its example for the others.

    Raises:
        ValueError: A value is out of range.
    """
    given = {
        p.name: getattr(found, PREFIX + p.name) for p in options if hasattr(found, PREFIX + p.name)
    }
    example = kind.example()
    if not given:
        return example
    arguments = {name: _value(example, name) for name in inspect.signature(kind).parameters}
    return kind(**{**arguments, **given})


def _value(law: ConstitutiveLaw, name: str) -> Any:
    """An argument as the law keeps it."""
    from torch import Tensor

    value = getattr(law, name, None)
    if isinstance(value, Tensor):
        value = value.tolist()
    return tuple(value) if isinstance(value, list) else value
