# SPDX-License-Identifier: Apache-2.0
"""Constitutive laws as torch modules."""
