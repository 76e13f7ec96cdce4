# SPDX-License-Identifier: Apache-2.0
"""Tables of stress tests as testing machines and spreadsheets write them."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from rheograd.engine.observations.stress_columns import LOADINGS, loading_of
from rheograd.engine.observations.stress_files import Reading, read_stress

ROWS = ((0.0, 0.0), (10.0, 0.11), (25.0, 0.2))
"""Strains [%] and nominal stresses [MPa]."""


def lines(apart: str = ",", comma: bool = False) -> str:
    text = "\n".join(f"{e:g}{apart}{s:g}" for e, s in ROWS) + "\n"
    return text.replace(".", ",") if comma else text


@pytest.mark.parametrize(
    ("head", "body"),
    [
        ("strain [%],stress [MPa]", lines()),
        ("Strain (%),Stress (MPa)", lines()),
        ("engineering strain [%], engineering stress [N/mm^2]", lines()),
        ("strain [%];stress [MPa]", lines(";")),
        ("strain [%];stress [N/mm²]", lines(";", comma=True)),
        ("strain [%]\tstress [MPa]", lines("\t", comma=True)),
        ("\ufeff# Shore A 40\n\nstrain [%],stress [MPa]", lines()),
        ("n,strain [%],stress [MPa]", "\n".join(f"1,{line}" for line in lines().split())),
    ],
)
def test_the_same_test_however_it_is_written(tmp_path: Path, head: str, body: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"{head}\n{body}", encoding="utf-8")
    (test,) = read_stress(path).tests
    assert test.F[:, 0, 0].tolist() == pytest.approx([1.0, 1.1, 1.25])
    assert test.stress[:, 0, 0].tolist() == pytest.approx([0.0, 0.11e6, 0.2e6])


def test_true_stress_and_true_strain(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("true strain [-],true stress [kPa]\n0,0\n0.5,30\n")
    (test,) = read_stress(path).tests
    assert float(test.F[1, 0, 0]) == pytest.approx(math.exp(0.5))
    assert float(test.stress[1, 0, 0]) == pytest.approx(30e3 / math.exp(0.5))


@pytest.mark.parametrize(
    ("unit", "seconds"),
    [(" [s]", 0.5), (" [ms]", 5e-4), (" [min]", 30.0), (" [h]", 1800.0), ("", 0.5)],
)
def test_times_have_units(tmp_path: Path, unit: str, seconds: float) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"time{unit},stretch,stress [kPa]\n0,1,0\n0.5,1.1,30\n")
    (test,) = read_stress(path).tests
    assert test.times is not None and test.times.tolist() == pytest.approx([0.0, seconds])


def test_loadings_in_words(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    rows = "0,0,tension\n10,1,tension\n0,0,compression\n-10,-1,compression\n"
    rows += "0,0,simple shear\n10,1,simple shear\n0,0,ps\n10,1,ps\n"
    path.write_text("strain [%],stress [kPa],loading\n" + rows)
    tests = {test.name: test for test in read_stress(path).tests}
    kinds = {name: test.kind for name, test in tests.items()}
    assert kinds == {"tension": "UT", "compression": "UT", "simple shear": "SS", "ps": "PS"}
    assert float(tests["compression"].F[1, 0, 0]) == pytest.approx(0.9)
    assert float(tests["simple shear"].F[1, 0, 1]) == pytest.approx(0.1)
    assert float(tests["simple shear"].F[1, 0, 0]) == 1.0


@pytest.mark.parametrize("head", ["shear [%]", "shear strain [%]"])
def test_a_column_of_shear_is_simple_shear(tmp_path: Path, head: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"{head},stress [kPa]\n0,0\n20,1\n")
    (test,) = read_stress(path).tests
    assert test.kind == "SS" and float(test.F[1, 0, 1]) == pytest.approx(0.2)


@pytest.mark.parametrize("words", LOADINGS)
def test_words_for_loadings(words: str) -> None:
    """Two axes are equibiaxial, a held width is planar; the rest is along one axis."""
    two, held = "biaxial" in words, words.startswith("planar") or words == "pure shear"
    expected = "ET" if two else "PS" if held else "SS" if "shear" in words else "UT"
    assert loading_of(words) == loading_of(words.upper()) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("strain,stress [kPa]\n0,0\n10,1\n", r"write strain \[%\], or strain \[-\] where 1 is"),
        ("strain [mm],stress [kPa]\n0,0\n10,1\n", "expected its unit to be one of %"),
        ("stretch [%],stress [kPa]\n0,0\n10,1\n", "expected its unit to be one of -"),
        ("time [d],stretch,stress [kPa]\n0,1,0\n1,2,1\n", "one of s, ms, min, h"),
        ("displacement [mm],force [N]\n0,0\n1,2\n", "a force over the area at rest is a stress"),
        ("strain [%],stretch,stress [kPa]\n0,1,0\n", "expected one column that tells"),
        (
            "stretch,stress [kPa]\n0,0\n350,1\n700,2\n",
            "from 0 to 700, .* these are strains",
        ),
        ("stretch,stress [kPa]\n0,0\n0.5,1\n", r"strain \[%\], or strain \[-\] where 1 is 100 %"),
        ("stretch,stress [kPa]\n1,0\n700,1\n", r"above 0 and up to 30, .* name the column strain"),
        ("stretch,stress [kPa]\n100,0\n150,1\n", "100 is the length at rest, divide the numbers"),
        (
            "strain [-],stress [kPa]\n0,0\n700,1\n",
            r"got strain \[-\] from 0 to 700, .*: write strain \[%",
        ),
        ("true strain [-],stress [kPa]\n0,0\n900,1\n", r"write true strain \[%\]"),
        ("strain [%],stress [kPa]\n0,0\n7000,1\n", r"check the unit of strain \[%\]"),
        ("strain [%],stress [kPa]\n0,0\n-100,-1\n", "from -100 to 0, expected stretches above 0"),
        ("shear,stress [kPa]\n0,0\n-80,-1\n", r"expected shears up to 30, .*: write shear \[%\]"),
        ("stretch,stress [kPa],true stress [kPa]\n1,0,0\n", "expected one of them"),
        ("stretch,stretch,stress [kPa]\n1,0,0\n", "leave one of them out"),
        ("stretch,stress [kPa]\n1,0\n", "UT has 1 point, expected two or more"),
        ("stretch,stress [kPa]\n1,0\nnan,1\n2,1\n", "a stretch is missing: leave that line out"),
        ("strain [%],stress [kPa]\nnan,0\nnan,1\n", "a stretch is missing: leave that line out"),
        ("stretch;stress [kPa]\n1;0\n1,5;a\n", "line 3: got 'a' in column stress"),
        ("stretch,stress [kPa]\n1,0\n1.5\n", "line 3: got 'nothing' in column stress"),
        ("shear,stress [kPa],loading\n0,0,UT\n1,1,UT\n", "expected stretch or strain of it"),
        ("true strain [-],stress [Pa],loading\n0,0,SS\n1,1,SS\n", "true strain .* of simple shear"),
        (
            "strain [%],stress [kPa],loading\n0,0,compression\n10,1,compression\n",
            "shortening is a strain below 0",
        ),
    ],
)
def test_what_cannot_be_read_is_told_in_one_sentence(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=words) as caught:
        read_stress(path)
    assert "\n" not in str(caught.value)


def test_large_stretches_that_can_be_meant_are_read(tmp_path: Path) -> None:
    """Of a gel, of shears that begin at 0 beside a pull, and with gaps in the stress."""
    path = tmp_path / "a.csv"
    path.write_text("stretch,stress [kPa],loading\n1,0,UT\n22,1,UT\n0,0,SS\n-2,nan,SS\n-30,1,SS\n")
    pull, shear = read_stress(path).tests
    assert pull.amount.tolist() == [1.0, 22.0] and shear.amount.tolist() == [0.0, -2.0, -30.0]


def test_a_text_file_of_strains_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    for text, words in (
        ("0 0\n350 1\n700 2\n", r"a first column from 0 to 700, .* a \.csv with strain \[%\]"),
        ("100 0\n700 2\n", "100 is the length at rest"),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=words):
            read_stress(path, Reading(unit="kPa"))
    path.write_text("0 0\n0.5 1\n")
    for loading in ("SS", "simple shear"):
        assert read_stress(path, Reading("kPa", loading=loading)).tests[0].amount.tolist() == [
            0,
            0.5,
        ]
