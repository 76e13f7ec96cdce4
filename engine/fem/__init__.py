# SPDX-License-Identifier: Apache-2.0
"""Finite elements: total Lagrangian equilibrium, time integration and their adjoints."""
