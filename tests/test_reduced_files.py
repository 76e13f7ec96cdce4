# SPDX-License-Identifier: Apache-2.0
"""Operators as files: to the last bit, with what they are for; what is no operator is refused."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from reduced_points import SCOPE, TINY, operator_of, reduced, thrown
from safetensors import safe_open
from safetensors.torch import save_file

from rheograd.engine.reduced.files import FORMAT
from rheograd.engine.reduced.operator import ReducedOperator
from rheograd.engine.reduced.solver import ReducedSolver
from rheograd.engine.simulate import simulate
from rheograd.materials.learned.invariant import InvariantSmooth


@pytest.fixture
def path(tmp_path: Path) -> Path:
    out = tmp_path / "a.safetensors"
    made = operator_of(3, history=4, reference=False)
    made.errors.update({"validation": 0.1 + 0.2, "test": math.inf})
    made.save(out)
    return out


def parts(path: Path) -> tuple[dict[str, str], dict[str, torch.Tensor]]:
    with safe_open(path, "pt") as file:
        return file.metadata(), {key: file.get_tensor(key) for key in file.keys()}


def rewrite(path: Path, drop: str | None = None, **metadata: str) -> None:
    """The same file with other words in it, or without a tensor."""
    before, tensors = parts(path)
    save_file({k: t for k, t in tensors.items() if k != drop}, path, {**before, **metadata})


def test_an_operator_comes_back_to_the_last_bit(path: Path) -> None:
    made, found = operator_of(3, history=4, reference=False), ReducedOperator.load(path)
    assert found.shape == made.shape and found.sparse == (60, 60)
    assert found.scope == SCOPE
    assert found.scope.parameters == SCOPE.parameters and list(found.scope.walls) == SCOPE.walls
    assert found.errors == {"validation": 0.1 + 0.2, "test": math.inf}
    assert found.parameters_count == made.parameters_count > 1000
    assert found.state_dict().keys() == made.state_dict().keys()
    for name, value in made.state_dict().items():
        assert torch.equal(found.state_dict()[name], value), name
    again = path.with_name("b.safetensors")
    found.save(again)
    assert parts(again)[0] == parts(path)[0]


def test_its_motion_is_the_same(path: Path) -> None:
    made = reduced(operator_of(3, history=4, reference=False))
    loaded = ReducedSolver.load(path, sparse=60, precision="float64")
    first, second = (simulate(thrown(), s, steps=8, every=2) for s in (made, loaded))
    assert torch.equal(first.x, second.x)
    assert loaded.summary(loaded.discretize(thrown()), None) == {  # type: ignore[arg-type]
        "sparse_points": 60, "operator_errors": {"validation": 0.1 + 0.2, "test": None},
    }  # fmt: skip


def test_what_a_file_says_in_words(path: Path) -> None:
    said, _ = parts(path)
    assert said["format"] == FORMAT and said["version"] == "1" and said["units"] == "SI"
    shape, scope = json.loads(said["architecture"]), json.loads(said["scope"])
    assert shape["history"] == 4 and shape["width"] == TINY.width
    assert scope["gravity"] == [0.0, -9.81, 0.0] and scope["parameters"]["young"] == [5e3, 2e4]


def torn(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def other_shape(path: Path) -> None:
    rewrite(
        path, architecture=json.dumps({**json.loads(parts(path)[0]["architecture"]), "width": 9})
    )


def unknown_size(path: Path) -> None:
    rewrite(
        path, architecture=json.dumps({**json.loads(parts(path)[0]["architecture"]), "depth": 9})
    )


def scope_without(path: Path) -> None:
    scope = json.loads(parts(path)[0]["scope"])
    del scope["frame"]
    rewrite(path, scope=json.dumps(scope))


REFUSED: dict[str, tuple[Any, str]] = {
    "torn": (torn, r"a\.safetensors is not a whole .* copy or train it again"),
    "text": (lambda p: p.write_text("hello"), "is not a whole"),
    "empty": (lambda p: p.write_bytes(b""), "is not a whole"),
    "law": (lambda p: InvariantSmooth().save(p), f"has the format .* expected '{FORMAT}'"),
    "plain": (lambda p: save_file({"a": torch.zeros(1)}, p), "has the format None"),
    "older": (lambda p: rewrite(p, version="0"), "version '0' of the format, expected 1"),
    "newer": (lambda p: rewrite(p, version="2"), "version '2'.*update rheograd"),
    "shape": (other_shape, "does not describe an operator as this version builds it"),
    "unknown": (unknown_size, "does not describe .*expected .*width.*train it again"),
    "scope": (scope_without, "does not describe .*expected .*frame"),
    "missing": (lambda p: rewrite(p, drop="stepper.velocity"), "does not describe .*velocity"),
    "words": (lambda p: rewrite(p, errors="[]"), "does not describe"),
    "broken": (lambda p: rewrite(p, scope="{"), "does not describe"),
}


@pytest.mark.parametrize("name", list(REFUSED))
def test_files_that_are_no_operator_are_refused(name: str, path: Path) -> None:
    change, said = REFUSED[name]
    change(path)
    with pytest.raises(ValueError, match=said) as caught:
        ReducedOperator.load(path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_files_are_for_whom_the_umask_says(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        operator_of().save(tmp_path / "a.safetensors")
        InvariantSmooth().save(tmp_path / "b.safetensors")
    finally:
        os.umask(before)
    assert {p.stat().st_mode & 0o777 for p in tmp_path.iterdir()} == {0o666 & ~mask}


def test_the_solver_is_where_it_is_looked_for() -> None:
    from rheograd.engine import reduced as package

    assert package.ReducedSolver is ReducedSolver
    with pytest.raises(AttributeError, match="no attribute 'Solver'"):
        _ = package.Solver  # type: ignore[attr-defined]


def test_names_and_places(tmp_path: Path) -> None:
    made = operator_of()
    with pytest.raises(ValueError, match=r"ends in \.safetensors"):
        made.save(tmp_path / "a.pt")
    with pytest.raises(ValueError, match=r"ends in \.safetensors"):
        ReducedOperator.load(tmp_path / "a.npz")
    with pytest.raises(FileNotFoundError, match="there is no operator at"):
        ReducedOperator.load(tmp_path / "none.safetensors")


def test_a_failed_write_leaves_the_old_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = path.read_bytes()
    made = operator_of(4)

    def fails(*_: Any, **__: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("safetensors.torch.save_file", fails)
    with pytest.raises(OSError, match="disk full"):
        made.save(path)
    assert path.read_bytes() == before and [p.name for p in path.parent.iterdir()] == [path.name]
