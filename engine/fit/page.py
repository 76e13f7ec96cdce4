# SPDX-License-Identifier: Apache-2.0
"""report.html: one file, readable by someone who was not there, on a screen and on paper.

Every text that comes from outside goes through `html.escape`.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

from ..curves import Curve
from .page_parameters import parameters, plain_name
from .plots import LINES, curve_plot, loss_plot
from .quantity import duration, number, percent, quantity
from .report import FitReport
from .sheet import again, document, said

LEGEND = {"fitted": "fitted", "start": "before the fit", "truth": "truth behind the observation"}
MEDIA = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg"}


def page(
    report: FitReport,
    curves: Mapping[str, Sequence[Curve]],
    names: Mapping[str, str],
    surroundings: Mapping[str, str],
) -> str:
    """The page.

    Args:
        report: What to say.
        curves: Of each law, by "fitted", "start" and "truth".
        names: Kind of each law.
        surroundings: Versions, date and machine.
    """
    title = headline(report, names)
    sections = [
        _header(report, title, surroundings),
        _notes(report),
        _errors(report),
        parameters(report),
        _pictures(report),
        _curves(report, curves, names),
        _training(report),
        _settings(report, surroundings),
    ]
    return document(title, sections)


def headline(report: FitReport, names: Mapping[str, str]) -> str:
    """What was fitted to what, as a sentence."""
    source = f"the motion in {said(report.sources)}" if report.sources else "an observed motion"
    if len(report.trained) > 1 and report.sources:
        source = source.replace("motion", "motions", 1)
    if report.kind == "law":
        kind = names.get("fitted")
        return f"A learned law{f' ({kind})' if kind else ''}, fitted to {source}"
    if not report.parameters:
        return f"A fit to {source}"
    text = said([plain_name(p.name) for p in report.parameters])
    return f"{text[0].upper()}{text[1:]}, fitted to {source}"


def verdict(report: FitReport) -> str:
    """How good the fit is, in a sentence or two."""
    error = report.errors[report.main]
    if not math.isfinite(error):
        return (
            f"Simulated with it, the motion “{report.main}” left the range in which its numbers "
            "mean anything: this fit is of no use as it is."
        )
    apart = quantity(report.rms(error), report.unit, digits=2)
    text = (
        f"Simulated again with it, the body is on average {apart} from where it was seen (RMS over"
        " points and frames)"
    )
    share = report.share(error)
    if share is not None:
        text += f", which is {percent(share)} of its size"
    if report.excess is not None:
        text = (
            "The law or the scene does not explain what was seen:"
            f" {number(report.excess, digits=2)} times the noise is left, and the 95 % ranges do"
            f" not hold. {text}"
        )
    start = report.start_errors.get(report.main)
    if start is not None and math.isfinite(start) and error > 0:
        text += f"; {_compare(report.rms(start) / report.rms(error))} before the fit"
    text += "."
    chose = [report.errors[name] for name in report.chose]
    if chose and all(map(math.isfinite, chose)):
        text += f" With the held-out frames, which chose the epoch, {_spread(report, chose)}."
    if not report.unseen:
        return text
    if not all(map(math.isfinite, report.unseen)):
        return text + " Of the simulations new to the fit at least one diverged."
    return f"{text} On motion new to the fit, {_spread(report, report.unseen)}."


def _spread(report: FitReport, errors: Sequence[float]) -> str:
    low, high = (quantity(report.rms(f(errors)), report.unit, digits=2) for f in (min, max))
    return low if low == high else f"{low} to {high}"


def _compare(times: float) -> str:
    if times >= 1.05:
        return f"{number(times, digits=2)} times closer than"
    return (
        "about as close as" if times > 0.95 else f"{number(1 / times, digits=2)} times farther than"
    )


def _header(report: FitReport, title: str, surroundings: Mapping[str, str]) -> str:
    error = report.errors[report.main]
    cards = [("diverged", f"the simulation of {report.main}")]
    if math.isfinite(error):
        apart = quantity(report.rms(error), report.unit, digits=2)
        cards = [(apart, f"RMS distance to the seen motion ({report.main})")]
    start = report.start_errors.get(report.main)
    if start is not None and 0 < error < start < math.inf:
        times = number(math.sqrt(start / error), digits=2)
        cards.append((f"{times} ×", "closer than before the fit"))
    unseen = report.unseen
    if unseen and all(map(math.isfinite, unseen)):
        worst = quantity(report.rms(max(unseen)), report.unit, digits=2)
        cards.append((worst, "at worst on motion new to the fit"))
    elif unseen:
        failed = sum(not math.isfinite(v) for v in unseen)
        cards.append((f"{failed} of {len(unseen)}", "simulations new to the fit diverged"))
    unknown = sum(not p.determined for p in report.parameters)
    if report.excess is not None:
        cards.append((f"{report.excess:.2g} ×", "the noise is left: the 95 % ranges do not hold"))
    elif report.parameters:
        known = len(report.parameters) - unknown
        coarse = any(p.coarse for p in report.parameters)
        words = "parameters determined by the data" + " and this grid" * coarse
        cards.append((f"{known} of {len(report.parameters)}", words))
    turns = f"{len(report.losses)} {report.turn}{'s' if len(report.losses) != 1 else ''}"
    cards.append((duration(report.seconds), f"for {turns}"))
    items = "".join(f"<li><b>{escape(a)}</b><span>{escape(b)}</span></li>" for a, b in cards)
    date = surroundings.get("date", "")[:16]
    return (
        f'<header><p class="kicker">rheograd fit report · scene {escape(report.scene)} · '
        f"{escape(date)}</p>\n<h1>{escape(title)}</h1>\n"
        f'<p class="lede">{escape(verdict(report))}</p>\n<ul class="cards">{items}</ul></header>'
    )


def _notes(report: FitReport) -> str:
    groups = {
        "How far to trust it": ("notes", report.warnings),
        "What happened on the way": ("notes mild", report.notes),
    }
    said = ""
    for heading, (style, sentences) in groups.items():
        items = "".join(f"<li>{escape(s[:1].upper() + s[1:])}</li>" for s in sentences)
        if items:
            said += f'<section class="{style}"><h3>{heading}</h3><ul>{items}</ul></section>'
    return said


def _errors(report: FitReport) -> str:
    rows = "".join(_error_row(report, name, value) for name, value in report.errors.items())
    before = '<th class="n">before the fit</th>' if report.start_errors else ""
    words = "<th>in words</th>" if _worded(report) else ""
    return (
        "<section><h2>How far from the motion</h2>\n"
        "<p>Each motion is simulated from its start with the fitted law and compared with what "
        "was seen, point by point and frame by frame. The distance is the root of the mean "
        f"square; the mean squared coordinate error is its square over {report.components}, the "
        "figure used in the literature.</p>\n"
        '<div class="scroll"><table><thead><tr><th>motion</th>'
        f'{before}<th class="n">fitted</th><th class="n">mean squared<br>coordinate error</th>'
        f"{words}</tr></thead><tbody>{rows}</tbody></table></div></section>"
    )


def _error_row(report: FitReport, name: str, value: float) -> str:
    tag = "the fit has seen it" if name in report.trained else "new to the fit"
    if name in report.chose:
        tag = "its held-out frames chose the epoch"
    start = report.start_errors.get(name)
    before = ""
    if report.start_errors:
        shown = "–" if start is None else _distance_or_word(report, start)
        before = f'<td class="n">{shown}</td>'
    return (
        f'<tr><th scope="row">{escape(name)}<span class="tag">{tag}</span></th>{before}'
        f'<td class="n main">{_distance_or_word(report, value)}</td>'
        f'<td class="n">{_square(report, value)}</td>'
        + (
            f'<td class="words">{_reading(report, value, start)}</td></tr>'
            if _worded(report)
            else "</tr>"
        )
    )


def _worded(report: FitReport) -> bool:
    """Whether there is anything to compare the errors with."""
    diverged = not all(map(math.isfinite, report.errors.values()))
    return bool(report.size or report.start_errors or diverged)


def _distance_or_word(report: FitReport, error: float) -> str:
    return quantity(report.rms(error), report.unit) if math.isfinite(error) else "diverged"


def _square(report: FitReport, error: float) -> str:
    return f"{number(error, digits=2)} {report.unit}²" if math.isfinite(error) else "–"


def _reading(report: FitReport, error: float, start: float | None) -> str:
    """What an error means to someone who has no feeling for the number."""
    if not math.isfinite(error):
        return '<span class="warn">the simulation diverged</span>'
    words = []
    share = report.share(error)
    if share is not None:
        words.append(f"{percent(share)} of the body's size")
    if start is not None and not math.isfinite(start):
        words.append("runs, which it did not before the fit")
    elif start is not None and error > 0:
        times = report.rms(start) / report.rms(error)
        better = "good" if report.excess is None else "muted"
        style = better if times >= 1.05 else "warn"
        words.append(f'<span class="{style}">{_compare(times)} before the fit</span>')
    return "; ".join(words) or "–"


def _pictures(report: FitReport) -> str:
    if not report.pictures and not report.movies:
        return ""
    figures = "".join(_picture(caption, Path(p)) for caption, p in report.pictures.items())
    films = "".join(
        f'<p><a href="{escape(quote(Path(p).as_posix()))}">{escape(caption)}</a> '
        f'<span class="muted">({escape(Path(p).name)}, beside this file)</span></p>'
        for caption, p in report.movies.items()
    )
    return f'<section><h2>Side by side</h2>\n<div class="grid">{figures}</div>{films}</section>'


def _picture(caption: str, path: Path) -> str:
    media = MEDIA.get(path.suffix.lower())
    if media is None or not path.is_file():
        why = "is not there" if media else "is neither .png nor .jpg"
        return f'<p class="muted">The picture {escape(str(path))} {why} ({escape(caption)}).</p>'
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    words = escape(caption)
    return (
        f'<figure><img src="data:{media};base64,{data}" alt="{words}">'
        f"<figcaption>{words}</figcaption></figure>"
    )


def _curves(
    report: FitReport, curves: Mapping[str, Sequence[Curve]], names: Mapping[str, str]
) -> str:
    if not curves:
        return ""
    legend = "".join(
        f"<li>{_swatch(label)}<span>{LEGEND[label]} "
        f'<span class="muted">({escape(names[label])})</span></span></li>'
        for label in LEGEND
        if label in curves
    )
    known = [c for label, group in curves.items() if label != "start" for c in group]
    known = known or [c for group in curves.values() for c in group]
    finite = [c.y[c.y.isfinite()].abs().max().item() for c in known if c.y.isfinite().any()]
    least = 1e-3 * max(finite, default=0.0) or 1.0
    group = next(iter(curves.values()))
    one, count = group[0], len(group)
    figures = "".join(
        _curve_figure({label: group[k] for label, group in curves.items()}, least, report)
        for k in range(count)
    )
    shaded = (
        " Shaded: the stretches that the observed motion went through, and shears that stretch no"
        " further." * (report.stretches is not None)
    )
    caution = ""
    if report.kind == "law":
        caution = " Beyond the deformations that the motion went through, a learned law is a guess."
    if any(name.endswith("damped") for name in names.values()):
        caution += " The jump near rest is the damping, which goes with the rate."
    return (
        "<section><h2>The material itself</h2>\n<p>What stress one point of the material answers "
        f"with when it is deformed from rest, at {one.rate:.3g} per second in steps "
        f"of {quantity(one.dt, 's', digits=None)}.{caution}{shaded}</p>\n"
        f'<ul class="legend">{legend}</ul>\n<div class="grid">{figures}</div></section>'
    )


def _curve_figure(curves: Mapping[str, Curve], least: float, report: FitReport) -> str:
    one = next(iter(curves.values()))
    seen = None if report.stretches is None else went_through(one.name, report.stretches)
    broken = [LEGEND[label] for label, curve in curves.items() if not curve.complete]
    said = f" Without an answer at some point: {', '.join(broken)}." if broken else ""
    finite = [curve.y[curve.y.isfinite()].abs() for curve in curves.values()]
    if all(y.numel() == 0 or float(y.max()) < least for y in finite):
        said += " Practically no stress: nothing resists this."
    return (
        f"<figure><h3>{escape(one.name.capitalize())}</h3>{curve_plot(curves, least, seen)}"
        f"<figcaption>{escape(one.loading + said)}</figcaption></figure>"
    )


def went_through(loading: str, stretches: tuple[float, float]) -> tuple[float, float] | None:
    """The part of a loading within a range of principal stretches; None where they do not tell it.

    A shear γ at constant volume has the principal stretches s and 1/s with γ = s − 1/s.

    Args:
        loading: Name of the curve.
        stretches: Smallest and largest principal stretch of the motion [-].
    """
    low, high = stretches
    if loading == "uniaxial":
        return stretches
    if loading != "simple shear":
        return None
    s = max(1.0, high if low * high <= 1.0 else 1 / low)
    return 0.0, s - 1 / s


def _swatch(label: str) -> str:
    line = LINES[label]
    dashes = ' stroke-dasharray="8 5"' if "linestyle" in line else ""
    return (
        '<svg viewBox="0 0 42 12" aria-hidden="true"><line x1="1" x2="41" y1="6" y2="6" '
        f'stroke="{line["color"]}" stroke-width="{1.4 * line["linewidth"]:.1f}" '
        f'stroke-opacity="{line.get("alpha", 1)}"{dashes}/></svg>'
    )


def _training(report: FitReport) -> str:
    if not report.losses:
        return ""
    finite = [v for v in report.losses if v is not None and math.isfinite(v)]
    growing = len(set(report.segments)) > 1
    unit = f" {report.loss_unit}" if report.loss_unit else ""
    fall = f"No {report.turn} gave a loss."
    if finite:
        first, last = (number(finite[k]) for k in (0, -1))
        fall = f"The loss fell from {first} to {last}{unit}. "
        if len(finite) == 1:
            fall = f"The loss of the only {report.turn}: {first}{unit}. "
        elif finite[-1] > finite[0]:
            fall = f"The loss rose from {first} to {last}{unit}"
            fall += ". " if growing else ": the training brought the law no closer. "
        elif first == last:
            fall = f"The loss stayed at {first}{unit}. "
    if report.kind == "parameters":
        fall += "It is the mean square of a coordinate, in which large residuals count less. "
    if growing:
        fall += (
            "The simulation is restarted from recorded or estimated states every so many steps. "
            "That number changes during the fit, and a loss over longer pieces is larger by "
            "itself: a rise where they grow is no setback."
        )
    figure = ""
    if len(finite) > 1:
        segments = report.segments if growing else ()
        plot = loss_plot(report.losses, segments, report.loss_unit, report.turn)
        figure = f"\n<figure>{plot}</figure>"
    heading = "The training" if report.kind == "law" else "The search"
    return f"<section><h2>{heading}</h2>\n<p>{escape(fall)}</p>{figure}</section>"


def _settings(report: FitReport, surroundings: Mapping[str, str]) -> str:
    settings = {"scene": report.scene, "observation": report.observation, **report.settings}
    return again(settings, surroundings, report.command, report.resume)
