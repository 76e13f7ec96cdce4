# SPDX-License-Identifier: Apache-2.0
"""Laws as .safetensors files: tensors, and beside them the architecture in words.

The metadata of a file are strings:

    format    "rheograd-law"
    version   "1"
    law       JSON {"name": ..., "arguments": {...}}; an argument may be a law again; a "revision"
              where the formula of that name is not the first one
    units     "SI"
    written   the names of the files of classes that are not the project's, if there are any
    provenance  JSON: what the law was fitted to, if that is known; see provenance.py

A class is found by its `name` among the subclasses of `ConstitutiveLaw` and `Plasticity` that are
loaded, so a law of one's own is readable once its module is imported; no file is run because its
name is in here. A law can be written if each argument of its constructor is kept under its name as
an attribute; those kept as tensors are read from the tensors. Nothing is unpickled or evaluated.
"""

from __future__ import annotations

import inspect
import json
import math
import os
import pkgutil
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from .law import ConstitutiveLaw, Plasticity
from .provenance import Provenance
from .tensor_files import read_tensors, tensor_path, write_tensors

FORMAT = "rheograd-law"
OPERATOR = "rheograd-operator"
"""The format of what moves bodies as it was taught to, without a law."""
VERSION = 1
OWN = "rheograd."
"""Before the names of the project's modules."""
DEEPEST = 8
"""Laws within laws."""


def save_law(law: ConstitutiveLaw, path: str | Path) -> None:
    """Write a law; an older file at `path` is replaced in one go.

    Args:
        law: The law.
        path: The .safetensors file; its folder must exist.

    Raises:
        ValueError: The name has another ending.
        TypeError: The law does not keep an argument of its constructor.
    """
    path = tensor_path(path)
    metadata = {
        "format": FORMAT,
        "version": str(VERSION),
        "law": json.dumps(describe(law)),
        "units": "SI",
    }
    if sources := _sources(law):
        metadata["written"] = ", ".join(sources)
    if law.provenance is not None:
        metadata["provenance"] = law.provenance.to_json()
    tensors = {
        key: value.detach().cpu().clone(memory_format=torch.contiguous_format)
        for key, value in law.state_dict().items()
    }
    draft = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        write_tensors(draft, tensors, metadata)
        with open(draft, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def load_law(path: str | Path) -> ConstitutiveLaw:
    """Read a law, on the CPU and in the precision in which it was saved.

    Args:
        path: A .safetensors file from `save_law`.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is not whole, holds no law, or a law that cannot be built; the
            message says which and what to do.
    """
    path = tensor_path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no law at {path}: check the path")
    metadata, tensors = read_tensors(path, writer="law.save()", remedy="copy or save it again")
    file = _File(path, tensors, metadata.get("written", "")[:80])
    law = _build(_architecture(metadata, path), file, "")
    if not isinstance(law, ConstitutiveLaw):
        raise ValueError(
            f"{path} holds a {type(law).__name__}, which is a part of a law, expected a whole one: "
            "combine it with an elasticity and save that"
        )
    _fill(law, tensors, path)
    law.provenance = _provenance(metadata, path)
    return law


def _provenance(metadata: Mapping[str, str], path: Path) -> Provenance | None:
    text = metadata.get("provenance")
    try:
        return None if text is None else Provenance.from_json(text)
    except ValueError as error:
        raise ValueError(
            f"{path} does not say readably what its law was fitted to: {error}; set"
            " law.provenance and save it again"
        ) from None


def registered() -> dict[str, type[ConstitutiveLaw | Plasticity]]:
    """The laws and plasticities that are loaded, by name.

    The project's come first; of others of one name the last counts, as where a cell of a notebook
    has been run again.
    """
    package = import_module(__package__ or "rheograd.materials")
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        import_module(module.name)
    found: dict[str, type[ConstitutiveLaw | Plasticity]] = {}
    for base in (ConstitutiveLaw, Plasticity):
        for kind in _descendants(base):
            if not hasattr(kind, "name") or inspect.isabstract(kind):
                continue
            if kind.name not in found or not found[kind.name].__module__.startswith(OWN):
                found[kind.name] = kind
    return found


def _descendants(base: type) -> Iterator[Any]:
    for kind in base.__subclasses__():
        yield kind
        yield from _descendants(kind)


def _sources(law: nn.Module) -> list[str]:
    """Names of the files of a law's classes that are not the project's."""
    found = set()
    for kind in {type(m) for m in law.modules() if isinstance(m, ConstitutiveLaw | Plasticity)}:
        if not kind.__module__.startswith(OWN):
            file = getattr(sys.modules.get(kind.__module__), "__file__", None)
            found.add(Path(file).name if file else kind.__module__)
    return sorted(found)


def _arguments_of(kind: type[nn.Module]) -> dict[str, inspect.Parameter]:
    parameters = dict(inspect.signature(kind).parameters)
    return {
        name: p for name, p in parameters.items() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    }


def describe(law: nn.Module) -> dict[str, Any]:
    """The architecture of a law as its file has it: name, arguments, revision; no tensors.

    Raises:
        TypeError: The law does not keep an argument of its constructor.
    """
    arguments = {}
    for name in _arguments_of(type(law)):
        if not hasattr(law, name):
            raise TypeError(
                f"{type(law).__name__} cannot be saved: its argument {name!r} is not kept; set "
                f"self.{name} in its constructor"
            )
        value = getattr(law, name)
        if isinstance(value, nn.Module):
            arguments[name] = describe(value)
        elif not isinstance(value, Tensor):
            arguments[name] = list(value) if isinstance(value, tuple) else value
    found = {"name": law.name, "arguments": arguments}
    return found if law.revision == 1 else {**found, "revision": law.revision}


def _architecture(metadata: Mapping[str, str], path: Path) -> Any:
    if metadata.get("format") == OPERATOR:
        raise ValueError(
            f"{path} is an operator of rheograd reduce, expected a law: give it by --reduced"
        )
    if metadata.get("format") != FORMAT:
        raise ValueError(
            f"{path} holds tensors of another program (its format is "
            f"{metadata.get('format')!r}, expected {FORMAT!r}): build the law and give it the "
            "tensors by load_state_dict()"
        )
    version = metadata.get("version", "")
    if version != str(VERSION):
        raise ValueError(
            f"{path} has version {version!r} of the format, expected {VERSION}: update rheograd"
        )
    try:
        return json.loads(metadata.get("law", ""))
    except (ValueError, RecursionError):
        raise ValueError(
            f"{path} has no readable architecture, expected JSON: save the law again"
        ) from None


class _File(NamedTuple):
    """What was read of a file."""

    path: Path
    tensors: Mapping[str, Tensor]
    written: str
    """The names of the files of its classes that are not the project's."""


def _build(spec: Any, file: _File, prefix: str, depth: int = 0) -> nn.Module:
    """A law from its description; `prefix` is that of its tensors."""
    path, tensors = file.path, file.tensors
    plain = isinstance(spec, dict) and isinstance(spec.get("arguments"), dict)
    if not plain or not isinstance(spec.get("name"), str) or depth > DEEPEST:
        raise ValueError(
            f"{path} has no readable architecture (got {str(spec)[:80]!r}), expected "
            '{"name": ..., "arguments": {...}}: save the law again'
        )
    kinds = registered()
    kind = kinds.get(spec["name"])
    if kind is None:
        remedy = "import the module that defines it, or update rheograd"
        if file.written:
            script = file.written.partition(",")[0]
            remedy = f"its class is in {file.written}; import that, as by --law {script}:{path}"
        raise ValueError(
            f"{path} holds a law of the architecture {spec['name'][:80]!r}, expected one of "
            f"{', '.join(sorted(kinds))}: {remedy}"
        )
    if (revision := spec.get("revision", 1)) != kind.revision:
        raise ValueError(
            f"{path} has numbers of {spec['name']!r} of revision {revision}, whose formula is not"
            f" that of this version, expected revision {kind.revision}: fit the law again, or take"
            " the version of rheograd that wrote it"
        )
    given = dict(spec["arguments"])
    known = _arguments_of(kind)
    for name in known:
        stored = tensors.get(prefix + name)
        if name not in given and stored is not None:
            given[name] = stored.tolist()
        elif isinstance(given.get(name), dict):
            given[name] = _build(given[name], file, f"{prefix}{name}.", depth + 1)
    missing = [n for n, p in known.items() if n not in given and p.default is p.empty]
    if unknown := set(given) - set(known):
        missing.append(f"no {', '.join(sorted(unknown))}")
    if missing:
        raise ValueError(
            f"{path} does not describe {spec['name']!r} as this version builds it, expected the "
            f"arguments {', '.join(known)}, lacking {', '.join(missing)}: save the law again with "
            "this version"
        )
    try:
        return kind(**given)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{path} describes a {spec['name']!r} that cannot be built: {error}"
        ) from None


def _fill(law: ConstitutiveLaw, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Give the law its tensors."""
    expected = law.state_dict()
    if missing := sorted(expected.keys() - tensors.keys()):
        raise ValueError(
            f"{path} lacks the tensor {missing[0]!r} ({len(missing)} of {len(expected)} are "
            f"missing), expected shape {tuple(expected[missing[0]].shape)}: save the law again"
        )
    if foreign := sorted(tensors.keys() - expected.keys()):
        raise ValueError(
            f"{path} has a tensor {foreign[0]!r} that {law.name!r} does not know, expected "
            f"{', '.join(sorted(expected))}: save the law again with this version"
        )
    for key, value in tensors.items():
        wanted = expected[key]
        if value.shape != wanted.shape or value.is_floating_point() != wanted.is_floating_point():
            raise ValueError(
                f"{path} has the tensor {key!r} of shape {tuple(value.shape)} and {value.dtype}, "
                f"expected shape {tuple(wanted.shape)} and {wanted.dtype}: save the law again"
            )
        if value.is_floating_point() and not math.isfinite(float(value.sum())):
            raise ValueError(
                f"{path} has numbers in {key!r} that are not finite, expected finite ones: take "
                "the law of an earlier epoch"
            )
    law.load_state_dict(dict(tensors), assign=True)
