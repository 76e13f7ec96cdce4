# SPDX-License-Identifier: Apache-2.0
"""Constant fields of laws: material codes, directions, whatever differs from point to point.

A law declares them by name and width, a Body gives their values. They are the first columns of the
history, which a law hands on unchanged, so gradients reach the values through any roll-out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from rheograd.materials.law import ConstitutiveLaw

from .scene import Body, Scene, typed
from .suggestion import did_you_mean


def columns(body: Body, x: Tensor, *, share: int = 1) -> Tensor | None:
    """The fields of a body side by side in the order of its law, shape (n, w); None without any.

    Args:
        body: With values for what its law declares.
        x: Rest positions of its material points [m], shape (n, 3).
        share: Points of an element, which lie one after another and may share a row.

    Raises:
        ValueError: A field is missing, not known to the law, or of another shape; or the law holds
            another one whose fields it does not declare.
    """
    declared = dict(body.law.fields)
    _check_names(body, declared)
    found = [
        _values(body, name, body.fields[name], width, x, share) for name, width in declared.items()
    ]
    return torch.cat(found, 1) if found else None


def at_rest(law: ConstitutiveLaw, q: int, like: Tensor, fields: Tensor | None) -> Tensor:
    """History of points at rest, (q, n_internal), with constant fields (w,) or (q, w), or zeros."""
    internal = law.rest_internal(q, like)
    if fields is None:
        return internal
    own = fields.to(internal).expand(q, -1)
    return torch.cat([own, internal[:, own.shape[1] :]], 1)


def row_of(law: ConstitutiveLaw, values: Mapping[str, Sequence[float]]) -> Tensor:
    """Fields of a law in its order, float64 of shape (w,), zeros for those that are not given.

    Raises:
        ValueError: The law has no such field, or it has another number of values.
    """
    for name, given in values.items():
        width = law.fields.get(name)
        if width is None:
            there = _listed(law.fields) or "none"
            raise ValueError(
                f"got the constant field {name!r}{did_you_mean(name, law.fields)}, expected one"
                f" that {law.name} reads: {there}"
            )
        if len(given) != width:
            raise ValueError(
                f"got {len(given)} numbers for the constant field {name!r}, expected {width}"
            )
    rows = [value for name, k in law.fields.items() for value in values.get(name, [0.0] * k)]
    return torch.tensor(rows, dtype=torch.float64)


def wave_modulus(body: Body, fields: Tensor | None) -> float:
    """Stiffest longitudinal modulus at rest of a body with these fields [Pa]."""
    return body.law.wave_modulus() if fields is None else body.law.stiffest(fields)


def refuse(laws: Mapping[str, ConstitutiveLaw], where: str) -> None:
    """Refuse laws with fields where no Body gives their values.

    Args:
        laws: By the name of what is made of them.
        where: What does not know fields, for the error.

    Raises:
        ValueError: A law has fields.
    """
    for name, law in laws.items():
        if law.fields:
            raise ValueError(
                f"{name} has the law {law.name!r}, which reads the fields {_listed(law.fields)}, "
                f"expected a law without for {where}: take a body with Body(fields=...)"
            )


def with_values(scene: Scene, values: Mapping[str, Mapping[int, float]]) -> Scene:
    """The scene with numbers of fields of its bodies, where their laws declare them.

    Args:
        scene: Whose bodies have one row of a field for all their points, or none, which is zeros.
        values: Of each field by its name, by the place of the number in the row.

    Raises:
        ValueError: No law declares a field, or a body has values for each of its points.
    """
    for name, numbers in values.items():
        widths = [body.law.fields[name] for body in scene.bodies if name in body.law.fields]
        if not widths or max(numbers) >= max(widths):
            wanted = f"{name}.{max(numbers)}"
            known = {n: k for body in scene.bodies for n, k in body.law.fields.items()}
            raise ValueError(
                f"got a value for {wanted}, and no law of the scene reads it: their fields are "
                f"{_listed(known) or 'none'}, counted from 0"
                f"{did_you_mean(name, set(known) - {name})}"
            )
    return replace(scene, bodies=[_body_with(body, values) for body in scene.bodies])


def row(body: Body, name: str) -> list[float]:
    """The numbers of a field of a body, zeros if it has none.

    Raises:
        ValueError: It has values for each of its points.
    """
    width = body.law.fields[name]
    value = body.fields.get(name, [0.0] * width)
    own = None if callable(value) else torch.as_tensor(value, dtype=torch.float64).detach()
    if own is None or own.numel() != width:
        raise ValueError(
            f"{body.name} has a value of {name} for each of its points, expected one row for the "
            "whole body to change numbers of it"
        )
    return own.reshape(-1).tolist()


def _body_with(body: Body, values: Mapping[str, Mapping[int, float]]) -> Body:
    fields = dict(body.fields)
    for name, width in body.law.fields.items():
        if name in values:
            own = row(body, name)
            new = [values[name].get(k, own[k]) for k in range(width)]
            fields[name] = torch.tensor(new, dtype=torch.float64)
    return replace(body, fields=fields)


def _listed(fields: Mapping[str, int]) -> str:
    return ", ".join(f"{name} ({k} number{'s' * (k > 1)})" for name, k in fields.items())


def _check_names(body: Body, declared: Mapping[str, int]) -> None:
    given, law = body.fields, body.law
    inner = [m for m in law.modules() if isinstance(m, ConstitutiveLaw) and m.fields]
    if inner and not declared:
        raise ValueError(
            f"{body.name} has the law {law.name!r} around {inner[0].name!r}, whose fields "
            f"{_listed(inner[0].fields)} it does not hand on: take {inner[0].name!r} by itself"
        )
    unknown = [name for name in given if name not in declared]
    if missing := [name for name in declared if name not in given]:
        width = declared[missing[0]]
        values = str((1.0, *[0.0] * (width - 1))) if width > 1 else "1.0"
        instead = f", but some for {', '.join(unknown)}" if unknown else ""
        raise ValueError(
            f"{body.name} has the law {law.name!r}, which reads the fields {_listed(declared)}, and"
            f" no values for {', '.join(missing)}{instead}: give such as"
            f" Body(..., fields={{{missing[0]!r}: {values}}}), or to a command --constant"
            f" {missing[0]}={','.join('XYZW'[:width]) if width < 5 else 'X,...'}"
        )
    if unknown:
        raise ValueError(
            f"{body.name} has values for {', '.join(unknown)}, expected those of the law "
            f"{law.name!r}: {_listed(declared) or 'none'}; leave the others out"
        )


def _values(body: Body, name: str, value: Any, width: int, x: Tensor, share: int) -> Tensor:
    """One field at all points, shape (n, width), typed as `x`."""
    own = typed(value(x.detach()) if callable(value) else value, x)
    n, elements = len(x), len(x) // share
    if width == 1 and own.ndim < 2 and own.numel() in (1, n, elements):
        own = own.reshape(-1, 1)
    if own.shape in ((width,), (1, width)):
        own = own.reshape(1, width).expand(n, width)
    elif share > 1 and own.shape == (elements, width):
        own = own.repeat_interleave(share, 0)
    if own.shape != (n, width):
        kinds = f"({elements}, {width}) or ({n}, {width})" if share > 1 else f"({n}, {width})"
        raise ValueError(
            f"the field {name!r} of {body.name} has shape {tuple(own.shape)}, expected ({width},) "
            f"for the whole body or {kinds} for its material points"
        )
    if not bool(own.detach().isfinite().all()):
        raise ValueError(
            f"the field {name!r} of {body.name} has numbers that are not finite, expected finite "
            "ones at all points"
        )
    return own
