# SPDX-License-Identifier: Apache-2.0
"""Warp kernels: arrays in, arrays out."""
