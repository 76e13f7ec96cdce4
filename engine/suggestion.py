# SPDX-License-Identifier: Apache-2.0
"""A guess at what was meant by a word that is not known, for errors."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A question in brackets if something known is spelled much like the word, else nothing.

    Args:
        word: What came.
        known: What was expected.
    """
    near = get_close_matches(word, list(known), n=1)
    return f" (did you mean {near[0]}?)" if near else ""
