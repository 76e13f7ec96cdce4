# SPDX-License-Identifier: Apache-2.0
"""Runs that are looked at as they go on: no history, but sliders, and a hand that pulls."""

from .record import LiveRecorder, size_in_words
from .run import LiveRun

__all__ = ["LiveRecorder", "LiveRun", "size_in_words"]
