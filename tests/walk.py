# SPDX-License-Identifier: Apache-2.0
"""The walk over all classes of a kind: a new one is under its tests as soon as it is written."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from typing import TypeVar

import torch
from torch import Tensor

from rheograd.materials.law import ConstitutiveLaw

T = TypeVar("T")

LAYERS = ("rheograd.materials", "rheograd.engine")


def every(base: type[T]) -> list[type[T]]:
    """The concrete subclasses of `base` in the project, by name."""
    for layer in LAYERS:
        package = importlib.import_module(layer)
        for module in pkgutil.walk_packages(package.__path__, f"{layer}."):
            importlib.import_module(module.name)
    found = {
        kind
        for kind in descendants(base)
        if kind.__module__.startswith("rheograd.") and not inspect.isabstract(kind)
    }
    return sorted(found, key=lambda kind: kind.__qualname__)


def descendants(base: type[T]) -> Iterator[type[T]]:
    for kind in base.__subclasses__():
        yield kind
        yield from descendants(kind)


def fields_of(law: ConstitutiveLaw) -> dict[str, Tensor]:
    """Values for the constant fields that a law declares, one row for a whole body."""
    return {
        name: torch.linspace(0.2, 0.5, width, dtype=torch.float64)
        for name, width in law.fields.items()
    }
