# SPDX-License-Identifier: Apache-2.0
"""Pictures, movies, the interactive window and the page for a browser; nothing depends on it."""

from .comparison import ERROR, ErrorTotal, error_totals
from .display import DisplayError
from .files.export import export, written_by
from .looks import Clip, Looks
from .page.browser import serve
from .presentation import Presentation
from .render import movie, screenshot
from .window import play

__all__ = [
    "ERROR",
    "Clip",
    "DisplayError",
    "ErrorTotal",
    "Looks",
    "Presentation",
    "error_totals",
    "export",
    "movie",
    "play",
    "screenshot",
    "serve",
    "written_by",
]
