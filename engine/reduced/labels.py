# SPDX-License-Identifier: Apache-2.0
"""What the index of a data set calls its trajectories."""

from __future__ import annotations

SPLITS = ("train", "validation", "test")
"""What they are for."""
SEEN, UNSEEN = "seen", "unseen"
"""Whether their geometry is one that is learned from."""
PLANNED, DONE, FAILED = "planned", "done", "failed"
"""What became of them."""
