# SPDX-License-Identifier: Apache-2.0
"""Pictures: spheres, discs and surfaces by rays."""
