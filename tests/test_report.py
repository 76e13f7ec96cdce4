# SPDX-License-Identifier: Apache-2.0
"""The report of a fit: complete, self-contained, escaped, and right in what it says."""

from __future__ import annotations

import json
import math
import re
import struct
import subprocess
import sys
import zlib
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch

from rheograd.engine.curves import Curve
from rheograd.engine.fit import report_files
from rheograd.engine.fit.page import headline, page, verdict, went_through
from rheograd.engine.fit.plots import limits, log_marks, loss_plot
from rheograd.engine.fit.quantity import duration, number, quantity
from rheograd.engine.fit.report import FitReport, FittedParameter
from rheograd.engine.fit.report_files import law_words, pace, write_report
from rheograd.materials.composition import Damped, ElastoPlastic
from rheograd.materials.elastic import Corotated, Hencky, NeoHookean
from rheograd.materials.learned.invariant import InvariantFull
from rheograd.materials.plastic import DruckerPrager

VOID = {"meta", "img", "br", "link", "hr", "input"}
EVIL = '<script>alert("1")</script>&'


class Checker(HTMLParser):
    """Balanced tags, unique ids, and what the page refers to."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.sources: list[str] = []
        self.references: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        values = {name: value or "" for name, value in attrs}
        if "id" in values:
            self.ids.append(values["id"])
        if "src" in values:
            self.sources.append(values["src"])
        for name in ("href", "xlink:href"):
            if name in values:
                self.references.append(values[name])
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def checked(html: str) -> Checker:
    checker = Checker()
    checker.feed(html)
    checker.close()
    assert checker.open == []
    return checker


def png(path: Path) -> Path:
    """One grey pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    content = head + chunk(b"IDAT", zlib.compress(b"\0\x80")) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + content)
    return path


def learned(**changes: object) -> FitReport:
    report = FitReport(
        kind="law",
        scene="nclaw",
        observation="data/jelly.npz",
        settings={"epochs": 3, "path": Path("a/b"), "rate": torch.tensor(0.5)},
        errors={"reconstruction": 3e-6, "twice the time": 12e-6},
        losses=[3.0, None, 0.1],
        seconds=75.0,
        start_errors={"reconstruction": 3e-2},
        size=0.5,
        segments=[25, 50, 50],
        command="rheograd fit nclaw jelly.npz",
        resume="rheograd fit nclaw jelly.npz --resume",
    )
    return replace(report, **changes)  # type: ignore[arg-type]


def test_a_range_says_what_is_in_it(tmp_path: Path) -> None:
    write_report(tmp_path / "plain", measured())
    assert "not from errors of the model" in (tmp_path / "plain" / "report.html").read_text()
    young, poisson = measured().parameters
    parts = {"tracks": 500.0, "particles": 1200.0, "cells": 2000.0}
    write_report(tmp_path / "all", measured(parameters=(replace(young, parts=parts), poisson)))
    page = (tmp_path / "all" / "report.html").read_text()
    assert "not from errors of the model" not in page
    assert "500 Pa (tracks), 1.2 kPa (particles), 2.0 kPa (cells)" in page
    told = json.loads((tmp_path / "all" / "report.json").read_text())
    assert told["parameters"][0]["parts"] == parts


def measured(**changes: object) -> FitReport:
    young = FittedParameter("young", 308230.0, "Pa", 2400.0, 303526.0, 312934.0, True, 1e5)
    poisson = FittedParameter("poisson", 0.41, "-", 0.35, -0.28, 1.1, False, 0.3)
    report = FitReport(
        kind="parameters",
        scene="beam",
        observation="beam.c3d",
        settings={},
        errors={"reconstruction": 1.2e-7},
        losses=[2e-6, 1.2e-7],
        seconds=8.0,
        parameters=(young, poisson),
        correlation=[[1.0, 0.97], [0.97, 1.0]],
        law_fitted=NeoHookean(308230.0, 0.41),
        law_start=NeoHookean(1e5, 0.3),
    )
    return replace(report, **changes)  # type: ignore[arg-type]


def rendered(report: FitReport) -> str:
    """The page without curves."""
    return page(report, {}, {}, {"date": "2026-01-02 03:04:05"})


def text_of(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<style>.*?</style>|<[^>]+>", " ", html, flags=re.DOTALL))


def test_both_files(tmp_path: Path) -> None:
    picture = png(tmp_path / "frame.png")
    report = learned(
        law_fitted=InvariantFull(1e5, seed=1),
        law_truth=Corotated(1e5, 0.2),
        stretches=(0.9, 1.1),
        pictures={"Frame 10": picture},
        notes=("epoch 1: a step was rejected",),
    )
    written = write_report(tmp_path / "new" / "folder", report)
    assert sorted(p.name for p in written.parent.iterdir()) == ["report.html", "report.json"]
    checker = checked(written.read_text(encoding="utf-8"))
    assert len(set(checker.ids)) == len(checker.ids)
    assert checker.tags.count("figure") == 1 + 4 + 1
    assert all(source.startswith("data:image/png;base64,") for source in checker.sources)
    assert all(reference[1:] in checker.ids for reference in checker.references)
    assert not {"script", "link", "iframe"} & set(checker.tags)
    html = written.read_text(encoding="utf-8")
    assert "url(http" not in html and "@import" not in html
    for words in ("jelly.npz", "a step was rejected", "corotated", "--resume", "1 min 15 s"):
        assert words in text_of(html)
    content = json.loads((written.parent / "report.json").read_text(encoding="utf-8"))
    first = content["errors"][0]
    assert first["mean_square_m2"] == 3e-6
    assert first["rms_coordinate_m"] == pytest.approx(math.sqrt(3e-6))
    assert first["rms_distance_m"] == pytest.approx(3e-3)
    assert first["start_mean_square_m2"] == 3e-2
    assert content["losses"]["by_epoch"] == [3.0, None, 0.1]
    assert content["settings"] == {"epochs": 3, "path": "a/b", "rate": 0.5}
    assert {(c["law"], c["name"]) for c in content["curves"]} >= {
        ("fitted", "uniaxial"),
        ("truth", "simple shear"),
        ("truth", "volumetric"),
    }
    assert content["laws"] == {"fitted": "invariant-full", "truth": "corotated"}
    assert content["environment"]["torch"] == torch.__version__


def test_laws_by_path(tmp_path: Path) -> None:
    law = tmp_path / "law.safetensors"
    Corotated(1e5, 0.2).save(law)
    write_report(tmp_path, learned(law_fitted=law))
    content = json.loads((tmp_path / "report.json").read_text())
    assert len(content["curves"]) == 4
    with pytest.raises(FileNotFoundError):
        write_report(tmp_path, learned(law_start=tmp_path / "none.safetensors"))


def test_an_interrupted_write_keeps_the_old_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = write_report(tmp_path, learned())
    before = written.read_bytes()

    def broken(*_: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(report_files, "page", broken)
    with pytest.raises(KeyboardInterrupt):
        write_report(tmp_path, learned(seconds=1.0))
    assert written.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["report.html", "report.json"]


def test_strings_are_escaped() -> None:
    parameter = FittedParameter(EVIL, 1.0, EVIL, 0.1, 0.9, 1.1, False, 2.0)
    report = measured(
        scene=EVIL,
        observation=EVIL,
        settings={EVIL: EVIL},
        errors={EVIL: 1e-6},
        trained=(EVIL,),
        parameters=(parameter, replace(parameter, determined=True)),
        pictures={EVIL: Path(EVIL + ".png"), EVIL + "2": Path(EVIL)},
        movies={EVIL: Path(EVIL + ".mp4")},
        notes=(EVIL,),
        loss_unit=EVIL,
        command=EVIL,
        resume=EVIL,
    )
    curve = Curve(
        EVIL, torch.tensor([0.0, 1.0]).double(), torch.ones(2).double(), (EVIL, EVIL),
        (EVIL, EVIL), EVIL,
    )  # fmt: skip
    html = page(report, {"fitted": [curve]}, {"fitted": EVIL}, {"date": EVIL, EVIL: EVIL})
    assert "script" not in checked(html).tags
    assert "<script" not in html


def test_learned_law_in_words() -> None:
    report = learned()
    assert headline(report, {"fitted": "invariant-full"}) == (
        "A learned law (invariant-full), fitted to the motion in jelly.npz"
    )
    said = verdict(report)
    assert "3.0 mm" in said and "0.60 % of its size" in said
    assert "100 times closer than before the fit" in said
    assert "new to the fit, 6.0 mm" in said
    worse = verdict(learned(start_errors={"reconstruction": 0.75e-6}))
    assert "2.0 times farther than before the fit" in worse


def test_divergence_is_said() -> None:
    assert "of no use" in verdict(learned(errors={"reconstruction": math.inf}, start_errors={}))
    report = learned(errors={"reconstruction": 3e-6, "slope": math.nan})
    assert "diverged" in verdict(report)
    text = text_of(rendered(report))
    assert "1 of 1 simulations new to the fit diverged" in text
    assert "the simulation diverged" in text


def test_divergence_in_json(tmp_path: Path) -> None:
    write_report(tmp_path, learned(errors={"reconstruction": 3e-6, "slope": math.inf}))
    text = (tmp_path / "report.json").read_text()
    errors = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} in JSON"))["errors"]
    assert errors[1]["mean_square_m2"] is None
    assert errors[1]["rms_distance_m"] is None


def test_parameters_in_words() -> None:
    html = rendered(measured())
    checked(html)
    text = text_of(html)
    assert "Young's modulus and Poisson's ratio, fitted" in text.replace("&#x27;", "'")
    assert "308.2 kPa" in text
    assert "303.5 kPa to 312.9 kPa" in text
    assert "known to ± 1.5 %" in text
    assert "not determined" in text
    assert "1 of 2 parameters determined by the data" in text
    assert "does not determine Poisson's ratio" in text.replace("&#x27;", "'")
    assert "Hardly told apart" in text and "(+0.97)" in text
    independent = measured(correlation=[[1.0, 0.1], [0.1, 1.0]])
    assert "Hardly told apart" not in rendered(independent)


def test_a_fit_beyond_the_noise_claims_nothing(tmp_path: Path) -> None:
    """Its bands do not hold: nothing about it is green, and the first sentences say so."""
    (young, _), doubt = measured().parameters, "what is left is 7.1 times the noise"
    report = measured(
        parameters=(young,), correlation=None, excess=7.1, warnings=(doubt,),
        start_errors={"reconstruction": 1e-6}, notes=("iteration 1: a step was rejected",),
    )  # fmt: skip
    html = rendered(report)
    checked(html)
    said = "does not explain what was seen: 7.1 times the noise is left, and the 95 % ranges do not"
    assert said in verdict(report)
    assert 'class="good"' not in html and "determined by the data" not in html
    text = text_of(html)
    assert "range does not hold" in text and "The 95 % range does not hold here" in text
    trust, way = text.index("How far to trust it"), text.index("What happened on the way")
    assert trust < text.index("What is left is 7.1 times") < way < text.index("Iteration 1: a step")
    write_report(tmp_path, report)
    told = json.loads((tmp_path / "report.json").read_text())
    assert told["warnings"] == [doubt] and told["excess_over_noise"] == 7.1


def test_a_grid_that_is_too_coarse_is_not_the_fault_of_the_motion() -> None:
    young, _ = measured().parameters
    parts = {"tracks": 0.01, "particles": 0.1, "cells": 0.6}
    friction = FittedParameter(
        "friction", 0.4, "-", determined=False, start=0.3, parts=parts, coarse=True
    )
    text = text_of(rendered(measured(parameters=(young, friction), correlation=None)))
    assert "The grid is too coarse for friction coefficient" in text
    assert "Simulate with smaller cells" in text and "0.6 (cells)" in text.replace("0.60", "0.6")
    assert "does not determine" not in text and "not determined" not in text
    assert "1 of 2 parameters determined by the data and this grid" in text


def test_the_title_names_all_that_was_seen() -> None:
    several = {"a: reconstruction": 1e-6, "b: reconstruction": 2e-6}
    both = learned(
        observation="x/a.npz, y/b.npz", errors=several, trained=tuple(several), start_errors={}
    )
    assert headline(both, {}) == "A learned law, fitted to the motions in a.npz and b.npz"
    one = learned(observation="front.npz, side.npz, top.npz")
    assert headline(one, {}).endswith("fitted to the motion in front.npz, side.npz and top.npz")


def test_frames_that_chose_the_epoch_are_not_new_to_the_fit() -> None:
    errors = {"reconstruction": 3e-6, "with the held-out tail": 12e-6}
    report = learned(errors=errors, chose=("with the held-out tail",))
    assert verdict(report).endswith("With the held-out frames, which chose the epoch, 6.0 mm.")
    text = text_of(rendered(report))
    assert "its held-out frames chose the epoch" in text and "new to the fit" not in text
    assert "on motion new to the fit" in text_of(rendered(learned(errors=errors)))


@pytest.mark.parametrize(
    ("losses", "said"),
    [
        ([3.51, 4.0, 5.94], "The loss rose from 3.51 to 5.94: the training brought the law no"),
        ([3.0, 3.0], "The loss stayed at 3.00."),
        ([3.0, 1.0], "The loss fell from 3.00 to 1.00."),
    ],
)
def test_the_course_of_the_loss(losses: list[float], said: str) -> None:
    assert said in text_of(rendered(learned(losses=losses, segments=())))


def test_numbers_are_fitted_in_iterations() -> None:
    text = text_of(rendered(measured()))
    assert "for 2 iterations" in text and "epoch" not in text and "The search" in text
    assert "for 3 epochs" in text_of(rendered(learned()))


def test_a_bare_report_is_short() -> None:
    report = FitReport("law", "nclaw", "", {}, {"reconstruction": 0.0}, [], 0.5)
    html = rendered(report)
    checked(html)
    text = text_of(html)
    for absent in ("Side by side", "The parameters", "The material itself", "The training"):
        assert absent not in text
    assert "in words" not in text


def test_movies_are_linked() -> None:
    html = rendered(learned(movies={"Side by side, slowly": Path("my movie.mp4")}))
    assert '<a href="my%20movie.mp4">Side by side, slowly</a>' in html
    checked(html)


def test_missing_pictures_are_named(tmp_path: Path) -> None:
    text = text_of(rendered(learned(pictures={"A": tmp_path / "a.png", "B": tmp_path / "b.mp4"})))
    assert "a.png is not there (A)" in text
    assert "b.mp4 is neither .png nor .jpg (B)" in text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "both"}, "expected 'law' or 'parameters'"),
        ({"errors": {}}, "at least one motion"),
        ({"start_errors": {"other": 1.0}}, "'other'"),
        ({"segments": [25]}, "1 segment lengths for 3 losses"),
        ({"correlation": [[1.0]]}, "shape"),
    ],
)
def test_pieces_that_do_not_fit(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        learned(**changes)


@pytest.mark.parametrize("losses", [[1.0, 0.1, 0.01], [1.0, 0.0, -1.0], [None, math.nan, 1.0]])
def test_loss_plots(losses: list[float | None]) -> None:
    plot = loss_plot(losses, [25, 25, 50], "m²")
    checked(plot)
    assert "loss [m²]" in plot
    assert "<metadata" not in plot
    assert plot == loss_plot(losses, [25, 25, 50], "m²")


@pytest.mark.parametrize(
    ("low", "high"),
    [(4.4, 5.4), (0.97, 1.02), (1.1, 4.0), (3.0, 40.0), (1e-9, 1e-2), (2e-3, 3e2), (7e-5, 7.2e-5)],
)
def test_marks_of_a_logarithmic_axis(low: float, high: float) -> None:
    marks = log_marks(low, high)
    assert 3 <= len(marks) <= 8
    assert len({words for _, words in marks}) == len(marks)
    assert all(low <= value <= high for value, _ in marks)
    for value, words in marks:
        said, _, power = words.partition(" × 10")
        power = power.translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")) or "0"
        assert float(said) * 10.0 ** int(power) == pytest.approx(value, rel=1e-9)


@pytest.mark.parametrize("losses", [[5.4, 5.1, 4.7, 4.5, 4.4], [3.0, 3.0, 3.0], [9.0, 1e-6]])
def test_labels_of_a_loss_plot_differ(losses: list[float]) -> None:
    plot = loss_plot(losses, (), "px²", "iteration")
    labels = re.findall(r"<text[^>]*text-anchor: end[^>]*>([^<]*)</text>", plot)
    assert len(labels) >= 3 and len(set(labels)) == len(labels)
    assert ">iteration<" in plot


def test_a_wild_start_does_not_hide_the_fit() -> None:
    x = torch.linspace(0, 1, 5, dtype=torch.float64)
    words = ("-", "Pa"), ("a", "b"), "c"
    fitted, start = Curve("n", x, 1e3 * x, *words), Curve("n", x, -1e9 * x, *words)
    low, high = limits({"fitted": fitted, "start": start}, 1.0)
    assert -1.3e3 < low < -1e3 and 1e3 < high < 1.3e3
    flat = Curve("n", x, 1e-12 * x, *words)
    low, high = limits({"fitted": flat}, 10.0)
    assert low < -5 and high > 5


def test_pace() -> None:
    """Only a learned law has to be loaded in the simulation's own steps."""
    solid, learning = Corotated(1e5, 0.2), InvariantFull(seed=1)
    assert pace([solid], 1e-5) == (5e-4, 4.0)
    assert pace([solid, learning], 1e-3) == (1e-3, 4.0)
    assert pace([learning], 1e-5) == pytest.approx((1e-5, 200.0))


def test_law_words() -> None:
    sand = ElastoPlastic(Hencky(1e6, 0.2), DruckerPrager(25.0))
    assert law_words(sand) == "hencky with drucker-prager"
    assert law_words(Damped(Corotated(1e5, 0.2), 1e-3)) == "corotated, damped"


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (quantity(263812.0, "Pa", known_to=600.0), "263.81 kPa"),
        (quantity(263812.0, "Pa", known_to=6000.0), "263.8 kPa"),
        (quantity(6e-4, "m", digits=2), "0.60 mm"),
        (quantity(3e-5, "m"), "30.0 µm"),
        (quantity(0.0, "m"), "0 m"),
        (quantity(5e-4, "s", digits=None), "0.5 ms"),
        (quantity(900.0, "Pa", like=2000.0), "0.900 kPa"),
        (quantity(25.02, "degrees", known_to=0.03), "25.020°"),
        (quantity(1070.0, "kg/m³", digits=4), "1070 kg/m³"),
        (quantity(-0.28, "-"), "−0.280"),
        (quantity(math.nan, "m"), "–"),
        (number(2.31e-6, digits=2), "2.3 × 10⁻⁶"),
        (number(-9.996e7), "−1.00 × 10⁸"),
        (duration(3.4), "3.4 s"),
        (duration(75.0), "1 min 15 s"),
        (duration(7322.0), "2 h 2 min"),
    ],
)
def test_quantities(said: str, expected: str) -> None:
    assert said == expected


def test_matplotlib_is_loaded_for_plots_only() -> None:
    code = "import sys, rheograd.engine.fit.page; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=120).returncode == 0


def test_what_of_a_loading_the_motion_went_through() -> None:
    """A shear reaches as far as its principal stretches, singular values of F, stay inside."""
    for range_ in ((0.8, 1.5), (0.5, 1.25)):
        rest, shear = went_through("simple shear", range_) or (1.0, 0.0)
        s = torch.linalg.svdvals(torch.tensor([[1.0, shear], [0.0, 1.0]], dtype=torch.float64))
        assert rest == 0.0 and s.tolist() == pytest.approx([1.25, 0.8], rel=1e-12)
    assert went_through("simple shear", (0.9, 0.95)) == (0.0, 0.0), "nothing was stretched"
    assert went_through("simple shear", (0.0, 1.25)) == (0.0, pytest.approx(0.45))
    assert went_through("uniaxial", (0.8, 1.5)) == (0.8, 1.5)
    assert went_through("sheared under pressure", (0.8, 1.5)) is None
