# SPDX-License-Identifier: Apache-2.0
"""The Python in docs/laws.md runs: every law there in particles and in finite elements."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rheograd.engine.scene import Body
from rheograd.engine.shapes import Box
from rheograd.materials.known import KNOWN

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "laws.md").read_text(encoding="utf-8")
FIRST, SECOND = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
NAMES = ("viscoelastic", "damped", "tissue", "muscle", "metal", "snow", "paste", "water")


@pytest.fixture(scope="module")
def page() -> dict:
    names: dict = {"__name__": "laws"}
    exec(compile(FIRST, "laws.md", "exec"), names)
    return names


def test_all_laws_are_tried(page: dict) -> None:
    assert tuple(page["laws"]) == NAMES


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("way", ["thrown", "held"])
def test_it_moves_and_stays_whole(page: dict, name: str, way: str) -> None:
    x = page[way](name).x
    moved = (x[-1] - x[0]).norm(dim=-1).max()
    assert x.isfinite().all() and 1e-3 < float(moved) < 0.2


def test_the_class_of_a_command(page: dict) -> None:
    names: dict = {"__name__": "muscle"}
    exec(compile(SECOND, "muscle.py", "exec"), names)
    law = names["Muscle"]()
    body = Body(Box((0.1, 0.1, 0.1)), law, density=1e3, fields=page["fields"]["muscle"])
    assert set(body.fields) == set(law.fields)


def test_materials_are_named() -> None:
    assert all(f"`{name}`" in PAGE for name in KNOWN)
