# SPDX-License-Identifier: Apache-2.0
"""Pictures, movies and the interactive window; nothing depends on it."""

from .display import DisplayError
from .render import movie, screenshot
from .window import play

__all__ = ["DisplayError", "movie", "play", "screenshot"]
