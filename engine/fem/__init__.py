# SPDX-License-Identifier: Apache-2.0
"""Finite elements: total Lagrangian equilibrium, time integration and their adjoints."""

from .integrators import (
    BackwardEuler,
    CentralDifferences,
    GeneralizedAlpha,
    Integrator,
    Newmark,
    Static,
)
from .model import FEModel
from .solver import FESolver

__all__ = [
    "BackwardEuler",
    "CentralDifferences",
    "FEModel",
    "FESolver",
    "GeneralizedAlpha",
    "Integrator",
    "Newmark",
    "Static",
]
