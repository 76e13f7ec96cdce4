# SPDX-License-Identifier: Apache-2.0
"""From measurements to a formula: a sparse energy out of a library of terms (docs/discovery.md)."""
