# SPDX-License-Identifier: Apache-2.0
"""Units of length that files may come in; inside, all lengths are metres."""

LENGTHS = {"m": 1.0, "dm": 0.1, "cm": 1e-2, "mm": 1e-3, "um": 1e-6, "µm": 1e-6, "in": 0.0254}
"""[m]"""
