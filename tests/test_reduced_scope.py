# SPDX-License-Identifier: Apache-2.0
"""What an operator knows of its training data beside what it refuses, and how it says so."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from reduced_points import SCOPE, operator_of, reduced, thrown

from rheograd.engine.boundaries import Floor, Wall
from rheograd.engine.reduced.files import _scope
from rheograd.engine.reduced.operator import ReducedOperator
from rheograd.engine.reduced.scope import Scope
from rheograd.engine.scene import Domain, Scene
from rheograd.engine.shapes import Box
from rheograd.scenes.cli import main

KNOWN = replace(
    SCOPE, options={"size": (0.2, 0.4), "|spin|": (0.0, 9.0)}, extent=(0.4, 0.6), fastest=5.0,
    duration=0.1,
)  # fmt: skip
THIN = Box((0.1, 0.1, 0.1), (0.5, 0.5, 0.5))


def said_of(scene: Scene, scope: Scope = KNOWN) -> str:
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        scope.require(scene)
    assert len(found) <= 1, "all of it in one warning"
    return str(found[0].message) if found else ""


def test_all_that_is_unlike_the_data_is_told_at_once() -> None:
    assert said_of(thrown()) == ""
    strange = replace(thrown(shape=THIN, spin=(0.0, 60.0, 0.0)), duration=0.2)
    assert said_of(strange) == (
        "thrown is outside of what the operator was trained for: the diagonal of body [m] is"
        " 0.1732, trained from 0.4 to 0.6; the largest speed in body, with its spin, [m/s] is"
        " 6.354, trained up to 5; its duration [s] is 0.2, trained up to 0.1; take the motion with"
        " care"
    )
    assert said_of(strange, SCOPE) == "", "older files do not say"


def test_a_tenth_of_a_range_is_no_matter() -> None:
    assert said_of(replace(thrown(), duration=0.1095)) == ""
    assert "0.115" in said_of(replace(thrown(), duration=0.115))
    assert KNOWN.unlike({"size": 0.185, "spin": (9.8, 0.0, 0.0), "height": 9.0, "shape": "a"}) == []
    assert KNOWN.unlike({"size": 0.1, "spin": (0.0, 30.0, 0.0)}) == [
        "its size is 0.1, trained from 0.2 to 0.4", "the length of its spin is 30, trained up to 9",
    ]  # fmt: skip


def test_solvers_say_it() -> None:
    operator = operator_of()
    operator.scope = KNOWN
    with pytest.warns(UserWarning, match=r"the diagonal of body \[m\] is 0.1732"):
        reduced(operator).discretize(thrown(shape=THIN))


def test_files_without_ranges_are_read() -> None:
    told = json.loads(json.dumps(asdict(KNOWN)))
    assert _scope(told) == KNOWN
    for name in ("options", "extent", "fastest", "duration"):
        del told[name]
    assert _scope(told) == SCOPE


def test_walls_in_words() -> None:
    scene = replace(thrown(), boundaries=[Floor(friction=0.1), Wall("x-", "sticky")])
    with pytest.raises(ValueError, match=r"trained for: its walls are x- sticky, y- of friction"
                       r" 0\.1, trained with x- of friction 0, y- of friction 0;"):  # fmt: skip
        SCOPE.require(scene)


@pytest.mark.filterwarnings("ignore:thrown is outside")
def test_a_domain_that_cells_do_not_fill() -> None:
    scene = replace(thrown(), domain=Domain((0.0, 0.0, 0.0), (1.0, 1.05, 1.0)))
    with pytest.raises(ValueError, match=r"expected a whole number of the operator's cells of"
                       r" 0\.1 m: 1 or 1\.1 m would do"):  # fmt: skip
        reduced(insist=True).discretize(scene)


def test_what_a_training_knows_of_its_data(
    tiny_operator: Path, capsys: pytest.CaptureFixture[str], refuse: Callable[..., str]
) -> None:
    """And what a run of the scene says of its options."""
    scope = ReducedOperator.load(tiny_operator).scope
    assert set(scope.options) == {"size", "height", "|spin|", "|velocity|", "|turn|"}
    assert scope.options["size"] == (0.24, 0.36) and scope.duration == pytest.approx(0.32)
    assert scope.extent is not None and scope.fastest is not None
    assert 0.25 < scope.extent[0] < 0.4 < scope.extent[1] < 1.1
    assert scope.speed < scope.fastest < 8.0
    run = ["run", "drop", "--reduced", str(tiny_operator), "--sparse", "60", "--duration", "0.2"]
    assert main(run) == 0
    assert "other options" not in capsys.readouterr().err
    assert main([*run, "--height", "0.4", "--spin", "0,0,1"]) == 0
    assert (
        "warning: drop was simulated for the operator with other options: its height is 0.4,"
        " trained from 0.04 to 0.25; take the motion with care" in capsys.readouterr().err
    )
