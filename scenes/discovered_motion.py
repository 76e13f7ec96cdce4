# SPDX-License-Identifier: Apache-2.0
"""`rheograd discover RUN.vtkhdf`: a formula out of a mesh's motion and the force on its grip."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from .progress import Progress, say

if TYPE_CHECKING:
    from rheograd.engine.observations.force_curve import ForceCurve
    from rheograd.engine.trajectory import Trajectory

FACE = 1e-6
"""Nodes no farther from the outermost one are of a side, relative to the body."""


def from_motion(found: argparse.Namespace, folder: Path, again: str) -> int:
    """Find, write and tell; `again` is the command that does the same once more.

    Raises:
        ValueError: The motion or the force does not do.
    """
    from dataclasses import replace

    from rheograd.engine.discovery.files import discovery_json, write_discovery
    from rheograd.engine.discovery.from_motion import MeasuredMotion, held_by
    from rheograd.engine.discovery.library import FAMILIES
    from rheograd.engine.discovery.motion_page import motion_page
    from rheograd.engine.discovery.motion_search import found_in_motion
    from rheograd.engine.fit.report_files import environment
    from rheograd.engine.trajectory import Trajectory

    if len(found.file) > 1 or found.propose is not None:
        raise ValueError("got a motion and more, expected one .vtkhdf and no --propose")
    motion = Trajectory.load(found.file[0])
    force = replace(force_of(found, motion), noise=found.force_noise)
    measured = MeasuredMotion(motion, force, held_by(motion))
    families = found.terms.split(",") if found.terms else FAMILIES
    with Progress("formula", 100, unit="%") as progress:
        result = found_in_motion(
            measured, families=[f.strip() for f in families], most=found.max_terms,
            noise=found.noise, bulk=found.bulk, seed=found.seed, draws=found.draws,
            tell=lambda what, share: progress.to(int(100 * share), what),
        )  # fmt: skip
    told = {
        "motion": str(found.file[0]), "force": str(found.reaction or "as recorded"),
        "grip": found.grip, "terms": found.terms or "all", "most terms": found.max_terms,
        "noise": "found along" if found.noise is None else f"{found.noise:g} m",
        "force noise": "assumed" if found.force_noise is None else f"{found.force_noise:g} N",
        "seed": found.seed, "draws": found.draws,
    }  # fmt: skip
    surroundings = environment()
    law = result.formula
    content = discovery_json(result.discovery, law, told, surroundings, again, result.notes)
    content |= {"displacement_noise_m": result.noise, "residual": result.excess}
    html = motion_page(result, told, surroundings, again)
    write_discovery(folder, law, told, content, html)
    for note in result.notes:
        say(f"note: {note}")
    say(f"ψ [J/m³] = {law.law.text}")
    say(law.numbers)
    say(f"wrote {folder / 'law.safetensors'} and {folder / 'report.html'}")
    return 0


def force_of(found: argparse.Namespace, motion: Trajectory) -> ForceCurve:
    """The force on the grip in every frame, as recorded or of a table.

    Raises:
        ValueError: There is no such side, or the motion has no reactions.
    """
    import numpy as np
    import torch

    from rheograd.engine.observations.force_curve import ForceCurve, read_curve

    side = found.grip
    if len(side) != 2 or side[0] not in "xyz" or side[1] not in "+-":
        raise ValueError(f"--grip: got {side!r}, expected one of x-, x+, y-, y+, z-, z+")
    axis, sign = "xyz".index(side[0]), 1.0 if side[1] == "+" else -1.0
    along = sign * motion.x[0, :, axis].double()
    size = float((motion.x[0].amax(0) - motion.x[0].amin(0)).max())
    nodes = torch.nonzero(along > along.max() - FACE * size).flatten()
    direction = torch.zeros(3, dtype=torch.float64)
    direction[axis] = 1.0
    if found.reaction is not None:
        table = read_curve(found.reaction)
        force = np.interp(motion.time.numpy(), table[:, 0], table[:, 1], np.nan, np.nan)
        return ForceCurve(motion.time.double(), torch.from_numpy(force), nodes, direction)
    if "reaction" not in motion.fields:
        raise ValueError(f"{found.file[0]} has no reactions: give --reaction FILE.csv")
    force = motion.fields["reaction"][:, nodes, axis].sum(1).double()
    return ForceCurve(motion.time.double(), force, nodes, direction)
