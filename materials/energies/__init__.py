# SPDX-License-Identifier: Apache-2.0
"""Isotropic elasticities by an energy of invariants: convex networks, CANN, formulas as text."""
