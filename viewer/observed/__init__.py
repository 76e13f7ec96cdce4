# SPDX-License-Identifier: Apache-2.0
"""Measured motion over a run: markers as rings, tracks over the film they were followed in."""
