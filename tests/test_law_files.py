# SPDX-License-Identifier: Apache-2.0
"""Laws to files and back; what is refused, and with which words."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from walk import every

from rheograd.engine.homogenize.fe2 import FE2
from rheograd.engine.homogenize.hybrid import Hybrid
from rheograd.materials.composition import Damped, ElastoPlastic
from rheograd.materials.elastic import Corotated, Hencky
from rheograd.materials.files import load_law, registered, save_law
from rheograd.materials.flows import HerschelBulkley, Snow, VolumeCorrecting
from rheograd.materials.law import ConstitutiveLaw, Elasticity
from rheograd.materials.learned.invariant import (
    InvariantFull,
    InvariantFullElasticity,
    InvariantSmooth,
    InvariantSmoothPlasticity,
)
from rheograd.materials.learned.isotropic import Isotropic, IsotropicPlasticity
from rheograd.materials.plastic import HardeningVonMises, VonMises

MESHED = (FE2, Hybrid)
LAWS = [kind for kind in every(ConstitutiveLaw) if hasattr(kind, "name") and kind not in MESHED]


@pytest.mark.parametrize("kind", LAWS, ids=lambda kind: kind.__name__)
def test_every_law_comes_back_as_it_was(kind: type[ConstitutiveLaw], tmp_path: Path) -> None:
    law = kind.example()
    with torch.no_grad():
        for value in law.parameters():
            value *= 1.01
    law.save(tmp_path / "law.safetensors")
    assert_same(ConstitutiveLaw.load(tmp_path / "law.safetensors"), law)


@pytest.mark.parametrize(
    "law",
    [
        ElastoPlastic(Corotated(young=2e5, poisson=0.1), InvariantSmoothPlasticity(2e-3)),
        ElastoPlastic(InvariantFullElasticity(3e4, widths=(16, 8, 8)), InvariantSmoothPlasticity()),
        Damped(ElastoPlastic(Hencky(young=1e6, poisson=0.2), VonMises(yield_stress=1e4)), 2e-3),
        Damped(ElastoPlastic(Corotated(1e6, 0.2), HardeningVonMises(1e4, -3e4)), 2e-3),
        ElastoPlastic(Hencky(1e5, 0.3), HerschelBulkley(50.0, 3.0, 0.4)),
        ElastoPlastic(Hencky(1e5, 0.3), VolumeCorrecting(35.0, 0.01)),
        ElastoPlastic(Corotated(1.4e5, 0.2), Snow(0.02, 0.006, 9.0, hardest=4.0)),
        InvariantFull(widths=(32,), seed=3).double(),
    ],
)
def test_combined_laws_come_back_as_they_were(law: ConstitutiveLaw, tmp_path: Path) -> None:
    save_law(law, tmp_path / "law.safetensors")
    assert_same(load_law(tmp_path / "law.safetensors"), law)


def test_a_law_that_is_computed_with_a_mesh_is_not_saved(tmp_path: Path) -> None:
    for kind, words in ((FE2, "train a surrogate"), (Hybrid, "save the surrogate")):
        with pytest.raises(TypeError, match=words):
            kind.example().save(tmp_path / "law.safetensors")
    assert not list(tmp_path.iterdir())


def assert_same(got: ConstitutiveLaw, law: ConstitutiveLaw) -> None:
    assert type(got) is type(law)
    assert repr(got) == repr(law)
    want, have = law.state_dict(), got.state_dict()
    assert want.keys() == have.keys()
    for key, value in want.items():
        assert have[key].dtype == value.dtype
        assert torch.equal(have[key], value)
    assert [p.requires_grad for p in got.parameters()] == [True] * len(list(law.parameters()))
    F = torch.eye(3) + 0.05 * torch.randn(5, 3, 3)
    with torch.no_grad():
        a, b = (m.update(F, m.rest_internal(5, F), 1e-3) for m in (got, law))
    assert torch.equal(a.tau, b.tau)
    assert torch.equal(a.F_elastic, b.F_elastic)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "foam.safetensors"
    InvariantSmooth(seed=1).save(path)
    return path


def rewritten(
    path: Path,
    tensors: Callable[[dict[str, Tensor]], object] = lambda t: None,
    metadata: Callable[[dict[str, str]], object] = lambda m: None,
) -> None:
    with safe_open(path, "pt") as file:
        words = dict(file.metadata())
        values = {key: file.get_tensor(key).clone() for key in file.keys()}
    tensors(values)
    metadata(words)
    save_file(values, path, words)


def described(change: Callable[[dict[str, Any]], object]) -> Callable[[dict[str, str]], object]:
    def apply(metadata: dict[str, str]) -> None:
        spec = json.loads(metadata["law"])
        change(spec)
        metadata["law"] = json.dumps(spec)

    return apply


def nested(depth: int) -> dict[str, Any]:
    """Damping of damping of ... a law."""
    inner: dict[str, Any] = {"name": "corotated", "arguments": {}}
    for _ in range(depth):
        inner = {"name": "damped", "arguments": {"law": inner, "time": 1e-3}}
    return inner


KEY = "elasticity.network.perceptron.weights.1"


def test_metadata_say_what_the_file_is(saved: Path) -> None:
    with safe_open(saved, "pt") as file:
        metadata = file.metadata()
        assert KEY in file.keys()
    assert metadata["format"] == "rheograd-law"
    assert metadata["units"] == "SI"
    assert json.loads(metadata["law"]) == {
        "name": "invariant-smooth",
        "arguments": {
            "stress_scale": 1e5,
            "flow_scale": 1e-3,
            "elastic_strain": 0.3,
            "plastic_strain": 1.0,
            "widths": [64, 64],
            "seed": 1,
        },
    }


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        (lambda m: m.clear(), "tensors of another program.*got|format is None.*expected"),
        (lambda m: m.update(format="pt"), "tensors of another program .*'pt', expected 'rheogr"),
        (lambda m: m.update(version="2"), "version '2' of the format, expected 1: update"),
        (lambda m: m.update(law="{"), "no readable architecture"),
        (lambda m: m.update(law="[" * 100000), "no readable architecture"),
        (lambda m: m.update(law="[1]"), "no readable architecture"),
        (lambda m: m.update(format="rheograd-operator"), "is an operator of rheograd reduce, exp"),
        (described(lambda s: s.update(nested(9))), "no readable architecture"),
        (described(lambda s: s.update(name="os.system")), "architecture 'os.system', expected one"),
        (described(lambda s: s["arguments"].update(depth=3)), "lacking no depth"),
        (described(lambda s: s["arguments"].update(widths=[10**12])), "widths from 1 to 4096"),
        (described(lambda s: s["arguments"].update(widths=[64] * 10**5)), "hidden layers"),
        (described(lambda s: s["arguments"].update(widths="ab")), "cannot be built"),
        (
            described(lambda s: s["arguments"].update(stress_scale=-1)),
            "got stress_scale = -1, expected a positive",
        ),
        (described(lambda s: s["arguments"].update(stress_scale="1")), "cannot be built"),
        (
            described(lambda s: s["arguments"].update(widths=[32, 32])),
            r"shape \(64, 12\).*\(32, 12",
        ),
    ],
)
def test_foreign_descriptions_are_refused(
    saved: Path, metadata: Callable[[dict[str, str]], object], said: str
) -> None:
    rewritten(saved, metadata=metadata)
    refused(saved, said)


@pytest.mark.parametrize(
    "law",
    [Isotropic(seed=1), ElastoPlastic(Hencky(1e5, 0.3), IsotropicPlasticity(seed=1))],
    ids=lambda law: law.name,
)
def test_numbers_of_another_formula_are_refused(law: ConstitutiveLaw, tmp_path: Path) -> None:
    path = tmp_path / "law.safetensors"
    law.save(path)

    def forget(spec: dict[str, Any]) -> None:
        part = spec if "revision" in spec else spec["arguments"]["plasticity"]
        assert part.pop("revision") > 1

    rewritten(path, metadata=described(forget))
    refused(path, "of revision 1, whose formula is not that .*expected revision 2: fit the law aga")

    def later(spec: dict[str, Any]) -> None:
        part = spec if law.revision > 1 else spec["arguments"]["plasticity"]
        part["revision"] = 3

    rewritten(path, metadata=described(later))
    refused(path, "of revision 3, whose formula is not that .*expected revision 2")


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        (lambda t: t.pop(KEY), rf"lacks the tensor '{KEY}' \(1 of 6.*expected shape \(64, 64\)"),
        (lambda t: t.update(extra=torch.ones(2)), "tensor 'extra' that 'invariant-smooth' does no"),
        (lambda t: t.update({KEY: torch.ones(64, 63)}), r"shape \(64, 63\).* shape \(64, 64\)"),
        (lambda t: t.update({KEY: torch.ones(64, 64).int()}), r"torch.int32, expected .*float32"),
        (lambda t: t[KEY].fill_(float("nan")), "not finite"),
    ],
)
def test_foreign_tensors_are_refused(
    saved: Path, tensors: Callable[[dict[str, Tensor]], object], said: str
) -> None:
    rewritten(saved, tensors)
    refused(saved, said)


def refused(path: Path, said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        load_law(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kept", [0, 5, 100, 2000, -1])
def test_truncated_files_are_refused(saved: Path, kept: int) -> None:
    saved.write_bytes(saved.read_bytes()[:kept])
    refused(saved, "not a whole .safetensors file .*copy or save it again")


def test_pickles_are_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "law.safetensors"

    class Trap:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return os.system, (f"touch {tmp_path / 'sprung'}",)

    path.write_bytes(pickle.dumps(Trap()))
    refused(path, "not a whole .safetensors file")
    assert not (tmp_path / "sprung").exists()


def test_a_part_is_no_law(saved: Path, tmp_path: Path) -> None:
    part = InvariantSmoothPlasticity()
    words = {"name": part.name, "arguments": {"flow_scale": 1.0, "widths": [64, 64], "seed": None}}
    metadata = {"format": "rheograd-law", "version": "1", "law": json.dumps(words)}
    save_file(part.state_dict(), saved, metadata)
    refused(saved, "part of a law")


def test_analytic_values_are_checked_on_the_way_in(tmp_path: Path) -> None:
    path = tmp_path / "law.safetensors"
    Corotated(young=1e5, poisson=0.3).save(path)
    rewritten(path, lambda t: t["poisson"].fill_(0.7))
    refused(path, "expected -1 < poisson < 0.5")
    rewritten(path, lambda t: t.pop("poisson"))
    refused(path, "arguments young, poisson, lacking poisson")


def test_no_such_file_and_other_endings(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no law at"):
        load_law(tmp_path / "none.safetensors")
    with pytest.raises(ValueError, match=r"ends in \.safetensors"):
        load_law(tmp_path / "law.pt")
    with pytest.raises(ValueError, match=r"ends in \.safetensors"):
        InvariantSmooth().save(tmp_path / "law.pt")


def test_a_failed_save_leaves_the_old_file(saved: Path) -> None:
    class Forgetful(Elasticity):
        name: ClassVar[str] = "forgetful"

        def __init__(self, stiffness: float):
            super().__init__()

        def stress(self, F_elastic: Tensor, internal: Tensor) -> Tensor:
            return 0 * F_elastic

        @classmethod
        def example(cls) -> Forgetful:
            return cls(1.0)

    before = saved.read_bytes()
    with pytest.raises(TypeError, match=r"'stiffness' is not kept; set self\.stiffness"):
        Forgetful(1.0).save(saved)
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


def test_names_are_unique() -> None:
    kinds = LAWS
    assert len({kind.name for kind in kinds}) == len(kinds)
    for kind in kinds:
        assert registered()[kind.name] is kind


def test_a_law_of_ones_own_is_found_by_its_name(tmp_path: Path) -> None:
    class Own(Corotated):
        name: ClassVar[str] = "my-own"

    Own(young=1e4, poisson=0.2).save(tmp_path / "law.safetensors")
    assert type(load_law(tmp_path / "law.safetensors")) is Own
