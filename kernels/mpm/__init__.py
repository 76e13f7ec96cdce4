# SPDX-License-Identifier: Apache-2.0
"""The material point method: between particles and grid, and on the grid."""
