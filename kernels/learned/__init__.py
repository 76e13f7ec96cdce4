# SPDX-License-Identifier: Apache-2.0
"""What learned laws are made of besides their networks: features, invariants, principal stretches."""
