# SPDX-License-Identifier: Apache-2.0
"""Every law and flow of the project is there under its name, wherever a command takes a law."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from walk import every

from rheograd.materials.composition import ElastoPlastic
from rheograd.materials.law import ConstitutiveLaw
from rheograd.materials.plastic import AnalyticPlasticity
from rheograd.scenes import laws, named_laws
from rheograd.scenes.cli import main

KINDS = [*every(ConstitutiveLaw), *every(AnalyticPlasticity)]
OURS = [kind for kind in KINDS if kind.__module__.startswith("rheograd.materials.")]


@pytest.mark.parametrize("kind", OURS, ids=lambda kind: kind.name)
def test_every_law_and_flow_is_reached_by_its_name(kind: type) -> None:
    """In `rheograd law`, and wherever --law and phases of cells name one."""
    assert named_laws.named()[kind.name].kind is kind
    law = laws.load(kind.name)
    if issubclass(kind, AnalyticPlasticity):
        assert isinstance(law, ElastoPlastic) and type(law.plasticity) is kind
    else:
        assert type(law) is kind


def test_numbers_of_a_flow_and_of_its_elasticity_are_options(tmp_path: Path) -> None:
    path = tmp_path / "law.json"
    words = ["--yield-stress", "700", "--young", "2e5", "--exponent", "0.7", "--json", str(path)]
    assert main(["law", "herschel-bulkley", *words]) == 0
    found = json.loads(path.read_text())
    assert found["at_rest"]["young_Pa"] == pytest.approx(2e5, rel=1e-6)
    assert found["law"]["arguments"]["plasticity"]["name"] == "herschel-bulkley"


def test_a_name_that_is_near_is_guessed() -> None:
    with pytest.raises(ValueError, match=r"did you mean snow\?"):
        laws.load("snwo")
