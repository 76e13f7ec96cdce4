# SPDX-License-Identifier: Apache-2.0
"""Learned laws but for their networks: features, invariants, principal stretches."""
