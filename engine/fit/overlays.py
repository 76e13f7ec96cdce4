# SPDX-License-Identifier: Apache-2.0
"""Pictures and films for a report: the fitted scene drawn over what cameras saw."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch

from ..observations.observation import Observation
from ..observations.pixel_tracks import PixelTracks
from ..trajectory import Trajectory
from ..vision.comparison import compare, film_missing
from .judge import SEEN, TAIL, Case


def overlays(
    cases: Mapping[str, Case], motions: Mapping[str, Trajectory | None], folder: Path
) -> tuple[dict[str, Path], dict[str, Path]]:
    """Draw every motion that was seen in pixels, with its held-out tail if there is one.

    Args:
        cases: What was seen, by name.
        motions: Of the fitted scenes, by name; what diverged is left out.
        folder: Where pictures and films go.

    Returns:
        Paths of pictures, and of films from the folder, by caption.
    """
    pictures: dict[str, Path] = {}
    films: dict[str, Path] = {}
    for name, case in cases.items():
        motion = motions.get(name)
        longer = name.removesuffix(SEEN) + TAIL
        if motion is None or (name.endswith(SEEN) and motions.get(longer) is not None):
            continue
        for number, (seen, own) in enumerate(_tracked(case.observation, motion)):
            with torch.no_grad():
                simulated = seen.predicted(own).cpu().double().numpy()
                gap = float(seen.error(own))
            mine = seen.used
            label = f"{name}, camera {number + 1}" if len(case.observation.cameras) > 1 else name
            file = "seen-" + re.sub(r"[^\w]+", "-", label).strip("-")
            compare(mine, simulated, folder / f"{file}.mp4", folder / f"{file}.png")
            caption = f"{label}: tracked (rings) and simulated (crosses)"
            rms = math.sqrt(seen.components * gap)
            pictures[f"{caption}, {rms:.2g} px apart (RMS)"] = folder / f"{file}.png"
            films[caption] = Path(f"{file}.mp4")
    return pictures, films


def without_film(cases: Mapping[str, Case]) -> list[str]:
    """Sentences on films that pictures of a report lack, each once."""
    parts = [
        part
        for case in cases.values()
        for part in getattr(case.observation, "parts", (case.observation,))
    ]
    tracks = [part.tracks for part in parts if isinstance(part, PixelTracks)]
    return list(dict.fromkeys(why for t in tracks if (why := film_missing(t))))


def _tracked(seen: Observation, motion: Trajectory) -> Iterator[tuple[PixelTracks, Trajectory]]:
    """Tracks and the frames of the motion at their times."""
    for part, own in seen.split(motion):
        bound = part.rebound(own)
        if isinstance(bound, PixelTracks):
            yield bound, own
