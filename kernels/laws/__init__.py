# SPDX-License-Identifier: Apache-2.0
"""Analytic laws as Warp functions, and the kernels that call them."""
