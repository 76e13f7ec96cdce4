# SPDX-License-Identifier: Apache-2.0
"""Finite elements: forces and stiffness of elements, and sweeps over their matrix."""
