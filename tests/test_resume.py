# SPDX-License-Identifier: Apache-2.0
"""Files that are replaced in one go, and run states kept in them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from rheograd.engine.atomic import replacing
from rheograd.engine.resume import load_state, pack, save_state, unpack
from rheograd.engine.state import State


def test_replacing_is_all_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), replacing(path) as draft:
        draft.write_text("new")
        raise RuntimeError
    assert path.read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["a.txt"]
    with replacing(path) as draft:
        draft.write_text("new")
    assert path.read_text() == "new" and [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_states_are_kept_to_the_last_bit(tmp_path: Path) -> None:
    path, base = tmp_path / "state.safetensors", torch.rand(4, 3, dtype=torch.float64)
    state = {
        "x": base,
        "part": base[1:3].T,
        "half": torch.rand(3).bfloat16(),
        "none": torch.zeros(0, 9),
        "random": torch.get_rng_state(),
        "odd": torch.tensor([float("nan"), -0.0, float("inf")]),
    }
    save_state(path, state, {"step": 7})  # type: ignore[dict-item]
    loaded, metadata = load_state(path)
    assert metadata == {"step": "7"}
    for name, tensor in state.items():
        assert loaded[name].dtype == tensor.dtype and loaded[name].shape == tensor.shape
        bits = [t.contiguous().view(torch.uint8).tolist() for t in (loaded[name], tensor)]
        assert bits[0] == bits[1]
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match="start afresh"):
        load_state(path)
    with pytest.raises(FileNotFoundError, match="without --resume"):
        load_state(tmp_path / "none.safetensors")


def test_a_state_comes_back_from_its_names(tmp_path: Path) -> None:
    path, x, F = tmp_path / "state.safetensors", torch.rand(4, 3), torch.rand(4, 3, 3)
    state = State(7, 0.1 + 0.2, x, 2 * x, F, torch.rand(4, 0), {"C": 3 * F, "tau": 4 * F})
    save_state(path, *pack(state))
    again = unpack(*load_state(path))
    assert (again.step, again.time) == (state.step, state.time)
    for name in ("x", "v", "F", "internal"):
        assert torch.equal(getattr(again, name), getattr(state, name))
    assert again.carry.keys() == state.carry.keys()
    assert all(torch.equal(again.carry[name], state.carry[name]) for name in state.carry)
    tensors, texts = pack(state)
    with pytest.raises(ValueError, match="without 'v'"):
        unpack({name: value for name, value in tensors.items() if name != "v"}, texts)
