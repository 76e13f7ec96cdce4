# SPDX-License-Identifier: Apache-2.0
"""The material point method: model, workspace, roll-out with adjoint, solver."""

from .model import MPMModel
from .solver import MPMSolver

__all__ = ["MPMModel", "MPMSolver"]
