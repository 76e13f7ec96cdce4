# SPDX-License-Identifier: Apache-2.0
"""Learned stresses and flows: networks and curves on features or principal stretches of F."""
