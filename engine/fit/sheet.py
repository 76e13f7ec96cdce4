# SPDX-License-Identifier: Apache-2.0
"""What every report.html has alike: the frame of the page, and how to do it again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from .style import STYLE_SHEET


def document(title: str, sections: Iterable[str]) -> str:
    """A whole page, of sections that are HTML already; empty ones are left out."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE_SHEET}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(section for section in sections if section)
        + "\n</main>\n</body>\n</html>\n"
    )


def again(
    settings: Mapping[str, object], surroundings: Mapping[str, str], command: str, resume: str = ""
) -> str:
    """The section on how to do it again, with which a page ends.

    Args:
        settings: What was asked, by name.
        surroundings: Versions, date and machine.
        command: Command line that does it again.
        resume: Command line that goes on after an interruption, if there is one.
    """
    on = f"<p>To go on after an interruption:</p><pre>{escape(resume)}</pre>" if resume else ""
    return (
        "<section><h2>To do it again</h2>\n<p>On a CPU this command gives the same result "
        f"to the last bit.</p><pre>{escape(command)}</pre>{on}\n"
        f'<div class="pair"><div><h3>Settings</h3>{listing(settings)}</div>'
        f"<div><h3>Made with</h3>{listing(surroundings)}</div></div></section>\n"
        '<footer class="muted">All numbers, unrounded and with units, are in report.json beside '
        "this file.</footer>"
    )


def listing(values: Mapping[str, object]) -> str:
    """Names and values as an HTML list."""
    items = "".join(
        f"<dt>{escape(str(k))}</dt><dd>{escape(str(v))}</dd>" for k, v in values.items()
    )
    return f"<dl>{items}</dl>"


def said(words: Sequence[str]) -> str:
    """A list as one says it: a, b and c."""
    return " and ".join(part for part in (", ".join(words[:-1]), words[-1]) if part)
