# SPDX-License-Identifier: Apache-2.0
"""What a fit of numbers took for known, in words."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .experiment import Build, Experiment
from .parameter import ORDINARY, option_value
from .quantity import quantity


def assumed(
    build: Build, experiments: Sequence[Experiment], parameters: Iterable[str]
) -> dict[str, str]:
    """Options of the scene that were held, and the noise, by name.

    Args:
        build: Makes the scene.
        experiments: With all of their options.
        parameters: What is fitted.
    """
    fitted = {name.partition("@")[0] for name in parameters}
    noises = dict.fromkeys(words for e in experiments for words in e.observation.noises())
    said = {"noise of a coordinate": ", ".join(noises) or "not stated"}
    for name, p in inspect.signature(build).parameters.items():
        if p.kind is not p.KEYWORD_ONLY or name in fitted:
            continue
        values = {e.name: _words(name, option_value(build, name, e.given)) for e in experiments}
        if any(values.values()):
            said[f"{name}, held"] = _together(values)
    return said


def _together(values: Mapping[str, str]) -> str:
    """One word for all experiments, or one for each."""
    if len(set(values.values())) == 1:
        return next(iter(values.values()))
    return "; ".join(f"{name}: {words or 'none'}" for name, words in values.items())


def _words(name: str, value: Any) -> str:
    """A value with its unit; nothing for None."""
    if value is None:
        return ""
    unit = ORDINARY[name][3] if name in ORDINARY else ""
    if isinstance(value, tuple):
        return f"({', '.join(map(str, value))}) {unit}".strip()
    if isinstance(value, int | float) and not isinstance(value, bool):
        return quantity(value, unit, digits=None)
    return str(value)
