# SPDX-License-Identifier: Apache-2.0
"""Fitting laws and parameters to observed motion, and the report of a fit."""
