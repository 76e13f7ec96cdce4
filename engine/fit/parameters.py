# SPDX-License-Identifier: Apache-2.0
"""Another name of `least_squares`, for scripts that import from here."""

from .least_squares import ParameterFit, fit_parameters

__all__ = ["ParameterFit", "fit_parameters"]
