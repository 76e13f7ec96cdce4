# SPDX-License-Identifier: Apache-2.0
"""Scenes, states, solvers, trajectories, observations and fitting."""
